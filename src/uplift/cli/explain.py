"""``uplift explain``: one feature, layer by layer, with the bytes that prove each verdict."""

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
        "explain",
        help="one feature, layer by layer, with the bytes that prove each verdict",
        description="Show for one feature what each layer answered, why, and the recorded bytes.",
    )
    parser.add_argument("feature", metavar="FEATURE", help="x86/amx-bf16, or amx-bf16")
    parser.add_argument("target", nargs="?", metavar="TARGET", help=TARGET_HELP)
    add_target_options(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-explain/1 JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain one feature on one target."""
    from uplift.facts.parsers import read_facts
    from uplift.report.explain import explanation, print_explanation
    from uplift.resolve.scan import resolve_one

    catalog = catalog_of_user()
    feature = find_feature(catalog, args.feature)
    snapshot = one_snapshot(args.target, options_of(args))
    resolved = resolve_one(catalog, feature, read_facts(snapshot))
    if args.json:
        output.print_json(explanation(resolved, snapshot))
    else:
        print_explanation(resolved, snapshot, output.console())
    return 0
