"""A rebuilt package for a terminal and as JSON: gains, costs, and how to install it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.isa.rebuild import Rebuilt
from uplift.isa.rebuild_audit import PackageChange
from uplift.isa.rebuild_autopkgtest import Ended
from uplift.isa.rebuild_compare import FileChange
from uplift.isa.rebuild_levels import DEBIAN_ARCH
from uplift.isa.rebuild_log import Outcome
from uplift.isa.rebuild_queue import Progress, Queue
from uplift.isa.rebuild_repository import sources_text, variant_setting
from uplift.report.terminal import safe

SCHEMA = "uplift-rebuild/1"
_STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.NONE: "yellow",
    Outcome.NOT_RUN: "yellow",
    Outcome.UNKNOWN: "yellow",
}
_ENDS = {
    Ended.PASSED: "green",
    Ended.FAILED: "bold red",
    Ended.SKIPPED: "yellow",
    Ended.NOT_RUN: "yellow",
}
_SHOWN = 8

Json = dict[str, Any]


def to_json(rebuilds: Sequence[Rebuilt], queue: Queue | None = None) -> Json:
    """Return rebuilds and a queue; keys are only ever added within one schema version."""
    return {
        "schema": SCHEMA,
        "rebuilds": [_rebuilt(each) for each in rebuilds],
        "queue": _queue(queue) if queue else None,
    }


def _rebuilt(each: Rebuilt) -> Json:
    arch = DEBIAN_ARCH[each.level.arch]
    return {
        "source": each.source,
        "version": {"before": each.version, "after": each.rebuilt},
        "level": {"name": each.level.name, "arch": each.level.arch, "march": each.level.march},
        "variant": each.variant or None,
        "compiler": {
            "name": each.compiler.name,
            "native": each.compiler.meant or None,
            "sets": sorted(name for name in each.compiler.allowed if "+" not in name),
            "machine_lacks": list(each.compiler.lacking),
        },
        "isolation": each.how,
        "suites": list(each.suites),
        "environment": dict(each.environment),
        "tests": {
            "status": each.tests.status.value,
            "why": each.tests.why,
            "summaries": list(each.tests.summaries),
        },
        "autopkgtest": [
            {"name": t.name, "status": t.ended.value, "why": t.why or None}
            for t in each.autopkgtest
        ],
        "compiler_lines": {"all": each.flags.compilers, "with_flag": each.flags.carrying},
        "compared_with": each.compared_with,
        "packages": [_package(package) for package in each.packages],
        "files": [_file(change) for change in each.files],
        "repository": {
            "path": str(each.repository.resolve()),
            "sources": sources_text(each.repository, arch, each.variant),
            "apt_conf": variant_setting(each.variant) if each.variant else None,
        },
        "installs_in_fresh_root": each.installed,
        "log": str(each.log),
        "seconds": dict(each.seconds),
        "notes": list(each.notes),
    }


def _pair(values: tuple[Any, Any]) -> Json:
    return {"before": values[0], "after": values[1]}


def _package(package: PackageChange) -> Json:
    return {
        "name": package.name,
        "file": package.file,
        "version": _pair(package.versions),
        "installed_kib": _pair(package.installed),
        "bytes": _pair(package.size),
    }


def _file(change: FileChange) -> Json:
    return {
        "path": change.path,
        "text_bytes": _pair(change.text),
        "functions": _pair(change.functions),
        "needs": _pair(change.needs),
        "runs_from": _pair(change.runs),
        "sets": {name: _pair(counts) for name, counts in change.sets.items()},
        "gained": [{"name": g.name, "sets": list(g.sets), "new": g.new} for g in change.gained],
        "redundant_dispatch": list(change.redundant),
        "violations": [
            {
                "function": v.function,
                "address": v.address,
                "sets": list(v.sets),
                "certain": v.certain,
            }
            for v in change.violations
        ],
        "notes": list(change.notes),
    }


def _queue(queue: Queue) -> Json:
    return {
        "level": queue.level,
        "counts": queue.counts(),
        "items": [
            {
                "source": item.source,
                "progress": item.progress.value,
                "why": item.why or None,
                "seconds": item.seconds,
                "tests": item.tests or None,
            }
            for item in queue.items
        ],
    }


def print_rebuilt(each: Rebuilt, console: Console) -> None:
    """Print what a rebuild changed."""
    title = f"{each.source} {each.version}"
    title += f" → {each.rebuilt}" if each.rebuilt != each.version else f" as {each.variant}"
    console.print(Text(safe(title), style="bold"))
    for name, value, style in _facts(each):
        console.print(Text.assemble((f"  {name:10}", "dim"), (safe(value), style)))
    console.print()
    console.print(_package_table(each.packages))
    console.print()
    console.print(_file_table(each.files))
    for line in _details(each.files):
        console.print(Text(safe(line)))
    _print_install(each, console)


def _facts(each: Rebuilt) -> Iterator[tuple[str, str, str]]:
    meant = f" = {each.compiler.meant}" if each.compiler.meant else ""
    yield "level", f"{each.level.name}{meant}  {each.level.march}  {each.compiler.name}", ""
    yield "built in", f"{', '.join(each.suites)}: {each.how}", ""
    yield "tests", f"{each.tests.status.value}: {each.tests.why}", _STYLES[each.tests.status]
    for line in each.tests.summaries[-_SHOWN:]:
        yield "", line, "dim"
    for test in each.autopkgtest:
        why = f": {test.why}" if test.why else ""
        yield "installed", f"{test.name} {test.ended.value}{why}", _ENDS[test.ended]
    if not each.autopkgtest and each.installed.startswith("yes"):
        yield "installed", "it brings no tests of itself as installed", "dim"
    yield "compared", f"with {each.compared_with}", ""
    carried = f"{each.flags.carrying} of {each.flags.compilers} compiler lines carry the flag"
    yield "flags", carried, ""
    yield "installs", each.installed, "green" if each.installed.startswith("yes") else "red"
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in each.seconds.items())
    yield "time", spent, ""
    for note in each.notes:
        yield "note", note, "yellow"


def _package_table(packages: Sequence[PackageChange]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("package")
    for name in ("installed KiB", "package bytes"):
        table.add_column(name, justify="right")
    for each in packages:
        table.add_row(safe(each.name), _change(each.installed), _change(each.size))
    return table


def _file_table(files: Sequence[FileChange]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    table.add_column(".text", justify="right")
    table.add_column("functions\nwith sets", justify="right")
    table.add_column("gained\n(new)", justify="right")
    table.add_column("dispatch\nredundant", justify="right")
    table.add_column("above\nlevel", justify="right")
    table.add_column("needs")
    for each in files:
        proven = len(each.proven)
        certain = sum(v.certain for v in each.violations)
        table.add_row(
            Text(safe(each.path)),
            _change(each.text),
            f"{each.functions[0]} → {each.functions[1]}",
            f"{proven} ({len(each.gained) - proven})",
            str(len(each.redundant)),
            Text(f"{certain}+{len(each.violations) - certain}?", "red" if certain else ""),
            Text(f"{each.needs[0] or '?'} → {each.needs[1] or '?'}"),
        )
    return table


def _change(values: tuple[int, int]) -> str:
    before, after = values
    percent = f" {100 * (after - before) / before:+.1f}%" if before else ""
    return f"{before:,} → {after:,}{percent}"


def _details(files: Sequence[FileChange]) -> Iterator[str]:
    for each in files:
        proven = [f"{g.name} ({' '.join(g.sets)})" for g in each.proven[:_SHOWN]]
        if proven:
            yield ""
            yield f"{each.path}: gained"
            yield from (f"  {line}" for line in proven)
        if each.redundant:
            more = f" and {len(each.redundant) - _SHOWN} more" * (len(each.redundant) > _SHOWN)
            yield f"{each.path}: dispatched for what the level always has"
            yield f"  {', '.join(each.redundant[:_SHOWN])}{more}"
        certain = [v for v in each.violations if v.certain][:_SHOWN]
        if certain:
            yield f"{each.path}: above the level, always reached"
            yield from (f"  {v.function} ({' '.join(v.sets)})" for v in certain)


def _print_install(each: Rebuilt, console: Console) -> None:
    entry = sources_text(each.repository, DEBIAN_ARCH[each.level.arch], each.variant)
    console.print(Text("\nto install: /etc/apt/sources.list.d/uplift.sources (not signed)", "bold"))
    console.print(Text(entry.rstrip()))
    if each.variant:
        console.print(Text("and /etc/apt/apt.conf.d/99uplift-variant", "bold"))
        console.print(Text(variant_setting(each.variant).rstrip()))


def print_queue(queue: Queue, console: Console) -> None:
    """Print how far a queue came."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("package", "progress", "seconds", "tests", "why"):
        table.add_column(name, overflow="fold")
    for item in queue.items:
        style = {Progress.DONE: "green", Progress.FAILED: "red"}.get(item.progress, "")
        row = (f"{item.seconds:.0f}" if item.seconds else "", item.tests, safe(item.why))
        table.add_row(safe(item.source), Text(item.progress.value, style), *map(Text, row))
    console.print(table)
    counts = ", ".join(f"{number} {name}" for name, number in queue.counts().items() if number)
    console.print(Text(f"{safe(queue.level)}: {counts}"))
