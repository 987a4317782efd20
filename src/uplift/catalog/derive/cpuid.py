"""Derive the CPUID bit table from upstream source trees: who names which bit.

``python -m uplift.catalog.derive.cpuid --linux DIR --xed DIR … > cpuid-bits.csv``

The base is the Linux tree: a bit has the name of the kernel's flag, where there is one, and else
that of kcpuid's table, which also gives the titles. Each further project adds the bits that nobody
before it named, and is remembered with its own name for those that somebody did. What no project
names stands in ``cpuid_cited.csv``, a row a fact, each with the document that states it.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from uplift.catalog.derive import cpuid_emulators, cpuid_linux, cpuid_toolchains
from uplift.catalog.derive.cpuid_field import Named, Slot
from uplift.errors import FOUND, CatalogError, UpliftError

CITED = Path(__file__).with_name("cpuid_cited.csv")
COLUMNS = (
    "leaf",
    "subleaf",
    "register",
    "low",
    "high",
    "name",
    "vendors",
    "source",
    "also",
    "title",
)
REGISTERS = ("eax", "ebx", "ecx", "edx")

Reader = Callable[[Path], Iterable[Named]]

#: In order of precedence: project, key, path in its tree, reader.
READERS: tuple[tuple[str, str, str, Reader], ...] = (
    ("linux", "linux/cpufeatures.h", cpuid_linux.CPUFEATURES, cpuid_linux.cpufeatures),
    ("linux", "linux/scattered.c", cpuid_linux.SCATTERED, cpuid_linux.scattered),
    ("linux", "linux/cpuid.csv", cpuid_linux.KCPUID, cpuid_linux.kcpuid),
    ("linux", "linux/reverse_cpuid.h", cpuid_linux.REVERSE_CPUID, cpuid_linux.kvm),
    ("linux", "linux/kvm_para.h", cpuid_linux.KVM_PARA, cpuid_linux.kvm_guest),
    ("linux", "linux/hvgdk_mini.h", cpuid_linux.HYPERV, cpuid_linux.hyperv),
    ("linux", "linux/xen/cpuid.h", cpuid_linux.XEN, cpuid_linux.xen),
    ("glibc", "glibc/x86.h", cpuid_toolchains.GLIBC, cpuid_toolchains.glibc),
    ("xed", "xed/cpuid.txt", "datafiles/**/cpuid*.txt", cpuid_toolchains.xed),
    ("qemu", "qemu/cpu.c", cpuid_emulators.QEMU, cpuid_emulators.qemu),
    ("libvirt", "libvirt/x86_features.xml", cpuid_emulators.LIBVIRT, cpuid_emulators.libvirt),
    ("gcc", "gcc/cpuid.h", cpuid_toolchains.GCC, cpuid_toolchains.gcc),
    ("llvm", "llvm/Host.cpp", cpuid_toolchains.LLVM, cpuid_toolchains.llvm),
)
_VERSIONS: dict[str, Callable[[Path], str]] = {
    "linux": cpuid_linux.version,
    "glibc": cpuid_toolchains.glibc_version,
    "xed": cpuid_toolchains.xed_version,
    "qemu": cpuid_emulators.qemu_version,
    "libvirt": cpuid_emulators.libvirt_version,
}


@dataclass(frozen=True)
class Tree:
    """One project's unpacked source."""

    project: str
    version: str
    path: Path


@dataclass
class Row:
    """One row of the table: the name that counts, and what others call the same bits."""

    named: Named
    source: str
    also: list[str] = field(default_factory=list)


def derive(trees: Iterable[Tree], cited: Iterable[Named]) -> list[Row]:
    """Merge what every project names, in order of the slots.

    :raises CatalogError: a file is missing from its tree.
    """
    table = _Table()
    by_project = {tree.project: tree for tree in trees}
    corrections = [named for named in cited if named.vendors]
    for named in corrections:
        table.add(named, named.source)
    for project, _, path, reader in READERS:
        tree = by_project.get(project)
        if tree is not None:
            for named in reader(tree.path):
                table.add(named, f"{project} {tree.version} {path}")
    for named in cited:
        if not named.vendors:
            table.add(named, named.source)
    return table.rows()


class _Table:
    """Rows by the bits they name; what is named already only gains another name."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Slot, str], Row] = {}
        self._taken: dict[tuple[int, int, str], list[Row]] = {}

    def add(self, named: Named, source: str) -> None:
        """Add a row, or remember the name with the row that has these bits."""
        row = self._rows.get((named.slot, named.vendors))
        if row is not None:
            self._remember(row, named)
            return
        left = self._left_of(named)
        if left is not None:
            row = self._rows[left, named.vendors] = Row(replace(named, slot=left), source)
            self._near(named).append(row)

    def _left_of(self, named: Named) -> Slot | None:
        """Return the slot without the subleaves that have a name; None where nothing is left."""
        slot = named.slot
        for other in sorted(self._near(named), key=lambda row: row.named.slot):
            taken = other.named.slot
            if not _covers(taken, slot):
                continue
            if (taken.low, taken.high) != (slot.low, slot.high) or taken.subleaf > slot.subleaf:
                return None
            if taken.last_subleaf >= slot.last_subleaf:
                return None
            self._remember(other, named)
            slot = replace(slot, subleaf=taken.last_subleaf + 1)
        return slot

    @staticmethod
    def _remember(row: Row, named: Named) -> None:
        if named.title and not row.named.title:
            row.named = replace(row.named, title=named.title)
        note = f"{named.source} {named.name}"
        if note not in row.also and named.source != row.named.source:
            row.also.append(note)

    def _near(self, named: Named) -> list[Row]:
        slot = named.slot
        return self._taken.setdefault((slot.leaf, slot.register, named.vendors), [])

    def rows(self) -> list[Row]:
        """Return the rows, in order of their slots."""
        return sorted(self._rows.values(), key=lambda row: (row.named.slot, row.named.vendors))


def _covers(wide: Slot, narrow: Slot) -> bool:
    """Whether one of the two slots' bits are taken: the ranges overlap in subleaves and bits."""
    return (
        wide.subleaf <= narrow.last_subleaf
        and narrow.subleaf <= wide.last_subleaf
        and wide.low <= narrow.high
        and narrow.low <= wide.high
    )


def read_cited(path: Path = CITED) -> list[Named]:
    """Read the hand-kept rows; each cites a document.

    :raises CatalogError: a row is not well formed or cites nothing.
    """
    found = []
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(line for line in stream if not line.startswith("#"))
        for row in rows:
            try:
                found.append(_cited(row))
            except (KeyError, ValueError, TypeError) as error:
                raise CatalogError(
                    "cannot read the cited CPUID rows",
                    f"{path.name} line {rows.line_num}: {error}",
                    "each row needs leaf, subleaf, register, bits, name, vendors, source, title",
                ) from error
    return found


def _cited(row: dict[str, str]) -> Named:
    if not row["source"] or not row["name"]:
        raise ValueError("a row without a name or a source")
    first, _, last = row["subleaf"].partition("-")
    low, _, high = row["bits"].partition("-")
    slot = Slot(
        int(row["leaf"], 16),
        int(first),
        int(last or first),
        REGISTERS.index(row["register"]),
        int(low),
        int(high or low),
    )
    return Named(slot, row["name"], f"cited: {row['source']}", row["title"], row["vendors"])


def to_csv(rows: Iterable[Row]) -> str:
    """Return the table as it is shipped."""
    out = io.StringIO()
    out.write("# Generated by `python -m uplift.catalog.derive.cpuid`; docs/reference/cpuid.md\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        slot, named = row.named.slot, row.named
        writer.writerow(
            (
                f"{slot.leaf:#x}",
                _range(slot.subleaf, slot.last_subleaf),
                REGISTERS[slot.register],
                slot.low,
                slot.high,
                named.name,
                named.vendors,
                row.source,
                "; ".join(row.also),
                named.title,
            )
        )
    return out.getvalue()


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _trees(arguments: argparse.Namespace) -> Iterator[Tree]:
    for project in dict.fromkeys(reader[0] for reader in READERS):
        given = getattr(arguments, project)
        if given is None:
            continue
        version, separator, path = given.partition("=")
        if not separator:
            version, path = "", given
        yield Tree(project, version or _version_of(project, Path(path)), Path(path))


def _version_of(project: str, path: Path) -> str:
    found = _VERSIONS[project](path) if project in _VERSIONS else ""
    if not found:
        raise CatalogError(
            f"cannot tell the version of {path}",
            f"the {project} tree does not say it where it is looked for",
            f"pass --{project} VERSION={path}",
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the table derived from the trees named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m uplift.catalog.derive.cpuid")
    for project in dict.fromkeys(reader[0] for reader in READERS):
        parser.add_argument(f"--{project}", metavar="[VERSION=]DIR", help=f"{project}'s source")
    parser.add_argument("--cited", type=Path, default=CITED, help="the hand-kept rows")
    parser.add_argument("--check", type=Path, help="compare with this table, print nothing else")
    parsed = parser.parse_args(arguments)
    try:
        text = to_csv(derive(_trees(parsed), read_cited(parsed.cited)))
    except UpliftError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if parsed.check is None:
        sys.stdout.write(text)
        return 0
    shipped = parsed.check.read_text(encoding="utf-8").splitlines()
    difference = list(difflib.unified_diff(shipped, text.splitlines(), lineterm="", n=0))
    print("\n".join(difference) or "the table is what the trees say")
    return FOUND if difference else 0


if __name__ == "__main__":
    sys.exit(main())
