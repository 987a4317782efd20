"""The renderings of a scan: one model, escaped, checked against the schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

from uplift.catalog.load import build_catalog
from uplift.facts.model import Capture, CaptureStatus, Snapshot, Value
from uplift.report.html import render_html
from uplift.report.model import ScanReport, ending
from uplift.report.scan_json import scan_to_json
from uplift.report.terminal import render
from uplift.resolve.model import ChipIdentity, Difference, Resolution
from uplift.resolve.resolve import resolve
from uplift.resolve.scan import Scan

from ..resolve.test_resolve import TILE, facts_of

EVIL = 'evil\x1b[31m<script>alert("1")</script>'
CHIP = ChipIdentity(
    "milan", EVIL, "signature", "its signature", differs=(Difference("x86/a", True),)
)


def report(
    values: Mapping[str, Value], captures: Mapping[str, Capture] | None = None
) -> ScanReport:
    catalog = build_catalog({"test.toml": {"feature": [TILE]}})
    facts = facts_of(values)
    snapshot = Snapshot({**facts.snapshot.captures, **(captures or {})}, origin=EVIL)
    resolutions = tuple(resolve(feature, facts) for feature in catalog.features)
    return ScanReport(EVIL, Scan(snapshot, CHIP, resolutions), {"model": EVIL})


STOPPED: Mapping[str, Value] = {
    "cpuid.7.0.edx": 1 << 24,
    "kernel.config.CONFIG_X86_64": "y",
    "kernel.xcomp_supported": 0,
    "kernel.cmdline": frozenset({"clearcpuid=amx_tile"}),
}
PASSED: Mapping[str, Value] = {**STOPPED, "kernel.xcomp_supported": 1 << 18}


def only(shown: ScanReport) -> Resolution:
    (resolution,) = shown.scan.resolutions
    return resolution


@pytest.mark.parametrize("values", [STOPPED, PASSED, {}])
def test_the_json_is_what_its_schema_says(values: Mapping[str, Value]) -> None:
    schema = json.loads(
        files("uplift.report").joinpath("schema/uplift-scan-1.schema.json").read_text("utf-8")
    )
    document = json.loads(json.dumps(scan_to_json(report(values))))
    Draft202012Validator(schema).validate(document)


def test_a_stop_says_layer_kind_cause_owner_and_remedy() -> None:
    (feature,) = scan_to_json(report(STOPPED))["features"]
    assert feature["stop"] == {
        "layer": "kernel",
        "kind": "command-line",
        "cause": "command-line: clearcpuid= switches it off",
        "owner": "system administrator",
        "remedy": {
            "kind": "boot-parameter",
            "do": "remove clearcpuid=amx_tile",
            "reversible": True,
        },
    }


@pytest.mark.parametrize(
    ("values", "expected"), [(STOPPED, "stopped"), (PASSED, "offered"), ({}, "unknown")]
)
def test_an_ending_is_the_first_stop_or_how_far_it_got(
    values: Mapping[str, Value], expected: str
) -> None:
    assert ending(only(report(values))) == expected


def test_no_rendering_lets_control_characters_or_markup_through() -> None:
    shown = report(STOPPED)
    page = render_html(shown)
    assert "\x1b" not in render(shown) + page
    assert "<script>alert" not in page


def test_the_page_fetches_nothing() -> None:
    page = render_html(report(STOPPED))
    assert "http:" not in page
    assert "https:" not in page
    assert "default-src 'none'" in page


def test_the_terminal_groups_stops_by_owner_with_the_remedy() -> None:
    text = render(report(STOPPED), width=120)
    assert "Stopped, to be lifted by: system administrator" in text
    assert "boot-parameter: remove clearcpuid=amx_tile" in text


def test_what_root_and_deep_would_add_is_said() -> None:
    text = render(
        report(
            STOPPED,
            {
                "probe:msr": Capture("probe:msr", CaptureStatus.DENIED),
                "cmd:x": Capture("cmd:x", CaptureStatus.ABSENT, detail="left to --deep"),
                "cmd:y": Capture("cmd:y", CaptureStatus.TIMEOUT),
            },
        )
    )
    assert "root would add: probe:msr" in text
    assert "--deep would add: cmd:x" in text
    assert "not recorded whole: cmd:y" in text


def test_an_absent_feature_is_no_stop_that_somebody_lifts() -> None:
    shown = report({"cpuid.7.0.edx": 0})
    assert ending(only(shown)) == "absent"
    assert shown.lifted == ()
