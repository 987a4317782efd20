"""A kernel as it lies in memory: bytes by link-time address, and its symbols."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from uplift.facts.kernel_image import kallsyms
from uplift.facts.kernel_image.elf import LOADED, Elf
from uplift.facts.kernel_image.unpack import flat_machine

MAX_TEXT = 128  #: bytes of one of the kernel's names
_RELOCATION = struct.Struct("<QQQ")
_FEWEST = 1000  #: relocations; shorter runs of the same bytes are something else
_ALIGNED = 64 << 10  #: where a flat image starts
_FIRST_SYMBOL = 128 << 10  #: the first symbol lies no further in
_SAMPLED = 16  #: every 16th word is looked at
_RELATIVE = {"aarch64": 0x403, "riscv64": 3}  #: R_AARCH64_RELATIVE, R_RISCV_RELATIVE


@dataclass(frozen=True)
class Part:
    """Bytes ``start`` to ``end`` of the file, which lie at ``address``."""

    address: int
    start: int
    end: int


@dataclass(frozen=True)
class Memory:
    """An unpacked kernel and what lies where.

    :param parts: of the file, by address; a flat image is one part.
    :param symbols: name to address; empty where the kernel has no table of them.
    :param listing: (address, name) of every symbol: several may have one name.
    :param pointers: address to what a relocation puts there; only for images whose pointers are
        not in place.
    """

    data: bytes
    parts: tuple[Part, ...]
    symbols: Mapping[str, int] = field(default_factory=dict)
    listing: Sequence[tuple[int, str]] = ()
    pointers: Mapping[int, int] = field(default_factory=dict)

    def bytes_at(self, address: int, size: int) -> bytes:
        """Return up to ``size`` bytes; fewer where the file has no more of them there."""
        for part in self.parts:
            if 0 <= address - part.address < part.end - part.start:
                start = part.start + address - part.address
                return self.data[start : min(start + size, part.end)]
        return b""

    def pointer(self, address: int) -> int:
        """Return the pointer at ``address``; 0 where there is none."""
        if address in self.pointers:
            return self.pointers[address]
        return int.from_bytes(self.bytes_at(address, 8), "little")

    def text(self, address: int) -> str:
        """Return the NUL-terminated ASCII text at ``address``; empty where there is none."""
        found, ended, _ = self.bytes_at(address, MAX_TEXT).partition(b"\0")
        return found.decode("ascii") if ended and found.isascii() else ""

    def addresses_of(self, text: str) -> Iterator[int]:
        """Yield where the whole NUL-terminated ``text`` stands."""
        for found in re.finditer(re.escape(b"\0" + text.encode() + b"\0"), self.data):
            address = self.address_of(found.start() + 1)
            if address is not None:
                yield address

    def pointers_to(self, address: int) -> Iterator[int]:
        """Yield where a pointer to ``address`` stands, at a multiple of 8."""
        for place, target in self.pointers.items():
            if target == address:
                yield place
        for found in re.finditer(re.escape(struct.pack("<Q", address)), self.data):
            place_of = self.address_of(found.start())
            if place_of is not None and place_of % 8 == 0:
                yield place_of

    def address_of(self, place: int) -> int | None:
        """Return where byte ``place`` of the file lies; None where it is not loaded."""
        for part in self.parts:
            if part.start <= place < part.end:
                return part.address + place - part.start
        return None

    @cached_property
    def sorted_addresses(self) -> list[int]:
        """All symbols' addresses, each once."""
        return sorted({address for address, _ in self.listing})

    @cached_property
    def banner(self) -> str:
        """The kernel's own line about itself: ``Linux version 6.1.0-41-amd64 (…) …``."""
        found = re.search(rb"Linux version \d[ -~]{1,500}", self.data)
        return found[0].decode("ascii") if found else ""


def of(data: bytes) -> Memory:
    """Return the memory of an unpacked kernel.

    :raises ValueError: it is neither an ELF file nor a flat image, or it is broken.
    """
    if data.startswith(b"\x7fELF"):
        return _of_elf(data)
    if flat_machine(data):
        return _of_flat(data)
    raise ValueError(f"it starts with {data[:6].hex(' ')}: neither an ELF file nor a flat image")


def _of_elf(data: bytes) -> Memory:
    parts = tuple(
        Part(s.address, s.offset, s.offset + s.file_size)
        for s in Elf(data).segments
        if s.kind == LOADED
    )
    memory = Memory(data, parts)
    table = kallsyms.find(data)
    place = memory.address_of(table.place) if table else None
    if table is None or place is None:
        return memory
    listing = table.symbols(place, table.base)
    return Memory(data, parts, table.by_name(listing), listing)


def _of_flat(data: bytes) -> Memory:
    """Lay a flat image where its pointers say it lies."""
    table = kallsyms.find(data)
    if table is None:
        return Memory(data, (Part(0, 0, len(data)),))
    pointers = _relocations(data, _RELATIVE[flat_machine(data)])
    base, counted_from = _bases(data, table, pointers)
    listing = table.symbols(base + table.place, counted_from)
    parts = (Part(base, 0, len(data)),)
    return Memory(data, parts, table.by_name(listing), listing, pointers)


def _relocations(data: bytes, kind: int) -> dict[int, int]:
    """Return the longest run of relative relocations: address to the pointer that belongs there.

    An image without them holds its pointers in place.
    """
    entry = struct.pack("<Q", kind)
    longest: tuple[int, int] = (0, 0)
    start = data.find(entry)
    while start >= 0:
        end = start
        while data[end : end + 8] == entry:
            end += _RELOCATION.size
        longest = max(longest, (end - start, start))
        start = data.find(entry, end + 1)
    size, start = longest
    if size < _FEWEST * _RELOCATION.size:
        return {}
    entries = _RELOCATION.iter_unpack(data[start - 8 : start - 8 + size])
    return {address: pointer for address, _, pointer in entries}


def _bases(data: bytes, table: kallsyms.Placed, pointers: Mapping[int, int]) -> tuple[int, int]:
    """Return the address of byte 0, and the address that the symbol table counts from.

    The second is that of the first symbol, a little above the first where ``_text`` is not listed.
    """
    if table.base_place is None:
        return _common_base(data), 0
    if table.base:
        listed = table.by_name(table.symbols(0, table.base))
        return listed.get("_text", _common_base(data)), table.base
    found = [
        (pointer, address - table.base_place)
        for address, pointer in pointers.items()
        if 0 <= pointer - (address - table.base_place) <= _FIRST_SYMBOL
        and (address - table.base_place) % _ALIGNED == 0
    ]
    return (found[0][1], found[0][0]) if len(found) == 1 else (0, 0)


def _common_base(data: bytes) -> int:
    """Return the multiple of 2 GiB above which most kernel pointers of a flat image lie.

    Linux 7.0 and later, which no longer say where they count from, are linked to such a multiple:
    arm64 ``KIMAGE_VADDR``, riscv ``KERNEL_LINK_ADDR``.
    """
    words = memoryview(data)[: len(data) // 8 * 8].cast("Q")[::_SAMPLED]
    counted = Counter(word >> 31 for word in words if word >> 47 == 0x1FFFF)
    return counted.most_common(1)[0][0] << 31 if counted else 0
