"""The commits that only a branch has, by everything they can be found by."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from uplift.backport.index import Index, Indexed
from uplift.backport.model import Reference, ReferenceKind
from uplift.backport.reachable import listed
from uplift.backport.titles import plain_title
from uplift.backport.trailers import PROVENANCE

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_MANY_PATHS = 2000  #: of a commit that is a sweep, not a change
_SHORT = 7  #: digits of a sha by which names are grouped: no shorter ones are read


@dataclass(frozen=True)
class Side:
    """A branch's own commits.

    :param order: the newest has the lowest number.
    :param references: what their messages name.
    """

    tip: str
    known: Mapping[str, Indexed]
    order: Mapping[str, int]
    references: Mapping[str, tuple[Reference, ...]]

    @classmethod
    def of(cls, index: Index, tip: str, without: Sequence[str]) -> Side:
        """Return what ``tip`` reaches and ``without`` do not."""
        shas = listed(index.workspace, [tip], without)
        order = {sha: number for number, sha in enumerate(shas)}
        return cls(tip, index.known(shas), order, index.references(shas))

    @cached_property
    def by_title(self) -> Mapping[str, Sequence[str]]:
        """Commits by their title, as titles are compared."""
        return _grouped((known.title, sha) for sha, known in self.known.items() if known.title)

    @cached_property
    def by_author(self) -> Mapping[tuple[str, int], Sequence[str]]:
        """Commits by their author's address and the second of writing."""
        return _grouped(((known.email, known.authored), sha) for sha, known in self.known.items())

    @cached_property
    def by_path_set(self) -> Mapping[bytes, Sequence[str]]:
        """Commits by the set of paths that they touch."""
        pairs = ((known.path_set, sha) for sha, known in self.known.items())
        return _grouped((paths, sha) for paths, sha in pairs if paths)

    @cached_property
    def by_path(self) -> Mapping[int, Sequence[str]]:
        """Commits by the number of each path that they touch; those of very many are left out."""
        return _grouped(
            (path, sha)
            for sha, known in self.known.items()
            if known.paths <= _MANY_PATHS
            for path in array("I", known.path_set)
        )

    def sharing(self, other: Indexed) -> list[str]:
        """Return the commits that touch half of the paths of ``other``, or half of theirs.

        Those that share most come first.
        """
        paths = array("I", other.path_set)
        shared = Counter(sha for path in paths for sha in self.by_path.get(path, ()))
        return [
            sha
            for sha, count in shared.most_common()
            if 2 * count >= min(other.paths, self.known[sha].paths)
        ]

    def named(self, sha: str) -> dict[str, Reference]:
        """Return the commits whose trailers name ``sha`` as their origin."""
        return {
            commit: reference
            for commit, reference in self._by_origin.get(sha[:_SHORT], ())
            if sha.startswith(reference.named)
        }

    def origins(self, commit: str) -> tuple[Reference, ...]:
        """Return what the trailers of ``commit`` name as its origin, the first is the original."""
        named = self.references.get(commit, ())
        return tuple(reference for reference in named if reference.kind in PROVENANCE)

    def reverting(self, sha: str, title: str) -> list[tuple[str, Reference]]:
        """Return the commits that say that they revert ``sha``, or without a sha that title."""
        named = (
            pair for pair in self._by_revert.get(sha[:_SHORT], ()) if sha.startswith(pair[1].named)
        )
        return [*named, *self._by_reverted_title.get(title, ())]

    @cached_property
    def _by_origin(self) -> Mapping[str, Sequence[tuple[str, Reference]]]:
        return _grouped(
            (reference.named[:_SHORT], (sha, reference))
            for sha in self.references
            for reference in self.origins(sha)
            if reference.named
        )

    @cached_property
    def reverts(self) -> Sequence[tuple[str, Reference]]:
        """All commits that say they revert something, and what."""
        return [
            (sha, reference)
            for sha, named in self.references.items()
            for reference in named
            if reference.kind is ReferenceKind.REVERTS
        ]

    @cached_property
    def _by_revert(self) -> Mapping[str, Sequence[tuple[str, Reference]]]:
        return _grouped((pair[1].named[:_SHORT], pair) for pair in self.reverts if pair[1].named)

    @cached_property
    def _by_reverted_title(self) -> Mapping[str, Sequence[tuple[str, Reference]]]:
        titled = (pair for pair in self.reverts if pair[1].title)
        return _grouped((plain_title(pair[1].title), pair) for pair in titled)

    def is_later(self, commit: str, than: str) -> bool:
        """Whether ``commit`` came onto the branch after ``than``; what is shared came before."""
        last = len(self.order)
        return self.order.get(commit, last) < self.order.get(than, last)


def _grouped(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, list[_Value]]:
    found: dict[_Key, list[_Value]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(found)
