"""An audit of binaries for a terminal: one file in full, many as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.catalog.model import Feature
from uplift.isa import baseline
from uplift.isa.model import FunctionAudit, Reach
from uplift.isa.tally import Tally
from uplift.isa.unused import Fit
from uplift.report.isa import AuditReport, FileReport, address
from uplift.report.isa_verdict import verdict
from uplift.report.labels import Marks, print_banner
from uplift.report.terminal import safe

STYLE = {Reach.ALWAYS: "bold red", Reach.UNKNOWN: "bold yellow", Reach.DISPATCHED: "green"}
_LEGEND = (
    "always: no guard on the way · unknown: nobody saw how it is reached, which is not safe · "
    "dispatched: only after a test of the processor"
)
_VERDICT = {"runs": "bold green", "needs": "bold red", "unknown": "bold yellow"}
_FUNCTIONS = 5  #: functions shown of a group unless all are asked for
_GROUPS = 6  #: ways of being reached that are shown unless all are asked for
_NAMES = 12  #: features or sets named in one line
_FEW = 4  #: sets named in a cell of the table of many files
_SKIPPED = 5


class AuditText:
    """Prints one audit; ``every`` shows all functions."""

    def __init__(
        self, report: AuditReport, console: Console, unicode: bool = True, every: bool = False
    ) -> None:
        self._report, self._console, self._every = report, console, every
        self._unicode = unicode
        self._marks = Marks(report.labels, unicode)

    def print(self) -> None:
        """Print every file: whole where it is one or functions are asked for, else as a row."""
        print_banner(self._marks, self._console)
        files = self._report.files
        if len(files) == 1 or self._every:
            for file in files:
                self._file(file)
        elif files:
            self._table(files)
        self._skipped()

    def _line(self, name: str, text: Text) -> None:
        head = Text.assemble((f"  {name:<15}", "dim"), text)
        self._console.print(_hanging(head, self._console.width, 17))

    def _legend(self) -> None:
        text = _LEGEND if self._unicode else _LEGEND.replace("·", "|")
        self._console.print(_hanging(Text(f"  {text}", style="dim"), self._console.width, 2))

    # one file

    def _file(self, file: FileReport) -> None:
        self._console.print(_head(file))
        found = verdict(file)
        self._line("verdict", Text(safe(found.text), style=_VERDICT[found.known]))
        for reason in found.because:
            self._line("because", Text(safe(reason)))
        self._chip(file)
        self._line("functions", _counts(file))
        if file.sets:
            self._console.print()
            self._console.print(_sets(file))
            self._legend()
            self._console.print()
            self._functions(file)
        if file.unreached:
            self._line("perhaps data", _unreached(file))
        if file.audit.identity.properties:
            self._line("properties", Text(safe(", ".join(file.audit.identity.properties))))
        if file.audit.identity.package:
            self._line("package", Text(safe(_package(file))))
        for note in file.audit.notes:
            self._line("note", Text(safe(note)))
        self._console.print()

    def _functions(self, file: FileReport) -> None:
        """List functions under how they are reached and by what that was told."""
        groups: dict[tuple[Reach, tuple[str, ...]], list[FunctionAudit]] = {}
        for function in file.functions:
            groups.setdefault((function.reach, function.evidence), []).append(function)
        every = self._every
        for (reach, evidence), functions in list(groups.items())[: None if every else _GROUPS]:
            self._group(reach, evidence, functions)
        more = len(groups) - _GROUPS
        if more > 0 and not every:
            rest = sum(len(functions) for functions in list(groups.values())[_GROUPS:])
            told = f"  and {rest} more: --functions shows every function"
            self._console.print(Text(told, style="dim"))

    def _group(
        self, reach: Reach, evidence: tuple[str, ...], functions: Sequence[FunctionAudit]
    ) -> None:
        why = f": {safe('; '.join(evidence))}" if evidence else ""
        head = Text.assemble(f"  {len(functions)} ", (reach.value, STYLE[reach]), why)
        self._console.print(_hanging(head, self._console.width, 4))
        shown = functions if self._every else functions[:_FUNCTIONS]
        self._console.print(_function_table(shown))
        if len(functions) > len(shown):
            rest = f"      and {len(functions) - len(shown)} more of these"
            self._console.print(Text(rest, style="dim"))

    # a chip

    def _chip(self, file: FileReport) -> None:
        chip, fit = self._report.chip, file.fit
        if chip is None:
            return
        name = f"{safe(chip.name)}{self._marks.on(chip.labels)}"
        if fit is None:
            self._line("chip", Text(f"{name} is of another architecture: {chip.arch}"))
            return
        self._line("chip", Text(f"{name}: ").append_text(_runs(fit)))
        self._line(f"uses {len(fit.used)}", self._features(fit.used))
        self._line(f"unused {len(fit.unused)}", self._features(fit.unused))

    def _features(self, features: Sequence[Feature]) -> Text:
        names = [self._feature(feature) for feature in features]
        return Text(_some(names, None if self._every else 2 * _NAMES) or "none")

    def _feature(self, feature: Feature) -> str:
        return safe(feature.id.partition("/")[2]) + self._marks.of(feature)

    # many files

    def _table(self, files: Sequence[FileReport]) -> None:
        rows = [file for file in files if file.sets]
        if rows:
            place = _place([file.audit.path for file in rows])
            if place:
                self._console.print(Text(f"  in {safe(place.rstrip('('))}", style="bold"))
            self._console.print(self._files(rows, place))
            self._legend()
        base = len(files) - len(rows)
        told = f"  {len(files)} files, {base} of them with nothing above the base"
        self._console.print(Text(told))
        self._console.print(
            Text("  name one file, or --functions, to see its functions", style="dim")
        )

    def _files(self, rows: Iterable[FileReport], place: str) -> Table:
        table = _plain_table()
        table.add_column("file", overflow="fold", ratio=4)
        table.add_column("surely runs on", ratio=2)
        for reach in Reach:
            table.add_column(reach.value, overflow="fold", ratio=3)
        if self._report.chip:
            table.add_column(safe(self._report.chip.name), overflow="fold", ratio=3)
        for file in rows:
            cells = [Text(_some(_of_reach(file, reach), _FEW), STYLE[reach]) for reach in Reach]
            name = file.audit.path[len(place) :]
            name = name.removesuffix(")") if place.endswith("(") else name
            row = [Text(safe(name)), _level_cell(file), *cells]
            if self._report.chip:
                row.append(self._fit_cell(file))
            table.add_row(*row)
        return table

    def _fit_cell(self, file: FileReport) -> Text:
        if file.fit is None:
            return Text("another architecture", style="dim")
        cell = _runs(file.fit)
        names = [self._feature(feature) for feature in file.fit.unused]
        return cell.append(f"; unused: {_some(names, _FEW)}", style="default")

    def _skipped(self) -> None:
        skipped = self._report.skipped
        for one in skipped[:_SKIPPED]:
            self._console.print(Text(f"  not audited: {safe(one.path)}: {one.why}", style="yellow"))
        if len(skipped) > _SKIPPED:
            more = f"  and {len(skipped) - _SKIPPED} more were not audited: --json names them"
            self._console.print(Text(more, style="yellow"))


def _place(paths: Sequence[str]) -> str:
    """Return the directory, package or static library that all of several files lie in."""
    if len(paths) < 2:
        return ""
    first, last = min(paths), max(paths)  # what these two share, all do
    pairs = enumerate(zip(first, last, strict=False))
    same = next((at for at, (one, other) in pairs if one != other), len(first))
    return first[: max(first.rfind(sign, 0, same) for sign in "/(") + 1]


def level_lines(report: AuditReport) -> Iterator[str]:
    """Return for each file the level at which it surely runs, a tab, and its path."""
    for file in report.files:
        yield f"{file.audit.level or 'none'}\t{safe(file.audit.path)}"


def _package(file: FileReport) -> str:
    return ", ".join(f"{key} {value}" for key, value in file.audit.identity.package.items())


def _level_cell(file: FileReport) -> Text:
    level = file.audit.level
    style = "green" if level == baseline.lowest(file.audit.arch) else "default"
    return Text(level, style=style) if level else Text("not sure of any", style="bold yellow")


def _head(file: FileReport) -> Text:
    audit, about = file.audit, file.audit.identity
    soname = about.soname if about.soname not in audit.path else ""
    words = [audit.arch, about.kind, soname, *about.languages]
    head = Text(safe(audit.path), style="bold")
    return head.append(f"  {safe(', '.join(word for word in words if word))}", style="default")


def _counts(file: FileReport) -> Text:
    total = file.audit.function_count
    if not file.functions:
        return Text(f"none of {total} holds an instruction above the base")
    text = Text(f"{len(file.functions)} of {total} hold instructions above the base: ")
    for reach in Reach:
        count = sum(function.reach is reach for function in file.functions)
        text.append(f"{count} {reach.value}  ", style=STYLE[reach] if count else "dim")
    return text


def _sets(file: FileReport) -> Table:
    table = _plain_table()
    table.add_column("  set", no_wrap=True)
    table.add_column("instructions", justify="right")
    for reach in Reach:
        table.add_column(reach.value, justify="right")
    table.add_column("first of the worst", overflow="fold")
    ordered = sorted(file.sets.items(), key=lambda item: list(Reach).index(item[1].reach))
    for name, tally in ordered:
        cells = [_count(tally, reach) for reach in Reach]
        where = f"{safe(tally.function)} at {address(tally.first)}"
        table.add_row(
            Text(f"  {name}", style=STYLE[tally.reach]), str(tally.count), *cells, Text(where)
        )
    return table


def _count(tally: Tally, reach: Reach) -> Text:
    count = tally.functions[reach]
    return Text(str(count), style=STYLE[reach]) if count else Text("-", style="dim")


def _function_table(functions: Iterable[FunctionAudit]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column("function", overflow="fold", ratio=5)
    table.add_column("at", no_wrap=True)
    table.add_column("sets", overflow="fold", ratio=4)
    for function in functions:
        sets = ", ".join(function.sets)
        unnamed = function.name == address(function.address)
        place = "" if unnamed else address(function.address)
        table.add_row(Text(f"      {safe(function.name)}"), place, Text(sets, style="dim"))
    return table


def _runs(fit: Fit) -> Text:
    """Say whether a file runs on a chip, and if not surely, what stands against it."""
    if fit.runs:
        return Text("surely runs", style="green")
    always = [name for name, reach in fit.missing.items() if reach is Reach.ALWAYS]
    perhaps = [name for name, reach in fit.missing.items() if reach is not Reach.ALWAYS]
    if always:
        return Text(f"dies where it reaches {_some(always, _FEW)}", style="bold red")
    if perhaps:
        return Text(f"may die: it lacks {_some(perhaps, _FEW)}", style="bold yellow")
    return Text(f"unknown: nobody tells of {_some(tuple(fit.open), _FEW)}", style="bold yellow")


def _unreached(file: FileReport) -> Text:
    found = (f"{name} {tally.count}" for name, tally in file.unreached.items())
    told = _some(tuple(found), _NAMES)
    return Text(f"{told}: decoded where nothing was seen to lead", style="dim")


def _of_reach(file: FileReport, reach: Reach) -> list[str]:
    return [name for name, tally in file.sets.items() if tally.reach is reach]


def _some(names: Sequence[str], limit: int | None) -> str:
    shown = names[:limit] if limit else names
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _plain_table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _hanging(text: Text, width: int, indent: int) -> Text:
    """Wrap ``text`` with every line after the first set in."""
    lines = text.wrap(_MEASURE, max(width - indent, 40))
    rest = [Text(" " * indent).append_text(line) for line in lines[1:]]
    return Text("\n").join([lines[0], *rest]) if lines else text


_MEASURE = Console(width=200)
