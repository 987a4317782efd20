"""Follows the functions of a file that have to do with features, on one kind of machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from uplift.isa.elf import Ints
from uplift.isa.feature_memory import Words, named_word
from uplift.isa.feature_words import ANSWERS, KNOWN, OPAQUE, POINTS, Features, bits
from uplift.isa.flow import Outcome
from uplift.isa.program import Program
from uplift.isa.range_rows import ADDRESS, CALL, CALL_MEMORY, STORE
from uplift.isa.reachability import Edges
from uplift.isa.values import ALL, POINTERS, State, Value, joined_states, known

_ROUNDS = 12
_LAST_ROUNDS = 4
_MAX_JUDGED = 20_000  #: functions whose flow is followed
_MAX_WRITTEN = 64  #: functions that write a word, so that it can still be one of features
_FILLS = frozenset({b"__cpu_indicator_init"})
_NO_RETURN = frozenset(
    {"abort", "exit", "_exit", "_Exit", "quick_exit", "__stack_chk_fail", "__assert_fail",
     "__assert_perror_fail", "__chk_fail", "__fortify_fail", "longjmp", "siglongjmp", "err",
     "errx", "verr", "verrx", "_Unwind_Resume", "__cxa_throw", "__cxa_rethrow",
     "_ZSt9terminatev", "__cxa_bad_cast", "__cxa_throw_bad_array_new_length", "pthread_exit"}
)  # fmt: skip


class Judge:
    """Follows the functions of one file that have to do with features."""

    def __init__(
        self, program: Program, features: Features, chosen: Mapping[int, bool] | None = None
    ) -> None:
        self.program, self.features = program, features
        self._chosen = chosen or {}
        self.places, self.found, self.refs = program.places, program.found, program.refs
        self.words = Words(program, features)
        self.outcomes: dict[int, Outcome] = {}
        self._calls: dict[int, Value | None] = {}

    # the world around a function

    def is_place(self, value: int) -> bool:
        """See :class:`guards.World`."""
        return self.program.is_place(value)

    def load(self, address: int, size: int) -> Value | None:
        """See :class:`guards.World`."""
        if size == 8:
            name = self.places.external(address)
            if name in KNOWN or name in OPAQUE:
                if not self.program.is_place(self.program.pointed(address)):
                    return ("p", name, 0)
                return ("@", self.program.pointed(address))
            target = self.program.pointed(address)
            if target:
                return ("@", target)
        return self.words.load(address, size)

    def load_of(self, name: str, offset: int, size: int) -> Value | None:
        """See :class:`guards.World`."""
        return named_word(name, offset, size, self.features)

    def call(self, target: int) -> Value | None:
        """See :class:`guards.World`."""
        if target not in self._calls:
            slot = self.program.slot_of(target)
            self._calls[target] = (
                self.call_slot(slot) if slot is not None else self._answer_of(target)
            )
        return self._calls[target]

    def call_slot(self, slot: int) -> Value | None:
        """See :class:`guards.World`."""
        target = self.program.pointed(slot)
        return self._answer_of(target) if target else _by_name(self.places.external(slot))

    def asks(self, target: int) -> bool:
        """See :class:`guards.World`."""
        number = self.program.number(target)
        outcome = self.outcomes.get(number)
        return number in self.program.asking or (outcome is not None and outcome.asked)

    def chosen(self, address: int) -> tuple[str, bool]:
        """See :class:`guards.World`."""
        if address not in self._chosen:
            return "", False
        label = f"the address of {self.program.name_of(address) or hex(address)}"
        return label, self._chosen[address]

    def comes_back(self, target: int) -> bool:
        """See :class:`guards.World`."""
        return self.program.name_of(target) not in _NO_RETURN

    def cpuid(self, leaf: int, subleaf: int) -> tuple[Value | None, ...]:
        """See :class:`guards.World`."""
        sources = frozenset({"CPUID"})
        high = ALL & ~0xFFFFFFFF
        found = []
        for register in range(4):
            clear, ones = bits((leaf, subleaf if leaf == 7 else 0, register), 0, self.features)
            found.append((clear | high, ones, sources))
        return tuple(found)

    def _answer_of(self, target: int) -> Value | None:
        by_name = _by_name(self.places.names.at(target))
        if by_name is not None:
            return by_name
        number = self.program.number(target)
        outcome = self.outcomes.get(number)
        if outcome is None or not outcome.answered:
            return None
        answer = outcome.answer
        if answer is not None and answer[0] not in POINTERS and outcome.guards:
            answer = (answer[0], answer[1], answer[2] | outcome.guards)
        usable = answer is not None and answer[0] not in POINTERS and (answer[2] or answer[1])
        if usable:
            return answer
        if outcome.asked:
            return (0, 0, frozenset({f"an answer of CPUID at {target:#x}"}))
        return None if answer is None or answer[0] == "?" else answer

    def run(self, always: Iterable[int] = ()) -> None:
        """Follow functions until nothing new is learnt of words and answers."""
        waiting = (
            set(always) | set(self.program.asking) | self.program.touching_names | self.program.also
        )
        for left in reversed(range(_ROUNDS)):
            if not waiting or len(self.outcomes) > _MAX_JUDGED:
                return
            before = dict(self.words.bytes), dict(self.words.opaque), self._answers()
            given = {n: self.entries(n) for n in self.outcomes}
            for number in sorted(waiting):
                self._follow(number)
            self._learn()
            self._calls.clear()
            if left < _LAST_ROUNDS:  # what still changes is not followed to its end
                for place in [a for a, v in self.words.bytes.items() if before[0].get(a) != v]:
                    self.words.spoil(place, 1)
            writers = self._writers()
            waiting = self._changed(before) | self._informed(given) | writers
        for number in waiting:
            self.outcomes.pop(number, None)

    def _follow(self, number: int) -> None:
        body = self.program.body(number)
        if body is None:
            return
        entries = self.entries(number)
        self.outcomes[number] = self.program.recollection.follow(number, body, self, entries)

    def entries(self, number: int) -> dict[int, State]:
        """Return where a function is entered, and what all who enter know of registers there."""
        start = int(self.found.start[number])
        entered = self.program.entered(number)
        found = {at: self._given(at, callers) for at, callers in entered.items()}
        if number in self.program.open or not found:
            found[start] = {}
        return found

    def _given(self, at: int, callers: frozenset[int]) -> State:
        state: State | None = None
        for caller in callers:
            outcome = self.outcomes.get(caller) if caller >= 0 else None
            if outcome is None or not outcome.complete:
                return {}
            given = outcome.arguments.get(at)
            if given is not None:
                state = given if state is None else joined_states(state, given)
        return dict(state or {})

    def _informed(self, before: Mapping[int, Mapping[int, State]]) -> set[int]:
        """Return the functions of whose arguments something of features was learnt."""
        wanted: set[int] = set()
        for number, outcome in self.outcomes.items():
            for target, state in outcome.arguments.items():
                if not target or not any(
                    _has_sources(v) or v[0] in ("@", "?") for v in state.values()
                ):
                    continue
                callee = self.program.number(target)
                if callee < 0 or callee == number:
                    continue
                asks = any(v[0] not in ("@", "?") for v in state.values() if _has_sources(v))
                if not asks and callee not in self.outcomes:
                    continue
                if before.get(callee) != self.entries(callee):
                    wanted.add(callee)
        return wanted

    def _answers(self) -> dict[int, Value | None]:
        return {n: self._answer_of(int(self.found.start[n])) for n in self.outcomes}

    def _learn(self) -> None:
        """Put together what all followed functions store, byte by byte."""
        written: dict[int, list[Value | None]] = {}
        opaque = dict(self.words.opaque)
        decided = self._decided_words()
        for number, outcome in self.outcomes.items():
            asks = number in self.program.asking
            for callee, addresses in outcome.passed.items():
                if self.program.number(callee) in self.program.asking:
                    self.words.passed(addresses, opaque)
            for address, values in outcome.stores.items():
                for value, size in values:
                    self.words.note(written, opaque, address, (value, size), asks)
                    for place in range(address, address + size if outcome.guards else address):
                        decided[place] = decided.get(place, frozenset()) | outcome.guards
        self.words.opaque = opaque
        self.words.settle(written, decided)

    def _decided_words(self) -> dict[int, frozenset[str]]:
        """Return the bytes that functions write whose flow features decide, with what decides.

        A write that no machine of these reaches leaves the byte as the file has it.
        """
        found: dict[int, frozenset[str]] = {}
        for number, outcome in self.outcomes.items():
            body = self.program.body(number)
            if not outcome.guards or not outcome.complete or body is None:
                continue
            low, high = (int(edge[number]) for edge in self.program.by_function)
            for at, kind, target in zip(
                *(c[low:high].tolist() for c in (self.refs.at, self.refs.kind, self.refs.target)),
                strict=True,
            ):
                step = body.step(at) if kind == STORE else None
                size = step.size if step and step.kind != "vector" else 16
                for place in range(target, target + size if kind == STORE else target):
                    found[place] = found.get(place, frozenset()) | outcome.guards
        return found

    def _writers(self) -> set[int]:
        """Return who else writes to words that features decide; spoil those of too many."""
        places = np.array(sorted(self.words.bytes), np.int64)
        stores = self.refs.kind == STORE
        hit = np.flatnonzero(stores & np.isin(self.refs.target, places))
        numbers = self.found.index(self.refs.at[hit])
        wanted: set[int] = set()
        for number, target in zip(numbers.tolist(), self.refs.target[hit].tolist(), strict=True):
            outcome = self.outcomes.get(number)
            if number < 0 or (outcome is not None and not outcome.complete):
                self.words.spoil(target)
            elif outcome is None:
                wanted.add(number)
        if len(wanted) > _MAX_WRITTEN:
            for number, target in zip(
                numbers.tolist(), self.refs.target[hit].tolist(), strict=True
            ):
                if number in wanted:
                    self.words.spoil(target)
            return set()
        return wanted

    def _changed(
        self, before: tuple[dict[int, Value], dict[int, str], dict[int, Value | None]]
    ) -> set[int]:
        """Return the functions that depend on what was learnt."""
        old_bytes, old_opaque, old_answers = before
        words = {a for a, v in self.words.bytes.items() if old_bytes.get(a) != v}
        words |= set(old_bytes) - set(self.words.bytes)
        words |= self.words.opaque.keys() - old_opaque.keys()
        found: set[int] = set()
        for start, end in _runs(words):
            readers = self.program.readers(start, end)
            if len(readers) <= _MAX_JUDGED:
                found |= set(readers)
        for number, answer in self._answers().items():
            if old_answers.get(number) != answer and answer is not None and _has_sources(answer):
                found |= set(self.program.callers(int(self.found.start[number])))
        return found - {-1}

    def refusing(self) -> Ints:
        """Return the starts of functions that answer no on these machines, for lack of features."""
        found = [
            int(self.found.start[number])
            for number, outcome in self.outcomes.items()
            if outcome.complete and outcome.answered and _is_no(outcome)
        ]
        return np.array(sorted(found), np.int64)

    @property
    def loses_track(self) -> bool:
        """Whether what the processor can do is kept where any branch may ask for it."""
        lost = {number for number, outcome in self.outcomes.items() if outcome.lets_out}
        return bool(lost - self._of_the_compiler() - set(self.places.silent.tolist()))

    def _of_the_compiler(self) -> set[int]:
        """Return libgcc's functions that fill __cpu_model, whose layout is known."""
        named = self.places.names.named(_FILLS)
        numbers = {self.program.number(address) for _, address, _ in named}
        called = [self.outcomes[n].calls for n in numbers if n in self.outcomes]
        return numbers | {self.program.number(target) for each in called for target in each}

    def edges(self) -> Edges:
        """Return the edges of code that are left on these machines.

        Where track is lost of what was asked, only calls before any branch are sure.
        """
        left = self._edges()
        return self.places.without_branches(left) if self.loses_track else left

    def _edges(self) -> Edges:
        done = [n for n, outcome in self.outcomes.items() if outcome.complete]
        kept = self.places.code_edges.without(np.array(done, np.int64))
        rows = [row for number in done for row in self._led_to(number)]
        source, kind, target, sure = np.array(rows, np.int64).reshape(-1, 4).T
        keep = sure != 0
        made = self.places.edges(source[keep], kind[keep], target[keep])
        doubtful = self.places.edges(source[~keep], kind[~keep], target[~keep])
        doubtful = Edges(doubtful.source, doubtful.target, np.zeros(len(doubtful.source), np.bool_))
        return kept.joined(made).joined(doubtful).without(self.places.silent)

    def _led_to(self, number: int) -> Iterator[tuple[int, int, int, bool]]:
        outcome = self.outcomes[number]
        ways = ((outcome.calls, CALL), (outcome.taken, ADDRESS), (outcome.slots, CALL_MEMORY))
        for addresses, kind in ways:
            for address in addresses:
                if kind != ADDRESS or self._is_named(address):
                    yield number, kind, address, address in outcome.sure

    def _is_named(self, address: int) -> bool:
        """Whether code or data names the address; one computed into a function is none of it."""
        if not -(1 << 63) <= address < 1 << 63:
            return False
        number = self.program.number(address)
        return number < 0 or address == self.found.start[number] or address in self.program.inner


def _is_no(outcome: Outcome) -> bool:
    answer = outcome.answer
    if answer is None or answer[0] in POINTERS:
        return False
    return answer[0] & 0xFFFFFFFF == 0xFFFFFFFF and bool(answer[2] or outcome.guards)


def _by_name(name: str) -> Value | None:
    if name in POINTS:
        return ("p", name, 0)
    if name in ANSWERS:
        return known(0, frozenset({name}))
    return None


def _has_sources(value: Value) -> bool:
    return value[0] == "p" or (value[0] not in POINTERS and bool(value[2]))


def _runs(addresses: set[int]) -> list[tuple[int, int]]:
    """Return addresses as ranges of neighbours."""
    found: list[tuple[int, int]] = []
    for address in sorted(addresses):
        if found and address == found[-1][1]:
            found[-1] = (found[-1][0], address + 1)
        else:
            found.append((address, address + 1))
    return found
