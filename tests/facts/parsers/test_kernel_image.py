"""Facts of a kernel image, on what was read out of real kernels."""

from __future__ import annotations

from functools import cache

import pytest

from tests.facts.parsers.reading import RECORDINGS, snapshot_of
from uplift.facts import snapshot_file
from uplift.facts.model import Fact, Facts, Missing
from uplift.facts.parsers import read_facts

BOOKWORM, TRIXIE, SID = "6.1.0-56", "6.12.118+deb13", "7.2.13+deb14"
KERNELS = (BOOKWORM, TRIXIE, SID)
AMX = 1 << 22 | 1 << 24 | 1 << 25  #: CPUID leaf 7, EDX: AMX-BF16, AMX-TILE, AMX-INT8
AVX_VNNI_INT8 = 1 << 4  #: CPUID leaf 7, subleaf 1, EDX
APX_STATE = 1 << 19


@cache
def image(release: str) -> Facts:
    return read_facts(snapshot_file.load(RECORDINGS / "kernels" / f"{release}.jsonl"))


def made(capture: str, text: str) -> Facts:
    return read_facts(snapshot_of({f"probe:kernel-image/{capture}": text}))


def why(facts: Facts, name: str) -> str:
    found = facts.get(name)
    assert isinstance(found, Missing)
    return found.why


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_tells_its_release_and_the_flags_that_it_can_show(kernel: str) -> None:
    facts = image(f"{kernel}-amd64")
    assert facts.value("image.release") == f"{kernel}-amd64"
    flags = facts.value("image.flags")
    assert isinstance(flags, frozenset)
    assert {"fpu", "amx_tile", "avx512_fp16", "sev_es"} <= flags
    assert "f00f" not in flags
    assert facts.value("image.flag.amx_tile") == "18:24"


def test_a_flag_that_a_kernel_does_not_know_is_not_among_its_flags() -> None:
    added = image(f"{SID}-amd64").value("image.flags")
    before = image(f"{BOOKWORM}-amd64").value("image.flags")
    assert isinstance(added, frozenset) and isinstance(before, frozenset)
    assert {"user_shstk", "lam"} & added > {"user_shstk", "lam"} & before


def test_programs_can_use_apx_only_where_the_kernel_switches_its_registers() -> None:
    masks = [image(f"{kernel}-amd64").value("image.xfeatures") for kernel in KERNELS]
    assert masks == [0x602FF, 0x602FF, 0x602FF | APX_STATE]


def test_kvm_passes_amx_on_with_either_vendor_and_newer_bits_only_when_newer() -> None:
    for kernel in KERNELS:
        for vendor in ("intel", "amd"):
            passed = image(f"{kernel}-amd64").value(f"image.kvm.{vendor}.7.0.edx")
            assert isinstance(passed, int) and passed & AMX == AMX
    newer = [image(f"{kernel}-amd64").value("image.kvm.intel.7.1.edx") for kernel in KERNELS]
    assert [bool(isinstance(n, int) and n & AVX_VNNI_INT8) for n in newer] == [False, True, True]


def test_a_leaf_that_kvm_does_not_list_passes_nothing_on() -> None:
    facts = image(f"{BOOKWORM}-amd64")
    assert facts.value("image.kvm.intel.24.0.ebx") == 0
    assert facts.value("image.kvm.intel.8000000a.0.edx") == 0


def test_a_number_of_kvms_own_is_not_known_and_neither_is_another_vendor() -> None:
    facts = image(f"{BOOKWORM}-amd64")
    for name in ("intel.0.0.eax", "intel.40000001.0.eax", "via.1.0.ecx"):
        assert isinstance(facts.get(f"image.kvm.{name}"), Missing)


def test_an_arm64_kernel_tells_the_words_of_its_features_line() -> None:
    words = [image(f"{kernel}-arm64").value("image.hwcaps") for kernel in KERNELS]
    oldest, newer, newest = (word for word in words if isinstance(word, frozenset))
    assert {"fp", "sve2", "sme"} <= oldest < newer < newest
    assert "sme2" not in oldest and "sme2" in newer
    assert {"fpmr", "mte3"} <= newest and "swp" not in newest


def test_a_riscv_kernel_tells_the_extensions_that_it_knows() -> None:
    known = image(f"{SID}-riscv64").value("image.riscv_isa")
    assert isinstance(known, frozenset)
    assert {"i", "v", "zba", "zvkn", "sstc"} <= known


def test_modules_are_told_apart_from_what_is_built_in() -> None:
    facts = made("modules", "kvm module\next4 builtin\n")
    assert facts.value("image.modules") == frozenset({"kvm"})
    assert facts.value("image.builtin") == frozenset({"ext4"})


@pytest.mark.parametrize(
    ("capture", "text", "fact", "place"),
    [
        ("release", "6.1.0\n6.2.0\n", "image.release", "there are 2 lines"),
        ("x86-flags", "0 0 fpu\nvme\n", "image.flags", "line 2: 'vme'"),
        ("xfeatures", "0 x87\n99 what\n", "image.xfeatures", "line 2: '99 what'"),
        ("kvm-cpuid", "via 1 0 ecx 0x1\n", "image.kvm.intel.1.0.ecx", "line 1: 'via"),
        ("kvm-cpuid", "intel 1 0 ecx 1\n", "image.kvm.intel.1.0.ecx", "line 1: 'intel"),
        ("arm64-hwcaps", "fp\ntwo words\n", "image.hwcaps", "line 2: 'two words'"),
        ("riscv-isa", "\n", "image.riscv_isa", "line 1"),
        ("modules", "kvm perhaps\n", "image.modules", "line 1: 'kvm perhaps'"),
    ],
)
def test_a_line_of_another_form_is_refused_with_its_place(
    capture: str, text: str, fact: str, place: str
) -> None:
    assert place in why(made(capture, text), fact)


def test_components_without_a_mask_of_usable_ones_count_by_name() -> None:
    facts = made("xfeatures", "0 x87 floating point registers\n1 SSE registers\n9 PKRU\n")
    assert isinstance(facts.get("image.xfeatures"), Fact)
    assert facts.value("image.xfeatures") == 0x203
