"""The snapshot file: what is written is read back, and nothing hostile gets through."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uplift.errors import RecordingError
from uplift.facts import snapshot_file
from uplift.facts.model import Capture, CaptureStatus, Snapshot

OK = CaptureStatus.OK
HEADER = b'{"schema":"uplift-snapshot/1","kind":"machine","origin":"test","arch":"x86_64"}\n'
END_OF_NONE = b'{"end":true,"captures":0}\n'


def snapshot_of(*captures: Capture) -> Snapshot:
    return Snapshot(
        captures={capture.id: capture for capture in captures},
        origin="collector 0.1.0",
        collected_at="2026-11-23T19:00:00Z",
        arch="x86_64",
        redacted=True,
    )


EXAMPLE = snapshot_of(
    Capture("file:/proc/version", OK, b"Linux\n", how="/proc/version"),
    Capture("file:/sys/x", CaptureStatus.DENIED, detail="EACCES"),
    Capture("probe:bytes", CaptureStatus.TRUNCATED, b"\xff\x00", format="raw"),
    Capture("cmd:gcc/target-help", OK, b"-mamx-tile\n" * 5000, how="gcc --target-help"),
)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_snapshot_is_read_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    snapshot_file.save(EXAMPLE, tmp_path / name)
    again = snapshot_file.load(tmp_path / name)
    assert again == EXAMPLE
    assert again.digest == EXAMPLE.digest


def test_saving_leaves_no_other_file_behind(tmp_path: Path) -> None:
    snapshot_file.save(EXAMPLE, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_saving_into_a_missing_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot write"):
        snapshot_file.save(EXAMPLE, tmp_path / "none" / "a")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError) as caught:
        snapshot_file.load(tmp_path / "none")
    assert caught.value.cause == "No such file or directory"


def test_an_incomplete_snapshot_stays_incomplete_when_saved(tmp_path: Path) -> None:
    cut = snapshot_file.read_bytes(HEADER, "cut")
    assert not cut.complete
    snapshot_file.save(cut, tmp_path / "a")
    assert not snapshot_file.load(tmp_path / "a").complete


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_anywhere_is_incomplete_or_refused(compressed: bool) -> None:
    small = snapshot_of(*list(EXAMPLE.captures.values())[:3])
    whole = b"".join(snapshot_file.lines(small))
    data = gzip.compress(whole) if compressed else whole
    for end in range(len(data) - 1):
        try:
            read = snapshot_file.read_bytes(data[:end], "cut")
        except RecordingError as error:
            assert "line 1" in error.cause
        else:
            assert not read.complete or read == small


def test_fewer_captures_than_announced_is_incomplete() -> None:
    assert not snapshot_file.read_bytes(HEADER + b'{"end":true,"captures":3}\n', "x").complete


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b"hello", "it is no JSON object"),
        (b"[]", "it is no JSON object"),
        (b'{"id":"a","status":"ok","data":["x"]}', "a value is an object or a list"),
        (b'{"id":"a","status":"fine"}', "'fine' is no status"),
        (b'{"id":7,"status":"ok"}', "id is no text"),
        (b'{"status":"ok"}', "a capture has no id"),
        (b'{"id":"a","status":"ok","encoding":"base64","data":"?"}', "the data is not base64"),
        (b'{"id":"a","status":"ok","encoding":"rot13","data":"?"}', "'rot13' is no encoding"),
        (b'{"id":"a","status":"ok","encoding":"zlib+base64","data":"eJw="}', "ends too early"),
        (b'{"id":"a","status":"ok","data":"\\ud800"}', "the data is not utf-8"),
        (b'{"id":"a","status":"ok"} x', "there is more after the object"),
        (b'{"id":"\xff","status":"ok"}', "it is no UTF-8"),
        (b'{"n":' + b"9" * 5000 + b"}", "integer string conversion"),
        (b"{" + b",".join(b'"k%d":1' % n for n in range(40)) + b"}", "more than 32 keys"),
    ],
)
def test_a_broken_line_is_named(line: bytes, cause: str) -> None:
    with pytest.raises(RecordingError) as caught:
        snapshot_file.read_bytes(HEADER + line + b"\n" + END_OF_NONE, "x")
    assert caught.value.cause.startswith("line 2: ")
    assert cause in caught.value.cause


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "line 1: the file is empty"),
        (b"{", "line 1: it is no JSON"),
        (b"[" * 60_000, "line 1: it is no JSON"),
        (b"{}\n", "line 1: it has no schema"),
        (b'{"schema":"uplift-snapshot/2"}\n', "this program reads 'uplift-snapshot/1'"),
        (b'{"schema":"uplift-snapshot/1","kind":"cake"}\n', "the kind is 'cake'"),
        (b"x" * 70_000, "longer than 65536 bytes"),
        (HEADER + END_OF_NONE + END_OF_NONE, "line 3: there is more after the last line"),
        (HEADER + 2 * b'{"id":"a","status":"ok"}\n', "line 3: capture 'a' is there twice"),
        (b"\x1f\x8bnonsense", "line 1: "),
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes, cause: str) -> None:
    with pytest.raises(RecordingError) as caught:
        snapshot_file.read_bytes(data, "x")
    assert cause in caught.value.cause


def test_a_capture_that_inflates_beyond_its_cap_is_refused() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(snapshot_file.MAX_CAPTURE + 1))).decode()
    row = {"id": "a", "status": "ok", "encoding": "zlib+base64", "data": bomb}
    with pytest.raises(RecordingError, match="cannot read") as caught:
        snapshot_file.read_bytes(HEADER + json.dumps(row).encode() + b"\n", "x")
    assert "larger than" in caught.value.cause


def test_captures_that_are_too_large_together_are_refused() -> None:
    inflated = base64.b64encode(zlib.compress(bytes(snapshot_file.MAX_CAPTURE))).decode()
    rows = (
        json.dumps({"id": f"c{n}", "status": "ok", "encoding": "zlib+base64", "data": inflated})
        for n in range(snapshot_file.MAX_TOTAL // snapshot_file.MAX_CAPTURE + 1)
    )
    with pytest.raises(RecordingError, match="cannot read") as caught:
        snapshot_file.read_bytes(HEADER + "\n".join(rows).encode() + b"\n", "x")
    assert "the captures hold more than" in caught.value.cause


def test_too_many_captures_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "MAX_CAPTURES", 2)
    rows = b"".join(b'{"id":"%d","status":"ok"}\n' % n for n in range(3))
    with pytest.raises(RecordingError) as caught:
        snapshot_file.read_bytes(HEADER + rows, "x")
    assert "line 4: there are more than 2 captures" in caught.value.cause


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_snapshot_is_recognised_by_its_first_line(pack: object) -> None:
    assert snapshot_file.recognises(pack(HEADER))  # type: ignore[operator]
    assert not snapshot_file.recognises(pack(b'{"lscpu":[]}'))  # type: ignore[operator]


def test_a_stream_that_cannot_peek_is_read() -> None:
    class Plain(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._left = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            return self._left.readinto(buffer)  # type: ignore[arg-type]

    stream = Plain(b"".join(snapshot_file.lines(EXAMPLE)))
    assert snapshot_file.read_stream(stream, "pipe") == EXAMPLE  # type: ignore[arg-type]


@given(st.binary(max_size=400))
def test_any_bytes_after_the_header_are_read_or_refused(tail: bytes) -> None:
    try:
        snapshot_file.read_bytes(HEADER + tail, "fuzz")
    except RecordingError as error:
        assert error.cause.startswith("line ")


@settings(max_examples=300)
@given(st.data())
def test_any_bit_flip_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(gzip.compress(b"".join(snapshot_file.lines(EXAMPLE)), mtime=0))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        snapshot_file.read_bytes(bytes(whole), "fuzz")
    except RecordingError as error:
        assert error.cause
