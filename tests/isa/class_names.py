"""The decoders' classes by number, as the package's data list them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import uplift


@dataclass(frozen=True)
class ClassName:
    """One class of instructions."""

    set: str
    instruction: str
    benign: bool


def classes(arch: str) -> dict[int, ClassName]:
    """Class number to name, for ``aarch64`` or ``riscv``."""
    path = Path(uplift.__file__).parent / "isa" / "data" / f"{arch}-classes.csv"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {
        int(r["id"]): ClassName(r["set"], r["instruction"], r["benign"] == "1")
        for r in csv.DictReader(lines)
    }
