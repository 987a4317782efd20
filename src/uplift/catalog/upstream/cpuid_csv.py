"""Teach Linux' kcpuid the bits it has no name for: ``tools/arch/x86/kcpuid/cpuid.csv`` (CC0).

A row reads ``LEAF, SUBLEAVES, reg, bits, short_name, long_description`` in fixed columns, sorted by
place; each leaf begins with two lines of comment. The file is generated from x86-cpuid-db, so the
same rows are wanted there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from uplift.catalog.cpuid_names import PrivateName
from uplift.catalog.model import UNLABELLED, Catalog, Labels, Layer, Test
from uplift.catalog.predicate import tests
from uplift.catalog.upstream.model import Addition, UpstreamPatch
from uplift.errors import UpliftError
from uplift.facts.cpuid_table import Field, SetBit

PATH = "tools/arch/x86/kcpuid/cpuid.csv"

_REGISTERS = ("eax", "ebx", "ecx", "edx")
_FACT = re.compile(r"cpuid\.([0-9a-f]+)\.([0-9a-f]+)\.(e[abcd]x)")
_COLUMNS = 6
#: Leaves that hypervisors give a meaning of their own: the file names none of these.
_HYPERVISORS = frozenset(("KVM", "HyperV", "Xen", "VMware"))
#: What a leaf that the file lacks enumerates.
_LEAVES = {
    0x3: "Intel processor serial number",
    0x24: "Intel AVX10 converged vector ISA",
    0x27: "Intel Resource Director Technology monitoring, asymmetric",
    0x28: "Intel Resource Director Technology allocation, asymmetric",
    0x29: "Intel APX advanced performance extensions",
    0x80000025: "AMD SEV reverse map table capabilities",
    0x80000027: "AMD heterogeneous workload classification",
}

Place = tuple[int, int, int, int]  #: leaf, subleaf, register, bit


@dataclass(frozen=True)
class _Row:
    """One row of the file, or one to add.

    :param line: where it stands, from 0.
    """

    leaf: int
    subleaves: tuple[int, int]
    register: int
    bits: tuple[int, int]
    name: str
    title: str
    line: int = -1

    @property
    def key(self) -> tuple[int, int, int, int]:
        """What the file is sorted by."""
        return self.leaf, self.subleaves[0], self.register, self.bits[0]


def teach(
    text: str,
    fields: Iterable[Field],
    catalog: Catalog,
    wanted: frozenset[Place] | None = None,
    private: Mapping[tuple[int, int, str, int], PrivateName] | None = None,
) -> UpstreamPatch:
    """Return the patch that names the bits that the file leaves without a name.

    :param text: of ``cpuid.csv``.
    :param fields: the bits that any public source names.
    :param catalog: whose features say what a bit is that its source only names.
    :param wanted: only these places; None for all.
    :param private: what overlays name and somebody allowed.
    :raises UpliftError: ``text`` is no such file.
    """
    rows = list(_rows(text))
    titles = _titles(catalog)
    lines = text.split("\n")
    added: list[Addition] = []
    new: list[_Row] = []
    for row, source, labels in _candidates(fields, private or {}, titles):
        if wanted is not None and not any(place in wanted for place in _places(row)):
            continue
        if not any(_overlap(row, other) for other in (*rows, *new)):
            new.append(row)
            added.append(Addition(_shown(row), source, labels))
    written = _inserted(lines, rows, new)
    return UpstreamPatch(
        subject="tools/x86/kcpuid: name further CPUID bits",
        body=f"These {len(new)} CPUID fields have a name in other sources and none in kcpuid's "
        "table. The table is generated from x86-cpuid-db: send the same rows there "
        "(https://x86-cpuid.org).",
        changes={PATH: (text, "\n".join(written))},
        added=tuple(added),
    )


def places_of(catalog: Catalog, features: frozenset[str]) -> frozenset[Place]:
    """Return the bits by which CPUID shows ``features``."""
    found: set[Place] = set()
    for feature in catalog.features:
        if feature.id in features and feature.layers[0].name is Layer.SILICON:
            found.update(filter(None, map(_place_of, tests(feature.layers[0].needs))))
    return frozenset(found)


def set_places(bits: Iterable[SetBit]) -> frozenset[Place]:
    """Return the places of bits that a recording has set."""
    return frozenset((b.leaf, b.subleaf, _REGISTERS.index(b.register), b.bit) for b in bits)


def _candidates(
    fields: Iterable[Field],
    private: Mapping[tuple[int, int, str, int], PrivateName],
    titles: Mapping[Place, str],
) -> Iterator[tuple[_Row, str, Labels]]:
    for field in fields:
        if not _HYPERVISORS.intersection(field.vendors):
            yield _row(field, titles), _source(field), UNLABELLED
    for (leaf, subleaf, register, bit), named in private.items():
        place = (subleaf, subleaf)
        row = _Row(
            leaf, place, _REGISTERS.index(register), (bit, bit), named.name, _plain(named.title)
        )
        yield row, named.source, named.labels


def _row(field: Field, titles: Mapping[Place, str]) -> _Row:
    register = _REGISTERS.index(field.register)
    known = titles.get((field.leaf, field.subleaf, register, field.low), "")
    title = _plain(field.title or known) or _said(field)
    place = (field.subleaf, field.last_subleaf)
    return _Row(field.leaf, place, register, (field.low, field.high), field.name, title)


def _said(field: Field) -> str:
    """Return what the name alone says of a field of one bit, or of several."""
    if field.low == field.high:
        return f"{field.name.upper()} support"
    return field.name.replace("_", " ").capitalize()


def _source(field: Field) -> str:
    also = f" (also {'; '.join(field.also)})" if field.also else ""
    return f"{field.source}{also}"


def _titles(catalog: Catalog) -> Mapping[Place, str]:
    """Return what public features that one bit shows are called."""
    found: dict[Place, str] = {}
    for feature in catalog.features:
        needs = feature.layers[0].needs if feature.layers else None
        if not feature.labels and isinstance(needs, Test) and not feature.layers[0].labels:
            place = _place_of(needs)
            if place is not None:
                found.setdefault(place, feature.title)
    return found


def _place_of(test: Test) -> Place | None:
    place = _FACT.fullmatch(test.fact)
    if place is None or test.op != "bit":
        return None
    leaf, subleaf, register = place.groups()
    return int(leaf, 16), int(subleaf, 16), _REGISTERS.index(register), int(test.operand)


def _places(row: _Row) -> Iterator[Place]:
    for subleaf in range(row.subleaves[0], min(row.subleaves[1], row.subleaves[0] + 63) + 1):
        for bit in range(row.bits[0], row.bits[1] + 1):
            yield row.leaf, subleaf, row.register, bit


def _plain(text: str) -> str:
    """Return ``text`` in ASCII, in one line."""
    return " ".join(text.encode("ascii", "replace").decode().split())


def _overlap(one: _Row, other: _Row) -> bool:
    return (one.leaf, one.register) == (other.leaf, other.register) and all(
        first[0] <= second[1] and second[0] <= first[1]
        for first, second in ((one.subleaves, other.subleaves), (one.bits, other.bits))
    )


def _rows(text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n")):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split(",", _COLUMNS - 1)]
        try:
            leaf, subleaves, register, bits, name, title = cells
            yield _Row(
                int(leaf, 16),
                _low_high(subleaves),
                _REGISTERS.index(register),
                _low_high(bits),
                name,
                title,
                number,
            )
        except ValueError:
            raise UpliftError(
                "cannot teach kcpuid",
                f"line {number + 1} is no row of cpuid.csv: {line[:80]!r}",
                f"pass --tree a checkout of Linux, or its {PATH}",
            ) from None


def _low_high(text: str) -> tuple[int, int]:
    high, _, low = text.partition(":")
    return int(low or high), int(high)


def _inserted(lines: list[str], rows: Sequence[_Row], new: Sequence[_Row]) -> list[str]:
    """Return the file's lines with the new rows in their places."""
    if not rows:
        raise UpliftError(
            "cannot teach kcpuid", "the file has no rows", f"pass --tree Linux' {PATH}"
        )
    bare = not any(re.match(r"\s*0x[0-9],", lines[row.line]) for row in rows)
    before: dict[int, list[str]] = {}
    leaves = {row.leaf for row in rows}
    for row in sorted(new, key=lambda row: row.key):
        if row.leaf in leaves:
            before.setdefault(_line_in_leaf(row, rows), []).append(_written(row, bare))
    for leaf in sorted({row.leaf for row in new} - leaves):
        section = sorted((row for row in new if row.leaf == leaf), key=lambda row: row.key)
        block = [*_heading(leaf), *(_written(row, bare) for row in section)]
        at = _line_of_leaf(leaf, rows, lines)
        last = at > rows[-1].line
        before.setdefault(at, []).extend(["", *block] if last else [*block, ""])
    return list(_merged(lines, before))


def _merged(lines: Sequence[str], before: Mapping[int, Sequence[str]]) -> Iterator[str]:
    for number in range(len(lines) + 1):
        yield from before.get(number, ())
        if number < len(lines):
            yield lines[number]


def _line_in_leaf(row: _Row, rows: Sequence[_Row]) -> int:
    """Return the line before which a row of a leaf that the file has belongs."""
    kin = [other for other in rows if other.leaf == row.leaf]
    later = (other.line for other in kin if other.key > row.key)
    return next(later, kin[-1].line + 1)


def _line_of_leaf(leaf: int, rows: Sequence[_Row], lines: Sequence[str]) -> int:
    """Return the line before which a new leaf belongs: that of the next leaf's heading."""
    line = next((row.line for row in rows if row.leaf > leaf), None)
    if line is None:
        return rows[-1].line + 1
    while line and (not lines[line - 1].strip() or lines[line - 1].startswith("#")):
        line -= 1
        if lines[line].startswith("# Leaf"):
            break
    return line


def _heading(leaf: int) -> list[str]:
    return [f"# Leaf {leaf:X}H", f"# {_LEAVES.get(leaf, 'Enumeration of features')}", ""]


def _written(row: _Row, bare: bool) -> str:
    """Return a row in the file's columns.

    :param bare: leaves below 10 are written without 0x, as the file did in its first version.
    """
    leaf = str(row.leaf) if bare and row.leaf < 10 else hex(row.leaf)
    cells = f"{leaf:>10},{_span(row.subleaves):>10},{_REGISTERS[row.register]:>5}"
    return f"{cells},{_span(row.bits):>8},    {row.name:<23}, {row.title}"


def _span(pair: tuple[int, int]) -> str:
    low, high = pair
    return str(low) if low == high else f"{high}:{low}"


def _shown(row: _Row) -> str:
    subleaf, bits = _span(row.subleaves), _span(row.bits)
    return f"{row.name} ({row.leaf:#x}/{subleaf} {_REGISTERS[row.register]}[{bits}])"
