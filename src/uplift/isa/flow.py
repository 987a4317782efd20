"""How control goes through one function on a set of machines, block by block.

What is known at a place is what holds on every way to it. Each place is looked at again until
nothing changes, or until nothing is taken for known there.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from uplift.isa.bodies import Body
from uplift.isa.values import (
    NOTHING,
    POINTERS,
    State,
    Value,
    addresses,
    either_address,
    join,
    joined_flags,
)
from uplift.isa.x86_steps import Step

FLAGS = "flags"
#: A key of states: a test of features that was not decided led here, and nothing else did.
DOUBT = "doubt"
#: Another: CPUID was asked before, here or in what was called; undecided branches then may test it.
ASKED = "asked"
DOUBTFUL = (0, 0, NOTHING)
_MAX_VISITS = 6  #: of a block, until nothing is taken for known there
_MAX_STEPS = 40_000  #: instructions looked at in one function
_SMALL = 1024  #: bytes of functions in which every constant is kept in mind
_SKIPPED = 64  #: bytes worth skipping where only constants are known


class World(Protocol):
    """What surrounds a function on the machines in question."""

    def load(self, address: int, size: int) -> Value | None:
        """Return what lies at an address of the file."""

    def load_of(self, name: str, offset: int, size: int) -> Value | None:
        """Return what lies in another file's feature words."""

    def call(self, target: int) -> Value | None:
        """Return what a function answers."""

    def call_slot(self, slot: int) -> Value | None:
        """Return what the function answers to which the pointer at ``slot`` leads."""

    def asks(self, target: int) -> bool:
        """Whether a function asks the processor, or calls one that does."""

    def comes_back(self, target: int) -> bool:
        """Whether a function ever returns."""

    def chosen(self, address: int) -> tuple[str, bool]:
        """Say what test stands before all that takes an address of the file, and if it fails.

        Empty where none does. Where it fails no value is the address; else some may be.
        """

    def cpuid(self, leaf: int, subleaf: int) -> tuple[Value | None, ...]:
        """Return what CPUID puts into eax, ecx, edx and ebx."""

    def is_place(self, value: int) -> bool:
        """Whether a constant can be an address of the file."""


@dataclass
class Outcome:
    """What a function does on the machines in question.

    :param reached: pieces of code that may run.
    :param calls: addresses outside that are called or jumped to, and what slots calls go through.
    :param taken: addresses of the file that are stored, passed on, returned or used.
    :param stores: what is put at addresses of the file.
    :param passed: for each function called, the addresses of the file it is given.
    :param arguments: for each function called, what is known of its registers at every call.
    :param sure: the addresses of all those that no undecided test of features stands before.
    :param certain: the pieces of code before which none stands.
    :param asked: it asks CPUID, or calls what does.
    :param guards: what was tested where the flow was decided.
    :param lets_out: what was tested is kept where nobody follows it: in memory that it was given.
    :param complete: the whole flow was followed.
    """

    reached: set[tuple[int, int]] = field(default_factory=set)
    calls: set[int] = field(default_factory=set)
    slots: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    stores: dict[int, list[tuple[Value | None, int]]] = field(default_factory=dict)
    passed: dict[int, set[int]] = field(default_factory=dict)
    arguments: dict[int, State] = field(default_factory=dict)
    guards: set[str] = field(default_factory=set)
    answer: Value | None = None
    answered: bool = False
    complete: bool = True
    asked: bool = False
    lets_out: bool = False
    sure: set[int] = field(default_factory=set)
    certain: set[tuple[int, int]] = field(default_factory=set)


class Flow:
    """The walk through one function; a subclass says what instructions do."""

    def __init__(self, body: Body, world: World) -> None:
        self.body, self.world = body, world
        self.out = Outcome()
        self.states: dict[int, State] = {}
        self.visits: dict[int, int] = {}
        self.work: list[int] = []
        self.doubt = False
        self.left = _MAX_STEPS

    def follow(self, entries: Mapping[int, State]) -> None:
        for at, state in entries.items():
            self.enter(at, state)
        while self.work:
            at = heapq.heappop(self.work)  # the lowest first: what leads to a place comes before it
            self._block(at, dict(self.states[at]))
            if self.left <= 0:
                self.out.complete = False
                return

    def enter(self, at: int, state: State) -> None:
        """Let the flow come to ``at``, inside or outside the function."""
        if not self.body.start <= at < self.body.end:
            self.lead(self.out.calls, at, DOUBT in state)
            self.leave(at, state)
            return
        old = self.states.get(at)
        if old is None:
            self.states[at] = dict(state)
        else:
            merged = self._merged(old, state)
            if merged == old:
                return
            self.visits[at] = self.visits.get(at, 0) + 1
            self.states[at] = merged if self.visits[at] < _MAX_VISITS else self.forget(merged)
        if at not in self.work:
            heapq.heappush(self.work, at)

    def _merged(self, old: State, new: State) -> State:
        merged = {}
        for key, value in old.items():
            other = new.get(key)
            both = joined_flags(value, other) if key == FLAGS else self._both(value, other)
            if both is not None:
                merged[key] = both
        for key, value in new.items():
            if key not in old and key != FLAGS and (both := self._both(value, None)) is not None:
                merged[key] = both
        return merged

    def _both(self, one: Value | None, other: Value | None) -> Value | None:
        """Join two values; addresses are kept in mind until the value is used, or are too many."""
        both = join(one, other) or either_address(one, other)
        if both is None:
            self.escape(one)
            self.escape(other)
        return both

    def forget(self, state: State) -> State:
        for key, value in state.items():
            if key != FLAGS:
                self.escape(value)
        return _only_doubt(state)

    def escape(self, value: Value | None) -> None:
        for address in addresses(value):
            self.lead(self.out.taken, address, self.doubt)

    def lead(self, to: set[int], address: int, doubt: bool) -> None:
        """Take note of an address that code leads to."""
        to.add(address)
        if not doubt:
            self.out.sure.add(address)

    def _run_through(self, start: int, end: int) -> None:
        self.out.reached.add((start, end))
        if not self.doubt:
            self.out.certain.add((start, end))

    def _block(self, at: int, state: State) -> None:
        start, self.doubt = at, DOUBT in state
        while True:
            at = self._skipped(at, state)
            if at >= self.body.end:
                self._run_through(start, self.body.end)
                self.enter(self.body.end, state)
                return
            if at != start and at in self.body.leaders:
                self._run_through(start, at)
                self.enter(at, state)
                return
            self.left -= 1
            step = self.body.step(at)
            if step is None or self.left <= 0:
                self.out.complete = False
                self._run_through(start, max(start + 1, at))
                return
            if not self.one(step, state):
                self._run_through(start, step.end)
                return
            at = step.end

    def _skipped(self, at: int, state: State) -> int:
        """Return the next address at which something can happen; small functions are read whole."""
        if self.body.end - self.body.start <= _SMALL:
            return at
        if any(v[0] in POINTERS or v[2] for k, v in state.items() if k != FLAGS):
            return at
        if FLAGS in state and state[FLAGS][4]:
            return at
        index = bisect_left(self.body.stops, at)
        stop = self.body.stops[index] if index < len(self.body.stops) else self.body.end
        if state and stop - at < _SKIPPED:
            return at
        if stop > at:
            self.clear(state)
        return stop

    def clear(self, state: State) -> None:
        """Know nothing any more, but whether the flow is in doubt."""
        kept = _only_doubt(state)
        state.clear()
        state.update(kept)

    def leave(self, at: int, state: State) -> None:
        """Go on in another function for good."""
        raise NotImplementedError

    def one(self, step: Step, state: State) -> bool:
        """Carry out one instruction; return whether the flow goes on behind it."""
        raise NotImplementedError


def _only_doubt(state: State) -> State:
    return {key: DOUBTFUL for key in (DOUBT, ASKED) if key in state}
