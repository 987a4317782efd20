"""A series in an order in which it applies: what was asked for, what it needs, what repairs it.

Everything happens on trees in a quarantine: no work tree, index or ref is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from uplift.backport.follow_ups import FollowUp, FollowUpKind, follow_ups
from uplift.backport.index import Index
from uplift.backport.model import (
    Alternative,
    Conflict,
    Plan,
    PlannedCommit,
    Presence,
    ReferenceKind,
    Role,
    State,
)
from uplift.backport.path_history import PathHistory
from uplift.backport.pick import Picker, picking
from uplift.backport.prerequisites import Limits, Need, Prerequisites
from uplift.backport.presence import Options as Looking
from uplift.backport.presence import presences
from uplift.backport.reachable import listed, unreachable
from uplift.backport.trailers import PROVENANCE
from uplift.lab.git import Workspace

_ROUNDS = 3  #: how often what was added is itself looked at for fixes
_HAS = frozenset({State.PRESENT})
_FIXES = ReferenceKind.FIXES


@dataclass(frozen=True)
class Options:
    """What a plan takes along.

    :param follow_ups: fixes and reverts of what is picked, where upstream has them.
    :param prerequisites: commits that lift a conflict.
    :param limits: how long and how far prerequisites are sought, for one commit.
    """

    follow_ups: bool = True
    prerequisites: bool = True
    limits: Limits = field(default_factory=Limits)


def plan(
    workspace: Workspace,
    index: Index,
    onto: str,
    shas: Sequence[str],
    upstream: str | None = None,
    options: Options | None = None,
) -> Plan:
    """Plan how ``shas`` come onto the commit ``onto``.

    :param shas: any names of commits; a merge is planned as the commits it brings.
    :param upstream: where prerequisites and follow-ups may come from; the commits themselves and
        what they reach when left out.
    :raises RepositoryError: a name is no commit here.
    """
    options = options or Options()
    target = workspace.resolve(onto)
    notes: list[str] = []
    requested = _without_merges(workspace, index, target, shas, notes)
    tip = workspace.resolve(upstream) if upstream else None
    with picking(workspace) as picker:
        planner = _Planner(workspace, index, picker, target, tip, options, notes)
        return planner.plan(requested)


def _without_merges(
    workspace: Workspace, index: Index, target: str, names: Sequence[str], notes: list[str]
) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        sha = workspace.resolve(name)
        commit = index.commit(sha)
        if commit is None or len(commit.parents) < 2:
            found[sha] = None
            continue
        inside = listed(workspace, commit.parents[1:], [commit.parents[0], target])
        known = {s: c for s in inside if (c := index.commit(s)) is not None}
        brought = [s for s in reversed(inside) if len(known[s].parents) < 2]
        notes.append(f"{sha[:12]} is a merge: the {len(brought)} commits it brings are planned")
        found.update(dict.fromkeys(brought))
    return list(found)


@dataclass
class _Planner:
    workspace: Workspace
    index: Index
    picker: Picker
    target: str
    tip: str | None
    options: Options
    notes: list[str]
    series: list[PlannedCommit] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    alternatives: list[Alternative] = field(default_factory=list)

    def plan(self, requested: Sequence[str]) -> Plan:
        standing = self._standing(requested)
        wanted = [found.sha for found in standing if found.state not in _HAS]
        self._note_standing(standing)
        # What was picked elsewhere is no fact of the range: only what the target lacks counts.
        missing = unreachable(self.workspace, wanted, self.target)
        following = self._following(wanted) if self.options.follow_ups else []
        tips = self._tips({*missing, *(item.sha for item in following)})
        history = PathHistory(self.workspace, self.target, tips)
        carried = self._carried(history)
        needs = Prerequisites(self.picker, history, carried, self.options.limits, self._repaired_by)
        roles = {sha: _requested(sha) for sha in wanted}
        roles |= {item.sha: _followed(item) for item in following}
        tree = self.picker.tree_of(self.target)
        for sha in needs.in_order(roles):
            tree = self._add(needs, tree, roles[sha], roles)
        return self._made(tree, standing)

    def _tips(self, shas: AbstractSet[str]) -> list[str]:
        """Return commits that reach all that ``shas`` need: themselves where upstream has them."""
        strangers = unreachable(self.workspace, shas, self.tip) if self.tip and shas else ()
        tips = sorted(shas - frozenset(strangers))
        return [*tips, self.tip] if self.tip and strangers else tips or [self.target]

    def _add(
        self,
        needs: Prerequisites,
        tree: str,
        planned: PlannedCommit,
        roles: dict[str, PlannedCommit],
    ) -> str:
        """Append one commit, after what it needs, and return the tree it leaves."""
        if any(done.sha == planned.sha for done in self.series):
            return tree
        if not self.options.prerequisites:
            return self._alone(tree, planned)
        found = needs.of(planned.sha, tree)
        if found.undetermined:
            self.notes.append(f"{planned.sha[:12]}: {found.undetermined}")
        if not found.enough:
            return self._alone(tree, planned)
        if found.before:  # maintainers adapt by hand more often than they take a chain
            self._offer_by_hand(tree, planned, found.before)
        for need in found.before:
            self._append(roles.get(need.sha) or _needed(need))
        self._append(planned)
        return found.tree

    def _alone(self, tree: str, planned: PlannedCommit) -> str:
        """Append a commit whose conflicts are left to a person; the tree is as if it were not."""
        picked = self.picker.pick(tree, planned.sha)
        self._append(planned)
        self.conflicts.extend(picked.conflicts)
        if picked.problem:
            self.conflicts.append(Conflict(planned.sha, "", f"undetermined: {picked.problem}"))
        return picked.tree if picked.clean else tree

    def _offer_by_hand(self, tree: str, planned: PlannedCommit, before: Sequence[Need]) -> None:
        conflicts = self.picker.pick(tree, planned.sha).conflicts
        files = "1 file" if len(conflicts) == 1 else f"{len(conflicts)} files"
        more = "1 commit" if len(before) == 1 else f"{len(before)} commits"
        title = f"adapt {planned.sha[:12]} by hand in {files} instead of taking {more} more"
        self.alternatives.append(Alternative(title, (planned,), conflicts))

    def _append(self, planned: PlannedCommit) -> None:
        commit = self.index.commit(planned.sha)
        subject = commit.subject if commit else ""
        self.series.append(
            PlannedCommit(planned.sha, subject, planned.role, planned.reason, planned.for_commit)
        )

    def _standing(self, shas: Sequence[str]) -> tuple[Presence, ...]:
        looking = Looking(tree=len(shas) <= 50)
        return presences(self.workspace, self.index, self.target, shas, self.tip, looking)

    def _note_standing(self, standing: Iterable[Presence]) -> None:
        for found in standing:
            if found.state in (State.REVERTED, State.PARTIAL, State.UNDETERMINED):
                why = found.evidence[-1].text
                self.notes.append(f"{found.sha[:12]} is {found.state.value} on the branch: {why}")

    def _following(self, wanted: Sequence[str]) -> list[FollowUp]:
        """Return the fixes and reverts that upstream has and the target lacks; note mentions."""
        tip = self.tip or self._containing(wanted)
        if tip is None or not wanted:
            return []
        found = [item for item in follow_ups(self.index, wanted, tip) if item.sha not in wanted]
        lacking = {
            p.sha
            for p in self._standing([item.sha for item in found])
            if p.state in (State.ABSENT, State.REVERTED)
        }
        mentions = [item for item in found if item.kind is FollowUpKind.MENTION]
        for item in mentions:
            if item.sha in lacking and item.rank < 2:
                self.notes.append(f"look at {item.sha[:12]} too: {item.reason}")
        return [item for item in found if item not in mentions and item.sha in lacking]

    def _containing(self, wanted: Sequence[str]) -> str | None:
        """Return a branch that holds all of ``wanted``: the default one where it does."""
        for name in ("HEAD", "main", "master", "origin/HEAD", "origin/main", "origin/master"):
            answer = self.workspace.attempt(
                "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"
            )
            tip = answer.stdout.decode().strip()
            if answer.ok and not unreachable(self.workspace, wanted, tip):
                return tip
        return None

    def _repaired_by(self, sha: str) -> list[str]:
        """Return the commits that the message of ``sha`` says it fixes."""
        named = self.index.references_of(sha)
        return [found for reference, found in named if found and reference.kind is _FIXES]

    def _carried(self, history: PathHistory) -> frozenset[str]:
        """Return upstream commits that the target has under another name: no one's prerequisite."""
        base = self.tip
        if base is None:
            return frozenset()
        side = listed(self.workspace, [self.target], [base])
        return self._named_by(side) | self._written_as(side)

    def _named_by(self, side: Sequence[str]) -> frozenset[str]:
        """Return the commits that trailers of ``side`` name as their origin."""
        return frozenset(
            resolved
            for references in self.index.references(side).values()
            for reference in references
            if reference.kind in PROVENANCE and (resolved := self.index.expand(reference.named))
        )

    def _written_as(self, side: Sequence[str]) -> frozenset[str]:
        """Return the commits that have title, author and second of writing of one of ``side``."""
        known = self.index.known(side)
        twins = (
            (mine.title, self.index.authored(mine.email, mine.authored)) for mine in known.values()
        )
        alike = {sha: title for title, shas in twins for sha in shas if sha not in known}
        there = self.index.known(alike)
        return frozenset(sha for sha, other in there.items() if other.title == alike[sha])

    def _made(self, tree: str, standing: Sequence[Presence]) -> Plan:
        return Plan(
            onto=self.target,
            series=tuple(self.series),
            conflicts=tuple(self.conflicts),
            applies=not self.conflicts,
            tree=tree if not self.conflicts else "",
            present=tuple(found for found in standing if found.state in _HAS),
            alternatives=tuple(self.alternatives),
            notes=tuple(dict.fromkeys(self.notes)),
        )


def _requested(sha: str) -> PlannedCommit:
    return PlannedCommit(sha, "", Role.REQUESTED, "asked for")


def _needed(need: Need) -> PlannedCommit:
    lines = f"{need.lines} lines of " if need.lines else ""
    reason = f"{need.for_commit[:12]} does not merge without it: {lines}{need.path}"
    return PlannedCommit(need.sha, "", Role.PREREQUISITE, reason, need.for_commit)


def _followed(item: FollowUp) -> PlannedCommit:
    return PlannedCommit(item.sha, "", Role.FOLLOW_UP, item.reason, item.for_commit)
