"""``uplift matrix``: chips and releases, planned from recordings."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.cli.targets import add_overlay_option, catalog_of_user, find_feature
from uplift.errors import UpliftError

if TYPE_CHECKING:
    from uplift.catalog.model import Catalog, Feature
    from uplift.catalog.releases import Place
    from uplift.report.matrix import MatrixReport, ReleaseColumn
    from uplift.resolve.chip_side import ChipSide
    from uplift.resolve.matrix import Cell, ReleaseSide

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "matrix",
        help="what releases do with chips that are not at hand",
        description="Plan chips against releases from recordings: for each feature, whether "
        "programs on the host, in a guest, in the release's own packages and in a rebuilt package "
        "can use it, where it stops, and what lifts the stop.",
    )
    parser.add_argument(
        "--chip",
        action="append",
        required=True,
        metavar="CHIP[,CHIP…]",
        help="code names (`uplift chip list`), recordings such as a CPUID dump, or qemu:MODEL",
    )
    parser.add_argument(
        "--release",
        action="append",
        metavar="RELEASE[+SET…][,…]",
        help="bookworm, noble+hwe-6.17, … (`uplift release list`); default: every release",
    )
    parser.add_argument(
        "--feature", action="append", metavar="FEATURE[,…]", help="only these features"
    )
    parser.add_argument("--area", help="only this area: compute, crypto, memory, security, …")
    parser.add_argument(
        "--as-of", metavar="DAY", help="plan with what was recorded and held on that day"
    )
    parser.add_argument(
        "--all", action="store_true", help="also features that every release treats alike"
    )
    add_overlay_option(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-matrix/1 JSON")
    parser.add_argument(
        "--evidence", action="store_true", help="with --json: every layer and what proves it"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page, works offline")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan every chip against every release."""
    from uplift.report.matrix_terminal import MatrixText

    report = _report(args)
    if args.html:
        from uplift.report.matrix_html import render_matrix

        output.write_file(args.html, render_matrix(report))
    if args.json:
        from uplift.report.matrix_json import matrix_to_json

        output.print_json(matrix_to_json(report, evidence=args.evidence))
    elif not args.html:
        MatrixText(report, output.unicode_output(), args.all).print(output.console())
    return 0


def _report(args: argparse.Namespace) -> MatrixReport:
    from uplift.report.matrix import MatrixReport, Skipped
    from uplift.resolve.matrix import ask_silicon, plan

    catalog = catalog_of_user(args.overlay)
    wanted = _wanted(args, catalog)
    chips = [_chip(name, catalog) for name in _names(args.chip)]
    places = release_places(catalog)
    names = _names(args.release) or _every_release(places)
    sides = _Sides(places, _day(args.as_of))
    cells: list[Cell] = []
    skipped: list[Skipped] = []
    for done, chip in enumerate(chips):
        asked = ask_silicon(chip, catalog)
        for name in names:
            _progress(done * len(names), len(chips) * len(names))
            side = sides.of(name, chip)
            if isinstance(side, str):
                skipped.append(Skipped(chip.name, name, side))
            else:
                cells.extend(plan(chip, side, catalog, wanted, asked))
    _progress(0, 0)
    if not cells and skipped:
        raise _nothing(skipped[0])
    columns = tuple(column for name in names if (column := sides.column(name)))
    return MatrixReport(tuple(chips), columns, tuple(cells), tuple(skipped), args.as_of or "")


def release_places(catalog: Catalog | None = None) -> tuple[Place, ...]:
    """Return where releases lie: shipped, this user's own, then those of the catalog's overlays."""
    from uplift.catalog.releases import SHIPPED, Place

    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    private = (
        Place(Path(overlay.releases), frozenset({overlay.label}))
        for overlay in (catalog.overlays if catalog else ())
        if overlay.releases
    )
    return (Place(SHIPPED), Place(Path(base) / "uplift" / "releases"), *private)


class _Sides:
    """The releases, each loaded and parsed once for each architecture."""

    def __init__(self, places: Sequence[Place], as_of: str) -> None:
        from uplift.catalog.releases import release_names

        self._places = places
        self._as_of = as_of
        self._known = release_names(places)
        self._loaded: dict[tuple[str, str], ReleaseSide] = {}

    def of(self, name: str, chip: ChipSide) -> ReleaseSide | str:
        """Return a release for a chip, or why there is none on the chip's architecture.

        :raises UpliftError: nobody knows such a release or such a set of it.
        """
        from uplift.catalog.releases import load_release
        from uplift.facts.parsers import read_facts
        from uplift.resolve.matrix import ReleaseSide

        arch = _debian_arch(chip)
        if self._is_elsewhere(name, arch):
            return f"{name} was neither recorded nor cited on {arch or chip.arch}"
        if (name, arch) not in self._loaded:
            selected = load_release(name, arch, self._places, self._as_of)
            self._loaded[name, arch] = ReleaseSide(selected, read_facts(selected.snapshot))
        return self._loaded[name, arch]

    def _is_elsewhere(self, name: str, arch: str) -> bool:
        """Say whether the release has these sets, but on other architectures only."""
        release, *sets = name.split("+")
        having = [a for a, there in self._known.get(release, {}).items() if set(sets) <= set(there)]
        return bool(having) and arch not in having

    def column(self, name: str) -> ReleaseColumn | None:
        """Return what is told of a release that was used; None where no chip used it."""
        from uplift.report.matrix import ReleaseColumn

        used = {arch: side.release for (n, arch), side in self._loaded.items() if n == name}
        if not used:
            return None
        first = next(iter(used.values()))
        sets = dict.fromkeys((one.name, one.basis) for side in used.values() for one in side.sets)
        days = (side.snapshot.collected_at[:10] for side in used.values())
        return ReleaseColumn(
            name, first.release.title, tuple(used), tuple(sets), max(days, default="")
        )


def _every_release(places: Sequence[Place]) -> list[str]:
    """Return every release with each of its sets alone, in order of name."""
    from uplift.catalog.releases import release_names

    found: dict[str, None] = {}
    for release, by_arch in release_names(places).items():
        sets = dict.fromkeys(name for names in by_arch.values() for name in names)
        found.update((release if one == "base" else f"{release}+{one}", None) for one in sets)
    return list(found)


def _debian_arch(chip: ChipSide) -> str:
    from uplift.catalog.releases import ARCHITECTURES

    return next((debian for debian, (arch, _) in ARCHITECTURES.items() if arch == chip.arch), "")


def _names(texts: Sequence[str] | None) -> list[str]:
    """Return the words of comma lists, in order, each once."""
    words = (word.strip() for text in texts or () for word in text.split(","))
    return list(dict.fromkeys(word for word in words if word))


def _wanted(args: argparse.Namespace, catalog: Catalog) -> tuple[str, ...]:
    chosen = [find_feature(catalog, name) for name in _names(args.feature)]
    if not args.area:
        return tuple(feature.id for feature in chosen)
    found = tuple(f.id for f in chosen or _with_arch(catalog) if f.area == args.area)
    if not found:
        areas = sorted({feature.area for feature in catalog.features})
        raise UpliftError(
            f"cannot plan the area {args.area!r}",
            "no feature that was asked for is of it",
            f"choose one of {', '.join(areas)}",
        )
    return found


def _with_arch(catalog: Catalog) -> Iterator[Feature]:
    return (feature for feature in catalog.features if feature.arch)


def _chip(name: str, catalog: Catalog) -> ChipSide:
    from uplift.cli.chip import chip_named

    return chip_named(name, catalog)


def _day(text: str | None) -> str:
    if text and not _DAY.fullmatch(text):
        raise UpliftError(
            f"cannot plan as of {text[:40]!r}",
            "it is no day",
            "write it as 2026-04-23",
        )
    return text or ""


def _progress(done: int, total: int) -> None:
    """Show how far it is, on a terminal only; the line is wiped at the end."""
    if sys.stderr.isatty():
        text = f"planning {done}/{total}" if total else ""
        print(f"\r{text:<40}\r", end="", file=sys.stderr, flush=True)


def _nothing(skipped: Any) -> UpliftError:
    return UpliftError(
        f"cannot plan {skipped.chip}",
        skipped.why,
        "choose releases that `uplift release list` shows for the chip's architecture",
    )
