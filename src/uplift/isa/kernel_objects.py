"""Kernels and modules: unpacked, modules laid out as if they were loaded, kernels with their names.

Layout of relocations: psABIs of x86-64 (4.4), AArch64 (5.7), RISC-V (8.5).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from uplift.errors import UpliftError
from uplift.isa.elf import ALLOCATED, NOBITS, RELOCATABLE, Buffer, Elf
from uplift.isa.symbols import Names

_PACKED = (b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18", b"MZ")
_MAX_PACKED = 256 << 20
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_RELA = np.dtype([("place", "<i8"), ("kind", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
_SYMBOL_VALUE = 8
_X86_RELATIVE, _X86_WORD, _X86_LOW = (2, 4), (1,), (10, 11)
_MAX_SECTION = 1 << 31
_MODULE_BASE = 0x100000
_MACHINES = {"aarch64": 183, "riscv64": 243}


@dataclass(frozen=True)
class Opened:
    """A file's ELF bytes, what it was, and its names where they are not in the ELF file."""

    data: Buffer
    kind: str = ""
    names: Names | None = None
    notes: tuple[str, ...] = ()


def opened(data: Buffer) -> Opened:
    """Take off what wraps a kernel or a module, and lay it out.

    :raises UpliftError: the wrapper is broken or cannot be unpacked here.
    """
    head = bytes(memoryview(data)[:64])
    if head.startswith(b"\x7fELF"):
        if head[4:6] == b"\x02\x01" and head[16:18] == b"\x01\x00":
            return Opened(laid_out(data), notes=_module_notes(data))
        return Opened(data)
    return _unpacked(data, head)


def _unpacked(data: Buffer, head: bytes) -> Opened:
    from uplift.facts.kernel_image.unpack import (  # noqa: PLC0415 - few files are packed
        NoUnpacker,
        flat_machine,
        unpack,
    )

    view = memoryview(data)
    if not (head.startswith(_PACKED) or bytes(view[0x202:0x206]) == b"HdrS" or flat_machine(head)):
        return Opened(data)
    if len(view) > _MAX_PACKED:
        raise _not_unpacked(f"it is packed and has {len(view)} bytes")
    try:
        inner = unpack(bytes(view))
    except (ValueError, NoUnpacker) as error:
        raise _not_unpacked(str(error)) from None
    machine = flat_machine(inner)
    if machine:
        return Opened(_flat(inner, machine), kind="kernel", notes=("a flat kernel image",))
    if inner[16:18] == b"\x01\x00":
        return Opened(laid_out(inner), notes=_module_notes(inner))
    return Opened(inner, kind="kernel" if inner is not data else "")


def _not_unpacked(cause: str) -> UpliftError:
    return UpliftError(
        "cannot unpack the file", cause, "check that the file is whole, or unpack it yourself"
    )


def _module_notes(_: Buffer) -> tuple[str, ...]:
    return ("a relocatable file, laid out as if it were loaded",)


def _flat(data: bytes, machine: str) -> bytes:
    """Give a flat image an ELF header that says it is all code."""
    header = 64 + _SEGMENT.size
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    fields = (2, _MACHINES[machine], 1, 0, 64, 0, 0, 64, _SEGMENT.size, 1, 0, 0, 0)
    elf = identity + struct.pack("<HHIQQQIHHHHHH", *fields)
    segment = _SEGMENT.pack(1, 5, header, 0, 0, len(data), len(data), 4096)
    return elf + segment + data


def laid_out(data: Buffer) -> bytes:
    """Return a relocatable file with addresses given to its sections and relocations applied.

    Sections get addresses one behind the other; symbols other files define get one each behind
    them, so that references to them can be told apart.
    """
    elf = Elf(data)
    if elf.kind != RELOCATABLE:
        return bytes(memoryview(data))
    image = bytearray(memoryview(data))
    bases = _place_sections(elf, image)
    values, sections = _place_symbols(elf, image, bases)
    if values is not None:
        _relocate(elf, image, bases, values)
    _add_segments(elf, image, bases)
    del sections
    return bytes(image)


def _place_sections(elf: Elf, image: bytearray) -> dict[int, int]:
    (table,) = struct.unpack_from("<Q", image, 40)
    at, bases = _MODULE_BASE, {}
    for section in elf.sections:
        if not section.flags & ALLOCATED:
            continue
        align = section.align if 0 < section.align <= 1 << 16 else 1
        at = -(-at // align) * align
        bases[section.index] = at
        struct.pack_into("<Q", image, table + section.index * _SECTION.size + 16, at)
        at += min(section.size, _MAX_SECTION)
    return bases


def _place_symbols(elf: Elf, image: bytearray, bases: dict[int, int]) -> tuple[Any, Any]:
    section = next((s for s in elf.sections if s.kind == 2), None)
    if section is None:
        return None, None
    symbols = elf.symbols
    home = np.zeros(max(65536, len(elf.sections) + 1), np.int64)
    for index, base in bases.items():
        home[index] = base
    end = max(
        [
            _MODULE_BASE,
            *(bases[s.index] + min(s.size, _MAX_SECTION) for s in elf.sections if s.index in bases),
        ]
    )
    values = symbols.value + home[symbols.section]
    outside = symbols.section == 0
    values[outside] = (end + 0xFFF & ~0xFFF) + 64 * np.arange(int(outside.sum()))
    for index, value in enumerate(values.tolist()):
        if symbols.section[index]:
            place = section.offset + 24 * index + _SYMBOL_VALUE
            struct.pack_into("<q", image, place, value)
    return values, symbols.section


def _relocate(elf: Elf, image: bytearray, bases: dict[int, int], values: Any) -> None:
    if elf.arch != "x86-64":
        return
    raw = np.frombuffer(image, np.uint8)
    for section in elf.sections:
        if section.kind != 4 or section.info not in bases:
            continue
        target = elf.sections[section.info]
        content = elf.content(section)
        table = np.frombuffer(content[: len(content) // 24 * 24], _RELA)
        table = table[table["symbol"] < len(values)]
        if target.kind == NOBITS:
            continue
        for kinds, size in ((_X86_RELATIVE + _X86_LOW, 4), (_X86_WORD, 8)):
            part = table[np.isin(table["kind"], kinds)]
            place = part["place"]
            part = part[(place >= 0) & (place <= target.size - size)]
            value = values[part["symbol"]] + part["addend"]
            relative = np.isin(part["kind"], _X86_RELATIVE)
            value = value - np.where(relative, bases[section.info] + part["place"], 0)
            at = (target.offset + part["place"])[:, None] + np.arange(size)
            raw[at] = value.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :size]


def _add_segments(elf: Elf, image: bytearray, bases: dict[int, int]) -> None:
    """Append a program header for each loaded section, and name the table in the header."""
    table = bytearray()
    for section in elf.sections:
        if section.index in bases and section.size:
            flags = 4 | (1 if section.flags & 4 else 0) | (2 if section.flags & 1 else 0)
            size = 0 if section.kind == NOBITS else section.size
            memory = min(section.size, _MAX_SECTION)
            base = bases[section.index]
            table += _SEGMENT.pack(
                1, flags, section.offset, base, base, size, memory, section.align
            )
    count = len(table) // _SEGMENT.size
    if count >= 0xFFFF:
        return
    struct.pack_into("<Q", image, 32, len(image))
    struct.pack_into("<HH", image, 54, _SEGMENT.size, count)
    image += table
