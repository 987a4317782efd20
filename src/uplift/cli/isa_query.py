"""``uplift isa query``: questions to the results of ``uplift isa archive``."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.cli.once import Once
from uplift.cli.targets import add_overlay_option
from uplift.errors import UpliftError

if TYPE_CHECKING:
    from uplift.isa.archive_query import Archive, Table
    from uplift.isa.unused import Chip

_QUESTIONS = "summary, violations, uses, unused, candidates, refused"
_MAX_PROFILE = 16 << 20


def add_to(actions: Any) -> None:
    """Add the command to those of ``uplift isa``."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "query",
        help="questions to the results of an archive's audit",
        description="Ask: summary; violations (of --baseline); uses (of a set: --set); unused "
        "(features of --chip, by package); candidates (sources to rebuild for --chip, best "
        "first); refused. Or --sql: one SELECT from packages, files, sets, functions, which "
        "can read nothing else.",
    )
    add = parser.add_argument
    add("results", type=Path, metavar="DIR", help="results of `uplift isa archive`")
    add("question", nargs="?", default="", metavar="QUESTION", help=_QUESTIONS)
    add("--sql", default="", metavar="SELECT", help="a query of your own")
    add("--set", default="", help="an instruction set: avx2, sve, zbb, …")
    add("--baseline", default="", metavar="LEVEL", help="default: each architecture's lowest")
    add("--chip", action=Once, default="", help="named as for `uplift chip show`")
    add("--profile", type=Path, metavar="FILE",
        help="what `perf report --stdio --sort dso` printed")  # fmt: skip
    add("--limit", type=int, default=50, metavar="N", help="rows at most (50)")
    add("--html", type=Path, metavar="FILE", help="write a page on the whole archive; needs --chip")
    add("--json", action="store_true", help="print uplift-isa-query/1 JSON")
    add_overlay_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer one question, write the page, or both."""
    from uplift.cli.isa import chip_of_user
    from uplift.isa.archive_query import READY, opened

    if args.question and args.question not in READY:
        raise _usage(f"{args.question[:40]!r} is no question", f"ask one of {_QUESTIONS}")
    if bool(args.question) + bool(args.sql) > 1:
        raise _usage("both QUESTION and --sql are given", "give one of them")
    if args.limit < 1:
        raise _usage("--limit is not positive", "give how many rows")
    needs_chip = args.question in ("unused", "candidates") or args.html
    if needs_chip and not args.chip:
        raise _usage("no chip is named", "name it: --chip znver5")
    if args.question == "uses" and not args.set:
        raise _usage("no set is named", "name it: --set avx2")
    chip = chip_of_user(args) if args.chip else None
    with opened(args.results, args.baseline, chip, _runtime(args.profile)) as archive:
        if args.html:
            assert chip is not None
            _write_page(args, archive, chip)
        if args.question or args.sql or not args.html:
            _show(args, _answer(args, archive))
    return 0


def _answer(args: argparse.Namespace, archive: Archive) -> Table:
    if args.sql:
        return archive.sql(args.sql, args.limit)
    values = [args.set] if args.question == "uses" else []
    return archive.ask(args.question or "summary", values, args.limit)


def _write_page(args: argparse.Namespace, archive: Archive, chip: Chip) -> None:
    from uplift.report.archive_html import page, render

    text = render(page(archive, chip, args.baseline, args.profile is not None))
    output.write_file(args.html, text)


def _runtime(profile: Path | None) -> dict[str, float] | None:
    from uplift.isa.archive_query import perf_shares

    if profile is None:
        return None
    try:
        with profile.open(encoding="utf-8", errors="replace") as stream:
            return perf_shares(stream.read(_MAX_PROFILE).splitlines())
    except OSError as error:
        raise UpliftError(
            f"cannot read the profile {str(profile)!r}",
            error.strerror or str(error),
            "name a file that you may read",
        ) from None


def _show(args: argparse.Namespace, table: Table) -> None:
    if args.json:
        output.print_json(
            {
                "schema": "uplift-isa-query/1",
                "question": args.question or ("sql" if args.sql else "summary"),
                "columns": list(table.columns),
                "rows": [[_plain(value) for value in row] for row in table.rows],
                "cut": table.cut,
            }
        )
        return
    from rich.table import Table as Shown
    from rich.text import Text

    from uplift.report.terminal import safe

    shown = Shown(box=None, pad_edge=False, header_style="bold")
    for name in table.columns:
        shown.add_column(Text(safe(name)), overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(safe(_text(value))) for value in row))
    output.console().print(shown)
    if table.cut:
        print("there are more rows: --limit", file=sys.stderr)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; numbers too large for it, dates and the like as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        more = f" and {len(value) - 6} more" if len(value) > 6 else ""
        return ", ".join(str(one) for one in value[:6]) + more
    return "" if value is None else str(value)


def _usage(cause: str, fix: str) -> UpliftError:
    return UpliftError("cannot query the results", cause, fix)
