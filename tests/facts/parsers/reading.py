"""Facts of captures made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from uplift.facts.model import Capture, CaptureStatus, Facts, Missing, Parser, Snapshot, Value

RECORDINGS = Path(__file__).parents[2] / "recordings"


def snapshot_of(captures: Mapping[str, object]) -> Snapshot:
    """Make a snapshot: texts and bytes as they are, a mapping as the JSON of a ``tree:``."""
    return Snapshot({name: _capture(name, data) for name, data in captures.items()})


def _capture(name: str, data: object) -> Capture:
    if isinstance(data, CaptureStatus):
        return Capture(name, data)
    if isinstance(data, Mapping):
        data = json.dumps(data)
    raw = data if isinstance(data, bytes) else str(data).encode()
    return Capture(name, CaptureStatus.OK, raw)


def facts_of(parser: Parser, captures: Mapping[str, object]) -> Facts:
    """Return the facts that one parser reads."""
    return Facts(snapshot_of(captures), (parser,))


def values_of(parser: Parser, captures: Mapping[str, object]) -> Mapping[str, Value]:
    """Return every value that one parser reads; it must not fail."""
    usable = {n: c for n, c in snapshot_of(captures).captures.items() if c.usable}
    found: dict[str, Value] = {}
    for reading in parser.parse(usable):
        assert reading.capture in usable
        found.update(reading.values)
    return found


def why_unknown(parser: Parser, captures: Mapping[str, object], name: str) -> str:
    """Return why nobody knows the fact ``name``; it must not be known."""
    found = facts_of(parser, captures).get(name)
    assert isinstance(found, Missing)
    return found.why
