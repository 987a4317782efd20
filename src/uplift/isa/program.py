"""What a file's code refers to, function by function, whatever machine it runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from uplift.isa import decoder
from uplift.isa.bodies import Body, body_of
from uplift.isa.columns import distinct
from uplift.isa.elf import EXECUTABLE, Ints
from uplift.isa.feature_words import ANSWERS, KNOWN, MIXED, NAMES, OPAQUE, POINTS
from uplift.isa.functions import Part, References
from uplift.isa.range_rows import (
    ADDRESS,
    BRANCH,
    CALL,
    FLAG_TEST,
    IDENTITY,
    JUMP,
    LOAD,
    STORE,
)
from uplift.isa.reachability import Places
from uplift.isa.recollection import Recollection

_MAX_FUNCTION = 1 << 18  #: bytes; longer ones are tables or whole programs in one function
_NEAR = 64  #: bytes behind an address that code takes to read what lies there
_MIXED_NAMES = frozenset(name.encode() for name in MIXED)
NONE: Ints = np.empty(0, np.int64)
_MANY_READERS = 8


class Program:
    """The code of a file: made once, asked for every kind of machine."""

    def __init__(
        self,
        places: Places,
        code: tuple[Part, ...],
        also: frozenset[int] = frozenset(),
        above: Ints = NONE,
    ) -> None:
        self.places, self.code = places, code
        self.also = also  #: functions that ask in another way
        self.above = above  #: functions that hold sets above the base
        self.found, self.refs = places.found, places.refs
        self.recollection = Recollection()
        self.judges: dict[Any, Any] = {}  #: what was followed, by kind of machine
        self.compared: tuple[frozenset[int], frozenset[int]] | None = None  #: once it was asked
        self._bodies: dict[int, Body | None] = {}
        self._names: dict[int, str] = {}
        self._slots: dict[int, int | None] = {}
        self._entered: dict[int, Mapping[int, frozenset[int]]] = {}

    @cached_property
    def inner(self) -> frozenset[int]:
        """The addresses within functions that code and data name."""
        every = np.concatenate([self.refs.target, self.places.pointers.target])
        number = self.found.index(every)
        inside = (number >= 0) & (self.found.start[np.maximum(number, 0)] != every)
        return frozenset(every[inside].tolist())

    @cached_property
    def asking(self) -> frozenset[int]:
        """The functions that ask the processor itself."""
        at = self.refs.at[self.refs.kind == IDENTITY]
        return frozenset(self.found.index(at).tolist()) - {-1}

    @cached_property
    def by_function(self) -> tuple[Ints, Ints]:
        """The first of each function's references, and the one behind its last."""
        low = np.searchsorted(self.refs.at, self.found.start)
        return low, np.searchsorted(self.refs.at, self.found.end)

    @cached_property
    def open(self) -> frozenset[int]:
        """The functions that may be called from where nobody sees: by name or through pointers."""
        refs, places = self.refs, self.places
        taken = refs.target[np.isin(refs.kind, (ADDRESS, LOAD, STORE, FLAG_TEST))]
        numbers = self.found.index(np.concatenate([taken, places.pointers.target]))
        return frozenset(np.concatenate([numbers, places.roots]).tolist())

    def entered(self, number: int) -> Mapping[int, frozenset[int]]:
        """Return where others enter a function, and which others (-1: nobody knows)."""
        if number not in self._entered:
            self._entered[number] = self._entered_at(number)
        return self._entered[number]

    def _entered_at(self, number: int) -> Mapping[int, frozenset[int]]:
        into, target, outside = self._entries
        low, high = into.searchsorted(number), into.searchsorted(number, "right")
        found: dict[int, set[int]] = {}
        for place, caller in zip(
            target[low:high].tolist(), outside[low:high].tolist(), strict=True
        ):
            found.setdefault(place, set()).add(caller)
        return {place: frozenset(callers) for place, callers in found.items()}

    @cached_property
    def _entries(self) -> tuple[Ints, Ints, Ints]:
        """The functions that others enter, sorted; where each is entered; by which other."""
        refs, pointers = self.refs, self.places.pointers
        jumps, taken = self.flow, refs.kind == ADDRESS
        target = np.concatenate([refs.target[jumps], refs.target[taken], pointers.target])
        outside = np.full(len(target), -1)
        outside[: len(jumps)] = self.found.index(refs.at[jumps])
        home = np.full(len(target), -1)
        at = np.concatenate([refs.at[jumps], refs.at[taken]])
        home[: len(at)] = self.found.index(at)
        into = self.found.index(target)
        keep = (into >= 0) & (into != home)
        order = np.argsort(into[keep], kind="stable")
        return into[keep][order], target[keep][order], outside[keep][order]

    @cached_property
    def variables(self) -> tuple[tuple[str, int, int], ...]:
        """The file's own variables of known names: name, address, size."""
        named = [
            (name, address, size or 16)
            for name, address, size in self.places.names.named(NAMES)
            if name in KNOWN or name in OPAQUE
        ]
        return (*named, *self._openssl_words())

    def _openssl_words(self) -> Iterator[tuple[str, int, int]]:
        """Find OPENSSL_ia32cap_P where OpenSSL's own library was stripped of its name.

        Its set-up function gives the address to one that asks CPUID. Engines do alike with words
        of their own, which few functions read.
        """
        if not self.places.elf.soname.startswith("libcrypto.so"):
            return
        starts = self.found.start[np.array(sorted(self.asking), np.int64)]
        calls = np.flatnonzero((self.refs.kind == CALL) & np.isin(self.refs.target, starts))
        before = calls[calls > 0] - 1
        given = before[self.refs.kind[before] == ADDRESS]
        every = {at for at in self.refs.target[given].tolist() if self.is_writable(at)}
        words = {at for at in every if len(self.readers(at, at + 16)) >= _MANY_READERS}
        if len(words) == 1:
            yield "OPENSSL_ia32cap_P", words.pop(), 16

    @cached_property
    def touching_names(self) -> frozenset[int]:
        """Return the functions that refer to variables or functions of known names."""
        wanted: list[int] = []
        mixed: list[int] = []
        for name, address, size in self.variables:
            (mixed if name in MIXED else wanted).extend(self.readers(address, address + size))
        wanted += self.users_of_slots(self._slots_of(NAMES - _MIXED_NAMES))
        mixed += self.users_of_slots(self._slots_of(_MIXED_NAMES))
        wanted += set(mixed) & set(self.places.resolvers.tolist())
        functions = [a for n, a, _ in self.places.names.named(NAMES) if n in POINTS or n in ANSWERS]
        for address in functions:
            wanted += self.callers(address)
        return frozenset(wanted) - {-1}

    def _slots_of(self, wanted: frozenset[bytes]) -> Ints:
        """Return where pointers to other files' variables of these names are."""
        rows = self.places.elf.dynamic_symbols.named(wanted)
        symbols = self.places.pointers.symbol
        found: Ints = self.places.pointers.place[(symbols > 0) & np.isin(symbols, rows)]
        return found

    def readers(self, start: int, end: int) -> list[int]:
        """Return the functions that refer to addresses in a range, also through pointers."""
        targets, kinds, owners = self._by_target
        near, low, high = np.searchsorted(targets, [start - _NEAR, start, end])
        taken = owners[near:low][kinds[near:low] == ADDRESS]
        found: list[int] = distinct(np.concatenate([taken, owners[low:high]])).tolist()
        pointers = self.places.pointers
        slots = pointers.place[(pointers.target >= start) & (pointers.target < end)]
        return found + self.users_of_slots(slots)

    @cached_property
    def _by_target(self) -> tuple[Ints, Ints, Ints]:
        """The references by what they refer to: targets, kinds, the functions they stand in."""
        order = np.argsort(self.refs.target, kind="stable")
        owners = self.found.index(self.refs.at[order])
        return self.refs.target[order], self.refs.kind[order], owners

    def users_of_slots(self, slots: Ints) -> list[int]:
        """Return the functions that go or read through pointers at these places."""
        if not len(slots):
            return []
        targets, _, owners = self._by_target
        used = _rows(targets, np.sort(slots))
        stubs, callers = self._by_stub
        every = np.concatenate([owners[used], callers[_rows(stubs, np.sort(slots))]])
        return list(distinct(every).tolist())

    @cached_property
    def _by_stub(self) -> tuple[Ints, Ints]:
        """The pointers that calls of stubs go through, sorted, and the functions that call."""
        called, stub = self.places.through_stubs(self.refs.target[self.flow])
        callers = self.found.index(self.refs.at[self.flow][stub])
        order = np.argsort(called[stub], kind="stable")
        return called[stub][order], callers[order]

    @cached_property
    def flow(self) -> Ints:
        """Which references are calls and jumps."""
        kind = self.refs.kind
        return np.flatnonzero((kind == CALL) | (kind == JUMP) | (kind == BRANCH))

    def callers(self, address: int) -> list[int]:
        """Return the functions that name an address, also through pointers."""
        targets, _, owners = self._by_target
        low, high = np.searchsorted(targets, [address, address + 1])
        found: list[int] = distinct(owners[low:high]).tolist()
        pointers = self.places.pointers
        return found + self.users_of_slots(pointers.place[pointers.target == address])

    def number(self, target: int) -> int:
        """Return the function that holds an address; -1 for none."""
        return self.found.number(target)

    def is_writable(self, address: int) -> bool:
        """Whether the program may write to an address."""
        return any(
            s.kind == 1 and s.flags & 2 and s.address <= address < s.address + s.memory_size
            for s in self.places.elf.segments
        )

    def pointed(self, slot: int) -> int:
        """Return where the pointer at ``slot`` leads in this file; 0 for nowhere."""
        target, there = self.places.pointed(np.array([slot], np.int64))
        return int(target[0]) if there[0] else 0

    def slot_of(self, target: int) -> int | None:
        """Return the slot that a stub at ``target`` goes through; None where there is no stub."""
        if target not in self._slots:
            self._slots[target] = self.places.slot_of(target)
        return self._slots[target]

    def name_of(self, target: int) -> str:
        """Return the name of a function, also of another file's."""
        if target not in self._names:
            slot = self.slot_of(target)
            places = self.places
            name = places.external(slot) if slot is not None else places.names.at(target)
            self._names[target] = name
        return self._names[target]

    def is_place(self, value: int) -> bool:
        """Whether a constant can be an address of the file: only where those are fixed."""
        if self.places.elf.kind != EXECUTABLE or not 4096 <= value < 1 << 62:
            return False
        return bool(self.places.node(np.array([value], np.int64))[0] >= 0)

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
        low, high = (int(edge[number]) for edge in self.by_function)
        refs = References(*(c[low:high] for c in (self.refs.at, self.refs.kind, self.refs.target)))
        entries = np.array(sorted(self.entered(number)), np.int64)
        return body_of(start, end, raw, offsets, refs, entries)


def _rows(sorted_values: Ints, wanted: Ints) -> Ints:
    """Return where values stand in a sorted array, however often."""
    low = np.searchsorted(sorted_values, wanted)
    size = np.searchsorted(sorted_values, wanted, side="right") - low
    before = np.concatenate([[0], np.cumsum(size)[:-1]])
    found: Ints = np.repeat(low - before, size) + np.arange(int(size.sum()))
    return found
