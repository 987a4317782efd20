"""riscv64 decoding with NumPy, where the native decoder was not built.

Functions and results are those of the native decoder. Compressed code is decoded without a loop:
after a half-word that does not start with two ones, an instruction starts, whatever the half-word
was; from there on the half-words that do start with two ones begin and end instructions in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from uplift.isa import riscv_references
from uplift.isa.known_registers import signed
from uplift.isa.range_rows import (
    BAD,
    BAD_ROW,
    Buffer,
    Classes,
    Found,
    Ints,
    Lookup,
    References,
    Rows,
    layers,
    spans,
    units,
)
from uplift.isa.recursive_descent import Descent, Flow, Space, Step

BLOCK = 1024  #: what a walk decodes at once
CHUNK = 1 << 17  #: half-words decoded at once
Halves = npt.NDArray[np.uint16]
Flags = npt.NDArray[np.bool_]


@lru_cache(maxsize=1)
def _table() -> Lookup:
    return Lookup.load("riscv")


def lengths(data: Buffer) -> bytes:
    """2 or 4 for each instruction from the start of ``data`` on, 0 for each undecodable half."""
    size = len(memoryview(data).cast("B")) // 2
    found = []
    for piece in _pieces(data, 0, size, np.array([size])):
        wide = (piece.halves[piece.starts] & 3) == 3
        classes = piece.classes[piece.starts]
        found.append(np.where(classes == BAD, 0, np.where(wide, 4, 2)).astype(np.uint8))
    return np.concatenate(found).tobytes() if found else b""


def classify(data: Buffer, base: int, starts: Ints, ends: Ints) -> tuple[bytes, bytes, int]:
    """Decode the whole half-words of each range; see :func:`uplift.isa.decoder.classify`."""
    first, last = units(data, base, starts, ends, 2)
    rows, begun = Rows(), 0
    for layer in layers(first, last):
        found, inside = _sweep(data, base, first[layer], last[layer])
        rows.add(found, layer, base + 2 * first[layer], base + 2 * last[layer])
        begun += inside
    packed, bad = rows.finish()
    undecoded = int(np.frombuffer(bad, BAD_ROW)["count"].sum()) // 2
    return packed, bad, begun - undecoded


@dataclass(frozen=True)
class _Piece:
    """Half-words decoded at once, from an instruction's start on."""

    low: int  #: number of the first half-word
    halves: Halves
    classes: Classes  #: of what would start at each half-word
    starts: Ints  #: where instructions start


def _sweep(data: Buffer, base: int, first: Ints, last: Ints) -> tuple[Found, int]:
    """What the ranges and the short gaps between them hold; how many starts are in the ranges."""
    at, group, begun = [np.empty(0, np.int64)], [np.empty(0, np.uint16)], 0
    bounds = np.union1d(first, last)
    for low, high in spans(first, last, CHUNK, split=False):
        for piece in _pieces(data, low, high, bounds):
            classes = piece.classes[piece.starts]
            places = np.flatnonzero(classes != 0)
            at.append(base + 2 * (piece.starts[places] + piece.low))
            group.append(classes[places])
            begun += _inside(piece.starts + piece.low, first, last)
    return Found(np.concatenate(at), np.concatenate(group), 2), begun


def _inside(places: Ints, first: Ints, last: Ints) -> int:
    """How many of the sorted places lie in the ranges."""
    if not len(places):
        return 0
    near = slice(
        int(np.searchsorted(last, places[0], "right")), int(np.searchsorted(first, places[-1] + 1))
    )
    counts = np.searchsorted(places, last[near]) - np.searchsorted(places, first[near])
    return int(counts.sum())


def _pieces(data: Buffer, low: int, high: int, bounds: Ints) -> Iterator[_Piece]:
    """Decode from half-word ``low`` to ``high``; no instruction crosses one of ``bounds``."""
    whole = _halves(data)
    while low < high:
        size = min(CHUNK, high - low)
        piece = _decoded(whole, low, size, bounds)
        yield piece
        final = int(piece.starts[-1])
        wide = piece.halves[final] & 3 == 3 and piece.classes[final] != BAD
        low += max(size, final + (2 if wide else 1))


def _decoded(whole: Halves, low: int, size: int, bounds: Ints) -> _Piece:
    halves = whole[low : low + size]
    classes = _classes(whole, low, size)
    wide = (halves & 3) == 3
    cut = bounds[slice(*np.searchsorted(bounds, (low + 1, low + size + 1)))] - low - 1
    cut = cut[wide[cut]]
    classes[cut] = BAD
    wide &= classes != BAD
    return _Piece(low, halves, classes, np.flatnonzero(_starts(wide)))


def _classes(whole: Halves, low: int, size: int) -> Classes:
    """The class of what would start at each half-word."""
    words = np.zeros(size, np.uint32)
    after = whole[low + 1 : low + size + 1]
    words[: len(after)] = after
    words <<= 16
    words |= whole[low : low + size]
    classes = _table().classes(words, whole[low : low + size])
    if len(after) < size and whole[low + size - 1] & 3 == 3:
        classes[-1] = BAD
    return classes


def _starts(wide: Flags) -> Flags:
    """Where instructions start: at even distances after what ends one for sure."""
    places = np.arange(len(wide), dtype=np.int32)
    ends = np.where(wide, np.int32(-1), places)
    np.maximum.accumulate(ends, out=ends)
    odd = np.empty(len(wide), np.bool_)
    odd[:1] = True
    np.not_equal((places[1:] ^ ends[:-1]) & 1, 0, out=odd[1:])
    return odd


def _halves(data: Buffer) -> Halves:
    return np.frombuffer(data, "<u2", len(memoryview(data).cast("B")) // 2)


def references(data: Buffer, base: int, starts: Ints, ends: Ints) -> bytes:
    """What refers to a fixed address; see :func:`uplift.isa.decoder.references`."""
    first, last = units(data, base, starts, ends, 2)
    found = References()
    for n, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        instructions = _instructions(data, base, low, high)
        found.add(n, riscv_references.read(instructions))
    return found.finish()


def _instructions(data: Buffer, base: int, low: int, high: int) -> list[tuple[int, int]]:
    """Address and word of each instruction; a half-word alone where it is compressed or none."""
    whole, found = _halves(data), []
    for piece in _pieces(data, low, high, np.array([high])):
        places = piece.starts + piece.low
        halves = whole[places].astype(np.uint32)
        wide = (halves & 3 == 3) & (piece.classes[piece.starts] != BAD)
        halves[wide] |= whole[places[wide] + 1].astype(np.uint32) << 16
        known = wide | (halves & 3 != 3)
        at = base + 2 * places[known]
        found += list(zip(at.tolist(), halves[known].tolist(), strict=True))
    return found


def walk(
    data: Buffer, base: int, seeds: Ints, covered_starts: Ints, covered_ends: Ints
) -> tuple[bytes, bytes, bytes]:
    """Follow code from ``seeds``; see :func:`uplift.isa.decoder.walk`."""
    whole = _halves(data)
    size = len(memoryview(data).cast("B"))
    space = Space.around(base, size, covered_starts, covered_ends)

    @lru_cache(maxsize=64)
    def block(number: int) -> tuple[list[int], list[int]]:
        low = number * BLOCK
        count = min(BLOCK, len(whole) - low)
        return whole[low : low + BLOCK + 4].tolist(), _classes(whole, low, count).tolist()

    def step(at: int) -> Step:
        number, place = divmod((at - base) // 2, BLOCK)
        if at & 1 or base + size - at < 2:
            return Step(Flow.BAD)
        halves, classes = block(number)
        return _step(halves[place : place + 4], classes[place], at)

    return Descent(step, space, 2).run(seeds)


def _step(halves: list[int], group: int, at: int) -> Step:
    """One instruction; the all-zero half-word is one too, but code there is most likely data."""
    if group == BAD or not halves[0]:
        return Step(Flow.BAD)
    if halves[0] & 3 != 3:
        return _compact_step(halves[0], group, at)
    word = halves[0] | halves[1] << 16
    return _far(word, halves, group, at) or _wide_step(word, group, at)


def _wide_step(word: int, group: int, at: int) -> Step:
    link, opcode = word >> 7 & 31, word & 0x7F
    if opcode == 0x6F:
        target = signed(at + riscv_references.immediate_j(word))
        return Step(Flow.CALL if link else Flow.JUMP, 4, group, target)
    if opcode == 0x63:
        return Step(Flow.BRANCH, 4, group, signed(at + riscv_references.immediate_b(word)))
    traps = word in (0x00100073, 0xC0001073) or word & 0xCFFFFFFF == 0x00200073
    ends = traps or (opcode == 0x67 and not link)
    return Step(Flow.END if ends else Flow.ON, 4, group)


def _far(word: int, halves: list[int], group: int, at: int) -> Step | None:
    """AUIPC and JALR together: a call or jump whose target is known."""
    if word & 0x7F != 0x17 or len(halves) < 4:
        return None
    second = halves[2] | halves[3] << 16
    if second & 0x707F != 0x67 or second >> 15 & 31 != word >> 7 & 31:
        return None
    by = riscv_references.immediate_u(word) + riscv_references.immediate_i(second)
    return Step(Flow.CALL if second >> 7 & 31 else Flow.JUMP, 8, group, signed(at + by))


def _compact_step(word: int, group: int, at: int) -> Step:
    if word & 0xE003 == 0xA001:
        return Step(Flow.JUMP, 2, group, signed(at + riscv_references.immediate_cj(word)))
    if word & 0xC003 == 0xC001:
        return Step(Flow.BRANCH, 2, group, signed(at + riscv_references.immediate_cb(word)))
    ends = word == 0x9002 or word & 0xF07F == 0x8002
    return Step(Flow.END if ends else Flow.ON, 2, group)
