"""Redacting a snapshot that was taken before, or by another program."""

from __future__ import annotations

from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.redaction import redact_snapshot


def snapshot(**texts: str) -> Snapshot:
    ids = {"uname": "cmd:uname/all", "log": "cmd:dmesg/excerpt"}
    captures = (Capture(ids[n], CaptureStatus.OK, text.encode()) for n, text in texts.items())
    return Snapshot({capture.id: capture for capture in captures})


def test_the_host_name_of_a_sosreport_is_gone_from_its_log() -> None:
    taken = snapshot(
        uname="Linux db-frankfurt7 5.4.0-97-generic #110-Ubuntu SMP x86_64 GNU/Linux",
        log="systemd[1]: Set hostname to <db-frankfurt7>.\nhello from db-frankfurt7",
    )
    redacted = redact_snapshot(taken)
    assert set(redacted.captures) == set(taken.captures)
    assert all(b"db-frankfurt7" not in c.data for c in redacted.captures.values())
    assert redacted.redacted


def test_redacting_twice_changes_nothing_more() -> None:
    once = redact_snapshot(snapshot(uname="Linux db-frankfurt7 5.4.0 #1 SMP", log="db-frankfurt7"))
    assert redact_snapshot(once).digest == once.digest
