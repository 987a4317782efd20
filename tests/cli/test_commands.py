"""The commands as scripts see them: exit codes, JSON against its schema, errors with a fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from uplift.cli import main
from uplift.facts import snapshot_file

RECORDINGS = Path(__file__).parent.parent / "recordings"
H200 = str(RECORDINGS / "own/firecracker-h200.jsonl.gz")
MILAN = str(RECORDINGS / "own/firecracker-milan.jsonl.gz")
GRACE = str(RECORDINGS / "archspec/linux-rhel9-neoverse_v2")
SANDY_BRIDGE = str(RECORDINGS / "libcpuid/intel-core-i5-2400-cpu.test")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def schemas() -> Iterator[tuple[str, Any]]:
    for entry in files("uplift.report").joinpath("schema").iterdir():
        schema = json.loads(entry.read_text("utf-8"))
        yield schema["$id"], schema


def checked(text: str) -> Any:
    """Return the JSON document, checked against the schema that it names."""
    document = json.loads(text)
    known = dict(schemas())
    resources = [(name, Resource.from_contents(schema)) for name, schema in known.items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    schema = known[f"urn:uplift:{document['schema']}"]
    Draft202012Validator(schema, registry=registry).validate(document)
    return document


@pytest.mark.parametrize("target", [MILAN, GRACE, SANDY_BRIDGE])
def test_scan_prints_what_its_schema_says(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", target, "--json"]) == 0
    document = checked(capsys.readouterr().out)
    assert document["features"]
    for feature in document["features"]:
        for layer in feature["layers"]:
            assert layer["why"]


def test_every_capture_that_a_verdict_cites_is_listed_or_not_collected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["scan", MILAN, "--json"])
    document = checked(capsys.readouterr().out)
    digests = {capture["id"]: capture["sha256"] for capture in document["captures"]}
    for feature in document["features"]:
        for layer in feature["layers"]:
            for evidence in layer["evidence"]:
                if evidence["sha256"]:
                    assert digests[evidence["capture"]] == evidence["sha256"]


def test_a_recording_of_silicon_only_claims_nothing_above_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["scan", SANDY_BRIDGE, "--json"])
    for feature in checked(capsys.readouterr().out)["features"]:
        for layer in feature["layers"]:
            if layer["name"] != "silicon":
                assert layer["status"] in ("unknown", "not-applicable"), (feature["id"], layer)


def test_several_targets_give_a_set_and_a_bad_one_costs_only_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["scan", MILAN, str(tmp_path / "none"), GRACE, "--json"]) == 2
    printed = capsys.readouterr()
    assert [scan["target"] for scan in checked(printed.out)["scans"]] == [MILAN, GRACE]
    assert "error: cannot read" in printed.err
    assert "fix:" in printed.err


def test_a_target_that_cannot_be_reached_exits_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "ssh:no-such-host.invalid"]) == 3
    assert "cause:" in capsys.readouterr().err


def test_fail_on_exits_with_1_when_it_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", MILAN, "--fail-on", "hidden"]) == 1
    capsys.readouterr()
    assert main(["scan", SANDY_BRIDGE, "--fail-on", "stopped"]) == 0


def test_cpuid_lists_every_set_bit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cpuid", SANDY_BRIDGE, "--json"]) == 0
    document = checked(capsys.readouterr().out)
    assert document["set"] == len(document["bits"])
    fpu = [b for b in document["bits"] if (b["leaf"], b["register"], b["bit"]) == (1, "edx", 0)]
    assert fpu[0]["name"] == "fpu"
    assert fpu[0]["source"]


def test_cpuid_of_what_holds_none_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cpuid", GRACE]) == 2
    assert "cause:" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["explain", "fix"])
def test_a_feature_that_is_not_unique_or_unknown_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "no-such-feature", MILAN]) == 2
    assert "uplift catalog list" in capsys.readouterr().err


def test_explain_shows_the_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "arm64/sve2", GRACE]) == 0
    text = capsys.readouterr().out
    assert "file:/proc/cpuinfo" in text
    assert "sha256" in text


def test_explain_quotes_the_subleaf_that_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "x86/avx10.1", H200]) == 0
    silicon = capsys.readouterr().out.partition("  kernel ")[0]
    assert "0x00000007 0x01: eax=0x00001c30" in silicon


def test_explain_quotes_the_answer_about_the_fact_not_another_with_the_same_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "gpu/nvidia-mig", H200]) == 0
    quoted = [line for line in capsys.readouterr().out.splitlines() if "bytes  " in line]
    assert [line.split(None, 1)[1] for line in quoted] == [
        "<current_mig>Disabled</current_mig>",
        "<mig_mode> <current_mig>Disabled</current_mig>",
    ]


def test_explain_states_no_value_that_nobody_could_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "gpu/nvidia-container", H200]) == 0
    text = capsys.readouterr().out
    assert "not installed" in text
    assert "None" not in text


def test_a_gpu_that_works_is_offered_up_to_the_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "gpu/nvidia", H200, "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [(layer["name"], layer["status"]) for layer in layers] == [
        (name, "offered") for name in ("silicon", "kernel", "library", "workload")
    ]


@pytest.mark.parametrize("command", ["explain", "fix"])
def test_one_feature_prints_what_its_schema_says(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "arm64/sve2", GRACE, "--json"]) == 0
    checked(capsys.readouterr().out)


def test_a_saved_snapshot_is_redacted_and_scans_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved.jsonl.gz"
    assert main(["scan", GRACE, "--save", str(saved)]) == 0
    assert snapshot_file.load(saved).redacted
    capsys.readouterr()
    main(["scan", str(saved), "--json"])
    again = checked(capsys.readouterr().out)
    main(["scan", GRACE, "--json"])
    first = checked(capsys.readouterr().out)
    endings = [{f["id"]: f["ending"] for f in d["features"]} for d in (first, again)]
    assert endings[0] == endings[1]


def test_a_page_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", GRACE, "--html", str(tmp_path / "no/such/page.html")]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_catalog_is_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "list", "--arch", "arm64", "--json"]) == 0
    ids = [entry["id"] for entry in json.loads(capsys.readouterr().out)["entries"]]
    assert "arm64/sve2" in ids
    assert main(["catalog", "show", "granite-rapids"]) == 0
    assert "Granite Rapids" in capsys.readouterr().out


def test_output_without_a_terminal_has_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    main(["scan", MILAN])
    assert "\x1b" not in capsys.readouterr().out
