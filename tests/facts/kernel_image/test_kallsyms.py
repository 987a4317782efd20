"""Reading the kernel's own symbol table, wherever a version puts its parts."""

from __future__ import annotations

import pytest

from tests.facts.kernel_image.building import kallsyms
from uplift.facts.kernel_image import kallsyms as reading

BASE = 0xFFFFFFFF81000000
PLACE = 0xFFFFFFFF82000000
SYMBOLS = [(f"Tkernel_function_number_{n:04}", BASE + 16 * n) for n in range(700)]
SYMBOLS[3] = ("tkernel_twice", SYMBOLS[3][1])
SYMBOLS[9] = ("Tkernel_twice", SYMBOLS[9][1])


def image(layout: str, before: bytes = bytes(64)) -> bytes:
    return before + kallsyms(SYMBOLS, layout, PLACE + len(before))[0] + b"what follows" * 8


@pytest.mark.parametrize("layout", ["before", "after", "own"])
def test_every_name_has_its_address(layout: str) -> None:
    table = reading.find(image(layout))
    assert table is not None
    found = table.by_name(table.symbols(PLACE + table.place, table.base))
    wanted = {name[1:]: address for name, address in SYMBOLS if name != "tkernel_twice"}
    assert found == wanted


def test_of_a_name_that_several_symbols_have_the_global_one_counts() -> None:
    table = reading.find(image("after"))
    assert table is not None
    listed = table.symbols(PLACE, table.base)
    assert [a for a, name in listed if name == "kernel_twice"] == [BASE + 48, BASE + 144]
    assert table.by_name(listed)["kernel_twice"] == BASE + 144


@pytest.mark.parametrize("layout", ["before", "after", "own"])
def test_a_table_that_is_cut_or_damaged_is_no_table(layout: str) -> None:
    whole = image(layout)
    names = whole.index(b"rnel_function_number_0300")
    assert reading.find(whole[: len(whole) // 3]) is None
    assert reading.find(whole[:names] + b"\xff" * 40 + whole[names + 40 :]) is None


def test_an_image_without_a_table_has_none() -> None:
    digits = b"".join(b"%d\0" % n for n in range(10))
    assert reading.find(bytes(5000) + digits * 3 + bytes(5000)) is None
