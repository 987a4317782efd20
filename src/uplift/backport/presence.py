"""Where upstream commits stand on a branch: by sha, trailer, title, author and time, and change.

What metadata can exclude is never compared as text. A trailer is a claim: it counts when title,
author and time, or the change itself agree. A commit of the branch belongs to the upstream commit
that it is most like: one that fits another better is not taken for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

from uplift.backport.index import Index, Indexed
from uplift.backport.likeness import ADAPTED, Likeness, Match, contains, evidence, likeness, match
from uplift.backport.model import Evidence, Presence, State
from uplift.backport.patches import Patch, changed_lines
from uplift.backport.pick import is_documentation, picking
from uplift.backport.reachable import listed, unreachable
from uplift.backport.reverts import Reverts, Undoing
from uplift.backport.side import Side
from uplift.backport.titles import plain_title
from uplift.backport.tree_lines import may_be_there
from uplift.lab.git import Workspace

_PATHS = 50  #: of a commit that is sought by its paths
_COMPARED = 60  #: commits of the same paths that are compared with one
_COMMON_TITLE = 8  #: a title that more commits have says nothing by itself
_RIVALS = 20  #: upstream commits that one commit of the branch may be
_SOUGHT = 5000  #: commits of one question that are looked for in the branch's tree
_MOST = 2 / 3  #: of a change's lines: what maintainers leave out is less, a part is less than this
_SHOWN = 40  #: differing lines that are shown


@dataclass(frozen=True)
class Options:
    """How presence is looked for.

    :param trailers: whether what messages say of their origin is believed; off to measure the rest.
    :param tree: whether commits found in no other way are tried on the branch's tree: where picking
        one changes nothing, its change is there.
    :param differences: whether the lines in which two changes differ are told.
    """

    trailers: bool = True
    tree: bool = True
    differences: bool = True


@dataclass(frozen=True)
class _Found:
    """What is known of one commit before the trees are asked."""

    presence: Presence
    carrier: Match | None = None


def presences(
    workspace: Workspace,
    index: Index,
    branch: str,
    shas: Sequence[str],
    upstream: str | None = None,
    options: Options | None = None,
) -> tuple[Presence, ...]:
    """Say of each commit of ``shas``, full ones, where it stands on ``branch``.

    :param branch: any commit; what counts is what is reachable from it.
    :param upstream: a commit whose history is not the branch's own; makes the search smaller.
    :raises RepositoryError: the branch or the upstream is no commit here.
    """
    tip = workspace.resolve(branch)
    base = workspace.resolve(upstream) if upstream else None
    search = _Search.over(workspace, index, tip, base, shas, options or Options())
    return search.answers(shas)


@dataclass
class _Search:
    """One question: which of ``asked`` the branch has."""

    index: Index
    options: Options
    side: Side
    lacking: frozenset[str]  #: asked for, and not reachable from the branch
    asked: Mapping[str, Indexed]
    upstream: tuple[str, ...]  #: whose history is where the commits come from
    reverts: Reverts
    patches: dict[str, Patch] = field(default_factory=dict)
    _told: dict[str, list[Match]] = field(default_factory=dict)
    _taken: dict[str, bool] = field(default_factory=dict)
    _near: dict[str, list[str]] = field(default_factory=dict)
    _origins: dict[str, tuple[Indexed, ...]] = field(default_factory=dict)

    @classmethod
    def over(
        cls,
        workspace: Workspace,
        index: Index,
        tip: str,
        base: str | None,
        shas: Sequence[str],
        options: Options,
    ) -> _Search:
        asked = _known(index, shas)
        lacking = unreachable(workspace, [sha for sha in shas if sha in asked], tip)
        upstream = (base,) if base else tuple(sorted(lacking))
        side = Side.of(index, tip, [*([base] if base else []), *sorted(lacking)])
        if base and not side.order:  # the branch is a part of upstream: what it has is its own
            side = Side.of(index, tip, sorted(lacking))
        return cls(index, options, side, lacking, asked, upstream, Reverts(index, side))

    @cached_property
    def beyond(self) -> frozenset[str]:
        """The commits of upstream that the branch does not reach."""
        return frozenset(listed(self.index.workspace, self.upstream, [self.side.tip]))

    def answers(self, shas: Sequence[str]) -> tuple[Presence, ...]:
        """Judge all, then ask the trees of what is left open, then show differences."""
        wanted = list(dict.fromkeys(shas))
        self._read_candidates(wanted)
        self._read_resembling([sha for sha in wanted if sha in self.lacking])
        found = {sha: self._judged(sha) for sha in wanted}
        if self.options.tree:
            found.update(self._left_out(found))
            found.update(self._in_tree(found))
        if self.options.differences:
            found.update(self._with_differences(found))
        return tuple(found[sha].presence for sha in shas)

    def _read_candidates(self, shas: Iterable[str]) -> None:
        """Read the patches of all pairs that are going to be compared, by one git."""
        wanted: dict[str, None] = {}
        for sha in shas:
            if sha in self.lacking and (candidates := self._candidates(self.asked[sha])):
                wanted.update(dict.fromkeys([sha, *candidates]))
        self._read(wanted)

    def _read_resembling(self, shas: Iterable[str]) -> None:
        """Find what the metadata tells; read the patches of what is to be sought by its lines."""
        open_ones: list[Indexed] = []
        for sha in shas:
            known = self.asked[sha]
            self._told[sha] = self._matched(known, self._candidates(known))
            if not self._told[sha]:
                open_ones.append(known)
        self._read_doubtful(open_ones)
        wanted: dict[str, None] = {}
        for known in open_ones:
            if near := self._same_paths(known):
                wanted.update(dict.fromkeys([known.sha, *near]))
        self._read(wanted)

    def _read_doubtful(self, open_ones: Iterable[Indexed]) -> None:
        """Read the patches that tell which upstream commit a commit of these paths is."""
        nearby = dict.fromkeys(sha for known in open_ones for sha in self._sharing(known))
        wanted: dict[str, None] = {}
        for sha in nearby:
            if not self._is_named(sha) and (origins := self._origins_of(sha)):
                wanted.update(dict.fromkeys([sha, *(origin.sha for origin in origins)]))
        self._read(wanted)

    def _read(self, shas: Iterable[str]) -> None:
        missing = [sha for sha in shas if sha not in self.patches]
        if missing:
            self.patches.update(self.index.patches(missing))

    def _judged(self, sha: str) -> _Found:
        known = self.asked.get(sha)
        if known is None:
            why = Evidence("missing-object", "", "the repository does not hold this commit")
            return _Found(Presence(sha, "", State.UNDETERMINED, 0.0, (why,)))
        subject = commit.subject if (commit := self.index.commit(sha)) else known.title
        if sha not in self.lacking:
            return self._shared(known, subject)
        matches = self._matches(known)
        if not matches:
            return _Found(self._not_found(known, subject))
        return self._carried(known, subject, matches)

    def _shared(self, known: Indexed, subject: str) -> _Found:
        """Judge a commit that the branch reaches: present, unless it was taken back since."""
        here = Evidence("sha", known.sha, "the branch reaches this commit")
        undoing = self.reverts.of(known.sha, known)
        again = self._landed_again(known) if undoing and undoing.whole else None
        if again is not None:
            here = Evidence("title", again, "taken back, and landed again under the same title")
            undoing = self.reverts.of(again, known)
        state, told = _undone(undoing)
        return _Found(Presence(known.sha, subject, state, 1.0, (here, *told)))

    def _landed_again(self, known: Indexed) -> str | None:
        """Return a later commit of the branch with the same title and change."""
        titled = [sha for sha in self.index.titled(known.title) if sha != known.sha]
        later = [
            sha
            for sha, other in self.index.known(titled).items()
            if other.committed > known.committed
        ]
        gone = unreachable(self.index.workspace, later, self.side.tip) if later else frozenset()
        self._read([known.sha, *later] if later else [])
        mine = self.patches.get(known.sha)
        for sha in later:
            theirs = self.patches.get(sha)
            if sha not in gone and mine and theirs and mine.similarity(theirs) >= ADAPTED:
                return sha
        return None

    def _carried(self, known: Indexed, subject: str, matches: Sequence[Match]) -> _Found:
        """Say present where a carrier was not taken back later, else reverted."""
        told: list[Evidence] = []
        for carrier in matches:
            undoing = self.reverts.of(carrier.commit, known)
            if undoing is None or not undoing.whole:
                state, partly = _undone(undoing)
                if not carrier.whole:
                    state = State.PARTIAL
                shown = (*evidence(carrier.likeness), *partly)
                made = Presence(known.sha, subject, state, carrier.confidence, shown)
                return _Found(made, carrier)
            told += _undone(undoing)[1]
        best = matches[0]
        shown = (*evidence(best.likeness), *told)
        return _Found(Presence(known.sha, subject, State.REVERTED, best.confidence, shown))

    def _matches(self, known: Indexed) -> list[Match]:
        """Return the commits of the branch that carry ``known``, the likeliest first."""
        found = self._told[known.sha] or self._resembling(known)
        return sorted(
            found,
            key=lambda made: (-made.whole, -made.likeness.score, self.side.order[made.commit]),
        )

    def _matched(self, known: Indexed, commits: Iterable[str]) -> list[Match]:
        candidates = list(commits)
        opposite = self._opposite(known, candidates)
        found = (self._match(known, commit) for commit in candidates if commit not in opposite)
        return [made for made in found if made is not None]

    def _opposite(self, known: Indexed, candidates: Sequence[str]) -> set[str]:
        """Return the commits that take the change back, whatever origin they name."""
        claims = self.side.reverting(known.sha, "")
        for other in candidates:
            claims += self.side.reverting(other, "")
        found = {commit for commit, reference in claims if reference.place != "in part"}
        return found

    def _candidates(self, known: Indexed) -> list[str]:
        """Return what a trailer, the title, or author and time speak for."""
        named = self.side.named(known.sha) if self.options.trailers else {}
        titled = self.side.by_title.get(known.title, ())
        if len(titled) > _COMMON_TITLE:
            titled = [sha for sha in titled if self.side.known[sha].path_set == known.path_set]
        authored = self.side.by_author.get((known.email, known.authored), ())
        return list(dict.fromkeys([*named, *titled[:_COMPARED], *authored[:_COMPARED]]))

    def _match(self, known: Indexed, commit: str) -> Match | None:
        pair = self._pair(known, commit)
        made = match(pair, known.title)
        if made is None:
            return self._only_named(pair) if pair.named is not None else None
        if pair.named is not None and pair.is_sure:
            return made
        return None if self._fits_another(pair) else made

    def _pair(self, known: Indexed, commit: str) -> Likeness:
        self._read([known.sha, commit])
        named = self.side.named(known.sha).get(commit) if self.options.trailers else None
        patches = self.patches.get(known.sha), self.patches.get(commit)
        return likeness(known, self.side.known[commit], named, patches)

    def _only_named(self, pair: Likeness) -> Match | None:
        """Weigh a trailer that nothing else supports: a rewritten or a joined backport, or wrong.

        It is wrong where the commit's title, or author and second, are those of an upstream commit
        that it does not name.
        """
        named = {self.index.resolved(reference) for reference in self.side.origins(pair.commit)}
        others = {other.sha for other in self._origins_of(pair.commit)} - named
        return None if others else Match(pair, 0.6)

    def _fits_another(self, pair: Likeness) -> bool:
        """Whether another upstream commit is more like the branch's commit.

        Of two that are alike, the one that was written later is meant: it was taken back and came
        again, or it is the second attempt.
        """
        written = self.asked[pair.upstream].authored
        return any(
            (self._pair(other, pair.commit).score, other.authored) > (pair.score, written)
            for other in self._origins_of(pair.commit)
            if other.sha != pair.upstream
        )

    def _is_taken(self, commit: str) -> bool:
        """Whether it is clear which upstream commit ``commit`` of the branch is."""
        if commit not in self._taken:
            pairs = (self._pair(other, commit) for other in self._origins_of(commit))
            self._taken[commit] = self._is_named(commit) or any(
                pair.is_supported and (pair.named is not None or pair.share >= ADAPTED)
                for pair in pairs
            )
        return self._taken[commit]

    def _is_named(self, commit: str) -> bool:
        """Whether the metadata alone make that clear."""
        mine = self.side.known[commit]
        named = self.side.origins(commit) if self.options.trailers else ()
        return any(
            (other.title == mine.title)
            + ((other.email, other.authored) == (mine.email, mine.authored))
            + any(other.sha.startswith(reference.named) for reference in named)
            > 1
            for other in self._origins_of(commit)
        )

    def _origins_of(self, commit: str) -> tuple[Indexed, ...]:
        """Return what ``commit`` may be upstream, by trailer, title, author and time."""
        if commit not in self._origins:
            known = self.side.known[commit]
            named = self.side.origins(commit) if self.options.trailers else ()
            shas = [self.index.resolved(reference) for reference in named]
            shas += self.index.titled(known.title)[:_RIVALS] if known.title else ()
            shas += self.index.authored(known.email, known.authored)[:_RIVALS]
            there = [sha for sha in dict.fromkeys(shas) if sha in self.beyond]
            self._origins[commit] = tuple(self.index.known(there).values())
        return self._origins[commit]

    def _resembling(self, known: Indexed) -> list[Match]:
        """Look for the change among commits of the same paths that are no other upstream commit."""
        near = self._same_paths(known)
        self._read([known.sha, *near] if near else [])
        found: list[Match] = []
        for commit in near:
            pair = self._pair(known, commit)
            made = match(pair, known.title)
            if made is None and contains(pair):
                made = Match(pair, 0.8)
            if made is not None and not self._fits_another(pair):
                found.append(made)
        return found

    def _same_paths(self, known: Indexed) -> list[str]:
        """Return commits of the branch that touch these paths and can be no other upstream one."""
        if known.sha not in self._near:
            near = (sha for sha in self._sharing(known) if not self._is_taken(sha))
            self._near[known.sha] = list(islice(near, _COMPARED))
        return self._near[known.sha]

    def _sharing(self, known: Indexed) -> Iterator[str]:
        """Yield later commits of the branch that touch these paths, the likeliest first."""
        if 0 < known.paths <= _PATHS:
            for sha in self.side.sharing(known):
                if self.side.known[sha].committed >= known.authored:
                    yield sha

    def _not_found(self, known: Indexed, subject: str) -> Presence:
        reason = self._cannot_tell(known)
        if reason is not None:
            return Presence(known.sha, subject, State.UNDETERMINED, 0.0, (reason,))
        text = f"none of {len(self.side.order)} commits of the branch names, titles or repeats it"
        shown = (Evidence("searched", "", text),)
        return Presence(known.sha, subject, State.ABSENT, 0.97, shown)

    def _cannot_tell(self, known: Indexed) -> Evidence | None:
        """Return which missing objects keep the answer open."""
        if known.paths < 0:
            return Evidence("missing-object", "", "its trees are missing: its change is not known")
        if known.paths and self._same_paths(known) and self._unreadable(known.sha):
            return Evidence("missing-object", "", "its patch cannot be made: contents are missing")
        cut = [known_cut for known_cut in self._cut_here if known_cut.committed >= known.authored]
        if cut:
            text = (
                f"the branch's history is cut at {cut[0].sha[:12]}: what came before is not known"
            )
            return Evidence("missing-object", cut[0].sha, text)
        return None

    def _unreadable(self, sha: str) -> bool:
        self._read([sha])
        return sha not in self.patches

    @cached_property
    def _cut_here(self) -> tuple[Indexed, ...]:
        """Commits of the branch whose parents, or trees, are missing."""
        return tuple(known for known in self.side.known.values() if known.paths < 0)

    def _left_out(self, found: Mapping[str, _Found]) -> dict[str, _Found]:
        """Say partial where lines that a carrier left out still apply to it as they are."""
        short = [
            (item.carrier.commit, sha)
            for sha, item in found.items()
            if item.carrier and item.presence.state is State.PRESENT and _is_short(item.carrier)
        ]
        changed: dict[str, _Found] = {}
        with picking(self.index.workspace) as picker:
            for (commit, sha), picked in zip(short, picker.pick_all(short), strict=True):
                if picked.clean and not picked.empty:
                    missing = _paths_between(picker.workspace, picker.tree_of(commit), picked.tree)
                    if any(not is_documentation(path) for path in missing):
                        changed[sha] = _partly(found[sha], commit, missing)
        return changed

    def _in_tree(self, found: Mapping[str, _Found]) -> dict[str, _Found]:
        """Say present where the branch's tree already is as the commit leaves it."""
        absent = [sha for sha, item in found.items() if item.presence.state is State.ABSENT]
        absent = [sha for sha in absent if self.asked[sha].parents < 2 and self.asked[sha].paths]
        if len(absent) > _SOUGHT:
            return {}
        absent = may_be_there(self.index.workspace, self.side.tip, absent)
        changed: dict[str, _Found] = {}
        with picking(self.index.workspace) as picker:
            pairs = [(self.side.tip, sha) for sha in absent]
            for sha, picked in zip(absent, picker.pick_all(pairs), strict=True):
                if picked.empty and not self.reverts.is_revert(sha):
                    text = "picking it changes nothing: the tree has its change in another form"
                    shown = (Evidence("diff", "", text),)
                    before = found[sha].presence
                    changed[sha] = _Found(
                        replace(before, state=State.PRESENT, confidence=0.85, evidence=shown)
                    )
        return changed

    def _with_differences(self, found: Mapping[str, _Found]) -> dict[str, _Found]:
        pairs = [
            (sha, item.carrier.commit)
            for sha, item in found.items()
            if item.carrier and item.carrier.likeness.compared and not item.carrier.likeness.is_same
        ]
        shas = list(dict.fromkeys(sha for pair in pairs for sha in pair))
        lines = changed_lines(self.index.workspace, shas) if shas else {}
        return {
            sha: replace(
                found[sha],
                presence=replace(
                    found[sha].presence,
                    differences=_difference(lines.get(sha, ()), lines.get(commit, ())),
                ),
            )
            for sha, commit in pairs
        }


def _paths_between(workspace: Workspace, before: str, after: str) -> list[str]:
    options = ("diff-tree", "-r", "-z", "--name-only", "--no-renames")
    names = workspace.git(*options, before, after).split(b"\0")
    return [name.decode("utf-8", "replace") for name in names if name]


def _known(index: Index, shas: Sequence[str]) -> dict[str, Indexed]:
    """Return what is known of ``shas``; one that no branch reaches is read from its object."""
    found = index.known(shas)
    for sha in shas:
        if sha not in found and (commit := index.commit(sha)) is not None:
            author = commit.author
            found[sha] = Indexed(
                sha,
                plain_title(commit.subject),
                author.email.casefold(),
                author.time,
                0,
                commit.committer.time,
                len(commit.parents),
            )
    return found


def _undone(undoing: Undoing | None) -> tuple[State, tuple[Evidence, ...]]:
    if undoing is None:
        return State.PRESENT, ()
    state = State.REVERTED if undoing.whole else State.PARTIAL
    return state, (Evidence("revert", undoing.commit, undoing.text),)


def _is_short(carrier: Match) -> bool:
    """Whether the carrier has nothing but lines of the upstream commit, and not all of them."""
    pair = carrier.likeness
    return pair.compared and pair.size > 0 and pair.covering >= 0.95 and pair.covered < 0.95


def _partly(found: _Found, commit: str, missing: Sequence[str]) -> _Found:
    """Tell what was left out; where that is much of the change, it is there in part only."""
    assert found.carrier is not None
    text = f"what it left out still applies, in {', '.join(missing[:3])}"
    before = found.presence
    much = found.carrier.likeness.covered < _MOST
    state, confidence = (State.PARTIAL, 0.95) if much else (State.PRESENT, 0.8)
    shown = (*before.evidence, Evidence("near", commit, text))
    made = replace(before, state=state, confidence=confidence, evidence=shown)
    return replace(found, presence=made)


def _difference(mine: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    """Return the lines only one has: ``- `` before upstream's, ``+ `` before the branch's."""
    lines = [f"- {line}" for line in _only(mine, theirs)]
    lines += [f"+ {line}" for line in _only(theirs, mine)]
    more = len(lines) - _SHOWN
    return tuple(lines[:_SHOWN]) + ((f"… {more} more lines",) if more > 0 else ())


def _only(mine: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """Return the lines of ``mine`` that ``theirs`` lacks, white space left out of account."""
    there: dict[str, int] = {}
    for line in theirs:
        key = "".join(line.split())
        there[key] = there.get(key, 0) + 1
    found: list[str] = []
    for line in mine:
        key = "".join(line.split())
        if there.get(key, 0):
            there[key] -= 1
        elif len(key) > 1:
            found.append(line)
    return found
