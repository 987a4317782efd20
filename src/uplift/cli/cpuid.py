"""``uplift cpuid``: every set CPUID bit with its name and where the name comes from."""

from __future__ import annotations

import argparse
from typing import Any

from uplift.cli import output
from uplift.cli.targets import (
    TARGET_HELP,
    add_overlay_option,
    add_target_options,
    catalog_of_user,
    one_snapshot,
    options_of,
)


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "cpuid",
        help="every set CPUID bit, named, with the source of each name",
        description="Decode CPUID: every set bit with its name and its source; set bits that no "
        "source names are listed too.",
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help=TARGET_HELP)
    add_target_options(parser)
    add_overlay_option(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-cpuid/1 JSON")
    parser.add_argument("--unnamed", action="store_true", help="only bits that no source names")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Decode the CPUID of one target."""
    from uplift.catalog.cpuid_names import private_names
    from uplift.report.cpuid import bits_to_json, print_bits

    names = private_names(catalog_of_user(args.overlay)) if args.overlay else {}
    snapshot = one_snapshot(args.target, options_of(args))
    if args.json:
        output.print_json(bits_to_json(snapshot, args.unnamed, names))
    else:
        print_bits(snapshot, args.unnamed, output.console(), names)
    return 0
