"""Which names lines of C use, and which ones they define."""

from __future__ import annotations

import pytest

from uplift.backport.code_names import Name, NameKind, defines, may_define, used

CALL, MEMBER, CONSTANT = NameKind.CALL, NameKind.MEMBER, NameKind.CONSTANT
TYPE, HEADER = NameKind.TYPE, NameKind.HEADER


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("\trc = cxl_enable(port);", [Name("cxl_enable", CALL)]),
        ("\tport->window = 0;", [Name("window", MEMBER)]),
        ("\t.window = 0,", [Name("window", MEMBER)]),
        ("\tops->open(port);", []),
        ("\tif (flags & CXL_READY)", [Name("CXL_READY", CONSTANT)]),
        ("\tcxl_mask_t mask;", [Name("cxl_mask_t", TYPE)]),
        ('#include "cxl/port.h"', [Name("cxl/port.h", HEADER)]),
        ("#ifdef CXL_READY", []),
        (" * see cxl_enable() and CXL_READY", []),
        ('\tputs("cxl_enable(x)"); /* port->window */', [Name("puts", CALL)]),
    ],
)
def test_names_are_read_as_they_are_used(line: str, names: list[Name]) -> None:
    assert list(used([line])) == names


def test_a_name_that_the_old_lines_had_is_not_new() -> None:
    assert used(["\tcxl_enable(port, 1);"], ["\tcxl_enable(port);"]) == ()


STRUCT = ["struct port {", "\tint size;", "\tu64 window;", "\tint (*probe)(void);", "};"]
ENUM = ["enum state {", "\tCXL_OFF,", "\tCXL_READY = 4, /* up */", "\tCXL_LAST", "};"]
BODY = ["int f(void)", "{", "\tint window;", "\tu32 modes[] = {", "\t\tCXL_READY,", "\t};", "}"]


@pytest.mark.parametrize(
    ("name", "lines", "number"),
    [
        (Name("window", MEMBER), STRUCT, 2),
        (Name("probe", MEMBER), STRUCT, 3),
        (Name("CXL_READY", CONSTANT), ENUM, 2),
        (Name("CXL_LAST", CONSTANT), ENUM, 3),
        (Name("CXL_READY", CONSTANT), ["#define CXL_READY 4"], 0),
        (Name("cxl_enable", CALL), ["#  define cxl_enable(x) ((x) + 1)"], 0),
        (Name("cxl_enable", CALL), ["int", "cxl_enable(int x)"], 1),
        (Name("cxl_mask_t", TYPE), ["typedef struct mask {", "\tint x;", "} cxl_mask_t;"], 2),
    ],
)
def test_a_definition_is_seen(name: Name, lines: list[str], number: int) -> None:
    assert defines(name, lines, number) and may_define(name, lines[number])


@pytest.mark.parametrize(
    ("name", "lines", "number"),
    [
        (Name("window", MEMBER), BODY, 2),
        (Name("CXL_READY", CONSTANT), BODY, 4),
        (Name("cxl_enable", CALL), ["int cxl_enable(int x);"], 0),
        (Name("cxl_enable", CALL), ["\tcxl_enable(1)"], 0),
    ],
)
def test_what_only_looks_like_a_definition_is_none(
    name: Name, lines: list[str], number: int
) -> None:
    assert not defines(name, lines, number)
