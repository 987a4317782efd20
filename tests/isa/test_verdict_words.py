"""The sentence that an audit of one file comes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uplift.isa.model import Confidence, FileAudit, FunctionAudit, Identity, Reach, SetUse
from uplift.report.isa import FileReport
from uplift.report.isa_verdict import verdict


def _file(reach, confidence, level, needs, *notes):
    use = SetUse(3, confidence, reach, 0x10)
    function = FunctionAudit("wide", 0x10, 9, confidence, reach, {"avx2": use})
    audit = FileAudit(
        "made", "x86-64", Identity("shared"), {"avx2": use}, (function,), level, needs, notes=notes
    )
    return FileReport(audit)


@pytest.mark.parametrize(
    ("reach", "level", "needs", "known"),
    [
        (Reach.DISPATCHED, "x86-64", "x86-64", "runs"),
        (Reach.UNKNOWN, "x86-64-v3", "x86-64", "unknown"),
        (Reach.ALWAYS, "x86-64-v3", "x86-64-v3", "needs"),
    ],
)
def test_a_verdict_tells_what_runs_what_is_needed_and_what_is_unknown(reach, level, needs, known):
    assert verdict(_file(reach, Confidence.FDE, level, needs)).known == known


def test_a_file_of_which_little_code_was_reached_is_never_said_to_run():
    file = _file(Reach.UNKNOWN, Confidence.UNREACHED, "", "x86-64")
    told = replace(file.audit, undetermined="3 instructions lie where nothing leads")
    found = verdict(replace(file, audit=told))
    assert found.known == "unknown" and found.because[0] == told.undetermined
    assert found.text.startswith("undetermined")
