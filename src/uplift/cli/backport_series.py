"""``uplift backport series`` and ``lint``: commits for a team, and what its reviewers would say."""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.errors import FOUND, UpliftError

if TYPE_CHECKING:
    from uplift.backport.lint.model import Finding
    from uplift.backport.model import Person, Plan
    from uplift.backport.profiles import Profile
    from uplift.backport.series import SeriesOptions, Written
    from uplift.lab.git import Workspace

_SENDER = re.compile(r"(?P<name>[^<>\n]+?)\s*<(?P<email>[^<>\s]+)>")


def add_to(actions: Any) -> None:
    """Add both actions."""
    from uplift.cli.backport import add_plan_options, add_repositories, add_selection

    series: argparse.ArgumentParser = actions.add_parser(
        "series",
        help="write a planned series on a new branch, as mails or as debian/patches",
        description="Plan, then write: a new branch of the first repository, and mails with a "
        "cover letter. Commits that conflict are marked and left to a person. The work tree and "
        "existing branches are never touched.",
    )
    add_repositories(series)
    series.add_argument("--onto", default="HEAD", metavar="B", help="any commit (HEAD)")
    add_selection(series)
    add_plan_options(series)
    _add_writing(series)
    lint: argparse.ArgumentParser = actions.add_parser(
        "lint",
        help="what a reviewer would say of a series",
        description="Check commits (BASE..TIP) or mail files against a team's rules and against "
        "upstream. Exit code 1 when there is an error, with --strict also for a warning.",
    )
    add_repositories(lint)
    _add_lint(lint)


def _add_writing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="generic", help="the team's rules (generic)")
    parser.add_argument("--branch", metavar="NAME", help="the new branch to write")
    parser.add_argument("--mail", type=Path, metavar="DIR", help="a new folder for the mails")
    parser.add_argument(
        "--debian-patches", action="store_true", help="as debian/patches of a packaging branch"
    )
    parser.add_argument("--for", dest="series", default="", metavar="S", help="N/J:linux-azure")
    parser.add_argument("--reroll", type=int, default=1, metavar="N", help="v2, v3… of the mails")
    parser.add_argument("--bug", default="", metavar="N", help="number of the bug")
    parser.add_argument("--cve", action="append", default=[], metavar="CVE-…")
    parser.add_argument(
        "--sender", default="", metavar="'NAME <MAIL>'", help="default: $DEBFULLNAME, $DEBEMAIL"
    )
    parser.add_argument("--json", action="store_true", help="print uplift-backport-series/1 JSON")
    parser.set_defaults(run=run_series)


def _add_lint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="+", metavar="BASE..TIP|MAIL", help="a range, or mail files")
    parser.add_argument("--profile", default="generic", help="the team's rules (generic)")
    parser.add_argument("--base", default="HEAD", help="what mails apply to (HEAD)")
    parser.add_argument("--target", default="", help="the branch that the series shall go to")
    parser.add_argument("--for", dest="series", default="", metavar="S", help="noble,jammy")
    parser.add_argument("--cover", type=Path, metavar="FILE", help="the cover letter of a range")
    parser.add_argument("--reply", action="store_true", help="print it as a mail reply")
    parser.add_argument("--strict", action="store_true", help="a warning fails, too")
    parser.add_argument("--json", action="store_true", help="print uplift-backport-lint/1 JSON")
    parser.set_defaults(run=run_lint)


def run_series(args: argparse.Namespace) -> int:
    """Plan and write a series."""
    from uplift.backport.plan import plan
    from uplift.backport.profiles import load_profile
    from uplift.backport.series import SeriesOptions
    from uplift.backport.series_text import Links
    from uplift.cli.backport import opened, plan_options, selected
    from uplift.report.backport import print_series, series_to_json

    if not (args.branch or args.mail):
        raise UpliftError(
            "nothing is to be written", "no place is named", "give --branch NAME or --mail DIR"
        )
    profile = load_profile(args.profile)
    options = SeriesOptions(
        profile, _sender(args.sender), Links(args.bug, tuple(args.cve)), args.upstream or ""
    )
    with opened(args.repo) as (workspace, index):
        chosen = selected(args, workspace, index)
        planned = plan(workspace, index, args.onto, chosen.shas, args.upstream, plan_options(args))
        written, mails = _write(args, workspace, planned, options)
    if args.json:
        output.print_json(series_to_json(planned, written, mails))
    else:
        print_series(planned, written, mails, output.console())
    return FOUND if written.unfinished else 0


def _write(
    args: argparse.Namespace, workspace: Workspace, planned: Plan, options: SeriesOptions
) -> tuple[Written, tuple[Path, ...]]:
    """Make the series once; the branch is written only when the mails were."""
    from dataclasses import replace

    from uplift.backport.debian_patches import make_debian_patches
    from uplift.backport.series import make_series, publish
    from uplift.lab.git import open_repository
    from uplift.lab.git_branch import check_branch_name, require_commit

    repository = open_repository((args.repo or [Path.cwd()])[0])
    if args.branch:
        check_branch_name(repository, args.branch)
        require_commit(repository, planned.onto, args.branch)
    with workspace.quarantine() as view:
        make = make_debian_patches if args.debian_patches else make_series
        made = make(view, planned, options)
        mails = _mails(args, view, planned, made, options) if args.mail else ()
        if args.branch:
            publish(view, repository, args.branch, made)
    return replace(made, branch=args.branch or ""), mails


def _mails(
    args: argparse.Namespace,
    view: Workspace,
    planned: Plan,
    made: Written,
    options: SeriesOptions,
) -> tuple[Path, ...]:
    from uplift.backport.mail import Envelope, cover_mail, patch_mails, write_mails
    from uplift.backport.sru import cover_text

    envelope = Envelope(options.profile, options.committer, args.series, args.reroll)
    cover = cover_text(view, options.profile, planned, made, options.links)
    shas = [commit.sha for commit in made.commits]
    first = cover_mail(envelope, cover.subject, cover.text, len(shas), pull=cover.pull)
    return write_mails(args.mail, [first, *patch_mails(view, shas, envelope)])


def _sender(text: str) -> Person:
    from uplift.backport.model import Person

    name, email = os.environ.get("DEBFULLNAME", ""), os.environ.get("DEBEMAIL", "")
    found = _SENDER.fullmatch(text.strip() or f"{name} <{email}>")
    if found is None:
        raise UpliftError(
            "cannot write commits",
            "nobody is named as their sender",
            "give --sender 'Name <mail>', or set DEBFULLNAME and DEBEMAIL",
        )
    return Person(found["name"], found["email"], int(time.time()), "+0000")


def run_lint(args: argparse.Namespace) -> int:
    """Check a series."""
    from uplift.backport.lint.model import Severity
    from uplift.backport.lint.show import as_mail, as_text
    from uplift.backport.profiles import load_profile
    from uplift.report.backport import lint_to_json

    found = _findings(args, load_profile(args.profile))
    if args.json:
        output.print_json(lint_to_json(args.profile, found))
    else:
        print(as_mail(found) if args.reply else as_text(found), end="")
    fails = {Severity.ERROR, Severity.WARNING} if args.strict else {Severity.ERROR}
    return FOUND if any(finding.severity in fails for finding in found) else 0


def _findings(args: argparse.Namespace, profile: Profile) -> tuple[Finding, ...]:
    from uplift.backport.lint.releases import supported_releases
    from uplift.backport.lint.run import Against, lint_mails, lint_range
    from uplift.cli.backport import opened

    against = Against(
        upstream=args.upstream or "",
        target=args.target,
        series=tuple(word for word in args.series.split(",") if word),
        releases=supported_releases(),
    )
    with opened(args.repo) as (workspace, index):
        first, dots, last = args.what[0].partition("..")
        if len(args.what) == 1 and dots and not Path(args.what[0]).exists():
            cover = _read_cover(args.cover)
            ends = (first or "HEAD", last or "HEAD")
            return lint_range(workspace, index, *ends, profile, against, cover_text=cover)
        paths = [Path(name) for name in args.what]
        return lint_mails(workspace, index, args.base, paths, profile, against)


def _read_cover(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise UpliftError(
            f"cannot read the cover letter {path}", error.strerror or str(error), "check its name"
        ) from error
