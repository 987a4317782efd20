"""Where upstream commits stand on a branch: by sha, trailer, title, author and time, and change.

What metadata can exclude is never compared as text. A trailer is a claim: it counts when title,
author and time, or the change itself agree; a commit whose trailer names another one is not taken
for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from uplift.backport.change import Change, read_changes
from uplift.backport.index import Index, Indexed
from uplift.backport.model import Evidence, Presence, Reference, ReferenceKind, State
from uplift.backport.reachable import listed, unreachable
from uplift.backport.titles import plain_title
from uplift.backport.trailers import PROVENANCE
from uplift.lab.git import Workspace

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_SAME = 0.999
_ALIKE = 0.5  #: of the lines: the same change, adapted
_COVERED = 0.8  #: of its lines are in a larger commit of the branch
_SIMILAR = 0.2  #: of the lines: a part of it, or another form
_DEPTH = 32  #: reverts of reverts that are followed
_PATHS = 8  #: of a commit that is sought by its paths alone
_COMPARED = 100  #: commits of the same paths that are compared with one
_WORDS = 4  #: of a title that is not chance
_COMMON_TITLE = 8  #: a title that more commits have says nothing by itself


@dataclass(frozen=True)
class Options:
    """How presence is looked for.

    :param trailers: whether what messages say of their origin is believed; off to measure the rest.
    :param tree: whether a commit found in no other way is tried on the branch's tree: where picking
        it changes nothing, its change is there.
    """

    trailers: bool = True
    tree: bool = True


@dataclass(frozen=True)
class Match:
    """One commit of the branch that carries an upstream commit, or part of it."""

    commit: str
    share: float  #: of the lines, 0 to 1
    evidence: tuple[Evidence, ...]
    confidence: float
    difference: tuple[str, ...] = ()


def presences(
    workspace: Workspace,
    index: Index,
    branch: str,
    shas: Sequence[str],
    upstream: str | None = None,
    options: Options | None = None,
) -> tuple[Presence, ...]:
    """Say of each commit of ``shas`` where it stands on ``branch``.

    :param branch: any commit; what counts is what is reachable from it.
    :param upstream: a commit whose history is not the branch's own; makes the search smaller.
    :raises RepositoryError: the branch or the upstream is no commit here.
    """
    tip = workspace.resolve(branch)
    base = workspace.resolve(upstream) if upstream else None
    search = _Search.over(workspace, index, tip, base, shas, options or Options())
    search.read_candidates(shas)
    return tuple(search.presence(sha) for sha in shas)


@dataclass
class _Search:
    """The commits that only the branch has, by everything they can be found by."""

    workspace: Workspace
    index: Index
    tip: str
    options: Options
    lacking: frozenset[str]  #: asked for, and not reachable from the branch
    asked: Mapping[str, Indexed]
    side: Mapping[str, Indexed]  #: what only the branch has
    order: Mapping[str, int]  #: of ``side``: the newest has the lowest number
    references: Mapping[str, tuple[Reference, ...]]
    changes: dict[str, Change] = field(default_factory=dict)

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
        lacking = unreachable(workspace, shas, tip)
        side = listed(workspace, [tip], [*([base] if base else []), *sorted(lacking)])
        if base and not side:  # the branch is a part of upstream: then all it has since is its own
            side = listed(workspace, [tip], sorted(lacking))
        return cls(
            workspace,
            index,
            tip,
            options,
            lacking,
            index.known(shas),
            index.known(side),
            {sha: number for number, sha in enumerate(side)},
            index.references(side),
        )

    @cached_property
    def by_title(self) -> Mapping[str, Sequence[str]]:
        return _grouped((known.title, sha) for sha, known in self.side.items())

    @cached_property
    def by_author(self) -> Mapping[tuple[str, int], Sequence[str]]:
        return _grouped(((known.email, known.authored), sha) for sha, known in self.side.items())

    @cached_property
    def by_origin(self) -> Mapping[str, Sequence[tuple[str, Reference]]]:
        """Branch commits by the first seven digits of what their trailers name."""
        return _grouped(
            (reference.named[:7], (sha, reference))
            for sha, named in self.references.items()
            for reference in named
            if reference.kind in PROVENANCE
        )

    @cached_property
    def reverts(self) -> Mapping[str, Sequence[tuple[str, Reference]]]:
        """Branch commits that revert, by seven digits of the sha, or by the title, they name."""
        return _grouped(
            (reference.named[:7] or plain_title(reference.title), (sha, reference))
            for sha, named in self.references.items()
            for reference in named
            if reference.kind is ReferenceKind.REVERTS
        )

    def presence(self, sha: str) -> Presence:
        """Say where one commit stands."""
        commit = self.index.commit(sha)
        if commit is None:
            missing = Evidence("missing-object", "", "the repository does not hold this commit")
            return Presence(sha, "", State.UNDETERMINED, 0.0, (missing,))
        found = self._judged(sha)
        return replace(found, subject=commit.subject)

    def _judged(self, sha: str) -> Presence:
        if sha not in self.lacking:
            own = Match(sha, 1.0, (Evidence("sha", sha, "the branch's history holds it"),), 1.0)
            return self._alive(sha, [own])
        matches = sorted(self._matches(sha), key=lambda match: (-match.share, -match.confidence))
        carriers = [match for match in matches if match.share >= _ALIKE]
        if carriers:
            return self._alive(sha, carriers)
        if self.options.tree and (found := self._in_tree(sha)) is not None:
            return found
        if matches:
            best = matches[0]
            return Presence(sha, "", State.PARTIAL, best.confidence, best.evidence, best.difference)
        return self._absent(sha)

    def _absent(self, sha: str) -> Presence:
        known = self.asked.get(sha)
        if known is not None and known.paths < 0:
            why = Evidence("missing-object", "", "its trees are missing: its change is not known")
            return Presence(sha, "", State.UNDETERMINED, 0.0, (why,))
        looked = f"none of {len(self.side)} commits of the branch names, titles or repeats it"
        return Presence(sha, "", State.ABSENT, 0.97, (Evidence("searched", "", looked),))

    def _matches(self, sha: str) -> list[Match]:
        known = self.asked.get(sha)
        if known is None:
            return []
        named = self._named(sha)
        found = self._weighed(known, self._candidates(known, named), named)
        if not any(match.share >= _ALIKE for match in found):
            found += self._weighed(known, self._same_paths(known), named)
        return found

    def _weighed(
        self, known: Indexed, candidates: Iterable[str], named: Mapping[str, Reference]
    ) -> list[Match]:
        chosen = sorted(candidates)
        self._read([known.sha, *chosen] if chosen else [])
        found = (self._match(known, candidate, named.get(candidate)) for candidate in chosen)
        return [match for match in found if match is not None]

    def read_candidates(self, shas: Sequence[str]) -> None:
        """Read the changes of all commits that are going to be compared, by one git."""
        wanted: set[str] = set()
        for sha in self.lacking.intersection(shas):
            if (known := self.asked.get(sha)) is not None:
                candidates = self._candidates(known, self._named(sha))
                wanted.update(candidates, [sha] if candidates else [])
        self._read(wanted)

    def _candidates(self, known: Indexed, named: Mapping[str, Reference]) -> set[str]:
        alike = (sha for sha in self._alike(known) if not self._names_another(sha, known.sha))
        return {*named, *alike}

    def _same_paths(self, known: Indexed) -> set[str]:
        """Return the commits of the branch that touch just the paths that ``known`` touches."""
        if not 0 < known.paths <= _PATHS:
            return set()
        paths = self.index.paths_of(known.sha)
        found = set(self.index.touching(paths[0])).intersection(self.side)
        for path in paths[1:]:
            found.intersection_update(self.index.touching(path) if found else ())
        alike = {sha for sha in found if self.side[sha].paths == known.paths}
        free = {sha for sha in alike if not self._names_another(sha, known.sha)}
        return free if len(free) <= _COMPARED else set()

    def _named(self, sha: str) -> dict[str, Reference]:
        if not self.options.trailers:
            return {}
        return {
            commit: reference
            for commit, reference in self.by_origin.get(sha[:7], ())
            if sha.startswith(reference.named)
        }

    def _names_another(self, commit: str, sha: str) -> bool:
        """Whether the trailers of ``commit`` resolve, and all to other commits than ``sha``."""
        if not self.options.trailers:
            return False
        shas = {
            resolved
            for reference in self.references.get(commit, ())
            if reference.kind in PROVENANCE and (resolved := self.index.expand(reference.named))
        }
        if not shas or sha in shas:
            return False
        title = self.side[commit].title
        return any(known.title == title for known in self.index.known(shas).values())

    def _alike(self, known: Indexed) -> set[str]:
        titled = self.by_title.get(known.title, ())
        found = set(titled) if len(titled) <= _COMMON_TITLE else set()
        return found | set(self.by_author.get((known.email, known.authored), ()))

    def _read(self, shas: Iterable[str]) -> None:
        missing = [sha for sha in shas if sha not in self.changes]
        if missing:
            self.changes.update(read_changes(self.workspace, missing))

    def _match(self, known: Indexed, commit: str, named: Reference | None) -> Match | None:
        """Weigh what one commit of the branch has in common with ``known``."""
        other = self.side[commit]
        titled = other.title == known.title
        authored = (other.email, other.authored) == (known.email, known.authored)
        mine, theirs = self.changes.get(known.sha), self.changes.get(commit)
        share = mine.similarity(theirs) if mine and theirs else 0.0
        covered = mine.covered_by(theirs) if mine and theirs else 0.0
        evidence = _evidence(commit, named, titled, authored, share)
        difference = mine.difference(theirs) if mine and theirs and share < _SAME else ()
        if named is not None:
            if titled or authored or max(share, covered) >= _SIMILAR:
                return Match(commit, max(share, covered, _ALIKE), evidence, 0.99, difference)
            return self._only_named(known, commit, named, evidence, difference)
        if share >= _SAME or (titled and authored):
            return Match(commit, max(share, _ALIKE), evidence, 0.98, difference)
        weight = self._unnamed(known, titled, authored, share, covered)
        return weight and Match(commit, weight[0], evidence, weight[1], difference)

    def _unnamed(
        self, known: Indexed, titled: bool, authored: bool, share: float, covered: float
    ) -> tuple[float, float] | None:
        """Return the share and the confidence of a commit that no trailer names; None for none."""
        if (titled or authored) and (share >= _ALIKE or covered >= _COVERED):
            return max(share, covered), 0.9
        if titled and self._title_is_its_own(known):
            return max(share, _ALIKE), 0.8 if share >= _SIMILAR else 0.6
        if (titled or authored or share >= _ALIKE) and share >= _SIMILAR:
            return min(share, _ALIKE - 0.01), 0.6
        return None

    def _title_is_its_own(self, known: Indexed) -> bool:
        """Whether no other commit of upstream, and one of the branch, has this title."""
        mine = self.by_title.get(known.title, ())
        several_words = len(known.title.split()) >= _WORDS
        return several_words and len(mine) == 1 and self._upstream_titled(known.title) == 1

    def _upstream_titled(self, title: str) -> int:
        """How many commits that are asked for have this title."""
        return sum(known.title == title for known in self.asked.values())

    def _only_named(
        self,
        known: Indexed,
        commit: str,
        named: Reference,
        evidence: tuple[Evidence, ...],
        difference: tuple[str, ...],
    ) -> Match | None:
        """Weigh a trailer that nothing else supports: a rewritten backport, or a wrong sha."""
        title = self.side[commit].title
        elsewhere = [sha for sha in self.index.titled(title) if sha not in (commit, known.sha)]
        if any(sha not in self.side for sha in elsewhere):
            return None  # its title is that of another upstream commit: the sha is wrong
        text = "only its trailer says so: title, author and change differ"
        return Match(commit, _ALIKE, (*evidence, Evidence("near", commit, text)), 0.7, difference)

    def _in_tree(self, sha: str) -> Presence | None:
        """Say whether the branch's tree already is as the commit leaves it."""
        from uplift.backport.pick import picking  # noqa: PLC0415 - only where all else failed

        with picking(self.workspace) as picker:
            picked = picker.pick(self.tip, sha)
        if not (picked.clean and picked.empty):
            return None
        text = "picking it changes nothing: the tree has its change in another form"
        return Presence(sha, "", State.PRESENT, 0.9, (Evidence("diff", "", text),))

    def _alive(self, sha: str, carriers: Sequence[Match]) -> Presence:
        """Say present where a carrier was not reverted later, else reverted."""
        gone: list[Evidence] = []
        for match in carriers:
            revert = self._reverted_by(match.commit, sha)
            if revert is None:
                return Presence(
                    sha, "", State.PRESENT, match.confidence, match.evidence, match.difference
                )
            gone.append(Evidence("revert", revert, f"it takes {match.commit[:12]} back"))
        best = carriers[0]
        return Presence(sha, "", State.REVERTED, best.confidence, (*best.evidence, *gone))

    def _reverted_by(self, commit: str, upstream: str, depth: int = 0) -> str | None:
        """Return the standing revert of ``commit`` on the branch, None where there is none."""
        if depth > _DEPTH:
            return None
        for revert, _ in self._reverts_of(commit, upstream):
            if self._reverted_by(revert, revert, depth + 1) is None:
                return revert
        return None

    def _reverts_of(self, commit: str, upstream: str) -> list[tuple[str, Reference]]:
        known = self.side.get(commit) or self.asked.get(upstream)
        title = known.title if known else ""
        keys = dict.fromkeys((commit[:7], upstream[:7], title))
        listed = [pair for key in keys if key for pair in self.reverts.get(key, ())]
        if commit not in self.side:
            listed += self._earlier_reverts(commit)
        return [
            (sha, named)
            for sha, named in listed
            if sha != commit
            and (
                not named.named
                or commit.startswith(named.named)
                or upstream.startswith(named.named)
            )
            and self.order.get(sha, len(self.order)) < self.order.get(commit, len(self.order) + 1)
        ]

    def _earlier_reverts(self, commit: str) -> list[tuple[str, Reference]]:
        """Return reverts of a commit of the shared history that the branch has too."""
        named = [
            (sha, reference)
            for sha, reference in self.index.references_to(commit)
            if reference.kind is ReferenceKind.REVERTS and sha not in self.side
        ]
        gone = unreachable(self.workspace, [sha for sha, _ in named], self.tip) if named else ()
        return [(sha, reference) for sha, reference in named if sha not in gone]


def _evidence(
    commit: str, named: Reference | None, titled: bool, authored: bool, share: float
) -> tuple[Evidence, ...]:
    found: list[Evidence] = []
    if named is not None:
        text = f"line {named.line} of its message names it ({named.kind.value})"
        found.append(Evidence("trailer", commit, text))
    if share >= _SAME:
        found.append(Evidence("patch-id", commit, "the same lines are added and removed"))
    elif share:
        found.append(Evidence("diff", commit, f"{share:.0%} of the changed lines are the same"))
    if titled:
        found.append(Evidence("title", commit, "the titles are the same"))
    if authored:
        found.append(Evidence("author-time", commit, "author and second of writing are the same"))
    return tuple(found)


def _grouped(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, list[_Value]]:
    found: dict[_Key, list[_Value]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found
