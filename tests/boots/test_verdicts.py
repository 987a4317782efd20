"""What an emulated model masks is named by the verdicts: hidden by the emulator, not lacking."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from uplift.catalog.load import load_catalog
from uplift.catalog.model import Catalog
from uplift.facts.model import Snapshot
from uplift.facts.parsers import read_facts
from uplift.facts.snapshot_file import load
from uplift.report.model import ending
from uplift.resolve.model import Status
from uplift.resolve.scan import Scan, scan

from .conftest import Boots

RECORDINGS = Path(__file__).parent.parent / "recordings/boots"

#: Features that the chip has and QEMU 7.2's emulator does not give: hidden by the hypervisor.
MASKED = {
    "Skylake-Server": {"x86/avx512f", "x86/avx512bw", "x86/avx512vl", "x86/avx512dq", "x86/pcid"},
    "EPYC-Rome": {"x86/rdpid", "x86/clzero", "x86/ibs", "x86/xsavec"},
    "Haswell": {"x86/pcid", "x86/invpcid", "x86/tsc-deadline", "x86/x2apic"},
    "Nehalem": {"x86/vmx", "x86/rdtscp"},
}
#: Features that the chip itself never had: the hardware lacks them, whatever the emulator can.
LACKING = {
    "Skylake-Server": {"x86/amx-tile", "x86/avx512-vnni"},
    "EPYC-Rome": {"x86/avx512f", "x86/vaes"},
    "Haswell": {"x86/avx512f", "x86/sha"},
    "Nehalem": {"x86/avx", "x86/avx2"},
}


@cache
def catalog() -> Catalog:
    return load_catalog()


def judged(snapshot: Snapshot) -> Scan:
    return scan(catalog(), read_facts(snapshot))


def check(found: Scan, model: str) -> None:
    """Assert that ``model``'s masked and lacking features end as they must."""
    by_id = {resolution.feature.id: resolution for resolution in found.resolutions}
    assert {name: ending(by_id[name]) for name in MASKED[model]} == dict.fromkeys(
        MASKED[model], "hidden"
    )
    for name in MASKED[model]:
        stop = by_id[name].stop
        assert stop is not None
        assert (stop.kind, stop.owner) == ("hypervisor", "host administrator")
        assert "qemu-tcg" in stop.cause
    assert {name: by_id[name].verdicts[0].status for name in LACKING[model]} == dict.fromkeys(
        LACKING[model], Status.ABSENT
    )
    assert MASKED[model] <= {d.feature for d in found.identity.differs if d.expected}
    assert found.identity.removed_by == "hypervisor"


@pytest.mark.parametrize("model", MASKED)
def test_a_recorded_boot_names_what_the_model_masked(model: str) -> None:
    check(judged(load(RECORDINGS / f"x86_64-{model}.jsonl.gz")), model)


@pytest.mark.boots
@pytest.mark.slow
@pytest.mark.parametrize("model", MASKED)
def test_a_fresh_boot_names_what_the_model_masked(model: str, boots: Boots) -> None:
    check(judged(boots.snapshot("x86_64", model)), model)


def test_an_arm_core_that_is_emulated_is_named_and_offers_what_it_has() -> None:
    found = judged(load(RECORDINGS / "aarch64-neoverse-n1.jsonl.gz"))
    by_id = {resolution.feature.id: resolution for resolution in found.resolutions}
    assert found.identity.codename == "neoverse-n1"
    assert ending(by_id["arm64/lse"]) == "offered"
    assert by_id["arm64/sve"].verdicts[0].status is not Status.OFFERED


def test_the_kernel_under_an_emulated_max_shows_sve() -> None:
    found = judged(load(RECORDINGS / "aarch64-max.jsonl.gz"))
    by_id = {resolution.feature.id: resolution for resolution in found.resolutions}
    assert ending(by_id["arm64/sve2"]) == "offered"
