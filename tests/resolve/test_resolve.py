"""The resolver's rules, on facts made by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from uplift.catalog.load import build_catalog
from uplift.catalog.model import Feature, Layer
from uplift.facts.model import (
    Capture,
    CaptureStatus,
    Facts,
    Parser,
    Reading,
    Snapshot,
    Value,
)
from uplift.resolve.model import Status
from uplift.resolve.plan import plan
from uplift.resolve.resolve import Silicon, resolve

SOURCE = {"cited": "a test"}
TILE = {
    "id": "x86/amx-tile",
    "title": "AMX tiles",
    "arch": ["x86-64"],
    "area": "compute",
    "layer": [
        {"name": "silicon", "needs": {"fact": "cpuid.7.0.edx", "bit": 24}, "source": SOURCE},
        {
            "name": "kernel-build",
            "needs": {"fact": "kernel.config.CONFIG_X86_64", "equals": "y"},
            "source": SOURCE,
        },
        {
            "name": "kernel",
            "needs": {"fact": "kernel.xcomp_supported", "bit": 18},
            "source": SOURCE,
            "remedy": {"kind": "kernel", "do": "boot Linux 5.16 or later"},
            "cause": [
                {
                    "when": {"fact": "kernel.cmdline", "has": "clearcpuid=amx_tile"},
                    "cause": "clearcpuid= switches it off",
                    "kind": "command-line",
                    "owner": "system administrator",
                    "remedy": {
                        "kind": "boot-parameter",
                        "do": "remove clearcpuid=amx_tile",
                        "reversible": True,
                    },
                }
            ],
        },
        {
            "name": "library",
            "needs": {"fact": "library.x", "has": "amx"},
            "used": {"fact": "library.x", "has": "amx-in-use"},
            "source": SOURCE,
        },
    ],
}


def feature(entry: Mapping[str, object] = TILE) -> Feature:
    return build_catalog({"test.toml": {"feature": [entry]}}).features[0]


def facts(**statuses: CaptureStatus) -> Facts:
    """Facts of nothing, whose captures ended as given."""
    return facts_of({}, statuses)


def facts_of(
    values: Mapping[str, Value], statuses: Mapping[str, CaptureStatus] | None = None
) -> Facts:
    """Facts with ``values``; each first word is a capture of its own."""
    roots = ("cpuid", "kernel", "library")
    captures = {}
    for root in roots:
        status = (statuses or {}).get(root)
        if any(name.startswith(root) for name in values):
            captures[root] = Capture(root, CaptureStatus.OK, b"recorded")
        elif status:
            captures[root] = Capture(root, status)

    def parser(root: str) -> Parser:
        mine = {name: value for name, value in values.items() if name.startswith(root)}
        return Parser(root, (f"{root}.",), (root,), lambda found: [Reading(root, mine)])

    return Facts(Snapshot(captures, arch="x86_64"), [parser(root) for root in roots])


def statuses(found: Facts, silicon: Silicon | None = None) -> list[Status]:
    return [verdict.status for verdict in resolve(feature(), found, silicon).verdicts]


def test_a_fact_nobody_collected_is_unknown_not_absent() -> None:
    resolution = resolve(feature(), facts_of({"cpuid.7.0.edx": 1 << 24}))
    assert [v.status for v in resolution.verdicts][:3] == [
        Status.OFFERED,
        Status.UNKNOWN,
        Status.UNKNOWN,
    ]
    assert resolution.verdicts[2].why == "kernel was not collected"
    assert resolution.stop is None


def test_a_denied_capture_is_unknown_and_says_denied() -> None:
    resolution = resolve(feature(), facts(cpuid=CaptureStatus.DENIED))
    assert resolution.verdicts[0].status is Status.UNKNOWN
    assert resolution.verdicts[0].why == "cpuid was denied"


def test_silicon_without_the_bit_on_bare_metal_is_absent() -> None:
    resolution = resolve(feature(), facts_of({"cpuid.7.0.edx": 0}), Silicon(masked_by=""))
    assert resolution.verdicts[0].status is Status.ABSENT
    assert resolution.stop is not None
    assert resolution.stop.kind == "hardware"


def test_a_bit_the_chip_has_is_hidden_by_the_hypervisor() -> None:
    chip = Silicon("Granite Rapids", frozenset({"x86/amx-tile"}), masked_by="KVM")
    resolution = resolve(feature(), facts_of({"cpuid.7.0.edx": 0}), chip)
    assert resolution.verdicts[0].status is Status.HIDDEN
    assert resolution.stop is not None
    assert (resolution.stop.kind, resolution.stop.owner) == ("hypervisor", "host administrator")


def test_a_bit_the_chip_has_is_hidden_by_firmware_on_bare_metal() -> None:
    chip = Silicon("Granite Rapids", frozenset({"x86/amx-tile"}), masked_by="")
    stop = resolve(feature(), facts_of({"cpuid.7.0.edx": 0}), chip).stop
    assert stop is not None
    assert (stop.kind, stop.owner) == ("firmware", "platform vendor")


def test_an_arm_core_without_what_its_list_names_is_unknown() -> None:
    chip = Silicon("Neoverse V2", frozenset({"x86/amx-tile"}), source="gcc", masked_by="")
    entry = {**TILE, "arch": ["arm64"]}
    verdict = resolve(feature(entry), facts_of({"cpuid.7.0.edx": 0}), chip).verdicts[0]
    assert verdict.status is Status.UNKNOWN
    assert "may be optional" in verdict.why


def test_under_a_hypervisor_a_bit_no_source_lists_is_unknown() -> None:
    chip = Silicon("a chip", masked_by="KVM")
    resolution = resolve(feature(), facts_of({"cpuid.7.0.edx": 0}), chip)
    assert resolution.verdicts[0].status is Status.UNKNOWN
    assert "KVM may mask it" in resolution.verdicts[0].why


def test_under_a_hypervisor_a_bit_a_source_denies_the_chip_is_absent() -> None:
    chip = Silicon("Rome", covered=frozenset({"x86/amx-tile"}), masked_by="KVM")
    assert statuses(facts_of({"cpuid.7.0.edx": 0}), chip)[0] is Status.ABSENT


def test_the_first_cause_that_holds_explains_a_stop() -> None:
    resolution = resolve(
        feature(),
        facts_of(
            {
                "cpuid.7.0.edx": 1 << 24,
                "kernel.config.CONFIG_X86_64": "y",
                "kernel.xcomp_supported": 0,
                "kernel.cmdline": frozenset({"clearcpuid=amx_tile"}),
            }
        ),
    )
    assert resolution.stop is not None
    assert resolution.stop.layer is Layer.KERNEL
    assert resolution.stop.kind == "command-line"
    assert {e.capture for e in resolution.verdicts[2].evidence} == {"kernel"}


def test_a_stop_that_no_cause_explains_takes_the_layers_remedy() -> None:
    values: dict[str, Value] = {
        "cpuid.7.0.edx": 1 << 24,
        "kernel.config.CONFIG_X86_64": "y",
        "kernel.xcomp_supported": 0,
        "kernel.cmdline": frozenset(),
    }
    stop = resolve(feature(), facts_of(values)).stop
    assert stop is not None
    assert stop.remedy is not None
    assert stop.remedy.do == "boot Linux 5.16 or later"


def test_a_layer_behind_a_stop_that_lacks_it_is_not_applicable() -> None:
    values: dict[str, Value] = {"cpuid.7.0.edx": 0, "library.x": frozenset({"sse"})}
    assert statuses(facts_of(values), Silicon(masked_by=""))[3] is Status.NOT_APPLICABLE


def test_a_layer_behind_a_stop_that_would_pass_it_on_says_so() -> None:
    values: dict[str, Value] = {"cpuid.7.0.edx": 0, "library.x": frozenset({"amx"})}
    assert statuses(facts_of(values), Silicon(masked_by=""))[3] is Status.OFFERED


def test_a_kernel_that_shows_nothing_proves_nothing_where_nobody_asked_the_silicon() -> None:
    values: dict[str, Value] = {"kernel.xcomp_supported": 0, "kernel.cmdline": frozenset()}
    verdict = resolve(feature(), facts_of(values)).verdicts[2]
    assert verdict.status is Status.UNKNOWN
    assert verdict.why.endswith("whether the silicon has it was not recorded")


def test_a_kernel_that_lacks_what_the_chip_is_known_to_have_stops_it() -> None:
    values: dict[str, Value] = {"kernel.xcomp_supported": 0, "kernel.cmdline": frozenset()}
    chip = Silicon("Granite Rapids", frozenset({"x86/amx-tile"}), source="xed")
    resolution = resolve(feature(), facts_of(values), chip)
    assert resolution.verdicts[2].status is Status.STOPPED
    assert "Granite Rapids has it (xed)" in resolution.verdicts[2].why


def test_what_is_missing_from_a_build_is_a_stop_whatever_the_silicon() -> None:
    values: dict[str, Value] = {"cpuid.7.0.edx": 0, "kernel.config.CONFIG_X86_64": "n"}
    assert statuses(facts_of(values), Silicon(masked_by=""))[:2] == [Status.ABSENT, Status.STOPPED]


def test_a_layer_that_is_seen_to_use_it_is_used() -> None:
    values: dict[str, Value] = {
        "cpuid.7.0.edx": 1 << 24,
        "library.x": frozenset({"amx", "amx-in-use"}),
    }
    assert statuses(facts_of(values))[3] is Status.USED


def test_why_names_the_capture_and_evidence_carries_its_digest() -> None:
    found = facts_of({"cpuid.7.0.edx": 1 << 24})
    verdict = resolve(feature(), found).verdicts[0]
    assert verdict.why == "cpuid.7.0.edx bit 24 is 1 in cpuid"
    assert verdict.evidence[0].sha256 == found.snapshot.captures["cpuid"].sha256


def test_a_fact_no_parser_declares_is_an_error_of_the_catalog() -> None:
    entry = {**TILE, "layer": [{**TILE["layer"][0], "needs": {"fact": "no.such", "bit": 1}}]}  # type: ignore[index]
    with pytest.raises(KeyError, match=r"no\.such"):
        resolve(feature(entry), facts())


def test_no_plan_helps_where_the_hardware_lacks_it() -> None:
    planned = plan(resolve(feature(), facts_of({"cpuid.7.0.edx": 0}), Silicon(masked_by="")))
    assert (planned.possible, planned.actions) == (False, ())


def test_a_plan_lists_every_known_stop_in_order_of_layers() -> None:
    values: dict[str, Value] = {
        "cpuid.7.0.edx": 1 << 24,
        "kernel.config.CONFIG_X86_64": "n",
        "kernel.xcomp_supported": 0,
        "kernel.cmdline": frozenset({"clearcpuid=amx_tile"}),
    }
    planned = plan(resolve(feature(), facts_of(values)))
    assert [action.layer for action in planned.actions] == [Layer.KERNEL_BUILD, Layer.KERNEL]
    assert [v.layer for v in planned.unknown] == [Layer.LIBRARY]
