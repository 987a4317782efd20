"""A root's programs: as nobody, alone, without network, and ended when their time is over."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from uplift.errors import TargetError
from uplift.lab.build_root import BuildRoot, Limits, disk_use, own, remove


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "place"
    own(place)
    made = BuildRoot(place)
    own(made.path)
    try:
        made.run(["true"], inside=False)
    except TargetError as error:
        pytest.skip(f"this machine allows no user namespaces: {error.cause}")
    yield made
    remove(place)


def _said(root: BuildRoot, *words: str, builder: bool = False) -> str:
    return root.run(words, inside=False, builder=builder).output.decode().strip()


def test_it_takes_itself_for_root_and_the_builder_for_a_user(root):
    assert _said(root, "id", "-u") == "0"
    assert _said(root, "id", "-u", builder=True) == "1000"


def test_nobody_outside_is_it(root):
    root.run(["touch", "made"], inside=False)
    assert (root.place / "made").stat().st_uid != 0
    assert root.run(["touch", "/etc/uplift-was-here"], inside=False).returncode != 0


def test_owners_change_with_success_for_root_and_not_at_all_for_the_builder(root):
    assert root.run(["touch", "file"], inside=False).ok
    assert root.run(["chown", "33:33", "file"], inside=False).ok
    refused = root.run(["chown", "33:33", "file"], inside=False, builder=True)
    assert "Operation not permitted" in refused.complaint
    assert root.run(["chown", "1000:1000", "file"], inside=False, builder=True).ok


def test_root_does_not_wait_for_the_disk_and_the_builder_does(root):
    words = ["dd", "if=/dev/null", "of=/dev/null", "conv=fsync", "status=none"]
    assert root.run(words, inside=False).ok
    assert "fsync failed" in root.run(words, inside=False, builder=True).complaint


def test_a_log_that_is_named_from_here_is_written_here(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert root.run(["echo", "said"], inside=False, log=Path("log")).ok
    assert (tmp_path / "log").read_text() == "said\n"


def test_there_is_no_network_but_the_loopback_device(root):
    assert _said(root, "grep", "-c", ":", "/proc/net/dev") == "1"


def test_the_environment_is_the_roots_own(root, monkeypatch):
    monkeypatch.setenv("SECRET", "token")
    said = _said(root, "env")
    assert "SECRET" not in said
    assert "HOME=/nonexistent" in said


def test_a_program_is_ended_with_all_it_started_when_its_time_is_over(root):
    step = root.run(
        ["sh", "-c", "sleep 987654 & sleep 987654"], inside=False, limits=Limits(seconds=1)
    )
    assert (step.ok, step.over) == (False, "more than 1 s")
    until = time.monotonic() + 5  # the kernel ends a namespace's processes in its own time
    while (left := _running(b"987654")) and time.monotonic() < until:
        time.sleep(0.02)
    assert left == []


def _running(word: bytes) -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if word in _bytes(path)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_file_larger_than_allowed_is_not_written(root):
    words = ["dd", "if=/dev/zero", "of=large", "bs=1M", "count=3"]
    assert not root.run(words, inside=False, limits=Limits(file=1 << 20)).ok


def test_what_was_closed_to_its_owner_is_removed_too(tmp_path):
    deep = tmp_path / "top/closed/inner"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x" * 5000)
    assert disk_use(tmp_path / "top") >= 5000
    (tmp_path / "top/closed").chmod(0)
    remove(tmp_path / "top")
    assert not os.path.lexists(tmp_path / "top")
