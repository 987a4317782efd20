"""``uplift diff`` and ``uplift config check`` as scripts see them."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from uplift.cli import config, diff
from uplift.errors import UpliftError
from uplift.facts import snapshot_file
from uplift.facts.model import Capture, CaptureStatus, Snapshot

ANNOTATIONS = """\
# FORMAT: 4
# ARCH: amd64 arm64
# FLAVOUR: amd64-generic arm64-generic

CONFIG_HZ policy<{'amd64': '1000', 'arm64': '1000'}>
CONFIG_HZ note<'LP: #2051342'>
CONFIG_KVM policy<{'amd64': 'm', 'arm64': 'y'}>
"""
OLD = "# Linux/x86 6.1.0 Kernel Configuration\nCONFIG_HZ_250=y\n# CONFIG_HZ_1000 is not set\n"
NEW = "# Linux/x86 6.12.0 Kernel Configuration\nCONFIG_HZ_1000=y\n# CONFIG_HZ_250 is not set\n"


@pytest.fixture(autouse=True)
def own_directories(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("NO_COLOR", "1")


def run(command: ModuleType, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_to(parser.add_subparsers())
    args = parser.parse_args([command.__name__.rpartition(".")[2], *arguments])
    found: int = args.run(args)
    return found


def checked(text: str) -> Any:
    document = json.loads(text)
    name = document["schema"].replace("/", "-")
    path = files("uplift.report").joinpath(f"schema/{name}.schema.json")
    Draft202012Validator(json.loads(path.read_text("utf-8"))).validate(document)
    return document


def recorded(path: Path, text: str, arch: str = "x86_64", kind: str = "machine") -> str:
    capture = Capture("file:/boot/config-6", CaptureStatus.OK, text.encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    snapshot_file.save(Snapshot({capture.id: capture}, kind=kind, arch=arch), path)
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    return recorded(tmp_path / "old.jsonl", OLD), recorded(tmp_path / "new.jsonl", NEW)


def test_diff_prints_what_its_schema_says(
    two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(diff, *two, "--json") == 0
    document = checked(capsys.readouterr().out)
    tick = document["differences"][0]
    assert (tick["id"], tick["values"], tick["cause"]) == (
        "timer-tick",
        ["250", "1000"],
        "avoidable",
    )


def test_diff_says_what_removes_a_difference(
    two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(diff, *two)
    shown = " ".join(capsys.readouterr().out.split())
    assert "timer ticks a second 250 1000 avoidable old: build with CONFIG_HZ_1000=y" in shown


def test_fail_on_decides_the_exit_code(two: tuple[str, str]) -> None:
    assert run(diff, *two, "--fail-on", "avoidable") == 1
    assert run(diff, *two, "--fail-on", "inherent") == 0


def test_the_page_fetches_nothing_and_escapes_what_was_recorded(
    two: tuple[str, str], tmp_path: Path
) -> None:
    hostile = recorded(tmp_path / "evil.jsonl", NEW + 'CONFIG_LSM="<script>alert(1)</script>"\n')
    tame = recorded(tmp_path / "tame.jsonl", NEW + 'CONFIG_LSM="yama"\n')
    page = tmp_path / "page.html"
    assert run(diff, tame, hostile, "--html", str(page)) == 0
    text = page.read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_two_releases_are_compared_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "data/uplift/releases"
    recorded(own / "first.amd64.jsonl.gz", OLD, kind="release")
    recorded(own / "second.amd64.jsonl.gz", NEW, kind="release")
    assert run(diff, "first/amd64", "second", "--arch", "amd64", "--json") == 0
    document = checked(capsys.readouterr().out)
    assert [side["kind"] for side in document["sides"]] == ["release", "release"]
    assert [side["kernel"] for side in document["sides"]] == ["6.1", "6.12"]


@pytest.mark.parametrize(
    ("sides", "problem", "fix"),
    [
        (["bookworm"], "cannot compare bookworm with nothing", "name two or more"),
        (["bookwurm", "local"], "cannot tell what 'bookwurm' is", "name one of"),
        (["noble/amd46", "local"], "cannot tell which architecture 'amd46' is", "use one of"),
    ],
)
def test_a_side_that_nobody_knows_is_refused_with_a_way_on(
    sides: list[str], problem: str, fix: str
) -> None:
    with pytest.raises(UpliftError) as caught:
        run(diff, *sides)
    assert caught.value.problem == problem
    assert caught.value.fix.startswith(fix)


@pytest.fixture
def annotations(tmp_path: Path) -> str:
    path = tmp_path / "debian.master/config/annotations"
    path.parent.mkdir(parents=True)
    path.write_text(ANNOTATIONS)
    return str(path)


def test_a_note_makes_a_difference_intended(
    tmp_path: Path, annotations: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = [
        recorded(tmp_path / "a.jsonl", NEW + "CONFIG_HZ=1000\n"),
        recorded(tmp_path / "b.jsonl", NEW + "CONFIG_HZ=250\n"),
    ]
    run(diff, *sides, "--annotations", annotations)
    assert "HZ  1000 → 250  LP: #2051342" in capsys.readouterr().out


def test_config_check_fails_on_a_violated_policy_and_names_the_note(
    tmp_path: Path, annotations: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config"
    path.write_text("CONFIG_HZ=250\nCONFIG_KVM=m\nCONFIG_NEW=y\n")
    assert run(config, "check", annotations, str(path), "--arch", "amd64", "--json") == 1
    document = checked(capsys.readouterr().out)
    assert document["violations"] == [
        {"option": "CONFIG_HZ", "expected": "1000", "found": "250", "note": "LP: #2051342"}
    ]
    assert document["uncovered"] == [{"option": "CONFIG_NEW", "found": "y"}]


def test_config_check_is_met_where_every_policy_is(tmp_path: Path, annotations: str) -> None:
    path = tmp_path / "config"
    path.write_text("CONFIG_HZ=1000\nCONFIG_KVM=m\nCONFIG_NEW=y\n")
    assert run(config, "check", annotations, str(path), "--arch", "amd64") == 0
    assert run(config, "check", annotations, str(path), "--arch", "amd64", "--strict") == 1


def test_config_check_refuses_an_architecture_that_the_annotations_lack(
    tmp_path: Path, annotations: str
) -> None:
    path = tmp_path / "config"
    path.write_text("CONFIG_HZ=1000\n")
    with pytest.raises(UpliftError) as caught:
        run(config, "check", annotations, str(path), "--arch", "riscv64")
    assert caught.value.fix == "choose one of amd64, arm64"
