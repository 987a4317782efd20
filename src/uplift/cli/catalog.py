"""``uplift catalog``: what features and chips exist, and what each layer needs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from uplift.cli import catalog_patches, output
from uplift.cli.catalog_derive import add_derive
from uplift.cli.targets import add_overlay_option, catalog_of_user, find_feature
from uplift.errors import FOUND, UpliftError


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "catalog",
        help="list, show and check features and chips",
        description="What features and chips exist, and what each layer needs: data with sources.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_list(actions)
    _add_show(actions)
    _add_check(actions)
    add_derive(actions)
    catalog_patches.add_to(actions)


def _add_list(actions: Any) -> None:
    parser = actions.add_parser("list", help="the features, or the chips")
    parser.add_argument("--chips", action="store_true", help="chips instead of features")
    parser.add_argument("--arch", help="only this architecture: x86-64, arm64, riscv64, …")
    parser.add_argument("--area", help="only this area: compute, crypto, memory, security, …")
    add_overlay_option(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-catalog/1 JSON")
    parser.set_defaults(run=run_list)


def _add_show(actions: Any) -> None:
    parser = actions.add_parser("show", help="one feature or chip with every source")
    parser.add_argument("name", metavar="FEATURE|CHIP")
    add_overlay_option(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-catalog/1 JSON")
    parser.set_defaults(run=run_show)


def _add_check(actions: Any) -> None:
    parser = actions.add_parser(
        "check", help="check the data against its schema, its facts and its sources"
    )
    parser.add_argument("directory", nargs="?", type=Path, help="default: the one installed")
    add_overlay_option(parser)
    parser.set_defaults(run=run_check)


def run_list(args: argparse.Namespace) -> int:
    """List features or chips."""
    from uplift.report import catalog as shown

    catalog = catalog_of_user(args.overlay)
    rows = (
        [c for c in catalog.chips if args.arch in (None, c.arch)]
        if args.chips
        else [
            f
            for f in catalog.features
            if (args.arch is None or not f.arch or args.arch in f.arch)
            and args.area in (None, f.area)
        ]
    )
    if args.json:
        output.print_json(shown.list_to_json(rows))
    else:
        shown.print_list(rows, output.console())
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show one feature or chip."""
    from uplift.report import catalog as shown

    catalog = catalog_of_user(args.overlay)
    chip = next((c for c in catalog.chips if c.codename == args.name), None)
    entry = chip or find_feature(catalog, args.name)
    if args.json:
        output.print_json(shown.entry_to_json(entry))
    else:
        shown.print_entry(entry, output.console())
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Check the catalog's data; 1 when something is wrong."""
    from uplift.catalog.check import check_catalog
    from uplift.catalog.load import DATA
    from uplift.facts.parsers import all_parsers
    from uplift.report import catalog as shown

    directory = args.directory or DATA
    if not (directory / "features").is_dir():
        raise UpliftError(
            f"cannot check {directory}",
            "it has no directory called features",
            "name a catalog directory: features/*.toml and chips/*.toml",
        )
    problems = check_catalog(directory, all_parsers(), args.overlay)
    for problem in problems:
        print(problem)
    if not problems:
        print(shown.summary(directory, args.overlay))
    return FOUND if problems else 0
