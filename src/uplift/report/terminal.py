"""The scan for a terminal: headline, the picture, the stops by owner, what was not looked at."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.catalog.labels import labels_of
from uplift.catalog.model import Layer
from uplift.report.labels import Marks, print_banner
from uplift.report.model import ScanReport, StopGroup, ending, owner_labels
from uplift.resolve.model import ChipIdentity, Resolution, Status, Verdict

GLYPHS: Mapping[Status, tuple[str, str, str]] = {
    # status: (UTF-8, ASCII, style)
    Status.USED: ("■", "#", "bold green"),
    Status.OFFERED: ("●", "o", "green"),
    Status.STOPPED: ("✕", "X", "bold red"),
    Status.HIDDEN: ("◌", "h", "magenta"),
    Status.ABSENT: ("–", "-", "dim"),
    Status.UNKNOWN: ("?", "?", "yellow"),
    Status.NOT_APPLICABLE: ("·", ".", "dim"),
}
_ENDING_STYLE = {
    "used": "bold green",
    "offered": "green",
    "stopped": "bold red",
    "hidden": "magenta",
    "absent": "dim",
    "unknown": "yellow",
}
_LETTERS = {
    Layer.SILICON: "S",
    Layer.FIRMWARE: "F",
    Layer.KERNEL_BUILD: "B",
    Layer.KERNEL: "K",
    Layer.VIRTUALIZATION: "V",
    Layer.TOOLCHAIN: "T",
    Layer.LIBC: "C",
    Layer.LIBRARY: "L",
    Layer.NETWORK: "N",
    Layer.WORKLOAD: "W",
}
#: Endings that only ``--all`` shows.
_LEFT_OUT = {"absent": "that the hardware lacks", "unknown": "of which nobody can tell"}
_FEATURES_SHOWN = 6
_MAX_DIFFERS = 8


def safe(text: str) -> str:
    """Return ``text`` with control characters made visible: captures are hostile."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


class TerminalReport:
    """Renders one report; ``unicode`` off gives ASCII only."""

    def __init__(self, report: ScanReport, unicode: bool = True, show_all: bool = False) -> None:
        self.report = report
        self.unicode = unicode
        self.show_all = show_all
        self.marks = Marks(labels_of(report), unicode)

    def print(self, console: Console) -> None:
        """Print every part in reading order."""
        print_banner(self.marks, console)
        self._headline(console)
        self._picture(console)
        self._stops(console)
        self._not_looked_at(console)

    def _headline(self, console: Console) -> None:
        mark = self.marks.of(self.report.scan.identity)
        console.print(chip_line(self.report.scan.identity).append(mark))
        for name, text in self.report.headline.items():
            console.print(Text.assemble((f"  {name:<11}", "dim"), safe(text)))
        for line in identity_notes(self.report.scan.identity):
            console.print(Text(f"  {line}{mark}", style="yellow"))
        counts = Text("  features   ", style="dim")
        for name, count in self.report.counts.items():
            counts.append(f"{count} {name}  ", style=_ENDING_STYLE[name])
        console.print(counts)

    def _picture(self, console: Console) -> None:
        console.print()
        console.print(Text(_legend_layers(), style="bold"))
        console.print(self._legend_glyphs())
        shown = [r for r in self.report.ordered if self.show_all or ending(r) not in _LEFT_OUT]
        width = max((len(self._name(r)) for r in shown), default=0) + len(_LETTERS) + 3
        columns = max(1, console.width // width)
        rows = -(-len(shown) // columns)
        for row in range(rows):
            line = Text()
            for resolution in shown[row::rows]:
                line.append_text(self._cell(resolution, width))
            console.print(line, no_wrap=True, overflow="crop")
        if not self.show_all:
            left = (f"{self.report.counts[name]} {words}" for name, words in _LEFT_OUT.items())
            console.print(Text(f"and {', '.join(left)} (--all shows them)", style="dim"))

    def _cell(self, resolution: Resolution, width: int) -> Text:
        by_layer = {verdict.layer: verdict for verdict in resolution.verdicts}
        cell = Text()
        for layer in _LETTERS:
            cell.append_text(self.glyph(by_layer.get(layer)))
        name = f" {self._name(resolution):<{width - len(_LETTERS) - 1}}"
        cell.append(name, style=_ENDING_STYLE[ending(resolution)])
        return cell

    def _name(self, resolution: Resolution) -> str:
        return f"{resolution.feature.id}{self.marks.of(resolution)}"

    def glyph(self, verdict: Verdict | None) -> Text:
        """Return one layer's sign; a blank where the catalog asks nothing of the layer."""
        if verdict is None:
            return Text(" ")
        utf8, ascii_, style = GLYPHS[verdict.status]
        return Text(utf8 if self.unicode else ascii_, style=style)

    def _legend_glyphs(self) -> Text:
        legend = Text()
        for status, (utf8, ascii_, style) in GLYPHS.items():
            legend.append(f"{utf8 if self.unicode else ascii_} {status.value}  ", style=style)
        legend.append("order: catalog's worth (nothing measured yet)", style="dim")
        return legend

    def _stops(self, console: Console) -> None:
        groups = self.report.lifted
        if not groups:
            console.print("\nNothing that was looked at is stopped.")
            return
        owners: dict[str, list[StopGroup]] = {}
        for group in groups:
            owners.setdefault(group.owner, []).append(group)
        for owner, owned in owners.items():
            named = f"{safe(owner)}{self.marks.on(owner_labels(owned))}"
            console.print(Text(f"\nStopped, to be lifted by: {named}", style="bold"))
            console.print(self._stop_table(owned))

    def _stop_table(self, groups: Iterable[StopGroup]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True)
        table.add_column("  features", overflow="fold", ratio=3)
        table.add_column("stops at", no_wrap=True)
        table.add_column("cause", overflow="fold", ratio=4)
        table.add_column("lifted by", overflow="fold", ratio=4)
        for group in groups:
            names = [self._name(resolution) for resolution in group.features]
            shown = ", ".join(names[:_FEATURES_SHOWN])
            more = len(names) - _FEATURES_SHOWN
            remedy, mark = group.stop.remedy, self.marks.of(group.stop)
            table.add_row(
                Text(f"  {safe(shown)}{f' and {more} more' if more > 0 else ''}"),
                Text(group.layer.value, style="red"),
                Text(f"{safe(group.stop.cause)}{mark}"),
                Text(f"{remedy.kind}: {safe(remedy.do)}{mark}" if remedy else "nothing known"),
            )
        return table

    def _not_looked_at(self, console: Console) -> None:
        console.print()
        for title, captures in (
            ("root would add", self.report.denied),
            ("--deep would add", self.report.left_to_deep),
            ("not recorded whole", self.report.broken),
        ):
            if captures:
                names = ", ".join(safe(capture.id) for capture in captures[:_FEATURES_SHOWN])
                more = len(captures) - _FEATURES_SHOWN
                tail = f" and {more} more" if more > 0 else ""
                console.print(Text(f"{title}: {names}{tail}", style="dim"))
        console.print(Text("uplift explain FEATURE shows the evidence for each layer", style="dim"))


def chip_line(identity: ChipIdentity) -> Text:
    """Return the one line that names the chip."""
    line = Text(safe(identity.title or identity.codename), style="bold")
    detail = [identity.microarchitecture, identity.segment, identity.signature]
    line.append(f"  {safe(', '.join(word for word in detail if word))}")
    line.append(f"  [{identity.confidence}]", style="dim")
    return line


def identity_notes(identity: ChipIdentity) -> Iterator[str]:
    """Yield what a reader must know before trusting the name."""
    if identity.nearest:
        yield f"unknown chip, nearest {identity.nearest}"
    if identity.candidates:
        yield f"could be: {', '.join(identity.candidates)}"
    missing = [d.feature for d in identity.differs if d.expected]
    if missing:
        by = f", removed by {identity.removed_by}" if identity.removed_by else ""
        yield f"lacks {_some(missing)} of the chip{by}"
    extra = [d.feature for d in identity.differs if not d.expected]
    if extra and identity.nearest:
        yield f"has {_some(extra)} that {identity.nearest} lacks"


def _some(names: list[str]) -> str:
    more = len(names) - _MAX_DIFFERS
    return safe(", ".join(names[:_MAX_DIFFERS])) + (f" and {more} more" if more > 0 else "")


def _legend_layers() -> str:
    return "  ".join(f"{letter} {layer.value}" for layer, letter in _LETTERS.items())


def render(report: ScanReport, width: int | None = None, show_all: bool = False) -> str:
    """Return the plain text of a report, without colours."""
    width = width or shutil.get_terminal_size((100, 24)).columns
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None)
    TerminalReport(report, show_all=show_all).print(console)
    return out.getvalue()
