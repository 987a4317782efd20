"""Write what a generator found: classes as CSV, tables for C and for NumPy."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tools.isa.decision_table import Table

ROOM = Path(__file__).parents[2] / "src" / "uplift" / "isa"
Key = tuple[str, str, bool]


@dataclass(frozen=True)
class Instruction:
    """One encoding; ``needs`` is the ISA set, empty for the base set, None for no instruction."""

    mask: int
    value: int
    needs: str | None
    mnemonic: str
    benign: bool
    refines: int = 0  #: the mask of the encoding of which this one is a part, for no instruction
    limits: tuple[bool, bool] = (False, False)  #: has a rounding mode, has register pairs

    @property
    def pattern_rank(self) -> float:
        """More fixed bits decide first; what is refused goes right before what refuses it."""
        return bin(self.refines).count("1") + 0.5 if self.refines else bin(self.mask).count("1")

    @property
    def key(self) -> Key:
        """What makes its class."""
        return (self.needs or "", self.mnemonic, self.benign)


def number_classes(listed: Iterable[Instruction]) -> dict[Key, int]:
    """Number the classes from 1, in the order of set and mnemonic; 0 is the base set."""
    return {key: n for n, key in enumerate(sorted({i.key for i in listed if i.needs}), 1)}


def write_data(arch: str, source: str, classes: Mapping[Key, int], table: Table) -> None:
    """Write the classes, the table for NumPy and the header for C."""
    (ROOM / "data").mkdir(exist_ok=True)
    (ROOM / "data" / f"{arch}-classes.csv").write_text(classes_csv(source, classes))
    np.savez_compressed(ROOM / "data" / f"{arch}-tables.npz", **_arrays(table))
    header = "\n".join(_header(arch, source, table, len(classes) + 1)) + "\n"
    (ROOM / "native" / f"{arch}_tables.h").write_text(header)


def classes_csv(source: str, classes: Mapping[Key, int]) -> str:
    """Return the list of classes."""
    text = io.StringIO()
    text.write(f"# Facts (encodings, features) from {source}; made by tools/isa, do not edit.\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("id", "set", "instruction", "benign"))
    rows.writerow((0, "base", "", 1))
    for (needs, mnemonic, benign), number in sorted(classes.items(), key=lambda kv: kv[1]):
        rows.writerow((number, needs, mnemonic, int(benign)))
    return text.getvalue()


def _arrays(table: Table) -> dict[str, Any]:
    nodes = np.array(table.nodes, np.uint32).reshape(-1, 3)
    return {
        "root": np.array(table.root, np.uint16),
        "offset": nodes[:, 0].copy(),
        "shift": nodes[:, 1].astype(np.uint8),
        "mask": nodes[:, 2].astype(np.uint16),
        "entries": np.array(table.entries, np.uint16),
    }


def _header(arch: str, source: str, table: Table, classes: int) -> Iterator[str]:
    yield f"/* Facts (encodings, features) from {source}; made by tools/isa, do not edit."
    yield " * The arrays *_runs hold pairs: how often, which value. */"
    yield f"#define {arch.upper()}_CLASSES {classes}"
    yield f"#define {arch.upper()}_ROOT {len(table.root)}"
    yield f"#define {arch.upper()}_ENTRIES {len(table.entries)}"
    yield from c_array(f"static const uint16_t {arch}_root_runs[]", runs(table.root))
    yield from c_array(f"static const uint16_t {arch}_entry_runs[]", runs(table.entries))
    nodes = [f"{{{o},{m},{s}}}" for o, s, m in table.nodes]
    yield from c_array(f"static const struct window {arch}_nodes[]", nodes)


def runs(values: Iterable[int]) -> list[str]:
    """Return how often and which value, pair after pair."""
    pairs = []
    for value, run in groupby(values):
        left = len(list(run))
        while left:
            pairs.append(f"{min(left, 0xFFFF)},{value}")
            left -= min(left, 0xFFFF)
    return pairs


def c_array(name: str, items: list[str]) -> Iterator[str]:
    """Return the lines of an array's definition."""
    yield f"{name} = {{"
    line = ""
    for item in items:
        if len(line) + len(item) > 96:
            yield line
            line = ""
        line += item + ","
    yield line + "};"
