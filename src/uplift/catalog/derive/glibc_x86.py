"""Derive, from glibc's public header, what each bit of its x86 CPU features array is called.

``python -m uplift.catalog.derive.glibc_x86 GLIBC VERSION`` writes ``facts/data/glibc-x86.csv``. The
array's indices are part of glibc's ABI (``sys/platform/x86.h``), so that one table reads the
diagnostics of every version since 2.33.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HEADER = "sysdeps/x86/bits/platform/x86.h"
TABLE = Path(__file__).parents[2] / "facts" / "data" / "glibc-x86.csv"

_INDEX = re.compile(r"^\s*(CPUID_INDEX_\w+)(?: = 0)?,?$", re.MULTILINE)
_BASE = re.compile(
    r"(x86_cpu_index_\w+)\s*=\s*\((CPUID_INDEX_\w+) \* 8.*?cpuid_register_index_(e[a-d]x)",
    re.DOTALL,
)
_BIT = re.compile(r"x86_cpu_(\w+)\s*=\s*(x86_cpu_index_\w+)(?: \+ (\d+))?,")
_REGISTERS = ("eax", "ebx", "ecx", "edx")

Row = tuple[int, int, int, str]  #: index of the array, register, bit, name


def rows(header: str) -> Iterator[Row]:
    """Yield every named bit of the header, in its order."""
    indices = {name: number for number, name in enumerate(_INDEX.findall(header))}
    bases = {
        name: (indices[index], _REGISTERS.index(register))
        for name, index, register in _BASE.findall(header)
    }
    for name, base, bit in _BIT.findall(header):
        index, register = bases[base]
        yield index, register, int(bit or 0), name.lower()


def write(found: list[Row], version: str) -> None:
    """Write the table, with the source in its first line."""
    with TABLE.open("w", newline="", encoding="utf-8") as stream:
        stream.write(f"# derived: glibc {version} {HEADER}\n")
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("index", "register", "bit", "name"))
        table.writerows(found)


def main(tree: str, version: str) -> None:
    """Derive the table from an unpacked glibc source tree."""
    found = list(rows((Path(tree) / HEADER).read_text(encoding="utf-8")))
    write(found, version)
    print(f"{TABLE.name}: {len(found)} bits")


if __name__ == "__main__":
    main(*sys.argv[1:3])
