"""What differs between platforms, for a terminal and as JSON (``uplift-diff/1``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.report.terminal import safe
from uplift.resolve.difference_model import (
    CAUSES,
    Cause,
    Comparison,
    Counted,
    Kind,
    PlatformDifference,
    Row,
    Side,
)

SCHEMA = "uplift-diff/1"

HEADINGS: Mapping[Kind, str] = {
    Kind.DEFAULT: "What each does unless told otherwise",
    Kind.FEATURE: "Features that only some pass on",
    Kind.WORDS: "What components know",
    Kind.VERSION: "Versions",
}
_STYLE = {
    Cause.AVOIDABLE: "bold red",
    Cause.INTENDED: "green",
    Cause.RELEASE: "cyan",
    Cause.INHERENT: "dim",
    Cause.UNKNOWN: "yellow",
}
_NAMES_SHOWN = 5
_WORDS_SHOWN = 8
_NOTES_SHOWN = 8


def counts(comparison: Comparison) -> Mapping[Cause, int]:
    """Return how many differences, each shown as a row, have which cause."""
    counted = Counter(difference.cause for difference in comparison.differences)
    return {cause: counted[cause] for cause in CAUSES}


def side_line(side: Side) -> str:
    """Return what a side is, in short."""
    words = [side.kind, side.arch]
    if side.kernel:
        words.append(f"Linux {'.'.join(map(str, side.kernel))}")
    for label, fact in (("glibc", "libc.version"), ("gcc", "compiler.gcc.version")):
        if side.text(fact):
            words.append(f"{label} {side.text(fact)}")
    when = side.facts.snapshot.collected_at[:10]
    return ", ".join([*filter(None, words), *([f"recorded {when}"] if when else [])])


def heading(difference: PlatformDifference) -> str:
    """Return what a row is about; of many features the first, and how many more."""
    if difference.kind is not Kind.FEATURE:
        return difference.title
    shown = ", ".join(difference.names[:_NAMES_SHOWN])
    more = len(difference.names) - _NAMES_SHOWN
    return shown + (f" and {more} more" if more > 0 else "")


def remedy(difference: PlatformDifference) -> str:
    """Return what removes a difference or, where nothing is known to, why it is there."""
    return difference.change or difference.why


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Return the whole comparison; keys are only ever added within one schema version."""
    return {
        "schema": SCHEMA,
        "sides": [_side(side) for side in comparison.sides],
        "compared": {kind.value: count for kind, count in comparison.compared.items()},
        "counts": {cause.value: count for cause, count in counts(comparison).items()},
        "differences": [_difference(difference) for difference in comparison.differences],
        "counted": [_counted(group) for group in comparison.counted],
        "not_compared": list(comparison.not_compared),
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "kind": side.kind,
        "arch": side.arch,
        "release": side.system or None,
        "kernel": ".".join(map(str, side.kernel)) or None,
        "snapshot": side.facts.snapshot.digest,
    }


def _difference(difference: PlatformDifference) -> dict[str, Any]:
    return {
        "kind": difference.kind.value,
        "id": difference.id,
        "title": difference.title,
        "area": difference.area or None,
        "values": [value or None for value in difference.values],
        "cause": difference.cause.value,
        "why": difference.why,
        "change": difference.change or None,
        "source": difference.source,
        "worth": difference.worth,
        "names": list(difference.names),
    }


def _counted(group: Counted) -> dict[str, Any]:
    return {
        "kind": group.kind.value,
        "id": group.id,
        "title": group.title,
        "cause": group.cause.value,
        "count": len(group.rows),
        "rows": [
            {"name": row.name, "values": list(row.values), "note": row.note or None}
            for row in group.rows
        ],
    }


def print_comparison(comparison: Comparison, console: Console, show_all: bool = False) -> None:
    """Print what a user meets first; ``show_all`` lists what is otherwise counted."""
    _print_head(comparison, console)
    for kind in (Kind.DEFAULT, Kind.FEATURE, Kind.WORDS):
        rows = [d for d in comparison.differences if d.kind is kind]
        if rows:
            console.print(Text(f"\n{HEADINGS[kind]}", style="bold"))
            console.print(_table(rows, comparison.sides))
    _print_versions(comparison, console)
    _print_noted(comparison.counted, console)
    _print_counted(comparison, console, show_all)
    for line in comparison.not_compared:
        console.print(Text(f"not compared: {safe(line)}", style="dim"))


def _print_head(comparison: Comparison, console: Console) -> None:
    width = max(len(side.name) for side in comparison.sides)
    for side in comparison.sides:
        name = f"{safe(side.name):<{width}}"
        console.print(Text.assemble((name, "bold"), f"  {safe(side_line(side))}"))
    line = Text()
    for cause, count in counts(comparison).items():
        if count:
            line.append(f"{count} {cause.value}", style=_STYLE[cause])
            line.append(f" ({CAUSES[cause].partition(':')[0]})  ", style="dim")
    console.print(line if line else Text("nothing that a user meets differs", style="green"))


def _table(rows: Iterable[PlatformDifference], sides: Sequence[Side]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold", ratio=5)
    for side in sides:
        table.add_column(safe(side.name), overflow="fold", ratio=2, min_width=8)
    table.add_column("whose", no_wrap=True)
    table.add_column("what removes it, or why it is so", overflow="fold", ratio=7)
    for row in rows:
        table.add_row(
            Text(safe(heading(row))),
            *(Text(safe(_short(row, value))) for value in row.values),
            Text(row.cause.value, style=_STYLE[row.cause]),
            Text(safe(remedy(row)), style="" if row.change else "dim"),
        )
    return table


def _short(row: PlatformDifference, value: str) -> str:
    """Return a value; of many words the first, and how many more."""
    words = value.split(", ")
    if row.kind is not Kind.WORDS or len(words) <= _WORDS_SHOWN:
        return value or "?"
    return f"{', '.join(words[:_WORDS_SHOWN])} and {len(words) - _WORDS_SHOWN} more"


def _print_versions(comparison: Comparison, console: Console) -> None:
    """Print versions in one line each release, one line a component where one could be changed."""
    rows = [d for d in comparison.differences if d.kind is Kind.VERSION]
    followed = [d for d in rows if d.cause is Cause.RELEASE]
    if rows:
        console.print(Text(f"\n{HEADINGS[Kind.VERSION]}", style="bold"))
    if followed:
        line = ", ".join(f"{d.title} {' → '.join(v or '?' for v in d.values)}" for d in followed)
        console.print(Text(f"{safe(line)}"))
    rest = [d for d in rows if d not in followed]
    if rest:
        console.print(_table(rest, comparison.sides))


def _print_noted(groups: Sequence[Counted], console: Console) -> None:
    """Print options that somebody set on purpose, with the note."""
    rows = [row for group in groups if group.cause is Cause.INTENDED for row in group.rows]
    if not rows:
        return
    console.print(Text("\nSet differently on purpose", style="bold"))
    for row in rows[:_NOTES_SHOWN]:
        console.print(Text.assemble(f"{row.name}  {said(row)}  ", (safe(row.note), "dim")))


def said(row: Row) -> str:
    """Return a row's values, side by side."""
    return " → ".join("not there" if v is None else safe(v) for v in row.values)


def _print_counted(comparison: Comparison, console: Console, show_all: bool) -> None:
    groups = comparison.counted
    if not groups:
        return
    hint = "" if show_all else " (--all lists it, --html makes it searchable)"
    console.print(Text.assemble(("\nCounted, not shown", "bold"), (hint, "dim")))
    width = max(len(f"{len(group.rows):,}") for group in groups)
    for group in groups:
        console.print(
            Text.assemble(
                f"{len(group.rows):>{width},}  {group.title}  ",
                (group.cause.value, _STYLE[group.cause]),
            )
        )
        if show_all:
            for row in group.rows:
                console.print(Text(f"    {safe(row.name)}  {said(row)}", style="dim"))
