"""A series as it grows: one commit after another onto a tree, each after what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from uplift.backport.conflict_text import Region
from uplift.backport.model import (
    Alternative,
    Conflict,
    Hunk,
    MissingSymbol,
    PlannedCommit,
    Role,
)
from uplift.backport.pick import Picked, Picker
from uplift.backport.prerequisites import Need, Prerequisites

_MOST_HUNKS = 100  #: of one file
_MOST_LINES = 200  #: of one side of a hunk
_LONGEST_LINE = 2000  #: bytes


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
            self._alone(planned, needs)
            return
        found = needs.of(planned.sha, self.tree)
        if found.undetermined:
            self.notes.append(f"{planned.sha[:12]}: {found.undetermined}")
        if not found.searched:
            self.unsearched.append(planned.sha)
        if not found.enough:
            self._alone(planned, needs)
            return
        if found.before:  # maintainers adapt by hand more often than they take a chain
            self._offer_by_hand(planned, found.before, needs)
        for need in found.before:
            self._append(roles.get(need.sha) or _needed(need))
        self._append(planned)
        self.tree = found.tree

    def _alone(self, planned: PlannedCommit, needs: Prerequisites | None) -> None:
        """Append a commit whose conflicts are left to a person; the tree is as if it were not."""
        picked = self.picker.pick(self.tree, planned.sha)
        self._append(planned)
        self.conflicts.extend(self._shown(picked, needs))
        if picked.problem:
            self.conflicts.append(Conflict(planned.sha, "", f"undetermined: {picked.problem}"))
        if picked.clean:
            self.tree = picked.tree

    def _offer_by_hand(
        self, planned: PlannedCommit, before: Sequence[Need], needs: Prerequisites
    ) -> None:
        conflicts = self._shown(self.picker.pick(self.tree, planned.sha), needs)
        where = f"{_counted(len(conflicts), 'file')}{_size(conflicts)}"
        more = f"{_counted(len(before), 'commit')} more"
        title = f"adapt {planned.sha[:12]} by hand in {where} instead of taking {more}"
        self.alternatives.append(Alternative(title, (planned,), conflicts))

    def _shown(self, picked: Picked, needs: Prerequisites | None) -> tuple[Conflict, ...]:
        """Return the conflicts of a pick with the lines of both sides."""
        if not picked.conflicts:
            return ()
        found = self.picker.regions(picked.onto, picked.sha)
        return tuple(
            replace(
                conflict,
                hunks=tuple(
                    hunk(one, needs.differing_by(picked, conflict.path, one) if needs else ())
                    for one in found.get(conflict.path, ())[:_MOST_HUNKS]
                ),
            )
            for conflict in picked.conflicts
        )

    def _append(self, planned: PlannedCommit) -> None:
        self.series.append(self.titled(planned))


def hunk(region: Region, because_of: tuple[str, ...] = ()) -> Hunk:
    """Return a region as text; what is very long is cut."""
    sides = (region.ours, region.base, region.theirs)
    ours, base, theirs = (tuple(map(_text, side[:_MOST_LINES])) for side in sides)
    return Hunk(
        region.line,
        _text(region.heading),
        ours,
        base,
        theirs,
        left_out=sum(len(side[_MOST_LINES:]) for side in sides),
        because_of=because_of,
    )


def _text(line: bytes) -> str:
    return line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")


def _size(conflicts: Sequence[Conflict]) -> str:
    """Say how much there is to adapt: places, and upstream's lines in them."""
    places = [one for conflict in conflicts for one in conflict.hunks]
    lines = sum(len(one.theirs) for one in places)
    return f" ({_counted(len(places), 'hunk')}, {_counted(lines, 'line')})" if places else ""


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _needed(need: Need) -> PlannedCommit:
    lines = f"{need.lines} lines of " if need.lines else ""
    reason = f"{need.for_commit[:12]} does not merge without it: {lines}{need.path}"
    return PlannedCommit(need.sha, "", Role.PREREQUISITE, reason, need.for_commit)
