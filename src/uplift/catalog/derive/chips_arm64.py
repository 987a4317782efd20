"""What GCC says of each arm64 core's silicon, and of RISC-V's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from uplift.catalog.derive.silicon import Silicon

#: Code name here to GCC's core; where they are not the same.
GCC_CORES = {
    "graviton": "cortex-a72",
    "graviton2": "neoverse-n1",
    "altra": "neoverse-n1",
    "graviton3": "neoverse-v1",
    "graviton4": "neoverse-v2",
    "axion": "neoverse-v2",
    "axion-n3": "neoverse-n3",
    "yitian-710": "neoverse-n2",
    "graviton5": "neoverse-v3",
    "cobalt-200": "neoverse-v3",
    "ampere-one": "ampere1",
    "ampere-one-a": "ampere1a",
    "ampere-one-b": "ampere1b",
    "kunpeng-920": "tsv110",
    "kunpeng-950": "hip12",
    "monaka": "fujitsu-monaka",
    "thunderx2": "thunderx2t99",
    "thunderx3": "thunderx3t110",
    "oryon": "oryon-1",
}
RISCV_CORES = {
    "u54": "sifive-u54",
    "u74": "sifive-u74",
    "x280": "sifive-x280",
    "c906-c910": "thead-c906",
    "ascalon": "tt-ascalon-d8",
    "xiangshan-nanhu": "xiangshan-nanhu",
}
_WORDS = ("hwcap.words", "cpuinfo.flags")
_ISA = ("riscv.isa", "cpuinfo.flags")


def read_gcc(gcc: Path, version: str) -> dict[str, Silicon]:
    """Read GCC's arm64 cores: GCC's name to the HWCAP words that its options stand for."""
    base = gcc / "gcc" / "config" / "aarch64"
    options, words = _extensions((base / "aarch64-option-extensions.def").read_text())
    options.update(_architectures((base / "aarch64-arches.def").read_text()))
    source = f"gcc {version} gcc/config/aarch64/aarch64-cores.def"
    found = {}
    for name, arch, extra in re.findall(
        r"^AARCH64_CORE\(\"([\w.-]+)\",\s*\w+,\s*\w+,\s*(\w+),\s*\(([^)]*)\)",
        (base / "aarch64-cores.def").read_text(),
        re.MULTILINE,
    ):
        idents = _closure({arch, *re.findall(r"\w+", extra)}, options)
        has = frozenset(word for ident in idents for word in words.get(ident, ()))
        found[name] = Silicon(f"{source} ({name})", {}, dict.fromkeys(_WORDS, has), {})
    return found


def _extensions(text: str) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    requires: dict[str, set[str]] = {}
    words: dict[str, list[str]] = {}
    for ident, needs, shown in re.findall(
        r"AARCH64_OPT_(?:FMV_)?EXTENSION\(\"[\w+-]+\",\s*(\w+),\s*\(([^)]*)\),\s*\([^)]*\),"
        r"\s*\([^)]*\),\s*\"([^\"]*)\"\)",
        text,
    ):
        requires[ident] = set(re.findall(r"\w+", needs))
        words[ident] = shown.split()
    return requires, words


def _architectures(text: str) -> dict[str, set[str]]:
    return {
        ident: set(re.findall(r"\w+", needs))
        for ident, needs in re.findall(
            r"AARCH64_ARCH\(\"[\w.-]+\",\s*\w+,\s*(\w+)\s*,\s*\d+,\s*\(([^)]*)\)\)", text
        )
    }


def _closure(start: set[str], requires: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    while start:
        ident = start.pop()
        if ident not in found:
            found.add(ident)
            start |= requires.get(ident, set())
    return found


def read_gcc_riscv(gcc: Path, version: str) -> dict[str, Silicon]:
    """Read GCC's RISC-V cores: GCC's name to the extensions of its ISA string."""
    path = "gcc/config/riscv/riscv-cores.def"
    text = (gcc / path).read_text()
    found = {}
    for name, strings in re.findall(r"RISCV_CORE\(\"([\w-]+)\",((?:\s*\"[^\"]*\")+)\s*,", text):
        isa = "".join(re.findall(r"\"([^\"]*)\"", strings))
        letters, *longer = isa.split("_")
        has = frozenset(letters[4:]) | frozenset(longer)
        found[name] = Silicon(f"gcc {version} {path} ({name})", {}, dict.fromkeys(_ISA, has), {})
    return found
