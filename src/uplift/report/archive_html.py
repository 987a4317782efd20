"""An archive's audit as one self-contained HTML page: treemap, violations, what to rebuild."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from uplift.isa.archive_query import Archive, Table
from uplift.isa.unused import Chip
from uplift.report.html import visible
from uplift.report.labels import Marks
from uplift.report.treemap import Tile, squarified

MAX_TILES = 240
MAX_LINES = 200
WIDTH, HEIGHT = 1200.0, 560.0
#: How many features a package uses, at most, for each shade but the first: from dark to light.
_STEPS = (0, 2, 5, 10, 20)
#: Sizes of letters, with the width of one and the height of a line, in the picture's units.
_LETTERS = ((12, 7.0, 18.0), (9, 5.4, 12.0))


@dataclass(frozen=True)
class Cell:
    """A package in the treemap.

    :param shade: 5: it uses none of the chip's features; 0: more than twenty.
    :param letters: size of those of its label; 0: there is no room for one.
    """

    tile: Tile
    name: str
    letters: int
    shade: int
    title: str


@dataclass(frozen=True)
class Above:
    """Files of a package that hold the same code above the baseline.

    :param more: how many files beside ``path``.
    :param always: sets with the number of functions, reached with no test; ``unknown``: the others.
    """

    package: str
    version: str
    path: str
    arch: str
    more: int
    always: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """What the page shows."""

    chip: Chip
    baseline: str
    profiled: bool
    summary: dict[str, Any]
    cells: tuple[Cell, ...]
    left_out: int
    features: tuple[tuple[str, int], ...]
    packages: int
    above: tuple[Above, ...]
    candidates: Table
    cut: bool


def page(archive: Archive, chip: Chip, baseline: str, profiled: bool = False) -> Page:
    """Ask an archive for all that the page shows."""
    unused = list(archive.ask("unused").mappings())
    largest = sorted((row for row in unused if row["instructions"]), key=_size)[:MAX_TILES]
    violations = archive.ask("violations")
    lines = tuple(above(violations))
    candidates = archive.ask("candidates", limit=MAX_LINES)
    return Page(
        chip=chip,
        baseline=baseline,
        profiled=profiled,
        summary=next(archive.ask("summary").mappings()),
        cells=_cells(largest),
        left_out=len(unused) - len(largest),
        features=_features(unused, chip),
        packages=len(unused),
        above=lines[:MAX_LINES],
        candidates=candidates,
        cut=violations.cut or candidates.cut or len(lines) > MAX_LINES,
    )


def render(found: Page) -> str:
    """Return the page; every text from a package is escaped."""
    return _template().render(
        page=found, banner=Marks(found.chip.labels).banner(), width=WIDTH, height=HEIGHT
    )


def _size(row: dict[str, Any]) -> tuple[int, str]:
    return -row["instructions"], row["package"]


def _cells(rows: Sequence[dict[str, Any]]) -> tuple[Cell, ...]:
    tiles = squarified([row["instructions"] for row in rows], WIDTH, HEIGHT)
    return tuple(_cell(row, tile) for row, tile in zip(rows, tiles, strict=True))


def _cell(row: dict[str, Any], tile: Tile) -> Cell:
    all_of = row["used"] + row["unused"]
    letters = next(
        (size for size, width, height in _LETTERS
         if tile.width > width * len(row["package"]) + 8 and tile.height > height),
        0,
    )  # fmt: skip
    title = (
        f"{row['package']} {row['version']}: {row['unused']} of {all_of} features unused, "
        f"{row['instructions']:,} instructions"
    )
    shade = len(_STEPS) - bisect_left(_STEPS, row["used"])
    return Cell(tile, row["package"], letters, shade, title)


def above(violations: Table) -> Iterator[Above]:
    """Yield a line for all files of a package that hold the same, the worst first."""
    files: dict[tuple[str, ...], list[tuple[str, str, int]]] = {}
    for row in violations.mappings():
        place = (row["package"], row["version"], row["arch"], row["path"])
        files.setdefault(place, []).append((row["reach"], row["set"], row["functions"]))
    alike: dict[tuple[Any, ...], list[str]] = {}
    for (*package, path), held in files.items():
        alike.setdefault((*package, tuple(held)), []).append(path)
    for (name, version, arch, sets), paths in alike.items():
        always = tuple(f"{held} {count:,}" for reach, held, count in sets if reach == "always")
        unknown = tuple(f"{held} {count:,}" for reach, held, count in sets if reach != "always")
        yield Above(name, version, paths[0], arch, len(paths) - 1, always, unknown)


def _features(rows: Sequence[dict[str, Any]], chip: Chip) -> tuple[tuple[str, int], ...]:
    """Return the chip's features, and how many packages use each, the most used first."""
    unused: dict[str, int] = {}
    for row in rows:
        for feature in row["features"]:
            unused[feature] = unused.get(feature, 0) + 1
    usable = [feature.id for feature in chip.has if chip.uses(feature)]
    counts = [(name, len(rows) - unused.get(name, 0)) for name in usable]
    return tuple(sorted(counts, key=lambda pair: (-pair[1], pair[0])))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("uplift.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    return environment.get_template("archive.html.j2")
