"""Which functions run on which machines: a graph of calls, taken addresses and pointers.

Nodes are functions and regions of data (from one address that code or a pointer names to the
next). A function reached from outside, or at start, runs always; one whose address lies in data
may run; one that only a guarded part of another function leads to runs where the guard lets it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from uplift.isa import decoder
from uplift.isa.columns import distinct
from uplift.isa.elf import (
    CODE_SEGMENT,
    EXECUTABLE,
    INTERPRETER,
    RELOCATABLE,
    Elf,
    Ints,
    Pointers,
)
from uplift.isa.functions import WALKED, Ranges, References, sections_of_data
from uplift.isa.range_rows import (
    ADDRESS,
    BRANCH,
    CALL,
    CALL_MEMORY,
    FLAG_TEST,
    JUMP,
    JUMP_MEMORY,
    LOAD,
    STORE,
)
from uplift.isa.symbols import FUNCTION, RESOLVER, Names

Bools = npt.NDArray[np.bool_]
_SLOT_KINDS = (LOAD, CALL_MEMORY, JUMP_MEMORY)
#: Functions that list variants and never call one: glibc's, for its own tests.
_ONLY_LISTS = frozenset({b"__libc_ifunc_impl_list"})
_RECORD = 40  #: bytes before a function that allows an entry of a table
_MAIN = frozenset({b"main", b"main.main", b"_start", b"runtime.main"})
#: Returns, jumps, traps; calls: x86's, behind prefixes (Intel SDM vol. 2, opcode maps).
_ENDS = re.compile(
    rb"[\x2e\x3e\xf2\xf3\x40-\x4f]*(?:[\xc2\xc3\xca\xcb\xcc\xcf\xe9\xeb\xf4]|"
    rb"\x0f[\x0b\xb9\xff]|\xff[\x20-\x2f\x60-\x6f\xa0-\xaf\xe0-\xef])",
    re.DOTALL,
)
_CALLS = re.compile(
    rb"[\x2e\x3e\xf2\xf3\x40-\x4f]*(?:\xe8|\xff[\x10-\x1f\x50-\x5f\x90-\x9f\xd0-\xdf])",
    re.DOTALL,
)
_ABSOLUTE = 2  #: ET_EXEC: pointers stand in place, with no relocation


@dataclass(frozen=True)
class Edges:
    """Directed edges in columns; ``by_code`` where code itself calls the function."""

    source: Ints
    target: Ints
    by_code: Bools

    def without(self, sources: Ints) -> Edges:
        """Return the edges that do not start in ``sources``."""
        keep = ~np.isin(self.source, sources)
        return Edges(self.source[keep], self.target[keep], self.by_code[keep])

    def joined(self, other: Edges) -> Edges:
        """Return both."""
        return Edges(
            np.concatenate([self.source, other.source]),
            np.concatenate([self.target, other.target]),
            np.concatenate([self.by_code, other.by_code]),
        )


class Places:
    """What lies where in a file: functions, stubs to other files, pointers, data regions.

    Node numbers: functions first, in the order of ``found``; then regions of data.
    """

    def __init__(
        self, elf: Elf, found: Ranges, refs: References, stubs: References, names: Names
    ) -> None:
        self.elf, self.found, self.refs, self.names = elf, found, refs, names
        self.pointers = _with_absolute(elf, found)
        jumps = stubs.kind == JUMP_MEMORY
        self._stub_at, self._stub_slot = stubs.at[jumps], stubs.target[jumps]
        self.functions = len(found)
        listing = [address for _, address, _ in names.named(_ONLY_LISTS)]
        self.silent = found.index(np.array(listing, np.int64))
        self.nodes = self.functions + len(self.boundaries)

    @cached_property
    def data(self) -> tuple[Ints, Ints]:
        """Starts and ends of the loaded parts that hold no code."""
        parts = [s for s in self.elf.segments if s.kind == 1 and not s.flags & CODE_SEGMENT]
        start = np.array([s.address for s in parts], np.int64)
        return start, start + np.array([s.memory_size for s in parts], np.int64)

    @cached_property
    def boundaries(self) -> Ints:
        """Where regions of data start."""
        kinds = np.isin(self.refs.kind, (ADDRESS, LOAD, STORE, FLAG_TEST))
        objects = self.names.address[self.names.objects]
        every = np.concatenate([self.refs.target[kinds], self.pointers.target, objects])
        every = distinct(np.concatenate([every[self.is_data(every)], self.data[0]]))
        return every

    def is_data(self, addresses: Ints) -> Bools:
        """Whether each address lies in a part that holds no code."""
        start, end = self.data
        if not len(start):
            return np.zeros(len(addresses), np.bool_)
        at = np.searchsorted(start, addresses, side="right") - 1
        return (at >= 0) & (addresses < end[at])

    def node(self, addresses: Ints) -> Ints:
        """Return the function or region that each address lies in; -1 for none."""
        node: Ints = self.found.index(addresses)
        data = (node < 0) & self.is_data(addresses)
        region = np.searchsorted(self.boundaries, addresses[data], side="right") - 1
        node = node.copy()
        node[data] = np.where(region >= 0, self.functions + region, -1)
        return node

    def through_stubs(self, targets: Ints) -> tuple[Ints, Bools]:
        """Return the slot that a stub at each target goes through, and whether there is one."""
        at = np.searchsorted(self._stub_at, targets)
        inside = at < len(self._stub_at)
        near = np.zeros(len(targets), np.bool_)
        near[inside] = self._stub_at[at[inside]] - targets[inside] < 16
        slots = np.zeros(len(targets), np.int64)
        slots[near] = self._stub_slot[at[near]]
        if len(self._stub_at):
            first = int(self._stub_at[0]) - 16
            near &= (targets > first) & (self.found.index(targets) < 0)
        return slots, near

    def pointed(self, slots: Ints) -> tuple[Ints, Bools]:
        """Return what the pointer at each place leads to in this file, and whether one is there."""
        place = self.pointers.place
        at = np.searchsorted(place, slots)
        at = np.minimum(at, max(len(place) - 1, 0))
        there = place[at] == slots if len(place) else np.zeros(len(slots), np.bool_)
        target = np.where(there, self.pointers.target[at], 0) if len(place) else slots * 0
        return target, there & (target != 0)

    def external(self, slot: int) -> str:
        """Return the name of another file's symbol whose address the pointer at ``slot`` gets."""
        at = int(np.searchsorted(self.pointers.place, slot))
        if at >= len(self.pointers.place) or self.pointers.place[at] != slot:
            return ""
        symbol = int(self.pointers.symbol[at])
        return self.elf.dynamic_symbols.text(symbol) if symbol else ""

    def slot_of(self, target: int) -> int | None:
        """Return the slot that a stub at ``target`` goes through; None where there is no stub."""
        slots, near = self.through_stubs(np.array([target], np.int64))
        return int(slots[0]) if near[0] else None

    def edges(self, source: Ints, kind: Ints, target: Ints) -> Edges:
        """Return the edges that references of these kinds make, from function numbers."""
        flow = (kind == CALL) | (kind == JUMP) | (kind == BRANCH)
        slots, stub = self.through_stubs(target)
        stub &= flow | (kind == ADDRESS)
        slots = np.where(stub, slots, target)
        by_slot = stub | np.isin(kind, _SLOT_KINDS)
        pointed, there = self.pointed(slots)
        called, read = by_slot & (kind != LOAD), by_slot & (kind == LOAD)
        direct = ~by_slot | (kind == LOAD)
        calls = direct & flow
        taken = direct & ~flow
        return (
            self._edges(source[calls], target[calls], is_call=True)
            .joined(self._edges(source[taken], target[taken], is_call=False))
            .joined(self._edges(source[called & there], pointed[called & there], is_call=True))
            .joined(self._edges(source[read & there], pointed[read & there], is_call=False))
        )

    def _edges(self, source: Ints, target: Ints, is_call: bool) -> Edges:
        node = self.node(target)
        keep = (node >= 0) & (node != source)
        key = distinct(source[keep] * (self.nodes + 1) + node[keep])
        start, end = np.divmod(key, self.nodes + 1)
        return Edges(start, end, (end < self.functions) & is_call)

    @cached_property
    def resolvers(self) -> Ints:
        """The functions that the dynamic linker asks which variant to use."""
        names, pointers = self.names, self.pointers
        rows = np.flatnonzero(names.kind == RESOLVER)
        targets = np.concatenate([names.address[rows], pointers.target[pointers.resolver]])
        found = distinct(self.found.index(targets))
        return found[found >= 0]

    @cached_property
    def roots(self) -> Ints:
        """The functions that run at start or that other files can call."""
        return distinct(np.concatenate([self.exported, self.started]))

    @cached_property
    def exported(self) -> Ints:
        """The functions that other files can name."""
        rows = self.names.functions
        found = self.found.index(self.names.address[rows[self.names.exported[rows]]])
        return distinct(found[found >= 0])

    @cached_property
    def offered(self) -> Ints:
        """Those that a program lets its plug-ins name: nothing else is linked against it."""
        is_program = any(s.kind == INTERPRETER for s in self.elf.segments) or (
            self.elf.kind == EXECUTABLE
        )
        if not is_program or self.elf.soname:
            return np.empty(0, np.int64)
        return np.setdiff1d(self.exported, self.started)

    @cached_property
    def started(self) -> Ints:
        """The functions that run at start, in an object file also those that others can name."""
        elf, names = self.elf, self.names
        called = [np.array(elf.start_functions, np.int64)]
        if elf.kind == RELOCATABLE:
            symbols = elf.symbols
            visible = (symbols.binding != 0) & (symbols.section != 0) & (symbols.kind == FUNCTION)
            called.append(symbols.value[visible])
        called.append(np.array([address for _, address, _ in names.named(_MAIN)], np.int64))
        called.append(self._given_to_the_library())
        found = self.found.index(np.concatenate(called))
        return distinct(np.concatenate([found[found >= 0], self.resolvers]))

    def _given_to_the_library(self) -> Ints:
        """Return what the entry's code takes the address of: ``main``, for the C library."""
        refs, number = self.refs, self.found.number(self.elf.entry)
        if number < 0 or self.elf.kind == RELOCATABLE or not self.elf.entry:
            return np.empty(0, np.int64)
        low, high = self.found.start[number], self.found.end[number]
        inside = (refs.at >= low) & (refs.at < high) & (refs.kind == ADDRESS)
        given: Ints = refs.target[inside]
        return given

    @cached_property
    def pointer_nodes(self) -> tuple[Ints, Ints]:
        """For each pointer the node it lies in and the one it leads to; -1 for none."""
        return self.node(self.pointers.place), self.node(self.pointers.target)

    @cached_property
    def pointer_edges(self) -> Edges:
        """The edges from regions of data to what their pointers lead to."""
        return self.edges_of_pointers(np.ones(len(self.pointers.place), np.bool_))

    def edges_of_pointers(self, kept: Bools) -> Edges:
        """Return the edges that some of the pointers make."""
        source, target = self.pointer_nodes
        keep = kept & (source >= self.functions) & (target >= 0) & (source != target)
        return Edges(source[keep], target[keep], np.zeros(int(keep.sum()), np.bool_))

    @cached_property
    def straight(self) -> Edges:
        """The edges of code that stands before the first branch of its function."""
        refs = self.refs
        source = self.found.index(refs.at)
        end = np.full(self.functions, np.iinfo(np.int64).max)
        breaks = (source >= 0) & np.isin(refs.kind, (BRANCH, JUMP, JUMP_MEMORY))
        np.minimum.at(end, source[breaks], refs.at[breaks])
        keep = (source >= 0) & (refs.kind != BRANCH)
        keep[keep] = refs.at[keep] <= end[source[keep]]
        return self.edges(source[keep], refs.kind[keep], refs.target[keep])

    def without_branches(self, edges: Edges) -> Edges:
        """Take for sure only what no branch of a function stands before."""
        sure = self.straight
        keys = sure.source[sure.by_code] * (self.nodes + 1) + sure.target[sure.by_code]
        own = edges.source * (self.nodes + 1) + edges.target
        return Edges(edges.source, edges.target, edges.by_code & np.isin(own, keys))

    @cached_property
    def code_edges(self) -> Edges:
        """The edges of all code, with no guard taken into account."""
        source = self.found.index(self.refs.at)
        keep = (source >= 0) & (self.refs.target != 0)
        edges = self.edges(source[keep], self.refs.kind[keep], self.refs.target[keep])
        return edges.joined(self._falls)

    @cached_property
    def _falls(self) -> Edges:
        """The edges of pieces of code that were followed and run into the next piece.

        Behind a call it is not sure: some never come back, and a function may start there.
        """
        found = self.found
        near = (found.origin[:-1] == WALKED) & (found.origin[1:] == WALKED)
        near &= (found.end[:-1] == found.start[1:]) & (self.elf.arch == "x86-64")
        pieces = np.flatnonzero(near).tolist()
        ends = [self._last(piece) for piece in pieces]
        runs = [(n, last != CALL) for n, last in zip(pieces, ends, strict=True) if last != JUMP]
        source = np.array([number for number, _ in runs], np.int64)
        return Edges(source, source + 1, np.array([sure for _, sure in runs], np.bool_))

    def _last(self, piece: int) -> int:
        """Return what a piece's last instruction does: JUMP also where it returns; 0: goes on."""
        start, end = int(self.found.start[piece]), int(self.found.end[piece])
        code = bytes(self.elf.at(start, end - start))
        sizes = np.frombuffer(decoder.lengths(self.elf.arch, code), np.uint8)
        last = code[len(code) - int(sizes[-1]) :] if len(sizes) and sizes[-1] else b""
        if _ENDS.match(last):
            return JUMP
        return CALL if _CALLS.match(last) else 0


def _with_absolute(elf: Elf, found: Ranges) -> Pointers:
    """Add the words of data that are a function's address, where a file has no relocations."""
    pointers = elf.pointers
    if elf.kind != _ABSOLUTE:
        return pointers
    places, targets = [pointers.place], [pointers.target]
    for address, raw in sections_of_data(elf):
        skip = -address % 8
        words = np.frombuffer(raw[skip : skip + (len(raw) - skip) // 8 * 8], "<i8")
        at = np.searchsorted(found.start, words)
        hit = (at < len(found)) & (found.start[np.minimum(at, len(found) - 1)] == words)
        index = np.flatnonzero(hit)
        places.append(address + skip + 8 * index)
        targets.append(words[index])
    place = np.concatenate(places)
    order = np.argsort(place, kind="stable")
    added = len(place) - len(pointers.place)
    symbol = np.concatenate([pointers.symbol, np.zeros(added, np.int64)])
    resolver = np.concatenate([pointers.resolver, np.zeros(added, np.bool_)])
    target = np.concatenate(targets)
    return Pointers(place[order], target[order], symbol[order], resolver[order])


class Records:
    """Tables in data whose entries name, beside what they offer, a function that allows it.

    OpenSSL's providers list algorithms so: ``OSSL_ALGORITHM_CAPABLE`` of
    ``providers/common/include/prov/provider_util.h``.
    """

    def __init__(self, places: Places, edges: Edges | None = None) -> None:
        self.places = places
        self.edges = places.pointer_edges if edges is None else edges

    def without_refused(self, refusing: Ints) -> Records:
        """Leave out what stands, in its entry, before a function that says no."""
        places = self.places
        place, target = places.pointers.place, places.pointers.target
        says_no = np.isin(target, refusing)
        if not says_no.any():
            return self
        _, node = places.pointer_nodes
        is_code = (node >= 0) & (node < places.functions)
        keep = np.ones(len(place), np.bool_)
        for index in np.flatnonzero(says_no).tolist():
            at = index - 1
            while at >= 0 and not is_code[at] and place[index] - place[at] <= _RECORD:
                keep[at] = False
                at -= 1
        return Records(places, places.edges_of_pointers(keep))


def closure(edges: Edges, roots: Ints, nodes: int) -> Bools:
    """Return which nodes can be reached from ``roots``."""
    order = np.argsort(edges.source, kind="stable")
    target = edges.target[order]
    first = np.searchsorted(edges.source[order], np.arange(nodes + 1))
    seen = np.zeros(nodes, np.bool_)
    front = distinct(roots)
    seen[front] = True
    while len(front):
        sizes = first[front + 1] - first[front]
        starts = np.repeat(first[front] - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
        reached = target[starts + np.arange(int(sizes.sum()))]
        front = distinct(reached[~seen[reached]])
        seen[front] = True
    return seen


@dataclass(frozen=True)
class Reached:
    """Which nodes run: surely, perhaps, or on some machine.

    :param always: from outside or at start, by code alone.
    :param perhaps: also through pointers in data, and from what nothing was seen to reach.
    :param somewhere: with every guard passed.
    """

    always: Bools
    perhaps: Bools
    somewhere: Bools


def reached(places: Places, pruned: Edges, pointers: Edges, starts: tuple[Ints, Ints]) -> Reached:
    """Say what runs.

    :param pruned: the edges of code that are left on the machines in question.
    :param pointers: the edges of data that are left there.
    :param starts: functions that others can call, or that run at start; nodes that nothing was
        seen to lead to.
    """
    nodes = places.nodes
    roots, lonely = starts
    kept = pruned.by_code
    code = Edges(pruned.source[kept], pruned.target[kept], kept[kept])
    both = np.concatenate([roots, lonely])
    return Reached(
        closure(code, roots, nodes),
        closure(pruned.joined(pointers), both, nodes),
        closure(places.code_edges.joined(places.pointer_edges), both, nodes),
    )


def lonely(places: Places, edges: Sequence[Edges]) -> Ints:
    """Return the nodes that no edge leads to."""
    led_to = np.zeros(places.nodes, np.bool_)
    for each in edges:
        led_to[each.target] = True
    return np.flatnonzero(~led_to)


def frontier(places: Places, result: Reached, pruned: Edges) -> Mapping[int, int]:
    """Return for each node that only guarded code leads to the function whose guard it is."""
    every = places.code_edges.joined(places.pointer_edges)
    guarded = result.somewhere & ~result.perhaps
    origin: dict[int, int] = {}
    crossing = result.perhaps[every.source] & guarded[every.target]
    for source, target in zip(
        every.source[crossing].tolist(), every.target[crossing].tolist(), strict=True
    ):
        origin.setdefault(target, source)
    inner = guarded[every.source] & guarded[every.target]
    follow: dict[int, list[int]] = {}
    for source, target in zip(
        every.source[inner].tolist(), every.target[inner].tolist(), strict=True
    ):
        follow.setdefault(source, []).append(target)
    front = list(origin)
    while front:
        node = front.pop()
        for target in follow.get(node, ()):
            if target not in origin:
                origin[target] = origin[node]
                front.append(target)
    return origin
