"""Reading upstream's tables of chips and HWCAP rules, on small tables in their notation."""

from __future__ import annotations

from pathlib import Path

from uplift.catalog.derive import arm64_hwcaps, chips_arm64, chips_x86
from uplift.catalog.derive.silicon import Silicon, holds, listed, recorded
from uplift.catalog.model import All, Any, Feature, Layer, LayerNeed, Not, Source, Test
from uplift.facts.model import Facts, Snapshot

HAS = Silicon("a table", {"cpuid.7.0.edx": frozenset((24,))}, {}, {"cpuid.24.0.ebx": 2})
TILE = Test("cpuid.7.0.edx", "bit", 24)
OTHER = Test("cpuid.7.0.edx", "bit", 22)


def _write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_table_shows_what_it_lists_and_denies_nothing() -> None:
    assert holds(TILE, HAS.answer) is True
    assert holds(OTHER, HAS.answer) is None
    assert holds(Any((OTHER, TILE)), HAS.answer) is True
    assert holds(All((OTHER, TILE)), HAS.answer) is None
    assert holds(Not(TILE), HAS.answer) is False


def test_a_field_given_as_a_number_is_compared() -> None:
    version = Test("cpuid.24.0.ebx", "bits-at-least", 2, 0, 7)
    assert holds(version, HAS.answer) is True
    assert holds(Test("cpuid.24.0.ebx", "bits-at-least", 3, 0, 7), HAS.answer) is None


def test_a_recording_without_the_fact_answers_nothing() -> None:
    assert recorded(Facts(Snapshot({}), ()))(TILE) is None


def test_only_features_of_the_architecture_are_listed() -> None:
    need = LayerNeed(Layer.SILICON, TILE, Source("cited", "a test"))
    features = tuple(
        Feature(name, name, (arch,), "compute", (need,))
        for name, arch in (("x86/amx-tile", "x86-64"), ("arm64/amx", "arm64"))
    )
    assert listed(features, "x86-64", HAS.answer) == {"x86/amx-tile"}


def test_xed_chips_inherit_and_take_away(tmp_path: Path) -> None:
    _write(tmp_path, "a-chips.txt", "EMERALD_RAPIDS: AMX_TILE KEYLOCKER  # so\n")
    _write(
        tmp_path,
        "b-chips.txt",
        "GRANITE_RAPIDS: \\  \n  ALL_OF(EMERALD_RAPIDS) \\\n  NOT(KEYLOCKER) AMX_FP16\n",
    )
    _write(
        tmp_path,
        "cpuid.xed.txt",
        "XED_ISA_SET_AMX_TILE: amx_tile.7.0.edx.24\nXED_ISA_SET_KEYLOCKER: kl.7.0.ecx.23\n"
        "XED_ISA_SET_AMX_FP16: amx_fp16.7.1.eax.21 avx10_ver1.24.0.ebx[0:7]=1\n"
        "XED_ISA_SET_AMX_TILE, AVX10: mirrored.1e.1.eax.0\n",
    )
    found = chips_x86.read_xed(tmp_path, "1")["granite-rapids"]
    assert found.bits == {"cpuid.7.0.edx": {24}, "cpuid.7.1.eax": {21}}
    assert found.numbers == {"cpuid.24.0.ebx": 1}


def test_xed_chips_that_include_each_other_end(tmp_path: Path) -> None:
    _write(tmp_path, "a-chips.txt", "HASWELL: ALL_OF(BROADWELL)\nBROADWELL: ALL_OF(HASWELL)\n")
    assert chips_x86.read_xed(tmp_path, "1")["haswell"].bits == {}


def test_llvm_sets_become_the_bits_that_its_host_detection_reads(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "lib/TargetParser/X86TargetParser.cpp",
        "constexpr FeatureBitset FeaturesZNVER1 = FeatureSSE2;\n"
        "constexpr FeatureBitset FeaturesZNVER2 =\n    FeaturesZNVER1 | FeatureCLWB;\n",
    )
    _write(
        tmp_path,
        "lib/TargetParser/Host.cpp",
        "sys::getHostCPUFeatures() {\n  getX86CpuIDAndInfo(1, &EAX, &EBX, &ECX, &EDX);\n"
        '  Features["sse2"] = (EDX >> 26) & 1;\n'
        "  !getX86CpuIDAndInfoEx(0x7, 0x0, &EAX, &EBX, &ECX, &EDX);\n"
        '  Features["clwb"] = HasLeaf7 && ((EBX >> 24) & 1);\n',
    )
    _write(
        tmp_path,
        "include/llvm/TargetParser/X86TargetParser.def",
        'X86_FEATURE_COMPAT(SSE2, "sse2", 3)\nX86_FEATURE(CLWB, "clwb")\n',
    )
    found = chips_x86.read_llvm(tmp_path, "1")["ZNVER2"]
    assert found.bits == {"cpuid.1.0.edx": {26}, "cpuid.7.0.ebx": {24}}


def test_gcc_cores_have_what_their_architecture_and_options_require(tmp_path: Path) -> None:
    base = "gcc/config/aarch64/"
    _write(
        tmp_path,
        base + "aarch64-option-extensions.def",
        'AARCH64_OPT_FMV_EXTENSION("sve", SVE, (F16), (), (), "sve")\n'
        'AARCH64_OPT_EXTENSION("fp16", F16, (), (), (F16FML), "fphp asimdhp")\n'
        'AARCH64_OPT_FMV_EXTENSION("lse", LSE, (), (), (), "atomics")\n',
    )
    _write(
        tmp_path,
        base + "aarch64-arches.def",
        'AARCH64_ARCH("armv8.1-a", generic_armv8_a, V8_1A, 8, (LSE))\n',
    )
    _write(
        tmp_path,
        base + "aarch64-cores.def",
        'AARCH64_CORE("new-core", newcore, cortexa57, V8_1A, (SVE), new, 0x41, 0xfff, -1)\n',
    )
    found = chips_arm64.read_gcc(tmp_path, "1")["new-core"]
    assert found.words["hwcap.words"] == {"sve", "fphp", "asimdhp", "atomics"}


def test_gcc_riscv_strings_are_joined_and_split(tmp_path: Path) -> None:
    text = 'RISCV_CORE("core", "rv64imafdcv_zba_"\n           "zbb", "tune")\n'
    _write(tmp_path, "gcc/config/riscv/riscv-cores.def", text)
    has = chips_arm64.read_gcc_riscv(tmp_path, "1")["core"].words["riscv.isa"]
    assert has == {"i", "m", "a", "f", "d", "c", "v", "zba", "zbb"}


DOCUMENT = """
HWCAP_FPHP
    Functionality implied by ID_AA64PFR0_EL1.FP == 0b0001.

HWCAP2_SVE2
    Functionality implied by ID_AA64PFR0_EL1.SVE == 0b0001 and
    ID_AA64ZFR0_EL1.SVEver == 0b0001.

HWCAP_PACA
    Functionality implied by ID_AA64ISAR1_EL1.APA == 0b0001 or
    ID_AA64ISAR1_EL1.API == 0b0001, as described by a document.
"""


def test_documented_rules_keep_and_and_or() -> None:
    rules = arm64_hwcaps.read_document(DOCUMENT)
    assert [len(group) for group in rules["HWCAP2_SVE2"]] == [2]
    assert [len(group) for group in rules["HWCAP_PACA"]] == [1, 1]


def test_the_kernels_table_wins_and_the_difference_is_told() -> None:
    documented = arm64_hwcaps.read_document(DOCUMENT)
    kernel = {"FPHP": ((arm64_hwcaps.Condition("ID_AA64PFR0_EL1", "FP", 2),),)}
    found = {name: (rule, note) for name, rule, note in arm64_hwcaps.merge(documented, kernel)}
    assert found["FPHP"][0] == kernel["FPHP"]
    assert "kernel" in found["FPHP"][1]
    assert found["PACA"][1] == "only documented"


def test_fields_keep_their_place_sign_and_values() -> None:
    sysreg = (
        "Sysreg\tID_AA64PFR0_EL1\t3\t0\t0\t4\t0\nSignedEnum\t19:16\tFP\n\t0b0000\tIMP\n"
        "\t0b1111\tNI\nEndEnum\nEndSysreg\n"
    )
    field = arm64_hwcaps.read_fields(sysreg)["ID_AA64PFR0_EL1", "FP"]
    assert (field.low, field.high, field.signed, field.values["NI"]) == (16, 19, True, 15)
