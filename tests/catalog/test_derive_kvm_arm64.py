"""Reading what KVM passes on to arm64 and RISC-V guests out of sources of several shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.catalog.derive import kvm_arm64, kvm_riscv
from uplift.catalog.derive.c_statements import conjuncts, functions, negated, statements
from uplift.catalog.derive.unpacked import Tree, trees
from uplift.catalog.kvm_guests import arm64_fields, riscv_extensions
from uplift.errors import CatalogError

SYSREG = """\
Sysreg\tID_AA64PFR1_EL1\t3\t0\t0\t4\t1
Res0\t63:48
UnsignedEnum\t47:44\tGCS
EndEnum
UnsignedEnum\t11:8\tMTE
EndEnum
Enum\t3:0\tBT
EndEnum
EndSysreg

Sysreg\tID_AA64ISAR3_EL1\t3\t0\t0\t6\t3
UnsignedEnum\t19:16\tLSFE
EndEnum
UnsignedEnum\t7:4\tFAMINMAX
EndEnum
EndSysreg

Sysreg\tID_AA64ZFR0_EL1\t3\t0\t0\t4\t4
UnsignedEnum\t3:0\tSVEver
EndEnum
EndSysreg
"""
CPUFEATURE = """\
static const struct arm64_ftr_bits ftr_id_aa64pfr1[] = {
\tARM64_FTR_BITS(FTR_VISIBLE_IF_IS_ENABLED(CONFIG_ARM64_GCS),
\t\t       FTR_STRICT, FTR_LOWER_SAFE, ID_AA64PFR1_EL1_GCS_SHIFT, 4, 0),
\tARM64_FTR_BITS(FTR_VISIBLE, FTR_STRICT, FTR_LOWER_SAFE, ID_AA64PFR1_EL1_MTE_SHIFT, 4, 0),
\tARM64_FTR_BITS(FTR_VISIBLE, FTR_STRICT, FTR_LOWER_SAFE, ID_AA64PFR1_EL1_BT_SHIFT, 4, 0),
\tARM64_FTR_END,
};
static const struct arm64_ftr_bits ftr_id_aa64isar3[] = {
\tARM64_FTR_BITS(FTR_VISIBLE, FTR_NONSTRICT, FTR_LOWER_SAFE, ID_AA64ISAR3_EL1_LSFE_SHIFT, 4, 0),
\tARM64_FTR_BITS(FTR_VISIBLE, FTR_STRICT, FTR_LOWER_SAFE, ID_AA64ISAR3_EL1_FAMINMAX_SHIFT, 4, 0),
\tARM64_FTR_END,
};
static const struct arm64_ftr_bits ftr_id_aa64zfr0[] = {
\tARM64_FTR_BITS(FTR_VISIBLE, FTR_STRICT, FTR_LOWER_SAFE, ID_AA64ZFR0_EL1_SVEver_SHIFT, 4, 0),
\tARM64_FTR_END,
};
\tARM64_FTR_REG_OVERRIDE(SYS_ID_AA64PFR1_EL1, ftr_id_aa64pfr1,
\t\t\t       &id_aa64pfr1_override),
\tARM64_FTR_REG(SYS_ID_AA64ISAR3_EL1, ftr_id_aa64isar3),
\tARM64_FTR_REG(SYS_ID_AA64ZFR0_EL1, ftr_id_aa64zfr0),
"""
SYS_REGS = """\
static u64 sanitise_id_aa64pfr1_el1(const struct kvm_vcpu *vcpu, u64 val)
{
\tif (!kvm_has_mte(vcpu->kvm)) {
\t\tval &= ~ID_AA64PFR1_EL1_MTE;
\t}
\tval &= ~ID_AA64PFR1_EL1_GCS; /* no guest can have it */

\treturn val;
}

static u64 __kvm_read_sanitised_id_reg(const struct kvm_vcpu *vcpu,
\t\t\t\t       const struct sys_reg_desc *r)
{
\tswitch (id) {
\tcase SYS_ID_AA64PFR1_EL1:
\t\tval = sanitise_id_aa64pfr1_el1(vcpu, val);
\t\tbreak;
\tcase SYS_ID_AA64ISAR3_EL1:
\t\tval &= ID_AA64ISAR3_EL1_FAMINMAX;
\t\tbreak;
\t}
\treturn val;
}

static unsigned int id_visibility(const struct kvm_vcpu *vcpu,
\t\t\t\t  const struct sys_reg_desc *r)
{
\tswitch (id) {
\tcase SYS_ID_AA64ZFR0_EL1:
\t\tif (!vcpu_has_sve(vcpu))
\t\t\treturn REG_RAZ;
\t\tbreak;
\t}
\treturn 0;
}
\tID_FILTERED(ID_AA64PFR1_EL1, id_aa64pfr1_el1, ~0),
\tID_WRITABLE(ID_AA64ISAR3_EL1, ID_AA64ISAR3_EL1_FAMINMAX),
\tID_WRITABLE(ID_AA64ZFR0_EL1, ~ID_AA64ZFR0_EL1_RES0),
"""
FILES = {
    kvm_arm64.SYS_REGS: SYS_REGS,
    kvm_arm64.CPUFEATURE: CPUFEATURE,
    kvm_arm64.SYSREG: SYSREG,
}
MTE, GCS, BT = (("ID_AA64PFR1_EL1", low) for low in (8, 44, 0))
LSFE, FAMINMAX = ("ID_AA64ISAR3_EL1", 16), ("ID_AA64ISAR3_EL1", 4)
SVE = ("ID_AA64ZFR0_EL1", 0)
PASSED, HIDDEN = kvm_arm64.State("passed"), kvm_arm64.State("hidden")


def test_what_kvm_clears_keeps_and_conditions_is_told_apart():
    states = kvm_arm64.kernel(FILES, "7.2.13").states
    assert states[BT] == PASSED
    assert states[GCS] == HIDDEN
    assert states[MTE] == kvm_arm64.State("passed", "kvm_has_mte(vcpu->kvm)")
    assert states[SVE] == kvm_arm64.State("passed", "vcpu_has_sve(vcpu)")
    assert states[FAMINMAX] == PASSED
    assert states[LSFE] == HIDDEN


def test_a_register_that_kvm_does_not_describe_reads_as_zero():
    hidden = SYS_REGS.replace("ID_WRITABLE(ID_AA64ISAR3_EL1", "ID_HIDDEN(ID_AA64ISAR3_EL1")
    states = kvm_arm64.kernel({**FILES, kvm_arm64.SYS_REGS: hidden}, "6.12.8").states
    assert states[FAMINMAX] == HIDDEN


def test_a_field_that_the_kernel_does_not_keep_reaches_no_guest():
    without = CPUFEATURE.replace("ID_AA64PFR1_EL1_BT_SHIFT", "ID_AA64PFR1_EL1_MTE_SHIFT")
    states = kvm_arm64.kernel({**FILES, kvm_arm64.CPUFEATURE: without}, "5.4.0").states
    assert BT not in states


def test_the_shape_of_old_kernels_is_read_alike():
    header = """\
#define ID_AA64PFR1_MTE_SHIFT\t\t8
#define ID_AA64PFR1_BT_SHIFT\t\t0
"""
    text = """\
static u64 read_id_reg(const struct kvm_vcpu *vcpu,
\t\tstruct sys_reg_desc const *r, bool raz)
{
\tif (id == SYS_ID_AA64PFR0_EL1) {
\t\tval &= ~(0xfUL << ID_AA64PFR1_BT_SHIFT);
\t} else if (id == SYS_ID_AA64PFR1_EL1 && !kvm_has_mte(vcpu->kvm)) {
\t\tval &= ~(0xfUL << ID_AA64PFR1_MTE_SHIFT);
\t}
\treturn val;
}
\tID_SANITISED(ID_AA64PFR1_EL1),
"""
    kept = """\
static const struct arm64_ftr_bits ftr_id_aa64pfr1[] = {
\tARM64_FTR_BITS(FTR_VISIBLE, FTR_STRICT, FTR_LOWER_SAFE, ID_AA64PFR1_MTE_SHIFT, 4, 0),
\tARM64_FTR_BITS(FTR_VISIBLE, FTR_STRICT, FTR_LOWER_SAFE, ID_AA64PFR1_BT_SHIFT, 4, 0),
\tARM64_FTR_END,
};
\tARM64_FTR_REG(SYS_ID_AA64PFR1_EL1, ftr_id_aa64pfr1),
"""
    files = {kvm_arm64.SYS_REGS: text, kvm_arm64.CPUFEATURE: kept, kvm_arm64.HEADER: header}
    states = kvm_arm64.kernel(files, "5.10.13").states
    assert states[MTE] == kvm_arm64.State("passed", "kvm_has_mte(vcpu->kvm)")
    assert states[BT] == HIDDEN


def test_a_field_that_no_header_tells_is_refused():
    odd = SYS_REGS.replace("val &= ~ID_AA64PFR1_EL1_GCS", "val &= ~ID_AA64PFR1_EL1_NEW")
    with pytest.raises(ValueError, match=r"ID_AA64PFR1_EL1\.NEW"):
        kvm_arm64.kernel({**FILES, kvm_arm64.SYS_REGS: odd}, "9.0.0")


def test_a_state_begins_between_the_last_tree_without_it_and_the_first_with_it():
    old = {**FILES, kvm_arm64.SYS_REGS: SYS_REGS.replace("~ID_AA64PFR1_EL1_GCS", "~0")}
    trees = [kvm_arm64.kernel(old, "6.1.0"), kvm_arm64.kernel(FILES, "6.8.0")]
    qemus = [
        kvm_arm64.emulator({}, "8.2.0"),
        kvm_arm64.emulator({"target/arm/kvm.c": "kvm_vm_enable_cap(s, KVM_CAP_ARM_MTE)"}, "10.0.0"),
    ]
    found = list(kvm_arm64.rows(trees, qemus))
    gcs = [(row["kvm"], row["since"]) for row in found if row["field"] == "GCS"]
    assert gcs == [("passed", "..6.1.0"), ("hidden", "6.1.0..6.8.0")]
    mte = next(row for row in found if row["field"] == "MTE")
    assert (mte["qemu"], mte["qemu_since"]) == ("-machine virt,mte=on", "8.2.0..10.0.0")


def test_the_table_says_which_trees_it_was_read_from():
    made = kvm_arm64.table([Tree("linux", "7.2.13", FILES, "someone/linux 0123456789ab")])
    first, *_ = made.splitlines()
    assert first == "# derived: linux 7.2.13 (someone/linux 0123456789ab)"
    assert "ID_AA64PFR1_EL1,GCS,44,47,hidden,,..7.2.13,," in made.splitlines()


def test_trees_are_ordered_by_version_and_told_apart_by_their_files(tmp_path: Path):
    for name, version in (("new", 12), ("old", 9)):
        (tmp_path / name).mkdir()
        text = f"VERSION = 6\nPATCHLEVEL = {version}\nSUBLEVEL = 0\nEXTRAVERSION =\n"
        (tmp_path / name / "Makefile").write_text(text)
    (tmp_path / "qemu").mkdir()
    (tmp_path / "qemu" / "VERSION").write_text("8.2.0\n")
    found = trees([f"{tmp_path / name}" for name in ("new", "qemu", "old")], ())
    told = [(tree.project, tree.version) for tree in found]
    assert told == [("linux", "6.9.0"), ("linux", "6.12.0"), ("qemu", "8.2.0")]


def test_a_directory_of_something_else_is_refused(tmp_path: Path):
    with pytest.raises(CatalogError, match="no source tree of Linux or QEMU"):
        trees([str(tmp_path)], ())


RISCV = """\
static const unsigned long kvm_isa_ext_arr[] = {
\t[KVM_RISCV_ISA_EXT_H] = RISCV_ISA_EXT_h,
\t[KVM_RISCV_ISA_EXT_V] = RISCV_ISA_EXT_v,
\tKVM_ISA_EXT_ARR(SMNPM),
\tKVM_ISA_EXT_ARR(ZBA),
};
int __kvm_riscv_isa_check_host(unsigned long kvm_ext, unsigned long *base_ext)
{
\tswitch (kvm_isa_ext_arr[kvm_ext]) {
\tcase RISCV_ISA_EXT_SMNPM:
\t\thost_ext = RISCV_ISA_EXT_SSNPM;
\t\tbreak;
\t}
\treturn 0;
}
static bool kvm_riscv_vcpu_isa_enable_allowed(unsigned long ext)
{
\tswitch (ext) {
\tcase KVM_RISCV_ISA_EXT_H:
\t\treturn false;
\tcase KVM_RISCV_ISA_EXT_V:
\t\treturn riscv_v_vstate_ctrl_user_allowed();
\tdefault:
\t\tbreak;
\t}
\treturn true;
}
"""


def test_riscv_extensions_their_hosts_and_conditions():
    one = kvm_riscv.kernel({"arch/riscv/kvm/vcpu_onereg.c": RISCV}, "6.8.0")
    assert one.hosts == {"h": "h", "v": "v", "smnpm": "ssnpm", "zba": "zba"}
    kinds = {row["extension"]: (row["kvm"], row["when"]) for row in kvm_riscv.rows([one], [])}
    assert kinds == {
        "h": ("hidden", ""),
        "smnpm": ("passed", ""),
        "v": ("passed", "riscv_v_vstate_ctrl_user_allowed()"),
        "zba": ("passed", ""),
    }


def test_the_masks_of_the_first_kvm_on_riscv_are_read_too():
    text = "#define KVM_RISCV_ISA_DISABLE_NOT_ALLOWED\t(riscv_isa_extension_mask(a) | \\\n"
    text += "\t\t\t\t\t riscv_isa_extension_mask(c))\n"
    assert kvm_riscv.kernel({"arch/riscv/kvm/vcpu.c": text}, "5.19.0").hosts.keys() == {"a", "c"}


def test_numbers_follow_the_order_of_the_interface():
    header = "enum KVM_RISCV_ISA_EXT_ID {\n\tKVM_RISCV_ISA_EXT_A = 0,\n\tKVM_RISCV_ISA_EXT_C,\n"
    header += "\tKVM_RISCV_ISA_EXT_MAX,\n};\n"
    assert kvm_riscv.kernel({kvm_riscv.UAPI: header}, "6.1.0").numbers == {"a": 0, "c": 1}


def test_statements_keep_the_conditions_around_them():
    body = functions("int f(int a)\n{\n\tif (a)\n\t\tx = (1);\n\telse if (b) {\n\t\ty();\n\t}\n}\n")
    assert list(statements(body["f"])) == [(("a",), "x = (1)"), (("!(a)", "b"), "y()")]


@pytest.mark.parametrize(
    ("condition", "opposite"),
    [("!a(b)", "a(b)"), ("a", "!a"), ("!a(b) || c()", "a(b) && !c()"), ("a && b", "!(a && b)"),
     ("!(a && b)", "a && b"), ("!(a) && (b)", "!(!(a) && (b))")],
)  # fmt: skip
def test_a_condition_is_negated_as_simply_as_can_be(condition: str, opposite: str):
    assert negated(condition) == opposite


def test_a_condition_splits_outside_of_parentheses_only():
    assert conjuncts("f(a && b) && !c") == ["f(a && b)", "!c"]


def test_the_shipped_tables_answer_for_versions_that_were_read():
    (mops,) = arm64_fields()["id_aa64isar2_el1", 16].possible("6.12.117")
    assert mops.passed
    (gcs,) = arm64_fields()["id_aa64pfr1_el1", 44].possible("7.2.13")
    assert not gcs.passed
    states = arm64_fields()["id_aa64isar2_el1", 16].possible("6.7.0")
    assert {state.passed for state in states} == {True, False}
    assert riscv_extensions()["smnpm"].host == "ssnpm"
