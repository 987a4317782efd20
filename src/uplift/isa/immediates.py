"""Functions' addresses that stand in instructions themselves, where a program lies at fixed ones.

Compilers write them so in programs that are not position-independent: ``mov $f, %edi``. Forms:
Intel SDM vol. 2, MOV (B8+rd, C7 /0) and PUSH (68).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from uplift.isa.elf import EXECUTABLE, Elf, Ints
from uplift.isa.functions import Part, Ranges, References
from uplift.isa.range_rows import ADDRESS

Bytes = npt.NDArray[np.uint8]


def with_immediates(
    elf: Elf, code: Sequence[Part], found: Ranges, refs: References, words: Ints
) -> References:
    """Add an address taken for each instruction that holds the start of a function.

    :param words: addresses of variables that count too.
    """
    if elf.kind != EXECUTABLE or elf.arch != "x86-64" or not len(found):
        return refs
    places = np.union1d(found.start, words)
    pairs = [pair for part in code for pair in _of_part(part, places)]
    if not pairs:
        return refs
    at, target = (np.concatenate(column) for column in zip(*pairs, strict=True))
    at = np.concatenate([refs.at, at])
    order = np.argsort(at, kind="stable")
    kind = np.concatenate([refs.kind, np.full(len(target), ADDRESS)])
    return References(at[order], kind[order], np.concatenate([refs.target, target])[order])


def _of_part(part: Part, places: Ints) -> Iterator[tuple[Ints, Ints]]:
    raw = np.frombuffer(part.raw, np.uint8)
    if len(raw) < 16:
        return
    for starts, before in _forms(raw):
        words = raw[(starts + before)[:, None] + np.arange(4)].view("<u4").reshape(-1)
        target = words.astype(np.int64)
        index = np.minimum(np.searchsorted(places, target), len(places) - 1)
        hit = places[index] == target
        yield starts[hit] + part.base, target[hit]


def _forms(raw: Bytes) -> Iterator[tuple[Ints, int]]:
    """Yield where instructions of each form may start, and the bytes before the number."""
    op, after, third = raw[:-12], raw[1:-11], raw[2:-10]
    plain = (op & 0xF8 == 0xB8) & ~_behind_rex(raw)
    for mask, before in (
        (plain | (op == 0x68), 1),
        ((op & 0xFE == 0x40) & (after & 0xF8 == 0xB8), 2),
        ((op & 0xFE == 0x48) & (after == 0xC7) & (third & 0xF8 == 0xC0), 3),
        ((op == 0x48) & (after == 0xC7) & (third == 0x05), 7),
        ((op == 0x48) & (after == 0xC7) & (third == 0x44), 5),
        ((op == 0x48) & (after == 0xC7) & (third & 0xF8 == 0x40), 4),
        ((op == 0x48) & (after == 0xC7) & (third & 0xF8 == 0x00), 3),
    ):
        yield np.flatnonzero(mask), before


def _behind_rex(raw: Bytes) -> npt.NDArray[np.bool_]:
    before = np.concatenate([[np.uint8(0)], raw[:-13]])
    found: npt.NDArray[np.bool_] = before & 0xFE == 0x40
    return found
