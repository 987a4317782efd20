"""Where recordings of releases lie, and what becomes of older ones."""

from __future__ import annotations

from pathlib import Path

from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.lab.release_store import file_name, keep, load, save


def recording(day: str, **captures: str) -> Snapshot:
    found = {
        name: Capture(name, CaptureStatus.OK, text.encode()) for name, text in captures.items()
    }
    return Snapshot(found, kind="release", collected_at=f"{day}T10:00:00Z", arch="x86_64")


def texts(snapshot: Snapshot | None) -> dict[str, str]:
    assert snapshot is not None
    return {name: capture.text for name, capture in snapshot.captures.items()}


def test_a_sets_name_stands_in_its_files_name() -> None:
    assert file_name("noble", "base", "arm64") == "noble.arm64.jsonl.gz"
    assert file_name("noble", "hwe-6.17", "arm64") == "noble+hwe-6.17.arm64.jsonl.gz"


def test_a_recording_of_an_earlier_day_is_kept_under_that_day(tmp_path: Path) -> None:
    save(tmp_path, "sid", "base", "amd64", recording("2026-01-01", a="old"))
    save(tmp_path, "sid", "base", "amd64", recording("2026-02-01", a="new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sid.amd64.jsonl.gz",
        "sid.amd64@2026-01-01.jsonl.gz",
    ]
    assert texts(load(tmp_path, "sid", "base", "amd64")) == {"a": "new"}


def test_a_recording_of_the_same_day_takes_the_place_of_the_last(tmp_path: Path) -> None:
    save(tmp_path, "sid", "base", "amd64", recording("2026-01-01", a="morning"))
    save(tmp_path, "sid", "base", "amd64", recording("2026-01-01", a="evening"))
    assert [path.name for path in tmp_path.iterdir()] == ["sid.amd64.jsonl.gz"]


def test_a_part_recorded_alone_leaves_the_rest_of_the_last_recording(tmp_path: Path) -> None:
    kernel, other = "probe:kernel-image/release", "cmd:gcc/version"
    first = recording("2026-01-01", **{kernel: "6.1", "file:/boot/config-6.1": "", other: "12"})
    keep(tmp_path, "sid", "amd64", {"base": first})
    newer = recording("2026-01-02", **{kernel: "6.2"})
    keep(tmp_path, "sid", "amd64", {"base": newer}, only="kernel")
    assert texts(load(tmp_path, "sid", "base", "amd64")) == {kernel: "6.2", other: "12"}
    software = recording("2026-01-03", **{other: "13"})
    keep(tmp_path, "sid", "amd64", {"base": software}, only="software")
    assert texts(load(tmp_path, "sid", "base", "amd64")) == {kernel: "6.2", other: "13"}
