"""Chips and instruction sets that Intel XED's data files list."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.catalog.derive.upstream import Files, Known, Project

VERSION = "VERSION"
CHIPS = "datafiles/**/*chips*.txt"
CPUID = "datafiles/**/cpuid*.txt"


def version(files: Files) -> str:
    """Return ``2026.07.15``."""
    found = re.fullmatch(r"v(20\d\d\.\d\d\.\d\d)", files.get(VERSION, "").strip())
    return found[1] if found else ""


def names(files: Files) -> Iterator[Known]:
    """Yield both; a line of either begins with the name and a colon."""
    for path, text in files.items():
        kind = "chip" if "chips" in path.rpartition("/")[2] else "isa-set"
        if path != VERSION:
            for name in re.findall(r"^\s*([A-Z]\w+)\s*:", text, re.MULTILINE):
                yield Known(kind, "x86", name, path)


XED = Project(
    name="xed",
    marks=(VERSION,),
    version_files=(VERSION,),
    version=version,
    paths=(CHIPS, CPUID),
    names=names,
    tag=re.compile(r"v(20\d\d)\.(\d\d)\.(\d\d)"),
)
