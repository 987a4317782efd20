"""Tables of names: found by symbol or by how they begin, and read to their end and no further."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from uplift.facts.kernel_image import memory, names
from uplift.facts.kernel_image.memory import Memory, Part

BASE = 0xFFFF800080000000


def kernel(table: Sequence[str | None], symbol: str = "", then: Sequence[str] = ()) -> Memory:
    """Return a kernel that is a table of pointers to text and the text; None is a null pointer."""
    entries = (*table, *then)
    text, places = bytearray(b"\0"), {}
    for name in dict.fromkeys(name for name in entries if name):
        places[name] = 4096 + len(text)
        text += name.encode() + b"\0"
    pointers = b"".join(struct.pack("<Q", BASE + places[n] if n else 0) for n in entries)
    data = pointers.ljust(4096, b"\0") + bytes(text)
    listing = [(BASE, symbol), (BASE + 8 * len(table), "next")] if symbol else []
    return Memory(data, (Part(BASE, 0, len(data)),), {n: a for a, n in listing}, listing)


FLAGS = ["fpu", "vme", "de", "pse", *[None] * 28, "syscall", *[None] * 31]


def test_a_flag_without_a_name_keeps_its_place_empty() -> None:
    wanted = [(0, 0, "fpu"), (0, 1, "vme"), (0, 2, "de"), (0, 3, "pse"), (1, 0, "syscall")]
    assert names.x86_flags(kernel(FLAGS, "x86_cap_flags")) == wanted
    assert names.x86_words(kernel(FLAGS, "x86_cap_flags")) == 2


def test_without_symbols_the_table_is_found_by_how_it_begins_and_ends_at_the_errata() -> None:
    bare = kernel(FLAGS, then=("f00f", "fdiv", "cpu_meltdown"))
    assert [name for _, _, name in names.x86_flags(bare)][-1] == "syscall"


def test_a_table_of_something_else_is_refused_not_guessed() -> None:
    with pytest.raises(names.NoTable, match="entry 1 of x86_cap_flags is no name"):
        names.x86_flags(kernel(["fpu", "No Flag!"], "x86_cap_flags"))
    with pytest.raises(names.NoTable, match="has no symbol table"):
        names.x86_flags(kernel(["one", "two"]))


def test_a_state_component_that_the_kernel_calls_unknown_is_not_known() -> None:
    table = ["x87 floating point registers", "SSE registers", "AVX registers"]
    table += ["unknown xstate feature"] * 2 + ["AMX Tile config"]
    found = names.xfeatures(kernel(table, "xfeature_names"))
    assert [index for index, _ in found] == [0, 1, 2, 5]


def test_hwcaps_end_before_those_of_32_bit_programs() -> None:
    table = ["fp", "asimd", "evtstrm", "aes", "sve2"]
    assert names.arm64_hwcaps(kernel(table, then=("swp", "half"))) == table
    assert names.arm64_hwcaps(kernel(table, "hwcap_str", then=("swp",))) == table


@pytest.mark.parametrize("stride", [24, 48])
def test_isa_extensions_are_read_whatever_the_size_of_their_structure(stride: int) -> None:
    table = [
        entry for name in ("i", "m", "zba") for entry in (None, name, *[None] * (stride // 8 - 2))
    ]
    found = kernel(table, "riscv_isa_ext")
    assert names.riscv_isa(found) == ["i", "m", "zba"]


def test_pointers_that_relocations_put_in_are_followed() -> None:
    table = ["fp", "asimd", "evtstrm", "aes"]
    there = kernel(table)
    pointers = {BASE + 8 * n: there.pointer(BASE + 8 * n) for n in range(len(table))}
    blank = Memory(bytes(4096) + there.data[4096:], there.parts, pointers=pointers)
    assert names.arm64_hwcaps(blank) == table


def test_what_is_neither_elf_nor_flat_is_refused_with_its_first_bytes() -> None:
    with pytest.raises(ValueError, match="starts with 68 65 6c 6c 6f 20: neither"):
        memory.of(b"hello world")
