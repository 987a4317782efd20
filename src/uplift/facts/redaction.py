"""Take out of a snapshot what identifies a machine, its network or its people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from uplift.facts import collector
from uplift.facts.model import Capture, CaptureStatus, Snapshot

_LEARNED = "learned:/etc/hostname"  #: teaches the rules a name; is no capture of the snapshot


def redact_snapshot(snapshot: Snapshot) -> Snapshot:
    """Return ``snapshot`` with placeholders for serials, addresses, host and user names.

    The rules are the collector's, so that redacting on the target and redacting later agree.
    """
    rows = [
        collector.Capture(c.id, c.status.value, c.data, c.how, c.detail, c.format)
        for c in (*snapshot.captures.values(), *_host_names(snapshot))
    ]
    redacted = (
        Capture(row.id, CaptureStatus(row.status), row.data, row.how, row.detail, row.format)
        for row in collector.redact(rows)  # type: ignore[no-untyped-call]
        if row.id != _LEARNED
    )
    return replace(snapshot, captures={capture.id: capture for capture in redacted}, redacted=True)


def _host_names(snapshot: Snapshot) -> Iterator[Capture]:
    """Yield the host name that ``uname -a`` told, where another program recorded the machine."""
    told = snapshot.captures.get("cmd:uname/all")
    words = told.text.split() if told and told.usable else []
    if len(words) > 2:
        yield Capture(_LEARNED, CaptureStatus.OK, words[1].encode())
