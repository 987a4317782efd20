"""The CPUID bit table is derived from source trees: here from very small ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.catalog.derive import cpuid, cpuid_emulators, cpuid_linux, cpuid_toolchains
from uplift.catalog.derive.cpuid import Tree, derive, read_cited, to_csv
from uplift.catalog.derive.cpuid_field import Named, Slot, bit
from uplift.errors import CatalogError
from uplift.facts.cpuid_table import read_table

EAX, EBX, ECX, EDX = range(4)


def write(tree: Path, path: str, text: str) -> Path:
    file = tree / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return tree


def places(found: list[Named]) -> dict[tuple[int, int, int, int, int], str]:
    return {
        (n.slot.leaf, n.slot.subleaf, n.slot.register, n.slot.low, n.slot.high): n.name
        for n in found
    }


def test_kcpuid_rows_give_fields_of_several_bits_and_subleaves(tmp_path: Path) -> None:
    text = "# comment\n\n 0x4, 31:0, eax, 25:14, num_threads_sharing , CPUs, sharing it\n"
    (named,) = cpuid_linux.kcpuid(write(tmp_path, cpuid_linux.KCPUID, text))
    assert named.slot == Slot(4, 0, 31, EAX, 14, 25)
    assert (named.name, named.title) == ("num_threads_sharing", "CPUs, sharing it")


def test_cpufeatures_words_are_placed_by_their_comments(tmp_path: Path) -> None:
    text = """
/* Intel-defined CPU features, CPUID level 0x00000007:1 (EAX), word 12 */
#define X86_FEATURE_SHA512 (12*32+ 0) /* SHA512 instructions */
#define X86_FEATURE_LAM (12*32+26) /* "lam" Linear Address Masking */
/* AMD-defined CPU features, CPUID level 0x80000001, word 1 */
#define X86_FEATURE_NX ( 1*32+20) /* "nx" Execute Disable */
/* Other features, Linux-defined mapping, word 3 */
#define X86_FEATURE_CXMMX ( 3*32+ 0) /* "cxmmx" Cyrix MMX extensions */
"""
    found = cpuid_linux.cpufeatures(write(tmp_path, cpuid_linux.CPUFEATURES, text))
    assert places(list(found)) == {
        (7, 1, EAX, 0, 0): "sha512",
        (7, 1, EAX, 26, 26): "lam",
        (0x80000001, 0, EDX, 20, 20): "nx",
    }


def test_scattered_bits_are_read(tmp_path: Path) -> None:
    text = "\t{ X86_FEATURE_APX,\t\tCPUID_EDX, 21, 0x00000007, 1 },\n"
    found = cpuid_linux.scattered(write(tmp_path, cpuid_linux.SCATTERED, text))
    assert places(list(found)) == {(7, 1, EDX, 21, 21): "apx"}


def test_kvms_own_bits_are_placed_by_its_table(tmp_path: Path) -> None:
    text = """
#define X86_FEATURE_AMX_FP8 KVM_X86_FEATURE(CPUID_1E_1_EAX, 4)
#define KVM_X86_FEATURE_TSA_SQ_NO KVM_X86_FEATURE(CPUID_8000_0021_ECX, 1)
	[CPUID_1E_1_EAX]      = {      0x1e, 1, CPUID_EAX},
	[CPUID_8000_0021_ECX] = {0x80000021, 0, CPUID_ECX},
"""
    found = cpuid_linux.kvm(write(tmp_path, cpuid_linux.REVERSE_CPUID, text))
    assert places(list(found)) == {
        (0x1E, 1, EAX, 4, 4): "amx_fp8",
        (0x80000021, 0, ECX, 1, 1): "tsa_sq_no",
    }


def test_hyper_v_bits_follow_the_comment_that_places_them(tmp_path: Path) -> None:
    text = """
#define HYPERV_CPUID_ENLIGHTMENT_INFO 0x40000004
/*
 * These are HYPERV_CPUID_ENLIGHTMENT_INFO.EAX bits.
 */
#define HV_X64_AS_SWITCH_RECOMMENDED BIT(0)
#elif defined(CONFIG_ARM64)
#define HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE BIT(8)
"""
    (named,) = cpuid_linux.hyperv(write(tmp_path, cpuid_linux.HYPERV, text))
    assert named.slot == bit(0x40000004, 0, EAX, 0)
    assert named.vendors == "HyperV"


def test_libvirt_masks_become_bits(tmp_path: Path) -> None:
    text = """<cpus><feature name='sse4.1'><alias name='x' source='qemu'/>
      <cpuid eax_in='0x01' ecx='0x00080000'/></feature>
      <feature name='mds-no'><msr index='0x10a' edx='0x0' eax='0x20'/></feature></cpus>"""
    found = cpuid_emulators.libvirt(write(tmp_path, cpuid_emulators.LIBVIRT, text))
    assert places(list(found)) == {(1, 0, ECX, 19, 19): "sse4_1"}


def test_qemu_words_count_their_names(tmp_path: Path) -> None:
    text = """
    [FEAT_7_1_EAX] = {
        .type = CPUID_FEATURE_WORD,
        .feat_names = {
            "sha512", NULL /* sm3 */, "sm4", NULL,
            [31] = "movrs",
        },
        .cpuid = {
            .eax = 7,
            .needs_ecx = true, .ecx = 1,
            .reg = R_EAX,
        },
    },
    [FEAT_MISC] = {
        .type = MSR_FEATURE_WORD,
        .feat_names = {
            "not-cpuid",
        },
        .msr = { .index = 1, },
    },
"""
    found = cpuid_emulators.qemu(write(tmp_path, cpuid_emulators.QEMU, text))
    assert places(list(found)) == {
        (7, 1, EAX, 0, 0): "sha512",
        (7, 1, EAX, 2, 2): "sm4",
        (7, 1, EAX, 31, 31): "movrs",
    }


def test_gcc_comments_place_its_bits(tmp_path: Path) -> None:
    text = """
/* %ecx */
#define bit_SSE3 (1 << 0)
/* Extended Features (%eax == 0x80000001) */
/* %edx */
#define bit_LM (1 << 29)
/* %ebx  */
#define bit_CLZERO (1 << 0)
/* Extended State Enumeration Sub-leaf (%eax == 0xd, %ecx == 1) */
#define bit_XSAVEOPT (1 << 0)
"""
    found = cpuid_toolchains.gcc(write(tmp_path, cpuid_toolchains.GCC, text))
    assert places(list(found)) == {
        (1, 0, ECX, 0, 0): "sse3",
        (0x80000001, 0, EDX, 29, 29): "lm",
        (0x80000008, 0, EBX, 0, 0): "clzero",
        (0xD, 1, EAX, 0, 0): "xsaveopt",
    }


def test_glibc_indices_tell_leaf_and_register(tmp_path: Path) -> None:
    text = """
  x86_cpu_SSE3			= x86_cpu_index_1_ecx,
  x86_cpu_INDEX_1_ECX_16	= x86_cpu_index_1_ecx + 16,
  x86_cpu_APX_F			= x86_cpu_index_7_ecx_1_edx + 21,
"""
    found = cpuid_toolchains.glibc(write(tmp_path, cpuid_toolchains.GLIBC, text))
    assert places(list(found)) == {
        (1, 0, ECX, 0, 0): "sse3",
        (7, 1, EDX, 21, 21): "apx_f",
    }


def test_llvm_tests_are_read_with_the_leaf_asked_for_last(tmp_path: Path) -> None:
    text = """
  StringMap<bool> Features;

  if (getX86CpuIDAndInfo(0, &MaxLevel, &EBX, &ECX, &EDX) || MaxLevel < 1)
    return Features;
  getX86CpuIDAndInfo(1, &EAX, &EBX, &ECX, &EDX);
  Features["cx8"]    = (EDX >>  8) & 1;
  bool HasLeaf7 =
      MaxLevel >= 7 && !getX86CpuIDAndInfoEx(0x7, 0x0, &EAX, &EBX, &ECX, &EDX);
  Features["avx512vp2intersect"] =
      HasLeaf7 && ((EDX >> 8) & 1) && HasAVX512Save;
}
"""
    found = cpuid_toolchains.llvm(write(tmp_path, cpuid_toolchains.LLVM, text))
    assert places(list(found)) == {
        (1, 0, EDX, 8, 8): "cx8",
        (7, 0, EDX, 8, 8): "avx512vp2intersect",
    }


def test_xed_gives_bits_and_fields_compared_with_a_value(tmp_path: Path) -> None:
    text = "XED_ISA_SET_X: apx_f.7.1.edx.21 avx10_enabled.7.1.edx[19] avx10_ver2.24.0.ebx[0:7]=2\n"
    found = cpuid_toolchains.xed(
        write(tmp_path, "datafiles/x/cpuid.xed.txt", text + "# a.1.0.eax.1")
    )
    assert places(list(found)) == {
        (7, 1, EDX, 21, 21): "apx_f",
        (7, 1, EDX, 19, 19): "avx10_enabled",
        (0x24, 0, EBX, 0, 7): "avx10_ver",
    }


def linux_tree(tmp_path: Path) -> Tree:
    tree = tmp_path / "linux"
    for path in (
        cpuid_linux.CPUFEATURES,
        cpuid_linux.SCATTERED,
        cpuid_linux.REVERSE_CPUID,
        cpuid_linux.KVM_PARA,
        cpuid_linux.HYPERV,
        cpuid_linux.XEN,
    ):
        write(tree, path, "")
    write(
        tree,
        cpuid_linux.KCPUID,
        "0x7, 0, ebx, 5, avx2, AVX2\n0x1, 0, eax, 3:0, stepping, Stepping\n",
    )
    return Tree("linux", "7.1.8", tree)


def gcc_tree(tmp_path: Path) -> Tree:
    bits = "#define bit_AVX2 (1 << 5)\n#define bit_SHA (1 << 29)\n"
    text = f"/* (%eax == 7, %ecx == 0) */\n/* %ebx */\n{bits}"
    return Tree("gcc", "15.3.0", write(tmp_path / "gcc", cpuid_toolchains.GCC, text))


def test_the_first_project_names_a_bit_and_the_others_are_remembered(tmp_path: Path) -> None:
    rows = derive([linux_tree(tmp_path), gcc_tree(tmp_path)], [])
    found = {row.named.name: row for row in rows}
    assert found["avx2"].source == "linux 7.1.8 tools/arch/x86/kcpuid/cpuid.csv"
    assert found["avx2"].also == ["gcc/cpuid.h avx2"]
    assert found["sha"].source == "gcc 15.3.0 gcc/config/i386/cpuid.h"


def test_a_bit_inside_a_wider_field_is_not_named_again(tmp_path: Path) -> None:
    cited = [Named(bit(1, 0, EAX, 2), "third_bit", "cited: a document")]
    assert "third_bit" not in [row.named.name for row in derive([linux_tree(tmp_path)], cited)]


def test_subleaves_that_are_left_keep_their_name(tmp_path: Path) -> None:
    tree = linux_tree(tmp_path)
    write(tree.path, cpuid_linux.KCPUID, "0x80000026, 3:0, eax, 30, hybrid, Cores differ\n")
    flag = "{ X86_FEATURE_AMD_HTR_CORES, CPUID_EAX, 30, 0x80000026, 0 },\n"
    write(tree.path, cpuid_linux.SCATTERED, flag)
    first, rest = (row.named for row in derive([tree], []))
    assert (first.name, first.title) == ("amd_htr_cores", "Cores differ")
    assert (rest.name, rest.slot.subleaf, rest.slot.last_subleaf) == ("hybrid", 1, 3)


def test_a_cited_row_for_one_vendor_stands_beside_the_general_one(tmp_path: Path) -> None:
    cited = [Named(bit(7, 0, EBX, 5), "other", "cited: a document", "", "Transmeta")]
    rows = derive([linux_tree(tmp_path)], cited)
    assert {(row.named.name, row.named.vendors) for row in rows} >= {
        ("other", "Transmeta"),
        ("avx2", ""),
    }


def test_the_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    text = to_csv(derive([linux_tree(tmp_path), gcc_tree(tmp_path)], []))
    found = list(read_table(text.splitlines()))
    assert [field.name for field in found] == ["stepping", "avx2", "sha"]
    assert (found[0].low, found[0].high) == (0, 3)
    assert found[1].also == ("gcc/cpuid.h avx2",)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        derive([Tree("gcc", "15.3.0", tmp_path)], [])
    assert "cpuid.h" in caught.value.cause


def test_every_hand_kept_row_cites_a_document() -> None:
    rows = read_cited()
    assert rows
    assert all(len(row.source) > len("cited: ") for row in rows)


def test_a_hand_kept_row_without_a_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cited.csv"
    path.write_text("leaf,subleaf,register,bits,name,vendors,source,title\n0x7,0,eax,1,x,,,\n")
    with pytest.raises(CatalogError) as caught:
        read_cited(path)
    assert "line 2" in caught.value.cause


def test_the_command_compares_with_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = f"--gcc=15.3.0={gcc_tree(tmp_path).path}"
    cited = tmp_path / "none.csv"
    cited.write_text("leaf,subleaf,register,bits,name,vendors,source,title\n")
    assert cpuid.main([tree, f"--cited={cited}"]) == 0
    table = tmp_path / "table.csv"
    table.write_text(capsys.readouterr().out)
    assert cpuid.main([tree, f"--cited={cited}", f"--check={table}"]) == 0
    table.write_text(table.read_text() + "0x9,0,eax,0,0,x,,,,\n")
    assert cpuid.main([tree, f"--cited={cited}", f"--check={table}"]) == 1


def test_a_version_that_a_tree_does_not_tell_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cpuid.main([f"--gcc={tmp_path}"]) == 2
    assert "pass --gcc VERSION=" in capsys.readouterr().err
