"""ELF files of 64 bits, little endian: segments, sections, symbols and relocations.

Layout: System V ABI, ``elf.h``. Kernels and modules come from packages that anybody may have made:
every table is checked against the file's size before it is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

LOADED = 1  #: PT_LOAD
ALLOCATED = 2  #: SHF_ALLOC
EMPTY = 8  #: SHT_NOBITS
SYMBOLS, RELOCATIONS = 2, 4  #: SHT_SYMTAB, SHT_RELA
UNDEFINED, ABSOLUTE, COMMON = 0, 0xFFF1, 0xFFF2  #: special section numbers
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")


@dataclass(frozen=True)
class Segment:
    """A program header: bytes of the file and where they lie in memory."""

    kind: int
    offset: int
    address: int
    file_size: int


@dataclass(frozen=True)
class Section:
    """A section header; ``data`` is empty where the file holds none of its bytes."""

    name: str
    kind: int
    flags: int
    size: int
    link: int
    info: int
    align: int
    data: bytes


@dataclass(frozen=True)
class Symbol:
    """A symbol: ``value`` counts from its section's start in a relocatable file."""

    name: str
    section: int
    value: int
    size: int


@dataclass(frozen=True)
class Relocation:
    """At ``offset`` of a section the address of a symbol is to be put in, as ``kind`` says."""

    offset: int
    kind: int
    symbol: int
    addend: int


class Elf:
    """An ELF file in memory.

    :raises ValueError: it is none of 64 bits and little endian, or its tables lie outside it.
    """

    def __init__(self, data: bytes) -> None:
        if data[:6] != b"\x7fELF\x02\x01" or len(data) < _HEADER.size:
            raise ValueError("byte 0: no ELF file of 64 bits, little endian")
        self._data = data
        (_, _, self.machine, _, _, segments, sections, _, _, *counts) = _HEADER.unpack_from(data)
        _, segment_count, _, section_count, self._names = counts
        self.segments = tuple(self._segments(segments, segment_count))
        self._headers = tuple(self._table(_SECTION, sections, section_count, "section headers"))

    def _segments(self, start: int, count: int) -> Iterator[Segment]:
        for kind, _, offset, address, _, size, _, _ in self._table(
            _SEGMENT, start, count, "program headers"
        ):
            if kind == LOADED:
                self._part(offset, size, "a segment")
            yield Segment(kind, offset, address, size)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """All sections, in order; the first is empty."""
        if not self._headers:
            return ()
        if self._names >= len(self._headers):
            raise ValueError(f"its section names are section {self._names} of {len(self._headers)}")
        names = self._bytes(self._headers[self._names], "section names")
        return tuple(
            Section(
                name=_text(names, name),
                kind=kind,
                flags=flags,
                size=size,
                link=link,
                info=info,
                align=align,
                data=self._bytes(
                    (name, kind, flags, at, offset, size, link, info, align, each), ""
                ),
            )
            for name, kind, flags, at, offset, size, link, info, align, each in self._headers
        )

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols of the first symbol table; relocations name them by position."""
        for section in self.sections:
            if section.kind == SYMBOLS and section.link < len(self.sections):
                names = self.sections[section.link].data
                return tuple(
                    Symbol(_text(names, name), index, value, size)
                    for name, _, _, index, value, size in _whole(_SYMBOL, section.data)
                )
        return ()

    def relocations(self, section: Section) -> Iterator[Relocation]:
        """Yield what a relocation section asks for."""
        for offset, info, addend in _whole(_RELOCATION, section.data):
            yield Relocation(offset, info & 0xFFFFFFFF, info >> 32, addend)

    def section(self, name: str) -> Section | None:
        """Return the first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def _table(
        self, layout: struct.Struct, start: int, count: int, what: str
    ) -> Iterator[tuple[int, ...]]:
        return layout.iter_unpack(self._part(start, layout.size * count, what) if count else b"")

    def _bytes(self, header: tuple[int, ...], what: str) -> bytes:
        _, kind, _, _, offset, size, *_ = header
        return b"" if kind in (0, EMPTY) else self._part(offset, size, what or "a section")

    def _part(self, start: int, size: int, what: str) -> bytes:
        if start + size > len(self._data):
            raise ValueError(f"{what}: bytes {start} to {start + size} of {len(self._data)}")
        return self._data[start : start + size]


def _whole(layout: struct.Struct, data: bytes) -> Iterator[tuple[int, ...]]:
    return layout.iter_unpack(data[: len(data) // layout.size * layout.size])


def _text(names: bytes, start: int) -> str:
    end = names.find(b"\0", start)
    return names[start:end].decode("latin-1") if end >= 0 else ""
