"""The matrix for a terminal: for each chip a picture, then what stops it and what lifts that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.catalog.labels import union
from uplift.report.labels import Marks, print_banner
from uplift.report.matrix import MatrixReport, StopRow, differs, is_told
from uplift.report.terminal import safe
from uplift.resolve.chip_side import ChipSide
from uplift.resolve.matrix import Answer, Cell, Use

GLYPHS: Mapping[Answer, tuple[str, str, str]] = {
    # answer: (UTF-8, ASCII, style)
    Answer.USABLE: ("●", "o", "green"),
    Answer.STOPPED: ("✕", "X", "bold red"),
    Answer.ABSENT: ("–", "-", "dim"),
    Answer.UNKNOWN: ("?", "?", "yellow"),
    Answer.NOT_APPLICABLE: ("·", ".", "dim"),
}
_MEANINGS = {
    Answer.USABLE: "usable",
    Answer.STOPPED: "stopped",
    Answer.ABSENT: "the hardware lacks it",
    Answer.UNKNOWN: "unknown",
    Answer.NOT_APPLICABLE: "not asked",
}
_FEATURES = 6
_RELEASES = 4
_STOPS = 24  #: rows of the table of stops, unless all are asked for
_WIDTH = len(Use)


class MatrixText:
    """Renders one matrix; ``unicode`` off gives ASCII only.

    :param show_all: also what every release treats alike, and what the silicon lacks.
    """

    def __init__(self, report: MatrixReport, unicode: bool = True, show_all: bool = False) -> None:
        self.report = report
        self.unicode = unicode
        self.show_all = show_all
        self.marks = Marks(report.labels, unicode)

    def print(self, console: Console) -> None:
        """Print every chip, then the legend."""
        print_banner(self.marks, console)
        for chip in self.report.chips:
            self._chip(chip, console)
        self._legend(console)

    def _chip(self, chip: ChipSide, console: Console) -> None:
        rows = self.report.by_chip[chip.name]
        console.print(_title(chip))
        releases = [r for r in self.report.releases if any(r.name in c for c in rows.values())]
        if not releases:
            return
        told = {name: cells for name, cells in rows.items() if is_told(cells)}
        shown = rows if self.show_all else {n: c for n, c in told.items() if differs(c)}
        names = [release.name for release in releases]
        for part in _parts(names, console.width, max(map(len, shown), default=8)):
            self._picture(shown, part, console)
        self._left_out(rows, told, shown, console)
        self._stops(chip, console)
        console.print()

    def _picture(
        self, shown: Mapping[str, Mapping[str, Cell]], names: Sequence[str], console: Console
    ) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("  feature", no_wrap=True)
        for name in names:
            basis = "*" if self._is_cited(name) else ""
            table.add_column(Text(safe(name) + basis), no_wrap=True)
        for feature, cells in shown.items():
            glyphs = (self._glyphs(cells.get(name)) for name in names)
            marks = self.marks.on(union(*(cell.labels for cell in cells.values())))
            table.add_row(Text(f"  {safe(feature)}{marks}"), *glyphs)
        console.print(table)

    def _is_cited(self, name: str) -> bool:
        release = next(r for r in self.report.releases if r.name == name)
        return any(basis == "cited" for _, basis in release.sets)

    def _glyphs(self, cell: Cell | None) -> Text:
        text = Text()
        for use in Use:
            answer = cell.uses[use].answer if cell else Answer.NOT_APPLICABLE
            utf8, ascii_, style = GLYPHS[answer]
            text.append(utf8 if self.unicode else ascii_, style=style)
        return text

    def _left_out(
        self,
        rows: Mapping[str, Mapping[str, Cell]],
        told: Mapping[str, object],
        shown: Mapping[str, object],
        console: Console,
    ) -> None:
        if self.show_all:
            return
        alike = len(told) - len(shown)
        lacking = sum(_all_absent(cells) for cells in rows.values())
        unknown = len(rows) - len(told) - lacking
        text = (
            f"  and {alike} usable alike everywhere, {lacking} that the hardware lacks, {unknown} "
            "of which nobody can tell (--all shows them)"
        )
        console.print(Text(text, style="dim"))

    def _stops(self, chip: ChipSide, console: Console) -> None:
        stops = self.report.stops(chip.name)
        if not stops:
            return
        console.print(Text("\n  What stops them, and what lifts it", style="bold"))
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True)
        table.add_column("  features", overflow="fold", ratio=4)
        table.add_column("in", overflow="fold", ratio=3)
        table.add_column("stops at", no_wrap=True)
        table.add_column("cause", overflow="fold", ratio=4)
        table.add_column("lifted by", overflow="fold", ratio=4)
        shown = stops if self.show_all else stops[:_STOPS]
        for row in shown:
            table.add_row(*_stop_row(row))
        console.print(table)
        if len(stops) > len(shown):
            more = f"  and {len(stops) - len(shown)} more remedies (--all, --html)"
            console.print(Text(more, style="dim"))

    def _legend(self, console: Console) -> None:
        line = Text("each cell: ", style="dim")
        line.append(", ".join(use.value for use in Use) + "   ")
        for answer, (utf8, ascii_, style) in GLYPHS.items():
            line.append(f"{utf8 if self.unicode else ascii_} {_MEANINGS[answer]}  ", style=style)
        console.print(line)
        if any(self._is_cited(release.name) for release in self.report.releases):
            note = "* stands on documents; `uplift release record` replaces them by a recording"
            console.print(Text(note, style="dim"))
        for skipped in self.report.skipped:
            text = f"left out: {skipped.chip} on {skipped.release}: {skipped.why}"
            console.print(Text(safe(text), style="dim"))


def _title(chip: ChipSide) -> Text:
    line = Text(safe(chip.title or chip.name), style="bold")
    line.append(f"  {safe(chip.name)}, {chip.arch}", style="none")
    how = "a list" if chip.made else "a recording"
    line.append(f"  [{how}: {safe(chip.listed.source or chip.basis)}]", style="dim")
    return line


def _parts(names: Sequence[str], width: int, first: int) -> Iterable[Sequence[str]]:
    """Cut the releases so that each table fits the terminal."""
    part: list[str] = []
    used = first + 4
    for name in names:
        wide = max(len(name) + 1, _WIDTH) + 2
        if part and used + wide > width:
            yield part
            part, used = [], first + 4
        part.append(name)
        used += wide
    if part:
        yield part


def _all_absent(cells: Mapping[str, Cell]) -> bool:
    return all(cell.uses[Use.HOST].answer is Answer.ABSENT for cell in cells.values())


def _stop_row(row: StopRow) -> tuple[Text, Text, Text, Text, Text]:
    remedy = row.stop.remedy
    lifted = f"{remedy.kind}: {safe(remedy.do)}" if remedy else ""
    version = row.since.rpartition(" ")[2]
    since = f"{row.since} or later" if version and version not in lifted else ""
    lifted = " ".join(filter(None, (lifted, f"({since})" if lifted and since else since)))
    lifted = lifted or "nothing known"
    return (
        Text(f"  {safe(_some(row.features, _FEATURES))}"),
        Text(safe(_some(row.releases, _RELEASES))),
        Text(row.stop.layer.value, style="red"),
        Text(safe(row.stop.cause)),
        Text(f"{lifted}; {row.stop.owner}"),
    )


def _some(names: Sequence[str], limit: int) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")
