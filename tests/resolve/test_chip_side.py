"""A chip's side of a plan: made from lists, or read from recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from uplift.catalog.load import load_catalog
from uplift.catalog.made_registers import MadeRegisters, Place, demand_all, place_of
from uplift.catalog.model import All, Any, Chip, Feature, Layer, Not, Test
from uplift.facts.imports import load_path
from uplift.facts.model import PartialRegister
from uplift.resolve.chip_side import ChipSide, chip_side, recorded_chip, silicon_status
from uplift.resolve.model import Status
from uplift.resolve.predicate import judge
from uplift.resolve.resolve import resolve
from uplift.resolve.scan import features_for

CATALOG = load_catalog()
FEATURES = {feature.id: feature for feature in CATALOG.features}
CHIPS = {chip.codename: chip for chip in CATALOG.chips}
RECORDINGS = Path(__file__).parents[1] / "recordings"

#: Facts that no register of the chip answers, so that a listed feature cannot be made to show.
ASKED_ELSEWHERE = ("cpuinfo.", "hwcap.", "firmware.", "kernel.")


def side(codename: str) -> ChipSide:
    return chip_side(CHIPS[codename], CATALOG)


def with_silicon(chip: Chip) -> Iterator[Feature]:
    for feature in features_for(CATALOG.features, chip.arch):
        if feature.layers[0].name is Layer.SILICON:
            yield feature


@pytest.mark.parametrize("arch", ["x86-64", "arm64", "riscv64"])
def test_every_listed_feature_is_offered_by_the_made_silicon_or_the_exception_is_named(
    arch: str,
) -> None:
    for chip in CATALOG.chips:
        if chip.arch != arch:
            continue
        made = chip_side(chip, CATALOG)
        shown = {
            name for name in chip.features
            if resolve(FEATURES[name], made.facts).verdicts[0].status is Status.OFFERED
        }  # fmt: skip
        assert shown | set(made.disagree) == chip.features, chip.codename
        for why in made.disagree.values():
            assert any(fact in why for fact in ASKED_ELSEWHERE), (chip.codename, made.disagree)


def test_what_a_list_does_not_speak_of_is_unknown_and_never_absent() -> None:
    for chip in CATALOG.chips:
        if chip.arch not in ("x86-64", "arm64", "riscv64"):
            continue
        made = chip_side(chip, CATALOG)
        for feature in with_silicon(chip):
            holds = silicon_status(made, feature).holds
            on_facts = judge(feature.layers[0].needs, made.facts).holds
            assert on_facts in (holds, None), (chip.codename, feature.id)


def test_a_feature_of_a_chip_without_a_dump_names_its_source() -> None:
    status = silicon_status(side("diamond-rapids"), FEATURES["x86/amx-fp8"])
    assert status.holds is True
    assert "intelxed/xed" in status.source


def test_xsave_state_follows_from_the_features_that_live_in_it() -> None:
    facts = side("diamond-rapids").facts
    states = facts.value("cpuid.d.0.eax")
    assert isinstance(states, PartialRegister)
    assert {bit for bit in range(32) if states >> bit & 1} >= {0, 1, 2, 5, 6, 7, 17, 18, 19}
    assert facts.value("cpuid.d.12.eax") == 8192


def test_a_made_chip_says_so_and_was_never_seen_by_a_hypervisor_or_a_kernel() -> None:
    made = side("clearwater-forest")
    capture = made.facts.snapshot.captures["probe:cpuid"]
    assert capture.how.startswith("made from a list, not read: ")
    assert made.facts.value("cpuid.hypervisor") == ""
    assert judge(Test("cpuid.1.0.ecx", "bit", 27), made.facts).holds is False
    assert made.facts.snapshot.kind == "chip"


def test_devices_are_unknown_on_a_chip_unless_a_source_lists_them() -> None:
    status = silicon_status(side("diamond-rapids"), FEATURES["storage/nvme"])
    assert status.holds is None
    assert "device" in status.why


def test_nothing_is_asked_of_the_silicon_by_a_feature_of_software_alone() -> None:
    status = silicon_status(side("turin"), FEATURES["memory/hugepages-2m"])
    assert (status.holds, status.applies) == (None, False)


def test_a_recording_decides_for_itself() -> None:
    path = next((RECORDINGS / "archspec").glob("windows-cpuid-*"))
    read = recorded_chip(path.name, load_path(path), CATALOG)
    assert (read.basis, read.made) == ("recorded", False)
    for feature in with_silicon(CHIPS["turin"]):
        on_facts = judge(feature.layers[0].needs, read.facts).holds
        status = silicon_status(read, feature)
        if on_facts is True and status.applies:
            assert status.holds is True, feature.id


def test_what_a_guest_lacks_its_chips_list_tells_and_else_nobody() -> None:
    read = recorded_chip("m", load_path(RECORDINGS / "own/firecracker-milan.jsonl.gz"), CATALOG)
    assert judge(FEATURES["x86/sev-snp"].layers[0].needs, read.facts).holds is False
    listed = silicon_status(read, FEATURES["x86/sev-snp"])
    assert (listed.holds, listed.source) == (True, read.listed.source)
    assert silicon_status(read, FEATURES["x86/avx512f"]).holds is False
    assert silicon_status(read, FEATURES["x86/avx2"]).source == "probe:cpuid"
    device = silicon_status(read, FEATURES["device/dsa"])
    assert (device.holds, "may mask it" in device.why) == (None, True)


def _registers() -> MadeRegisters:
    return MadeRegisters(lambda test: place_of(test, test.fact), lambda _: None)


LOW, HIGH = (Test("r", "bits-at-least", number, 4, 7) for number in (2, 3))


def test_a_field_is_open_between_what_is_demanded_and_what_is_denied() -> None:
    made = _registers()
    assert made.demand(LOW, True)
    assert (made.state(LOW), made.state(HIGH)) == (True, None)
    assert made.demand(HIGH, False)
    assert made.registers()["r"].value == 0x20
    assert made.registers()["r"].open & 0xF0 == 0


def test_an_open_field_keeps_its_least_number_and_settles_what_that_settles() -> None:
    made = _registers()
    made.demand(LOW, True)
    register = made.registers()["r"]
    assert register.value >> 4 & 0xF == 2
    assert register.open >> 4 & 0xF == 0b1101


def test_of_several_suspects_none_is_found_guilty() -> None:
    made = _registers()
    one, other = Test("r", "bit", 0), Test("r", "bit", 1)
    assert not made.demand(All((one, other)), False)
    assert made.state(one) is None
    made.put(Place("r", 0, 0), 1)
    assert made.demand(All((one, other)), False)
    assert made.state(other) is False


def test_a_choice_waits_for_what_others_settle() -> None:
    made = _registers()
    one, other = Test("r", "bit", 0), Test("r", "bit", 1)
    assert demand_all(made, [("a", Any((one, other))), ("b", other)], True) == []
    assert made.state(one) is None


def test_a_contradiction_is_told_and_changes_nothing() -> None:
    made = _registers()
    bit = Test("r", "bit", 0)
    assert made.demand(bit, True)
    assert demand_all(made, [("denied", Not(bit))], True) == ["denied"]
    assert made.state(bit) is True


def test_a_signed_field_that_is_denied_is_minus_one() -> None:
    made = _registers()
    there = Test("r", "bits-at-least", 0, 16, 19, signed=True)
    made.demand(there, False)
    assert made.state(there) is False
    assert made.registers()["r"].value >> 19 & 1
