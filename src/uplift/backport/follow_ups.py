"""What came after a commit upstream and has to come with it: fixes, reverts, mentions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum

from uplift.backport.index import Index
from uplift.backport.model import Reference, ReferenceKind
from uplift.backport.reachable import reachable

_MOST = 2000  #: follow-ups of one question; a loop of trailers ends before, this bounds the rest
_REPAIRS = ("fix", "regress", "broke", "break", "correct", "repair", "missing", "revert")


class FollowUpKind(str, Enum):
    """Why a later commit belongs to an earlier one."""

    FIX = "fix"
    REVERT = "revert"
    MENTION = "mention"


@dataclass(frozen=True)
class FollowUp:
    """A later upstream commit that one of a series calls for.

    :param rank: 0 must come, 1 probably, 2 a person should look.
    :param reason: with the line of the message that says so.
    """

    sha: str
    for_commit: str
    kind: FollowUpKind
    reason: str
    rank: int


def follow_ups(index: Index, shas: Sequence[str], upstream: str) -> tuple[FollowUp, ...]:
    """Return what follows ``shas`` in the history of ``upstream``, and what follows that.

    Fixes and reverts are followed on, mentions are not. A commit is told once, for the first that
    calls for it; loops of trailers end.

    :param upstream: a full sha; commits that it does not reach do not count.
    """
    found: dict[str, FollowUp] = {}
    told = set(shas)
    wave = list(dict.fromkeys(shas))
    while wave and len(found) < _MOST:
        candidates = [
            item for sha in wave for item in _followers(index, sha) if item.sha not in told
        ]
        there = reachable(index.workspace, {item.sha for item in candidates}, upstream)
        wave = []
        for item in sorted(candidates, key=lambda item: item.rank):
            if item.sha in there and item.sha not in told:
                told.add(item.sha)
                found[item.sha] = item
                if item.kind is not FollowUpKind.MENTION:
                    wave.append(item.sha)
    return tuple(sorted(found.values(), key=lambda item: item.rank))


def _followers(index: Index, sha: str) -> Iterator[FollowUp]:
    named_by = [(later, ref) for later, ref in index.references_to(sha) if later != sha]
    kinds = {ReferenceKind.FIXES: FollowUpKind.FIX, ReferenceKind.REVERTS: FollowUpKind.REVERT}
    plain: set[str] = set()
    for later, reference in named_by:
        if reference.kind in kinds:
            plain.add(later)
            yield FollowUp(later, sha, kinds[reference.kind], _said(reference), 0)
    mentions = [pair for pair in named_by if pair[1].kind is ReferenceKind.MENTION]
    titles = index.known(later for later, _ in mentions)
    for later, reference in mentions:
        if later not in plain and later in titles:
            rank = 1 if _repairs(titles[later].title) else 2
            yield FollowUp(later, sha, FollowUpKind.MENTION, _said(reference), rank)


def _said(reference: Reference) -> str:
    what = {
        ReferenceKind.FIXES: "its Fixes tag names",
        ReferenceKind.REVERTS: "it reverts",
        ReferenceKind.MENTION: "its message mentions",
    }[reference.kind]
    return f"{what} {reference.named or reference.title} (line {reference.line})"


def _repairs(title: str) -> bool:
    return any(word in title for word in _REPAIRS)


def of_rank(found: Iterable[FollowUp], most: int, without: AbstractSet[str]) -> list[FollowUp]:
    """Return the follow-ups of rank ``most`` and better that are not in ``without``."""
    return [item for item in found if item.rank <= most and item.sha not in without]
