"""Which parts of an x86-64 function run on a machine that lacks some features.

The function is run on sets of machines at once: of each register it is known which bits are
surely clear and surely set. A branch that a test of features decides is followed one way only, so
what is left out is what the test guards. What is not understood is taken for anything.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from uplift.isa.x86_steps import FIXED, NONE, Operand, Step, read

#: Bits known clear, bits known set, and the feature words they come from; or ("@", address), an
#: address in the file; or ("p", name, offset), one in another file's feature words. None: anything.
Value = tuple[Any, ...]
State = dict[Any, Any]
Sources = frozenset[str]

ALL = (1 << 64) - 1
NOTHING: Sources = frozenset()
_FLAGS = "flags"
_UNKNOWN_FLAGS = (None, None, None, None, NOTHING)
_CALLER_SAVED = (0, 1, 2, 6, 7, 8, 9, 10, 11)
_ARGUMENTS = (7, 6, 2, 1, 8, 9)
_MAX_VISITS = 6  #: of a block, until nothing is taken for known there
_MAX_STEPS = 40_000  #: instructions looked at in one function
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

    def comes_back(self, target: int) -> bool:
        """Whether a function ever returns."""

    def cpuid(self, leaf: int, subleaf: int) -> tuple[Value | None, ...]:
        """Return what CPUID puts into eax, ecx, edx and ebx."""

    def is_place(self, value: int) -> bool:
        """Whether a constant can be an address of the file."""


@dataclass(frozen=True)
class Body:
    """A function's code and where something happens in it.

    :param stops: sorted addresses of instructions that refer to something, or that end a block.
    :param leaders: addresses that jumps in the function lead to.
    :param orphans: addresses behind an end of the flow that no jump in the function leads to.
    :param boundaries: where instructions start.
    :param writes: addresses of instructions that write to a fixed address.
    """

    start: int
    end: int
    code: memoryview
    stops: Sequence[int]
    leaders: frozenset[int]
    orphans: Sequence[int]
    boundaries: Sequence[int]
    writes: frozenset[int] = frozenset()
    steps: dict[int, Step] = field(default_factory=dict)

    def step(self, at: int) -> Step | None:
        """Return the instruction at ``at``; None where none starts."""
        found = self.steps.get(at)
        if found is None:
            index = bisect_left(self.boundaries, at)
            if index >= len(self.boundaries) or self.boundaries[index] != at:
                return None
            last = index + 1 >= len(self.boundaries)
            end = self.end if last else self.boundaries[index + 1]
            found = read(bytes(self.code[at - self.start : end - self.start]), at)
            self.steps[at] = found
        return found


@dataclass
class Outcome:
    """What a function does on the machines in question.

    :param reached: pieces of code that may run.
    :param calls: addresses outside that are called or jumped to, and what slots calls go through.
    :param taken: addresses of the file that are stored, passed on, returned or used.
    :param stores: what is put at addresses of the file.
    :param passed: for each function called, the addresses of the file it is given.
    :param arguments: for each function called, what is known of its registers at every call.
    :param guards: what was tested where the flow was decided.
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


def evaluate(body: Body, world: World, entries: Mapping[int, State]) -> Outcome:
    """Follow a function's flow on the machines of ``world``.

    :param entries: where it is entered, and what is known of registers there, whoever does it.
    """
    run = _Run(body, world)
    run.follow(entries)
    return run.out


def known(value: int, sources: Sources = NOTHING) -> Value:
    """Return the value of which every bit is known."""
    value &= ALL
    return (~value & ALL, value, sources)


def join(one: Value | None, other: Value | None) -> Value | None:
    """Return what holds whichever of two values it is; None where nothing does."""
    if one == other:
        return one
    if (
        one is None
        or other is None
        or len(one) != 3
        or len(other) != 3
        or "p" in (one[0], other[0])
    ):
        return None
    sources = one[2] | other[2]
    clear, ones = one[0] & other[0], one[1] & other[1]
    return (clear, ones, sources) if clear or ones or sources else None


def joined_states(one: State, other: State) -> State:
    """Return what is known of registers in both of two states."""
    both = {key: join(value, other.get(key)) for key, value in one.items()}
    return {key: value for key, value in both.items() if value is not None}


def _bits(value: Value | None) -> tuple[int, int, Sources]:
    if value is None or value[0] == "@" or value[0] == "p":
        return 0, 0, NOTHING
    return value


def _is_address(value: Value | None) -> bool:
    return value is not None and value[0] == "@"


class _Run:
    def __init__(self, body: Body, world: World) -> None:
        self.body, self.world = body, world
        self.out = Outcome()
        self.states: dict[int, State] = {}
        self.visits: dict[int, int] = {}
        self.work: list[int] = []
        self.left = _MAX_STEPS

    def follow(self, entries: Mapping[int, State]) -> None:
        for at, state in entries.items():
            self._enter(at, state)
        while self.work:
            at = heapq.heappop(self.work)  # the lowest first: what leads to a place comes before it
            self._block(at, dict(self.states[at]))
            if self.left <= 0:
                self.out.complete = False
                return

    def _enter(self, at: int, state: State) -> None:
        """Let the flow come to ``at``, inside or outside the function."""
        if not self.body.start <= at < self.body.end:
            self.out.calls.add(at)
            return
        old = self.states.get(at)
        if old is None:
            self.states[at] = dict(state)
        else:
            merged = self._merged(old, state)
            if merged == old:
                return
            self.visits[at] = self.visits.get(at, 0) + 1
            self.states[at] = merged if self.visits[at] < _MAX_VISITS else self._forget(merged)
        if at not in self.work:
            heapq.heappush(self.work, at)

    def _merged(self, old: State, new: State) -> State:
        merged = {}
        for key, value in old.items():
            other = new.get(key)
            both = _joined_flags(value, other) if key == _FLAGS else join(value, other)
            if both is not None:
                merged[key] = both
            elif key != _FLAGS:
                self._escape(value)
                self._escape(other)
        for key, value in new.items():
            if key not in old and key != _FLAGS:
                self._escape(value)
        return merged

    def _forget(self, state: State) -> State:
        for key, value in state.items():
            if key != _FLAGS:
                self._escape(value)
        return {}

    def _escape(self, value: Value | None) -> None:
        if _is_address(value):
            assert value is not None
            self.out.taken.add(value[1])

    def _block(self, at: int, state: State) -> None:
        start = at
        while True:
            at = self._skipped(at, state)
            if at >= self.body.end:
                self.out.reached.add((start, self.body.end))
                self.out.calls.add(self.body.end)
                return
            if at != start and at in self.body.leaders:
                self.out.reached.add((start, at))
                self._enter(at, state)
                return
            self.left -= 1
            step = self.body.step(at)
            if step is None or self.left <= 0:
                self.out.complete = False
                self.out.reached.add((start, max(start + 1, at)))
                return
            if not self._one(step, state):
                self.out.reached.add((start, step.end))
                return
            at = step.end

    def _skipped(self, at: int, state: State) -> int:
        """Return the next address at which something can happen."""
        if any(v[0] in ("@", "p") or v[2] for k, v in state.items() if k != _FLAGS):
            return at
        if _FLAGS in state and state[_FLAGS][4]:
            return at
        index = bisect_left(self.body.stops, at)
        stop = self.body.stops[index] if index < len(self.body.stops) else self.body.end
        if state and stop - at < _SKIPPED:
            return at
        if stop > at:
            state.clear()
        return stop

    def _one(self, step: Step, state: State) -> bool:
        """Carry out one instruction; return whether the flow goes on behind it."""
        for operand in step.operands:
            if operand[0] == "m" and step.kind != "lea":
                self._use_base(operand, state)
        action = _ACTIONS.get(step.kind)
        if action is None:
            self._forget(state)
            state.clear()
            return True
        return action(self, step, state)

    def _use_base(self, operand: Operand, state: State) -> None:
        if operand[1] == FIXED:
            self.out.taken.add(operand[4])
            return
        for register in operand[1:3]:
            if register >= 0:
                self._escape(state.get(register))

    # operands

    def _get(self, operand: Operand, size: int, state: State) -> Value | None:
        kind = operand[0]
        if kind == "i":
            value = operand[1]
            if size >= 4 and self.world.is_place(value & ALL):
                return ("@", value & ALL)
            return known(value & ((1 << 8 * size) - 1))
        if kind == "m":
            return self._load(operand, size, state)
        value = state.get(operand[1])
        if value is None:
            return None
        if value[0] in ("@", "p"):
            return value if size >= 4 else None
        return _narrow(value, size, 8 if kind == "h" else 0)

    def _load(self, operand: Operand, size: int, state: State) -> Value | None:
        place = self._place(operand, state)
        if place is None:
            return None
        if place[0] == "@":
            return self.world.load(place[1], size)
        if place[0] == "p":
            return self.world.load_of(place[1], place[2], size)
        value = state.get(place)
        return _narrow(value, size) if value and value[0] not in ("@", "p") else value

    def _place(self, operand: Operand, state: State) -> Value | None:
        """Return the address that a memory operand names, or the key of a place on the stack."""
        _, base, index, _, disp = operand
        if index != NONE or base == NONE:
            return None
        if base == FIXED:
            return ("@", disp)
        value = state.get(base)
        if value is not None and value[0] == "@":
            return ("@", value[1] + disp)
        if value is not None and value[0] == "p":
            return ("p", value[1], value[2] + disp)
        return ("stack", base, disp) if base in (4, 5) else None

    def _put(self, operand: Operand, size: int, value: Value | None, state: State) -> None:
        if operand[0] == "m":
            self._store(operand, size, value, state)
            return
        if operand[0] == "i":
            return
        number = operand[1]
        if size <= 2 and value is not None:
            value = _inserted(state.get(number), value, size, 8 if operand[0] == "h" else 0)
        self._set(number, value, state)

    def _set(self, number: int, value: Value | None, state: State) -> None:
        if number in (4, 5):
            for key in [k for k in state if isinstance(k, tuple) and k[1] == number]:
                del state[key]
        if value is None:
            state.pop(number, None)
        else:
            state[number] = value

    def _store(self, operand: Operand, size: int, value: Value | None, state: State) -> None:
        self._escape(value)
        place = self._place(operand, state)
        if place is None or place[0] == "p":
            return
        if place[0] == "@":
            self.out.stores.setdefault(place[1], []).append((value, size))
            return
        near = [
            k
            for k in state
            if isinstance(k, tuple) and k[1] == place[1] and abs(k[2] - place[2]) < 8
        ]
        for key in near:
            del state[key]
        if value is not None:
            state[place] = value

    # instructions

    def _move(self, step: Step, state: State) -> bool:
        value = self._get(step.operands[1], step.size, state)
        self._put(step.operands[0], step.size, value, state)
        return True

    def _lea(self, step: Step, state: State) -> bool:
        if step.operands[1][0] != "m":
            return True
        place = self._place(step.operands[1], state)
        if place is None or place[0] == "stack":
            for register in step.operands[1][1:3]:
                if register >= 0:
                    self._escape(state.get(register))
            place = None
        self._put(step.operands[0], 8, place, state)
        return True

    def _extend(self, step: Step, state: State) -> bool:
        width = int(step.kind[-1])
        value = self._get(step.operands[1], width, state)
        if value is not None and step.kind.startswith("signed") and value[0] not in ("@", "p"):
            value = _sign_extended(value, width, step.size)
        self._put(step.operands[0], step.size, value, state)
        return True

    def _arithmetic(self, step: Step, state: State) -> bool:
        target, source = step.operands
        one, other = self._get(target, step.size, state), self._get(source, step.size, state)
        if step.kind in ("xor", "sub") and target == source:
            result: Value | None = known(0)
        else:
            result = _computed(step.kind, one, other, step.size)
        if step.kind not in ("test", "cmp") and target != source and not _is_address(result):
            self._escape(one)
            self._escape(other)
        self._flags_of(step, one, other, result, state)
        if step.kind not in ("test", "cmp"):
            self._put(target, step.size, result, state)
        return True

    def _flags_of(
        self,
        step: Step,
        one: Value | None,
        other: Value | None,
        result: Value | None,
        state: State,
    ) -> None:
        sources = _bits(one)[2] | _bits(other)[2]
        if step.kind in ("cmp", "sub"):
            flags = _compared(one, other, step.size, sources)
        else:
            carry = False if step.kind in ("and", "or", "xor", "test") else None
            flags = _tested(result, step.size, carry, sources)
        self._set_flags(flags, state)

    def _set_flags(self, flags: tuple[Any, ...], state: State) -> None:
        if flags == _UNKNOWN_FLAGS:
            state.pop(_FLAGS, None)
        else:
            state[_FLAGS] = flags

    def _single(self, step: Step, state: State) -> bool:
        target = step.operands[0]
        value = self._get(target, step.size, state)
        result: Value | None = None
        mask = (1 << 8 * step.size) - 1
        if value is not None and value[0] not in ("@", "p"):
            clear, ones, sources = value
            if step.kind == "not":
                result = (ones & mask | ~mask & ALL, clear & mask, sources)
            elif (clear | ones) & mask == mask:
                change = {"neg": -(ones & mask), "inc": ones + 1, "dec": ones - 1}[step.kind]
                result = known(change & mask, sources)
            elif sources:
                result = (0, 0, sources)
        if step.kind != "not":
            self._set_flags(_tested(result, step.size, None, _bits(value)[2]), state)
        self._put(target, step.size, result, state)
        return True

    def _shift(self, step: Step, state: State) -> bool:
        target, count = step.operands[0], step.operands[1][1]
        value = self._get(target, step.size, state)
        result: Value | None = None
        if value is not None and value[0] not in ("@", "p"):
            result = _shifted(step.kind, value, count, step.size)
        carry = None
        if value is not None and value[0] not in ("@", "p") and count:
            bit = count - 1 if step.kind != "shl" else 8 * step.size - count
            carry = _bit(value, bit)
        self._set_flags(_tested(result, step.size, carry, _bits(value)[2]), state)
        self._put(target, step.size, result, state)
        return True

    def _bit_test(self, step: Step, state: State) -> bool:
        target, number = step.operands
        index = _bits(self._get(number, step.size, state))
        value = self._get(target, step.size, state)
        flags: tuple[Any, ...] = _UNKNOWN_FLAGS
        if (
            (index[0] | index[1]) & 0xFF == 0xFF
            and value is not None
            and value[0] not in ("@", "p")
        ):
            bit = index[1] & (8 * step.size - 1)
            flags = (None, _bit(value, bit), None, None, value[2])
            if step.kind != "bt":
                change = known(1 << bit)
                other = change if step.kind == "bts" else (change[1], change[0], NOTHING)
                kind = "or" if step.kind == "bts" else "and"
                self._put(target, step.size, _computed(kind, value, other, step.size), state)
        elif step.kind != "bt":
            self._put(target, step.size, None, state)
        self._set_flags(flags, state)
        return True

    def _set_byte(self, step: Step, state: State) -> bool:
        decided = self._decided(step.condition, state)
        sources = state.get(_FLAGS, _UNKNOWN_FLAGS)[4]
        value: Value | None = (~1 & ALL, 0, sources)
        if decided is not None:
            value = known(int(decided), sources)
        self._put(step.operands[0], 1, value, state)
        return True

    def _select(self, step: Step, state: State) -> bool:
        decided = self._decided(step.condition, state)
        target, source = step.operands
        old = self._get(target, step.size, state)
        new = self._get(source, step.size, state)
        if decided is None:
            chosen = join(old, new)
            if chosen is None:
                self._escape(old)
                self._escape(new)
        else:
            chosen = new if decided else old
            self.out.guards |= state[_FLAGS][4]
            if chosen is not None and chosen[0] not in ("@", "p"):
                chosen = (chosen[0], chosen[1], chosen[2] | state[_FLAGS][4])
        self._put(target, step.size, chosen, state)
        return True

    def _branch(self, step: Step, state: State) -> bool:
        decided = self._decided(step.condition, state) if step.condition < 16 else None
        if decided is not None:
            self.out.guards |= state[_FLAGS][4]
        if decided is not False:
            self._enter(step.target, state)
        if decided is not True:
            self._enter(step.end, state)
        return False

    def _decided(self, condition: int, state: State) -> bool | None:
        return _condition(condition, state.get(_FLAGS, _UNKNOWN_FLAGS))

    def _jump(self, step: Step, state: State) -> bool:
        if not self.body.start <= step.target < self.body.end:
            self._pass_on(step.target, state)
            self._answer(self.world.call(step.target))
        self._enter(step.target, state)
        return False

    def _jump_at(self, step: Step, state: State) -> bool:
        self._use_target(step, state)
        if step.operands[0][:2] != ("m", FIXED):
            for orphan in self.body.orphans:
                self._enter(orphan, {})
        self._pass_on(0, state)
        self._answer(None)
        return False

    def _call(self, step: Step, state: State) -> bool:
        if step.target == step.end:  # asks where it is
            self._clobber(step, state)
            return True
        self.out.calls.add(step.target)
        self._pass_on(step.target, state)
        self._after_call(self.world.call(step.target), state)
        return self.world.comes_back(step.target)

    def _call_at(self, step: Step, state: State) -> bool:
        answer = self._use_target(step, state)
        self._pass_on(0, state)
        self._after_call(answer, state)
        return True

    def _use_target(self, step: Step, state: State) -> Value | None:
        """Take note of where a call or jump through a register or memory leads."""
        operand = step.operands[0]
        if operand[0] == "m":
            place = self._place(operand, state)
            if place is not None and place[0] == "@":
                self.out.slots.add(place[1])
                return self.world.call_slot(place[1])
            return None
        value = self._get(operand, 8, state)
        if value is not None and value[0] == "@":
            self.out.calls.add(value[1])
            return self.world.call(value[1])
        return None

    def _pass_on(self, target: int, state: State) -> None:
        known_of = {key: value for key, value in state.items() if isinstance(key, int)}
        before = self.out.arguments.get(target)
        self.out.arguments[target] = known_of if before is None else joined_states(before, known_of)
        for register in _ARGUMENTS:
            value = state.get(register)
            if value is not None and value[0] == "@":
                self.out.taken.add(value[1])
                self.out.passed.setdefault(target, set()).add(value[1])

    def _after_call(self, answer: Value | None, state: State) -> None:
        for register in _CALLER_SAVED:
            state.pop(register, None)
        state.pop(_FLAGS, None)
        if answer is not None:
            state[0] = answer

    def _return(self, _: Step, state: State) -> bool:
        self._escape(state.get(0))
        self._answer(state.get(0))
        return False

    def _answer(self, value: Value | None) -> None:
        self.out.answer = join(self.out.answer, value) if self.out.answered else value
        self.out.answered = True

    def _push(self, step: Step, state: State) -> bool:
        self._escape(self._get(step.operands[0], 8, state))
        self._move_stack(state)
        return True

    def _move_stack(self, state: State) -> None:
        for key in [k for k in state if isinstance(k, tuple) and k[1] == 4]:
            self._escape(state.pop(key))

    def _clobber(self, step: Step, state: State) -> bool:
        for operand in step.operands:
            if operand[0] in ("r", "h"):
                self._escape(state.get(operand[1]))
                self._set(operand[1], None, state)
            elif operand[0] == "m" and (operand[1] != FIXED or step.at in self.body.writes):
                self._store(operand, 8, None, state)
        state.pop(_FLAGS, None)
        return True

    def _vector(self, step: Step, state: State) -> bool:
        for operand in step.operands:
            if operand[0] == "m" and step.at in self.body.writes:
                self.out.stores.setdefault(operand[4], []).append((None, 16))
        state.pop(_FLAGS, None)
        return True

    def _xchg(self, step: Step, state: State) -> bool:
        one, other = step.operands
        first, second = self._get(one, step.size, state), self._get(other, step.size, state)
        self._put(one, step.size, second, state)
        self._put(other, step.size, first, state)
        return True

    def _cpuid(self, _: Step, state: State) -> bool:
        leaf, subleaf = _bits(state.get(0)), _bits(state.get(1))
        exact = (leaf[0] | leaf[1]) & 0xFFFFFFFF == 0xFFFFFFFF
        answers = self.world.cpuid(leaf[1] & 0xFFFFFFFF if exact else -1, subleaf[1] & 0xFFFFFFFF)
        for register, value in enumerate(answers):
            self._set(register, value, state)
        return True

    def _xgetbv(self, _: Step, state: State) -> bool:
        self._set(0, (0, 0, frozenset({"XGETBV"})), state)
        self._set(2, None, state)
        return True

    def _nothing(self, _: Step, __: State) -> bool:
        return True

    def _end(self, _: Step, __: State) -> bool:
        return False


_ACTIONS: Mapping[str, Callable[[_Run, Step, State], bool]] = {
    "mov": _Run._move,
    "lea": _Run._lea,
    "xchg": _Run._xchg,
    "push": _Run._push,
    "cpuid": _Run._cpuid,
    "xgetbv": _Run._xgetbv,
    "nop": _Run._nothing,
    "vector": _Run._vector,
    "clobber": _Run._clobber,
    "set": _Run._set_byte,
    "select": _Run._select,
    "branch": _Run._branch,
    "jump": _Run._jump,
    "jump-at": _Run._jump_at,
    "call": _Run._call,
    "call-at": _Run._call_at,
    "ret": _Run._return,
    "end": _Run._end,
    **dict.fromkeys(("zero1", "zero2", "signed1", "signed2", "signed4"), _Run._extend),
    **dict.fromkeys(
        ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test"), _Run._arithmetic
    ),
    **dict.fromkeys(("not", "neg", "inc", "dec"), _Run._single),
    **dict.fromkeys(("shl", "shr", "sar"), _Run._shift),
    **dict.fromkeys(("bt", "bts", "btr"), _Run._bit_test),
}


def _narrow(value: Value, size: int, shift: int = 0) -> Value:
    """Return the low bytes, the rest clear."""
    mask = (1 << 8 * size) - 1
    clear, ones, sources = value
    return (clear >> shift & mask | ~mask & ALL, ones >> shift & mask, sources)


def _inserted(old: Value | None, value: Value, size: int, shift: int) -> Value:
    """Return ``old`` with some low bytes replaced, as narrow writes do."""
    mask = ((1 << 8 * size) - 1) << shift
    clear, ones, sources = _bits(old)
    new = _bits(value)
    return (
        clear & ~mask & ALL | new[0] << shift & mask,
        ones & ~mask & ALL | new[1] << shift & mask,
        sources | new[2],
    )


def _sign_extended(value: Value, width: int, size: int) -> Value:
    clear, ones, sources = value
    low, top = (1 << 8 * width) - 1, 1 << 8 * width - 1
    high = ((1 << 8 * size) - 1) & ~low
    beyond = ~((1 << 8 * size) - 1) & ALL
    return (
        clear & low | (high if clear & top else 0) | beyond,
        ones & low | (high if ones & top else 0),
        sources,
    )


def _computed(kind: str, one: Value | None, other: Value | None, size: int) -> Value | None:
    mask = (1 << 8 * size) - 1
    if kind in ("add", "sub") and one is not None and one[0] in ("@", "p"):
        return _moved(kind, one, other)
    if kind == "add" and other is not None and other[0] in ("@", "p"):
        return _moved(kind, other, one)
    (c1, o1, s1), (c2, o2, s2) = _bits(one), _bits(other)
    sources, beyond = s1 | s2, ~mask & ALL
    if kind in ("and", "test"):
        result = ((c1 | c2) & mask | beyond, o1 & o2 & mask, sources)
    elif kind == "or":
        result = (c1 & c2 & mask | beyond, (o1 | o2) & mask, sources)
    elif kind == "xor":
        both = (c1 | o1) & (c2 | o2) & mask
        result = (~(o1 ^ o2) & both | beyond, (o1 ^ o2) & both, sources)
    elif kind in ("add", "sub") and (c1 | o1) & mask == mask and (c2 | o2) & mask == mask:
        total = o1 + o2 if kind == "add" else o1 - o2
        return known(total & mask, sources)
    else:
        result = (0, 0, sources)
    useful = result[0] & mask or result[1] or sources
    return result if useful else None


def _moved(kind: str, address: Value, by: Value | None) -> Value | None:
    clear, ones, _ = _bits(by)
    if (clear | ones) != ALL:
        return None
    distance = ones - (1 << 64) if ones >> 63 else ones
    distance = -distance if kind == "sub" else distance
    return (*address[:-1], address[-1] + distance)


def _shifted(kind: str, value: Value, count: int, size: int) -> Value | None:
    clear, ones, sources = value
    mask = (1 << 8 * size) - 1
    if kind == "shl":
        filled = (1 << count) - 1
        return ((clear << count | filled) & mask | ~mask & ALL, ones << count & mask, sources)
    high = mask & ~(mask >> count)
    new = ((clear & mask) >> count, (ones & mask) >> count)
    top = 1 << 8 * size - 1
    if kind == "shr" or clear & top:
        return (new[0] | high | ~mask & ALL, new[1], sources)
    if ones & top:
        return (new[0] | ~mask & ALL, new[1] | high, sources)
    return (new[0] | ~mask & ALL, new[1], sources)


def _bit(value: Value, bit: int) -> bool | None:
    if value[0] >> bit & 1:
        return False
    return True if value[1] >> bit & 1 else None


def _tested(
    result: Value | None, size: int, carry: bool | None, sources: Sources
) -> tuple[Any, ...]:
    """Return zero, carry, sign and overflow after a result."""
    mask = (1 << 8 * size) - 1
    clear, ones, _ = _bits(result)
    zero = True if clear & mask == mask else False if ones & mask else None
    sign = _bit((clear, ones), 8 * size - 1)
    return (zero, carry, sign, carry, sources)


def _compared(
    one: Value | None, other: Value | None, size: int, sources: Sources
) -> tuple[Any, ...]:
    mask = (1 << 8 * size) - 1
    (c1, o1, _), (c2, o2, _) = _bits(one), _bits(other)
    low1, high1, low2, high2 = o1 & mask, ~c1 & mask, o2 & mask, ~c2 & mask
    zero = None
    if (o1 & c2 | c1 & o2) & mask:
        zero = False
    elif low1 == high1 == low2 == high2:
        zero = True
    carry = True if high1 < low2 else False if low1 >= high2 else None
    sign = overflow = None
    top = 1 << 8 * size - 1
    if c1 & top and c2 & top:  # neither is negative: the signed order is the unsigned one
        sign, overflow = carry, False
    return (zero, carry, sign, overflow, sources)


def _joined_flags(one: tuple[Any, ...], other: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if other is None:
        return None
    flags = tuple(a if a == b else None for a, b in zip(one[:4], other[:4], strict=True))
    return None if flags == (None,) * 4 else (*flags, one[4] | other[4])


def _condition(number: int, flags: tuple[Any, ...]) -> bool | None:
    """Return whether a condition holds, as x86 numbers them; None where it may or may not."""
    zero, carry, sign, overflow, _ = flags
    less = None if sign is None or overflow is None else sign != overflow
    plain = {
        0: overflow,
        1: carry,
        2: zero,
        3: _either(carry, zero),
        4: sign,
        5: None,
        6: less,
        7: _either(less, zero),
    }[number >> 1]
    if plain is None:
        return None
    return bool(plain) != bool(number & 1)


def _either(one: bool | None, other: bool | None) -> bool | None:
    if one or other:
        return True
    return None if one is None or other is None else False
