"""``uplift scan``: the report card of machines and recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.cli.targets import (
    TARGET_HELP,
    add_overlay_option,
    add_target_options,
    catalog_and_snapshots,
    judge,
    options_of,
)
from uplift.errors import FOUND, UpliftError
from uplift.facts import snapshot_file
from uplift.facts.model import Snapshot

if TYPE_CHECKING:
    from uplift.report.model import ScanReport

SET_SCHEMA = "uplift-scan-set/1"


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "scan",
        help="the report card of this machine, of machines over ssh, or of a recording",
        description="Record a machine, follow every feature of its chip through the stack, and "
        "say for each where it stops, whose stop that is and what lifts it.",
    )
    parser.add_argument("target", nargs="*", metavar="TARGET", help=TARGET_HELP)
    add_target_options(parser)
    add_overlay_option(parser)
    parser.add_argument("--all", action="store_true", help="show what the hardware lacks, too")
    parser.add_argument("--json", action="store_true", help="print uplift-scan/1 JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write the snapshot, redacted (see --no-redact)"
    )
    parser.add_argument(
        "--no-redact",
        action="store_true",
        help="save serials, UUIDs, MAC and IP addresses, host and user names as they are",
    )
    parser.add_argument(
        "--fail-on",
        choices=("stopped", "hidden", "absent", "unknown"),
        action="append",
        default=[],
        help="exit with 1 when a feature ends so (repeatable)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scan every target; one that fails never costs the others."""
    if len(args.target) > 1 and (args.html or args.save):
        raise UpliftError(
            "cannot write one file for several targets",
            f"{len(args.target)} targets were given with --html or --save",
            "scan them one by one, or use --json",
        )
    catalog, answers = catalog_and_snapshots(args.target, options_of(args), args.overlay)
    reports: list[ScanReport] = []
    worst = 0
    for name, taken in answers:
        if isinstance(taken, UpliftError):
            print(taken, file=sys.stderr)
            worst = max(worst, taken.exit_code)
            continue
        reports.append(judge(catalog, name, taken))
        if not args.json:
            _show(reports[-1], args)
        _write_files(reports[-1], taken, args)
    if args.json and reports:
        _print_json(reports, several=len(args.target) > 1)
    return worst or _found(reports, args.fail_on)


def _show(report: ScanReport, args: argparse.Namespace) -> None:
    from uplift.report.terminal import TerminalReport

    console = output.console()
    if len(args.target) > 1:
        console.rule(report.target)
    TerminalReport(report, output.unicode_output(), args.all).print(console)


def _write_files(report: ScanReport, snapshot: Snapshot, args: argparse.Namespace) -> None:
    if args.html:
        from uplift.report.html import render_html

        output.write_file(args.html, render_html(report))
        print(f"page: {args.html}", file=sys.stderr)
    if args.save:
        from uplift.facts.redaction import redact_snapshot

        snapshot_file.save(snapshot if args.no_redact else redact_snapshot(snapshot), args.save)
        kept = "as recorded" if args.no_redact else "redacted"
        print(f"snapshot ({kept}): {args.save}", file=sys.stderr)


def _print_json(reports: list[ScanReport], several: bool) -> None:
    from uplift.report.scan_json import scan_to_json

    documents = [scan_to_json(report) for report in reports]
    if not several:
        output.print_json(documents[0])
        return
    labels = dict.fromkeys(label for document in documents for label in document["labels"])
    output.print_json({"schema": SET_SCHEMA, "labels": list(labels), "scans": documents})


def _found(reports: list[ScanReport], endings: list[str]) -> int:
    return FOUND if any(r.counts[ending] for r in reports for ending in endings) else 0
