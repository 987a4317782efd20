"""Turn encoding patterns into a table that decodes a word with two or three look-ups.

A pattern says: a word with ``word & mask == value`` belongs to a class. The patterns of an
architecture overlap; the one that fixes more bits (its rank) wins. The table is a root that some
bits of the word index, and nodes: a node names a window of the word (shift and mask) and where
its entries lie. An entry is a class, ``BAD``, or, with the top bit set, another node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

BAD = 0x7FFF  #: no instruction
BASE = 0  #: an instruction that every processor of the architecture has
NODE = 0x8000  #: an entry with this bit names a node
WIDEST_WINDOW = 7  #: bits


@dataclass(frozen=True)
class Pattern:
    """The words ``word & mask == value`` belong to class ``group``."""

    mask: int
    value: int
    group: int
    rank: float = 0  #: how specific it is


Candidates = tuple[Pattern, ...]


@dataclass
class Table:
    """What a decoder needs: root, nodes (offset, shift, mask) and entries."""

    root: list[int] = field(default_factory=list)
    nodes: list[tuple[int, int, int]] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)


def by_priority(patterns: Iterable[Pattern]) -> list[Pattern]:
    """Order the patterns so that the first that fits decides."""
    return sorted(patterns, key=lambda p: (-p.rank, p.mask, p.value, p.group))


@dataclass(frozen=True)
class Part:
    """A part of a table's root: one entry for each of ``keys``."""

    patterns: Sequence[Pattern]  #: that may fit, in the order of :func:`by_priority`
    keys: Sequence[int]  #: the word's bits that each index stands for
    known: int  #: which bits of the word those are


def build(parts: Iterable[Part]) -> Table:
    """Make the table whose root is that of its parts, one after the other."""
    builder = _Builder()
    for part in parts:
        compatible = _by_key(part.patterns, part.known)
        for key in part.keys:
            found = _narrowed(compatible(key), part.known, key)
            builder.table.root.append(builder.node(found))
    return builder.table


class _Builder:
    def __init__(self) -> None:
        self.table = Table()
        self._known: dict[Candidates, int] = {}

    def node(self, candidates: Candidates) -> int:
        """The number of the node that decides among ``candidates``."""
        if candidates not in self._known:
            shift, width = _window(candidates)
            entries = [self._entry(c) for c in _split(candidates, shift, width)]
            self.table.nodes.append((self._place(entries), shift, (1 << width) - 1))
            self._known[candidates] = len(self.table.nodes) - 1
        return self._known[candidates]

    def _entry(self, candidates: Candidates) -> int:
        if not candidates:
            return BAD
        if not candidates[0].mask:
            return candidates[0].group
        return NODE | self.node(candidates)

    def _place(self, entries: list[int]) -> int:
        offset = len(self.table.entries)
        self.table.entries += entries
        return offset


def _by_key(patterns: Sequence[Pattern], key_mask: int) -> Callable[[int], Candidates]:
    """Find the patterns that fit a key, by the few bits that split them best."""
    chosen = [1 << b for b in range(31, -1, -1) if key_mask >> b & 1][:10]
    coarse = sum(chosen)
    cache: dict[int, Candidates] = {}

    def fitting(key: int) -> Candidates:
        part = key & coarse
        if part not in cache:
            cache[part] = tuple(p for p in patterns if not (p.value ^ part) & p.mask & coarse)
        return tuple(p for p in cache[part] if not (p.value ^ key) & p.mask & key_mask)

    return fitting


def _narrowed(candidates: Iterable[Pattern], known: int, bits: int) -> Candidates:
    """What is left to decide once the ``known`` bits of the word are ``bits``."""
    left: list[Pattern] = []
    for p in candidates:
        if (p.value ^ bits) & p.mask & known:
            continue
        rest = Pattern(p.mask & ~known, p.value & ~known, p.group)
        if not any(_covers(q, rest) for q in left):
            left.append(rest)
        if not rest.mask:
            break
    while left and left[-1].group == BAD:
        left.pop()
    return _same_class(left)


def _covers(wide: Pattern, narrow: Pattern) -> bool:
    return not wide.mask & ~narrow.mask and not (wide.value ^ narrow.value) & wide.mask


def _same_class(left: list[Pattern]) -> Candidates:
    """One unconditional pattern where every candidate, the last for all, is of one class."""
    if left and not left[-1].mask and len({p.group for p in left}) == 1:
        return (left[-1],)
    return tuple(left)


def _window(candidates: Candidates) -> tuple[int, int]:
    """The shift and width of the window of bits to look at next: where most masks are."""
    used = 0
    for p in candidates:
        used |= p.mask
    if not used:
        return 0, 0
    low, high = (used & -used).bit_length() - 1, used.bit_length()
    if high - low <= WIDEST_WINDOW:
        return low, high - low
    weight = [sum(p.mask >> b & 1 for p in candidates) for b in range(32)]
    shift = max(range(low, high - WIDEST_WINDOW + 1), key=lambda s: _weight_of(weight, s))
    return shift, WIDEST_WINDOW


def _weight_of(weight: list[int], shift: int) -> int:
    return sum(weight[shift : shift + WIDEST_WINDOW])


def _split(candidates: Candidates, shift: int, width: int) -> list[Candidates]:
    known = ((1 << width) - 1) << shift
    return [_narrowed(candidates, known, index << shift) for index in range(1 << width)]
