"""``uplift chip``: what a chip's silicon has, and what tells chips apart."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.cli.targets import add_overlay_option, catalog_of_user
from uplift.errors import UpliftError

if TYPE_CHECKING:
    from uplift.catalog.model import Catalog
    from uplift.resolve.chip_side import ChipSide

_CHIP_HELP = (
    "a code name (`uplift chip list`), the path of a recording (a CPUID dump, a snapshot, …), or "
    "qemu:MODEL, qemu:MODEL@RELEASE"
)


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "chip",
        help="what a chip's silicon has; what tells chips apart",
        description="What a chip's silicon has: from a dump, an emulator's model, or the lists of "
        "upstream projects. What no source speaks of is unknown, never absent.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_list(actions)
    _add_show(actions)
    _add_compare(actions)


def _add_list(actions: Any) -> None:
    parser = actions.add_parser("list", help="the chips that the catalog knows")
    parser.add_argument("--arch", help="only this architecture: x86-64, arm64, riscv64, …")
    parser.add_argument("--segment", help="only this segment: server, client, embedded")
    _add_common(parser)
    parser.set_defaults(run=run_list)


def _add_show(actions: Any) -> None:
    parser = actions.add_parser("show", help="one chip: what it has, lacks, and nobody knows")
    parser.add_argument("chip", metavar="CHIP", help=_CHIP_HELP)
    parser.add_argument("--all", action="store_true", help="also name what it lacks")
    _add_common(parser)
    parser.set_defaults(run=run_show)


def _add_compare(actions: Any) -> None:
    parser = actions.add_parser("compare", help="what one chip has and another lacks")
    parser.add_argument("chips", metavar="CHIP", nargs="+", help=_CHIP_HELP)
    _add_common(parser)
    parser.set_defaults(run=run_compare)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_overlay_option(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-chip/1 JSON")


def chip_named(text: str, catalog: Catalog) -> ChipSide:
    """Return the chip that a user names: a code name, a recording's path, or ``qemu:MODEL``.

    :raises UpliftError: there is none; near names are told.
    """
    from uplift.cli.matrix import release_places
    from uplift.lab import chips

    return chips.chip_named(text, catalog, release_places(catalog))


def run_list(args: argparse.Namespace) -> int:
    """List the catalog's chips."""
    from uplift.report import chip as shown

    catalog = catalog_of_user(args.overlay)
    chips = [
        chip
        for chip in catalog.chips
        if args.arch in (None, chip.arch) and args.segment in (None, chip.segment)
    ]
    if not chips:
        raise _none_such(catalog)
    if args.json:
        output.print_json(shown.list_to_json(chips))
    else:
        shown.print_list(chips, output.console(), output.unicode_output())
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show one chip."""
    from uplift.report import chip as shown

    catalog = catalog_of_user(args.overlay)
    report = shown.chip_report(chip_named(args.chip, catalog), catalog)
    if args.json:
        output.print_json(shown.chip_to_json(report))
    else:
        text = shown.ChipText(output.console(), report.labels, output.unicode_output())
        text.chip(report, args.all)
    return 0


def run_compare(args: argparse.Namespace) -> int:
    """Compare chips of one architecture."""
    from uplift.report import chip as shown

    catalog = catalog_of_user(args.overlay)
    sides = [chip_named(name, catalog) for name in args.chips]
    _refuse_incomparable(sides)
    comparison = shown.Comparison(tuple(shown.chip_report(side, catalog) for side in sides))
    if args.json:
        output.print_json(shown.comparison_to_json(comparison))
    else:
        text = shown.ChipText(output.console(), comparison.labels, output.unicode_output())
        text.comparison(comparison)
    return 0


def _refuse_incomparable(sides: list[ChipSide]) -> None:
    if len({side.name for side in sides}) < 2:
        raise UpliftError(
            "cannot compare one chip",
            "two different chips are needed" if len(sides) < 2 else "the same one is named twice",
            "name two or more: uplift chip compare granite-rapids diamond-rapids",
        )
    if len({side.arch for side in sides}) > 1:
        archs = ", ".join(f"{side.name} is {side.arch or 'unknown'}" for side in sides)
        raise UpliftError(
            "cannot compare chips of several architectures",
            archs,
            "compare chips of one architecture; `uplift diff` compares platforms",
        )


def _none_such(catalog: Catalog) -> UpliftError:
    archs = ", ".join(sorted({chip.arch for chip in catalog.chips}))
    return UpliftError(
        "cannot list chips", "the catalog has none of this kind", f"--arch is one of {archs}"
    )
