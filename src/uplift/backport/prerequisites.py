"""What a commit needs before it can be picked: found by picking, and left as small as it goes.

Where a pick conflicts, the lines in which the target differs from the commit's parent were put
there, or taken away, by commits that the target lacks. Those are tried: each alone, then the one
that lifts most, then all with what they need themselves; at the end each is left out in turn.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import inf

from uplift.backport.conflict_text import Difference, Region, difference, together
from uplift.backport.model import Conflict
from uplift.backport.path_history import PathChange, PathHistory
from uplift.backport.pick import Picked, Picker
from uplift.lab.git import RepositoryError

_PATHS_OF_A_COMMIT = 40  #: of a commit whose conflict is at a path it does not name
_TRIVIAL_WEIGHT = 0.05
_REPAIRED = 4.0  #: what "Fixes:" adds to the score of the commit that it names
_OWNERS = 4  #: changes of a file that one line speaks for
_OLDER = 4  #: by how much softer a line speaks for the next older one
_TRIED_ALONE = 16  #: candidates of one conflict that are tried each by itself
_TRIED_FIRST = 3  #: of these before the others: mostly one lifts everything
_LEAST = 0.02  #: of the best score: what says less does not matter
_TRIED_DEEP = 4  #: candidates that conflict themselves whose own needs are sought
_DEPTH = 4
_ROOM = (2, 6, 18)  #: prerequisites: few are sought everywhere before many are anywhere
_CLOSURE = 3  #: how many times more than there is room for are taken, to be left out again
_WIDENED = 24  #: commits of a file that are added when its lines tell nothing


@dataclass(frozen=True)
class Limits:
    """When the search for prerequisites ends without an answer.

    :param seconds: for one requested commit.
    :param commits: prerequisites of one requested commit.
    :param total: seconds for a whole plan; what conflicts afterwards is told without a search.
    """

    seconds: float = 20.0
    commits: int = 64
    total: float = 120.0


@dataclass(frozen=True)
class Need:
    """One commit that another one needs.

    :param path: the file in which they meet; ``lines`` is how many of its lines say so.
    """

    sha: str
    for_commit: str
    path: str
    lines: int = 0


@dataclass(frozen=True)
class Needs:
    """What one commit needs on one tree.

    :param before: in the order in which they are picked, before the commit itself.
    :param tree: what results; empty where ``conflicts`` are left.
    :param undetermined: why the search ended before it had an answer.
    :param searched: it was not the clock that ended it.
    """

    sha: str
    before: tuple[Need, ...]
    tree: str
    conflicts: tuple[Conflict, ...] = ()
    undetermined: str = ""
    searched: bool = True

    @property
    def enough(self) -> bool:
        """Whether the commit merges after what it needs."""
        return bool(self.tree)


@dataclass(frozen=True)
class Candidate:
    """A commit that may lift a conflict."""

    need: Need
    score: float


@dataclass(frozen=True)
class Outcome:
    """How a series went: the last pick, and after how many clean ones."""

    last: Picked
    applied: int
    whole: bool


@dataclass(frozen=True)
class _Answer:
    """What one search with so much room found."""

    needs: Needs
    room: int
    depth: int
    cramped: bool

    def holds(self, room: int, depth: int) -> bool:
        """Whether a search with that room could find nothing else."""
        if self.needs.enough:
            return len(self.needs.before) <= room
        return depth >= self.depth and (room <= self.room or not self.cramped)


class _TimeIsUp(Exception):
    pass


def lockstep(
    picker: Picker, onto: str, many: Sequence[Sequence[str]], deadline: float = inf
) -> list[Outcome]:
    """Pick several series onto one tree, the n-th commits of all in one git process.

    :param deadline: on the monotonic clock.
    :raises _TimeIsUp: it has passed.
    """
    trees = [onto] * len(many)
    outcomes: list[Outcome | None] = [None] * len(many)
    for step in range(max(map(len, many), default=0)):
        if time.monotonic() > deadline:
            raise _TimeIsUp
        alive = [n for n, series in enumerate(many) if outcomes[n] is None and step < len(series)]
        picks = picker.pick_all([(trees[n], many[n][step]) for n in alive])
        for number, picked in zip(alive, picks, strict=True):
            trees[number] = picked.tree
            last = step + 1 == len(many[number])
            if last or not picked.clean:
                outcomes[number] = Outcome(picked, step + picked.clean, last and picked.clean)
    return [outcome for outcome in outcomes if outcome is not None]


class Prerequisites:
    """The search for what commits need, on trees that come after one target.

    :param present: upstream commits that the target has under another name.
    :param repaired: which commits a commit says it fixes.
    """

    def __init__(
        self,
        picker: Picker,
        history: PathHistory,
        present: AbstractSet[str] = frozenset(),
        limits: Limits | None = None,
        repaired: Callable[[str], Iterable[str]] | None = None,
    ) -> None:
        self._picker = picker
        self._history = history
        self._present = present
        self._repaired = repaired or (lambda sha: ())
        self._limits = limits or Limits()
        self._candidates: dict[tuple[str, str], list[Candidate]] = {}
        self._answers: dict[tuple[str, str], list[_Answer]] = defaultdict(list)
        self._cut_off: dict[str, str] = {}
        self._end = time.monotonic() + self._limits.total

    @property
    def time_is_up(self) -> bool:
        """Whether the time for the whole plan is over."""
        return time.monotonic() > self._end

    def __contains__(self, sha: str) -> bool:
        """Whether the target lacks a commit and those to be picked have it in their history."""
        return sha in self._history.order and sha not in self._present

    def of(self, sha: str, onto: str) -> Needs:
        """Find what ``sha`` needs on the tree ``onto``."""
        picked = self._picker.pick(onto, sha)
        if picked.clean:
            return Needs(sha, (), picked.tree)
        if picked.problem:
            return Needs(sha, (), "", undetermined=picked.problem)
        if picked.sha in self._cut_off:  # it would be again
            return self._unsearched(picked, self._cut_off[picked.sha])
        deadline = min(time.monotonic() + self._limits.seconds, self._end)
        try:
            return self._deepening(picked, deadline)
        except _TimeIsUp:
            return self._unsearched(picked, self._clock())
        except RepositoryError as error:
            return Needs(sha, (), "", picked.conflicts, f"{error.problem}: {error.cause}")

    def _unsearched(self, picked: Picked, cause: str) -> Needs:
        self._cut_off[picked.sha] = cause
        return Needs(picked.sha, (), "", picked.conflicts, cause, searched=False)

    def _clock(self) -> str:
        if self.time_is_up:
            return f"what it needs is not known: the {self._limits.total:g} seconds are up"
        return f"what it needs is not known: no answer within {self._limits.seconds:g} seconds"

    def _deepening(self, picked: Picked, deadline: float) -> Needs:
        """Search with room for few commits, then for more: one deep chain must not hide a short."""
        most = self._limits.commits
        for room in [*(room for room in _ROOM if room < most), most]:
            found = self.answer(picked.sha, picked.onto, deadline, room)
            if found.needs.enough or not found.cramped:
                break
        return found.needs

    def answer(self, sha: str, onto: str, deadline: float, room: int, depth: int = 0) -> _Answer:
        """Search, or say again what a search on the same tree has found."""
        known = self._answers[sha, onto]
        for answer in known:
            if answer.holds(room, depth):
                return answer
        search = _Search(self, sha, onto, deadline, room, depth)
        needs = search.run()
        known.append(_Answer(needs, room, depth, search.cramped))
        return known[-1]

    def candidates(self, picked: Picked) -> list[Candidate]:
        """Return commits that may lift the conflicts of a pick, the likeliest first."""
        key = (picked.onto, picked.sha)
        if key not in self._candidates:
            found = {c.need.sha: c for c in self._by_lines(picked)}
            for sha in self._lacking_of_repaired(picked):
                path = picked.conflicts[0].path
                known = found.get(sha, Candidate(Need(sha, picked.sha, path), 0.0))
                found[sha] = Candidate(known.need, known.score + _REPAIRED)
            self._candidates[key] = sorted(found.values(), key=lambda c: -c.score)
        return self._candidates[key]

    def telling(self, picked: Picked) -> list[Candidate]:
        """Return the candidates without those that share but a brace with the conflict."""
        found = self.candidates(picked)
        return [c for c in found if c.score >= _LEAST * found[0].score]

    def _lacking_of_repaired(self, picked: Picked) -> list[str]:
        """Return what the commit says it fixes, where upstream has it and the target does not."""
        order = self._history.order
        return [
            sha
            for sha in self._repaired(picked.sha)
            if sha in self and order[sha] < order.get(picked.sha, 0)
        ]

    def distance(self, regions: Mapping[str, Sequence[Region]]) -> float:
        """Return in how many lines a target differs where a pick conflicts; braces say less."""
        found = together(difference(one) for many in regions.values() for one in many)
        return sum(_weight(line) for line in (*found.lacks, *found.keeps))

    def widened(self, picked: Picked) -> list[Candidate]:
        """Return the commits that touched the conflicting files, newest first."""
        found: dict[str, Candidate] = {}
        for path in self._history_paths(picked):
            changes = self._usable(path, picked.sha)
            for change in changes[:_WIDENED]:
                found.setdefault(change.sha, Candidate(Need(change.sha, picked.sha, path), 0.0))
        return list(found.values())

    def differing_by(self, picked: Picked, path: str, region: Region) -> tuple[str, ...]:
        """Return the commits that made a target differ where a pick conflicts, likeliest first."""
        if self.time_is_up:
            return ()
        found = matching(self._usable(path, picked.sha), difference(region), picked.sha)
        return tuple(c.need.sha for c in sorted(found, key=lambda c: -c.score)[:_OWNERS])

    def _by_lines(self, picked: Picked) -> list[Candidate]:
        regions = self._picker.regions(picked.onto, picked.sha)
        found: dict[str, Candidate] = {}
        for conflict in picked.conflicts:
            differing = together(difference(one) for one in regions.get(conflict.path, ()))
            for path in self._paths_for(picked, conflict):
                for candidate in self._of_path(picked, conflict, path, differing):
                    known = found.get(candidate.need.sha)
                    score = candidate.score + (known.score if known else 0)
                    found[candidate.need.sha] = Candidate((known or candidate).need, score)
        return list(found.values())

    def _of_path(
        self, picked: Picked, conflict: Conflict, path: str, differing: Difference
    ) -> list[Candidate]:
        changes = self._usable(path, picked.sha)
        if conflict.kind == "contents" and (differing.lacks or differing.keeps):
            return matching(changes, differing, picked.sha)
        creators = [change for change in changes if change.creates or change.deletes]
        chosen = creators[-1:] or changes[:_WIDENED]
        return [Candidate(Need(c.sha, picked.sha, path), 1.0 / n) for n, c in enumerate(chosen, 1)]

    def _usable(self, path: str, sha: str) -> list[PathChange]:
        return [c for c in self._history.before(path, sha) if c.sha not in self._present]

    def _paths_for(self, picked: Picked, conflict: Conflict) -> tuple[str, ...]:
        paths = self._touched(picked.sha)
        return (conflict.path,) if conflict.path in paths else paths[:_PATHS_OF_A_COMMIT]

    def _history_paths(self, picked: Picked) -> list[str]:
        return list(dict.fromkeys(p for c in picked.conflicts for p in self._paths_for(picked, c)))

    def _touched(self, sha: str) -> tuple[str, ...]:
        trees = self._picker.trees_of(sha)
        return self._history.touched(sha, trees.base, trees.tree)

    def in_order(self, shas: Iterable[str]) -> list[str]:
        """Sort commits as upstream has them, oldest first."""
        order = self._history.order
        return sorted(shas, key=lambda sha: order.get(sha, -1))


def matching(changes: Sequence[PathChange], differing: Difference, sha: str) -> list[Candidate]:
    """Return the changes that brought or took the lines in which a target differs.

    Each line speaks for the newest change that has it, and ever softer for those before; a line
    without a word speaks softly.

    :param changes: of one file, newest first.
    """
    scores: dict[str, float] = defaultdict(float)
    lines: dict[str, int] = defaultdict(int)
    paths = {change.sha: change.path for change in changes}
    for wanted, side in ((differing.lacks, "added"), (differing.keeps, "removed")):
        owners = _owners(changes, side, frozenset(wanted))
        for line in wanted:
            for rank, owner in enumerate(owners.get(line, ())):
                scores[owner] += _weight(line) / _OLDER**rank
                lines[owner] += 1
    return [Candidate(Need(c, sha, paths[c], lines[c]), score) for c, score in scores.items()]


def _owners(
    changes: Sequence[PathChange], side: str, wanted: AbstractSet[bytes]
) -> dict[bytes, list[str]]:
    """Return of each line the newest changes that have it."""
    owners: dict[bytes, list[str]] = defaultdict(list)
    for change in changes:
        for line in frozenset(getattr(change, side)) & wanted:
            if len(owners[line]) < _OWNERS:
                owners[line].append(change.sha)
    return owners


def _weight(line: bytes) -> float:
    return 1.0 if _speaks(line) else _TRIVIAL_WEIGHT


def _speaks(line: bytes) -> bool:
    """Whether a line has a name of three letters or more, which a lone brace has not."""
    letters = 0
    for byte in line:
        letters = letters + 1 if chr(byte).isalnum() or byte == 0x5F else 0
        if letters == 3:
            return True
    return False


class _Search:
    """One commit on one tree, with room for so many prerequisites.

    :ivar cramped: more room could give another answer.
    """

    def __init__(
        self, of: Prerequisites, sha: str, onto: str, deadline: float, room: int, depth: int = 0
    ) -> None:
        self._of = of
        self._picker = of._picker
        self._sha = sha
        self._onto = onto
        self._deadline = deadline
        self._room = room
        self._depth = depth
        self.cramped = False
        self._needs: dict[str, Need] = {}
        self._banned: set[str] = set()

    def run(self) -> Needs:
        chosen = self._greedy(set())
        if not self._outcome(chosen).whole:
            chosen = self._closure(chosen)
        if self._outcome(chosen).whole:
            chosen = self._without_needless(chosen)
        return self._answer(chosen)

    def _fits(self, chosen: AbstractSet[str]) -> bool:
        """Whether there is room for ``chosen``; remember where there was not."""
        fits = len(chosen) <= self._room
        self.cramped |= not fits
        return fits

    def _answer(self, chosen: set[str]) -> Needs:
        outcome = self._outcome(chosen)
        if not (outcome.whole and self._fits(chosen)):
            left = self._picker.pick(self._onto, self._sha).conflicts
            return Needs(self._sha, (), "", left)
        before = tuple(self._needs[sha] for sha in self._of.in_order(chosen))
        return Needs(self._sha, before, outcome.last.tree)

    def _series(self, chosen: Iterable[str]) -> list[str]:
        return [*self._of.in_order(chosen), self._sha]

    def _outcome(self, chosen: Iterable[str]) -> Outcome:
        return self._outcomes([set(chosen)])[0]

    def _outcomes(self, many: Sequence[AbstractSet[str]]) -> list[Outcome]:
        series = [self._series(chosen) for chosen in many]
        return lockstep(self._picker, self._onto, series, self._deadline)

    def _greedy(self, chosen: set[str]) -> set[str]:
        """Add the candidate that lifts most, as long as one lifts anything."""
        while True:
            outcome = self._outcome(chosen)
            if outcome.whole or outcome.last.sha != self._sha:
                return chosen
            more = self._best(chosen, outcome)
            if more is None or not self._fits(chosen | more):
                return chosen
            chosen = chosen | more

    def _best(self, chosen: set[str], outcome: Outcome) -> AbstractSet[str] | None:
        """Return the candidate that lifts most, or else one with what it needs itself."""
        tried = self._fresh(self._of.telling(outcome.last), chosen)[:_TRIED_ALONE]
        self._needs.update({c.need.sha: c.need for c in tried if c.need.sha not in self._needs})
        alone = [frozenset({c.need.sha}) for c in tried]
        outcomes = self._until_whole([chosen | one for one in alone])
        now = self._picker.conflict_count(outcome.last)
        gains = [self._gain(now, after) for after in outcomes]
        if gains and max(gains) > 0:
            return alone[gains.index(max(gains))]
        nearer = self._nearer(outcome.last, outcomes)
        if nearer is not None:
            return alone[nearer]
        blocked = [after.last for after in outcomes if after.last.sha != self._sha]
        return self._with_own_needs(chosen, outcome, blocked)

    def _until_whole(self, many: Sequence[AbstractSet[str]]) -> list[Outcome]:
        """Return how sets go, the likeliest first; no more are tried once one leaves nothing."""
        outcomes = self._outcomes(many[:_TRIED_FIRST])
        if not any(outcome.whole for outcome in outcomes):
            outcomes += self._outcomes(many[_TRIED_FIRST:])
        return outcomes

    def _nearer(self, at: Picked, outcomes: Sequence[Outcome]) -> int | None:
        """Return which of ``outcomes`` leaves the fewest differing lines, if fewer than now."""
        able = [n for n, after in enumerate(outcomes) if after.last.sha == self._sha]
        picks = [at, *(outcomes[n].last for n in able)]
        regions = self._picker.regions_all([(picked.onto, picked.sha) for picked in picks])
        now, *left = map(self._of.distance, regions)
        if not left or min(left) >= now:
            return None
        return able[left.index(min(left))]

    def _gain(self, now: int, after: Outcome) -> float:
        """Return how many conflicts of ``now`` a series lifted; all of them counts half more."""
        if after.last.sha != self._sha or after.last.problem:
            return 0
        return now - self._picker.conflict_count(after.last) + (0.5 if after.whole else 0)

    def _with_own_needs(
        self, chosen: set[str], outcome: Outcome, blocked: Sequence[Picked]
    ) -> AbstractSet[str] | None:
        """Return the first candidate that lifts something once its own needs are there."""
        left = self._room - len(chosen) - 1
        if self._depth >= _DEPTH or not blocked:
            return None
        if left < 1:
            self.cramped = True
            return None
        now = self._picker.conflict_count(outcome.last)
        for candidate in self._promising(blocked)[:_TRIED_DEEP]:
            onto, depth = outcome.last.onto, self._depth + 1
            found = self._of.answer(candidate, onto, self._deadline, left, depth)
            self.cramped |= found.cramped
            if not found.needs.enough:
                continue
            more = {candidate, *(need.sha for need in found.needs.before)}
            if self._gain(now, self._outcome(chosen | more)) > 0:
                for need in found.needs.before:
                    self._needs.setdefault(need.sha, need)
                return more
        return None

    def _promising(self, blocked: Sequence[Picked]) -> list[str]:
        """Sort commits that conflict themselves by what would be left if they were forced in."""
        forced = [picked for picked in blocked if picked.conflicts]
        after = self._picker.pick_all([(picked.tree, self._sha) for picked in forced])
        left = [self._picker.conflict_count(picked) for picked in after]
        return [forced[n].sha for n in sorted(range(len(forced)), key=left.__getitem__)]

    def _fresh(self, found: Iterable[Candidate], chosen: AbstractSet[str]) -> list[Candidate]:
        skipped = chosen | self._banned | {self._sha}
        return [c for c in found if c.need.sha not in skipped]

    def _closure(self, chosen: set[str]) -> set[str]:
        """Add all candidates of whatever conflicts first, until nothing does."""
        widened: set[str] = set()
        most = min(_CLOSURE * self._room, self._of._limits.commits)
        while len(chosen) <= most:
            outcome = self._outcome(chosen)
            if outcome.whole:
                return chosen
            at = outcome.last
            more = self._fresh(self._of.candidates(at), chosen) if at.conflicts else []
            if not more and at.sha == self._sha and at.sha not in widened:
                widened.add(at.sha)
                more = self._fresh(self._of.widened(at), chosen)
            if more:
                self._needs.update({c.need.sha: c.need for c in more if c.need.sha not in chosen})
                chosen = chosen | {c.need.sha for c in more}
            elif at.sha == self._sha:
                return chosen
            else:
                self._banned.add(at.sha)
                chosen = chosen - {at.sha}
        self.cramped = True
        return chosen

    def _without_needless(self, chosen: set[str]) -> set[str]:
        """Leave out halves, quarters… and at last single commits, until each is needed."""
        size = max(1, len(chosen) // 2)
        while chosen:
            ordered = self._of.in_order(chosen)
            fewer = [
                chosen - set(ordered[start : start + size]) for start in range(0, len(chosen), size)
            ]
            outcomes = self._outcomes(fewer)
            good = [one for one, outcome in zip(fewer, outcomes, strict=True) if outcome.whole]
            if good:
                chosen = good[-1]
                size = max(1, min(size, len(chosen) // 2))
            elif size == 1:
                break
            else:
                size = max(1, size // 2)
        return chosen
