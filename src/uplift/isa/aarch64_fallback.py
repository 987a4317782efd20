"""arm64 decoding with NumPy, where the native decoder was not built.

Functions and results are those of the native decoder. Bits 31 to 21 and 15 to 10 of a word name
its class, or a node that looks at more bits.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from uplift.isa import aarch64_references
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
    Words,
    layers,
    spans,
    units,
)
from uplift.isa.recursive_descent import Descent, Flow, Space, Step

BLOCK = 1024  #: what a walk decodes at once
CHUNK = 1 << 16  #: words decoded at once


@lru_cache(maxsize=1)
def _table() -> Lookup:
    return Lookup.load("aarch64")


def classes_of(words: Words) -> Classes:
    """The class of each word; 0 is the base set, ``BAD`` no instruction."""
    return _table().classes(words, (words >> 15) & 0x1FFC0 | (words >> 10) & 0x3F)


def lengths(data: Buffer) -> bytes:
    """4 for each instruction from the start of ``data`` on, 0 for each undecodable word."""
    words = _words(data, 0, len(memoryview(data).cast("B")) // 4)
    return np.where(classes_of(words) == BAD, 0, 4).astype(np.uint8).tobytes()


def classify(data: Buffer, base: int, starts: Ints, ends: Ints) -> tuple[bytes, bytes, int]:
    """Decode the whole words of each range; see :func:`uplift.isa.decoder.classify`."""
    first, last = units(data, base, starts, ends, 4)
    rows = Rows()
    for layer in layers(first, last):
        found = _sweep(data, base, first[layer], last[layer])
        rows.add(found, layer, base + 4 * first[layer], base + 4 * last[layer])
    packed, bad = rows.finish()
    undecoded = int(np.frombuffer(bad, BAD_ROW)["count"].sum()) // 4
    return packed, bad, int((last - first).sum()) - undecoded


def _sweep(data: Buffer, base: int, first: Ints, last: Ints) -> Found:
    """What lies in the words from the first range to the last, gaps between near ones included."""
    at, group = [np.empty(0, np.int64)], [np.empty(0, np.uint16)]
    for low, high in spans(first, last, CHUNK):
        classes = classes_of(_words(data, low, high - low))
        places = np.flatnonzero(classes != 0)
        at.append(base + 4 * (places + low))
        group.append(classes[places])
    return Found(np.concatenate(at), np.concatenate(group), 4)


def _words(data: Buffer, first: int, count: int) -> Words:
    return np.frombuffer(data, "<u4", count, 4 * first)


def references(data: Buffer, base: int, starts: Ints, ends: Ints) -> bytes:
    """What refers to a fixed address; see :func:`uplift.isa.decoder.references`."""
    first, last = units(data, base, starts, ends, 4)
    found = References()
    for n, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        words = _words(data, low, high - low).tolist()
        found.add(n, aarch64_references.read(words, base + 4 * low))
    return found.finish()


def walk(
    data: Buffer, base: int, seeds: Ints, covered_starts: Ints, covered_ends: Ints
) -> tuple[bytes, bytes, bytes]:
    """Follow code from ``seeds``; see :func:`uplift.isa.decoder.walk`."""
    size = len(memoryview(data).cast("B"))
    space = Space.around(base, size, covered_starts, covered_ends)

    @lru_cache(maxsize=64)
    def block(number: int) -> tuple[list[int], list[int]]:
        first = number * BLOCK
        words = _words(data, first, min(BLOCK, size // 4 - first))
        return words.tolist(), classes_of(words).tolist()

    def step(at: int) -> Step:
        number, place = divmod((at - base) // 4, BLOCK)
        if at & 3 or base + size - at < 4:
            return Step(Flow.BAD)
        words, classes = block(number)
        return _step(words[place], classes[place], at)

    return Descent(step, space, 4).run(seeds)


def _step(word: int, group: int, at: int) -> Step:
    """One instruction; UDF is one too, but code that leads to it is most likely data."""
    if group == BAD or word < 0x10000:
        return Step(Flow.BAD)
    if word & 0x7C000000 == 0x14000000:
        flow = Flow.CALL if word >> 31 else Flow.JUMP
        return Step(flow, 4, group, signed(aarch64_references.relative(word, at, 0, 26)))
    target = aarch64_references.conditional_target(word, at)
    if target is not None:
        return Step(Flow.BRANCH, 4, group, signed(target))
    return Step(Flow.END if _ends(word) else Flow.ON, 4, group)


def _ends(word: int) -> bool:
    """Whether nothing follows: a jump through a register, a return, BRK or HLT."""
    if word & 0xFEDFF000 == 0xD61F0000:
        return not word >> 21 & 1
    returns = word & 0xFFFFF000 in (0xD65F0000, 0xD69F0000) or word & 0xFFC0001F == 0x5500001F
    return returns or word & 0xFFE0001F in (0xD4200000, 0xD4400000)
