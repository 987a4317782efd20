"""The library layer: whether packages as they were built use what a chip has."""

from __future__ import annotations

import pytest

from uplift.catalog.instruction_sets import given_sets
from uplift.catalog.load import load_catalog, written_catalog
from uplift.catalog.model import All, Feature, Layer, LayerNeed, Test
from uplift.catalog.predicate import tests as questions
from uplift.facts.model import Capture, CaptureStatus, Facts, Parser, ProvenWords, Reading, Snapshot
from uplift.resolve.model import Status, Verdict
from uplift.resolve.resolve import resolve

ASKING = {name for name, given in given_sets().items() if given.for_programs}
FEATURES = {feature.id: feature for feature in load_catalog().features}
WRITTEN = {feature.id: feature for feature in written_catalog().features}
BMI1 = 1 << 3  #: of CPUID leaf 7, EBX


def library(feature: Feature) -> LayerNeed | None:
    return next((need for need in feature.layers if need.name is Layer.LIBRARY), None)


def verdict(name: str, held: dict[str, str], used: dict[str, str], ebx: int = BMI1) -> Verdict:
    values = {
        "isa.held": ProvenWords(held, "none of 7 files has code of it"),
        "isa.used": ProvenWords(used, "no function of 7 files is seen to run it"),
        "cpuid.7.0.ebx": ebx,
        "cpuinfo.flags": frozenset(["bmi1"]),
        "libc.active": frozenset(["bmi1"]),
    }
    layers = FEATURES[name].layers
    predicates = [need.needs for need in layers] + [c.when for n in layers for c in n.causes]
    asked = {part.fact for predicate in predicates for part in questions(predicate)}
    roots = {fact.partition(".")[0] for fact in (*asked, *values)}
    parsers = [
        Parser(root, (f"{root}.",), ("probe:hand",), lambda _: [Reading("probe:hand", values)])
        for root in sorted(roots)
    ]
    capture = Capture("probe:hand", CaptureStatus.OK)
    found = resolve(FEATURES[name], Facts(Snapshot({capture.id: capture}), parsers))
    return next(one for one in found.verdicts if one.layer is Layer.LIBRARY)


def test_every_feature_that_programs_can_be_built_for_asks_the_packages() -> None:
    assert {name for name in ASKING if library(FEATURES[name]) is None} == set()


def test_layers_stay_in_order_and_those_that_are_written_stay_as_they_are() -> None:
    for name, feature in FEATURES.items():
        order = [list(Layer).index(need.name) for need in feature.layers]
        assert order == sorted(order)
        others = [need for need in feature.layers if need.name is not Layer.LIBRARY]
        assert others == [n for n in WRITTEN[name].layers if n.name is not Layer.LIBRARY]


def test_a_written_library_layer_keeps_what_it_needs_and_its_causes() -> None:
    for name in ASKING:
        written, joined = library(WRITTEN[name]), library(FEATURES[name])
        if written is not None and joined is not None:
            assert (joined.needs, joined.causes) == (written.needs, written.causes)


def test_code_that_runs_on_the_chip_is_used_and_the_function_is_named() -> None:
    shown = {"bmi1": "libz.so.1: fold (dispatched; c5 fe at 0x10)"}
    found = verdict("x86/bmi1", shown, shown)
    assert found.status is Status.USED
    assert "has bmi1 (libz.so.1: fold (dispatched; c5 fe at 0x10))" in found.why


def test_code_that_nobody_is_seen_to_run_is_offered_and_no_more() -> None:
    found = verdict("x86/bmi1", {"bmi1": "libz.so.1: fold (unknown; c5 fe at 0x10)"}, {})
    assert found.status is Status.OFFERED


def test_code_for_what_the_silicon_lacks_is_not_used() -> None:
    shown = {"bmi1": "libz.so.1: fold (dispatched; c5 fe at 0x10)"}
    assert verdict("x86/bmi1", shown, shown, ebx=0).status is Status.OFFERED


def test_what_a_compiler_would_make_and_no_package_has_is_lifted_by_a_rebuild() -> None:
    found = verdict("x86/bmi1", {}, {})
    assert found.status is Status.STOPPED
    assert found.stop is not None
    assert found.stop.remedy is not None
    assert found.stop.remedy.kind == "rebuild"
    assert "none of 7 files has code of it" in found.why


def test_what_programs_ask_for_by_name_and_none_does_is_asked_of_no_package() -> None:
    assert verdict("x86/clwb", {}, {}).status is Status.NOT_APPLICABLE


def test_a_guests_and_a_compilers_layer_do_not_keep_packages_from_using_it() -> None:
    need = library(FEATURES["x86/bmi1"])
    assert need is not None
    assert isinstance(need.used, All)
    facts = {part.fact for part in need.used.parts if isinstance(part, Test)}
    assert "isa.used" in facts
    assert not any(fact.startswith(("kvm.", "qemu.", "compiler.")) for fact in facts)


@pytest.mark.parametrize("name", ["x86/x86-64-v3", "x86/xsaves", "arm64/bti"])
def test_levels_kernels_sets_and_hints_are_not_asked_of_packages(name: str) -> None:
    assert library(FEATURES[name]) == library(WRITTEN[name])
