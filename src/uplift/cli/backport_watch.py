"""``uplift backport watch`` and ``suspects``: what happens after a series has landed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from uplift.cli import output
from uplift.errors import FOUND, UpliftError

_MAX_LOG = 16 << 20


def add_to(actions: Any) -> None:
    """Add both actions."""
    from uplift.cli.backport import add_repositories

    watch: argparse.ArgumentParser = actions.add_parser(
        "watch",
        help="upstream's news of what a branch carries",
        description="Say which fixes and reverts of picked commits upstream has and the branch "
        "lacks, which own patches exist upstream by now, and which picks have another sha there.",
    )
    add_repositories(watch)
    watch.add_argument("--branch", default="HEAD", metavar="B", help="any commit (HEAD)")
    watch.add_argument("--since", default="", metavar="C", help="only what came to B after C")
    watch.add_argument("--check", action="store_true", help="exit with 1 when there are news")
    watch.add_argument("--json", action="store_true", help="print uplift-backport-watch/1 JSON")
    watch.set_defaults(run=run_watch)
    suspects: argparse.ArgumentParser = actions.add_parser(
        "suspects",
        help="the order in which to test the commits of a range for a regression",
        description="Order commits by the files and functions that they share with what is known "
        "of a regression; of equal ones the newest comes first. Nothing is left out.",
    )
    add_repositories(suspects)
    suspects.add_argument("range", metavar="GOOD..BAD", help="commits that BAD adds to GOOD")
    add = suspects.add_argument
    add("--path", action="append", default=[], metavar="P", help="a file (repeatable)")
    add("--symbol", action="append", default=[], metavar="S", help="a function (repeatable)")
    add("--log", metavar="FILE", help="a log or a report with a stack trace; - for standard input")
    add("--most", type=int, default=20, metavar="N", help="how many are shown (20)")
    add("--json", action="store_true", help="print uplift-backport-suspects/1 JSON: all of them")
    suspects.set_defaults(run=run_suspects)


def run_watch(args: argparse.Namespace) -> int:
    """Tell the news of a branch."""
    from uplift.backport.watch import watch
    from uplift.cli.backport import opened
    from uplift.report.backport_watch import print_watch, watch_to_json

    if not args.upstream:
        raise UpliftError(
            "cannot say what is new upstream", "no upstream is named", "give --upstream REF"
        )
    with opened(args.repo) as (workspace, index):
        news = watch(workspace, index, args.branch, args.upstream, args.since)
    if args.json:
        output.print_json(watch_to_json(args.branch, args.upstream, news))
    else:
        print_watch(args.branch, args.upstream, news, output.console())
    return FOUND if args.check and news else 0


def run_suspects(args: argparse.Namespace) -> int:
    """Order the commits of a range."""
    from uplift.backport.place import open_workspace
    from uplift.backport.suspects import Hints, suspects
    from uplift.report.backport_watch import print_suspects, suspects_to_json

    base, dots, tip = args.range.partition("..")
    if not (dots and base and tip) or tip.startswith("."):
        raise UpliftError(
            f"{args.range!r} is no range", "it does not read GOOD..BAD", "name two commits"
        )
    hints = Hints.of_text(_log(args.log), args.path, args.symbol)
    if not (hints.paths or hints.symbols):
        raise UpliftError(
            "nothing is known of the regression",
            "no file and no function is named" + (" in the log" if args.log else ""),
            "give --path, --symbol or --log",
        )
    with open_workspace(args.repo or [Path.cwd()]) as workspace:
        found = suspects(workspace, base, tip, hints)
        ends = (workspace.resolve(base), workspace.resolve(tip))
    if args.json:
        output.print_json(suspects_to_json(*ends, found))
    else:
        print_suspects(found, max(0, args.most), output.console())
    return 0


def _log(path: str | None) -> str:
    if path is None:
        return ""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MAX_LOG + 1)
        else:
            with Path(path).open("rb") as stream:
                data = stream.read(_MAX_LOG + 1)
    except OSError as error:
        raise UpliftError(
            f"cannot read {path!r}", str(error), "name a file that you may read"
        ) from None
    if len(data) > _MAX_LOG:
        raise UpliftError(
            f"{path!r} is too long", f"it has more than {_MAX_LOG} bytes", "cut out the stack trace"
        )
    return data.decode("utf-8", "replace")
