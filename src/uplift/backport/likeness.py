"""How alike an upstream commit and a commit of a branch are, and what that is worth.

Pure: the weights were set on the stable branches of DPDK, Open vSwitch, Xen, OpenZFS, SPDK and
rdma-core, where trailers tell the truth for each pair; ``bench/backport_presence.py`` measures them
on any other repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

from uplift.backport.index import Indexed
from uplift.backport.model import Evidence, Reference
from uplift.backport.patches import Patch

SAME = 0.999  #: of the lines: the same change
ADAPTED = 0.5  #: of the lines: the same change, made to fit
RELATED = 0.2  #: of the lines: a part of it, or another form
CONTAINED = 0.8  #: of one's lines are in the other
_SUBSTANCE = 4  #: changed lines that are not chance
_MUCH = 8  #: changed lines by which alone a change is known
_KINDRED = 0.8  #: of two titles' letters: one title, changed a little
_TITLE = 200  #: letters of a title that are compared
_WORDS = 4  #: of a title that is not chance


@dataclass(frozen=True)
class Likeness:
    """What an upstream commit and one of the branch have in common.

    :param named: the trailer of the branch's commit that names the upstream one.
    :param kindred: the titles are nearly the same.
    :param same_patch: git's patch-ids are the same, what stands around the lines included.
    :param compared: both patches could be made; else the shares are 0.
    :param share: of the lines of the larger change, those that both have.
    :param covered: of the upstream lines, those the branch's commit has; ``covering``: the reverse.
    :param size: how many lines the smaller change has.
    """

    upstream: str
    commit: str
    named: Reference | None
    titled: bool
    author: bool
    authored: bool
    compared: bool
    kindred: bool = False
    same_patch: bool = False
    share: float = 0.0
    covered: float = 0.0
    covering: float = 0.0
    size: int = 0

    @property
    def score(self) -> float:
        """Rank the upstream commits that one commit of a branch could be."""
        agreed = 3.0 * self.titled + 3.0 * self.authored
        agreed += 1.5 * (self.kindred and not self.titled) + 0.25 * self.author
        return agreed + 4.0 * self.share + (4.0 if self.named and self.is_supported else 0.0)

    @property
    def is_supported(self) -> bool:
        """Whether anything but a trailer speaks for the pair."""
        alike = self.share >= RELATED or max(self.covered, self.covering) >= CONTAINED
        return self.titled or self.authored or (alike and self.size > 0)

    @property
    def is_sure(self) -> bool:
        """Whether more speaks for the pair than a resemblance."""
        return self.titled or self.authored or self.share >= ADAPTED or self.covered >= CONTAINED

    @property
    def is_same(self) -> bool:
        """Whether the two changes are line for line the same."""
        return self.compared and self.share >= SAME


@dataclass(frozen=True)
class Match:
    """A commit of the branch that carries an upstream commit, and how sure that is."""

    likeness: Likeness
    confidence: float
    whole: bool = True  #: False for another form that only resembles it

    @property
    def commit(self) -> str:
        """The commit of the branch."""
        return self.likeness.commit


def likeness(
    upstream: Indexed,
    commit: Indexed,
    named: Reference | None,
    patches: tuple[Patch | None, Patch | None],
) -> Likeness:
    """Compare two commits; ``patches`` are theirs, None where git cannot make one."""
    mine, theirs = patches
    compared = mine is not None and theirs is not None
    same = mine is not None and theirs is not None and mine.patch_id == theirs.patch_id != ""
    shares = (
        (mine.similarity(theirs), mine.covered_by(theirs), theirs.covered_by(mine))
        if mine is not None and theirs is not None
        else (0.0, 0.0, 0.0)
    )
    return Likeness(
        upstream.sha,
        commit.sha,
        named,
        titled=bool(upstream.title) and upstream.title == commit.title,
        author=upstream.email == commit.email,
        authored=(upstream.email, upstream.authored) == (commit.email, commit.authored),
        compared=compared,
        kindred=_kindred(upstream.title, commit.title),
        same_patch=same,
        share=shares[0],
        covered=shares[1],
        covering=shares[2],
        size=min(mine.total, theirs.total) if mine is not None and theirs is not None else 0,
    )


def _kindred(mine: str, theirs: str) -> bool:
    """Whether one title is the other with a word or a prefix changed."""
    if mine == theirs or not mine or not theirs:
        return bool(mine) and mine == theirs
    compared = SequenceMatcher(None, mine[:_TITLE], theirs[:_TITLE], autojunk=False)
    return compared.real_quick_ratio() >= _KINDRED and compared.ratio() >= _KINDRED


def match(pair: Likeness, title: str) -> Match | None:
    """Say whether the pair is one change, from what it has in common; None for no.

    :param title: of the upstream commit, as titles are compared.
    """
    if pair.named is not None and pair.is_supported:
        return Match(pair, 0.99)
    if pair.titled and pair.authored:
        return Match(pair, 0.98)
    if pair.titled or pair.authored:
        return _half_agreed(pair, title)
    return _alike(pair)


def _alike(pair: Likeness) -> Match | None:
    """Judge a pair whose titles and whose author and second both differ."""
    if pair.same_patch or (pair.share >= SAME and pair.size >= _SUBSTANCE):
        return Match(pair, 0.95)
    if pair.kindred and pair.size and pair.share >= (RELATED if pair.author else ADAPTED):
        return Match(pair, 0.85)
    if pair.size < _MUCH or pair.share < ADAPTED:
        return None
    close = pair.share >= CONTAINED or pair.author
    return Match(pair, 0.8 if close else 0.5, whole=close)


def _half_agreed(pair: Likeness, title: str) -> Match | None:
    """Judge a pair of one title, or of one author and second."""
    contained = max(pair.covered, pair.covering) >= CONTAINED and pair.size > 0
    if pair.share >= ADAPTED or (contained and (pair.authored or pair.author)):
        return Match(pair, 0.95)
    if pair.share >= RELATED or contained:
        return Match(pair, 0.85 if pair.author else 0.7)
    telling = len(title.split()) >= _WORDS
    if (pair.titled and pair.author and telling) or (pair.authored and pair.kindred):
        return Match(pair, 0.7)
    if pair.titled and telling and not pair.compared:
        return Match(pair, 0.5)
    return None


def contains(pair: Likeness) -> bool:
    """Whether a larger commit of the branch holds the whole upstream change, and not by chance."""
    return pair.covered >= 0.95 and pair.size >= _MUCH


def evidence(pair: Likeness) -> tuple[Evidence, ...]:
    """Return what speaks for the pair, each as a line that a person can check."""
    found: list[Evidence] = []
    if pair.named is not None:
        text = f"line {pair.named.line} of its message names it ({pair.named.kind.value})"
        found.append(Evidence("trailer", pair.commit, text))
    if pair.is_same:
        text = "the same lines are added and removed"
        found.append(Evidence("patch-id", pair.commit, text))
    elif pair.compared and pair.share >= ADAPTED:
        text = f"{pair.share:.0%} of the changed lines are the same"
        found.append(Evidence("diff", pair.commit, text))
    elif pair.compared:
        text = f"{pair.covered:.0%} of its changed lines are there"
        found.append(Evidence("near", pair.commit, text))
    if pair.titled:
        found.append(Evidence("title", pair.commit, "the titles are the same"))
    if pair.authored:
        text = "author and second of writing are the same"
        found.append(Evidence("author-time", pair.commit, text))
    return tuple(found)
