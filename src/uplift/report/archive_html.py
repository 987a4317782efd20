"""An archive's audit as one self-contained HTML page: treemap, violations, what to rebuild."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
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
_LETTER = 7.0  #: width of one, in the picture's units


@dataclass(frozen=True)
class Cell:
    """A package in the treemap.

    :param shade: 5: it uses none of the chip's features; 0: more than twenty.
    :param label: its name where there is room for it.
    """

    tile: Tile
    name: str
    label: str
    shade: int
    title: str


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
    violations: Table
    candidates: Table


def page(archive: Archive, chip: Chip, baseline: str, profiled: bool = False) -> Page:
    """Ask an archive for all that the page shows."""
    unused = list(archive.ask("unused").mappings())
    largest = sorted((row for row in unused if row["instructions"]), key=_size)[:MAX_TILES]
    return Page(
        chip=chip,
        baseline=baseline,
        profiled=profiled,
        summary=next(archive.ask("summary").mappings()),
        cells=_cells(largest),
        left_out=len(unused) - len(largest),
        features=_features(unused, chip),
        packages=len(unused),
        violations=archive.ask("violations", limit=MAX_LINES),
        candidates=archive.ask("candidates", limit=MAX_LINES),
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
    fits = tile.width > _LETTER * len(row["package"]) + 8 and tile.height > 18
    title = (
        f"{row['package']} {row['version']}: {row['unused']} of {all_of} features unused, "
        f"{row['instructions']:,} instructions"
    )
    shade = len(_STEPS) - bisect_left(_STEPS, row["used"])
    return Cell(tile, row["package"], row["package"] if fits else "", shade, title)


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
