"""What Kconfig files say: which option something can switch on, for which architecture."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.catalog.derive.kernel_options import cell, offered

TOP = """\
source "scripts/Kconfig.include"
source "arch/$(SRCARCH)/Kconfig"

menu "Drivers"
\tdepends on HAS_BUS

config TEGRA_PINS
\ttristate "Pins" if COMPILE_TEST
\tdepends on ARM64

config ONLY_TESTED
\tbool "Nobody builds it"
\tdepends on COMPILE_TEST || !MMU

config CARD
\ttristate "A card"
\tdepends on X86 || \\
\t\tARM64
\tselect CARD_CORE
\thelp
\t  This text says: config NOT_AN_OPTION
\t  depends on nothing.

config CARD_CORE
\ttristate

config UNSELECTED
\tbool

if X86
config PC_CARD
\tbool "A card of PCs"
\tdefault y if "$(ARCH)" = "x86_64"
endif

endmenu

config ASKED_OF_THE_COMPILER
\tdef_bool $(cc-option,-mfast)

config NOT_ASKED_OF_THE_COMPILER
\tdef_bool !$(cc-option,-mfast)

config BUFFER_SIZE
\tint "Size"
\trange 1 64
\tdefault 4

config BROKEN_THING
\tbool "Broken"
\tdepends on BROKEN
"""
ARCH = """\
config {name}
\tdef_bool y
\tselect HAS_BUS

config MMU
\tdef_bool y

config HAS_BUS
\tbool
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/Kconfig.include").write_text("if-success = $(shell,echo y)\n")
    (tmp_path / "Kconfig").write_text(TOP)
    for arch, name in (("x86", "X86"), ("arm64", "ARM64")):
        directory = tmp_path / "arch" / arch
        directory.mkdir(parents=True)
        (directory / "Kconfig").write_text(ARCH.format(name=name))
    return tmp_path


@pytest.mark.parametrize(
    ("option", "archs"),
    [
        ("TEGRA_PINS", set()),  # its prompt is for COMPILE_TEST only
        ("ONLY_TESTED", set()),  # without a bus nothing is; with one, memory is managed
        ("CARD", {"x86-64", "arm64"}),
        ("CARD_CORE", {"x86-64", "arm64"}),  # selected
        ("UNSELECTED", set()),
        ("PC_CARD", {"x86-64"}),
        ("BROKEN_THING", set()),
        ("BUFFER_SIZE", {"x86-64", "arm64", "riscv64", "s390x", "ppc64el"}),
        ("ASKED_OF_THE_COMPILER", {"x86-64", "arm64", "riscv64", "s390x", "ppc64el"}),
        ("NOT_ASKED_OF_THE_COMPILER", {"x86-64", "arm64", "riscv64", "s390x", "ppc64el"}),
        ("MMU", {"x86-64", "arm64"}),
    ],
)
def test_an_option_is_on_offer_where_something_can_switch_it_on(
    tree: Path, option: str, archs: set[str]
) -> None:
    assert offered(tree).archs[option] == archs


def test_a_help_text_defines_nothing(tree: Path) -> None:
    assert "NOT_AN_OPTION" not in offered(tree).archs


def test_who_has_no_prompt_is_not_asked(tree: Path) -> None:
    asked = offered(tree).asked
    assert {"CARD", "PC_CARD", "BUFFER_SIZE"} <= asked
    assert not {"CARD_CORE", "MMU", "HAS_BUS"} & asked


def test_a_cell_tells_unknown_from_nowhere() -> None:
    assert cell(None) == ""
    assert cell(set()) == "none"
    assert cell({"arm64", "x86-64"}) == "arm64 x86-64"
