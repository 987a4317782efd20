"""``uplift backport``: what a branch has of upstream's commits, what it needs, and the series."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import backport_series, backport_watch, output
from uplift.cli.targets import add_overlay_option, catalog_of_user, find_feature
from uplift.errors import FOUND

if TYPE_CHECKING:
    from uplift.backport.index import Index
    from uplift.backport.selection import Selected
    from uplift.lab.git import Workspace


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "backport",
        help="what a branch has of upstream's commits, what it needs, and the series",
        description="Upstream commits and a release branch: what is there, what has to come "
        "along, and the series that a team accepts. Repositories are only read.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_index(actions)
    _add_status(actions)
    _add_plan(actions)
    backport_series.add_to(actions)
    backport_watch.add_to(actions)


def _add_index(actions: Any) -> None:
    parser: argparse.ArgumentParser = actions.add_parser(
        "index",
        help="read what is new in repositories",
        description="Build the index of repositories, or bring it up to date. The other actions "
        "do so by themselves; a first build of a large repository takes minutes.",
    )
    parser.add_argument("repo", nargs="+", type=Path, metavar="REPO", help="a git repository")
    parser.add_argument(
        "--functions",
        action="store_true",
        help="also read which functions each commit changes, which `--function` otherwise reads of "
        "the commits of its range only; takes a millisecond a commit",
    )
    parser.add_argument("--json", action="store_true", help="print uplift-backport-index/1 JSON")
    parser.set_defaults(run=run_index)


def _add_status(actions: Any) -> None:
    parser: argparse.ArgumentParser = actions.add_parser(
        "status",
        help="which of upstream's commits a branch has",
        description="Say of each commit whether the branch has it (by sha, trailer, patch, title, "
        "or in another form), had it reverted, has a part of it, or lacks it.",
    )
    add_repositories(parser)
    parser.add_argument("--branch", default="HEAD", metavar="B", help="any commit (HEAD)")
    add_selection(parser, "--bug")
    parser.add_argument("--missing", action="store_true", help="only what the branch lacks")
    parser.add_argument("--differences", action="store_true", help="how near matches differ")
    parser.add_argument("--landed", action="store_true", help="exit with 1 unless all are present")
    parser.add_argument("--json", action="store_true", help="print uplift-backport-status/1 JSON")
    parser.set_defaults(run=run_status)


def _add_plan(actions: Any) -> None:
    parser: argparse.ArgumentParser = actions.add_parser(
        "plan",
        help="the smallest series that applies, and why each commit is in it",
        description="Plan how commits come onto a branch: what they need, which later fixes have "
        "to come with them, and where they conflict. Merged in memory, by git itself.",
    )
    add_repositories(parser)
    parser.add_argument("--onto", default="HEAD", metavar="B", help="any commit (HEAD)")
    add_selection(parser, "--bug")
    add_plan_options(parser)
    parser.add_argument(
        "--hunks", action="store_true", help="show both sides of each place that conflicts"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 unless it applies")
    parser.add_argument("--json", action="store_true", help="print uplift-backport-plan/1 JSON")
    parser.set_defaults(run=run_plan)


def add_repositories(parser: argparse.ArgumentParser) -> None:
    """Add the options that name repositories and their upstream."""
    parser.add_argument(
        "--repo",
        action="append",
        type=Path,
        metavar="R",
        help="a git repository; branches of a second one are named FOLDER/BRANCH (repeatable; "
        "default: the current directory)",
    )
    parser.add_argument("--upstream", metavar="REF", help="where upstream's commits come from")


def add_selection(parser: argparse.ArgumentParser, *bug: str) -> None:
    """Add what selects upstream commits.

    :param bug: another name of ``--of-bug``, where ``--bug`` does not say which bug to write.
    """
    parser.add_argument("commits", nargs="*", metavar="SHA", help="a commit, a tag, a branch")
    parser.add_argument("--range", default="", metavar="A..B", help="all commits of a range")
    parser.add_argument("--grep", default="", metavar="TEXT", help="messages that contain TEXT")
    parser.add_argument("--path", default="", metavar="P", help="commits that touch P")
    parser.add_argument(
        "--function", default="", metavar="NAME", help="commits that change a function called NAME"
    )
    parser.add_argument(
        *bug,
        "--of-bug",
        action="append",
        default=[],
        dest="of_bug",
        metavar="BUG",
        help="commits whose message links to it: 1234567, LP#1234567, an address (repeatable)",
    )
    parser.add_argument(
        "--feature",
        action="append",
        default=[],
        metavar="F",
        help="the commits since which a feature of the catalog is passed on (repeatable)",
    )
    add_overlay_option(parser)


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Add what steers a plan."""
    parser.add_argument("--no-follow-ups", action="store_true", help="without later fixes")
    parser.add_argument(
        "--no-prerequisites", action="store_true", help="leave conflicts as they are"
    )
    parser.add_argument(
        "--no-symbols", action="store_true", help="do not look for names that the branch lacks"
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="to search what one commit needs (20)"
    )
    parser.add_argument(
        "--total-seconds",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="to search what all commits need (120); what conflicts then is told unsearched",
    )


def run_index(args: argparse.Namespace) -> int:
    """Build or update the index."""
    from uplift.report.backport import INDEX_SCHEMA

    with opened(args.repo) as (workspace, index):
        functions = _read_functions(index) if args.functions else None
        found = {
            "schema": INDEX_SCHEMA,
            "repositories": [
                {
                    "directory": str(repository.directory),
                    "bare": repository.bare,
                    "shallow": repository.shallow,
                    "partial": repository.partial,
                }
                for repository in workspace.repositories
            ],
            "new": index.new,
            "missing": len(index.missing()),
            "functions": functions,
            "index": str(workspace.directory / "index.sqlite"),
        }
    if args.json:
        output.print_json(found)
        return 0
    print(f"{found['new']} new commits; index {found['index']}")
    if functions is not None:
        left = f", {functions['unread']} could not be" if functions["unread"] else ""
        print(f"  functions of {functions['read']} commits were read{left}")
    for repository in workspace.repositories:
        if repository.shallow or repository.partial:
            kind = "shallow: its history is cut off" if repository.shallow else "a partial clone"
            print(f"  {repository.directory} is {kind}: some answers are undetermined")
    return 0


def _read_functions(index: Index) -> dict[str, int]:
    with _progress("reading functions") as progress:
        read = index.read_functions(progress=progress)
    return {"read": read, "unread": index.unread_functions()}


def run_status(args: argparse.Namespace) -> int:
    """Say where commits stand."""
    from uplift.backport.landed import landed
    from uplift.backport.model import State
    from uplift.backport.presence import Options, presences
    from uplift.report.backport import BranchStatus, print_status, status_to_json

    with opened(args.repo) as (workspace, index):
        chosen = selected(args, workspace, index)
        options = Options(differences=args.differences or args.json)
        found = presences(workspace, index, args.branch, chosen.shas, args.upstream, options)
        tip = workspace.resolve(args.branch)
    met = landed(found).met
    if args.missing:
        found = tuple(presence for presence in found if presence.state is not State.PRESENT)
    status = BranchStatus(args.branch, tip, found, chosen.notes)
    if args.json:
        output.print_json(status_to_json(status))
    else:
        print_status(status, output.console(), args.differences)
    return FOUND if args.landed and not met else 0


def run_plan(args: argparse.Namespace) -> int:
    """Plan a series."""
    from uplift.backport.plan import plan
    from uplift.report.backport import plan_to_json, print_plan

    with opened(args.repo) as (workspace, index):
        chosen = selected(args, workspace, index)
        planned = plan(workspace, index, args.onto, chosen.shas, args.upstream, plan_options(args))
    if args.json:
        output.print_json(plan_to_json(planned, chosen.notes))
    else:
        print_plan(planned, output.console(), chosen.notes, args.hunks)
    return FOUND if args.check and not planned.applies else 0


def plan_options(args: argparse.Namespace) -> Any:
    """Return the options of a plan."""
    from uplift.backport.plan import Options
    from uplift.backport.prerequisites import Limits

    return Options(
        follow_ups=not args.no_follow_ups,
        prerequisites=not args.no_prerequisites,
        symbols=not args.no_symbols,
        limits=Limits(seconds=args.seconds, total=args.total_seconds),
    )


def selected(args: argparse.Namespace, workspace: Workspace, index: Index) -> Selected:
    """Return the commits that the arguments select."""
    from uplift.backport.selection import Selection, select

    asked = Selection(
        tuple(args.commits),
        args.range,
        args.grep,
        args.path,
        args.upstream or "",
        tuple(args.of_bug),
        args.function,
    )
    features = []
    if args.feature:
        catalog = catalog_of_user(args.overlay)
        features = [find_feature(catalog, name) for name in args.feature]
    return select(workspace, index, asked, features)


@contextmanager
def opened(repositories: Sequence[Path] | None) -> Iterator[tuple[Workspace, Index]]:
    """Give the workspace over the repositories and its index, brought up to date."""
    from uplift.backport.index import Index
    from uplift.backport.place import open_workspace
    from uplift.lab.process import printable

    with (
        open_workspace(repositories or [Path.cwd()]) as workspace,
        _progress() as progress,
        Index.open(workspace, progress) as index,
    ):
        if index.remark:
            print(f"note: {printable(index.remark)}", file=sys.stderr)
        yield workspace, index


@contextmanager
def _progress(what: str = "reading commits") -> Iterator[Any]:
    """Give what the index build calls; shown on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return

    shown = False

    def show(done: int, total: int) -> None:
        nonlocal shown
        shown = True
        of = f" of {total}" if total else ""  # git does not say how many are new
        print(f"\r{what}: {done}{of}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if shown:
            print(file=sys.stderr)
