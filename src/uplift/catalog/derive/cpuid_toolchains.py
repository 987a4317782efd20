"""CPUID bits that compilers, the C library and Intel's XED name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from uplift.catalog.derive.cpuid_field import Named, Slot, bit, lines_of, plain

GCC = "gcc/config/i386/cpuid.h"
GLIBC = "sysdeps/x86/bits/platform/x86.h"
LLVM = "llvm/lib/TargetParser/Host.cpp"
XED = "datafiles"

_REGISTERS = ("eax", "ebx", "ecx", "edx")

_XED_BIT = re.compile(
    r"\b([a-z]\w*)\.([0-9a-f]+)\.(\d+)\.(e[a-d]x)(?:\.(\d+)\b|\[(\d+)(?::(\d+))?\])"
)


def xed_version(tree: Path) -> str:
    """Return the tree's version, ``2026.07.15``."""
    return next(iter(lines_of(tree, "VERSION"))).strip().removeprefix("v")


def xed(tree: Path) -> Iterator[Named]:
    """Yield the bits that XED's data files tie instruction sets to."""
    for path in sorted((tree / XED).glob("**/cpuid*.txt")):
        for line in lines_of(path.parent, path.name):
            for found in _XED_BIT.finditer(line.partition("#")[0]):
                yield _xed_named(found)


def _xed_named(found: re.Match[str]) -> Named:
    """Return a bit, or a field compared with a value (``avx10_ver2.24.0.ebx[0:7]=2``)."""
    name, register = found[1], _REGISTERS.index(found[4])
    low = int(found[5] or found[6])
    high = int(found[7] or low)
    if high > low:
        name = name.rstrip("0123456789")
    leaf, subleaf = int(found[2], 16), int(found[3])
    return Named(Slot(leaf, subleaf, subleaf, register, low, high), plain(name), "xed/cpuid.txt")


#: Stands among the bits of eax, is tested in edx (gcc/common/config/i386/cpuinfo.h).
_GCC_MISPLACED = {"AMX_COMPLEX"}
_GCC_LEAF = re.compile(r"%eax == (0x[0-9a-f]+|\d+)(?:, %ecx == (\d+))?")
_GCC_REGISTER = re.compile(r"^/\* %(e[a-d]x)\s*\*/")
_GCC_BIT = re.compile(r"#define bit_(\w+)\s+\(\s*1u?\s*<<\s*(\d+)\s*\)")


def gcc(tree: Path) -> Iterator[Named]:
    """Yield the bits of cpuid.h, whose comments say which leaf and register follow.

    The comment before AMD's ebx bits names no leaf: those that follow the edx bits of 0x80000001
    are of leaf 0x80000008 (gcc/common/config/i386/cpuinfo.h reads them there).
    """
    leaf, subleaf, register = 1, 0, ""
    for line in lines_of(tree, GCC):
        where = _GCC_LEAF.search(line)
        if where:
            leaf, subleaf, register = int(where[1], 0), int(where[2] or 0), "eax"
        named = _GCC_REGISTER.match(line)
        if named:
            register = named[1]
            leaf = 0x80000008 if (leaf, register) == (0x80000001, "ebx") else leaf
        found = _GCC_BIT.match(line)
        if found and found[1] not in _GCC_MISPLACED:
            slot = bit(leaf, subleaf, _REGISTERS.index(register), int(found[2]))
            yield Named(slot, plain(found[1]), "gcc/cpuid.h")


_GLIBC_BIT = re.compile(
    r"x86_cpu_(\w+)\s*=\s*x86_cpu_index_([0-9a-f]+)(?:_ecx_(\d+))?_(e[a-d]x)(?: \+ (\d+))?,?$"
)


def glibc_version(tree: Path) -> str:
    """Return the tree's version, ``2.43``."""
    text = "\n".join(lines_of(tree, "version.h"))
    match = re.search(r'VERSION "([\d.]+)"', text)
    return match[1] if match else ""


def glibc(tree: Path) -> Iterator[Named]:
    """Yield the bits of ``sys/platform/x86.h``; reserved ones have placeholder names there."""
    for line in lines_of(tree, GLIBC):
        found = _GLIBC_BIT.search(line.strip())
        if found and not found[1].startswith("INDEX_"):
            leaf, subleaf = int(found[2], 16), int(found[3] or 0)
            slot = bit(leaf, subleaf, _REGISTERS.index(found[4]), int(found[5] or 0))
            yield Named(slot, plain(found[1]), "glibc/x86.h")


_LLVM_LEAF = re.compile(
    r"!?getX86CpuIDAndInfo(?:Ex)?\((0x[0-9a-f]+|\d+), (?:(0x[0-9a-f]+|\d+), )?&(?:EAX|Max\w+)"
)
_LLVM_BIT = re.compile(r'Features\["([^"]+)"\]\s*=(?:[^;]*?)\(\(?(E[A-D]X) >>\s*(\d+)\) & 1\)')


def llvm(tree: Path) -> Iterator[Named]:
    """Yield the bits that ``getHostCPUFeatures`` of x86 tests."""
    text = "\n".join(lines_of(tree, LLVM))
    start = text.find("StringMap<bool> Features;\n\n  if (getX86CpuIDAndInfo(0,")
    leaf, subleaf = 0, 0
    statement = ""
    for line in text[start:].split("\n}\n", 1)[0].split("\n"):
        statement = f"{statement} {line.strip()}" if statement else line.strip()
        where = _LLVM_LEAF.search(line)
        if where:
            leaf, subleaf = int(where[1], 0), int(where[2] or "0", 0)
        if not line.rstrip().endswith((";", "{", "}")):
            continue
        for name, register, number in _LLVM_BIT.findall(_llvm_closed(statement)):
            slot = bit(leaf, subleaf, _REGISTERS.index(register.lower()), int(number))
            yield Named(slot, plain(name), "llvm/Host.cpp")
        statement = ""


def _llvm_closed(statement: str) -> str:
    """Wrap a bare ``(EDX >> 8) & 1`` in brackets, as the other tests have."""
    return re.sub(r"= (\(E[A-D]X >>\s*\d+\) & 1);", r"= (\1);", statement)
