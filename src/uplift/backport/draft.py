"""A series as it grows: one commit after another onto a tree, each after what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from uplift.backport.model import Alternative, Conflict, MissingSymbol, PlannedCommit, Role
from uplift.backport.pick import Picker
from uplift.backport.prerequisites import Need, Prerequisites


@dataclass
class Draft:
    """What was put onto a tree so far.

    :param tree: as the commits that merge leave it.
    :param titled: gives a planned commit its subject.
    :param unsearched: what conflicts, and time was up before it was known what it needs.
    """

    picker: Picker
    tree: str
    titled: Callable[[PlannedCommit], PlannedCommit]
    series: list[PlannedCommit] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    alternatives: list[Alternative] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    symbols: tuple[MissingSymbol, ...] = ()
    unsearched: list[str] = field(default_factory=list)

    def add(
        self,
        planned: PlannedCommit,
        needs: Prerequisites | None,
        roles: Mapping[str, PlannedCommit],
    ) -> None:
        """Append one commit, after what it needs.

        :param needs: None: nothing else is taken along.
        :param roles: why commits come that are planned in any case.
        """
        if any(done.sha == planned.sha for done in self.series):
            return
        if needs is None:
            self._alone(planned)
            return
        found = needs.of(planned.sha, self.tree)
        if found.undetermined:
            self.notes.append(f"{planned.sha[:12]}: {found.undetermined}")
        if not found.searched:
            self.unsearched.append(planned.sha)
        if not found.enough:
            self._alone(planned)
            return
        if found.before:  # maintainers adapt by hand more often than they take a chain
            self._offer_by_hand(planned, found.before)
        for need in found.before:
            self._append(roles.get(need.sha) or _needed(need))
        self._append(planned)
        self.tree = found.tree

    def _alone(self, planned: PlannedCommit) -> None:
        """Append a commit whose conflicts are left to a person; the tree is as if it were not."""
        picked = self.picker.pick(self.tree, planned.sha)
        self._append(planned)
        self.conflicts.extend(picked.conflicts)
        if picked.problem:
            self.conflicts.append(Conflict(planned.sha, "", f"undetermined: {picked.problem}"))
        if picked.clean:
            self.tree = picked.tree

    def _offer_by_hand(self, planned: PlannedCommit, before: Sequence[Need]) -> None:
        conflicts = self.picker.pick(self.tree, planned.sha).conflicts
        files = "1 file" if len(conflicts) == 1 else f"{len(conflicts)} files"
        more = "1 commit" if len(before) == 1 else f"{len(before)} commits"
        title = f"adapt {planned.sha[:12]} by hand in {files} instead of taking {more} more"
        self.alternatives.append(Alternative(title, (planned,), conflicts))

    def _append(self, planned: PlannedCommit) -> None:
        self.series.append(self.titled(planned))


def _needed(need: Need) -> PlannedCommit:
    lines = f"{need.lines} lines of " if need.lines else ""
    reason = f"{need.for_commit[:12]} does not merge without it: {lines}{need.path}"
    return PlannedCommit(need.sha, "", Role.PREREQUISITE, reason, need.for_commit)
