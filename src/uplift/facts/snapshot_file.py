"""Read and write ``uplift-snapshot/1``: JSON Lines, one capture a line, optionally gzip.

The file may come from anyone, so nothing in it sizes the memory that reading takes: each line, each
capture and the whole are capped, and a capture's line is a flat object (a nested one could cost
thirty times its bytes).
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from uplift.errors import RecordingError
from uplift.facts.model import Capture, CaptureStatus, Snapshot

SCHEMA = "uplift-snapshot/1"
KINDS = ("machine", "release", "chip")

MAX_HEADER = 64 << 10  #: bytes of the first line
MAX_LINE = 16 << 20  #: bytes of any other line
MAX_CAPTURE = 32 << 20  #: bytes of one capture, decoded
MAX_TOTAL = 160 << 20  #: bytes of all captures, decoded
MAX_STREAM = 256 << 20  #: bytes of the whole file, decompressed
MAX_CAPTURES = 50_000
MAX_KEYS = 32  #: keys of one line
MAX_WORDS = 64 << 10  #: characters of an id, a ``how`` or a ``detail``

_COMPRESS_FROM = 16 << 10  #: a capture below this is not worth compressing
_GZIP = b"\x1f\x8b"
_STRING_KEYS = ("id", "status", "encoding", "data", "how", "detail", "format")
_DECODER = json.JSONDecoder()


def load(path: Path) -> Snapshot:
    """Read a snapshot file, plain or gzip.

    :return: with ``complete`` false where the file ends before its last line.
    :raises RecordingError: the file cannot be opened, is no snapshot, is broken or is too large.
    """
    try:
        with path.open("rb") as raw:
            return _read(_decompressed(raw), str(path))
    except OSError as error:
        raise RecordingError(
            f"cannot read {path}",
            error.strerror or str(error),
            "check the path and its rights",
        ) from error


def read_stream(stream: BinaryIO, origin: str) -> Snapshot:
    """Read a snapshot as it arrives, such as a collector's standard output.

    :param stream: plain or gzip; needs ``read`` and ``readline``.
    :param origin: what the stream is, for messages.
    :raises RecordingError: as :func:`load`.
    """
    try:
        return _read(_decompressed(stream), origin)
    except OSError as error:
        raise RecordingError(
            f"cannot read {origin}", str(error), "record the machine again"
        ) from error


def read_bytes(data: bytes, origin: str) -> Snapshot:
    """Read a snapshot that is in memory already."""
    return read_stream(io.BytesIO(data), origin)


def recognises(head: bytes) -> bool:
    """Whether a file that begins with ``head``, plain or gzip, is a snapshot."""
    if head.startswith(_GZIP):
        with suppress(zlib.error):
            head = zlib.decompressobj(wbits=31).decompress(head, MAX_HEADER)
    first = head[:MAX_HEADER].lstrip().split(b"\n", 1)[0]
    return first.startswith(b"{") and b'"uplift-snapshot/' in first


def save(snapshot: Snapshot, path: Path) -> None:
    """Write ``snapshot`` whole or not at all; gzip where the name ends in ``.gz``.

    :raises RecordingError: the file cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as raw:
                _write(snapshot, raw, compress=path.suffix == ".gz")
                raw.flush()
                os.fsync(raw.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise RecordingError(
            f"cannot write {path}", error.strerror or str(error), "choose another place"
        ) from error


def lines(snapshot: Snapshot) -> Iterator[bytes]:
    """Yield the lines of ``snapshot``'s file, each with its newline."""
    yield _line(
        {
            "schema": SCHEMA,
            "kind": snapshot.kind,
            "origin": snapshot.origin,
            "collected_at": snapshot.collected_at,
            "arch": snapshot.arch,
            "redacted": snapshot.redacted,
        }
    )
    for name in sorted(snapshot.captures):
        yield _line(_capture_row(snapshot.captures[name]))
    if snapshot.complete:
        yield _line({"end": True, "captures": len(snapshot.captures)})


def _write(snapshot: Snapshot, raw: IO[bytes], compress: bool) -> None:
    if not compress:
        raw.writelines(lines(snapshot))
        return
    with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
        for line in lines(snapshot):
            packed.write(line)


def _line(row: Mapping[str, object]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _capture_row(capture: Capture) -> dict[str, object]:
    row: dict[str, object] = {"id": capture.id, "status": capture.status.value}
    if capture.data:
        row["encoding"], row["data"] = _encoded(capture.data)
    texts = {"how": capture.how, "detail": capture.detail, "format": capture.format}
    row.update({key: text for key, text in texts.items() if text})
    return row


def _encoded(data: bytes) -> tuple[str, str]:
    if len(data) > _COMPRESS_FROM:
        packed = zlib.compress(data, 6)
        if len(packed) * 2 < len(data):
            return "zlib+base64", base64.b64encode(packed).decode("ascii")
    try:
        return "utf-8", data.decode("utf-8")
    except UnicodeDecodeError:
        return "base64", base64.b64encode(data).decode("ascii")


class _Broken(Exception):
    """A line is not what it should be; the reader adds which line of which file."""


class _Ended(Exception):
    """The stream ends in the middle: what came before it still counts."""


def _decompressed(raw: BinaryIO) -> BinaryIO:
    buffered = raw if hasattr(raw, "peek") else io.BufferedReader(raw)  # type: ignore[type-var]
    if buffered.peek(2)[:2] == _GZIP:
        return gzip.GzipFile(fileobj=buffered)  # type: ignore[return-value]
    return buffered


def _read(stream: BinaryIO, origin: str) -> Snapshot:
    reader = _Reader(origin)
    try:
        for line in _lines_of(stream):
            reader.take(line)
    except _Ended:
        reader.cut = True
    except _Broken as error:
        raise reader.refusal(str(error)) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise reader.refusal(f"the compressed data is broken: {error}") from error
    return reader.snapshot()


def _lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines without their newline; the last one only if it is whole."""
    left, limit = MAX_STREAM, MAX_HEADER
    while True:
        try:
            line = stream.readline(limit + 1)
        except EOFError as error:
            raise _Ended from error
        if not line:
            return
        left -= len(line)
        if len(line) > limit and not line.endswith(b"\n"):
            raise _Broken(f"the line is longer than {limit} bytes")
        if left < 0:
            raise _Broken(f"the file is longer than {MAX_STREAM} bytes when decompressed")
        limit = MAX_LINE
        yield line


class _Reader:
    """Takes a snapshot's lines one by one and counts what they cost."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.number = 0
        self.header: dict[str, Any] | None = None
        self.captures: dict[str, Capture] = {}
        self.bytes_left = MAX_TOTAL
        self.announced: int | None = None
        self.cut = False

    def take(self, line: bytes) -> None:
        """Read one line: the header, a capture or the end."""
        self.number += 1
        if not line.strip():
            return
        if self.announced is not None or self.cut:
            raise _Broken("there is more after the last line")
        if self.header is None:
            self.header = _header(line)
            return
        try:
            row = _flat_object(line)
        except _Broken:
            if line.endswith(b"\n"):
                raise
            self.cut = True  # the writer was stopped in the middle of this line
            return
        if row.get("end") is True:
            self.announced = row["captures"] if isinstance(row.get("captures"), int) else -1
        else:
            self._keep(_capture(row))

    def _keep(self, capture: Capture) -> None:
        if capture.id in self.captures:
            raise _Broken(f"capture {capture.id[:200]!r} is there twice")
        if len(self.captures) >= MAX_CAPTURES:
            raise _Broken(f"there are more than {MAX_CAPTURES} captures")
        self.bytes_left -= len(capture.data) + len(capture.how) + len(capture.detail)
        if self.bytes_left < 0:
            raise _Broken(f"the captures hold more than {MAX_TOTAL} bytes")
        self.captures[capture.id] = capture

    def refusal(self, cause: str) -> RecordingError:
        """Return the error that names this file and the line reached."""
        return RecordingError(
            f"cannot read the snapshot {self.origin}",
            f"line {self.number or 1}: {cause}",
            "record the machine again, or get another copy of the file",
        )

    def snapshot(self) -> Snapshot:
        """Return what was read."""
        if self.header is None:
            raise self.refusal("the file is empty")
        texts = {key: str(self.header.get(key, "")) for key in ("origin", "collected_at", "arch")}
        return Snapshot(
            captures=self.captures,
            kind=self.header.get("kind", "machine"),
            redacted=self.header.get("redacted") is True,
            complete=not self.cut and self.announced == len(self.captures),
            **texts,
        )


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Broken(f"it is no JSON ({_short(error)})") from error
    if not isinstance(header, dict) or not isinstance(header.get("schema"), str):
        raise _Broken("it has no schema, so this is no snapshot")
    if header["schema"] != SCHEMA:
        raise _Broken(f"the schema is {header['schema'][:100]!r}; this program reads {SCHEMA!r}")
    if header.get("kind", "machine") not in KINDS:
        raise _Broken(f"the kind is {str(header['kind'])[:100]!r}, not one of {', '.join(KINDS)}")
    return header


def _short(error: BaseException) -> str:
    return str(error)[:200]


def _flat_object(line: bytes) -> dict[str, Any]:
    """Read a JSON object whose values are strings, numbers, booleans or null."""
    try:
        text = line.decode("utf-8")
        return _flat_pairs(text)
    except UnicodeDecodeError as error:
        raise _Broken(f"it is no UTF-8 (byte {error.start})") from error
    except (json.JSONDecodeError, IndexError) as error:
        raise _Broken(f"it is no JSON ({_short(error)})") from error


def _flat_pairs(text: str) -> dict[str, Any]:
    at = _skip(text, _expect(text, _skip(text, 0), "{"))
    row: dict[str, Any] = {}
    while text[at] != "}":
        if row:
            at = _skip(text, _expect(text, at, ","))
        key, at = _scalar(text, at)
        value, at = _scalar(text, _skip(text, _expect(text, _skip(text, at), ":")))
        row[str(key)] = value
        if len(row) > MAX_KEYS:
            raise _Broken(f"it has more than {MAX_KEYS} keys")
        at = _skip(text, at)
    if text[at + 1 :].strip():
        raise _Broken("there is more after the object")
    return row


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _expect(text: str, at: int, mark: str) -> int:
    if text[at] != mark:
        raise _Broken(f"it is no JSON object ({mark!r} expected at character {at})")
    return at + 1


def _scalar(text: str, at: int) -> tuple[Any, int]:
    if text[at] in "[{":
        raise _Broken("a value is an object or a list")
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise _Broken(_short(error)) from error


def _capture(row: Mapping[str, Any]) -> Capture:
    texts = {key: row.get(key, "") for key in _STRING_KEYS}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise _Broken(f"{key} is no text")
        if key != "data" and (len(value) > MAX_WORDS or not _encodable(value)):
            raise _Broken(f"{key} is longer than {MAX_WORDS} characters or no UTF-8")
    if not texts["id"]:
        raise _Broken("a capture has no id")
    return Capture(
        id=texts["id"],
        status=_status(texts["status"]),
        data=_data(texts["encoding"] or "utf-8", texts["data"], MAX_CAPTURE),
        how=texts["how"],
        detail=texts["detail"],
        format=texts["format"],
    )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _status(text: str) -> CaptureStatus:
    try:
        return CaptureStatus(text)
    except ValueError as error:
        raise _Broken(f"{text[:100]!r} is no status") from error


def _data(encoding: str, text: str, limit: int) -> bytes:
    try:
        if encoding == "utf-8":
            return _limited(text.encode(), limit)
        if encoding == "base64":
            return _limited(base64.b64decode(text, validate=True), limit)
        if encoding == "zlib+base64":
            return _inflated(base64.b64decode(text, validate=True), limit)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise _Broken(f"the data is not {encoding}: {_short(error)}") from error
    raise _Broken(f"{encoding[:100]!r} is no encoding")


def _limited(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise _Broken(f"the capture is larger than {limit} bytes")
    return data


def _inflated(packed: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    data = _limited(stream.decompress(packed, limit + 1), limit)
    if not stream.eof:
        raise _Broken("the compressed data ends too early")
    return data
