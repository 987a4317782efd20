"""Derive the x86-64 decoder's classes and tables.

    python -m tools.isa.x86_tables X86.json

iced-x86 gives the encodings up to 2024; LLVM's records (see :mod:`tools.isa.x86_llvm`) give APX,
AVX10.2 and the later AMX sets. Where both know one, iced-x86 decides; some are written by hand.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tools.isa import decoder_data, x86_by_hand, x86_iced, x86_llvm
from tools.isa import x86_forms as forms
from tools.isa.x86_forms import BAD, NODE, ROWS, Form, Operands, Use

SOURCE = "iced-x86 1.21.0 (PyPI, MIT), LLVM 23.1.1 (llvm/lib/Target/X86)"
Key = tuple[str, str, bool]
#: Windows of the context, in the order in which they are tried.
WINDOWS = ((6, 1), (3, 3), (0, 3), (7, 1), (10, 1), (12, 1), (11, 1))
NOTHING = Operands(False, 0)
#: Opcodes that the decoder treats itself: prefixes and escapes.
ESCAPES = {
    0: (0x0F, 0x26, 0x2E, 0x36, 0x3E, 0x62, 0x64, 0x65, 0x66, 0x67, 0xC4, 0xC5, 0xD5, 0xF0, 0xF2,
        0xF3, *range(0x40, 0x50)),
    1: (0x0F, 0x38, 0x3A),
}  # fmt: skip
#: Rows of sixteen opcodes that REX2 makes undefined.
NOT_IN_REX2 = {0: (0x4, 0x7, 0xA, 0xE), 1: (0x3, 0x8)}


class Tables:
    """Rows of cells, and the nodes that decide where the opcode is not enough."""

    def __init__(self, classes: Mapping[Key, int]) -> None:
        self._classes = classes
        self.rows = np.zeros(ROWS, np.uint16)
        self.cells: list[tuple[int, ...]] = []
        self.nodes: list[tuple[int, int, int]] = []
        self.entries: list[int] = []
        self._known: dict[tuple[int, ...], int] = {}
        self._known_nodes: dict[tuple[int, ...], int] = {}

    def add(self, number: int, opcodes: Mapping[int, Sequence[Form]]) -> None:
        """Build one row; equal ones are kept once."""
        row = [self._decide(opcodes.get(op, ()), 0) for op in range(256)]
        for op in ESCAPES.get(number >> 2, ()) if number < forms.FIRST["rex2"] else ():
            row[op] |= NODE
        found = tuple(row)
        if found not in self._known:
            self._known[found] = len(self.cells)
            self.cells.append(found)
        self.rows[number] = self._known[found]

    def _decide(self, candidates: Sequence[Form], seen: int) -> int:
        if not candidates:
            return forms.cell(BAD, NOTHING, Use.PLAIN)
        for shift, width in WINDOWS:
            mask = ((1 << width) - 1) << shift
            if seen & mask or not any(f.mask & mask for f in candidates):
                continue
            made = []
            for value in range(1 << width):
                fits = [f for f in candidates if not (f.value ^ value << shift) & f.mask & mask]
                made.append(self._decide(fits, seen | mask))
            return made[0] if len(set(made)) == 1 else self._node(shift, mask >> shift, made)
        return self._leaf(candidates)

    def _leaf(self, candidates: Sequence[Form]) -> int:
        best = max(candidates, key=lambda form: form.rank)
        group = self._classes[best.key] if best.needs else 0
        return forms.cell(group, best.operands, best.use)

    def _node(self, shift: int, mask: int, made: list[int]) -> int:
        key = (shift, mask, *made)
        if key not in self._known_nodes:
            self._known_nodes[key] = len(self.nodes)
            self.nodes.append((len(self.entries), shift, mask))
            self.entries += made
        return NODE | self._known_nodes[key]


def with_extended_registers(needs: str) -> str:
    """Return the set of an instruction that names one of the registers r16 to r31."""
    return "+".join(sorted({"apx-f", *filter(None, needs.split("+"))}))


def rex2(form: Form) -> Iterator[Form]:
    """Return a legacy encoding behind the REX2 prefix."""
    if form.kind == "legacy" and form.map < 2 and form.opcode not in ESCAPES[form.map]:
        saves = form.mnemonic.startswith(("xsave", "xrstor"))
        if form.opcode >> 4 not in NOT_IN_REX2[form.map] and not saves:
            needs = with_extended_registers(form.needs)
            made = replace(form, kind="rex2", needs=needs, benign=False)
            yield made
            if form.map == 0 and form.opcode >> 4 == 5:  # with W they come in pairs: PPX
                yield replace(made.within(forms.W, forms.W), mnemonic=f"{form.mnemonic}p", rank=99)


def promoted(form: Form, sets: Mapping[str, str]) -> Form:
    """Return an EVEX encoding that has no set of its own with the older one's, and APX."""
    if form.kind == "evex" and form.needs in ("", "apx-f"):
        return replace(form, needs=with_extended_registers(sets.get(form.mnemonic, "")))
    return form


def wide_over_16_bits(form: Form) -> Iterator[Form]:
    """Return a 64-bit encoding of EVEX map 4 with the prefix that W overrides."""
    if form.kind == "evex" and form.map == 4 and form.prefixes == {0} and 1 in form.widths:
        yield replace(form, prefixes=frozenset((1,)), widths=frozenset((1,)), rank=form.rank - 100)


def extended_classes(classes: Mapping[Key, int]) -> list[int]:
    """Return for each class the one of the same instruction with an extended register."""
    found = list(range(len(classes) + 1))
    for (needs, mnemonic, _), number in classes.items():
        other = (with_extended_registers(needs), mnemonic, False)
        found[number] = classes.get(other, number)
    return found


def all_forms(path: Path) -> list[Form]:
    """Return every encoding of both sources and of REX2."""
    older = list(x86_iced.read())
    sets = {form.mnemonic: form.needs for form in older if form.kind in ("legacy", "vex")}
    known = [*older, *(promoted(form, sets) for form in x86_llvm.read(path))]
    derived = (made for form in known for rule in (rex2, wide_over_16_bits) for made in rule(form))
    return [*known, *derived, *x86_by_hand.read()]


def number_classes(listed: Iterable[Form]) -> dict[Key, int]:
    """Number the classes from 1 in the order of set and mnemonic."""
    keys = {form.key for form in listed if form.needs}
    for form in listed:
        if form.kind == "evex" and form.needs:
            keys.add((with_extended_registers(form.needs), form.mnemonic, False))
    return {key: n for n, key in enumerate(sorted(keys), 1)}


def build(listed: Sequence[Form], classes: Mapping[Key, int]) -> Tables:
    """Build every row."""
    rows: dict[int, dict[int, list[Form]]] = defaultdict(lambda: defaultdict(list))
    for form in listed:
        for number in form.rows():
            rows[number][form.opcode].append(form)
    tables = Tables(classes)
    for number in range(ROWS):
        tables.add(number, rows.get(number, {}))
    return tables


def main() -> None:
    """Write the data and the header."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", type=Path)
    listed = all_forms(parser.parse_args().records)
    classes = number_classes(listed)
    tables = build(listed, classes)
    extended = extended_classes(classes)
    write(tables, classes, extended)
    print(f"{len(classes)} classes, {len(tables.cells)} rows, {len(tables.nodes)} nodes")


def write(tables: Tables, classes: Mapping[Key, int], extended: list[int]) -> None:
    """Write classes, arrays for NumPy and the header for C."""
    data = decoder_data.ROOM / "data"
    (data / "x86-classes.csv").write_text(decoder_data.classes_csv(SOURCE, classes))
    cells = np.array(tables.cells, np.uint32)
    nodes = np.array(tables.nodes, np.uint32).reshape(-1, 3)
    np.savez_compressed(
        data / "x86-tables.npz", rows=tables.rows, cells=cells,
        offset=nodes[:, 0].copy(), shift=nodes[:, 1].copy(), mask=nodes[:, 2].copy(),
        entries=np.array(tables.entries, np.uint32), extended=np.array(extended, np.uint16),
    )  # fmt: skip
    header = "\n".join(_header(tables, extended)) + "\n"
    (decoder_data.ROOM / "native" / "x86_tables.h").write_text(header)


def _header(tables: Tables, extended: list[int]) -> Iterator[str]:
    array, runs = decoder_data.c_array, decoder_data.runs
    yield f"/* Facts (encodings, features) from {SOURCE}; made by tools/isa, do not edit."
    yield " * The arrays *_runs hold pairs: how often, which value. */"
    yield f"#define X86_CLASSES {len(extended)}"
    yield f"#define X86_ROWS {len(tables.cells)}"
    cells = [value for row in tables.cells for value in row]
    yield from array("static const uint32_t x86_cell_runs[]", runs(cells))
    yield from array("static const uint16_t x86_rows[]", [str(n) for n in tables.rows.tolist()])
    yield from array("static const uint32_t x86_entries[]", [str(n) for n in tables.entries])
    nodes = [f"{{{o},{m},{s}}}" for o, s, m in tables.nodes]
    yield from array("static const struct window x86_nodes[]", nodes)
    yield from array("static const uint16_t x86_extended[]", [str(n) for n in extended])


if __name__ == "__main__":
    main()
