"""Code above a baseline, for a package build's log and as JSON: ``uplift-isa-check/1``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from uplift.isa.expectations import Finding, Judgement, Stale
from uplift.isa.file_list import Skipped
from uplift.isa.many import Refused
from uplift.isa.model import FileAudit
from uplift.report.isa import address
from uplift.report.terminal import safe

SCHEMA = "uplift-isa-check/1"
_SHOWN = 20  #: violations of one file unless all are asked for

Json = dict[str, Any]


@dataclass(frozen=True)
class CheckReport:
    """What a check of files against a baseline came to.

    :param baseline: as it was named; ``levels`` says what that is, by architecture.
    :param only_certain: what nobody saw reached does not fail the check.
    :param files: how many were judged.
    :param undetermined: files of which no level is sure.
    :param written: where what was found was written as expectations.
    """

    baseline: str
    levels: Mapping[str, str]
    only_certain: bool
    files: int
    judgement: Judgement
    refused: tuple[Refused, ...]
    skipped: tuple[Skipped, ...]
    written: str = ""
    undetermined: tuple[FileAudit, ...] = ()

    @property
    def failing(self) -> tuple[Finding, ...]:
        """What fails the check."""
        return self.judgement.unexpected(self.only_certain)

    @property
    def open(self) -> tuple[FileAudit, ...]:
        """The files of which nobody can say that they meet it; violations speak for themselves."""
        if self.only_certain:
            return ()
        return tuple(audit for audit in self.undetermined if not audit.violations)

    @property
    def met(self) -> bool:
        """Whether nothing fails, and every file could be read and be determined."""
        return not self.failing and not self.refused and not self.open

    @property
    def word(self) -> str:
        """What it came to: met, not met, undetermined."""
        if self.met:
            return "met"
        return "undetermined" if not self.failing and not self.refused else "not met"


def check_to_json(report: CheckReport) -> Json:
    """Return the whole check; keys are only ever added within one schema version."""
    found = report.judgement
    failing = set(map(id, report.failing))
    return {
        "schema": SCHEMA,
        "baseline": report.baseline,
        "levels": dict(report.levels),
        "only_certain": report.only_certain,
        "met": report.met,
        "files": report.files,
        "violations": [
            {**_finding(finding), "fails": id(finding) in failing} for finding in found.unexpected()
        ],
        "expected": [
            {**_finding(finding), "reason": finding.expected.reason}
            for finding in found.expected
            if finding.expected
        ],
        "stale": [_stale(stale) for stale in found.stale],
        "refused": [vars(refused) for refused in report.refused],
        "skipped": [vars(skipped) for skipped in report.skipped],
        "undetermined": [
            {"path": audit.path, "arch": audit.arch, "why": audit.undetermined}
            for audit in report.undetermined
        ],
    }


def _finding(finding: Finding) -> Json:
    return {
        "path": finding.audit.path,
        "arch": finding.audit.arch,
        "function": finding.violation.function,
        "address": address(finding.violation.address),
        "sets": list(finding.violation.sets),
        "certain": finding.violation.certain,
    }


def _stale(stale: Stale) -> Json:
    return {
        "file": stale.expectation.file,
        "function": stale.pattern,
        "reason": stale.expectation.reason,
    }


def print_check(report: CheckReport, console: Console, every: bool = False) -> None:
    """Print one line for each violation, as compilers do, and a summary.

    :param every: all violations, and all that was expected.
    """
    for line in _lines(report, every):
        console.print(line, soft_wrap=True)


def _lines(report: CheckReport, every: bool) -> Iterator[Text]:
    for group in _by_file(report.judgement.unexpected()):
        shown = group if every else group[:_SHOWN]
        yield from (_violation(finding, report.only_certain) for finding in shown)
        if len(group) > len(shown):
            path = safe(group[0].audit.path)
            yield Text(f"{path}: and {len(group) - len(shown)} more (--all lists them)", "dim")
    for finding in report.judgement.expected if every else ():
        reason = finding.expected.reason if finding.expected else ""
        yield Text(f"{_where(finding)}: expected: {safe(reason)}", style="dim")
    for stale in report.judgement.stale:
        told = f"{stale.expectation.file}: stale: the expectation of {stale.pattern!r} covers"
        yield Text(f"{safe(told)} nothing", style="yellow")
    for audit in report.undetermined:
        yield Text(f"{safe(audit.path)}: undetermined: {safe(audit.undetermined)}", style="yellow")
    for skipped in report.skipped:
        yield Text(f"{safe(skipped.path)}: not judged: {safe(skipped.why)}", style="yellow")
    if report.written:
        count = len(report.judgement.unreviewed)
        told = f"wrote {report.written}: {count} functions are expected that nobody looked at yet"
        yield Text(safe(told), style="yellow")
    yield _summary(report)


def _violation(finding: Finding, only_certain: bool) -> Text:
    sets = ", ".join(finding.violation.sets)
    if finding.violation.certain:
        return Text(
            f"{_where(finding)}: reached with no guard on the way, needs {sets}", style="red"
        )
    told = "may be reached (nobody saw a guard)"
    style = "dim" if only_certain else "yellow"
    return Text(f"{_where(finding)}: {told}, needs {sets}", style=style)


def _where(finding: Finding) -> str:
    name = finding.violation.function
    place = address(finding.violation.address)
    function = safe(name) if name == place else f"{safe(name)} at {place}"
    return f"{safe(finding.audit.path)}: {function}"


def _by_file(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.audit.path, []).append(finding)
    yield from groups.values()


def _unreviewed(found: Judgement) -> str:
    count = len(found.unreviewed)
    return f" ({count} of them not reviewed)" if count else ""


def _summary(report: CheckReport) -> Text:
    found = report.judgement
    open_ = found.unexpected()
    certain = sum(finding.violation.certain for finding in open_)
    counts = [
        f"functions above {report.baseline}: {certain} with no guard on the way",
        f"{len(open_) - certain} where nobody saw how they are reached",
        f"{len(found.expected)} expected{_unreviewed(found)}",
        f"{len(found.stale)} stale expectations",
    ]
    files = "1 file" if report.files == 1 else f"{report.files} files"
    where = f"{files} judged" + (f", {len(report.refused)} refused" if report.refused else "")
    style = {"met": "green", "undetermined": "yellow"}.get(report.word, "bold red")
    return Text.assemble((f"{safe(report.baseline)} {report.word}", style), f": {where}; ").append(
        ", ".join(counts)
    )
