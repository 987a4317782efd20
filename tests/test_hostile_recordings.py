"""Any recording, broken in any way, gives a clear error or a scan: never a traceback."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from uplift.catalog.load import load_catalog
from uplift.catalog.model import Catalog
from uplift.errors import UpliftError
from uplift.facts.imports import load_path
from uplift.facts.parsers import read_facts
from uplift.report.headline import headline
from uplift.report.model import ScanReport
from uplift.report.scan_json import scan_to_json
from uplift.resolve.scan import scan

RECORDINGS = Path(__file__).parent / "recordings"
TIMES = 12
SMALL = 512 << 10


@cache
def catalog() -> Catalog:
    return load_catalog()


def recordings() -> Iterator[Path]:
    """Yield every recording file; directories of one recording are tests of their importers."""
    for path in sorted(RECORDINGS.rglob("*")):
        if path.is_file() and path.name != "ORIGIN.md" and path.stat().st_size <= SMALL:
            yield path


def broken(data: bytes, rng: random.Random) -> bytes:
    """Return ``data`` cut, flipped, or with a piece repeated or replaced."""
    changed = bytearray(data)
    kind = rng.randrange(4)
    place = rng.randrange(len(changed) + 1)
    if kind == 0:
        return bytes(changed[:place])
    if kind == 1:
        for _ in range(rng.randrange(1, 30)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    piece = changed[place : place + rng.randrange(1, 2000)]
    if kind == 2:
        return bytes(changed[:place] + piece * rng.randrange(1, 50) + changed[place:])
    return bytes(changed[:place] + rng.randbytes(len(piece)) + changed[place + len(piece) :])


def scan_file(path: Path) -> None:
    try:
        snapshot = load_path(path)
    except UpliftError as error:
        assert error.cause, error.problem
        assert error.fix, error.problem
        return
    facts = read_facts(snapshot)
    scan_to_json(ScanReport(str(path), scan(catalog(), facts), headline(facts)))


@pytest.mark.parametrize("recording", list(recordings()), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_recording_scans_whole_and_broken(recording: Path, tmp_path: Path) -> None:
    scan_file(recording)
    rng = random.Random(recording.name)
    data = recording.read_bytes()
    for _ in range(TIMES):
        changed = tmp_path / recording.name
        changed.write_bytes(broken(data, rng))
        scan_file(changed)


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"\0" * 5000, b"{" * 100_000, b"[" * 100_000, b"\xff\xfe" + b"C\0" * 4000],
    ids=["empty", "newline", "zeros", "braces", "brackets", "utf-16"],
)
def test_what_is_no_recording_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_bytes(data)
    with pytest.raises(UpliftError, match="cannot read"):
        load_path(path)
