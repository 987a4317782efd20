"""Which functions a file keeps for processors that have more: how each is reached, told by what.

A machine of the baseline is put before the file's own tests of features: words that compilers,
libraries and the file itself keep, answers of CPUID, of the kernel's hints, of resolvers. What
such a machine still comes to is reached always, or nobody saw how; what it does not come to,
while another does, is dispatched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from uplift.isa import decoder, guards
from uplift.isa.elf import EXECUTABLE, RELOCATABLE, Elf, Ints
from uplift.isa.feature_words import (
    ANSWERS,
    KNOWN,
    NAMES,
    OPAQUE,
    POINTS,
    Features,
    bits,
)
from uplift.isa.functions import Part, Ranges, References
from uplift.isa.guards import ALL, Body, Outcome, State, Value, known
from uplift.isa.range_rows import (
    ADDRESS,
    BRANCH,
    CALL,
    CALL_MEMORY,
    FLAG_TEST,
    IDENTITY,
    INDIRECT,
    JUMP,
    JUMP_MEMORY,
    LOAD,
    STORE,
)
from uplift.isa.reachability import Edges, Places, Reached, Records, frontier, lonely, reached
from uplift.isa.symbols import FUNCTION, RESOLVER, Names

_ROUNDS = 12
_LAST_ROUNDS = 4
_MAX_JUDGED = 20_000  #: functions whose flow is followed
_MAX_FUNCTION = 1 << 18  #: bytes; longer ones are tables or whole programs in one function
_PASSED_WORDS = 40  #: bytes behind an address given to a function that asks CPUID
_MAX_WRITTEN = 64  #: functions that write a word, so that it can still be one of features
_NEAR = 64  #: bytes behind an address that code takes to read what lies there
_MAIN = ("main", "main.main", "_start", "runtime.main")
_NO_RETURN = frozenset(
    {"abort", "exit", "_exit", "_Exit", "quick_exit", "__stack_chk_fail", "__assert_fail",
     "__assert_perror_fail", "__chk_fail", "__fortify_fail", "longjmp", "siglongjmp", "err",
     "errx", "verr", "verrx", "_Unwind_Resume", "__cxa_throw", "__cxa_rethrow",
     "_ZSt9terminatev", "__cxa_bad_cast", "__cxa_throw_bad_array_new_length", "pthread_exit"}
)  # fmt: skip


@dataclass(frozen=True)
class Verdicts:
    """How the functions of a file are reached on one kind of machine.

    :param outcomes: of functions whose flow was followed, by number.
    :param origin: for functions that only guarded code leads to, the function with the guard.
    """

    reached: Reached
    outcomes: Mapping[int, Outcome]
    origin: Mapping[int, int]
    resolvers: frozenset[int]
    sources: Mapping[int, str] = field(default_factory=dict)


class Words:
    """The file's memory as far as features decide what it holds, byte by byte."""

    def __init__(self, places: Places, features: Features) -> None:
        self.places, self.features = places, features
        self.bytes: dict[int, Value] = {}
        self.ranges: list[tuple[int, int, str]] = []  #: variables of known names
        self.opaque: dict[int, str] = {}  #: bytes that something set from CPUID
        for name, address, size in places.names.named(NAMES):
            if name in KNOWN or name in OPAQUE:
                self.ranges.append((address, address + (size or 16), name))

    def load(self, address: int, size: int) -> Value | None:
        for start, end, name in self.ranges:
            if start <= address < end:
                return named_word(name, address - start, size, self.features)
        clear = ones = 0
        sources: frozenset[str] = frozenset()
        for index in range(min(size, 8)):
            place = address + index
            if place in self.opaque:
                value: Value | None = known(0, frozenset({self.opaque[place]}))
            else:
                value = self.bytes.get(place)
            if value is None:
                continue
            clear |= (value[0] & 0xFF) << 8 * index
            ones |= (value[1] & 0xFF) << 8 * index
            sources |= value[2]
        if not sources:
            return None
        beyond = ALL << 8 * size & ALL if size < 8 else 0
        return (clear | beyond, ones, sources)


def named_word(name: str, offset: int, size: int, features: Features) -> Value:
    """Return what a machine of ``features`` finds in a variable of a known name."""
    sources = frozenset({name})
    if name not in KNOWN:
        return known(0, sources)
    clear, ones = 0, 0
    for at in range(offset & ~3, offset + size, 4):
        word = bits(name, at, features)
        shift = 8 * (at - offset)
        clear |= word[0] << shift if shift >= 0 else word[0] >> -shift
        ones |= word[1] << shift if shift >= 0 else word[1] >> -shift
    mask = (1 << 8 * size) - 1
    return (clear & mask | ~mask & ALL, ones & mask, sources)


class Judge:
    """Follows the functions of one file that have to do with features."""

    def __init__(self, places: Places, code: tuple[Part, ...], features: Features) -> None:
        self.places, self.code, self.features = places, code, features
        self.found, self.refs = places.found, places.refs
        self.words = Words(places, features)
        self.outcomes: dict[int, Outcome] = {}
        self.stores: dict[int, dict[int, list[tuple[Value | None, int]]]] = {}
        self._calls: dict[int, Value | None] = {}
        self._bodies: dict[int, Body | None] = {}
        self._spoilt: set[int] = set()

    # the world around a function

    def load(self, address: int, size: int) -> Value | None:
        """See :class:`guards.World`."""
        if size == 8:
            name = self.places.external(address)
            if name in KNOWN or name in OPAQUE:
                if not self.is_place(self._pointed(address)):
                    return ("p", name, 0)
                return ("@", self._pointed(address))
            target = self._pointed(address)
            if target:
                return ("@", target)
        return self.words.load(address, size)

    def load_of(self, name: str, offset: int, size: int) -> Value | None:
        """See :class:`guards.World`."""
        return named_word(name, offset, size, self.features)

    def call(self, target: int) -> Value | None:
        """See :class:`guards.World`."""
        if target not in self._calls:
            slot = self.places.slot_of(target)
            self._calls[target] = (
                self.call_slot(slot) if slot is not None else self._answer_of(target)
            )
        return self._calls[target]

    def call_slot(self, slot: int) -> Value | None:
        """See :class:`guards.World`."""
        target = self._pointed(slot)
        return self._answer_of(target) if target else _by_name(self.places.external(slot))

    def comes_back(self, target: int) -> bool:
        """See :class:`guards.World`."""
        return self._name_of(target) not in _NO_RETURN

    def cpuid(self, leaf: int, subleaf: int) -> tuple[Value | None, ...]:
        """See :class:`guards.World`."""
        sources = frozenset({"CPUID"})
        high = ALL & ~0xFFFFFFFF
        found = []
        for register in range(4):
            clear, ones = bits((leaf, subleaf if leaf == 7 else 0, register), 0, self.features)
            found.append((clear | high, ones, sources))
        return tuple(found)

    def is_place(self, value: int) -> bool:
        """See :class:`guards.World`."""
        if self.places.elf.kind != EXECUTABLE or value < 4096:
            return False
        return (
            bool(self.places.node(np.array([value], np.int64))[0] >= 0)
            if value < 1 << 62
            else False
        )

    def _pointed(self, slot: int) -> int:
        target, there = self.places.pointed(np.array([slot], np.int64))
        return int(target[0]) if there[0] else 0

    def _name_of(self, target: int) -> str:
        slot = self.places.slot_of(target)
        return self.places.external(slot) if slot is not None else self.places.names.at(target)

    def _answer_of(self, target: int) -> Value | None:
        by_name = _by_name(self.places.names.at(target))
        if by_name is not None:
            return by_name
        number = int(self.found.index(np.array([target], np.int64))[0])
        outcome = self.outcomes.get(number)
        if outcome is None or not outcome.answered:
            return None
        answer = outcome.answer
        if answer is not None and answer[0] not in ("@", "p") and outcome.guards:
            answer = (answer[0], answer[1], answer[2] | outcome.guards)
        usable = answer is not None and answer[0] not in ("@", "p") and (answer[2] or answer[1])
        if usable:
            return answer
        if number in self.asking:
            return known(0, frozenset({f"an answer of CPUID at {target:#x}"}))
        return answer if answer is not None else None

    # what is followed

    @cached_property
    def asking(self) -> frozenset[int]:
        """The functions that ask the processor itself."""
        at = self.refs.at[self.refs.kind == IDENTITY]
        return frozenset(np.unique(self.found.index(at)).tolist()) - {-1}

    @cached_property
    def _by_function(self) -> tuple[Ints, Ints]:
        low = np.searchsorted(self.refs.at, self.found.start)
        return low, np.searchsorted(self.refs.at, self.found.end)

    def run(self, always: Iterable[int] = ()) -> None:
        """Follow functions until nothing new is learnt of words and answers."""
        waiting = set(always) | set(self.asking) | self._touching_names()
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
                    self._spoil(place, 1)
            writers = self._writers()
            waiting = self._changed(before) | self._informed(given) | writers
        for number in waiting:
            self.outcomes.pop(number, None)

    def _follow(self, number: int) -> None:
        body = self.body(number)
        if body is None:
            return
        self.outcomes[number] = guards.evaluate(body, self, self.entries(number))

    def entries(self, number: int) -> dict[int, State]:
        """Return where a function is entered, and what all who enter know of registers there."""
        start = int(self.found.start[number])
        entered = self.entered.get(number, {})
        found = {at: self._given(at, callers) for at, callers in entered.items()}
        if number in self.open or not found:
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
                state = given if state is None else guards.joined_states(state, given)
        return dict(state or {})

    @cached_property
    def open(self) -> frozenset[int]:
        """The functions that may be called from where nobody sees: by name or through pointers."""
        refs, places = self.refs, self.places
        taken = refs.target[np.isin(refs.kind, (ADDRESS, LOAD, STORE, FLAG_TEST))]
        numbers = self.found.index(np.concatenate([taken, places.pointers.target]))
        return frozenset(np.unique(np.concatenate([numbers, roots(places)])).tolist())

    @cached_property
    def entered(self) -> Mapping[int, Mapping[int, frozenset[int]]]:
        """For each function where others enter it, and which others (-1: nobody knows)."""
        refs, pointers = self.refs, self.places.pointers
        jumps, taken = self._flow, refs.kind == ADDRESS
        target = np.concatenate([refs.target[jumps], refs.target[taken], pointers.target])
        outside = np.full(len(target), -1)
        outside[: len(jumps)] = self.found.index(refs.at[jumps])
        home = np.full(len(target), -1)
        at = np.concatenate([refs.at[jumps], refs.at[taken]])
        home[: len(at)] = self.found.index(at)
        into = self.found.index(target)
        keep = (into >= 0) & (into != home)
        found: dict[int, dict[int, set[int]]] = {}
        columns = (into[keep].tolist(), target[keep].tolist(), outside[keep].tolist())
        for number, place, caller in zip(*columns, strict=True):
            found.setdefault(number, {}).setdefault(place, set()).add(caller)
        return {n: {a: frozenset(c) for a, c in at.items()} for n, at in found.items()}

    def _informed(self, before: Mapping[int, Mapping[int, State]]) -> set[int]:
        """Return the functions of whose arguments something of features was learnt."""
        wanted: set[int] = set()
        for number, outcome in self.outcomes.items():
            for target, state in outcome.arguments.items():
                if not target or not any(_has_sources(v) or v[0] == "@" for v in state.values()):
                    continue
                callee = self._number(target)
                if callee < 0 or callee == number:
                    continue
                asks = any(v[0] != "@" for v in state.values() if _has_sources(v))
                if not asks and callee not in self.outcomes:
                    continue
                if before.get(callee) != self.entries(callee):
                    wanted.add(callee)
        return wanted

    def _answers(self) -> dict[int, Value | None]:
        return {n: self._answer_of(int(self.found.start[n])) for n in self.outcomes}

    def _touching_names(self) -> set[int]:
        """Return the functions that refer to variables or functions of known names."""
        wanted: list[int] = []
        for start, end, _ in self.words.ranges:
            wanted += self._readers(start, end)
        symbols = self.places.pointers.symbol
        table = self.places.elf.dynamic_symbols
        known_symbols = [
            i for i in np.unique(symbols[symbols > 0]).tolist() if table.text(i).encode() in NAMES
        ]
        slots = self.places.pointers.place[np.isin(symbols, known_symbols)]
        wanted += self._users_of_slots(slots)
        functions = [a for n, a, _ in self.places.names.named(NAMES) if n in POINTS or n in ANSWERS]
        for address in functions:
            wanted += self._callers(address)
        return set(wanted) - {-1}

    def _readers(self, start: int, end: int) -> list[int]:
        """Return the functions that refer to addresses in a range, also through pointers."""
        near = np.where(self.refs.kind == ADDRESS, start - _NEAR, start)
        hit = (self.refs.target >= near) & (self.refs.target < end)
        pointers = self.places.pointers
        slots = pointers.place[(pointers.target >= start) & (pointers.target < end)]
        found: list[int] = np.unique(self.found.index(self.refs.at[hit])).tolist()
        return found + self._users_of_slots(slots)

    def _users_of_slots(self, slots: Ints) -> list[int]:
        users = np.isin(self.refs.target, slots)
        at = self.refs.at[users]
        called, stub = self._stub_slots
        through = np.isin(called, slots) & stub
        at = np.concatenate([at, self.refs.at[self._flow][through]])
        return list(np.unique(self.found.index(at)).tolist())

    @cached_property
    def _flow(self) -> Ints:
        kind = self.refs.kind
        return np.flatnonzero((kind == CALL) | (kind == JUMP) | (kind == BRANCH))

    @cached_property
    def _stub_slots(self) -> tuple[Ints, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        return self.places.through_stubs(self.refs.target[self._flow])

    def _callers(self, address: int) -> list[int]:
        at = self.refs.at[self.refs.target == address]
        found: list[int] = np.unique(self.found.index(at)).tolist()
        pointers = self.places.pointers
        return found + self._users_of_slots(pointers.place[pointers.target == address])

    def _learn(self) -> None:
        """Put together what all followed functions store, byte by byte."""
        written: dict[int, list[Value | None]] = {}
        opaque = dict(self.words.opaque)
        decided = self._decided_words()
        for number, outcome in self.outcomes.items():
            asks = number in self.asking
            for callee, addresses in outcome.passed.items():
                if self._number(callee) in self.asking:
                    self._pass(addresses, opaque)
            for address, values in outcome.stores.items():
                for value, size in values:
                    self._note(written, opaque, address, (value, size), asks)
                    for place in range(address, address + size if outcome.guards else address):
                        decided[place] = decided.get(place, frozenset()) | outcome.guards
        self.words.opaque = opaque
        self._settle(written, decided)

    def _settle(
        self, written: Mapping[int, list[Value | None]], decided: Mapping[int, frozenset[str]]
    ) -> None:
        """Widen each word by what is stored there.

        A new one is first taken for what the file holds: who reads it to change it is followed
        again with that, until nothing is added.
        """
        for address in written.keys() | decided.keys():
            stored = written.get(address, [])
            sources = decided.get(address, frozenset()).union(*(v[2] for v in stored if v))
            if address in self._spoilt or not sources:
                continue
            new = address not in self.words.bytes
            value = self._byte(address, [] if new else stored)
            if value is None or not (value[0] | value[1]) & 0xFF:
                self._spoil(address, 1)
            else:
                self.words.bytes[address] = (value[0], value[1], value[2] | sources)

    def _decided_words(self) -> dict[int, frozenset[str]]:
        """Return the bytes that functions write whose flow features decide, with what decides.

        A write that no machine of these reaches leaves the byte as the file has it.
        """
        found: dict[int, frozenset[str]] = {}
        for number, outcome in self.outcomes.items():
            body = self.body(number)
            if not outcome.guards or not outcome.complete or body is None:
                continue
            low, high = (int(edge[number]) for edge in self._by_function)
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
                self._spoil(target)
            elif outcome is None:
                wanted.add(number)
        if len(wanted) > _MAX_WRITTEN:
            for number, target in zip(
                numbers.tolist(), self.refs.target[hit].tolist(), strict=True
            ):
                if number in wanted:
                    self._spoil(target)
            return set()
        return wanted

    def _spoil(self, address: int, size: int = 16) -> None:
        for place in range(address, address + size):
            self._spoilt.add(place)
            self.words.bytes.pop(place, None)

    def _number(self, target: int) -> int:
        return int(self.found.index(np.array([target], np.int64))[0])

    def _pass(self, addresses: Iterable[int], opaque: dict[int, str]) -> None:
        for address in addresses:
            if self._is_writable(address):
                label = f"words at {address:#x} that CPUID fills"
                for place in range(address, address + _PASSED_WORDS):
                    opaque.setdefault(place, label)

    def _is_writable(self, address: int) -> bool:
        return any(
            s.kind == 1 and s.flags & 2 and s.address <= address < s.address + s.memory_size
            for s in self.places.elf.segments
        )

    def _note(
        self,
        written: dict[int, list[Value | None]],
        opaque: dict[int, str],
        address: int,
        store: tuple[Value | None, int],
        asks: bool,
    ) -> None:
        value, size = store
        unknown = value is None or value[0] in ("@", "p")
        blurred = (
            not unknown
            and value is not None
            and value[2]
            and not value[0] & 0xFF
            and not value[1] & 0xFF
        )
        if (unknown and asks) or blurred:
            for place in range(address, address + size):
                opaque.setdefault(place, f"a word at {address:#x} set from CPUID")
            return
        for index in range(size):
            part = None
            if not unknown and value is not None and index < 8:
                part = (value[0] >> 8 * index & 0xFF, value[1] >> 8 * index & 0xFF, value[2])
            written.setdefault(address + index, []).append(part)

    def _byte(self, address: int, stored: list[Value | None]) -> Value | None:
        raw = self.places.elf.at(address, 1)
        first = raw[0] if len(raw) else 0
        value: Value | None = (~first & 0xFF, first, frozenset())
        for each in stored:
            value = guards.join(value, each)
            if value is None:
                return None
        return value

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
            readers = self._readers(start, end)
            if len(readers) <= _MAX_JUDGED:
                found |= set(readers)
        for number, answer in self._answers().items():
            if old_answers.get(number) != answer and answer is not None and _has_sources(answer):
                found |= set(self._callers(int(self.found.start[number])))
        return found - {-1}

    def body(self, number: int) -> Body | None:
        """Return a function ready to be followed; None where it is too long or not decodable."""
        if number not in self._bodies:
            self._bodies[number] = self._body(number)
        return self._bodies[number]

    def _body(self, number: int) -> Body | None:
        start, end = int(self.found.start[number]), int(self.found.end[number])
        part = next((p for p in self.code if p.base <= start and end <= p.end), None)
        if part is None or end - start > _MAX_FUNCTION:
            return None
        raw = part.raw[start - part.base : end - part.base]
        sizes = np.frombuffer(decoder.lengths("x86-64", raw), np.uint8).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(np.maximum(sizes, 1))[:-1]])
        low, high = (int(edge[number]) for edge in self._by_function)
        refs = References(*(c[low:high] for c in (self.refs.at, self.refs.kind, self.refs.target)))
        entries = np.array(sorted(self.entered.get(number, {})), np.int64)
        return _body(start, end, raw, offsets, refs, entries)

    # results

    def refusing(self) -> Ints:
        """Return the starts of functions that answer no on these machines, for lack of features."""
        found = [
            int(self.found.start[number])
            for number, outcome in self.outcomes.items()
            if outcome.complete and outcome.answered and _is_no(outcome)
        ]
        return np.array(sorted(found), np.int64)

    def edges(self) -> Edges:
        """Return the edges of code that are left on these machines."""
        done = [n for n, outcome in self.outcomes.items() if outcome.complete]
        kept = self.places.code_edges.without(np.array(done, np.int64))
        source, kind, target = [], [], []
        for number in done:
            outcome = self.outcomes[number]
            for addresses, one in (
                (outcome.calls, CALL),
                (outcome.taken, ADDRESS),
                (outcome.slots, CALL_MEMORY),
            ):
                source += [number] * len(addresses)
                kind += [one] * len(addresses)
                target += list(addresses)
        columns = (np.array(c, np.int64) for c in (source, kind, target))
        made = self.places.edges(*columns)
        return kept.joined(made).without(self.places.silent)


def _is_no(outcome: Outcome) -> bool:
    answer = outcome.answer
    if answer is None or answer[0] in ("@", "p"):
        return False
    return answer[0] & 0xFFFFFFFF == 0xFFFFFFFF and bool(answer[2] or outcome.guards)


def _by_name(name: str) -> Value | None:
    if name in POINTS:
        return ("p", name, 0)
    if name in ANSWERS:
        return known(0, frozenset({name}))
    return None


def _has_sources(value: Value) -> bool:
    return value[0] == "p" or (value[0] != "@" and bool(value[2]))


def _runs(addresses: set[int]) -> list[tuple[int, int]]:
    """Return addresses as ranges of neighbours."""
    found: list[tuple[int, int]] = []
    for address in sorted(addresses):
        if found and address == found[-1][1]:
            found[-1] = (found[-1][0], address + 1)
        else:
            found.append((address, address + 1))
    return found


def _body(
    start: int, end: int, raw: memoryview, offsets: Ints, refs: References, entries: Ints
) -> Body:
    code = np.frombuffer(raw, np.uint8)
    op = code[offsets]
    after = code[np.minimum(offsets + 1, len(code) - 1)]
    ends = np.isin(op, (0xC3, 0xC2, 0xCC, 0xF4)) | ((op == 0xF3) & (after == 0xC3))
    ends |= (op == 0xF2) & (after == 0xC3) | (op == 0x0F) & (after == 0x0B)
    ending = offsets[ends] + start
    leaves = np.isin(refs.kind, (JUMP, JUMP_MEMORY)) | _indirect_jumps(code, refs, start)
    bounds = offsets + start
    behind = np.searchsorted(bounds, np.concatenate([ending, refs.at[leaves]]), side="right")
    behind = bounds[behind[behind < len(bounds)]]
    inner = refs.target[np.isin(refs.kind, (JUMP, BRANCH))]
    leaders = np.unique(np.concatenate([inner[(inner >= start) & (inner < end)], entries]))
    orphans = np.setdiff1d(behind, leaders)
    stops = np.unique(np.concatenate([refs.at, ending, leaders]))
    return Body(
        start,
        end,
        raw,
        stops.tolist(),
        frozenset(leaders.tolist()),
        orphans.tolist(),
        bounds.tolist(),
        frozenset(refs.at[refs.kind == STORE].tolist()),
    )


def _indirect_jumps(
    code: np.ndarray[tuple[int], np.dtype[np.uint8]], refs: References, start: int
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell jumps through a register from calls: both are one kind to the decoder."""
    found = np.zeros(len(refs), np.bool_)
    for index in np.flatnonzero(refs.kind == INDIRECT).tolist():
        at = int(refs.at[index]) - start
        window = bytes(code[at : at + 4])
        place = window.find(b"\xff")
        found[index] = (
            0 <= place < 3 and len(window) > place + 1 and window[place + 1] >> 3 & 7 == 4
        )
    return found


def resolvers(places: Places) -> Ints:
    """Return the numbers of the functions that the dynamic linker asks which variant to use."""
    names, pointers = places.names, places.pointers
    rows = np.flatnonzero(names.kind == RESOLVER)
    targets = np.concatenate([names.address[rows], pointers.target[pointers.resolver]])
    found = np.unique(places.found.index(targets))
    return found[found >= 0]


def roots(places: Places) -> Ints:
    """Return the numbers of the functions that run at start or that other files can call."""
    elf, names = places.elf, places.names
    table, rows = elf.dynamic_symbols, names.functions
    called = [names.address[rows[names.exported[rows]]], np.array(elf.start_functions, np.int64)]
    del table
    if elf.kind == RELOCATABLE:
        symbols = elf.symbols
        visible = (symbols.binding != 0) & (symbols.section != 0) & (symbols.kind == FUNCTION)
        called.append(symbols.value[visible])
    for name, address, _ in names.named(frozenset(n.encode() for n in _MAIN)):
        del name
        called.append(np.array([address]))
    found = places.found.index(np.concatenate(called))
    return np.unique(np.concatenate([found[found >= 0], resolvers(places)]))


def judge(places: Places, code: tuple[Part, ...], features: Features, not_roots: Ints) -> Verdicts:
    """Say how each function is reached on machines of ``features``.

    :param features: plain names of what the machine has above the base.
    :param not_roots: functions that others can call by name, but that only guarded code is known
        to use.
    """
    asked = resolvers(places)
    outcomes: Mapping[int, Outcome] = {}
    pruned, kept = places.code_edges, Records(places)
    if places.elf.arch == "x86-64":
        judged = Judge(places, code, features)
        judged.run(asked.tolist())
        outcomes, pruned = judged.outcomes, judged.edges()
        kept = kept.without_refused(judged.refusing())
    start = np.setdiff1d(roots(places), not_roots)
    alone = lonely(places, (places.code_edges, places.pointer_edges))
    alone = np.setdiff1d(alone, start)
    result = reached(places, pruned, kept.edges, (start, alone))
    origin = frontier(places, result, pruned)
    return Verdicts(result, outcomes, origin, frozenset(asked.tolist()))


def declared_features(sets: Iterable[str]) -> Features:
    """Return the plain names of sets, for tests of features."""
    from uplift.isa.feature_words import plain  # noqa: PLC0415

    return frozenset(plain(name) for name in sets)


__all__ = ["Elf", "Names", "Ranges", "Verdicts", "judge", "resolvers", "roots"]
