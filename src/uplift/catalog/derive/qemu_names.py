"""CPU properties and CPU models that QEMU has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.catalog.derive.upstream import Files, Known, Project, text_of, without_comments

VERSION = "VERSION"
X86 = "target/i386/cpu.c"
X86_KVM = ("target/i386/cpu.h", "target/i386/kvm/kvm.c", "target/i386/kvm.c")
RISCV = "target/riscv/cpu.c"
RISCV_MODELS = "target/riscv/cpu-qom.h"


def version(files: Files) -> str:
    """Return ``10.0.13``; of a candidate ``8.2.93``, as QEMU counts."""
    return files.get(VERSION, "").strip() if X86 in files else ""


def names(files: Files) -> Iterator[Known]:
    """Yield properties and models of x86, arm64 and RISC-V."""
    text = without_comments(files.get(X86, ""))
    for name in x86_properties(text):
        yield Known("property", "x86", name, X86)
    for name in x86_models(text):
        yield Known("cpu-model", "x86", name, X86)
    for path, text in files.items():
        if path.startswith("target/arm/"):
            for kind, name in arm_names(without_comments(text)):
                yield Known(kind, "arm64", name, path)
    for name in riscv_properties(without_comments(files.get(RISCV, ""))):
        yield Known("property", "riscv64", name, RISCV)
    path, text = text_of(files, RISCV_MODELS, "target/riscv/cpu.h")
    for name in re.findall(r'RISCV_CPU_TYPE_NAME\("([^"]+)"\)', text):
        yield Known("cpu-model", "riscv64", name, path)


_WORD_NAMES = re.compile(r"\.feat_names = \{(.*?)\}", re.DOTALL)
_PROPERTY = re.compile(r'\bDEFINE_PROP\w*\("([^"]+)"')


def x86_properties(text: str) -> frozenset[str]:
    """Return the names of feature bits, as QEMU spells properties, and of other properties."""
    bits = {name for body in _WORD_NAMES.findall(text) for name in re.findall(r'"([^"]+)"', body)}
    return frozenset(name.replace("_", "-") for name in bits) | frozenset(_PROPERTY.findall(text))


_MODELS = re.compile(r"builtin_x86_defs\[\] = \{(.*?)^\};", re.DOTALL | re.MULTILINE)
_MODEL = re.compile(r'^ {8}\.name = "([^"]+)"(.*?)(?=^ {8}\.name = |\Z)', re.DOTALL | re.M)


def x86_models(text: str) -> Iterator[str]:
    """Yield each model, its versions and their other names: ``EPYC``, ``EPYC-v2``, …"""
    table = _MODELS.search(text)
    for name, body in _MODEL.findall(table[1] if table else ""):
        yield name
        versions = re.findall(r"\.version = (\d+)", body) or ["1"]
        yield from (f"{name}-v{number}" for number in versions)
        yield from re.findall(r'\.alias = "([^"]+)"', body)
    yield from re.findall(r'\bX86_CPU_TYPE_NAME\("(\w+)"\)', text)


_ARM_MODEL = re.compile(r'\{ \.name = "([^"]+)",\s*\.initfn')
_ARM_PROPERTY = re.compile(
    r'(?:object_property_add\w*\(\s*\w+,\s*|object_class_property_add\w*\(\s*\w+,\s*)"([^"]+)"'
)


def arm_names(text: str) -> Iterator[tuple[str, str]]:
    """Yield models and properties of Arm processors."""
    yield from (("cpu-model", name) for name in _ARM_MODEL.findall(text))
    for pattern in (_PROPERTY, _ARM_PROPERTY):
        yield from (("property", name) for name in pattern.findall(text))


_RISCV = re.compile(
    r"\bISA_EXT_DATA_ENTRY\((\w+),"
    r"|\b(?:MULTI_EXT_CFG_BOOL|DEFINE_PROP\w*|MISA_EXT_INFO)\((?:RV\w+, )?\"([^\"]+)\""
)


def riscv_properties(text: str) -> frozenset[str]:
    """Return extensions and other properties, lower case."""
    found = {first or second for first, second in _RISCV.findall(text)}
    return frozenset(name.lower() for name in found if not name.startswith("_"))


QEMU = Project(
    name="qemu",
    marks=(VERSION, X86),
    version_files=(VERSION,),
    version=version,
    paths=(
        X86,
        *X86_KVM,
        "target/arm/cpu*.c",
        "target/arm/tcg/cpu*.c",
        RISCV,
        RISCV_MODELS,
        "target/riscv/cpu.h",
    ),
    names=names,
    tag=re.compile(r"v(\d+)\.(\d+)\.(\d+)"),
    release=re.compile(r"\d+\.\d+\.[0-4]?\d"),
)
