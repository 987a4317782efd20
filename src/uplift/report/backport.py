"""Presence and plans of upstream commits, for a terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.backport.lint.model import Finding
from uplift.backport.model import (
    Conflict,
    Evidence,
    Hunk,
    MissingSymbol,
    Plan,
    PlannedCommit,
    Presence,
    Role,
    State,
)
from uplift.backport.series import Written
from uplift.report.terminal import safe

STATUS_SCHEMA = "uplift-backport-status/1"
PLAN_SCHEMA = "uplift-backport-plan/1"
INDEX_SCHEMA = "uplift-backport-index/1"
SERIES_SCHEMA = "uplift-backport-series/1"
LINT_SCHEMA = "uplift-backport-lint/1"

_STYLES = {
    State.PRESENT: "green",
    State.REVERTED: "bold magenta",
    State.PARTIAL: "yellow",
    State.ABSENT: "bold red",
    State.UNDETERMINED: "dim",
}
_ROLES = {Role.REQUESTED: "bold", Role.PREREQUISITE: "cyan", Role.FOLLOW_UP: "yellow"}
_SHORT = 12
_SHOWN = 30  #: conflicts that are shown without being asked


@dataclass(frozen=True)
class BranchStatus:
    """Where commits stand on one branch.

    :param tip: the full sha that the branch was.
    """

    branch: str
    tip: str
    commits: tuple[Presence, ...]
    notes: tuple[str, ...] = ()


def status_to_json(status: BranchStatus) -> dict[str, Any]:
    """Return the states, in the order in which the commits were asked for."""
    return {
        "schema": STATUS_SCHEMA,
        "branch": status.branch,
        "tip": status.tip,
        "counts": dict(Counter(found.state.value for found in status.commits)),
        "commits": [_presence(found) for found in status.commits],
        "notes": list(status.notes),
    }


def plan_to_json(plan: Plan, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the plan; ``series`` is in the order in which it applies."""
    return {
        "schema": PLAN_SCHEMA,
        "onto": plan.onto,
        "applies": plan.applies,
        "tree": plan.tree or None,
        "series": [_planned(planned) for planned in plan.series],
        "conflicts": [_conflict_with_hunks(conflict) for conflict in plan.conflicts],
        "present": [_presence(found) for found in plan.present],
        "alternatives": [
            {
                "title": other.title,
                "commits": [_planned(planned) for planned in other.commits],
                "conflicts": [_conflict_with_hunks(conflict) for conflict in other.conflicts],
            }
            for other in plan.alternatives
        ],
        "symbols": [_symbol(symbol) for symbol in plan.symbols],
        "unsearched": list(plan.unsearched),
        "notes": [*notes, *plan.notes],
    }


def _presence(found: Presence) -> dict[str, Any]:
    return {
        "sha": found.sha,
        "subject": found.subject,
        "state": found.state.value,
        "confidence": round(found.confidence, 3),
        "evidence": [_evidence(evidence) for evidence in found.evidence],
        "differences": list(found.differences),
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {"kind": evidence.kind, "commit": evidence.commit or None, "text": evidence.text}


def _planned(planned: PlannedCommit) -> dict[str, Any]:
    return {
        "sha": planned.sha,
        "subject": planned.subject,
        "role": planned.role.value,
        "reason": planned.reason,
        "for": planned.for_commit or None,
    }


def _conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "sha": conflict.sha,
        "path": conflict.path,
        "kind": conflict.kind,
        "documentation": conflict.documentation,
    }


def _conflict_with_hunks(conflict: Conflict) -> dict[str, Any]:
    return {**_conflict(conflict), "hunks": [_hunk(hunk) for hunk in conflict.hunks]}


def _hunk(hunk: Hunk) -> dict[str, Any]:
    return {
        "line": hunk.line,
        "function": hunk.function,
        "ours": list(hunk.ours),
        "base": list(hunk.base),
        "theirs": list(hunk.theirs),
        "left_out": hunk.left_out,
        "because_of": list(hunk.because_of),
    }


def _symbol(symbol: MissingSymbol) -> dict[str, Any]:
    return {
        "name": symbol.name,
        "kind": symbol.kind,
        "sha": symbol.commit,
        "path": symbol.path,
        "defined_in": symbol.defined_in,
        "brought_by": symbol.brought_by or None,
    }


def print_status(status: BranchStatus, console: Console, differences: bool = False) -> None:
    """Print one line a commit, with the first reason for its state.

    :param differences: also the lines in which a near match differs.
    """
    counts = Counter(found.state for found in status.commits)
    told = ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state])
    console.print(Text.assemble((safe(status.branch), "bold"), f" {status.tip[:_SHORT]}: {told}"))
    table = Table.grid(padding=(0, 2))
    for found in status.commits:
        why = found.evidence[0] if found.evidence else Evidence("", "", "")
        by = f"{why.commit[:_SHORT]} " if why.commit and why.commit != found.sha else ""
        table.add_row(
            found.sha[:_SHORT],
            Text(found.state.value, _STYLES[found.state]),
            Text(safe(found.subject), overflow="ellipsis", no_wrap=True),
            Text(f"{by}{safe(why.text)}", "dim"),
        )
        for line in found.differences if differences else ():
            table.add_row("", "", Text(safe(line), "dim"), "")
    console.print(table)
    _print_notes(status.notes, console)


def print_plan(
    plan: Plan, console: Console, notes: Sequence[str] = (), hunks: bool = False
) -> None:
    """Print the series with each commit's role and reason, then what is left to a person.

    :param hunks: also both sides of each place that conflicts.
    """
    verdict = ("applies", "bold green")
    if not plan.applies:
        verdict = ("does not apply by itself", "bold red")
    head = f"{len(plan.series)} commits onto {plan.onto[:_SHORT]}: "
    console.print(Text.assemble(head, verdict))
    for found in plan.present:
        text = f"  {found.sha[:_SHORT]}  {safe(found.subject)}: the branch has it"
        console.print(Text(text, "dim"))
    table = Table.grid(padding=(0, 2))
    for number, planned in enumerate(plan.series, 1):
        table.add_row(
            f"{number:>3}",
            planned.sha[:_SHORT],
            Text(planned.role.value, _ROLES[planned.role]),
            Text(safe(planned.subject), overflow="ellipsis", no_wrap=True),
        )
        if planned.role is not Role.REQUESTED:
            table.add_row("", "", "", Text(safe(planned.reason), "dim"))
    console.print(table)
    for conflict in plan.conflicts[:_SHOWN]:
        console.print(Text(f"  conflict  {conflict.sha[:_SHORT]}  {_where(conflict)}", "red"))
        _print_hunks(conflict if hunks else None, console)
    if len(plan.conflicts) > _SHOWN:
        console.print(Text(f"  … {len(plan.conflicts) - _SHOWN} more conflicts", "red"))
    for symbol in plan.symbols:
        console.print(Text(f"  lacks     {_said_of(symbol)}", "yellow"))
    for other in plan.alternatives:
        console.print(Text(f"  or        {safe(other.title)}"))
        for conflict in other.conflicts[:_SHOWN]:
            console.print(Text(f"            {_where(conflict)}", "dim"))
            _print_hunks(conflict if hunks else None, console)
    _print_notes((*notes, *plan.notes), console)


def _print_hunks(conflict: Conflict | None, console: Console) -> None:
    """Print each place: what the branch has against upstream's base, and what upstream makes of it.

    Two small diffs against the same base say who changed what.
    """
    for hunk in conflict.hunks if conflict else ():
        heading = f"  {safe(hunk.function)}" if hunk.function else ""
        console.print(Text(f"    @@ line {hunk.line}{heading}", "cyan"), soft_wrap=True)
        if hunk.because_of:
            known = ", ".join(sha[:_SHORT] for sha in hunk.because_of)
            console.print(Text(f"    the branch lacks {known}", "dim"))
        _print_side("the branch has", hunk.base, hunk.ours, console)
        _print_side("upstream's commit makes of its own", hunk.base, hunk.theirs, console)
        if hunk.left_out:
            console.print(Text(f"    … {hunk.left_out} lines left out", "dim"))


_DIFF_STYLES = {"-": "red", "+": "green", " ": "dim"}


def _print_side(title: str, base: Sequence[str], side: Sequence[str], console: Console) -> None:
    """Print one side as the difference from upstream before the commit."""
    console.print(Text(f"    {title}:", "bold"))
    for line in ndiff(base, side):
        if line[0] in _DIFF_STYLES:
            text = Text(f"      {line[0]}{safe(line[2:])}", _DIFF_STYLES[line[0]])
            console.print(text, soft_wrap=True)


def _where(conflict: Conflict) -> str:
    read = " (only people read it)" if conflict.documentation else ""
    return f"{safe(conflict.path)}: {safe(conflict.kind)}{read}"


def _said_of(symbol: MissingSymbol) -> str:
    brought = f"{symbol.brought_by[:_SHORT]} brings it" if symbol.brought_by else "upstream has it"
    return (
        f"{symbol.kind} {safe(symbol.name)}, which {symbol.commit[:_SHORT]} uses in "
        f"{safe(symbol.path)}: {brought} in {safe(symbol.defined_in)}"
    )


def _print_notes(notes: Sequence[str], console: Console) -> None:
    for note in notes:
        console.print(Text(f"  note      {safe(note)}", "dim"))


def series_to_json(plan: Plan, written: Written, mails: Sequence[Path]) -> dict[str, Any]:
    """Return what was written: commits in their order, each with the upstream one it carries."""
    return {
        "schema": SERIES_SCHEMA,
        "branch": written.branch or None,
        "onto": written.onto,
        "tip": written.tip,
        "tree": written.tree,
        "commits": [
            {
                "sha": commit.sha,
                "upstream": commit.upstream,
                "title": commit.title,
                "form": commit.form.value,
                "conflicts": [_conflict(conflict) for conflict in commit.conflicts],
            }
            for commit in written.commits
        ],
        "left_out": list(written.left_out),
        "mails": [str(path) for path in mails],
        "notes": list(plan.notes),
    }


def print_series(plan: Plan, written: Written, mails: Sequence[Path], console: Console) -> None:
    """Print what was written, and what a person has to finish."""
    where = f"on {safe(written.branch)}" if written.branch else "as mails"
    head = f"{len(written.commits)} commits {where}, tip {written.tip[:_SHORT]}"
    console.print(Text(head, "bold"))
    for commit in written.commits:
        style = "bold red" if commit in written.unfinished else ""
        line = f"  {commit.sha[:_SHORT]}  {commit.form.value:10}  {safe(commit.title)}"
        console.print(Text(line, style))
        for conflict in commit.conflicts:
            console.print(Text(f"      resolve {safe(conflict.path)}: {safe(conflict.kind)}"))
    if mails:
        console.print(Text(f"  {len(mails)} mails in {safe(str(mails[0].parent))}"))
    _print_notes(plan.notes, console)


def lint_to_json(profile: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what a reviewer would say, the worst first."""
    return {
        "schema": LINT_SCHEMA,
        "profile": profile,
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity.value,
                "commit": finding.commit or None,
                "place": finding.place,
                "line": finding.line or None,
                "title": finding.title,
                "problem": finding.problem,
                "why": finding.why,
                "fix": finding.fix,
                "detail": list(finding.detail),
            }
            for finding in findings
        ],
    }
