"""What an audit of one file comes to, in a sentence that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uplift.isa import baseline
from uplift.isa.model import FunctionAudit, Reach
from uplift.isa.tally import exposed
from uplift.report.isa import FileReport

_FUNCTIONS = 3  #: functions named of each kind


@dataclass(frozen=True)
class Verdict:
    """One file's verdict.

    :param known: ``runs``: on every machine of the architecture; ``needs``: more than that, for
        code with no guard on the way; ``unknown``: nobody saw how some code is reached.
    :param because: which functions it rests on, one sentence each; none where it runs everywhere.
    """

    known: str
    text: str
    because: tuple[str, ...] = ()


def verdict(file: FileReport) -> Verdict:
    """Say where a file runs, what stands against it, and what nobody knows."""
    audit = file.audit
    lowest = baseline.lowest(audit.arch)
    if audit.undetermined and audit.needs == lowest:
        because = (audit.undetermined, *_because(file))
        return Verdict("unknown", "undetermined: no level is sure", because)
    if audit.level == lowest:
        return Verdict("runs", f"runs on every {lowest} machine{_guarded(file)}")
    because = tuple(_because(file))
    if audit.needs == lowest:
        sure = f"; it surely does from {audit.level} on" if audit.level else ""
        return Verdict(
            "unknown", f"unknown whether it runs on every {lowest} machine{sure}", because
        )
    if audit.needs:
        return Verdict("needs", f"needs {audit.needs}{_perhaps_more(file)}", because)
    sets = ", ".join(file.of_no_level(Reach.ALWAYS))
    text = f"dies without {sets} where the code that uses it is called; no level has all of it"
    return Verdict("needs", text, because)


def _guarded(file: FileReport) -> str:
    count = sum(function.reach is Reach.DISPATCHED for function in file.functions)
    if not count:
        return ""
    told = "function that uses more is" if count == 1 else "functions that use more are"
    return f": {count} {told} reached only after a test of the processor"


def _perhaps_more(file: FileReport) -> str:
    audit = file.audit
    if audit.level == audit.needs:
        return ", and no more"
    known = f" up to {audit.level}" if audit.level else ""
    return f", perhaps more{known}"


def _because(file: FileReport) -> list[str]:
    always = _of(file, Reach.ALWAYS)
    unknown = _of(file, Reach.UNKNOWN)
    told = []
    if always:
        told.append(f"no guard stands on the way to {_named(file, always, Reach.ALWAYS)}")
    if unknown:
        told.append(f"nobody saw how these are reached: {_named(file, unknown, Reach.UNKNOWN)}")
    return told


def _of(file: FileReport, reach: Reach) -> list[FunctionAudit]:
    return [function for function in file.functions if _beyond(file, function, reach)]


def _beyond(file: FileReport, function: FunctionAudit, reach: Reach) -> list[str]:
    """Return the sets above the lowest level that a function uses when reached in this way."""
    arch = file.audit.arch
    allowed = baseline.level(arch, baseline.lowest(arch))
    return sorted(exposed([function], reach) - allowed)


def _named(file: FileReport, functions: Sequence[FunctionAudit], reach: Reach) -> str:
    shown = [f"{f.name} ({', '.join(_beyond(file, f, reach))})" for f in functions[:_FUNCTIONS]]
    more = len(functions) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
