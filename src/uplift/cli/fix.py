"""``uplift fix``: the remedies for one feature, in order. Plans only; nothing is changed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.cli.targets import add_feature_and_target, resolve_feature

if TYPE_CHECKING:
    from uplift.backport.model import Plan
    from uplift.backport.selection import Selected
    from uplift.catalog.model import Feature


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "fix",
        help="the remedies for one feature, in order, with who owns each",
        description="Show what has to change for a feature to pass every layer. A plan: nothing "
        "is changed. With --repo it ends in a backport plan for the commits that brought the "
        "feature upstream.",
    )
    add_feature_and_target(parser, "uplift-plan/1")
    parser.add_argument(
        "--repo",
        action="append",
        type=Path,
        metavar="R",
        help="a git repository that holds upstream and the branch: plan the backport (repeatable)",
    )
    parser.add_argument("--onto", default="HEAD", metavar="B", help="the branch of --repo (HEAD)")
    parser.add_argument("--upstream", metavar="REF", help="where upstream's commits come from")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan the lift of one feature on one target."""
    from uplift.report.plan import plan_to_json, print_plan
    from uplift.resolve.plan import plan

    planned = plan(resolve_feature(args)[0])
    if not args.json:  # the remedies are told even where no backport can be planned
        print_plan(planned, output.console())
    backport = _backport(args, planned.resolution.feature) if args.repo else None
    if args.json:
        document = plan_to_json(planned)
        if backport is not None:
            from uplift.report.backport import plan_to_json as backport_to_json

            document["backport"] = backport_to_json(backport[0], backport[1].notes)
        output.print_json(document)
    elif backport is not None:
        from uplift.report.backport import print_plan as print_backport

        print_backport(backport[0], output.console(), backport[1].notes)
    return 0


def _backport(args: argparse.Namespace, feature: Feature) -> tuple[Plan, Selected]:
    """Plan how the commits that brought ``feature`` come onto the branch."""
    from uplift.backport.plan import plan
    from uplift.backport.selection import Selection, select
    from uplift.cli.backport import opened

    with opened(args.repo) as (workspace, index):
        chosen = select(workspace, index, Selection(), [feature])
        return plan(workspace, index, args.onto, chosen.shas, args.upstream), chosen
