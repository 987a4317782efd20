"""Reading what KVM and QEMU pass on out of sources in the shapes that their versions have."""

from __future__ import annotations

from uplift.catalog.derive.kvm_exposure import emulator, flags, kernel, rows, table
from uplift.catalog.derive.linux_names import LINUX
from uplift.catalog.derive.qemu_names import QEMU as QEMU_PROJECT
from uplift.catalog.derive.upstream import SourceTree

CPUFEATURES = """\
/* Intel-defined CPU features, CPUID level 0x00000007:0 (EBX), word 9 */
#define X86_FEATURE_AVX2 (9*32+ 5) /* "avx2" */
#define X86_FEATURE_MPX (9*32+14) /* Memory Protection Extension */
/* AMD-defined CPU features, CPUID level 0x80000001, word 1 */
#define X86_FEATURE_LM (1*32+29)
"""


def _linux(cpuid: str, vmx: str = "", svm: str = "") -> dict[str, str]:
    return {
        "arch/x86/include/asm/cpufeatures.h": CPUFEATURES,
        "arch/x86/kvm/cpuid.c": cpuid,
        "arch/x86/kvm/vmx/vmx.c": vmx,
        "arch/x86/kvm/svm/svm.c": svm,
    }


AVX2, MPX = (7, 0, 1, 5), (7, 0, 1, 14)


def test_lists_of_old_and_new_kernels_are_read_alike():
    old = _linux(
        "const u32 kvm_cpuid_7_0_ebx_x86_features =\n\tF(AVX2) | f_mpx;\n",
        svm="static bool svm_mpx_supported(void)\n{\n\treturn false;\n}\n",
    )
    new = _linux(
        "\tkvm_cpu_cap_init(CPUID_7_0_EBX,\n\t\tF(AVX2), /* F(RTM), */\n\t\tVENDOR_F(MPX),\n\t);\n",
        vmx="\tif (kvm_mpx_supported())\n\t\tkvm_cpu_cap_check_and_set(X86_FEATURE_MPX);\n",
    )
    newest = flags(new)
    first, last = kernel(old, newest, "4.19.0"), kernel(new, newest, "7.2.8")
    assert first.has(AVX2, "amd") and first.has(MPX, "intel") and not first.has(MPX, "amd")
    assert last.kinds == {AVX2: "listed", MPX: "vendor"}
    assert last.changes == {MPX: ["intel: set if kvm_mpx_supported()"]}


def test_an_else_branch_stands_under_the_opposite_condition():
    svm = "\tif (many) {\n\t\tgo();\n\t} else {\n\t\tkvm_cpu_cap_set(X86_FEATURE_MPX);\n\t}\n"
    tree = _linux("", svm=svm)
    assert kernel(tree, flags(tree), "7.2.8").changes == {MPX: ["amd: set if !(many)"]}


QEMU = """\
FeatureWordInfo feature_word_info[FEATURE_WORDS] = {
    [FEAT_7_0_EBX] = {
        .feat_names = { NULL, NULL, NULL, NULL, NULL, "avx2" /* yes */, },
        .cpuid = { .eax = 7, .needs_ecx = true, .ecx = 0, .reg = R_EBX, },
        .unmigratable_flags = CPUID_7_0_EBX_AVX2,
    },
};
"""


def test_qemus_properties_and_rules_are_read_and_dated():
    files = {
        "VERSION": "10.2.2\n",
        "target/i386/cpu.c": QEMU,
        "target/i386/cpu.h": "#define CPUID_7_0_EBX_AVX2 (1U << 5)\n",
    }
    found = emulator(files)
    assert found.properties == {AVX2: "avx2"}
    assert found.rules == {AVX2: "unmigratable"}
    text = "\tkvm_cpu_cap_init(CPUID_7_0_EBX, F(AVX2));\n"
    trees = {"5.4.0": _linux(""), "6.1.0": _linux(text)}
    newest = flags(trees["6.1.0"])
    (row,) = rows([kernel(tree, newest, version) for version, tree in trees.items()], [found])
    assert row["amd_since"] == "5.4.0..6.1.0"
    assert row["qemu_since"] == "..10.2.2"


def test_a_bit_that_went_stays_gone_when_the_table_is_added_to_one_version_at_a_time():
    lists = {"5.4.0": "F(AVX2), F(MPX)", "6.1.0": "F(AVX2), F(MPX)", "6.8.0": "F(AVX2)"}
    trees = [
        SourceTree(LINUX, version, _linux(f"\tkvm_cpu_cap_init(CPUID_7_0_EBX, {listed});\n"))
        for version, listed in lists.items()
    ]
    trees.append(
        SourceTree(QEMU_PROJECT, "10.1.0", {"VERSION": "10.1.0", "target/i386/cpu.c": QEMU})
    )
    whole = table(trees, "")
    assert "..5.4.0 until 6.1.0..6.8.0" in whole
    assert table([trees[1]], whole) == whole
    assert table(trees, table(trees[:1] + trees[3:], "")) == whole
