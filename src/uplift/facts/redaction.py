"""Take out of a snapshot what identifies a machine, its network or its people."""

from __future__ import annotations

from dataclasses import replace

from uplift.facts import collector
from uplift.facts.model import Capture, CaptureStatus, Snapshot


def redact_snapshot(snapshot: Snapshot) -> Snapshot:
    """Return ``snapshot`` with placeholders for serials, addresses, host and user names.

    The rules are the collector's, so that redacting on the target and redacting later agree.
    """
    rows = [
        collector.Capture(c.id, c.status.value, c.data, c.how, c.detail, c.format)
        for c in snapshot.captures.values()
    ]
    redacted = (
        Capture(row.id, CaptureStatus(row.status), row.data, row.how, row.detail, row.format)
        for row in collector.redact(rows)  # type: ignore[no-untyped-call]
    )
    return replace(snapshot, captures={capture.id: capture for capture in redacted}, redacted=True)
