"""Reading upstream's tables of chips and HWCAP rules, on small tables in their notation."""

from __future__ import annotations

from pathlib import Path

from uplift.catalog.derive import arm64_hwcaps, chips_arm64, chips_riscv64, chips_x86
from uplift.catalog.derive.silicon import (
    Silicon,
    calibrated,
    holds,
    listed,
    recorded,
    together,
)
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
    assert holds(Test("cpuid.24.0.ebx", "bits-at-least", 3, 0, 7), HAS.answer) is False


SPEAKS = frozenset({("cpuid.7.0.edx", 24), ("cpuid.7.0.edx", 22)})
LISTS_TILE = Silicon("one", {"cpuid.7.0.edx": frozenset((24,))}, {}, {}, speaks=SPEAKS)
LISTS_BOTH = Silicon("two", {"cpuid.7.0.edx": frozenset((24, 22))}, {}, {}, speaks=SPEAKS)
OF_ANOTHER_LEAF = Test("cpuid.7.0.ecx", "bit", 1)


def test_a_list_denies_what_it_speaks_of_and_does_not_name() -> None:
    assert LISTS_TILE.answer(OTHER) is False
    assert LISTS_TILE.answer(OF_ANOTHER_LEAF) is None


def test_where_one_list_names_what_another_denies_nobody_knows() -> None:
    answer = together((LISTS_TILE, LISTS_BOTH))
    assert (answer(TILE), answer(OTHER), answer(OF_ANOTHER_LEAF)) == (True, None, None)


def test_a_source_does_not_speak_of_what_it_left_out_for_a_chip_that_has_it() -> None:
    def shows(test: Test) -> bool | None:
        return test.operand == 22

    assert calibrated(SPEAKS, [(LISTS_TILE, shows)]) == {("cpuid.7.0.edx", 24)}


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
    assert found.answer(Test("cpuid.7.0.ecx", "bit", 23)) is False
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


def test_llvm_takes_away_after_a_caret_and_adds_what_a_feature_implies(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "lib/TargetParser/X86TargetParser.cpp",
        "constexpr FeatureBitset FeaturesOLD = FeatureKL | FeatureCLWB;\n"
        "constexpr FeatureBitset FeaturesNEW = (FeaturesOLD ^ FeatureKL) | FeatureVAES;\n"
        "constexpr FeatureBitset ImpliedFeaturesVAES = FeatureAES;\n",
    )
    _write(
        tmp_path,
        "lib/TargetParser/Host.cpp",
        "sys::getHostCPUFeatures() {\n  getX86CpuIDAndInfo(1, &EAX, &EBX, &ECX, &EDX);\n"
        '  Features["aes"] = (ECX >> 25) & 1;\n'
        "  !getX86CpuIDAndInfoEx(0x7, 0x0, &EAX, &EBX, &ECX, &EDX);\n"
        '  Features["clwb"] = HasLeaf7 && ((EBX >> 24) & 1);\n'
        '  Features["kl"] = HasLeaf7 && ((ECX >> 23) & 1);\n'
        '  Features["vaes"] = HasLeaf7 && ((ECX >> 9) & 1);\n',
    )
    names = ("aes", "clwb", "kl", "vaes")
    spelled = "".join(f'X86_FEATURE({name.upper()}, "{name}")\n' for name in names)
    _write(tmp_path, "include/llvm/TargetParser/X86TargetParser.def", spelled)
    new = chips_x86.read_llvm(tmp_path, "1")["NEW"]
    assert new.bits == {"cpuid.1.0.ecx": {25}, "cpuid.7.0.ebx": {24}, "cpuid.7.0.ecx": {9}}
    assert new.answer(Test("cpuid.7.0.ecx", "bit", 23)) is False


def test_gccs_x86_sets_take_away_after_a_tilde(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "gcc/config/i386/i386.h",
        "constexpr wide_int_bitmask PTA_OLD = PTA_CLWB | PTA_KL;\n"
        "constexpr wide_int_bitmask PTA_NEW =\n  (PTA_OLD & (~(PTA_KL | PTA_WIDEKL)))"
        " | PTA_AVX10_2;\n",
    )
    bits = "#define bit_CLWB\t(1 << 24)\n#define bit_KL\t(1 << 23)\n"
    _write(tmp_path, "gcc/config/i386/cpuid.h", bits)
    _write(
        tmp_path,
        "gcc/common/config/i386/cpuinfo.h",
        "#define set_feature(f) x\n  __cpuid_count (7, 0, eax, ebx, ecx, edx);\n"
        "  if (ebx & bit_CLWB)\n    set_feature (FEATURE_CLWB);\n"
        "  if (ecx & bit_KL)\n    set_feature (FEATURE_KL);\n",
    )
    new = chips_x86.read_gcc(tmp_path, "1")["NEW"]
    assert new.bits == {"cpuid.7.0.ebx": {24}, "cpuid.7.1.edx": {19}}
    assert new.numbers == {"cpuid.24.0.ebx": 2}
    assert new.answer(Test("cpuid.7.0.ecx", "bit", 23)) is False


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
    assert found.words["arm64.words"] == {"sve", "fphp", "asimdhp", "atomics"}
    assert found.answer(Test("arm64.words", "has", "sve")) is True


def _write_llvm_arm64(root: Path) -> None:
    base = "lib/Target/AArch64/"
    _write(
        root,
        base + "AArch64Features.td",
        'def FeatureSVE : ExtensionWithMArch<"sve", "SVE", "FEAT_SVE", "x", [FeatureFullFP16]>;\n'
        'def FeatureFullFP16 : ExtensionWithMArch<"fullfp16", "FullFP16", "FEAT_FP16", "x">;\n'
        'def FeatureSPE : ExtensionWithMArch<"spe", "SPE", "FEAT_SPE",\n  "x">;\n'
        'def HasV8_1aOps : Architecture64<8, 1, "a", "v8.1a",\n'
        "  [HasV8_0aOps, FeatureLSE],\n  !listconcat(X.DefaultExts, [FeatureRDM])>;\n",
    )
    _write(
        root,
        base + "AArch64Processors.td",
        "list<SubtargetFeature> NeoverseX = [HasV8_1aOps, FeatureSVE,\n  FeatureSPE, FeatureMTE];\n"
        "list<SubtargetFeature> Mine = !listconcat(!listremove(NeoverseX, [FeatureMTE]),"
        " [FeatureSM4]);\n"
        'def : ProcessorModel<"mine", NeoverseModel, ProcessorFeatures.Mine, []>;\n'
        'def : ProcessorModel<"neoverse-x", NeoverseModel,\n  ProcessorFeatures.NeoverseX, []>;\n',
    )


def test_llvm_cores_add_to_lists_and_take_away_from_them(tmp_path: Path) -> None:
    _write_llvm_arm64(tmp_path)
    mine = chips_arm64.read_llvm(tmp_path, "1")["mine"]
    assert mine.words["arm64.words"] == {"atomics", "sve", "fphp", "asimdhp", "sm3", "sm4"}
    assert mine.fields == (("id_aa64dfr0_el1", 32, 35, 1),)
    assert mine.answer(Test("arm64.words", "has", "mte")) is False


def test_no_list_of_a_licensed_core_denies_what_a_licensee_may_leave_out(tmp_path: Path) -> None:
    _write_llvm_arm64(tmp_path)
    core = chips_arm64.read_llvm(tmp_path, "1")["neoverse-x"]
    assert core.answer(Test("arm64.words", "has", "sm4")) is None
    assert core.answer(Test("arm64.words", "has", "gcs")) is False


def test_gccs_bit_perm_or_its_streaming_kin_says_neither() -> None:
    text = (
        'AARCH64_OPT_EXTENSION("sve-bitperm", SVE_BITPERM, (), (), (),'
        ' "svebitperm | smesbitperm")\n'
        'AARCH64_OPT_EXTENSION_ALIAS("sve2-bitperm", SVE2_BITPERM, (SVE2, SVE_BITPERM), (),'
        ' (SVE_BITPERM), (SVE_BITPERM), "svebitperm")\n'
    )
    _, words = chips_arm64._extensions(text)
    assert words == {"SVE_BITPERM": [], "SVE2_BITPERM": ["svebitperm"]}


def test_gcc_riscv_strings_are_joined_and_split_and_profiles_stand_for_theirs(
    tmp_path: Path,
) -> None:
    cores = (
        'RISCV_CORE("core", "rv64imafdcv_zba_"\n           "zbb", "tune")\n'
        'RISCV_CORE("other", "rva20u64_zfh", "tune")\n'
    )
    _write(tmp_path, "gcc/config/riscv/riscv-cores.def", cores)
    profiles = 'RISCV_PROFILE("rva20u64", "rv64imafdc_zicntr")\n'
    _write(tmp_path, "gcc/config/riscv/riscv-profiles.def", profiles)
    found = chips_riscv64.read_gcc(tmp_path, "1")
    assert found["core"].words["riscv.isa"] == {*"imafdcv", "zba", "zbb"}
    assert found["other"].words["riscv.isa"] == {*"imafdc", "zicntr", "zfh", "zfhmin"}
    assert found["other"].answer(Test("riscv.isa", "has", "v")) is False
    assert found["other"].answer(Test("riscv.isa", "has", "zicbom")) is None


def test_a_profile_lists_what_is_mandatory_and_says_nothing_of_the_rest(tmp_path: Path) -> None:
    place = "spec/std/isa/profile/"
    _write(
        tmp_path,
        place + "BASE.yaml",
        "extensions:\n  Zkt: {presence: mandatory}\n  Zfh: {presence: {optional: expansion}}\n"
        "  Zkn: {presence: mandatory}\n",
    )
    _write(
        tmp_path,
        place + "NEW.yaml",
        'extensions:\n  $inherits: "profile/BASE.yaml#/extensions"\n  $remove: Zkn\n'
        "  Sha: {presence: mandatory}\n",
    )
    new = chips_riscv64.read_profiles(tmp_path, "1")["NEW"]
    assert new.words["riscv.isa"] == {"zkt", "sha", "h"}
    assert new.answer(Test("riscv.isa", "has", "zfh")) is None


def test_llvm_riscv_cores_build_on_profiles(tmp_path: Path) -> None:
    base = "lib/Target/RISCV/"
    profile = "defvar RVA20U64Features = [Feature64Bit, FeatureStdExtM];\n"
    _write(tmp_path, base + "RISCVProfiles.td", profile)
    _write(
        tmp_path,
        base + "RISCVProcessors.td",
        'def A : RISCVProcessorModel<"a", NoSchedModel,\n  !listconcat(RVA20U64Features,\n'
        "  [FeatureStdExtZfh]),\n  [TuneX]>;\n"
        'def B : RISCVProcessorModel<"b", Model, [Feature32Bit, FeatureStdExtV]>;\n',
    )
    found = chips_riscv64.read_llvm(tmp_path, "1")
    assert set(found) == {"a"}
    assert found["a"].words["riscv.isa"] == {"m", "zfh", "zfhmin"}


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
