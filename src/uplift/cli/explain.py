"""``uplift explain``: one feature, layer by layer, with the bytes that prove each verdict."""

from __future__ import annotations

import argparse
from typing import Any

from uplift.cli import output
from uplift.cli.targets import add_feature_and_target, resolve_feature


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "explain",
        help="one feature, layer by layer, with the bytes that prove each verdict",
        description="Show for one feature what each layer answered, why, and the recorded bytes.",
    )
    add_feature_and_target(parser, "uplift-explain/1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain one feature on one target."""
    from uplift.report.explain import explanation, print_explanation

    resolved, snapshot = resolve_feature(args)
    if args.json:
        output.print_json(explanation(resolved, snapshot))
    else:
        print_explanation(resolved, snapshot, output.console())
    return 0
