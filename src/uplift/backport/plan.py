"""A series in an order in which it applies: what was asked for, what it needs, what repairs it.

Everything happens on trees in a quarantine: no work tree, index or ref is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from uplift.backport.draft import Draft
from uplift.backport.follow_ups import FollowUp, FollowUpKind, follow_ups
from uplift.backport.index import Index
from uplift.backport.model import (
    MissingSymbol,
    Plan,
    PlannedCommit,
    Presence,
    ReferenceKind,
    Role,
    State,
)
from uplift.backport.path_history import PathHistory
from uplift.backport.pick import Picker, picking
from uplift.backport.prerequisites import Limits, Prerequisites
from uplift.backport.presence import Options as Looking
from uplift.backport.presence import presences
from uplift.backport.reachable import listed, unreachable
from uplift.backport.symbols import lacking, only_certain
from uplift.backport.trailers import PROVENANCE
from uplift.lab.git import Workspace

_ROUNDS = 3  #: how often what was added is itself looked at for names that it uses
_MOST_FOR_SYMBOLS = 8  #: commits that one round may add
_HAS = frozenset({State.PRESENT})
_FIXES = ReferenceKind.FIXES


@dataclass(frozen=True)
class Options:
    """What a plan takes along.

    :param follow_ups: fixes and reverts of what is picked, where upstream has them.
    :param prerequisites: commits that lift a conflict, or bring a name that others use.
    :param symbols: look for names that the target lacks.
    :param limits: how long and how far prerequisites are sought, for one commit.
    """

    follow_ups: bool = True
    prerequisites: bool = True
    symbols: bool = True
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

    def plan(self, requested: Sequence[str]) -> Plan:
        standing = self._standing(requested)
        wanted = [found.sha for found in standing if found.state not in _HAS]
        self._note_standing(standing)
        # What was picked elsewhere is no fact of the range: only what the target lacks counts.
        missing = unreachable(self.workspace, wanted, self.target)
        following = self._following(wanted) if self.options.follow_ups else []
        tips = self._tips({*missing, *(item.sha for item in following)})
        history = PathHistory(self.workspace, self.target, tips, self.index)
        carried = self._carried(history)
        needs = Prerequisites(self.picker, history, carried, self.options.limits, self._repaired_by)
        roles = {sha: _requested(sha) for sha in wanted}
        roles |= {item.sha: _followed(item) for item in following}
        draft = self._draft(needs, roles)
        return self._made(self._with_symbols(needs, roles, draft), standing)

    def _tips(self, shas: AbstractSet[str]) -> list[str]:
        """Return commits that reach all that ``shas`` need: themselves where upstream has them."""
        strangers = unreachable(self.workspace, shas, self.tip) if self.tip and shas else ()
        tips = sorted(shas - frozenset(strangers))
        return [*tips, self.tip] if self.tip and strangers else tips or [self.target]

    def _draft(self, needs: Prerequisites, roles: Mapping[str, PlannedCommit]) -> Draft:
        """Put commits and what they need one after the other, in upstream's order."""
        draft = Draft(self.picker, self.picker.tree_of(self.target), self._titled)
        for sha in needs.in_order(roles):
            draft.add(roles[sha], needs if self.options.prerequisites else None, roles)
        return draft

    def _with_symbols(
        self,
        needs: Prerequisites,
        roles: Mapping[str, PlannedCommit],
        draft: Draft,
    ) -> Draft:
        """Take along what brings the names that the series uses and the target lacks.

        Left as it was where more would conflict, or where too many commits would have to come.
        """
        if not self.options.symbols:
            return draft
        if needs.time_is_up:
            self.notes.append("names that the branch lacks were not looked for: time was up")
            return draft
        draft.symbols = self._lacking(draft)
        for _ in range(_ROUNDS):
            bringing = {
                symbol.brought_by: _bringing(symbol)
                for symbol in reversed(only_certain(draft.symbols))
                if symbol.brought_by in needs
            }
            if not bringing or not self.options.prerequisites or needs.time_is_up:
                break
            roles = {**bringing, **roles}
            fuller = self._draft(needs, roles)
            most = len(draft.series) + _MOST_FOR_SYMBOLS
            if len(fuller.conflicts) > len(draft.conflicts) or len(fuller.series) > most:
                break
            fuller.symbols = self._lacking(fuller)
            draft = fuller
        return draft

    def _lacking(self, draft: Draft) -> tuple[MissingSymbol, ...]:
        shas = [planned.sha for planned in draft.series]
        return lacking(self.workspace, self.target, shas, lambda sha: f"{sha}^")

    def _titled(self, planned: PlannedCommit) -> PlannedCommit:
        commit = self.index.commit(planned.sha)
        return replace(planned, subject=commit.subject if commit else "")

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

    def _made(self, draft: Draft, standing: Sequence[Presence]) -> Plan:
        return Plan(
            onto=self.target,
            series=tuple(draft.series),
            conflicts=tuple(draft.conflicts),
            applies=not draft.conflicts,
            tree=draft.tree if not draft.conflicts else "",
            present=tuple(found for found in standing if found.state in _HAS),
            alternatives=tuple(draft.alternatives),
            symbols=draft.symbols,
            notes=tuple(dict.fromkeys([*self.notes, *draft.notes])),
            unsearched=tuple(draft.unsearched),
        )


def _requested(sha: str) -> PlannedCommit:
    return PlannedCommit(sha, "", Role.REQUESTED, "asked for")


def _bringing(symbol: MissingSymbol) -> PlannedCommit:
    reason = f"{symbol.commit[:12]} does not compile without it: {symbol.name} in {symbol.path}"
    return PlannedCommit(symbol.brought_by, "", Role.PREREQUISITE, reason, symbol.commit)


def _followed(item: FollowUp) -> PlannedCommit:
    return PlannedCommit(item.sha, "", Role.FOLLOW_UP, item.reason, item.for_commit)
