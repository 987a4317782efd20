"""Recursive descent in Python: the rules of the native decoder's ``descent.h``.

Code is followed from seeds into what is not covered yet. A path runs from a seed or a target to a
jump, a return or known code. One that reaches bytes that are no instruction is dropped whole, and
so is what runs into it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from uplift.isa.range_rows import EXTENT, ROW, Ints


class Flow(Enum):
    """Where control goes after an instruction."""

    ON = 0
    BRANCH = 1  #: may go on at the target
    CALL = 2  #: comes back from the target
    JUMP = 3  #: goes on at the target only
    END = 4  #: return, jump through a register, trap
    BAD = 5  #: no instruction


@dataclass(frozen=True)
class Step:
    """One instruction."""

    flow: Flow
    length: int = 0  #: bytes
    group: int = 0  #: its class
    target: int = 0


class _State(Enum):
    KEPT = 1
    DEAD = 2


@dataclass(frozen=True)
class Space:
    """Where the walk may go: data from ``base`` to ``end``, without what is covered."""

    base: int
    end: int
    starts: list[int]  #: of covered ranges, sorted
    ends: list[int]

    @classmethod
    def around(cls, base: int, size: int, starts: Ints, ends: Ints) -> Space:
        """The space of ``size`` bytes at ``base`` without the covered ranges."""
        order = np.argsort(np.asarray(starts, np.int64), kind="stable")
        lows, highs = np.asarray(starts, np.int64)[order], np.asarray(ends, np.int64)[order]
        return cls(base, base + size, lows.tolist(), np.maximum.accumulate(highs).tolist())

    def holds(self, at: int) -> bool:
        """Whether the data hold the address."""
        return self.base <= at < self.end

    def covered(self, at: int) -> bool:
        """Whether a covered range holds the address."""
        n = bisect_right(self.starts, at)
        return n > 0 and at < self.ends[n - 1]


class Descent:
    """One walk."""

    def __init__(self, step: Callable[[int], Step], space: Space, unit: int) -> None:
        self._step, self._space, self._unit = step, space, unit
        self._state: dict[int, _State] = {}
        self._work: list[int] = []
        self._extents: list[tuple[int, int]] = []
        self._hits: list[tuple[int, int, int]] = []  #: extent, class, address
        self._targets: list[int] = []

    def run(self, seeds: Ints) -> tuple[bytes, bytes, bytes]:
        """Rows, extents and the targets in covered code or outside the data, as records."""
        self._work = np.asarray(seeds, np.int64).tolist()
        while self._work:
            at = self._work.pop()
            if not self._space.holds(at) or self._space.covered(at):
                self._targets.append(at)
            elif (at - self._space.base) % self._unit == 0 and at not in self._state:
                self._follow(at)
        return self._rows(), np.array(self._extents, EXTENT).tobytes(), self._outside()

    def _follow(self, start: int) -> None:
        path: dict[int, Step] = {}
        at = start
        while not self._known(at, path):
            step = self._step(at) if self._space.holds(at) else Step(Flow.BAD)
            if step.flow is Flow.BAD or self._state.get(at) is _State.DEAD:
                self._state.update(dict.fromkeys(path, _State.DEAD))
                return
            path[at] = step
            at += step.length
            if step.flow in (Flow.JUMP, Flow.END):
                break
        if path:
            self._keep(path, start, at)

    def _known(self, at: int, path: dict[int, Step]) -> bool:
        kept = self._state.get(at) is _State.KEPT
        return kept or at in path or (self._space.holds(at) and self._space.covered(at))

    def _keep(self, path: dict[int, Step], start: int, end: int) -> None:
        extent = len(self._extents)
        self._extents.append((start, end))
        for at, step in path.items():
            self._state[at] = _State.KEPT
            if step.group:
                self._hits.append((extent, step.group, at))
            if step.flow in (Flow.BRANCH, Flow.CALL, Flow.JUMP):
                self._work.append(step.target)

    def _rows(self) -> bytes:
        count = Counter((extent, group) for extent, group, _ in self._hits)
        first: dict[tuple[int, int], int] = {}
        for extent, group, at in self._hits:
            first.setdefault((extent, group), at)
        rows = [(extent, group, at, count[extent, group]) for (extent, group), at in first.items()]
        return np.array(rows, ROW).tobytes()

    def _outside(self) -> bytes:
        return np.unique(np.array(self._targets, np.int64)).tobytes()
