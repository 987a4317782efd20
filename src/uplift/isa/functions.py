"""Where a file's functions are, and which instruction sets each holds.

Functions are what call-frame information, symbols and Go's table name, and what is found by
following calls, jumps, taken addresses and pointers into the gaps between them. What is left of a
gap is decoded in a row: what that finds may be data.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from uplift.isa import decoder
from uplift.isa.columns import distinct, plain
from uplift.isa.elf import ALLOCATED, CODE, CODE_SEGMENT, NOBITS, Elf, Ints, Pointers
from uplift.isa.frames import Frames
from uplift.isa.model import Confidence
from uplift.isa.range_rows import ADDRESS, BAD_ROW, BRANCH, CALL, EXTENT, JUMP, REFERENCE, ROW
from uplift.isa.symbols import Names

FROM_FRAMES, FROM_NAMES, WALKED, REMAINDER = 0, 1, 2, 3  #: how a range was found
CONFIDENCE = (Confidence.FDE, Confidence.REACHED, Confidence.REACHED, Confidence.UNREACHED)
BASE = "base"
_CHUNK = 4 << 20  #: bytes of code decoded at once, so that memory stays flat
_FILES = {"x86-64": "x86", "aarch64": "aarch64", "riscv64": "riscv"}
_PLT = (".plt", ".iplt")


@dataclass(frozen=True)
class Classes:
    """What the decoder's class numbers mean.

    :param names: of instruction sets; ``members`` holds indexes into it.
    :param first: where each class's sets begin in ``members``; an instruction may need several.
    :param counts: whether a class is above the base and harmful where its set is missing.
    """

    names: tuple[str, ...]
    members: Ints
    first: Ints
    counts: npt.NDArray[np.bool_]

    def expanded(self, group: Ints) -> tuple[Ints, Ints]:
        """Return one row for each set that each class needs: row of ``group``, and set."""
        sizes = np.diff(self.first)[group]
        row = np.repeat(np.arange(len(group)), sizes)
        inner = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return row, self.members[self.first[group][row] + inner]


@lru_cache(maxsize=8)
def classes(arch: str) -> Classes:
    """Return what class numbers mean for an architecture; ``aes+avx`` needs both sets."""
    path = files("uplift.isa") / "data" / f"{_FILES[arch]}-classes.csv"
    columns = _columns(path.read_text("utf-8"))
    needs = [tuple(each.split("+")) for each in columns["set"]]
    names = tuple(dict.fromkeys(name for each in needs for name in each))
    index = {name: number for number, name in enumerate(names)}
    harmful = [b == "0" and n != (BASE,) for b, n in zip(columns["benign"], needs, strict=True)]
    return Classes(
        names,
        np.array([index[name] for each in needs for name in each], np.int64),
        np.cumsum([0, *(len(each) for each in needs)]),
        np.array(harmful, np.bool_),
    )


def _columns(text: str) -> dict[str, tuple[str, ...]]:
    """Return the columns of a list of classes, whose rows are in the order of their numbers.

    No field is quoted, so that lines need only be split.
    """
    head, *rows = (line.split(",") for line in text.splitlines() if not line.startswith("#"))
    return dict(zip(head, zip(*rows, strict=True), strict=True))


@dataclass(frozen=True)
class Part:
    """A run of executable bytes and where it lies."""

    name: str
    base: int
    raw: memoryview

    @property
    def end(self) -> int:
        """The address behind its last byte."""
        return self.base + len(self.raw)

    @property
    def is_linkage(self) -> bool:
        """Whether it only leads to functions of other files."""
        return self.name.startswith(_PLT)


def parts(elf: Elf) -> tuple[Part, ...]:
    """Return a file's executable parts by address; overlapping ones are left out."""
    found = [
        Part(s.name, s.address, elf.content(s))
        for s in elf.sections
        if s.flags & CODE and s.flags & ALLOCATED and s.kind != NOBITS and s.size
    ]
    if not found:
        found = [
            Part("", s.address, elf.at(s.address, s.file_size))
            for s in elf.loaded
            if s.flags & CODE_SEGMENT
        ]
    found.sort(key=lambda part: part.base)
    kept: list[Part] = []
    for part in found:
        if not kept or part.base >= kept[-1].end:
            kept.append(part)
    return tuple(kept)


@dataclass(frozen=True)
class Ranges:
    """Ranges of code that do not overlap, by start, and how each was found."""

    start: Ints
    end: Ints
    origin: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.start)

    def index(self, addresses: Ints) -> Ints:
        """Return the range that each address lies in; -1 for none."""
        if not len(self.start):
            return np.full(len(addresses), -1)
        at = np.searchsorted(self.start, addresses, side="right") - 1
        inside = (at >= 0) & (addresses < self.end[at])
        return np.where(inside, at, -1)

    @cached_property
    def _edges(self) -> tuple[memoryview, memoryview]:
        return plain(self.start), plain(self.end)

    def number(self, address: int) -> int:
        """Return the range that one address lies in; -1 for none."""
        start, end = self._edges
        at = bisect_right(start, address) - 1
        return at if at >= 0 and address < end[at] else -1

    def joined(self, other: Ranges) -> Ranges:
        """Return both, by start."""
        start = np.concatenate([self.start, other.start])
        order = np.argsort(start, kind="stable")
        end = np.concatenate([self.end, other.end])[order]
        origin = np.concatenate([self.origin, other.origin])[order]
        return Ranges(start[order], end, origin)


def ranges(start: Ints, end: Ints, origin: int) -> Ranges:
    """Return ranges that were all found in one way."""
    return Ranges(start, end, np.full(len(start), origin, np.int8))


def declared(code: Sequence[Part], frames: Frames, names: Names) -> Ranges:
    """Return the functions that frames and symbols name, cut so that none overlaps the next."""
    rows = names.functions
    sized = rows[names.size[rows] > 0]
    start = np.concatenate([frames.start, names.address[sized]])
    end = np.concatenate([frames.end, names.address[sized] + names.size[sized]])
    origin = np.concatenate([np.zeros(len(frames.start)), np.ones(len(sized))]).astype(np.int8)
    order = np.lexsort((origin, start))
    start, end, origin = start[order], end[order], origin[order]
    keep = np.ones(len(start), np.bool_)
    keep[1:] = start[1:] != start[:-1]
    found = _without_overlap(Ranges(start[keep], end[keep], origin[keep]))
    return _within(code, found)


def _without_overlap(found: Ranges) -> Ranges:
    """Drop symbols inside a frame's range; cut what reaches into the next range."""
    start, end, origin = found.start, found.end, found.origin
    if len(start) > 1:
        far = np.maximum.accumulate(np.where(origin == FROM_FRAMES, end, start))
        inside = np.zeros(len(start), np.bool_)
        inside[1:] = (origin[1:] != FROM_FRAMES) & (start[1:] < far[:-1])
        start, end, origin = start[~inside], end[~inside], origin[~inside]
        end = end.copy()
        end[:-1] = np.minimum(end[:-1], start[1:])
    return Ranges(start, end, origin)


def _within(code: Sequence[Part], found: Ranges) -> Ranges:
    """Keep what lies in one executable part."""
    if not code:
        return ranges(np.empty(0, np.int64), np.empty(0, np.int64), 0)
    bases = np.array([part.base for part in code])
    limits = np.array([part.end for part in code])
    at = np.searchsorted(bases, found.start, side="right") - 1
    linkage = np.array([part.is_linkage for part in code])
    keep = (at >= 0) & (found.end <= limits[at]) & ~linkage[at] & (found.end > found.start)
    return Ranges(found.start[keep], found.end[keep], found.origin[keep])


@dataclass(frozen=True)
class Hits:
    """Instructions above the base: for each range and set how many, and where first."""

    range: Ints
    set: Ints
    count: Ints
    first: Ints
    instructions: int
    undecodable: int

    def __len__(self) -> int:
        return len(self.range)


def _pieces(
    code: Sequence[Part], start: Ints, end: Ints
) -> Iterator[tuple[Part, memoryview, int, slice]]:
    """Yield runs of ranges whose code lies close together, with the bytes they need."""
    for part in code:
        low, high = np.searchsorted(start, [part.base, part.end])
        at = int(low)
        while at < high:
            limit = int(start[at]) + _CHUNK
            next_at = max(at + 1, int(np.searchsorted(start[:high], limit)))
            first, last = int(start[at]), int(end[at:next_at].max())
            yield part, part.raw[first - part.base : last - part.base], first, slice(at, next_at)
            at = next_at


def count(arch: str, code: Sequence[Part], found: Ranges) -> Hits:
    """Count the instructions of each range by set, those of the base only in sum."""
    table = classes(arch)
    rows, instructions, undecodable = [], 0, 0
    for _, raw, base, piece in _pieces(code, found.start, found.end):
        packed, bad, decoded = decoder.classify(
            arch, raw, base, found.start[piece], found.end[piece]
        )
        part = np.frombuffer(packed, ROW)
        part = part[table.counts[part["class"]]].copy()
        part["range"] += piece.start
        rows.append(part)
        instructions += decoded
        undecodable += int(np.frombuffer(bad, BAD_ROW)["count"].sum())
    return _by_set(table, rows, instructions, undecodable)


def _by_set(
    table: Classes, parts_of: list[npt.NDArray[Any]], instructions: int, undecodable: int
) -> Hits:
    rows = np.concatenate(parts_of) if parts_of else np.empty(0, ROW)
    at, which_set = table.expanded(rows["class"].astype(np.int64))
    rows = rows[at]
    key = rows["range"].astype(np.int64) * len(table.names) + which_set
    keys, inverse = np.unique(key, return_inverse=True)
    first = np.full(len(keys), np.iinfo(np.int64).max)
    np.minimum.at(first, inverse, rows["first"])
    total = np.zeros(len(keys), np.int64)
    np.add.at(total, inverse, rows["count"])
    where, which = np.divmod(keys, len(table.names))
    return Hits(where, which, total, first, instructions, undecodable)


def merged(hits: Sequence[Hits], shifts: Sequence[Ints]) -> Hits:
    """Put hits of several range lists together; ``shifts`` are the ranges' new numbers."""
    moved = [shift[h.range] if len(h) else h.range for h, shift in zip(hits, shifts, strict=True)]
    return Hits(
        np.concatenate(moved),
        np.concatenate([h.set for h in hits]),
        np.concatenate([h.count for h in hits]),
        np.concatenate([h.first for h in hits]),
        sum(h.instructions for h in hits),
        sum(h.undecodable for h in hits),
    )


@dataclass(frozen=True)
class References:
    """What instructions refer to, by place: kinds are those of the decoder."""

    at: Ints
    kind: Ints
    target: Ints

    def __len__(self) -> int:
        return len(self.at)


def references(arch: str, code: Sequence[Part], found: Ranges) -> References:
    """Return what the code of each range refers to, sorted by place."""
    tables = []
    for _, raw, base, piece in _pieces(code, found.start, found.end):
        packed = decoder.references(arch, raw, base, found.start[piece], found.end[piece])
        tables.append(np.frombuffer(packed, REFERENCE)[["kind", "at", "target"]])
    return _references(tables)


def linkage(arch: str, code: Sequence[Part]) -> References:
    """Return what the stubs refer to that lead to other files' functions."""
    tables = []
    for part in code:
        if part.is_linkage:
            bounds = (np.array([part.base]), np.array([part.end]))
            packed = decoder.references(arch, part.raw, part.base, *bounds)
            tables.append(np.frombuffer(packed, REFERENCE)[["kind", "at", "target"]])
    return _references(tables)


def _references(tables: list[npt.NDArray[Any]]) -> References:
    if not tables:
        none = np.empty(0, np.int64)
        return References(none, none, none)
    at = np.concatenate([t["at"] for t in tables])
    kind = np.concatenate([t["kind"] for t in tables]).astype(np.int64)
    target = np.concatenate([t["target"] for t in tables])
    order = np.argsort(at, kind="stable")
    return References(at[order], kind[order], target[order])


def gaps(code: Sequence[Part], found: Ranges, names: Names) -> Ranges:
    """Return the code between functions, cut where a symbol stands."""
    starts, ends = [], []
    for part in code:
        if part.is_linkage:
            continue
        low, high = np.searchsorted(found.start, [part.base, part.end])
        starts.append(np.concatenate([[part.base], found.end[low:high]]))
        ends.append(np.concatenate([found.start[low:high], [part.end]]))
    if not starts:
        return ranges(np.empty(0, np.int64), np.empty(0, np.int64), REMAINDER)
    start, end = np.concatenate(starts).astype(np.int64), np.concatenate(ends).astype(np.int64)
    keep = end > start
    return _cut(start[keep], end[keep], names.address[names.functions])


def _cut(start: Ints, end: Ints, places: Ints) -> Ranges:
    at = np.searchsorted(start, places, side="right") - 1
    inside = (at >= 0) & (len(start) > 0)
    at, places = at[inside], places[inside]
    within = (places > start[at]) & (places < end[at])
    cuts = distinct(places[within])
    every_start = np.sort(np.concatenate([start, cuts]))
    every_end = np.sort(np.concatenate([end, cuts]))
    return ranges(every_start, every_end, REMAINDER)


def follow(arch: str, code: Sequence[Part], found: Ranges, seeds: Ints) -> tuple[Ranges, Ints]:
    """Follow code from ``seeds`` into what no range covers.

    :return: what was found, and where else it leads.
    """
    starts, ends, targets = [], [], [np.empty(0, np.int64)]
    for part in code:
        inside = seeds[(seeds >= part.base) & (seeds < part.end)]
        if part.is_linkage or not len(inside):
            continue
        _, extents, outside = decoder.walk(
            arch, part.raw, part.base, inside, found.start, found.end
        )
        table = np.frombuffer(extents, EXTENT)
        starts.append(table["start"])
        ends.append(table["end"])
        targets.append(np.frombuffer(outside, np.int64))
    start = np.concatenate(starts) if starts else np.empty(0, np.int64)
    end = np.concatenate(ends) if ends else np.empty(0, np.int64)
    order = np.argsort(start, kind="stable")
    walked = _without_overlap(ranges(start[order], end[order], WALKED))
    return walked, distinct(np.concatenate(targets))


def seeds(elf: Elf, names: Names, pointers: Pointers, refs: References, found: Ranges) -> Ints:
    """Return where functions may start that nothing declared."""
    led = refs.target[(refs.kind == CALL) | (refs.kind == JUMP) | (refs.kind == BRANCH)]
    taken = refs.target[refs.kind == ADDRESS]
    named = names.address[names.functions]
    starts = np.array(elf.start_functions, np.int64)
    every = distinct(np.concatenate([led, taken, named, starts, pointers.target]))
    return every[found.index(every) < 0]


def sections_of_data(elf: Elf) -> Iterable[tuple[int, memoryview]]:
    """Yield address and bytes of loaded parts that hold no code."""
    listed = [
        (s.address, elf.content(s))
        for s in elf.sections
        if s.flags & ALLOCATED and not s.flags & CODE and s.kind == 1 and s.size >= 8
    ]
    if elf.sections:
        return listed
    return [
        (s.address, elf.at(s.address, s.file_size))
        for s in elf.loaded
        if not s.flags & CODE_SEGMENT
    ]
