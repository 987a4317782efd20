"""A kernel configuration against its policy, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.facts.annotations import Mismatch
from uplift.report.terminal import safe

SCHEMA = "uplift-config-check/1"

_SHOWN = 20  #: violations without a note, unless all are asked for


@dataclass(frozen=True)
class ConfigCheck:
    """What a check found.

    :param policies: how many options the policy speaks of for this architecture and flavour.
    """

    annotations: str
    config: str
    arch: str
    flavour: str
    policies: int
    mismatches: tuple[Mismatch, ...]

    @cached_property
    def violations(self) -> tuple[Mismatch, ...]:
        """Options that are not what the policy says; those with a note first."""
        found = (m for m in self.mismatches if m.expected is not None)
        return tuple(sorted(found, key=lambda m: (not m.note, m.option)))

    @cached_property
    def uncovered(self) -> tuple[Mismatch, ...]:
        """Options of the configuration that no policy speaks of."""
        return tuple(m for m in self.mismatches if m.expected is None)


def check_to_json(check: ConfigCheck) -> dict[str, Any]:
    """Return the whole check; keys are only ever added within one schema version."""
    return {
        "schema": SCHEMA,
        "annotations": check.annotations,
        "config": check.config,
        "arch": check.arch,
        "flavour": check.flavour,
        "policies": check.policies,
        "met": not check.violations,
        "violations": [_mismatch(m) for m in check.violations],
        "uncovered": [{"option": m.option, "found": m.found} for m in check.uncovered],
    }


def _mismatch(mismatch: Mismatch) -> dict[str, Any]:
    return {
        "option": mismatch.option,
        "expected": mismatch.expected,
        "found": mismatch.found,
        "note": mismatch.note or None,
    }


def print_check(check: ConfigCheck, console: Console, show_all: bool = False) -> None:
    """Print what is not as the policy says.

    :param show_all: every violation, and every option that no policy speaks of.
    """
    where = f"{check.arch}-{check.flavour}"
    console.print(Text.assemble((safe(check.config), "bold"), f" against the policy of {where}"))
    noted = sum(bool(m.note) for m in check.violations)
    shown = check.violations if show_all else check.violations[: max(noted, _SHOWN)]
    if shown:
        console.print(_table(shown))
    more = len(check.violations) - len(shown)
    if more:
        console.print(Text(f"and {more} more without a note (--all lists them)", style="dim"))
    if show_all and check.uncovered:
        console.print(Text("no policy speaks of:", style="bold"))
        console.print(Text(safe(", ".join(f"{m.option}={m.found}" for m in check.uncovered))))
    console.print(_summary(check))


def _table(mismatches: Sequence[Mismatch]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("option", no_wrap=True)
    table.add_column("policy", overflow="fold", max_width=18)
    table.add_column("found", overflow="fold", max_width=18)
    table.add_column("note", overflow="fold", ratio=1)
    for m in mismatches:
        table.add_row(
            Text(safe(m.option)),
            Text(said(m.expected or ""), style="green"),
            Text(said(m.found), style="red"),
            Text(safe(m.note), style="dim"),
        )
    return table


def said(value: str) -> str:
    """Return a value in words where its sign is not one: ``-`` is an option not named at all."""
    return "not there" if value == "-" else safe(value)


def _summary(check: ConfigCheck) -> Text:
    count = len(check.violations)
    words = f"{count} of {check.policies} policies are violated" if count else "every policy is met"
    line = Text(words, style="bold red" if count else "green")
    if check.uncovered:
        line.append(
            f"; {len(check.uncovered)} options have no policy (--strict fails on them)", style="dim"
        )
    return line
