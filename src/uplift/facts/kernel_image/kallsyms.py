"""The kernel's own symbol table, read out of its image: names and addresses.

A packaged kernel has no ELF symbols, but with ``CONFIG_KALLSYMS`` it carries its symbols for its
own use. Layout and compression: Linux ``scripts/kallsyms.c``. The parts moved over the years, and
distributions backport, so each part is found by what it must contain and never by a version:

* the compressed names, each a length and that many token numbers;
* markers, the offset of every 256th name;
* 256 tokens, ended by NUL, and an index of where each starts;
* offsets, one a symbol: from a base that stands after them, or from their own place.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

MAX_SYMBOLS = 2_000_000  #: a distribution's kernel has 100,000 to 300,000
_MARKED = 256  #: symbols from marker to marker
_NAME_BYTES = range(2, 513)  #: of a compressed name with its length, on average over 256 of them
_REACH = 32 << 20  #: how far the names may lie before the tokens
_TOKENS = 256
_TRIED = 4  #: token tables: a kernel has one
_KERNEL_HALF = 0x1FFFF  #: the upper bits of every kernel address
#: The tokens of the digits stand in a row in every table: no symbol lacks one of them.
_DIGITS = re.compile(re.escape(b"".join(b"%d\0" % digit for digit in range(10))))


@dataclass(frozen=True)
class Placed:
    """The symbol table of one image.

    :param names: in the order of the table, which is that of the addresses, each after its letter
        as ``nm`` shows it.
    :param offsets: one for each name, as stored, signed.
    :param place: where in the file the offsets start.
    :param base: what the image holds as the address that offsets count from; 0 where a
        relocation is to put it there, and where each counts from its own place.
    :param base_place: where in the file that address stands; None: each counts from its own place.
    """

    names: tuple[str, ...]
    offsets: tuple[int, ...]
    place: int
    base: int
    base_place: int | None

    def symbols(self, place: int, base: int) -> list[tuple[int, str]]:
        """Return (address, name) of every symbol, in the order of the table.

        :param place: the address at which the offsets themselves lie.
        :param base: the address from which offsets count that do not count from their own place.
        """
        names = (name[1:] for name in self.names)
        return list(zip(self._decoded(place, base), names, strict=True))

    def by_name(self, symbols: list[tuple[int, str]]) -> dict[str, int]:
        """Return each name's address; of a name that several have, the global's or the first's."""
        entries = list(zip(self.names, symbols, strict=True))
        found = {name: address for letter, (address, name) in entries if letter[0].isupper()}
        for _, (address, name) in entries:
            found.setdefault(name, address)
        return found

    def _decoded(self, place: int, base: int) -> Iterator[int]:
        if self.base_place is None:
            return (place + 4 * n + offset for n, offset in enumerate(self.offsets))
        if _is_per_cpu(self.offsets):
            return (o if o >= 0 else base - 1 - o for o in self.offsets)
        return (base + (o & 0xFFFFFFFF) for o in self.offsets)


def _is_per_cpu(offsets: tuple[int, ...]) -> bool:
    """Tell the encoding of ``CONFIG_KALLSYMS_ABSOLUTE_PERCPU``: below zero means from the base."""
    return offsets[-1] < 0 and offsets[-1] < offsets[len(offsets) // 2] < 0


def find(image: bytes) -> Placed | None:
    """Find the symbol table in an unpacked kernel; None where there is none that is whole."""
    for start, tokens, end in islice(_token_tables(image), _TRIED):
        found = _names(image, start, tokens)
        if found is None:
            continue
        count_place, names = found
        table = _offsets(image, names, count_place, end)
        if table is not None:
            return table
    return None


def _token_tables(image: bytes) -> Iterator[tuple[int, list[bytes], int]]:
    """Yield (start, tokens, end of index) of what can be a token table."""
    for digits in _DIGITS.finditer(image):
        start = digits.start()
        for _ in range(ord("0")):
            start = image.rfind(b"\0", 0, max(start - 1, 0)) + 1
        begins = (start, _aligned(start, 4), _aligned(start, 8))
        yield from islice(_tables_at(image, begins), 1)


def _tables_at(image: bytes, begins: tuple[int, ...]) -> Iterator[tuple[int, list[bytes], int]]:
    for begin in begins:
        tokens, end = _strings(image, begin)
        for index in (_aligned(end, 4), _aligned(end, 8)):
            if _is_index(image, index, tokens):
                yield begin, tokens, index + 2 * _TOKENS


def _strings(image: bytes, start: int) -> tuple[list[bytes], int]:
    tokens = image[start : start + _TOKENS * 64].split(b"\0", _TOKENS)[:_TOKENS]
    return tokens, start + sum(len(token) + 1 for token in tokens)


def _is_index(image: bytes, place: int, tokens: list[bytes]) -> bool:
    """Say whether the 256 numbers at ``place`` are where each of the tokens starts."""
    packed = image[place : place + 2 * _TOKENS]
    if len(packed) < 2 * _TOKENS or len(tokens) < _TOKENS:
        return False
    position = 0
    for (index,), token in zip(struct.iter_unpack("<H", packed), tokens, strict=True):
        if index != position:
            return False
        position += len(token) + 1
    return True


def _aligned(position: int, to: int) -> int:
    return (position + to - 1) // to * to


def _names(image: bytes, end: int, tokens: list[bytes]) -> tuple[int, tuple[str, ...]] | None:
    """Return where the count of the names stands, and the names, which lie before ``end``."""
    first = _aligned(max(0, end - _REACH), 4)
    for markers, place in _marker_runs(image, first, end - end % 4):
        start = max(first, _aligned(place - markers[-1] - _MARKED * _NAME_BYTES[-1], 4))
        for count_place in range(start, place - markers[-1] - 3, 4):
            (count,) = struct.unpack_from("<I", image, count_place)
            if (len(markers) - 1) * _MARKED < count <= min(len(markers) * _MARKED, MAX_SYMBOLS):
                for names_place in {_aligned(count_place + 4, 8), count_place + 4}:
                    names = _unpacked(image, names_place, count, markers, tokens)
                    if names:
                        return count_place, names
    return None


def _marker_runs(image: bytes, start: int, end: int) -> Iterator[tuple[list[int], int]]:
    """Yield runs of numbers that rise from 0 as markers do, the longest first, and their place."""
    numbers = memoryview(image)[start:end].cast("I")
    low, high = _MARKED * _NAME_BYTES[0], _MARKED * _NAME_BYTES[-1]
    runs: list[tuple[int, int]] = []
    begin = 0
    for index, (number, following) in enumerate(pairwise((*numbers, 0)), 1):
        if not low <= following - number <= high:
            if index - begin > 1 and numbers[begin] == 0:
                runs.append((begin, index))
            begin = index
    for begin, stop in sorted(runs, key=lambda run: run[0] - run[1])[:8]:
        yield list(numbers[begin:stop]), start + 4 * begin


def _unpacked(
    image: bytes, place: int, count: int, markers: list[int], tokens: list[bytes]
) -> tuple[str, ...]:
    """Unpack the names; empty where they do not agree with the markers."""
    position = place
    names = []
    for number in range(count):
        if number % _MARKED == 0 and position - place != markers[number // _MARKED]:
            return ()
        if position + 2 > len(image):
            return ()
        size = image[position]
        position += 1
        if size & 0x80:
            size = size & 0x7F | image[position] << 7
            position += 1
        name = b"".join([tokens[token] for token in image[position : position + size]])
        names.append(name.decode("latin-1") or "?")
        position += size
    return tuple(names)


def _offsets(
    image: bytes, names: tuple[str, ...], count_place: int, tokens_end: int
) -> Placed | None:
    """Find the offsets: before the count (up to 6.3) or after the tokens."""
    size = 4 * len(names)
    before = count_place - _aligned(size, 8)
    for start, own_place in (
        *((_aligned(tokens_end, align), own) for align in (4, 8) for own in (False, True)),
        *((before - gap, False) for gap in (8, 12, 16)),
    ):
        packed = image[start : start + size] if start >= 0 else b""
        if len(packed) < size:
            continue
        offsets = struct.unpack(f"<{len(names)}i", packed)
        if not _rises(offsets, own_place):
            continue
        if own_place:
            return Placed(names, offsets, start, 0, None)
        place = _aligned(start + size, 8)
        base = int.from_bytes(image[place : place + 8], "little")
        if base == 0 or base >> 47 == _KERNEL_HALF:
            return Placed(names, offsets, start, base, place)
    return None


def _rises(offsets: tuple[int, ...], own_place: bool) -> bool:
    """Say whether the addresses rise, as they do in a table that is sorted by them."""
    if own_place:
        return all(b - a >= -4 for a, b in pairwise(offsets))
    if _is_per_cpu(offsets):
        return all(a <= b if b >= 0 else a >= b for a, b in pairwise(offsets))
    return all(a & 0xFFFFFFFF <= b & 0xFFFFFFFF for a, b in pairwise(offsets))
