"""CPUID as facts: what is read, what is implied, what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.facts.model import Capture, CaptureStatus, Fact, Facts, Missing, Snapshot
from uplift.facts.parsers.cpuid import PARSER, signature

RECORDINGS = Path(__file__).parent.parent / "recordings" / "libcpuid"
INTEL_0 = (0x756E6547, 0x6C65746E, 0x49656E69)


def row(leaf: int, sub: int, eax: int = 0, ebx: int = 0, ecx: int = 0, edx: int = 0) -> str:
    words = f"eax=0x{eax:08x} ebx=0x{ebx:08x} ecx=0x{ecx:08x} edx=0x{edx:08x}"
    return f"   0x{leaf:08x} 0x{sub:02x}: {words}\n"


def recorded(*rows: str, maximum: int = 0x16) -> Facts:
    return facts("CPU 0:\n" + row(0, 0, maximum, *INTEL_0) + "".join(rows), "cpuid-r")


def facts(text: str | bytes, notation: str) -> Facts:
    data = text.encode() if isinstance(text, str) else text
    capture = Capture("probe:cpuid", CaptureStatus.OK, data, format=notation)
    return Facts(Snapshot({"probe:cpuid": capture}), [PARSER])


def recording(name: str) -> Facts:
    return facts((RECORDINGS / name).read_bytes(), "libcpuid")


def test_registers_are_facts_by_leaf_subleaf_and_register() -> None:
    found = recorded(row(7, 1, eax=0x10))
    assert found.get("cpuid.7.1.eax") == Fact("cpuid.7.1.eax", 0x10, "probe:cpuid")


def test_a_leaf_above_the_maximum_reads_as_zero() -> None:
    assert recorded().value("cpuid.24.0.ebx") == 0


def test_an_echo_of_the_highest_leaf_above_the_maximum_reads_as_zero() -> None:
    echo = {"eax": 0x03020101, "ebx": 1 << 5}
    assert recorded(row(2, 0, **echo), row(7, 0, **echo), maximum=2).value("cpuid.7.0.ebx") == 0


def test_a_leaf_above_the_maximum_that_is_no_echo_is_believed() -> None:
    quark = row(2, 0, eax=1), row(7, 0, eax=1, ebx=1 << 7)
    assert recorded(*quark, maximum=2).value("cpuid.7.0.ebx") == 1 << 7


def test_a_leaf_below_the_maximum_that_was_not_recorded_is_missing() -> None:
    assert isinstance(recorded().get("cpuid.7.0.ebx"), Missing)


def test_a_subleaf_above_the_one_that_subleaf_0_states_reads_as_zero() -> None:
    assert recorded(row(7, 0, eax=1)).value("cpuid.7.2.edx") == 0
    assert isinstance(recorded(row(7, 0, eax=2)).get("cpuid.7.2.edx"), Missing)


def test_an_xsave_component_that_is_not_listed_reads_as_zero() -> None:
    found = recorded(row(0xD, 0, eax=0x207), row(0xD, 1, ecx=1 << 11))
    assert found.value("cpuid.d.12.eax") == 0
    assert isinstance(found.get("cpuid.d.b.eax"), Missing)


@pytest.mark.parametrize(("leaf", "register"), [(0xF, "edx"), (0x10, "ebx"), (0x23, "eax")])
def test_a_subleaf_that_a_bit_map_leaves_out_reads_as_zero(leaf: int, register: str) -> None:
    found = recorded(row(leaf, 0, **{register: 0b10}), maximum=0x30)
    assert found.value(f"cpuid.{leaf:x}.2.eax") == 0
    assert isinstance(found.get(f"cpuid.{leaf:x}.1.eax"), Missing)


def test_the_extended_range_has_a_maximum_of_its_own() -> None:
    found = recorded(row(0x80000000, 0, eax=0x80000008))
    assert found.value("cpuid.8000001f.0.eax") == 0
    assert isinstance(found.get("cpuid.80000008.0.ebx"), Missing)
    assert isinstance(recorded().get("cpuid.80000001.0.ecx"), Missing)


def test_hypervisor_leaves_read_as_zero_on_bare_metal() -> None:
    assert recorded(row(1, 0)).value("cpuid.40000001.0.eax") == 0
    assert isinstance(recorded(row(1, 0, ecx=1 << 31)).get("cpuid.40000001.0.eax"), Missing)


def test_old_kvm_states_no_maximum_and_has_one_leaf_more() -> None:
    found = recorded(row(1, 0, ecx=1 << 31), row(0x40000000, 0, 0, *3 * (0x4B4D564B,)))
    assert isinstance(found.get("cpuid.40000001.0.eax"), Missing)
    assert found.value("cpuid.40000002.0.eax") == 0


def test_the_leaves_of_another_vendor_read_as_zero() -> None:
    garbage = row(0xC0000000, 0, eax=7), row(0xC0000001, 0, edx=4)
    assert recorded(*garbage).value("cpuid.c0000001.0.edx") == 0


@pytest.mark.parametrize(
    ("eax", "expected"),
    [
        (0x000A06D1, (6, 0xAD, 1)),  # Granite Rapids
        (0x00B00F21, (0x1A, 0x02, 1)),  # Turin
        (0x00A00F11, (0x19, 0x01, 1)),  # Milan
        (0x000507B3, (7, 0x5B, 3)),  # Zhaoxin KX-40000
        (0x00000F29, (0xF, 0x02, 9)),  # Pentium 4
        (0x00000543, (5, 0x04, 3)),  # no extended model below family 6
    ],
)
def test_the_signature_is_displayed_family_model_and_stepping(
    eax: int, expected: tuple[int, int, int]
) -> None:
    assert signature(eax) == expected


def test_a_real_machine_names_itself() -> None:
    found = recording("intel-core-i5-8265u-cpu.test")
    assert found.value("cpuid.vendor") == "GenuineIntel"
    assert found.value("cpuid.brand") == "Intel(R) Core(TM) i5-8265U CPU @ 1.60GHz"
    assert (found.value("cpuid.family"), found.value("cpuid.model")) == (6, 0x8E)
    assert found.value("cpuid.hypervisor") == ""
    assert found.value("cpuid.max_leaf") == 0x16


def test_kinds_of_core_have_in_common_what_every_one_has() -> None:
    large = row(0, 0, 0x16, *INTEL_0) + row(1, 0, eax=1) + row(7, 0, ebx=0b0111)
    small = row(0, 0, 0x16, *INTEL_0) + row(1, 0, eax=2) + row(7, 0, ebx=0b1110)
    found = facts(large + small, "cpuid-r")
    assert found.value("cpuid.7.0.ebx") == 0b0110
    assert found.value("cpuid.1.0.eax") == 1


def test_a_real_machine_with_two_kinds_of_core_says_so() -> None:
    assert recording("intel-core-i5-l16g7-cpu.test").value("cpuid.kinds") == 2


def test_a_feature_leaf_that_one_kind_lacks_the_recording_of_is_missing() -> None:
    small = row(0, 0, 0x16, *INTEL_0) + row(1, 0, eax=1)
    large = row(0, 0, 0x16, *INTEL_0) + row(1, 0, eax=2) + row(7, 0, ebx=1 << 5)
    assert isinstance(facts(large + small, "cpuid-r").get("cpuid.7.0.ebx"), Missing)
    ends = row(0, 0, 0x2, *INTEL_0) + row(1, 0, eax=1)
    assert facts(large + ends, "cpuid-r").value("cpuid.7.0.ebx") == 0


def test_a_broken_recording_makes_its_facts_missing_not_absent() -> None:
    found = facts("   0x00000000 0x00: eax=0x16\n", "cpuid-r").get("cpuid.7.0.ebx")
    assert isinstance(found, Missing)
    assert "line 1" in found.why


def test_no_recording_is_missing() -> None:
    found = Facts(Snapshot({}), [PARSER]).get("cpuid.vendor")
    assert isinstance(found, Missing)
    assert found.why == "probe:cpuid was not collected"


def test_a_name_that_is_no_register_is_missing() -> None:
    assert isinstance(recorded().get("cpuid.colour"), Missing)
    assert isinstance(recorded().get("cpuid.x.y.eax"), Missing)
