"""Since which upstream version each project has a name: tables read from upstream's sources.

Nobody read every version, so a table tells brackets: the newest version read without the name, and
the oldest read with it. Between the two nothing is known.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from uplift.errors import CatalogError

TABLES = Path(__file__).parent / "data" / "since"
COLUMNS = ("project", "kind", "name", "arch", "without", "version", "commit", "source")
DROPPED = "dropped:"  #: before a kind: the row dates the end of a name, not its beginning

#: Which project has names of a kind; GCC's options are told where no project is named.
PROJECT_OF_KIND = {
    "x86-flag": "linux",
    "x86-xfeature": "linux",
    "arm64-hwcap": "linux",
    "riscv-isa": "linux",
    "kconfig": "linux",
    "option": "gcc",
    "as": "binutils",
    "cpu-feature": "glibc",
    "detects": "glibc",
    "property": "qemu",
    "cpu-model": "qemu",
    "cpu-map-feature": "libvirt",
    "cpu-map-model": "libvirt",
}

VersionKey = tuple[int, ...]


@dataclass(frozen=True)
class Since:
    """Between which two versions something came: read in sources of both.

    :param without: the newest version that lacks it; empty where the oldest one read has it.
    :param version: the oldest version that has it; empty where none has.
    :param last: where it was dropped later, the newest version that still has it.
    :param gone: the oldest version read after that, which lacks it again.
    :param commit: the upstream commit that brought it, where a history was read.
    :param source: the file of the project in which it was read.
    :param series: how many numbers of a version name a series, which takes fixes only.
    """

    without: str
    version: str
    last: str = ""
    gone: str = ""
    commit: str = ""
    source: str = ""
    series: int = 2

    def has(self, version: str) -> bool | None:
        """Say whether ``version`` has it; None where no version near enough was read.

        A series takes no features after its first release: what one release of it has or lacks so
        have or lack the others, unless it came or went within the series.
        """
        came = _passed(version, self.without, self.version, self.series)
        went = _passed(version, self.last, self.gone, self.series) if self.gone else False
        return False if went else came if went is False else None if came else came


def _passed(asked: str, before: str, after: str, digits: int) -> bool | None:
    """Say on which side of a bracket a version lies; None between its ends."""
    key = version_key(asked)
    if after and key >= version_key(after):
        return True
    if before and key <= version_key(before):
        return False
    own, old, new = (series_of(version, digits) for version in (asked, before, after))
    if old == new:
        return None
    return True if after and own == new else False if before and own == old else None


def series_of(version: str, digits: int) -> VersionKey:
    """Return what is alike for all releases of a series; a tree between two series is of neither.

    Projects count such trees from 50 on: binutils 2.43.50, QEMU 8.2.93, glibc 2.42.9000.
    """
    key = version_key(version)
    return (*key[:digits], int(key[digits] >= 50))


#: Whose series are named by more or fewer numbers than two.
SERIES = {"gcc": 1, "llvm": 1, "libvirt": 3, "xed": 3}
Key = tuple[str, str, str]  #: project, kind, architecture (empty: any)


@lru_cache(maxsize=1)
def load_since() -> Mapping[Key, Mapping[str, Since]]:
    """Return all tables: (project, kind, architecture) to name to when it came.

    :raises CatalogError: a table is not of the form.
    """
    found: dict[Key, dict[str, Since]] = {}
    for table in sorted(TABLES.glob("*.csv")):
        for row in read_rows(table.name, table.read_text("utf-8")):
            found.setdefault((row.project, row.kind, row.arch), {})[row.name] = row.since
    return found


def has(
    kind: str, name: str, version: str, project: str = "", arch: str | None = None
) -> bool | None:
    """Say whether a version of a project has a name; None where nobody knows.

    :param project: empty: the one that has names of this kind (GCC for ``option``).
    :param arch: as in the tables (``x86``, ``arm64``, ``riscv64``); None: whichever has the name.
    """
    project = project or PROJECT_OF_KIND.get(kind, "")
    tables = load_since()
    keys = [key for key in tables if key[:2] == (project, kind) and arch in (None, key[2])]
    answers = {tables[key][name].has(version) for key in keys if name in tables[key]}
    return True if True in answers else None if None in answers or not answers else False


@dataclass(frozen=True)
class Row:
    """One row: a name of a project, and when it came."""

    project: str
    kind: str
    name: str
    arch: str
    since: Since

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about, within its project."""
        return self.kind, self.arch, self.name


def read_rows(table: str, text: str) -> Iterator[Row]:
    """Yield the rows of a table, each with its end, where one is told.

    :raises CatalogError: a row is not of the form; names the line.
    """
    begun: dict[tuple[str, str, str, str], dict[str, str]] = {}
    ended: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for cells in _cells(table, text):
        kind = cells["kind"].removeprefix(DROPPED)
        into = ended if cells["kind"] != kind else begun
        into[cells["project"], kind, cells["name"], cells["arch"]] = cells
    for key, cells in begun.items():
        end = ended.get(key, {})
        yield Row(
            *key,
            Since(
                without=cells["without"],
                version=cells["version"],
                last=end.get("without", ""),
                gone=end.get("version", ""),
                commit=cells["commit"],
                source=cells["source"],
                series=SERIES.get(key[0], 2),
            ),
        )


def _cells(table: str, text: str) -> Iterator[dict[str, str]]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows = [(number, line) for number, line in lines if not line.startswith("#")]
    if not rows or tuple(rows[0][1].split(",")) != COLUMNS:
        raise _malformed(table, rows[0][0] if rows else 1, f"the columns are {','.join(COLUMNS)}")
    for (number, _), values in zip(rows[1:], csv.reader(_texts(rows[1:])), strict=True):
        cells = dict(zip(COLUMNS, values, strict=False))
        if len(values) != len(COLUMNS) or not (cells["without"] or cells["version"]):
            raise _malformed(table, number, "a row has eight cells, and one version at least")
        yield cells


def _texts(rows: Iterable[tuple[int, str]]) -> Iterator[str]:
    return (line for _, line in rows)


def _malformed(table: str, line: int, cause: str) -> CatalogError:
    return CatalogError(
        f"cannot load {table}",
        f"line {line}: {cause}",
        "write the table with `uplift catalog derive`",
    )


_CANDIDATE = re.compile(r"[~.-]?(?:rc|pre|alpha|beta)(\d*)", re.IGNORECASE)
_FINAL = 1 << 30


@lru_cache(maxsize=4096)
def version_key(version: str) -> VersionKey:
    """Return what orders versions: ``7.3-rc7`` before ``7.3``, ``6.9`` before ``6.10``.

    Versions without a number come before all others.
    """
    candidate = _CANDIDATE.search(version)
    stem = version[: candidate.start()] if candidate else version
    numbers = [int(part) for part in re.findall(r"\d+", stem)[:4]]
    padded = numbers + [0] * (4 - len(numbers))
    return (*padded, int(candidate[1] or 0) if candidate else _FINAL)
