"""CPUID fields that Linux names: kcpuid's table, feature flags, KVM and other hypervisors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from uplift.catalog.derive.cpuid_field import Named, Slot, bit, lines_of, plain

KCPUID = "tools/arch/x86/kcpuid/cpuid.csv"
CPUFEATURES = "arch/x86/include/asm/cpufeatures.h"
REVERSE_CPUID = "arch/x86/kvm/reverse_cpuid.h"
KVM_PARA = "arch/x86/include/uapi/asm/kvm_para.h"
HYPERV = "include/hyperv/hvgdk_mini.h"
XEN = "arch/x86/include/asm/xen/cpuid.h"

_REGISTERS = ("eax", "ebx", "ecx", "edx")


def version(tree: Path) -> str:
    """Return the tree's version, ``7.1.8``."""
    found = {}
    for line in lines_of(tree, "Makefile"):
        match = re.match(r"(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)", line)
        if match:
            found[match[1]] = match[2]
    return ".".join(found[part] for part in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))


def kcpuid(tree: Path) -> Iterator[Named]:
    """Yield the rows of kcpuid's table (CC0): the base, value fields included."""
    for line in lines_of(tree, KCPUID):
        if not line.strip() or line.startswith("#"):
            continue
        leaf, subleaves, register, bits, name, title = (part.strip() for part in line.split(",", 5))
        first, last = _low_high(subleaves)
        low, high = _low_high(bits)
        slot = Slot(int(leaf, 16), first, last, _REGISTERS.index(register), low, high)
        yield Named(slot, plain(name), "linux/cpuid.csv", title)


def _low_high(text: str) -> tuple[int, int]:
    high, _, low = text.partition(":")
    return int(low or high), int(high)


#: cpufeatures.h numbers its words; those that are CPUID registers say so in a comment.
_WORD = re.compile(r"CPUID level (0x[0-9a-fA-F]+)(?::(\d+))?,? ?\(?(E[A-D]X)?\)?,? word (\d+)")
_FLAG = re.compile(
    r"#define X86_FEATURE_(\w+)\s+\(\s*(\d+)\s*\*\s*32\s*\+\s*(\d+)\)\s*(?:/\* (?:\"(\w*)\")?)?"
)
_WORDS_WITHOUT_REGISTER = {0x80000001: 3, 0x80860001: 3, 0xC0000001: 3}


def cpufeatures(tree: Path) -> Iterator[Named]:
    """Yield the feature flags whose word is a CPUID register."""
    words: dict[int, tuple[int, int, int]] = {}
    for line in lines_of(tree, CPUFEATURES):
        word = _WORD.search(line)
        if word:
            leaf = int(word[1], 16)
            register = word[3].lower() if word[3] else _register_in(line)
            index = _REGISTERS.index(register) if register else _WORDS_WITHOUT_REGISTER[leaf]
            words[int(word[4])] = (leaf, int(word[2] or 0), index)
        flag = _FLAG.match(line)
        if flag and int(flag[2]) in words:
            leaf, subleaf, index = words[int(flag[2])]
            name = plain(flag[4] or flag[1])
            yield Named(bit(leaf, subleaf, index, int(flag[3])), name, "linux/cpufeatures.h")


def _register_in(line: str) -> str:
    match = re.search(r"\bE([A-D])X\b", line)
    return f"e{match[1].lower()}x" if match else ""


SCATTERED = "arch/x86/kernel/cpu/scattered.c"
_SCATTERED = re.compile(
    r"\{ X86_FEATURE_(\w+),\s*CPUID_(E[A-D]X),\s*(\d+), (0x[0-9a-fA-F]+), (\d+) \}"
)


def scattered(tree: Path) -> Iterator[Named]:
    """Yield the flags whose bits lie one by one in leaves of other fields."""
    for line in lines_of(tree, SCATTERED):
        found = _SCATTERED.search(line)
        if found:
            register = _REGISTERS.index(found[2].lower())
            slot = bit(int(found[4], 16), int(found[5]), register, int(found[3]))
            yield Named(slot, plain(found[1]), "linux/scattered.c")


_KVM_LEAF = re.compile(r"\[(CPUID_\w+)\]\s*=\s*\{\s*(\w+),\s*(\d+), CPUID_(E[A-D]X)\}")
_KVM_FLAG = re.compile(
    r"#define (?:KVM_)?X86_FEATURE_(\w+)\s+KVM_X86_FEATURE\((CPUID_\w+), (\d+)\)"
)


def kvm(tree: Path) -> Iterator[Named]:
    """Yield the bits that KVM knows by names of its own."""
    text = list(lines_of(tree, REVERSE_CPUID))
    leaves = {}
    for line in text:
        leaf = _KVM_LEAF.search(line)
        if leaf:
            leaves[leaf[1]] = (int(leaf[2], 0), int(leaf[3]), _REGISTERS.index(leaf[4].lower()))
    for line in text:
        flag = _KVM_FLAG.match(line)
        if flag and flag[2] in leaves:
            slot = bit(*leaves[flag[2]], int(flag[3]))
            yield Named(slot, plain(flag[1]), "linux/reverse_cpuid.h")


_PARA = re.compile(r"#define KVM_(FEATURE|HINTS)_(\w+)\s+(\d+)\s*$")


def kvm_guest(tree: Path) -> Iterator[Named]:
    """Yield what KVM offers a guest: leaf 0x40000001, features in eax, hints in edx."""
    for line in lines_of(tree, KVM_PARA):
        match = _PARA.match(line)
        if match:
            register = 0 if match[1] == "FEATURE" else 3
            name = plain(f"kvm_{'hint_' if register else ''}{match[2].removesuffix('_BIT')}")
            yield Named(
                bit(0x40000001, 0, register, int(match[3])), name, "linux/kvm_para.h", "", "KVM"
            )


_HYPERV_LEAF = re.compile(r"#define (HYPERV_CPUID_\w+)\s+(0x4[0-9A-Fa-f]{7})")
_HYPERV_PLACE = re.compile(r"\b(HYPERV_CPUID_\w+|HV_X64_HYPERVISOR_FEATURES)[. ]\(?(E[A-D]X)\b")
#: Follows the bits of leaf 0x40000007 and is one of 0x40000004 (kvm/hyperv.c sets it there).
_HYPERV_ELSEWHERE = {"HV_X64_NO_NONARCH_CORESHARING"}
_HYPERV_BIT = re.compile(r"#define (HV_\w+)\s+BIT\((\d+)\)")


def hyperv(tree: Path) -> Iterator[Named]:
    """Yield what Hyper-V offers a guest: each group of bits follows a comment that places it."""
    leaves = {"HV_X64_HYPERVISOR_FEATURES": 0x40000003}
    place: tuple[int, int] | None = None
    for line in lines_of(tree, HYPERV):
        leaf = _HYPERV_LEAF.match(line)
        if leaf:
            leaves[leaf[1]] = int(leaf[2], 16)
        if line.startswith(("#elif", "#if")):
            place = None  # from here on another architecture
        where = _HYPERV_PLACE.search(line)
        if where and where[1] in leaves:
            place = (leaves[where[1]], _REGISTERS.index(where[2].lower()))
        found = _HYPERV_BIT.match(line)
        if found and place and found[1] not in _HYPERV_ELSEWHERE:
            slot = bit(place[0], 0, place[1], int(found[2]))
            yield Named(slot, plain(found[1]), "linux/hvgdk_mini.h", "", "HyperV")


#: Xen's names say which of its leaves they are about.
_XEN_PLACES = (
    ("XEN_CPUID_FEAT1_", 0x40000002, 2),
    ("XEN_CPUID_TSC_EMULATED", 0x40000003, 0),
    ("XEN_CPUID_HOST_TSC_RELIABLE", 0x40000003, 0),
    ("XEN_CPUID_RDTSCP_INSTR_AVAIL", 0x40000003, 0),
    ("XEN_HVM_CPUID_", 0x40000004, 0),
)
_XEN_BIT = re.compile(r"#define (XEN_\w+)\s+\(1u ?<< ?(\d+)\)")


def xen(tree: Path) -> Iterator[Named]:
    """Yield what Xen offers a guest."""
    for line in lines_of(tree, XEN):
        found = _XEN_BIT.match(line)
        if not found:
            continue
        for prefix, leaf, register in _XEN_PLACES:
            if found[1].startswith(prefix):
                slot = bit(leaf, 0, register, int(found[2]))
                yield Named(slot, plain(found[1]), "linux/xen/cpuid.h", "", "Xen")
