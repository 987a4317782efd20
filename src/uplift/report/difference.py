"""What differs between platforms, for a terminal and as JSON (``uplift-diff/1``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.report.labels import Marks, label_list, print_banner, with_labels
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
    """Return what removes a difference or, where nothing is known to, why it is there.

    Of what is intended, the reason comes first.
    """
    if difference.cause is Cause.INTENDED and difference.change:
        return f"{difference.why}; {difference.change}"
    return difference.change or difference.why


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Return the whole comparison; keys are only ever added within one schema version."""
    return {
        "schema": SCHEMA,
        "labels": label_list(comparison.labels),
        "sides": [_side(side) for side in comparison.sides],
        "compared": {kind.value: count for kind, count in comparison.compared.items()},
        "counts": {cause.value: count for cause, count in counts(comparison).items()},
        "differences": [_difference(difference) for difference in comparison.differences],
        "counted": [_counted(group) for group in comparison.counted],
        "not_compared": list(comparison.not_compared),
    }


def _side(side: Side) -> dict[str, Any]:
    document = {
        "name": side.name,
        "kind": side.kind,
        "arch": side.arch,
        "release": side.system or None,
        "kernel": ".".join(map(str, side.kernel)) or None,
        "snapshot": side.facts.snapshot.digest,
    }
    return with_labels(document, side.labels)


def _difference(difference: PlatformDifference) -> dict[str, Any]:
    document = {
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
    return with_labels(document, difference.labels)


def _counted(group: Counted) -> dict[str, Any]:
    document = {
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
    return with_labels(document, group.labels)


class ComparisonText:
    """Renders one comparison for a terminal; ``unicode`` off gives ASCII marks only."""

    def __init__(
        self, comparison: Comparison, unicode: bool = True, show_all: bool = False
    ) -> None:
        self.comparison = comparison
        self.show_all = show_all
        self.marks = Marks(comparison.labels, unicode)
        self.arrow = " → " if unicode else " -> "

    def print(self, console: Console) -> None:
        """Print what a user meets first; what is counted last."""
        print_banner(self.marks, console)
        self._head(console)
        for kind in (Kind.DEFAULT, Kind.FEATURE, Kind.WORDS):
            rows = [d for d in self.comparison.differences if d.kind is kind]
            if rows:
                console.print(Text(f"\n{HEADINGS[kind]}", style="bold"))
                console.print(self._table(rows))
        self._versions(console)
        self._noted(console)
        self._counted(console)
        for line in self.comparison.not_compared:
            console.print(Text(f"not compared: {safe(line)}", style="dim"))

    def _head(self, console: Console) -> None:
        sides = self.comparison.sides
        width = max(len(side.name) for side in sides)
        for side in sides:
            name = f"{safe(side.name):<{width}}{self.marks.of(side)}"
            console.print(Text.assemble((name, "bold"), f"  {safe(side_line(side))}"))
        line = Text()
        for cause, count in counts(self.comparison).items():
            if count:
                line.append(f"{count} {cause.value}", style=_STYLE[cause])
                line.append(f" ({CAUSES[cause]})  ", style="dim")
        console.print(line if line else Text("nothing that a user meets differs", style="green"))

    def _table(self, rows: Iterable[PlatformDifference]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("", overflow="fold", ratio=5)
        for side in self.comparison.sides:
            table.add_column(safe(side.name), overflow="fold", ratio=3, min_width=8)
        table.add_column("whose", no_wrap=True)
        table.add_column("what removes it, or why it is so", overflow="fold", ratio=7)
        for row in rows:
            table.add_row(
                Text(safe(heading(row)) + self.marks.of(row)),
                *(Text(safe(_short(row, value))) for value in row.values),
                Text(row.cause.value, style=_STYLE[row.cause]),
                Text(safe(remedy(row)), style="" if row.change else "dim"),
            )
        return table

    def _versions(self, console: Console) -> None:
        """Print versions that follow the release in one line, a row where one can be changed."""
        rows = [d for d in self.comparison.differences if d.kind is Kind.VERSION]
        followed = [d for d in rows if d.cause is Cause.RELEASE]
        if rows:
            console.print(Text(f"\n{HEADINGS[Kind.VERSION]}", style="bold"))
        if followed:
            shown = (f"{d.title} {self.arrow.join(v or '?' for v in d.values)}" for d in followed)
            console.print(Text(safe(", ".join(shown))))
        rest = [d for d in rows if d not in followed]
        if rest:
            console.print(self._table(rest))

    def _noted(self, console: Console) -> None:
        """Print options that somebody set on purpose, with the note."""
        groups = [group for group in self.comparison.counted if group.cause is Cause.INTENDED]
        rows = [row for group in groups for row in group.rows]
        if rows:
            console.print(Text("\nSet differently on purpose", style="bold"))
        for row in rows[:_NOTES_SHOWN]:
            said = self._said(row)
            console.print(Text.assemble(f"{safe(row.name)}  {said}  ", (safe(row.note), "dim")))

    def _said(self, row: Row) -> str:
        return self.arrow.join("not there" if v is None else safe(v) for v in row.values)

    def _counted(self, console: Console) -> None:
        groups = self.comparison.counted
        if not groups:
            return
        hint = "" if self.show_all else " (--all lists it, --html makes it searchable)"
        console.print(Text.assemble(("\nCounted, not shown", "bold"), (hint, "dim")))
        width = max(len(f"{len(group.rows):,}") for group in groups)
        for group in groups:
            count = f"{len(group.rows):>{width},}  "
            title = f"{group.title}{self.marks.of(group)}  "
            console.print(Text.assemble(count, title, (group.cause.value, _STYLE[group.cause])))
            for row in group.rows if self.show_all else ():
                console.print(Text(f"    {safe(row.name)}  {self._said(row)}", style="dim"))


def _short(row: PlatformDifference, value: str) -> str:
    """Return a value; of many words the first, and how many more."""
    words = value.split(", ")
    if row.kind is not Kind.WORDS or len(words) <= _WORDS_SHOWN:
        return value or "?"
    return f"{', '.join(words[:_WORDS_SHOWN])} and {len(words) - _WORDS_SHOWN} more"
