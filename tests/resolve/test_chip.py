"""Naming the chip, on facts made by hand and on archspec's recorded machines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from uplift.catalog.load import load_catalog
from uplift.catalog.model import Chip, Feature, Layer, LayerNeed, Signature, Source, Test
from uplift.facts.imports import archspec
from uplift.facts.model import Capture, CaptureStatus, Facts, Parser, Reading, Snapshot, Value
from uplift.facts.parsers import read_facts
from uplift.resolve.chip import identify, judge_silicon
from uplift.resolve.model import ChipIdentity, Difference

CATALOG = load_catalog()
TARGETS = Path(__file__).parents[1] / "recordings" / "archspec"
SOURCE = Source("cited", "a test")

INTEL = {"cpuid.vendor": "GenuineIntel", "cpuid.family": 6}
AMD = {"cpuid.vendor": "AuthenticAMD"}
GRANITE = {**INTEL, "cpuid.model": 0xAD, "cpuid.stepping": 1}


def facts(values: Mapping[str, Value]) -> Facts:
    capture = Capture("probe:test", CaptureStatus.OK, b"x")
    parser = Parser(
        "test", tuple(values), ("probe:test",), lambda _: [Reading("probe:test", dict(values))]
    )
    return Facts(Snapshot({capture.id: capture}), (parser,))


def named(values: Mapping[str, Value]) -> ChipIdentity:
    return identify(facts(values), CATALOG.chips)


def feature(name: str, bit: int) -> Feature:
    needs = Test("cpuid.7.0.edx", "bit", bit)
    return Feature(name, name, ("x86-64",), "compute", (LayerNeed(Layer.SILICON, needs, SOURCE),))


TILE, BF16 = feature("x86/amx-tile", 24), feature("x86/amx-bf16", 22)


def chip(codename: str, model: int, *features: str) -> Chip:
    signature = Signature("x86", "GenuineIntel", (("family", 6, 6), ("model", model, model)))
    return Chip(
        codename, codename.title(), "GenuineIntel", "x86-64", "", "server", (signature,), SOURCE,
        frozenset(features),
    )  # fmt: skip


OLD = chip("old-lake", 0x10)
NEW = chip("new-lake", 0x20, "x86/amx-tile", "x86/amx-bf16")


@pytest.mark.parametrize(
    ("values", "codename"),
    [
        (GRANITE, "granite-rapids"),
        ({**INTEL, "cpuid.model": 0x8F, "cpuid.stepping": 8}, "sapphire-rapids"),
        ({**INTEL, "cpuid.model": 0xCF, "cpuid.stepping": 2}, "emerald-rapids"),
        ({**INTEL, "cpuid.model": 0x55, "cpuid.stepping": 4}, "skylake-sp"),
        ({**INTEL, "cpuid.model": 0x55, "cpuid.stepping": 7}, "cascade-lake"),
        ({**INTEL, "cpuid.model": 0x55, "cpuid.stepping": 11}, "cooper-lake"),
        ({**INTEL, "cpuid.model": 0xAF, "cpuid.stepping": 3}, "sierra-forest"),
        ({**INTEL, "cpuid.model": 0xDD, "cpuid.stepping": 0}, "clearwater-forest"),
        ({**INTEL, "cpuid.family": 19, "cpuid.model": 1}, "diamond-rapids"),
        ({**AMD, "cpuid.family": 0x19, "cpuid.model": 1, "cpuid.stepping": 1}, "milan"),
        ({**AMD, "cpuid.family": 0x19, "cpuid.model": 1, "cpuid.stepping": 2}, "milan-x"),
        ({**AMD, "cpuid.family": 0x19, "cpuid.model": 0x11, "cpuid.stepping": 2}, "genoa-x"),
        ({**AMD, "cpuid.family": 0x19, "cpuid.model": 0x90, "cpuid.stepping": 0}, "mi300a"),
        ({**AMD, "cpuid.family": 0x1A, "cpuid.model": 0x11, "cpuid.stepping": 0}, "turin-dense"),
        ({**AMD, "cpuid.family": 0x1A, "cpuid.model": 0x50, "cpuid.stepping": 0}, "venice"),
        ({"arm64.midr": 0x410FD4F1, "firmware.dmi.sys_vendor": "Amazon EC2"}, "graviton4"),
        ({"arm64.midr": 0x410FD4F1, "firmware.dmi.sys_vendor": "Google"}, "axion"),
        ({"arm64.midr": 0x410FD4F0, "firmware.dmi.product_name": "Grace CPU P3880"}, "grace"),
        ({"arm64.midr": 0x6D0FD490}, "cobalt-100"),
        ({"arm64.midr": 0x4E0F0100}, "olympus"),
        ({"arm64.midr": 0xC00FAC40}, "ampere-one-a"),
        ({"riscv.mvendorid": 0x710, "riscv.marchid": 0x8000000058000001}, "x60"),
        ({"riscv.mvendorid": 0x710, "riscv.uarch": "spacemit,x100"}, "x100"),
        ({"cpuinfo.machine": "9175"}, "z17"),
        ({"cpuinfo.model_name": "POWER10 (architected), altivec supported"}, "power10"),
    ],
)
def test_a_signature_names_the_chip(values: Mapping[str, Value], codename: str) -> None:
    assert named(values).codename == codename


@pytest.mark.parametrize(
    ("values", "brand", "codename", "segment"),
    [
        ((6, 0x55, 4), "Intel(R) Core(TM) i9-7900X CPU @ 3.30GHz", "skylake-x", "client"),
        ((6, 0x55, 4), "Intel(R) Xeon(R) D-2183IT CPU @ 2.20GHz", "skylake-d", "server"),
        ((6, 0x3F, 2), "Intel(R) Core(TM) i7-5960X CPU @ 3.00GHz", "haswell-e", "client"),
        ((6, 0xA7, 1), "Intel(R) Xeon(R) E-2388G CPU @ 3.20GHz", "rocket-lake", "server"),
        ((6, 0xA7, 1), "11th Gen Intel(R) Core(TM) i9-11900K", "rocket-lake", "client"),
        ((6, 0x6A, 6), "Intel(R) Xeon(R) CPU @ 2.60GHz", "ice-lake-sp", "server"),
    ],
)
def test_the_brand_tells_apart_what_shares_a_die(
    values: tuple[int, int, int], brand: str, codename: str, segment: str
) -> None:
    family, model, stepping = values
    found = named(
        {
            "cpuid.vendor": "GenuineIntel",
            "cpuid.family": family,
            "cpuid.model": model,
            "cpuid.stepping": stepping,
            "cpuid.brand": brand,
        }
    )
    assert (found.codename, found.segment) == (codename, segment)


def _zen(brand: str, package: int | None = None, model: int = 1) -> ChipIdentity:
    values: dict[str, Value] = {
        **AMD, "cpuid.family": 0x17, "cpuid.model": model, "cpuid.stepping": 2,
        "cpuid.brand": brand,
    }  # fmt: skip
    if package is not None:
        values["cpuid.80000001.0.ebx"] = package << 28
    return named(values)


def test_epyc_threadripper_and_ryzen_of_one_die_are_three_chips() -> None:
    assert _zen("AMD EPYC 7551P 32-Core Processor").codename == "naples"
    assert _zen("AMD EPYC 3251 8-Core Processor").codename == "snowy-owl"
    assert _zen("AMD Ryzen Threadripper 1950X 16-Core Processor").codename == "whitehaven"
    assert _zen("AMD Ryzen 7 1800X Eight-Core Processor").codename == "summit-ridge"


def test_the_package_tells_where_the_brand_does_not() -> None:
    assert _zen("AMD Eng Sample: 2D3151A2M88E4", package=2).codename == "summit-ridge"
    assert _zen("AMD Eng Sample: 1S1901A4VIHE5", package=4).codename == "naples"


def test_a_brand_that_was_cut_down_leaves_the_products_as_candidates() -> None:
    values = {**AMD, "cpuid.family": 0x19, "cpuid.model": 0xA0, "cpuid.stepping": 2}
    found = named({**values, "cpuid.brand": "AMD EPYC"})
    assert found.codename == "bergamo"
    assert "siena" in found.candidates


def test_a_core_that_several_makers_build_has_candidates_until_dmi_tells() -> None:
    found = named({"arm64.midr": 0x410FD4F1})
    assert found.codename == "neoverse-v2"
    assert {"grace", "graviton4", "axion"} <= set(found.candidates)


def test_a_board_that_is_no_cloud_rules_the_clouds_out() -> None:
    found = named({"arm64.midr": 0x410FD4F1, "firmware.dmi.sys_vendor": "HPE"})
    assert set(found.candidates) == {"neoverse-v2", "grace"}


def test_a_stepping_that_nobody_recorded_leaves_candidates() -> None:
    found = named({**AMD, "cpuid.family": 0x19, "cpuid.model": 1})
    assert found.codename == "milan"
    assert "milan-x" in found.candidates


def test_granite_rapids_with_every_feature_masked_is_still_granite_rapids() -> None:
    masked = facts({**GRANITE, "cpuid.7.0.edx": 0, "cpuid.hypervisor": "KVMKVMKVM"})
    found = identify(masked, CATALOG.chips, judge_silicon(masked, CATALOG.features))
    assert found.codename == "granite-rapids"


def test_features_that_agree_make_it_exact() -> None:
    values = {**INTEL, "cpuid.model": 0x20, "cpuid.7.0.edx": 1 << 24 | 1 << 22}
    found = identify(facts(values), (OLD, NEW), judge_silicon(facts(values), (TILE, BF16)))
    assert (found.codename, found.confidence) == ("new-lake", "exact")


@pytest.mark.parametrize(
    ("hypervisor", "removed_by"), [("KVMKVMKVM", "hypervisor"), ("", "firmware"), (None, "")]
)
def test_a_missing_feature_is_said_with_who_removed_it(
    hypervisor: str | None, removed_by: str
) -> None:
    values: dict[str, Value] = {**INTEL, "cpuid.model": 0x20, "cpuid.7.0.edx": 1 << 24}
    if hypervisor is not None:
        values["cpuid.hypervisor"] = hypervisor
    found = identify(facts(values), (OLD, NEW), judge_silicon(facts(values), (TILE, BF16)))
    assert found.confidence == "signature"
    assert found.differs == (Difference("x86/amx-bf16", True),)
    assert found.removed_by == removed_by


def test_a_feature_that_nobody_recorded_is_not_missing() -> None:
    found = identify(
        facts({**INTEL, "cpuid.model": 0x20}),
        (OLD, NEW),
        judge_silicon(facts({**INTEL, "cpuid.model": 0x20}), (TILE, BF16)),
    )
    assert found.differs == ()
    assert found.confidence == "signature"


def test_a_signature_in_no_catalog_is_unknown_and_says_what_is_nearest() -> None:
    values = {**INTEL, "cpuid.model": 0x11, "cpuid.7.0.edx": 1 << 24 | 1 << 22}
    found = identify(facts(values), (OLD, NEW), judge_silicon(facts(values), (TILE, BF16)))
    assert (found.codename, found.confidence, found.nearest) == ("unknown", "nearest", "new-lake")


def test_the_nearest_chip_differs_by_named_features() -> None:
    values = {**INTEL, "cpuid.model": 0x21, "cpuid.7.0.edx": 1 << 24}
    found = identify(facts(values), (NEW,), judge_silicon(facts(values), (TILE, BF16)))
    assert found.differs == (Difference("x86/amx-bf16", True),)
    assert "differs by 1 feature" in found.why


def test_without_features_the_nearest_model_number_is_nearest() -> None:
    found = identify(facts({**INTEL, "cpuid.model": 0x12}), (OLD, NEW))
    assert found.nearest == "old-lake"


def test_another_makers_chip_is_never_nearest() -> None:
    found = named({"cpuid.vendor": "NobodysChips", "cpuid.family": 6, "cpuid.model": 0xAD})
    assert (found.codename, found.confidence, found.nearest) == ("unknown", "none", "")


def test_nothing_recorded_is_unknown_with_a_reason() -> None:
    found = named({})
    assert found.confidence == "none"
    assert "recorded" in found.why


def test_the_models_name_is_the_last_resort_and_is_said() -> None:
    found = named({"cpuinfo.model_name": "Neoverse-V2"})
    assert found.codename == "neoverse-v2"
    assert "no signature was recorded" in found.why


def test_evidence_names_the_capture_and_its_digest() -> None:
    evidence = named(GRANITE).evidence
    assert {item.fact for item in evidence} >= {"cpuid.family", "cpuid.model"}
    assert all(item.capture == "probe:test" and len(item.sha256) == 64 for item in evidence)


#: archspec names what is usable here, the chip itself is another.
_USABLE = {"linux-rhel7-x86_64_v3": "haswell", "linux-ubuntu24.04-alderlake": "arrowlake_s"}


@pytest.mark.parametrize(
    "file", sorted(f for f in TARGETS.iterdir() if f.suffix != ".md"), ids=lambda f: f.name
)
def test_each_of_archspecs_machines_is_named(file: Path) -> None:
    read = read_facts(archspec.load(file.name, file.read_bytes()))
    found = identify(read, CATALOG.chips, judge_silicon(read, CATALOG.features))
    by_name = {chip.codename: chip for chip in CATALOG.chips}
    expected = _USABLE.get(file.name, file.name.rpartition("-")[2].replace("power8le", "power8"))
    assert by_name[found.codename].archspec == expected


def test_two_chips_do_not_share_a_signature() -> None:
    seen: dict[object, str] = {}
    for entry in CATALOG.chips:
        for signature in entry.signatures:
            assert signature not in seen, (seen[signature], entry.codename)
            seen[signature] = entry.codename


def test_every_chip_names_its_source() -> None:
    assert all(chip.source.text and chip.source.kind != "memory" for chip in CATALOG.chips)


def _listed(codename: str) -> frozenset[str]:
    return next(chip.features for chip in CATALOG.chips if chip.codename == codename)


def test_the_lists_tell_neighbours_apart() -> None:
    assert "x86/amx-fp16" in _listed("granite-rapids") - _listed("sapphire-rapids")
    assert "x86/amx-complex" in _listed("granite-rapids-d") - _listed("granite-rapids")
    assert "x86/avx512-bf16" in _listed("cooper-lake") - _listed("cascade-lake")
    assert "x86/avx512-vp2intersect" in _listed("turin") - _listed("genoa")
    assert "arm64/sve2" in _listed("neoverse-v2") - _listed("neoverse-v1")


def test_no_chip_lists_what_all_its_recordings_lack() -> None:
    assert "x86/sgx" not in _listed("skylake-sp") | _listed("cascade-lake")
    assert "x86/sgx" in _listed("ice-lake-sp")
