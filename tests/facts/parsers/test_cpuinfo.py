"""``/proc/cpuinfo`` of every architecture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts.parsers.reading import RECORDINGS, facts_of, values_of, why_unknown
from uplift.facts.model import CaptureStatus
from uplift.facts.parsers import cpuinfo

FILE = cpuinfo.CAPTURE

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 173
model name\t: Intel(R) Xeon(R) 6972P
stepping\t: 1
microcode\t: 0x10003d0
physical id\t: 0
siblings\t: 2
core id\t\t: 0
cpu cores\t: 1
flags\t\t: fpu lm amx_tile
vmx flags\t: vnmi ept
bugs\t\t: spectre_v1
address sizes\t: 52 bits physical, 57 bits virtual

processor\t: 1
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 173
model name\t: Intel(R) Xeon(R) 6972P
stepping\t: 1
microcode\t: 0x10003b0
physical id\t: 0
siblings\t: 2
core id\t\t: 0
cpu cores\t: 1
flags\t\t: fpu lm
bugs\t\t: spectre_v1 its
"""
BIG_LITTLE = """processor : 0
BogoMIPS : 50.00
Features : fp asimd aes sve2
CPU implementer : 0x41
CPU architecture: 8
CPU variant : 0x1
CPU part : 0xd4f
CPU revision : 0

processor : 1
BogoMIPS : 50.00
Features : fp asimd aes
CPU implementer : 0x41
CPU architecture: 8
CPU variant : 0x1
CPU part : 0xd46
CPU revision : 1
"""
S390 = """vendor_id       : IBM/S390
# processors    : 2
bogomips per cpu: 3033.00
features\t: esan3 zarch te vx
cache4          : level=3 type=Unified scope=Shared size=65536K line_size=256 associativity=16
processor 0: version = FF,  identification = 1633E8,  machine = 3931
processor 1: version = FF,  identification = 1633E8,  machine = 3931

cpu number      : 0
cpu MHz static  : 5000

cpu number      : 1
cpu MHz static  : 5000
"""
POWER = """processor : 0
cpu : POWER10 (architected), altivec supported
clock : 2900.000000MHz
revision : 2.0 (pvr 0080 0200)

timebase : 512000000
platform : pSeries
model : IBM,9105-42A
"""
RISCV = """processor\t: 0
hart\t\t: 1
isa\t\t: rv64imafdcv_zicsr_zba_svinval2p0
mmu\t\t: sv39
uarch\t\t: spacemit,x60
mvendorid\t: 0x710
marchid\t\t: 0x8000000058000001
"""


def values(text: str) -> dict[str, object]:
    return {
        n.removeprefix("cpuinfo."): v for n, v in values_of(cpuinfo.PARSER, {FILE: text}).items()
    }


def test_flags_are_those_of_every_cpu_and_bugs_those_of_any() -> None:
    found = values(X86)
    assert found["flags"] == {"fpu", "lm"}
    assert found["flags_of_some"] == {"amx_tile"}
    assert found["bugs"] == {"spectre_v1", "its"}


def test_x86_names_its_signature_and_lowest_microcode() -> None:
    found = values(X86)
    assert (found["vendor"], found["family"], found["model"], found["stepping"]) == (
        *("GenuineIntel", 6, 173, 1),
    )
    assert found["microcode"] == 0x10003B0
    assert found["microcodes"] == ("0x10003b0", "0x10003d0")
    assert (found["physical_bits"], found["virtual_bits"]) == (52, 57)
    assert found["vmx_flags"] == {"vnmi", "ept"}
    assert found["arch"] == "x86_64"
    assert found["op_modes"] == {"32-bit", "64-bit"}


def test_cores_of_two_kinds_are_told_apart() -> None:
    found = values(BIG_LITTLE)
    assert found["kinds"] == 2
    assert [found[f"kind{n}.model_name"] for n in (0, 1)] == ["Cortex-A510", "Neoverse-V2"]
    assert [found[f"kind{n}.cpus"] for n in (0, 1)] == ["1", "0"]
    assert found["flags"] == {"fp", "asimd", "aes"}
    assert found["arch"] == "aarch64"
    assert (found["implementer"], found["part"]) == (0x41, 0xD46)


def test_s390x_names_its_machine_and_what_all_cpus_share() -> None:
    found = values(S390)
    assert (found["machine"], found["cpus"], found["kinds"]) == ("3931", 2, 1)
    assert found["flags"] == {"esan3", "zarch", "te", "vx"}
    assert found["arch"] == "s390x"


def test_power_names_its_core_and_altivec() -> None:
    found = values(POWER)
    assert found["model_name"] == "POWER10 (architected), altivec supported"
    assert found["flags"] == {"altivec"}
    assert (found["arch"], found["cpus"]) == ("ppc64", 1)


def test_riscv_extensions_are_split_and_lose_their_versions() -> None:
    found = values(RISCV)
    assert found["flags"] == {*"imafdcv", "zicsr", "zba", "svinval"}
    assert found["marchid"] == 0x8000000058000001
    assert found["model_name"] == "spacemit,x60"


@pytest.mark.parametrize(
    ("isa", "extensions"),
    [
        ("rv64g", {*"gimafd", "zicsr", "zifencei"}),
        ("rv32i2p1m2p0", {"i", "m"}),
        ("rv64imac_Zba", {*"imac", "zba"}),
        ("rv64ima_", {*"ima"}),
        ("rv64imafdczicsr", {*"imafdc", "zicsr"}),
        ("", set()),
    ],
)
def test_isa_strings_of_every_spelling(isa: str, extensions: set[str]) -> None:
    assert cpuinfo.riscv_extensions(isa) == extensions


ARCHSPEC = {
    "linux-amazon-neoverse_n1": ("aarch64", "Neoverse-N1", "asimddp"),
    "linux-ubuntu22.04-ampere1": ("aarch64", "Ampere-1", "sha512"),
    "linux-rocky8-a64fx": ("aarch64", "A64FX", "sve"),
    "linux-unknown-power10": ("ppc64", "POWER10, altivec supported", "altivec"),
    "linux-spacemit-x60": ("riscv64", "Spacemit(R) X60", "v"),
    "linux-unknown-sapphirerapids": ("x86_64", "", "amx_tile"),
    "linux-rocky9-zen5": ("x86_64", "", "avx512_vp2intersect"),
}


@pytest.mark.parametrize("name", ARCHSPEC)
def test_recorded_machines_are_read(name: str) -> None:
    arch, model, flag = ARCHSPEC[name]
    found = values((RECORDINGS / "archspec" / name).read_text())
    assert found["arch"] == arch
    assert flag in found["flags"]  # type: ignore[operator]
    assert not model or found["model_name"] == model


def test_what_is_no_cpuinfo_is_unknown_with_the_place() -> None:
    assert "line 1: there is no line" in why_unknown(
        cpuinfo.PARSER, {FILE: "hello\n"}, "cpuinfo.flags"
    )
    assert "line 1: the number of a CPU" in why_unknown(
        cpuinfo.PARSER, {FILE: "processor : 99999999999\n"}, "cpuinfo.flags"
    )


def test_a_cpuinfo_that_nobody_recorded_is_unknown() -> None:
    assert "was not collected" in why_unknown(cpuinfo.PARSER, {}, "cpuinfo.flags")
    denied = {FILE: CaptureStatus.DENIED}
    assert why_unknown(cpuinfo.PARSER, denied, "cpuinfo.flags") == f"{FILE} was denied"


def test_lscpu_stands_in_for_a_missing_cpuinfo() -> None:
    facts = facts_of(
        cpuinfo.PARSER,
        {"cmd:lscpu/text": "Architecture: x86_64\nVendor ID: GenuineIntel\nFlags: fpu amx_tile\n"},
    )
    assert facts.value("cpuinfo.flags") == {"fpu", "amx_tile"}
    assert facts.value("cpuinfo.bugs") is None


@pytest.mark.parametrize("text", [X86, BIG_LITTLE, S390, POWER, RISCV])
def test_a_text_cut_anywhere_is_read_or_refused(text: str) -> None:
    for end in range(len(text)):
        try:
            values_of(cpuinfo.PARSER, {FILE: text[:end]})
        except ValueError as error:
            assert str(error).startswith("line")


@given(st.text(alphabet="processcpu number:0123456789abcflags \t\n=x", max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        values_of(cpuinfo.PARSER, {FILE: text})
    except ValueError as error:
        assert str(error)
