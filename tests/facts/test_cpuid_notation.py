"""Each notation of CPUID, good, broken, and hostile."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uplift.facts.parsers import cpuid_notation
from uplift.facts.parsers.cpuid_notation import read

RECORDINGS = Path(__file__).parent.parent / "recordings" / "libcpuid"
NOTATIONS = ("cpuid-r", "instlatx64", "libcpuid", "libvirt-xml")

INTEL_0 = "00000016-756E6547-6C65746E-49656E69"
AIDA = (
    "------[ Versions ]------\n\n------[ CPUID Registers / Logical CPU #0 ]------\n\n"
    f"CPUID 00000000: {INTEL_0} [GenuineIntel]\n"
    "CPUID 00000001: 000806EB-00100800-7FFAFBBF-BFEBFBFF\n"
    "CPUID 00000007: 00000001-029C6FBB-00000000-9C000400 [SL 00]\n"
    "CPUID 00000007: 00000010-00000000-00000000-00000000 [SL 01]\n"
    "CPUID 0000000D: 00000010-00000000-00000001-00000000 [SL 0B] [CET_U]\n"
)
RAW = (
    "CPU 0:\n"
    "   0x00000000 0x00: eax=0x00000016 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69\n"
    "   0x00000001 0x00: eax=0x000806eb ebx=0x00100800 ecx=0x7ffafbbf edx=0xbfebfbff\n"
    "   0x00000007 0x01: eax=0x00000010 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n"
)
XML = (
    "<cpudata arch='x86'>\n"
    "  <cpuid eax_in='0x00000000' ecx_in='0x00' eax='0x16' ebx='0x756e6547'"
    " ecx='0x6c65746e' edx='0x49656e69'/>\n"
    "  <cpuid eax_in='0x00000007' ecx_in='0x01' eax='0x10' ebx='0x0' ecx='0x0' edx='0x0'/>\n"
    "</cpudata>\n"
)


def leaves(text: str, notation: str = "instlatx64") -> dict[tuple[int, int], tuple[int, ...]]:
    (core,) = read(text.encode(), notation)
    return dict(core.leaves)


def aida(*lines: str) -> str:
    return "".join(f"CPUID {line}\n" for line in (f"00000000: {INTEL_0}", *lines))


def test_aida_text_is_read_with_its_subleaves_in_hexadecimal() -> None:
    found = leaves(AIDA)
    assert found[0x7, 1] == (0x10, 0, 0, 0)
    assert found[0xD, 0xB] == (0x10, 0, 1, 0)
    assert found[0x1, 0][2] == 0x7FFAFBBF


@pytest.mark.parametrize("between", [": ", " :", "  \t", " : "])
def test_older_separators_are_read(between: str) -> None:
    assert leaves(f"CPUID 00000000{between}{INTEL_0}\n")[0, 0][0] == 0x16


def test_words_separated_by_blanks_are_read() -> None:
    assert leaves(f"CPUID 00000000: {INTEL_0.replace('-', ' ').lower()}\n")[0, 0][0] == 0x16


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_text_encoding_and_line_end_is_read(encoding: str, newline: str) -> None:
    data = AIDA.replace("\n", newline).encode(encoding)
    assert read(data, "instlatx64") == read(AIDA.encode(), "instlatx64")


def test_cpuid_r_text_is_read() -> None:
    assert leaves(RAW, "cpuid-r")[0x7, 1] == (0x10, 0, 0, 0)
    assert leaves(RAW.replace("CPU 0:", "CPU:"), "cpuid-r") == leaves(RAW, "cpuid-r")


def test_libvirt_xml_is_read() -> None:
    assert leaves(XML, "libvirt-xml")[0x7, 1] == (0x10, 0, 0, 0)


def test_libcpuid_arrays_are_read_as_leaves_and_subleaves() -> None:
    (core,) = read(
        (RECORDINGS / "amd-ryzen-7-5700u-with-radeon-graphics.test").read_bytes(), "libcpuid"
    )
    assert core.leaves[0x8000001F, 0] == (0x0001000F, 0x0000012F, 0x0000000E, 0x00000001)
    assert core.leaves[0x8000001D, 3] == (0x0001C163, 0x03C0003F, 0x00000FFF, 0x00000001)


def test_libcpuid_tests_with_an_aida_dump_are_read() -> None:
    (core,) = read((RECORDINGS / "intel-core-i5-2400-cpu.test").read_bytes(), "libcpuid")
    assert core.leaves[0x1, 0][0] == 0x206A7


def test_processors_that_differ_only_in_their_number_are_one_kind() -> None:
    second = AIDA.replace("00100800", "01100800").replace("CPU #0", "CPU #1")
    (core,) = read((AIDA + second).encode(), "instlatx64")
    assert core.cpus == 2


def test_processors_with_other_features_are_another_kind() -> None:
    first, second = read((RECORDINGS / "intel-core-i5-l16g7-cpu.test").read_bytes(), "libcpuid")
    assert (first.cpus, second.cpus) == (4, 1)
    assert first.leaves[0x1A, 0] != second.leaves[0x1A, 0]


def test_a_section_that_ends_early_is_no_kind_of_its_own() -> None:
    cut = AIDA[: AIDA.index("CPUID 00000007")].replace("CPU #0", "CPU #1")
    (core,) = read((AIDA + cut).encode(), "instlatx64")
    assert core.cpus == 2


def test_a_difference_above_the_maximum_leaf_makes_no_kind() -> None:
    one = aida("00000019: 00000001-00000000-00000000-00000000")
    other = aida("00000019: 00000002-00000000-00000000-00000000")
    assert len(read((one + other).encode(), "instlatx64")) == 1


def test_subleaves_without_a_number_count_up() -> None:
    found = leaves(
        aida(
            "00000004: 1C004121-0-0-0".replace("-0", "-00000000"),
            "00000004: 1C004122-00000000-00000000-00000000",
        )
    )
    assert (0x4, 1) in found


def test_a_missing_optimization_subleaf_of_xsave_is_noticed() -> None:
    found = leaves(
        aida(
            "0000000D: 00000007-00000340-000003C0-40000000",
            "0000000D: 00000100-00000240-00000000-00000000",
        )
    )
    assert found[0xD, 2] == (0x100, 0x240, 0, 0)
    assert (0xD, 1) not in found


def test_resource_subleaves_without_a_number_are_those_that_subleaf_0_lists() -> None:
    found = leaves(
        aida(
            "00000010: 00000000-0000000A-00000000-00000000",
            "00000010: 0000000A-00000600-00000004-0000000F",
            "00000010: 00000059-00000000-00000004-00000007",
        )
    )
    assert {sub for leaf, sub in found if leaf == 0x10} == {0, 1, 3}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_text_of_another_kind_is_refused(notation: str) -> None:
    with pytest.raises(ValueError, match="it "):
        read(b"processor : 0\n", notation)


def test_an_unknown_notation_is_refused() -> None:
    with pytest.raises(ValueError, match="no CPUID notation"):
        read(b"", "morse")


def test_a_broken_line_is_named() -> None:
    broken = AIDA.replace("9C000400", "9C0004G0")
    with pytest.raises(ValueError, match=r"^line 7: "):
        read(broken.encode(), "instlatx64")
    with pytest.raises(ValueError, match=r"^line 4: "):
        read(RAW.replace("ecx=0x00000000 edx=0x00000000", "ecx=0x0").encode(), "cpuid-r")


def test_a_register_of_xml_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="cpuid element 2: eax"):
        read(XML.replace("eax='0x10'", "eax='16'").encode(), "libvirt-xml")


def test_xml_that_declares_entities_is_refused() -> None:
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>" + XML
    with pytest.raises(ValueError, match="it is no XML"):
        read(bomb.encode(), "libvirt-xml")


def test_what_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="larger than"):
        read(bytes(cpuid_notation.MAX_BYTES + 1), "instlatx64")


@pytest.mark.parametrize("data", [b"\n" * (1 << 20), b"a\r" * (1 << 20)])
def test_more_lines_than_any_machine_has_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="lines"):
        read(data, "instlatx64")


def test_xml_larger_than_any_machines_is_refused() -> None:
    with pytest.raises(ValueError, match="XML is larger"):
        read(b"<a>" * (1 << 19), "libvirt-xml")


def test_too_many_processors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpuid_notation, "MAX_SECTIONS", 3)
    with pytest.raises(ValueError, match="more than 3 processors"):
        read((AIDA * 4).encode(), "instlatx64")


def test_more_kinds_of_core_than_any_machine_has_are_refused() -> None:
    text = "".join(aida(f"00000001: {n:08X}-00000000-00000000-00000000") for n in range(100))
    with pytest.raises(ValueError, match="more than 64 kinds"):
        read(text.encode(), "instlatx64")


@pytest.mark.parametrize("notation", ["instlatx64", "cpuid-r", "libcpuid"])
def test_one_endless_line_is_no_trouble(notation: str) -> None:
    with pytest.raises(ValueError, match="it holds no CPUID leaf 0"):
        read(b"x" * (8 << 20), notation)


def sample(notation: str) -> bytes:
    libcpuid = (RECORDINGS / "intel-core-i5-8265u-cpu.test").read_bytes()
    return {
        "instlatx64": AIDA.encode(),
        "cpuid-r": RAW.encode(),
        "libvirt-xml": XML.encode(),
        "libcpuid": libcpuid[:600],
    }[notation]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_file_cut_anywhere_is_read_or_refused(notation: str) -> None:
    whole = sample(notation)
    for end in range(len(whole)):
        _read_or_refuse(whole[:end], notation)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NOTATIONS), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 7))))
def test_flipped_bits_are_read_or_refused(notation: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(sample(notation))
    for at, bit in flips:
        data[at % len(data)] ^= 1 << bit
    _read_or_refuse(bytes(data), notation)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NOTATIONS), st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(notation: str, data: bytes) -> None:
    _read_or_refuse(data, notation)
    _read_or_refuse(sample(notation) + data, notation)


def _read_or_refuse(data: bytes, notation: str) -> None:
    try:
        cores = read(data, notation)
    except ValueError as error:
        assert str(error)
    else:
        assert all(
            0 <= word <= 0xFFFFFFFF
            for core in cores
            for row in core.leaves.values()
            for word in row
        )
