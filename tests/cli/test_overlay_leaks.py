"""No byte of an overlay reaches an output that did not ask for it; what asked is labelled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.private_overlay import CANARY, LABEL, write_overlay
from uplift.cli import main

RECORDINGS = Path(__file__).parent.parent / "recordings"
MILAN = str(RECORDINGS / "own/firecracker-milan.jsonl.gz")
SANDY_BRIDGE = str(RECORDINGS / "libcpuid/intel-core-i5-2400-cpu.test")

MATRIX = ["matrix", "--chip", "milan", "--release", "trixie", "--feature"]

#: Every command that reads the catalog, and the ways in which it can fail.
COMMANDS = [
    ["scan", MILAN],
    ["scan", MILAN, "--all"],
    ["scan", MILAN, "--json"],
    ["scan", MILAN, SANDY_BRIDGE, "--json"],
    ["scan", MILAN, "--html", "OUT/page.html", "--save", "OUT/saved.jsonl"],
    ["explain", "x86/pku", MILAN],
    ["explain", "x86/pku", MILAN, "--json"],
    ["explain", "x86/aes", MILAN],
    ["fix", "x86/pku", MILAN],
    ["fix", "x86/pku", MILAN, "--json"],
    ["cpuid", MILAN],
    ["cpuid", MILAN, "--json"],
    ["catalog", "list"],
    ["catalog", "list", "--json"],
    ["catalog", "list", "--chips"],
    ["catalog", "list", "--chips", "--json"],
    ["catalog", "show", "milan"],
    ["catalog", "show", "milan", "--json"],
    ["catalog", "show", "x86/pku"],
    ["catalog", "show", "x86/aes", "--json"],
    ["catalog", "check"],
    [*MATRIX, "x86/pku,x86/aes"],
    [*MATRIX, "x86/pku,x86/aes", "--json"],
    ["matrix", "--chip", "milan", "--release", "trixie", "--html", "OUT/matrix.html"],
    ["chip", "list"],
    ["chip", "list", "--json"],
    ["chip", "show", "milan"],
    ["chip", "show", "milan", "--json"],
    ["chip", "compare", "milan", "turin"],
    ["release", "list"],
    ["release", "list", "--json"],
]
TWO = [MILAN, SANDY_BRIDGE]
#: Commands that only somebody with the overlay can answer.
SECRET = [
    ["explain", "x86/qzx-new", MILAN],
    ["fix", "qzx-new", MILAN, "--json"],
    ["explain", "qzx", MILAN],
    ["catalog", "show", "qzx-lake"],
    ["catalog", "show", "x86/qzx-new", "--json"],
    ["chip", "show", "qzx-lake"],
    ["release", "show", "qzx-release"],
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory))
    monkeypatch.setenv("COLUMNS", "400")
    return directory


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    return write_overlay(tmp_path / "qzx-directory")


def put(command: list[str], out: Path) -> list[str]:
    out.mkdir(exist_ok=True)
    return [word.replace("OUT", str(out)) for word in command]


def files_below(*directories: Path) -> Iterator[tuple[str, bytes]]:
    for directory in directories:
        for path in directory.rglob("*"):
            yield path.name, path.read_bytes() if path.is_file() else b""


@pytest.mark.slow
def test_no_byte_of_an_overlay_reaches_an_output_that_did_not_ask_for_it(
    cache: Path, overlay: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for command in COMMANDS:
        assert main([*put(command, tmp_path / "with"), "--overlay", str(overlay)]) == 0, command
    for command in SECRET:
        main([*command, "--overlay", str(overlay)])
    assert CANARY in "".join(capfd.readouterr())
    for command in COMMANDS:
        assert main(put(command, tmp_path / "without")) == 0, command
        printed = "".join(capfd.readouterr())
        assert CANARY not in printed.lower(), command
    for command in SECRET:
        assert main(command) == 2
        printed = "".join(capfd.readouterr()).lower()
        told = {word for word in command if CANARY in word} | {"qzx-new"}
        for word in sorted(told, key=len, reverse=True):
            printed = printed.replace(word, "")
        assert CANARY not in printed, command
    for name, data in files_below(cache, tmp_path / "without"):
        assert CANARY not in name
        assert CANARY.encode() not in data.lower(), name


def test_a_completion_script_holds_nothing_of_an_overlay(
    cache: Path, overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("shtab")
    main(["catalog", "list", "--overlay", str(overlay)])
    capfd.readouterr()
    assert main(["completion", "bash"]) == 0
    assert CANARY not in capfd.readouterr().out


def test_an_overlay_is_never_written_to_the_cache(cache: Path, overlay: Path) -> None:
    for command in [*COMMANDS[:2], *SECRET]:
        main([*command, "--overlay", str(overlay)])
    kept = list(files_below(cache))
    assert kept
    assert all(CANARY.encode() not in data for _, data in kept)


def test_a_saved_snapshot_is_the_same_with_and_without_an_overlay(
    cache: Path, overlay: Path, tmp_path: Path
) -> None:
    saved = [tmp_path / "plain.jsonl", tmp_path / "private.jsonl"]
    main(["scan", MILAN, "--save", str(saved[0])])
    main(["scan", MILAN, "--save", str(saved[1]), "--overlay", str(overlay)])
    assert saved[0].read_bytes() == saved[1].read_bytes()


def test_an_error_of_an_overlay_is_told_only_to_who_asked_for_it(
    cache: Path, overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (overlay / "features/qzx-features-file.toml").write_text("[[qzx-broken")
    assert main(["scan", MILAN, "--overlay", str(overlay)]) == 2
    assert "qzx-features-file.toml" in capfd.readouterr().err
    assert main(["scan", MILAN]) == 0
    assert CANARY not in "".join(capfd.readouterr())


def printed_json(command: list[str], capfd: pytest.CaptureFixture[str]) -> Any:
    assert main(command) == 0
    return json.loads(capfd.readouterr().out)


def without_labels(document: Any) -> Any:
    if isinstance(document, dict):
        return {k: without_labels(v) for k, v in document.items() if k != "labels"}
    return [without_labels(v) for v in document] if isinstance(document, list) else document


@pytest.mark.parametrize("target", [MILAN, SANDY_BRIDGE])
def test_whatever_an_overlay_changes_in_a_scan_carries_its_label(
    target: str, cache: Path, overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = printed_json(["scan", target, "--json"], capfd)
    private = printed_json(["scan", target, "--json", "--overlay", str(overlay)], capfd)
    assert plain["labels"] == []
    assert private["labels"] == [LABEL]
    before = {feature["id"]: feature for feature in plain["features"]}
    changed = 0
    for feature in private["features"]:
        same = without_labels(feature) == before.get(feature["id"])
        assert same or feature["labels"] == [LABEL], feature["id"]
        changed += not same
        layers = {layer["name"]: layer for layer in before.get(feature["id"], {}).get("layers", ())}
        for layer in feature["layers"]:
            known = without_labels(layer) == layers.get(layer["name"])
            assert known or layer["labels"] == [LABEL], (feature["id"], layer["name"])
    assert changed >= 3
    chip = private["chip"]
    assert without_labels(chip) == plain["chip"] or chip["labels"] == [LABEL]


def test_what_rests_on_no_overlay_carries_no_label(
    cache: Path, overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    private = printed_json(["scan", SANDY_BRIDGE, "--json", "--overlay", str(overlay)], capfd)
    labelled = {feature["id"] for feature in private["features"] if "labels" in feature}
    assert labelled == {"x86/qzx-new", "x86/qzx-absent", "x86/pku", "x86/aes"}


@pytest.mark.parametrize(
    "command",
    [c for c in [*COMMANDS, SECRET[0], *SECRET[3:]] if "--html" not in c and c[1:3] != TWO],
)
def test_every_output_of_an_overlay_names_its_label(
    command: list[str], cache: Path, overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--overlay", str(overlay)]) == 0
    printed = capfd.readouterr().out
    assert LABEL in printed
    if "--json" in command:
        assert json.loads(printed)["labels"] == [LABEL]


def test_every_line_about_a_private_thing_is_marked(
    cache: Path, overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["scan", MILAN, "--all", "--overlay", str(overlay)])
    for line in capfd.readouterr().out.splitlines():
        if CANARY in line:
            assert "‡" in line, line


def test_the_page_shows_the_label_above_all_else_and_at_each_private_thing(
    cache: Path, overlay: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    main(["scan", MILAN, "--html", str(page), "--overlay", str(overlay)])
    text = page.read_text()
    assert text.index(LABEL) < text.index("<header>")
    assert '<code>x86/qzx-new</code><sup class="mark">‡</sup>' in text


def test_a_suggestion_from_an_overlay_is_labelled(
    cache: Path, overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "qzx", MILAN, "--overlay", str(overlay)]) == 2
    assert f"x86/qzx-new [{LABEL}]" in capfd.readouterr().err
