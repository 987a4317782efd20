"""A landed series against upstream's news: fixes, reverts, own patches that went upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum

from uplift.backport.follow_ups import FollowUp, FollowUpKind, follow_ups
from uplift.backport.index import Index, Indexed
from uplift.backport.model import Reference, State
from uplift.backport.presence import Options, presences
from uplift.backport.reachable import listed, reachable
from uplift.backport.trailers import PROVENANCE
from uplift.lab.git import Workspace

_SHORT = 12
_SAME_PUSH = 86_400  #: seconds: maintainers push one fix to all branches in any order


class NewsKind(str, Enum):
    """What became known upstream of something that a branch carries."""

    FIX = "fix"  #: a later commit repairs what was picked
    REVERT = "revert"  #: upstream took back what was picked
    MENTION = "mention"  #: a repair that speaks of what was picked
    NOW_UPSTREAM = "now-upstream"  #: an own patch of the branch exists upstream
    NEW_SHA = "new-sha"  #: what was picked from another tree has another sha upstream


@dataclass(frozen=True)
class News:
    """One thing to act on.

    :param carried: the commit of the branch that it is about.
    :param upstream: the commit of upstream that is new.
    """

    kind: NewsKind
    carried: str
    upstream: str
    subject: str
    reason: str


def watch(
    workspace: Workspace, index: Index, branch: str, upstream: str, since: str = ""
) -> tuple[News, ...]:
    """Say what upstream knows of the commits that only ``branch`` has.

    :param since: a commit of the branch; what came before it is not looked at.
    :raises RepositoryError: a name is no commit here.
    """
    tip, base = workspace.resolve(branch), workspace.resolve(upstream)
    without = [base, *([workspace.resolve(since)] if since else [])]
    side = listed(workspace, [tip], without)
    looking = _Looking(workspace, index, tip, base, side)
    return (*looking.follow_ups(), *looking.new_shas(), *looking.now_upstream())


class _Looking:
    """One branch and what its messages say of upstream."""

    def __init__(
        self, workspace: Workspace, index: Index, tip: str, base: str, side: Sequence[str]
    ) -> None:
        self._workspace, self._index, self._tip, self._base = workspace, index, tip, base
        self._known = index.known(side)
        named = index.references(side)
        self._origins = {sha: _origins(named.get(sha, ())) for sha in side}
        resolved = {
            sha: {index.resolved(reference) for reference in origins} - {""}
            for sha, origins in self._origins.items()
        }
        there = self._upstream({origin for origins in resolved.values() for origin in origins})
        self._carried = {origin: sha for sha in side for origin in sorted(resolved[sha] & there)}
        self._without_origin = [
            sha for sha in side if sha in self._known and not resolved[sha] & there
        ]
        self._twins = self._upstream_twins()
        for sha, twin in self._twins.items():
            self._carried.setdefault(twin, sha)

    def _upstream(self, shas: AbstractSet[str]) -> frozenset[str]:
        return reachable(self._workspace, shas, self._base)

    def follow_ups(self) -> list[News]:
        """Return fixes, reverts and telling mentions that the branch lacks."""
        found = [
            item
            for item in follow_ups(self._index, sorted(self._carried), self._base)
            if item.rank < 2
        ]
        options = Options(tree=False, differences=False)
        shas = [item.sha for item in found]
        asked = (self._workspace, self._index, self._tip, shas, self._base, options)
        lacking = {p.sha for p in presences(*asked) if p.state is State.ABSENT} if shas else set()
        return [self._followed(item, found) for item in found if item.sha in lacking]

    def _followed(self, item: FollowUp, found: Sequence[FollowUp]) -> News:
        kinds = {FollowUpKind.FIX: NewsKind.FIX, FollowUpKind.REVERT: NewsKind.REVERT}
        kind = kinds.get(item.kind, NewsKind.MENTION)
        about = {other.sha: other.for_commit for other in found}
        origin = item.for_commit
        while origin not in self._carried and origin in about:
            origin = about[origin]
        return News(
            kind, self._carried.get(origin, ""), item.sha, self._title(item.sha), item.reason
        )

    def new_shas(self) -> list[News]:
        """Return picks of commits that upstream has under another sha."""
        found = []
        for sha, twin in self._twins.items():
            for reference in self._origins[sha][:1]:
                where = f" of {reference.place}" if reference.place else ""
                reason = f"it was picked as {reference.named[:_SHORT]}{where}"
                found.append(News(NewsKind.NEW_SHA, sha, twin, self._title(twin), reason))
        return found

    def now_upstream(self) -> list[News]:
        """Return patches of the branch's own that upstream took after it."""
        reason = "upstream took the branch's own patch"
        return [
            News(NewsKind.NOW_UPSTREAM, sha, twin, self._title(twin), reason)
            for sha, twin in self._twins.items()
            if not self._origins[sha] and self._was_own(sha, twin)
        ]

    def _was_own(self, sha: str, twin: str) -> bool:
        """Whether a commit that names no origin is the branch's own, and no silent pick.

        A branch may be rebased again and again, so a team's own mark tells more than dates do.
        """
        title = self._known[sha].title
        if _own_title(title) != title:
            return True
        return self._committed(twin) > self._known[sha].committed + _SAME_PUSH

    def _committed(self, sha: str) -> int:
        known = self._index.known([sha])
        return known[sha].committed if known else 0

    def _upstream_twins(self) -> dict[str, str]:
        """Return the upstream commit for each one that names no origin upstream has."""
        alike = {sha: self._alike(self._known[sha]) for sha in self._without_origin}
        there = self._upstream({twin for twins in alike.values() for twin in twins})
        return {sha: min(twins & there) for sha, twins in alike.items() if twins & there}

    def _alike(self, known: Indexed) -> AbstractSet[str]:
        """Return commits with the same title, author and time, else title and change."""
        titled = set(self._index.titled(_own_title(known.title))) - {known.sha}
        sure = titled.intersection(self._index.authored(known.email, known.authored))
        if sure or not titled:
            return sure
        patches = self._index.patch_ids([known.sha, *sorted(titled)])
        mine = patches.get(known.sha, "")
        return {sha for sha in titled if mine and patches.get(sha) == mine}

    def _title(self, sha: str) -> str:
        commit = self._index.commit(sha)
        return commit.subject if commit else ""


def _origins(references: Iterable[Reference]) -> tuple[Reference, ...]:
    return tuple(reference for reference in references if reference.kind in PROVENANCE)


def _own_title(title: str) -> str:
    """Return a title without what a team puts before its own patches (``UBUNTU: SAUCE:``)."""
    for mark in ("ubuntu: sauce: ", "nvidia: sauce: ", "sauce: ", "ubuntu: "):
        title = title.removeprefix(mark)
    return title


def by_carried(news: Iterable[News]) -> Mapping[str, list[News]]:
    """Group news by the commit of the branch that they are about."""
    found: dict[str, list[News]] = {}
    for item in news:
        found.setdefault(item.carried, []).append(item)
    return found
