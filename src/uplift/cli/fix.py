"""``uplift fix``: the remedies for one feature, in order. Plans only; nothing is changed."""

from __future__ import annotations

import argparse
from typing import Any

from uplift.cli import output
from uplift.cli.targets import add_feature_and_target, resolve_feature


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "fix",
        help="the remedies for one feature, in order, with who owns each",
        description="Show what has to change for a feature to pass every layer. A plan: nothing "
        "is changed.",
    )
    add_feature_and_target(parser, "uplift-plan/1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan the lift of one feature on one target."""
    from uplift.report.plan import plan_to_json, print_plan
    from uplift.resolve.plan import plan

    planned = plan(resolve_feature(args)[0])
    if args.json:
        output.print_json(plan_to_json(planned))
    else:
        print_plan(planned, output.console())
    return 0
