"""The bit table and the decoder over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.facts.cpuid_table import SetBit, decode, decode_snapshot, fields_of, table
from uplift.facts.imports import libcpuid
from uplift.facts.parsers.cpuid_notation import REGISTERS, Leaf, Registers
from uplift.report.cpuid import bit_to_json

RECORDINGS = Path(__file__).parent.parent / "recordings" / "libcpuid"
INTEL = (0x16, 0x756E6547, 0x6C65746E, 0x49656E69)
AMD = (0x10, 0x68747541, 0x444D4163, 0x69746E65)
KVM = (0x40000001, 0x4B4D564B, 0x564B4D56, 0x0000004D)
HYPER_V = (0x4000000B, 0x7263694D, 0x666F736F, 0x76482074)
XEN = (0x40000004, 0x566E6558, 0x65584D4D, 0x4D4D566E)


def named(leaf: Leaf, words: Registers, *others: tuple[Leaf, Registers]) -> list[str | None]:
    leaves = {(0, 0): INTEL, **dict(others), leaf: words}
    return [bit.name for bit in decode(leaves) if (bit.leaf, bit.subleaf) == leaf]


def test_every_set_bit_is_listed_and_no_other() -> None:
    bits = list(decode({(0, 0): INTEL, (7, 0): (0, 1 << 5 | 1 << 16, 0, 1 << 31)}))
    found = [(b.register, b.bit, b.name) for b in bits if b.leaf == 7]
    assert found == [("ebx", 5, "avx2"), ("ebx", 16, "avx512f"), ("edx", 31, "spec_ctrl_ssbd")]
    assert len(bits) == 3 + sum(word.bit_count() for word in INTEL)


def test_a_bit_that_nobody_names_is_listed_without_a_name() -> None:
    (bit,) = [b for b in decode({(0, 0): INTEL, (0x1234, 0): (0, 1, 0, 0)}) if b.leaf == 0x1234]
    assert bit == SetBit(0, 0x1234, 0, "ebx", 0, None)
    shown = bit_to_json(bit)
    assert shown["name"] is None
    assert shown["source"] is None


def test_every_bit_of_a_field_carries_its_name() -> None:
    assert named((0x15, 0), (3, 0, 0, 0)) == ["tsc_denominator"] * 2


def test_a_field_of_all_subleaves_names_each_of_them() -> None:
    assert named((0x4, 3), (1 << 8, 0, 0, 0)) == ["cache_self_init"]


@pytest.mark.parametrize(
    ("signature", "name"),
    [
        (KVM, "kvm_clocksource2"),
        (HYPER_V, "hv_interface_signature"),
        ((0, 0, 0, 0), None),
    ],
)
def test_a_hypervisor_leaf_means_what_its_hypervisor_says(
    signature: Registers, name: str | None
) -> None:
    assert named((0x40000001, 0), (1 << 3, 0, 0, 0), ((0x40000000, 0), signature)) == [name]


def test_a_second_hypervisor_interface_stands_256_leaves_higher() -> None:
    base = ((0x40000000, 0), HYPER_V), ((0x40000100, 0), KVM)
    assert named((0x40000101, 0), (1 << 3, 0, 0, 0), *base) == ["kvm_clocksource2"]


def test_xen_is_told_from_hyper_v() -> None:
    base = ((0x40000000, 0), XEN)
    assert named((0x40000004, 0), (1, 0, 0, 0), base) == ["xen_hvm_cpuid_apic_access_virt"]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((0x7, 1, "eax", 21), "amx_fp16"),
        ((0x7, 1, "eax", 26), "lam"),
        ((0x7, 1, "edx", 21), "apx"),
        ((0x7, 1, "ecx", 5), "msr_imm"),
        ((0x7, 2, "edx", 7), "monitor_mitg_no"),
        ((0xD, 1, "eax", 4), "xfd"),
        ((0x1E, 1, "eax", 4), "amx_fp8"),
        ((0x24, 0, "ebx", 3), "avx10_ver"),
        ((0x80000008, 0, "ebx", 9), "wbnoinvd"),
        ((0x8000001F, 0, "eax", 4), "sev_snp"),
        ((0x80000021, 0, "eax", 8), "autoibrs"),
        ((0x80000021, 0, "ecx", 1), "tsa_sq_no"),
        ((0x80000025, 0, "ebx", 4), "num_cached_rmp_segments"),
    ],
)
def test_names_that_a_reader_can_look_up(place: tuple[int, int, str, int], name: str) -> None:
    leaf, sub, register, bit = place
    field = fields_of("", (leaf, sub), REGISTERS.index(register))[bit]
    assert field is not None
    assert field.name == name
    assert field.source


def test_rows_name_their_source_and_do_not_overlap() -> None:
    seen: set[tuple[int, int, str, int, tuple[str, ...]]] = set()
    for field in table():
        assert field.name
        assert field.source
        assert 0 <= field.low <= field.high <= 31
        for bit in range(field.low, field.high + 1):
            key = (field.leaf, field.subleaf, field.register, bit, field.vendors)
            assert key not in seen
            seen.add(key)


@pytest.mark.parametrize(
    "name", ["amd-ryzen-7-5700u-with-radeon-graphics.test", "intel-core-i5-l16g7-cpu.test"]
)
def test_a_real_machine_has_every_bit_named(name: str) -> None:
    bits = list(decode_snapshot(libcpuid.load(name, (RECORDINGS / name).read_bytes())))
    assert [bit for bit in bits if bit.name is None] == []


def test_bits_above_the_maximum_leaf_are_listed_without_a_name() -> None:
    name = "intel-core-i5-8265u-cpu.test"
    bits = list(decode_snapshot(libcpuid.load(name, (RECORDINGS / name).read_bytes())))
    basic = {bit.leaf for bit in bits if bit.name is None and bit.leaf < 0x10000}
    assert basic
    assert all(0x16 < leaf < 0x20 for leaf in basic)


def test_the_kind_of_core_is_kept() -> None:
    name = "intel-core-i5-l16g7-cpu.test"
    bits = list(decode_snapshot(libcpuid.load(name, (RECORDINGS / name).read_bytes())))
    assert {bit.kind for bit in bits} == {0, 1}


def test_amd_is_told_from_intel_by_leaf_0() -> None:
    assert named((0x8FFFFFFF, 0), (1, 0, 0, 0), ((0, 0), AMD)) == ["easter_egg_0"]
    assert named((0x8FFFFFFF, 0), (1, 0, 0, 0)) == [None]
