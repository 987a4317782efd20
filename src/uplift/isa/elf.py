"""ELF files of 64 bits, little endian, read with NumPy: every offset is checked before it is used.

Layout: System V ABI (gABI 4.1 and the psABIs of x86-64, AArch64 and RISC-V), ``elf.h``; packed
relative relocations (RELR) as the gABI describes them. A file is hostile: what does not fit is
refused whole, with the byte where it went wrong.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from uplift.errors import UpliftError

Buffer = Union[bytes, bytearray, memoryview, mmap.mmap]
Ints = npt.NDArray[np.int64]

ARCHES = {62: "x86-64", 183: "aarch64", 243: "riscv64"}
_MACHINES = {
    2: "sparc",
    3: "i386",
    8: "mips",
    20: "powerpc",
    21: "powerpc64",
    22: "s390x",
    40: "arm",
    43: "sparc64",
    247: "bpf",
    258: "loongarch",
}
RELOCATABLE, EXECUTABLE, SHARED, CORE = 1, 2, 3, 4
LOADED, DYNAMIC, INTERPRETER, NOTE, EH_FRAME_HDR = 1, 2, 3, 4, 0x6474E550
CODE_SEGMENT = 1  #: PF_X
SYMTAB, NOTES, NOBITS, DYNSYM = 2, 7, 8, 11
WRITABLE, ALLOCATED, CODE = 1, 2, 4  #: SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR
MAX_SECTIONS = 1 << 20
MAX_RELR = 1 << 24  #: relocations a packed table may unpack to
_LARGEST = 1 << 47  #: bytes of memory that a segment may take: what a process can address
_TEXT = 4096  #: bytes of a name
_HEAD = 8  #: bytes by which names are first told apart
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = np.dtype(
    [
        ("name", "<u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("section", "<u2"),
        ("value", "<i8"),
        ("size", "<i8"),
    ]
)
_RELA = np.dtype([("place", "<i8"), ("kind", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
#: What each architecture calls: relative, irelative, and a symbol's whole address.
_KINDS: Mapping[str, tuple[frozenset[int], int, frozenset[int]]] = {
    "x86-64": (frozenset({8, 38}), 37, frozenset({1, 6, 7})),
    "aarch64": (frozenset({1027}), 1032, frozenset({257, 1025, 1026})),
    "riscv64": (frozenset({3}), 58, frozenset({2, 5})),
}
(_NEEDED, _STRTAB, _SYMTAB, _RELA_AT, _RELA_SIZE, _STRSZ) = (1, 5, 6, 7, 8, 10)
(_INIT, _FINI, _SONAME, _RPATH, _JMPREL, _PLT_SIZE) = (12, 13, 14, 15, 23, 2)
(_INIT_ARRAY, _FINI_ARRAY, _INIT_SIZE, _FINI_SIZE, _RUNPATH) = (25, 26, 27, 28, 29)
(_PRE_ARRAY, _PRE_SIZE, _RELR_SIZE, _RELR) = (32, 33, 35, 36)


def refused(position: int, cause: str) -> UpliftError:
    """Return the error for a file that is broken at byte ``position``."""
    return UpliftError(
        "cannot read the ELF file",
        f"byte {position}: {cause}",
        "check that the file is whole, for instance against its package's checksum",
    )


@dataclass(frozen=True)
class Segment:
    """A program header: bytes of the file and where they lie in memory."""

    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int


@dataclass(frozen=True)
class Section:
    """A section header; ``offset`` and ``size`` are checked unless it has no bytes in the file."""

    index: int
    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int


@dataclass(frozen=True)
class SymbolTable:
    """A symbol table in columns, one array element for each symbol.

    :param strings: the names, each ended by NUL; ``name`` holds offsets into it.
    """

    name: Ints
    value: Ints
    size: Ints
    kind: npt.NDArray[np.uint8]
    binding: npt.NDArray[np.uint8]
    visibility: npt.NDArray[np.uint8]
    section: Ints
    strings: bytes

    def __len__(self) -> int:
        return len(self.value)

    def text(self, index: int) -> str:
        """Return the name of one symbol; empty where it lies outside the names."""
        return _text(self.strings, int(self.name[index]))

    def named(self, wanted: frozenset[bytes]) -> Ints:
        """Return the symbols that have one of these names, in their order."""
        maybe = np.zeros(len(self), np.bool_)
        for size, keys in _by_size(wanted):
            mask = np.uint64((1 << 8 * size) - 1)
            maybe |= np.isin(self._heads & mask, keys)
        rows = [n for n in np.flatnonzero(maybe).tolist() if self.text(n).encode() in wanted]
        return np.array(rows, np.int64)

    @cached_property
    def _heads(self) -> npt.NDArray[np.uint64]:
        """The first 8 bytes of each name, or of what stands there."""
        strings = self.strings if len(self.strings) >= _HEAD else self.strings.ljust(_HEAD, b"\0")
        last = len(strings) - _HEAD
        words = np.ndarray((last + 1,), "<u8", strings, 0, (1,))
        place = np.minimum(self.name, last)
        beyond = np.minimum(self.name - place, _HEAD - 1).astype(np.uint64)
        found: npt.NDArray[np.uint64] = words[place] >> (beyond * np.uint64(8))
        return found


@dataclass(frozen=True)
class Pointers:
    """What the dynamic linker puts where: ``place`` gets the address ``target``.

    :param symbol: index into the dynamic symbols; 0 where the target is the file's own.
    :param resolver: the target is a function that is called and answers the address (IFUNC).
    """

    place: Ints
    target: Ints
    symbol: Ints
    resolver: npt.NDArray[np.bool_]


class Elf:
    """An ELF file in memory.

    :param data: the whole file; only its headers are read at once.
    :param detached: it is a debug file, whose program headers may speak of another file's bytes.
    :raises UpliftError: it is not of 64 bits, little endian, of a known architecture, or broken.
    """

    def __init__(self, data: Buffer, detached: bool = False) -> None:
        self.data = memoryview(data)
        self.size = len(self.data)
        self._check_identity()
        header = _HEADER.unpack(self._part(0, _HEADER.size, "the header"))
        (_, self.kind, machine, _, self.entry, segments, sections, _, _, *counts) = header
        if machine not in ARCHES:
            name = _MACHINES.get(machine, f"number {machine}")
            raise _unsupported(18, f"it is for the machine {name}")
        self.arch = ARCHES[machine]
        self.entry = _signed(self.entry)
        segment_size, segment_count, section_size, section_count, self._names = counts
        self._check_sizes(segment_size, segment_count, section_size, section_count)
        self.segments = () if detached else self._segments(segments, segment_count)
        self.sections = self._sections(sections, section_count)

    def _check_identity(self) -> None:
        identity = bytes(self.data[:6])
        if identity[:4] != b"\x7fELF":
            raise refused(0, f"it starts with {identity[:4].hex(' ') or 'nothing'}, not with ELF")
        if identity[4:5] != b"\x02":
            raise _unsupported(4, "it is of 32 bits")
        if identity[5:6] != b"\x01":
            raise _unsupported(5, "it is big endian")

    def _check_sizes(self, segment: int, segments: int, section: int, sections: int) -> None:
        if segments and segment != _SEGMENT.size:
            raise refused(54, f"program headers of {segment} bytes")
        if sections and section != _SECTION.size:
            raise refused(58, f"section headers of {section} bytes")

    def _segments(self, start: int, count: int) -> tuple[Segment, ...]:
        table = self._part(start, count * _SEGMENT.size, "program headers") if count else b""
        found = []
        for index, (kind, flags, offset, address, _, size, memory, _) in enumerate(
            _SEGMENT.iter_unpack(table)
        ):
            if kind == LOADED and size and offset + size > self.size:
                at = start + index * _SEGMENT.size
                raise refused(at, f"a segment of bytes {offset} to {offset + size} of {self.size}")
            if kind == LOADED and (memory > _LARGEST or size > memory):
                raise refused(start + index * _SEGMENT.size, f"a segment of {memory} bytes")
            found.append(Segment(kind, flags, offset, _signed(address), size, memory))
        return tuple(found)

    def _sections(self, start: int, count: int) -> tuple[Section, ...]:
        if not start:
            return ()
        if not count:  # more than fit the header: the first section's size is their number
            (count,) = struct.unpack_from("<Q", self._part(start, _SECTION.size, "a header"), 32)
        if count > MAX_SECTIONS:
            raise refused(start, f"{count} sections")
        table = self._part(start, count * _SECTION.size, "section headers")
        headers = list(_SECTION.iter_unpack(table))
        names = self._section_names(headers, start)
        return tuple(self._section(i, h, names, start) for i, h in enumerate(headers))

    def _section_names(self, headers: list[tuple[int, ...]], start: int) -> bytes:
        index = headers[0][6] if self._names == 0xFFFF and headers else self._names
        if not index:
            return b""
        if index >= len(headers):
            raise refused(62, f"section names are section {index} of {len(headers)}")
        return bytes(self._part(headers[index][4], headers[index][5], "section names"))

    def _section(self, index: int, header: tuple[int, ...], names: bytes, start: int) -> Section:
        name, kind, flags, address, offset, size, link, info, align, _ = header
        if kind not in (0, NOBITS) and offset + size > self.size:
            at = start + index * _SECTION.size
            raise refused(at, f"a section of bytes {offset} to {offset + size} of {self.size}")
        place = _signed(address)
        return Section(
            index, _text(names, name), kind, flags, place, offset, size, link, info, align
        )

    def section(self, name: str) -> Section | None:
        """Return the first section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def content(self, section: Section) -> memoryview:
        """Return a section's bytes; none where the file holds none."""
        if section.kind in (0, NOBITS):
            return memoryview(b"")
        return self._part(section.offset, section.size, section.name)

    @cached_property
    def loaded(self) -> tuple[Segment, ...]:
        """The loaded segments that have bytes in the file."""
        return tuple(s for s in self.segments if s.kind == LOADED and s.file_size)

    def at(self, address: int, size: int) -> memoryview:
        """Return up to ``size`` bytes that lie at ``address``; fewer where the file has no more."""
        for segment in self.loaded:
            inside = address - segment.address
            if 0 <= inside < segment.file_size:
                end = segment.offset + min(segment.file_size, inside + size)
                return self.data[segment.offset + inside : end]
        return memoryview(b"")

    def word(self, address: int) -> int:
        """Return the 8 bytes at ``address`` as a number; 0 where the file has none there."""
        return int.from_bytes(self.at(address, 8), "little", signed=True)

    @cached_property
    def dynamic(self) -> Mapping[int, tuple[int, ...]]:
        """The dynamic section: each tag with its values."""
        for segment in self.segments:
            if segment.kind == DYNAMIC and segment.file_size:
                return self._dynamic(segment)
        return {}

    def _dynamic(self, segment: Segment) -> Mapping[int, tuple[int, ...]]:
        raw = self._part(segment.offset, segment.file_size, "the dynamic section")
        table = np.frombuffer(raw[: len(raw) // 16 * 16], "<i8").reshape(-1, 2)
        found: dict[int, tuple[int, ...]] = {}
        for tag, value in table.tolist():
            if tag == 0:
                break
            found[tag] = (*found.get(tag, ()), value)
        return found

    def tag(self, tag: int) -> int:
        """Return the first value of a dynamic tag; 0 where there is none."""
        return self.dynamic.get(tag, (0,))[0]

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The libraries it asks for."""
        return tuple(self._dynamic_text(offset) for offset in self.dynamic.get(_NEEDED, ()))

    @cached_property
    def soname(self) -> str:
        """The name under which others ask for it; empty where it has none."""
        return self._dynamic_text(self.tag(_SONAME)) if _SONAME in self.dynamic else ""

    @cached_property
    def runpath(self) -> str:
        """Where it looks for libraries; empty where it says nothing."""
        tag = next((tag for tag in (_RUNPATH, _RPATH) if tag in self.dynamic), 0)
        return self._dynamic_text(self.tag(tag)) if tag else ""

    def _dynamic_text(self, offset: int) -> str:
        size = self.tag(_STRSZ)
        if not 0 <= offset < size:
            return ""
        return _text(bytes(self.at(self.tag(_STRTAB) + offset, min(_TEXT, size - offset))), 0)

    @cached_property
    def symbols(self) -> SymbolTable:
        """The full symbol table; empty in a stripped file."""
        return self._symbols_of(SYMTAB)

    @cached_property
    def dynamic_symbols(self) -> SymbolTable:
        """The symbols for the dynamic linker; found by its section."""
        return self._symbols_of(DYNSYM)

    def _symbols_of(self, kind: int) -> SymbolTable:
        for section in self.sections:
            if section.kind == kind:
                if section.link >= len(self.sections):
                    raise refused(section.offset, f"symbol names are section {section.link}")
                strings = bytes(self.content(self.sections[section.link]))
                return _table(self.content(section), strings)
        return _table(memoryview(b""), b"")

    @cached_property
    def pointers(self) -> Pointers:
        """Every pointer to code or data that the dynamic linker fills in, by place."""
        relative, irelative, named = _KINDS[self.arch]
        entries = self._relas()
        kinds = entries["kind"]
        is_relative = np.isin(kinds, list(relative)) | (kinds == irelative)
        is_named = np.isin(kinds, list(named))
        symbols = self.dynamic_symbols
        index = np.where(is_named, entries["symbol"], 0).astype(np.int64)
        index[index >= len(symbols)] = 0
        value = (
            np.where(symbols.section[index] != 0, symbols.value[index], 0) if len(symbols) else 0
        )
        target = np.where(is_named, value, 0) + entries["addend"]
        target = np.where(is_named & (np.asarray(value) == 0), 0, target)
        resolver = kinds == irelative
        if len(symbols):
            resolver = resolver | (is_named & (symbols.kind[index] == 10) & (target != 0))
        relr = self._relr()
        values = self.words(relr)
        keep = is_relative | is_named
        place = np.concatenate([entries["place"][keep], relr])
        order = np.argsort(place, kind="stable")
        return Pointers(
            place[order],
            np.concatenate([target[keep], values])[order],
            np.concatenate([index[keep], np.zeros(len(relr), np.int64)])[order],
            np.concatenate([resolver[keep], np.zeros(len(relr), np.bool_)])[order],
        )

    def _relas(self) -> npt.NDArray[Any]:
        parts = []
        for at, size in ((_RELA_AT, _RELA_SIZE), (_JMPREL, _PLT_SIZE)):
            if at in self.dynamic:
                parts.append(self._records(self.tag(at), self.tag(size)))
        if not parts:  # a static program: the start-up code applies them
            parts = [
                _whole(self.content(s), _RELA)
                for s in self.sections
                if s.kind == 4 and s.flags & ALLOCATED
            ]
        return np.concatenate(parts) if parts else np.empty(0, _RELA)

    def _records(self, address: int, size: int) -> npt.NDArray[Any]:
        if size < 0 or size > self.size:
            raise refused(0, f"relocations of {size} bytes")
        return _whole(self.at(address, size), _RELA)

    def _relr(self) -> Ints:
        size = self.tag(_RELR_SIZE)
        if not 0 < size <= self.size:
            return np.empty(0, np.int64)
        return _unpacked_relr(_whole(self.at(self.tag(_RELR), size), np.dtype("<u8")))

    def words(self, places: Ints) -> Ints:
        """Return the 8-byte words at many addresses; 0 where the file has none."""
        out = np.zeros(len(places), np.int64)
        for segment in self.loaded:
            inside = places - segment.address
            mask = (inside >= 0) & (inside <= segment.file_size - 8)
            if mask.any():
                raw = np.frombuffer(self.data, np.uint8)
                at = (segment.offset + inside[mask])[:, None] + np.arange(8)
                out[mask] = raw[at].view("<i8").reshape(-1)
        return out

    @cached_property
    def start_functions(self) -> tuple[int, ...]:
        """What is called by itself: the entry, the init and fini functions and arrays."""
        found = [self.entry if self.kind != RELOCATABLE else 0, self.tag(_INIT), self.tag(_FINI)]
        arrays = ((_PRE_ARRAY, _PRE_SIZE), (_INIT_ARRAY, _INIT_SIZE), (_FINI_ARRAY, _FINI_SIZE))
        for at, size in arrays:
            if at in self.dynamic:
                found += self._array(self.tag(at), self.tag(size))
        for section in self.sections:
            if section.name.startswith((".init_array", ".fini_array", ".preinit_array", ".ctors")):
                found += self._array(section.address, section.size)
        return tuple(dict.fromkeys(value for value in found if value not in (0, -1)))

    def _array(self, start: int, size: int) -> list[int]:
        count = min(size, self.size) // 8
        places = start + 8 * np.arange(max(count, 0), dtype=np.int64)
        values = self.words(places)
        pointers = self.pointers
        at = np.searchsorted(pointers.place, places)
        inside = at < len(pointers.place)
        hit = np.zeros(len(places), np.bool_)
        hit[inside] = pointers.place[at[inside]] == places[inside]
        values[hit] = pointers.target[at[hit]]
        return [int(value) for value in values]

    def _part(self, start: int, size: int, what: str) -> memoryview:
        if start < 0 or size < 0 or start + size > self.size:
            raise refused(start, f"{what} would end at byte {start + size} of {self.size}")
        return self.data[start : start + size]


def _unsupported(position: int, cause: str) -> UpliftError:
    return UpliftError(
        "cannot audit this ELF file",
        f"byte {position}: {cause}",
        "audit 64-bit little-endian files for x86-64, aarch64 or riscv64",
    )


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _by_size(wanted: frozenset[bytes]) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
    """Yield how many bytes of names to look at, and what these may be."""
    heads: dict[int, set[int]] = {}
    for name in wanted:
        head = (name + b"\0")[:_HEAD]
        heads.setdefault(len(head), set()).add(int.from_bytes(head, "little"))
    for size, keys in heads.items():
        yield size, np.array(sorted(keys), np.uint64)


def _text(strings: bytes, start: int) -> str:
    end = strings.find(b"\0", start, start + _TEXT)
    return strings[start:end].decode("utf-8", "backslashreplace") if end >= 0 else ""


def _whole(raw: memoryview, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype)


def _table(raw: memoryview, strings: bytes) -> SymbolTable:
    entries = _whole(raw, _SYMBOL)
    return SymbolTable(
        name=entries["name"].astype(np.int64),
        value=entries["value"].astype(np.int64),
        size=entries["size"].astype(np.int64),
        kind=(entries["info"] & 15).astype(np.uint8),
        binding=(entries["info"] >> 4).astype(np.uint8),
        visibility=(entries["other"] & 3).astype(np.uint8),
        section=entries["section"].astype(np.int64),
        strings=strings,
    )


def _unpacked_relr(words: npt.NDArray[Any]) -> Ints:
    """Return the places that packed relative relocations name.

    An even word is a place; each odd word after it is a bitmap of the 63 words that follow.
    """
    if not len(words):
        return np.empty(0, np.int64)
    is_place = (words & 1) == 0
    if not is_place[0]:
        return np.empty(0, np.int64)
    index = np.arange(len(words))
    last = np.maximum.accumulate(np.where(is_place, index, 0))
    base = words[last].astype(np.int64) + 8 + (index - last - 1) * 63 * 8
    maps = words[~is_place]
    if int(np.count_nonzero(is_place)) + 63 * len(maps) > MAX_RELR:
        raise refused(0, f"{len(words)} words of packed relocations")
    bits = (maps[:, None] >> np.arange(1, 64, dtype=np.uint64)) & np.uint64(1)
    row, bit = np.nonzero(bits)
    marked = base[~is_place][row] + bit * 8
    return np.sort(np.concatenate([words[is_place].astype(np.int64), marked]))
