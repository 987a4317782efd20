"""Which parts of an x86-64 function run on a machine that lacks some features.

The function is run on sets of machines at once: of each register it is known which bits are
surely clear and surely set. A branch that a test of features decides is followed one way only, so
what is left out is what the test guards. What is not understood is taken for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from uplift.isa.bodies import Body
from uplift.isa.flow import ASKED, DOUBT, DOUBTFUL, FLAGS, Flow, Outcome, World
from uplift.isa.values import (
    ALL,
    NOTHING,
    POINTERS,
    UNKNOWN_FLAGS,
    State,
    Value,
    addresses,
    bits,
    compared,
    computed,
    holds,
    inserted,
    is_address,
    join,
    joined_states,
    known,
    known_bit,
    narrow,
    shifted,
    sign_extended,
    tested,
)
from uplift.isa.x86_steps import FIXED, NONE, Operand, Step

_CALLER_SAVED = (0, 1, 2, 6, 7, 8, 9, 10, 11)
_STACK = (4, 5)
_ARGUMENTS = (7, 6, 2, 1, 8, 9)


def evaluate(body: Body, world: World, entries: Mapping[int, State]) -> Outcome:
    """Follow a function's flow on the machines of ``world``.

    :param entries: where it is entered, and what is known of registers there, whoever does it.
    """
    run = _Run(body, world)
    run.follow(entries)
    return run.out


class _Run(Flow):
    """What instructions do to what is known."""

    def one(self, step: Step, state: State) -> bool:
        """Carry out one instruction; return whether the flow goes on behind it."""
        for operand in step.operands:
            if operand[0] == "m" and step.kind != "lea" and not self._is_followed(step, operand):
                self._use_base(operand, state)
        action = _ACTIONS.get(step.kind)
        if action is None:
            self.forget(state)
            self.clear(state)
            return True
        return action(self, step, state)

    def _is_followed(self, step: Step, operand: Operand) -> bool:
        """Whether just a pointer is read that the file holds: what is done with it is seen."""
        if step.kind not in ("mov", "cmp") or step.size != 8 or operand[1] != FIXED:
            return False
        return operand is step.operands[-1] and is_address(self.world.load(operand[4], 8))

    def _use_base(self, operand: Operand, state: State) -> None:
        if operand[1] == FIXED:
            self.lead(self.out.taken, operand[4], self.doubt)
            return
        for register in operand[1:3]:
            if register >= 0:
                self.escape(state.get(register))

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
        if value[0] in POINTERS:
            return value if size >= 4 else None
        return narrow(value, size, 8 if kind == "h" else 0)

    def _load(self, operand: Operand, size: int, state: State) -> Value | None:
        place = self._place(operand, state)
        if place is None:
            return None
        if place[0] == "@":
            return self.world.load(place[1], size)
        if place[0] == "p":
            return self.world.load_of(place[1], place[2], size)
        value = state.get(place)
        return narrow(value, size) if value and value[0] not in POINTERS else value

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
            value = inserted(state.get(number), value, size, 8 if operand[0] == "h" else 0)
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
        self.escape(value)
        place = self._place(operand, state)
        if place is None or place[0] == "p":
            self.out.lets_out |= bool(bits(value)[2]) and operand[1] not in _STACK
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
                    self.escape(state.get(register))
            place = None
        self._put(step.operands[0], 8, place, state)
        return True

    def _extend(self, step: Step, state: State) -> bool:
        width = int(step.kind[-1])
        value = self._get(step.operands[1], width, state)
        if value is not None and step.kind.startswith("signed") and value[0] not in POINTERS:
            value = sign_extended(value, width, step.size)
        self._put(step.operands[0], step.size, value, state)
        return True

    def _arithmetic(self, step: Step, state: State) -> bool:
        target, source = step.operands
        one, other = self._get(target, step.size, state), self._get(source, step.size, state)
        if step.kind in ("xor", "sub") and target == source:
            result: Value | None = known(0)
        else:
            result = computed(step.kind, one, other, step.size)
        if step.kind not in ("test", "cmp") and target != source and not is_address(result):
            self.escape(one)
            self.escape(other)
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
        sources = bits(one)[2] | bits(other)[2]
        if step.kind in ("cmp", "sub"):
            flags = compared(one, other, step.size, sources)
            test, fails = self._chosen(step, one, other)
            if test:
                flags = (False if fails else None, None, None, None, frozenset({test}))
        else:
            carry = False if step.kind in ("and", "or", "xor", "test") else None
            flags = tested(result, step.size, carry, sources)
        self._set_flags(flags, state)

    def _chosen(self, step: Step, one: Value | None, other: Value | None) -> tuple[str, bool]:
        """Say which test something unknown passed if it is the address it is compared with."""
        if is_address(one) and other is None:
            one, other = other, one
        if step.kind != "cmp" or step.size != 8 or one is not None or other is None:
            return "", False
        return self.world.chosen(other[1]) if is_address(other) else ("", False)

    def _set_flags(self, flags: tuple[Any, ...], state: State) -> None:
        if flags == UNKNOWN_FLAGS:
            state.pop(FLAGS, None)
        else:
            state[FLAGS] = flags

    def _single(self, step: Step, state: State) -> bool:
        target = step.operands[0]
        value = self._get(target, step.size, state)
        result: Value | None = None
        mask = (1 << 8 * step.size) - 1
        if value is not None and value[0] not in POINTERS:
            clear, ones, sources = value
            if step.kind == "not":
                result = (ones & mask | ~mask & ALL, clear & mask, sources)
            elif (clear | ones) & mask == mask:
                change = {"neg": -(ones & mask), "inc": ones + 1, "dec": ones - 1}[step.kind]
                result = known(change & mask, sources)
            elif sources:
                result = (0, 0, sources)
        if step.kind != "not":
            self._set_flags(tested(result, step.size, None, bits(value)[2]), state)
        self._put(target, step.size, result, state)
        return True

    def _shift(self, step: Step, state: State) -> bool:
        target, count = step.operands[0], step.operands[1][1]
        value = self._get(target, step.size, state)
        result: Value | None = None
        if value is not None and value[0] not in POINTERS:
            result = shifted(step.kind, value, count, step.size)
        carry = None
        if value is not None and value[0] not in POINTERS and count:
            bit = count - 1 if step.kind != "shl" else 8 * step.size - count
            carry = known_bit(value, bit)
        self._set_flags(tested(result, step.size, carry, bits(value)[2]), state)
        self._put(target, step.size, result, state)
        return True

    def _bit_test(self, step: Step, state: State) -> bool:
        target, number = step.operands
        index = bits(self._get(number, step.size, state))
        value = self._get(target, step.size, state)
        flags: tuple[Any, ...] = UNKNOWN_FLAGS
        if (index[0] | index[1]) & 0xFF == 0xFF and value is not None and value[0] not in POINTERS:
            bit = index[1] & (8 * step.size - 1)
            flags = (None, known_bit(value, bit), None, None, value[2])
            if step.kind != "bt":
                change = known(1 << bit)
                other = change if step.kind == "bts" else (change[1], change[0], NOTHING)
                kind = "or" if step.kind == "bts" else "and"
                self._put(target, step.size, computed(kind, value, other, step.size), state)
        elif step.kind != "bt":
            self._put(target, step.size, None, state)
        self._set_flags(flags, state)
        return True

    def _set_byte(self, step: Step, state: State) -> bool:
        decided = self._decided(step.condition, state)
        sources = state.get(FLAGS, UNKNOWN_FLAGS)[4]
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
                self._escape_both(old, new, bool(state.get(FLAGS, UNKNOWN_FLAGS)[4]))
        else:
            chosen = new if decided else old
            self.out.guards |= state[FLAGS][4]
            if chosen is not None and chosen[0] not in POINTERS:
                chosen = (chosen[0], chosen[1], chosen[2] | state[FLAGS][4])
        self._put(target, step.size, chosen, state)
        return True

    def _escape_both(self, one: Value | None, other: Value | None, asked: bool) -> None:
        """Take both of two addresses; surely so only where no feature was asked about."""
        before = self.doubt
        self.doubt = before or asked
        self.escape(one)
        self.escape(other)
        self.doubt = before

    def _branch(self, step: Step, state: State) -> bool:
        decided = self._decided(step.condition, state) if step.condition < 16 else None
        if decided is not None:
            self.out.guards |= state[FLAGS][4]
        elif ASKED in state or state.get(FLAGS, UNKNOWN_FLAGS)[4]:
            state[DOUBT] = DOUBTFUL
        if decided is not False:
            self.enter(step.target, state)
        if decided is not True:
            self.enter(step.end, state)
        return False

    def _decided(self, condition: int, state: State) -> bool | None:
        return holds(condition, state.get(FLAGS, UNKNOWN_FLAGS))

    def _jump(self, step: Step, state: State) -> bool:
        self.enter(step.target, state)
        return False

    def leave(self, at: int, state: State) -> None:
        """Go on in another function for good: what it answers, this one does."""
        self._pass_on(at, state)
        self._answer(self.world.call(at))

    def _jump_at(self, step: Step, state: State) -> bool:
        self._use_target(step, state)
        if step.operands[0][:2] != ("m", FIXED):
            for orphan in self.body.orphans:
                self.enter(orphan, {})
        self._pass_on(0, state)
        self._answer(None)
        return False

    def _call(self, step: Step, state: State) -> bool:
        if step.target == step.end:  # asks where it is
            self._clobber(step, state)
            return True
        self.lead(self.out.calls, step.target, self.doubt)
        self._pass_on(step.target, state)
        self._after_call(self.world.call(step.target), state)
        if self.world.asks(step.target):
            self._ask(state)
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
                self.lead(self.out.slots, place[1], self.doubt)
                return self.world.call_slot(place[1])
            return None
        value = self._get(operand, 8, state)
        for address in addresses(value):
            self.lead(self.out.calls, address, self.doubt or not is_address(value))
        return self.world.call(value[1]) if value is not None and is_address(value) else None

    def _pass_on(self, target: int, state: State) -> None:
        known_of = {}
        for key, value in state.items():
            if value[0] == "?":
                self.escape(value)
            elif isinstance(key, int):
                known_of[key] = value
        before = self.out.arguments.get(target)
        self.out.arguments[target] = known_of if before is None else joined_states(before, known_of)
        for register in _ARGUMENTS:
            value = state.get(register)
            self.escape(value)
            if value is not None and is_address(value):
                self.out.passed.setdefault(target, set()).add(value[1])

    def _after_call(self, answer: Value | None, state: State) -> None:
        for register in _CALLER_SAVED:
            state.pop(register, None)
        state.pop(FLAGS, None)
        if answer is not None:
            state[0] = answer

    def _return(self, _: Step, state: State) -> bool:
        self.escape(state.get(0))
        self._answer(state.get(0))
        return False

    def _answer(self, value: Value | None) -> None:
        self.out.answer = join(self.out.answer, value) if self.out.answered else value
        self.out.answered = True

    def _push(self, step: Step, state: State) -> bool:
        self.escape(self._get(step.operands[0], 8, state))
        self._move_stack(state)
        return True

    def _move_stack(self, state: State) -> None:
        for key in [k for k in state if isinstance(k, tuple) and k[1] == 4]:
            self.escape(state.pop(key))

    def _clobber(self, step: Step, state: State) -> bool:
        for operand in step.operands:
            if operand[0] in ("r", "h"):
                self.escape(state.get(operand[1]))
                self._set(operand[1], None, state)
            elif operand[0] == "m" and (operand[1] != FIXED or step.at in self.body.writes):
                self._store(operand, 8, None, state)
        state.pop(FLAGS, None)
        return True

    def _vector(self, step: Step, state: State) -> bool:
        for operand in step.operands:
            if operand[0] == "m" and step.at in self.body.writes:
                self.out.stores.setdefault(operand[4], []).append((None, 16))
        state.pop(FLAGS, None)
        return True

    def _xchg(self, step: Step, state: State) -> bool:
        one, other = step.operands
        first, second = self._get(one, step.size, state), self._get(other, step.size, state)
        self._put(one, step.size, second, state)
        self._put(other, step.size, first, state)
        return True

    def _ask(self, state: State) -> None:
        state[ASKED] = DOUBTFUL
        self.out.asked = True

    def _cpuid(self, _: Step, state: State) -> bool:
        self._ask(state)
        leaf, subleaf = bits(state.get(0)), bits(state.get(1))
        exact = (leaf[0] | leaf[1]) & 0xFFFFFFFF == 0xFFFFFFFF
        answers = self.world.cpuid(leaf[1] & 0xFFFFFFFF if exact else -1, subleaf[1] & 0xFFFFFFFF)
        for register, value in enumerate(answers):
            self._set(register, value, state)
        return True

    def _rdssp(self, step: Step, state: State) -> bool:
        """Say that shadow stacks are off: the register stays as it is, and compilers clear it.

        GCC's and LLVM's ``_get_ssp``; the clearing may stand before a call in between.
        """
        self._set(step.operands[0][1], known(0, frozenset({"RDSSP"})), state)
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
    "rdssp": _Run._rdssp,
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
