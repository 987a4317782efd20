"""The matrix's cells: which layers decide which use, and what an answer stands on."""

from __future__ import annotations

import io
import json
from importlib.resources import files

import jsonschema
import pytest
from rich.console import Console

from tests.resolve.plan_values import chip, release
from uplift.catalog.model import Catalog, Feature, Layer, LayerNeed, Remedy, Since, Source, Test
from uplift.facts.parsers import read_facts
from uplift.report.matrix import MatrixReport, ReleaseColumn, differs, is_told
from uplift.report.matrix_html import render_matrix
from uplift.report.matrix_json import matrix_to_json
from uplift.report.matrix_terminal import MatrixText
from uplift.resolve.chip_side import ChipSide
from uplift.resolve.matrix import Answer, Cell, ReleaseSide, Use, plan
from uplift.resolve.resolve import Silicon

SOURCE = Source("cited", "a document")


def need(layer: Layer, fact: str, op: str, operand: object, **more) -> LayerNeed:
    return LayerNeed(layer, Test(fact, op, operand), SOURCE, **more)


HAS = need(Layer.SILICON, "cpuid.7.0.edx", "bit", 24)
LACKS = need(Layer.SILICON, "cpuid.7.0.edx", "bit", 5)
BUILT = need(
    Layer.KERNEL_BUILD,
    "kernel.config.CONFIG_X",
    "equals",
    "y",
    since=Since("linux", "6.4", "abc"),
    remedy=Remedy("kernel-config", "build with CONFIG_X=y"),
)
FIRMWARE = need(Layer.FIRMWARE, "firmware.efi", "equals", True)
GUESTS = need(Layer.VIRTUALIZATION, "qemu.models", "has", "SapphireRapids")
LIBC = need(Layer.LIBC, "libc.version", "at-least", "2.35")
OPENSSL = need(Layer.LIBRARY, "library.openssl.version", "at-least", "3.5")
COMPILER = need(Layer.TOOLCHAIN, "compiler.gcc.version", "at-least", "11")


def cell(*layers: LayerNeed, captures=None, **stated) -> Cell:
    feature = Feature("x86/thing", "A thing", ("x86-64",), "compute", layers)
    catalog = Catalog((feature,), ())
    selected = release(captures, **stated)
    side = ChipSide("part", "Part", "x86-64", chip(), Silicon("Part"), "recorded", False)
    (made,) = plan(side, ReleaseSide(selected, read_facts(selected.snapshot)), catalog)
    return made


def answers(made: Cell) -> tuple[str, ...]:
    return tuple(made.uses[use].answer.value for use in Use)


def test_what_nothing_stops_is_usable_and_what_nobody_asks_is_not_applicable():
    assert answers(cell(HAS)) == ("usable", "not-applicable", "not-applicable", "not-applicable")


def test_what_the_silicon_lacks_is_absent_to_the_host_and_to_every_use_that_is_asked():
    made = cell(LACKS, COMPILER, compiler__gcc__version="13.2")
    assert answers(made) == ("absent", "absent", "absent", "absent")


def test_an_option_left_off_stops_the_host_and_says_whose_stop_it_is():
    made = cell(HAS, BUILT, **{"kernel__config__CONFIG_X": "n"})
    assert made.uses[Use.HOST].answer is Answer.STOPPED
    assert made.stop is not None and made.stop.layer is Layer.KERNEL_BUILD
    assert made.since == Since("linux", "6.4", "abc")


def test_an_option_that_nobody_read_is_unknown_not_stopped():
    made = cell(HAS, BUILT)
    assert made.uses[Use.HOST].answer is Answer.UNKNOWN
    assert made.stop is None


def test_firmware_that_no_plan_can_see_is_a_condition_not_an_unknown():
    host = cell(HAS, FIRMWARE).uses[Use.HOST]
    assert host.answer is Answer.USABLE
    assert host.why.endswith("; if the firmware leaves it on")


def test_what_a_hosts_firmware_may_switch_off_is_a_condition_for_its_guests_too():
    has = {"qemu__models": frozenset({"SapphireRapids"})}
    guest = cell(HAS, FIRMWARE, GUESTS, **has).uses[Use.GUEST]
    assert guest.answer is Answer.USABLE
    assert guest.why.endswith("; if the firmware leaves it on")


def test_one_library_is_enough_for_packages():
    made = cell(HAS, LIBC, OPENSSL, libc__version="2.39", library__openssl__version="3.0.13")
    assert made.uses[Use.PACKAGES].answer is Answer.USABLE
    none = cell(HAS, LIBC, OPENSSL, libc__version="2.31", library__openssl__version="3.0.13")
    assert none.uses[Use.PACKAGES].answer is Answer.STOPPED


def test_a_compiler_that_lacks_it_hides_no_package_that_lacks_it_or_has_it():
    old = {"compiler__gcc__version": "10.2"}
    built = cell(HAS, COMPILER, OPENSSL, library__openssl__version="3.5.1", **old)
    assert built.uses[Use.PACKAGES].answer is Answer.USABLE
    lacking = cell(HAS, COMPILER, OPENSSL, library__openssl__version="3.0.13", **old)
    stop = lacking.uses[Use.PACKAGES].stop
    assert stop is not None and stop.layer is Layer.LIBRARY


def test_a_guests_stop_leaves_the_host_usable():
    made = cell(HAS, GUESTS, qemu__models=frozenset({"Haswell"}))
    assert made.uses[Use.HOST].answer is Answer.USABLE
    assert made.uses[Use.GUEST].answer is Answer.STOPPED
    assert made.stop is not None and made.stop.layer is Layer.VIRTUALIZATION


def test_a_compiler_decides_the_rebuild():
    assert (
        cell(HAS, COMPILER, compiler__gcc__version="10.2").uses[Use.REBUILD].answer
        is Answer.STOPPED
    )
    assert (
        cell(HAS, COMPILER, compiler__gcc__version="13.2").uses[Use.REBUILD].answer is Answer.USABLE
    )


def test_the_basis_is_the_weakest_thing_that_a_verdict_rests_on():
    cited = cell(HAS, COMPILER, compiler__gcc__version="13.2")
    assert cited.basis == "cited"
    image = {
        "probe:kernel-image/release": "6.1.0\n",
        "probe:kernel-image/x86-flags": "18 24 amx_tile\n",
    }
    flag = need(Layer.KERNEL, "cpuinfo.flags", "has", "amx_tile")
    assert cell(HAS, flag, captures=image).basis == "recorded"
    assert cell(HAS).basis == "none"


def report(made: Cell) -> MatrixReport:
    side = ChipSide("part", "<b>Part</b>", "x86-64", chip(), Silicon("Part"), "recorded", False)
    column = ReleaseColumn("testing", "Testing", ("amd64",), (("base", "cited"),), "")
    return MatrixReport((side,), (column,), (made,))


@pytest.fixture
def stopped() -> MatrixReport:
    return report(cell(HAS, BUILT, **{"kernel__config__CONFIG_X": "n"}))


def test_the_json_is_of_its_schema_and_has_the_keys_that_scripts_ask_for(stopped: MatrixReport):
    schema = files("uplift.report").joinpath("schema/uplift-matrix-1.schema.json")
    document = matrix_to_json(stopped, evidence=True)
    jsonschema.validate(document, json.loads(schema.read_text("utf-8")))
    (row,) = document["cells"]
    assert {
        "chip",
        "release",
        "feature",
        "host",
        "guest",
        "packages",
        "rebuild",
        "stop",
        "basis",
    } <= row.keys()
    assert row["host"] == "stopped" and row["stop"]["since"]["version"] == "6.4"


def test_the_terminal_names_the_stop_its_owner_and_what_lifts_it(stopped: MatrixReport):
    console = Console(width=160, record=True, file=io.StringIO())
    MatrixText(stopped).print(console)
    text = console.export_text()
    assert "✕" in text and "testing*" in text
    assert "build with CONFIG_X=y" in text and "distribution kernel team" in text


def test_the_page_escapes_what_it_shows_and_fetches_nothing(stopped: MatrixReport):
    page = render_matrix(stopped)
    assert "<b>Part</b>" not in page and "&lt;b&gt;Part" in page
    assert "default-src 'none'" in page and "http" not in page.replace("http-equiv", "")


def test_a_row_is_told_when_the_silicon_has_it_and_differs_when_a_release_stops_it(stopped):
    cells = {"testing": stopped.cells[0]}
    assert is_told(cells) and differs(cells)
    assert not is_told({"testing": cell(LACKS)})
