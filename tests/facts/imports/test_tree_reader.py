"""Trees: what is wanted is read from directories and archives, and nothing else ever is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uplift.errors import RecordingError
from uplift.facts.imports import tree_reader
from uplift.facts.imports.tree_reader import Tree

FILES = {"proc/cpuinfo": b"processor : 0\n", "proc/cmdline": b"quiet\n", "sys/x/y": b"1\n"}


def everything(_name: str) -> bool:
    return True


def member(name: str, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def tar_of(
    files: dict[str, bytes], *others: tarfile.TarInfo, form: int = tarfile.GNU_FORMAT
) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as archive:
        for name, data in files.items():
            archive.addfile(member(name, size=len(data)), io.BytesIO(data))
        for other in others:
            archive.addfile(other)
    return raw.getvalue()


def read(data: bytes, wanted: tree_reader.Wanted = everything) -> Tree:
    return tree_reader.read_archive(io.BytesIO(data), "test.tar", wanted)


def refusal(data: bytes) -> str:
    with pytest.raises(RecordingError) as caught:
        read(data)
    return caught.value.cause


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_every_compression_gives_the_same_tree(pack: object) -> None:
    assert dict(read(pack(tar_of(FILES)))) == FILES  # type: ignore[operator]


def test_two_compressed_streams_in_a_row_are_one() -> None:
    data = tar_of(FILES)
    halves = lzma.compress(data[:700]) + b"\0" * 4 + lzma.compress(data[700:])
    assert dict(read(halves)) == FILES


def test_zstd_is_read_or_the_fix_is_named() -> None:
    try:
        read(b"\x28\xb5\x2f\xfdxxxxxxxx")
    except RecordingError as error:
        assert "zstd" in error.cause or "broken" in error.cause


def test_the_directory_around_everything_is_removed() -> None:
    tree = read(tar_of({f"sosreport-a-2026/{name}": data for name, data in FILES.items()}))
    assert tree.root == "sosreport-a-2026"
    assert dict(tree) == FILES


def test_a_tree_that_holds_only_proc_keeps_it() -> None:
    assert set(read(tar_of({"proc/cpuinfo": b"x"}))) == {"proc/cpuinfo"}


def test_only_what_is_wanted_is_kept_but_every_name_is_known() -> None:
    tree = read(tar_of(FILES), lambda name: name == "proc/cpuinfo")
    assert set(tree) == {"proc/cpuinfo"}
    assert tree.names == frozenset(FILES)


def test_wanted_is_asked_without_the_root_too() -> None:
    archive = tar_of({"top/proc/cpuinfo": b"x", "top/proc/other": b"y"})
    assert dict(read(archive, lambda name: name == "proc/cpuinfo")) == {"proc/cpuinfo": b"x"}


def test_links_are_recorded_and_never_followed() -> None:
    link = member("sys/x/z", type=tarfile.SYMTYPE, linkname="y")
    assert read(tar_of(FILES, link)).links == {"sys/x/z": "y"}


def test_an_absolute_link_points_into_the_tree() -> None:
    link = member("sys/x/z", type=tarfile.SYMTYPE, linkname="/proc/cpuinfo")
    assert read(tar_of(FILES, link)).links == {"sys/x/z": "/proc/cpuinfo"}


def test_links_out_and_devices_are_left_out() -> None:
    out = member("sys/z", type=tarfile.SYMTYPE, linkname="../../etc/shadow")
    device = member("dev/sda", type=tarfile.BLKTYPE, devmajor=8)
    pipe = member("dev/log", type=tarfile.FIFOTYPE)
    tree = read(tar_of(FILES, out, device, pipe))
    assert tree.left_out == ("sys/z", "dev/sda", "dev/log")
    assert dict(tree) == FILES
    assert not tree.links


def test_a_hard_link_is_the_file_it_names() -> None:
    link = member("proc/again", type=tarfile.LNKTYPE, linkname="proc/cmdline")
    assert read(tar_of(FILES, link))["proc/again"] == b"quiet\n"


@pytest.mark.parametrize("name", ["../etc/passwd", "a/../../b", "/etc/passwd"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    assert "leads out" in refusal(tar_of({name: b"x"}))


def test_long_names_of_both_notations_are_read() -> None:
    name = "sys/" + "d" * 90 + "/" + "e" * 90 + "/f"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert dict(read(tar_of({name: b"1"}, form=form))) == {name: b"1"}


def test_deep_names_are_refused() -> None:
    assert "deeper than" in refusal(tar_of({"a/" * 70 + "b": b"1"}))


def test_a_header_that_announces_gigabytes_is_refused() -> None:
    header = member("x", type=tarfile.XHDTYPE, size=1 << 33).tobuf(tarfile.GNU_FORMAT)
    assert "header is larger" in refusal(header + bytes(2048))


def test_a_file_beyond_the_cap_is_cut_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_reader, "MAX_FILE", 10)
    tree = read(tar_of(FILES))
    assert tree["proc/cpuinfo"] == b"processor "
    assert tree.truncated == {"proc/cpuinfo"}


def test_too_much_that_matters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_reader, "MAX_KEPT", 15)
    assert "hold more than 15 bytes" in refusal(tar_of(FILES))


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_reader, "MAX_MEMBERS", 2)
    assert "more than 2 files" in refusal(tar_of(FILES))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_refused(pack: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_reader, "FREE_STREAM", 1 << 20)
    zeros = member("zeros", size=8 << 20)
    data = zeros.tobuf(tarfile.GNU_FORMAT) + bytes(8 << 20)
    assert "grows more than" in refusal(pack(data))  # type: ignore[operator]


def test_an_xz_stream_that_asks_for_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_reader, "MAX_DICTIONARY", 1 << 20)
    assert "broken" in refusal(lzma.compress(tar_of(FILES), preset=6))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_archive_cut_anywhere_is_read_or_refused(pack: object) -> None:
    data = pack(tar_of(FILES))  # type: ignore[operator]
    for end in range(0, len(data), 1 if len(data) < 2000 else 37):
        try:
            read(data[:end])
        except RecordingError as error:
            assert error.cause


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bit_flip_is_read_or_refused(data: st.DataObject) -> None:
    link = member("sys/x/z", type=tarfile.SYMTYPE, linkname="y")
    whole = bytearray(tar_of({**FILES, "n" * 150: b"5"}, link))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    packed = data.draw(st.sampled_from([bytes, bz2.compress]))(bytes(whole))
    try:
        read(packed)
    except RecordingError as error:
        assert error.cause


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1500))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for magic in (b"", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0"):
        try:
            read(magic + data)
        except RecordingError as error:
            assert error.cause


def test_a_directory_is_read_like_an_archive(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "sys/x/inside").symlink_to("y")
    (tmp_path / "sys/x/outside").symlink_to("../../../../etc/shadow")
    os.mkfifo(tmp_path / "proc/pipe")
    tree = tree_reader.read(tmp_path, everything)
    assert dict(tree) == FILES
    assert tree.links == {"sys/x/inside": "y"}
    assert set(tree.left_out) == {"sys/x/outside", "proc/pipe"}


def test_a_missing_path_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot read"):
        tree_reader.read(tmp_path / "none", everything)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello\n" * 200)
    with pytest.raises(RecordingError):
        tree_reader.read(tmp_path / "a", everything)
