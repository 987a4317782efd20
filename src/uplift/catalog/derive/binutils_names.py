"""Names that GNU as takes after ``.arch``, and RISC-V extensions that binutils knows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.catalog.derive.upstream import Files, Known, Project, without_comments

VERSION = "bfd/version.m4"
DATE = "bfd/version.h"
X86 = "gas/config/tc-i386.c"
ARM64 = "gas/config/tc-aarch64.c"
RISCV = "bfd/elfxx-riscv.c"


def version(files: Files) -> str:
    """Return ``2.44``, or of a snapshot ``2.43.50.20241230``."""
    found = re.search(r"BFD_VERSION\], \[([\d.]+)\]", files.get(VERSION, ""))
    date = re.search(r"BFD_VERSION_DATE (\d{8})", files.get(DATE, ""))
    if not found or X86 not in files:
        return ""
    snapshot = re.fullmatch(r"\d+\.\d+\.(?:50|90)", found[1])
    return f"{found[1]}.{date[1]}" if snapshot and date else found[1]


def names(files: Files) -> Iterator[Known]:
    """Yield every name."""
    for name in x86_names(files.get(X86, "")):
        yield Known("as", "x86", name, X86)
    for name in arm64_names(files.get(ARM64, "")):
        yield Known("as", "arm64", name, ARM64)
    for name in riscv_names(files.get(RISCV, "")):
        yield Known("as", "riscv64", name, RISCV)


_X86_TABLE = re.compile(r"\barch_entry cpu_arch\[\]\s*=\s*\{(.*?)^\};", re.DOTALL | re.MULTILINE)
_X86_ENTRY = re.compile(r'STRING_COMMA_LEN \("([^"]+)"\)|\b(?:SUB|VEC)?ARCH \(\s*([^\s,]+)\s*,')


def x86_names(text: str) -> Iterator[str]:
    """Yield processors and sub-architectures, without the dot of the latter."""
    table = _X86_TABLE.search(text)
    for old, new in _X86_ENTRY.findall(without_comments(table[1]) if table else ""):
        yield (old or new).lstrip(".")


_ARM64_TABLE = re.compile(
    r"aarch64_(?:features|cpus|archs)\[\]\s*=\s*\{(.*?)^\};", re.DOTALL | re.MULTILINE
)


def arm64_names(text: str) -> Iterator[str]:
    """Yield extensions, processors and architectures."""
    for table in _ARM64_TABLE.findall(text):
        yield from re.findall(r'^\s*\{"([^"]+)",', without_comments(table), re.MULTILINE)


_RISCV_TABLE = re.compile(
    r"riscv_supported_(?:std|vendor)\w*_ext\[\]\s*=\s*\{(.*?)^\};", re.DOTALL | re.MULTILINE
)


def riscv_names(text: str) -> Iterator[str]:
    """Yield the extensions; before 2.38 there is no table of them."""
    for table in _RISCV_TABLE.findall(text):
        yield from re.findall(r'^\s*\{"(\w+)",', without_comments(table), re.MULTILINE)


BINUTILS = Project(
    name="binutils",
    marks=(VERSION, DATE, X86),
    version_files=(VERSION,),
    version=version,
    paths=(X86, ARM64, RISCV),
    names=names,
    tag=re.compile(r"binutils-(\d+)_(\d+)(?:_(\d+))?"),
    release=re.compile(r"\d+\.\d+(?:\.[1-9])?"),
)
