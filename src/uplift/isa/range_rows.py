"""Rows of a NumPy decoder: per range and class, how often and where first.

The layouts are those of the native decoder: packed little-endian records.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Union

import numpy as np
import numpy.typing as npt

Buffer = Union[bytes, bytearray, memoryview, mmap.mmap]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
Classes = npt.NDArray[np.uint16]

BAD, NODE = 0x7FFF, 0x8000
ROW = np.dtype([("range", "<i4"), ("class", "<i4"), ("first", "<i8"), ("count", "<i8")])
BAD_ROW = np.dtype([("range", "<i4"), ("pad", "<i4"), ("first", "<i8"), ("count", "<i8")])
EXTENT = np.dtype([("start", "<i8"), ("end", "<i8")])
REFERENCE = np.dtype([("range", "<i4"), ("kind", "<i4"), ("at", "<i8"), ("target", "<i8")])

CALL, JUMP, BRANCH, ADDRESS, LOAD, STORE = 1, 2, 3, 4, 5, 6
CALL_MEMORY, JUMP_MEMORY, IDENTITY, INDIRECT, FLAG_TEST = 7, 8, 9, 10, 11


@dataclass(frozen=True)
class Lookup:
    """A decision table: a root, nodes that name a window of the word, entries."""

    root: npt.NDArray[np.uint16]  #: what each root index decides; NODE set where it is a node
    offset: Words
    shift: Words
    mask: Words
    entries: Classes

    @classmethod
    def load(cls, arch: str) -> Lookup:
        """Read the table of ``arch`` that the package carries."""
        path = files("uplift") / "isa" / "data" / f"{arch}-tables.npz"
        with path.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            parts = {n: arrays[n] for n in ("root", "offset", "shift", "mask", "entries")}
        wide = {n: parts[n].astype(np.uint32) for n in ("offset", "shift", "mask")}
        return cls(_decided(**parts), entries=parts["entries"], **wide)

    def classes(self, words: Words, index: npt.NDArray[np.integer[Any]]) -> Classes:
        """The class of each word, whose root index is ``index``."""
        found: Classes = self.root.take(index)
        left = np.flatnonzero(found >= NODE)
        node = found.take(left) & 0x7FFF
        while len(left):
            place = words.take(left) >> self.shift.take(node)
            place &= self.mask.take(node)
            place += self.offset.take(node)
            entry = self.entries.take(place)
            found[left] = entry
            deeper = np.flatnonzero(entry >= NODE)
            left, node = left.take(deeper), entry.take(deeper) & 0x7FFF
        return found


def _decided(
    root: Classes,
    offset: npt.NDArray[np.uint32],
    shift: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint16],
    entries: Classes,
) -> Classes:
    """The root with the class itself where its node looks at no bit."""
    return np.where(mask[root] == 0, entries[offset[root]], root | NODE).astype(np.uint16)


@dataclass
class Found:
    """What a sweep found, by growing address: class 0 is left out."""

    at: Ints  #: address of each instruction beyond the base set, and of each undecodable place
    group: Classes
    bad_size: int  #: bytes of one undecodable place


class Rows:
    """Collects the rows of one ``classify`` call."""

    def __init__(self) -> None:
        self._rows: list[npt.NDArray[np.void]] = []
        self._bad: list[npt.NDArray[np.void]] = []

    def add(self, found: Found, ranges: Ints, starts: Ints, ends: Ints) -> None:
        """Count what was found inside each of ``ranges``, which do not overlap."""
        low = np.searchsorted(found.at, starts)
        sizes = np.searchsorted(found.at, ends) - low
        which = np.repeat(np.arange(len(ranges)), sizes)
        place = np.arange(sizes.sum()) + np.repeat(low - np.cumsum(sizes) + sizes, sizes)
        key = which.astype(np.int64) << 16 | found.group[place]
        keys, first, count = np.unique(key, return_index=True, return_counts=True)
        rows = np.zeros(len(keys), ROW)
        rows["range"], rows["class"] = ranges[keys >> 16], keys & 0xFFFF
        rows["first"], rows["count"] = found.at[place[first]], count
        bad = rows["class"] == BAD
        self._rows.append(rows[~bad])
        self._bad.append(_bad_rows(rows[bad], found.bad_size))

    def finish(self) -> tuple[bytes, bytes]:
        """All rows by range, then by first address."""
        return _joined(self._rows, ROW), _joined(self._bad, BAD_ROW)


def _bad_rows(rows: npt.NDArray[np.void], size: int) -> npt.NDArray[np.void]:
    bad = rows.copy()
    bad["class"] = 0
    bad["count"] *= size
    return np.frombuffer(bad.tobytes(), BAD_ROW)


def _joined(parts: list[npt.NDArray[np.void]], kind: np.dtype[np.void]) -> bytes:
    if not parts:
        return b""
    whole = np.concatenate(parts)
    return whole[np.lexsort((whole["first"], whole["range"]))].astype(kind).tobytes()


def layers(starts: Ints, ends: Ints) -> Iterator[Ints]:
    """Split ranges into groups, by growing start, within which none overlaps another."""
    left = np.lexsort((ends, starts))
    while len(left):
        taken, reach = [], None
        for i in left.tolist():
            if reach is None or starts[i] >= reach:
                taken.append(i)
                reach = ends[i]
        yield np.array(taken, np.int64)
        left = left[~np.isin(left, taken)]


def units(data: Buffer, base: int, starts: Ints, ends: Ints, size: int) -> tuple[Ints, Ints]:
    """The whole units of each range that ``data``, which is at ``base``, hold.

    :param size: bytes of a unit; the first begins at ``base``.
    :return: number of the first unit, and of the one after the last.
    """
    held = len(memoryview(data).cast("B"))
    offsets = np.clip(np.asarray(starts, np.int64), base, base + held) - base
    limits = np.clip(np.asarray(ends, np.int64), base, base + held) - base
    last = limits // size
    first = np.minimum((offsets + size - 1) // size, held // size)
    return first, np.maximum(first, last)


def spans(first: Ints, last: Ints, size: int, split: bool = True) -> Iterator[tuple[int, int]]:
    """Stretches that cover sorted ranges, for a short gap is cheaper than another stretch.

    :param size: a gap of a 64th of it is short; with ``split`` no stretch is longer.
    """
    if not len(first):
        return
    breaks = np.flatnonzero(first[1:] > last[:-1] + size // 64)
    lows = first[np.concatenate(([0], breaks + 1))].tolist()
    highs = last[np.concatenate((breaks, [len(last) - 1]))].tolist()
    for low, high in zip(lows, highs, strict=True):
        step = size if split else max(high - low, 1)
        for piece in range(low, high, step):
            yield piece, min(piece + step, high)


class References:
    """Collects the references of one call."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int, int, int]] = []

    def add(self, range_: int, found: Iterable[tuple[int, int, int]]) -> None:
        """Take the references of one range: kind, address, target."""
        self._found += ((range_, *reference) for reference in found)

    def finish(self) -> bytes:
        """All references as records."""
        return np.array(self._found, REFERENCE).tobytes()
