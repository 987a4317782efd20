"""``uplift chip`` as scripts and engineers see it."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from uplift.catalog.load import load_catalog
from uplift.cli import chip
from uplift.errors import UpliftError

RECORDINGS = Path(__file__).parent.parent / "recordings"
SANDY_BRIDGE = str(RECORDINGS / "libcpuid/intel-core-i5-2400-cpu.test")
SCHEMA = json.loads(
    files("uplift.report").joinpath("schema/uplift-chip-1.schema.json").read_text("utf-8")
)
CATALOG = load_catalog()


@pytest.fixture(autouse=True)
def own_directories(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("XDG_CACHE_HOME", str(base / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(base / "data"))


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    chip.add_to(parser.add_subparsers())
    args = parser.parse_args(["chip", *words])
    code: int = args.run(args)
    return code


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert run(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    Draft202012Validator(SCHEMA).validate(found)
    return found


def test_every_listed_chip_says_how_much_is_listed_and_by_whom(
    capsys: pytest.CaptureFixture[str],
) -> None:
    chips = {row["name"]: row for row in document(capsys, "list")["chips"]}
    assert chips["rva23"]["source"].startswith("riscv-unified-db")
    assert chips["diamond-rapids"]["listed"] > 90
    assert set(chips) == {one.codename for one in CATALOG.chips}


def test_a_list_can_be_cut_to_an_architecture_and_a_segment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = document(capsys, "list", "--arch", "riscv64", "--segment", "server")["chips"]
    assert {(row["arch"], row["segment"]) for row in rows} == {("riscv64", "server")}


def test_a_chip_without_a_dump_tells_yes_no_and_unknown_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = document(capsys, "show", "diamond-rapids")["chip"]
    has = {feature["id"]: feature["has"] for feature in shown["features"]}
    assert (has["x86/amx-fp8"], has["x86/rao-int"], has["x86/hwp"]) == (True, False, None)
    assert shown["made"] is True
    assert all(f["source"] for f in shown["features"] if f["has"])
    counted = {"has": True, "lacks": False, "unknown": None}
    assert shown["counts"] == {w: list(has.values()).count(s) for w, s in counted.items()}


def test_which_models_a_driver_knows_is_no_trait_of_a_chip(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = document(capsys, "show", "granite-rapids")["chip"]
    assert "x86/edac-intel" not in {feature["id"] for feature in shown["features"]}


def test_a_recording_is_named_by_its_file_and_identified(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = document(capsys, "show", SANDY_BRIDGE)["chip"]
    assert (shown["name"], shown["made"]) == ("intel-core-i5-2400-cpu", False)
    assert shown["identity"]["codename"] == "sandy-bridge"
    has = {feature["id"]: feature for feature in shown["features"]}
    assert has["x86/avx2"]["has"] is False
    assert has["x86/avx"]["source"] == "probe:cpuid"


def test_two_chips_differ_in_what_one_has_and_the_other_lacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = document(capsys, "compare", "granite-rapids", "diamond-rapids")
    differing = {row["id"]: row["has"] for row in found["differing"]}
    assert differing["x86/apx-f"] == {"granite-rapids": False, "diamond-rapids": True}
    assert "x86/amx-tile" not in differing
    assert {row["id"]: row["has"] for row in found["open"]}["x86/hwp"]["diamond-rapids"] is None


def test_more_than_two_chips_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", "graviton3", "graviton4", "olympus") == 0
    lines = capsys.readouterr().out.splitlines()
    heads = next(line for line in lines if line.startswith("feature"))
    assert heads.split() == ["feature", "graviton3", "graviton4", "olympus"]
    assert any(line.split()[:4] == ["sve2", "–", "●", "●"] for line in lines)


def test_a_name_that_nobody_has_tells_near_ones() -> None:
    with pytest.raises(UpliftError) as caught:
        chip.chip_named("granit-rapids", CATALOG)
    assert "granite-rapids" in caught.value.cause


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("turin",), "cannot compare one chip"),
        (("turin", "turin"), "cannot compare one chip"),
        (("turin", "graviton4"), "cannot compare chips of several architectures"),
    ],
)
def test_what_cannot_be_compared_is_refused(names: tuple[str, ...], problem: str) -> None:
    with pytest.raises(UpliftError) as caught:
        run("compare", *names)
    assert caught.value.problem == problem


def test_a_models_name_cannot_reach_qemus_command_line() -> None:
    with pytest.raises(UpliftError) as caught:
        chip.chip_named("qemu:max,-device x", CATALOG)
    assert "letters" in caught.value.cause
