"""Recordings of emulated machines say what their CPU models promise; no emulator is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.facts import snapshot_file
from uplift.facts.model import Snapshot
from uplift.lab.qemu import lacking_features

from .promises import PROMISES, Promise, masked_but_there

RECORDINGS = Path(__file__).parent.parent / "recordings" / "boots"


def recorded(name: str) -> Snapshot:
    return snapshot_file.load(RECORDINGS / f"{name}.jsonl.gz")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_a_recorded_machine_is_what_its_model_promises(promise: Promise) -> None:
    snapshot = recorded(promise.name)
    assert snapshot.complete and snapshot.redacted and snapshot.arch == promise.arch
    promise.check(snapshot)


@pytest.mark.parametrize("model", ["Haswell", "Skylake-Server", "EPYC-Rome"])
def test_what_the_emulator_dropped_is_named_and_really_gone(model: str) -> None:
    snapshot = recorded(f"x86_64-{model}")
    lacking = lacking_features(snapshot.captures["cmd:qemu-system-x86_64/warnings"].text)
    assert lacking and masked_but_there(snapshot, lacking) == set()


def test_recordings_are_small() -> None:
    assert all(path.stat().st_size < 200_000 for path in RECORDINGS.iterdir())
