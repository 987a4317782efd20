"""Kernel modules laid into an address space and linked to the kernel, as its loader would.

Relocation kinds: System V ABI, AMD64 supplement, table 4.9; Linux ``arch/x86/kernel/module.c``
applies the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from uplift.facts.kernel_image.elf import (
    ABSOLUTE,
    ALLOCATED,
    COMMON,
    RELOCATIONS,
    UNDEFINED,
    Elf,
    Relocation,
    Section,
)

#: kind: (bytes, whether it counts from its own place)
_KINDS = {1: (8, False), 2: (4, True), 4: (4, True), 10: (4, False), 11: (4, False), 24: (8, True)}
MAX_MODULE = 64 << 20
_PAGE = 4096


@dataclass(frozen=True)
class Linked:
    """A module as it lies in memory.

    :param symbols: its own names to addresses.
    :param text: (start, end) of its code.
    """

    address: int
    data: bytes
    symbols: Mapping[str, int]
    text: tuple[tuple[int, int], ...]


def link(file: bytes, address: int, resolve: Callable[[str], int]) -> Linked:
    """Lay a module out from ``address`` on and put the addresses in that it asks for.

    :param resolve: the address of a name that the module does not define.
    :raises ValueError: the file is no module, or uses a relocation that no kernel module uses.
    """
    elf = Elf(file)
    places = _places(elf, address)
    if not places:
        raise ValueError("the module has nothing to load")
    values = _values(elf, places, resolve)
    data = bytearray(_contents(elf, places, address))
    for section in elf.sections:
        if section.kind == RELOCATIONS and section.info in places:
            start = places[section.info] - address
            room = elf.sections[section.info].size
            for relocation in elf.relocations(section):
                _put(data, start, room, relocation, values, address)
    own = {
        symbol.name: places[symbol.section] + symbol.value
        for symbol in elf.symbols
        if symbol.name and symbol.section in places
    }
    text = tuple(
        (place, place + elf.sections[index].size)
        for index, place in places.items()
        if elf.sections[index].flags & 4
    )
    return Linked(address, bytes(data), own, text)


def _places(elf: Elf, address: int) -> dict[int, int]:
    """Return the address of each section that is loaded, by its number."""
    places = {}
    end = address
    for index, section in enumerate(elf.sections):
        if section.flags & ALLOCATED:
            align = max(1, min(section.align, _PAGE))
            end = (end + align - 1) // align * align
            places[index] = end
            end += section.size
            if end - address > MAX_MODULE:
                raise ValueError(f"the module needs more than {MAX_MODULE} bytes")
    return places


def _contents(elf: Elf, places: Mapping[int, int], address: int) -> bytearray:
    last = max(places, key=lambda index: places[index])
    data = bytearray(places[last] + elf.sections[last].size - address)
    for index, place in places.items():
        held: Section = elf.sections[index]
        data[place - address : place - address + len(held.data)] = held.data
    return data


def _values(elf: Elf, places: Mapping[int, int], resolve: Callable[[str], int]) -> list[int]:
    """Return the value of every symbol, by its number."""
    values = []
    for number, symbol in enumerate(elf.symbols):
        if symbol.section in places:
            values.append(places[symbol.section] + symbol.value)
        elif symbol.section == UNDEFINED and number:
            values.append(resolve(symbol.name))
        elif symbol.section == COMMON:
            raise ValueError(f"symbol {symbol.name} is common, which no module has")
        else:
            values.append(symbol.value if symbol.section == ABSOLUTE else 0)
    return values


def _put(
    data: bytearray, start: int, room: int, wanted: Relocation, values: list[int], address: int
) -> None:
    if wanted.kind == 0:
        return
    if wanted.kind not in _KINDS:
        raise ValueError(f"relocation kind {wanted.kind} is none that a module has")
    size, own_place = _KINDS[wanted.kind]
    if wanted.offset + size > room or wanted.symbol >= len(values):
        raise ValueError(f"a relocation at {wanted.offset} lies outside its section of {room}")
    place = start + wanted.offset
    value = values[wanted.symbol] + wanted.addend - (address + place if own_place else 0)
    data[place : place + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
