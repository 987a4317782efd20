"""Which commits of a branch take others back: by what they say, and by what they do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from uplift.backport.index import Index, Indexed
from uplift.backport.model import Reference, ReferenceKind
from uplift.backport.reachable import listed, unreachable
from uplift.backport.side import Side
from uplift.backport.trailers import reverted_title

_DEPTH = 32  #: reverts of reverts that are followed
_UNDONE = 0.6  #: of the lines taken back: a revert, made to fit what came between
_NOT_UNDONE = 0.1  #: of the lines taken back: a mere mention of a revert
_SILENT = 0.95  #: of the lines taken back by a commit that does not say so
_SUBSTANCE = 4  #: changed lines that are not chance
_COMPARED = 30  #: commits of the same paths that are compared with one


@dataclass(frozen=True)
class Undoing:
    """A commit that takes another one back, and whether all of it."""

    commit: str
    text: str
    whole: bool = True


class Reverts:
    """The standing reverts on a branch."""

    def __init__(self, index: Index, side: Side) -> None:
        self._index = index
        self._side = side

    def is_revert(self, sha: str) -> bool:
        """Whether ``sha`` says of itself that it takes something back."""
        named = self._index.references([sha]).get(sha, ())
        return any(reference.kind is ReferenceKind.REVERTS for reference in named)

    def of(self, commit: str, upstream: Indexed, depth: int = 0) -> Undoing | None:
        """Return what takes ``commit`` of the branch back and still stands; None for nothing.

        :param upstream: what ``commit`` carries: a revert may name either.
        """
        partly: Undoing | None = None
        for undoing in self._candidates(commit, upstream) if depth < _DEPTH else ():
            if self._stands(undoing.commit, depth):
                if undoing.whole:
                    return undoing
                partly = undoing
        return partly

    def _stands(self, revert: str, depth: int) -> bool:
        known = self._index.known([revert]).get(revert)
        undoing = self.of(revert, known, depth + 1) if known else None
        return undoing is None or not undoing.whole

    def _candidates(self, commit: str, upstream: Indexed) -> list[Undoing]:
        found = [
            undoing
            for revert, reference in self._claims(commit, upstream)
            if (undoing := self._judged(commit, upstream, revert, reference)) is not None
        ]
        return [*found, *self._of_merges(commit), *self._silent(commit, upstream)]

    def _claims(self, commit: str, upstream: Indexed) -> list[tuple[str, Reference]]:
        own = self._side.known.get(commit)
        title = own.title if own else upstream.title
        claims = [
            *self._side.reverting(commit, title),
            *self._side.reverting(upstream.sha, upstream.title),
        ]
        if commit not in self._side.order:
            claims += self._earlier(commit)
        return [
            (revert, reference)
            for revert, reference in dict(claims).items()
            if revert != commit and self._is_later(revert, commit)
        ]

    def _is_later(self, revert: str, commit: str) -> bool:
        if revert in self._side.order:
            return self._side.is_later(revert, commit)
        return commit not in self._side.order

    def _earlier(self, commit: str) -> list[tuple[str, Reference]]:
        """Return reverts of a commit of the shared history that the branch has too."""
        named = [
            (sha, reference)
            for sha, reference in self._index.references_to(commit)
            if reference.kind is ReferenceKind.REVERTS and sha not in self._side.order
        ]
        shas = [sha for sha, _ in named]
        gone = unreachable(self._index.workspace, shas, self._side.tip) if named else ()
        return [(sha, reference) for sha, reference in named if sha not in gone]

    def _judged(
        self, commit: str, upstream: Indexed, revert: str, reference: Reference
    ) -> Undoing | None:
        """Believe a claim as far as the two changes bear it out."""
        patches = self._index.patches([commit, upstream.sha, revert])
        theirs = patches.get(revert)
        shares = [
            patches[sha].undone_by(theirs)
            for sha in (commit, upstream.sha)
            if theirs is not None and sha in patches and patches[sha].total
        ]
        undone = max(shares, default=1.0)
        whole = undone >= _UNDONE and reference.place != "in part"
        if undone < _NOT_UNDONE and not self._is_titled_revert(revert):
            return None
        much = "it takes" if whole else "it takes a part of"
        return Undoing(revert, f"{much} {commit[:12]} back (line {reference.line})", whole)

    def _is_titled_revert(self, sha: str) -> bool:
        commit = self._index.commit(sha)
        return commit is not None and bool(reverted_title(commit.subject))

    @cached_property
    def _merges(self) -> tuple[tuple[str, str, frozenset[str]], ...]:
        """Reverts of merges: the revert, the merge, and what the merge had brought."""
        found: list[tuple[str, str, frozenset[str]]] = []
        for revert, reference in self._side.reverts:
            merge = self._index.resolved(reference)
            known = self._index.known([merge]).get(merge) if merge else None
            if known is not None and known.parents > 1:
                brought = listed(self._index.workspace, [merge], [f"{merge}^1"])
                found.append((revert, merge, frozenset(brought)))
        return tuple(found)

    def _of_merges(self, commit: str) -> list[Undoing]:
        return [
            Undoing(revert, f"it takes back the merge {merge[:12]}, which brought it")
            for revert, merge, brought in self._merges
            if commit in brought and commit != merge and self._is_later(revert, commit)
        ]

    def _silent(self, commit: str, upstream: Indexed) -> list[Undoing]:
        """Look for a later commit of the same paths that does the opposite and does not say so."""
        known = self._side.known.get(commit, upstream)
        if known.sha != commit or not known.path_set:
            return []
        same = self._side.by_path_set.get(known.path_set, ())
        later = [sha for sha in same if self._side.is_later(sha, commit)][:_COMPARED]
        later = [sha for sha in later if not self._side.origins(sha)]
        patches = self._index.patches([commit, *later]) if later else {}
        mine = patches.get(commit)
        if mine is None or mine.total < _SUBSTANCE:
            return []
        return [
            Undoing(sha, f"it does the opposite of {commit[:12]} without saying so")
            for sha in later
            if (theirs := patches.get(sha))
            and theirs.total == mine.total
            and mine.undone_by(theirs) >= _SILENT
        ]
