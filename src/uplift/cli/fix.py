"""``uplift fix``: the remedies for one feature, in order. Plans only; nothing is changed."""

from __future__ import annotations

import argparse
from typing import Any

from uplift.cli import output
from uplift.cli.targets import (
    TARGET_HELP,
    add_target_options,
    catalog_of_user,
    find_feature,
    one_snapshot,
    options_of,
)


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "fix",
        help="the remedies for one feature, in order, with who owns each",
        description="Show what has to change for a feature to pass every layer. A plan: nothing "
        "is changed.",
    )
    parser.add_argument("feature", metavar="FEATURE", help="x86/amx-bf16, or amx-bf16")
    parser.add_argument("target", nargs="?", metavar="TARGET", help=TARGET_HELP)
    add_target_options(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-plan/1 JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan the lift of one feature on one target."""
    from uplift.facts.parsers import read_facts
    from uplift.report.plan import plan_to_json, print_plan
    from uplift.resolve.plan import plan
    from uplift.resolve.scan import resolve_one

    catalog = catalog_of_user()
    feature = find_feature(catalog, args.feature)
    snapshot = one_snapshot(args.target, options_of(args))
    planned = plan(resolve_one(catalog, feature, read_facts(snapshot)))
    if args.json:
        output.print_json(plan_to_json(planned))
    else:
        print_plan(planned, output.console())
    return 0
