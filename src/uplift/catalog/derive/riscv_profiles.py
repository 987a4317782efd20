"""Extensions and profiles that the RISC-V unified database describes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.catalog.derive.upstream import UNTOLD, Files, Known, Project

MARK = "spec/std/isa/ext/I.yaml"
OLD_MARK = "arch/ext/I.yaml"
_EXTENSION = re.compile(r"(?:spec/std/isa|arch)/ext/(\w+)\.yaml")
_PROFILE = re.compile(r"(?:(?:spec/std/isa|arch)/profile|cfgs/profile)/(\w+)\.yaml")


def version(files: Files) -> str:
    """Return that only a tag tells it; empty where the extensions are missing."""
    return UNTOLD if MARK in files or OLD_MARK in files else ""


def names(files: Files) -> Iterator[Known]:
    """Yield both; each has a file that bears its name."""
    for path in files:
        for kind, pattern in (("extension", _EXTENSION), ("profile", _PROFILE)):
            found = pattern.fullmatch(path)
            if found:
                yield Known(kind, "riscv64", found[1].lower(), path)


RISCV_DATABASE = Project(
    name="riscv-unified-db",
    marks=(MARK, OLD_MARK),
    version_files=(),
    version=version,
    paths=(
        "spec/std/isa/ext/*.yaml",
        "arch/ext/*.yaml",
        "spec/std/isa/profile/*.yaml",
        "arch/profile/*.yaml",
        "cfgs/profile/*.yaml",
    ),
    names=names,
    tag=re.compile(r"v(\d+)\.(\d+)\.(\d+)"),
)
