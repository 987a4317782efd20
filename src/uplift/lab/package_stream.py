"""Read packed archives as streams: Debian packages, tar archives; with caps, nothing is written.

Formats: deb(5), an ``ar`` archive whose ``control.tar`` and ``data.tar`` are packed with xz, zstd
or gzip; tar(5). What is read is a stranger's file: every announced size is checked while reading.
"""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from uplift.errors import UpliftError
from uplift.lab import tar_stream

MAX_STREAM = 16 << 30  #: bytes that a package may unpack to
MAX_MEMBERS = tar_stream.MAX_MEMBERS
FREE_STREAM = 256 << 20  #: unpacked bytes that no ratio limits
MAX_RATIO = 1500  #: unpacked bytes for each packed one, beyond that
#: What reading a broken archive raises.
BROKEN = (ValueError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error, struct.error)
_DICTIONARY = 300 << 20  #: memory for an unpacker's dictionary
_CHUNK = 1 << 20
_MAGICS = ((b"\x1f\x8b", "gz"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zst"))


class Header(tarfile.TarInfo):
    """A member's header that may not make ``tarfile`` read more than the cap into memory."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in (b"L", b"K", b"x", b"g", b"X") and header.size > tar_stream.MAX_HEADER:
            raise ValueError(f"a header of it has {header.size} bytes")
        if header.size < 0:
            raise ValueError("a member has a negative size")
        return header


def deb_members(raw: BinaryIO) -> Iterator[tuple[str, int]]:
    """Yield name and size of a package's members; the stream stands at each one's bytes.

    :raises ValueError: it is no ``ar`` archive, or a header of it is broken.
    """
    if raw.read(8) != b"!<arch>\n":
        raise ValueError("it does not start as an ar archive, so it is no Debian package")
    while head := raw.read(60):
        size = head[48:58].strip()
        if len(head) < 60 or head[58:] != b"`\n" or not size.isdigit():
            raise ValueError(f"a header of the ar archive is broken, before byte {raw.tell()}")
        start = raw.tell()
        yield head[:16].decode("ascii", "replace").rstrip(" /"), int(size)
        raw.seek(start + int(size) + int(size) % 2)


def deb_tar(raw: BinaryIO, size: int, name: str) -> tarfile.TarFile:
    """Return the archive that a member of a package holds, packed as its name says."""
    return tar(Unpacking(raw, size, name.rpartition(".")[2]))


def deb_stream(raw: BinaryIO, size: int, name: str) -> tar_stream.TarStream:
    """Return the members of that archive, for a reader who takes few of them."""
    return tar_stream.TarStream(Unpacking(raw, size, name.rpartition(".")[2]))


def tar(stream: io.RawIOBase) -> tarfile.TarFile:
    """Return a tar archive that is read once, front to back."""
    buffered: Any = io.BufferedReader(stream, _CHUNK)
    return tarfile.open(fileobj=buffered, mode="r|", tarinfo=Header, bufsize=_CHUNK)


def tar_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield an archive's members, forgetting each: ``tarfile`` would keep them all.

    :raises ValueError: there are too many.
    """
    for _ in range(MAX_MEMBERS):
        member = archive.next()
        if member is None:
            return
        yield member
        archive.members = []  # type: ignore[attr-defined]
    raise ValueError(f"it holds more than {MAX_MEMBERS} files")


def packing(head: bytes) -> str:
    """Return how bytes that begin so are packed: gz, xz, zst; else tar."""
    return next((kind for magic, kind in _MAGICS if head.startswith(magic)), "tar")


class Unpacking(io.RawIOBase):
    """The unpacked bytes of ``size`` bytes of a stream; more of them than the caps are refused.

    :param kind: xz, gz, zst or tar.
    :raises ValueError: it is packed in a way that is not known.
    """

    def __init__(self, raw: BinaryIO, size: int, kind: str) -> None:
        self._raw, self._left, self._taken, self._given = raw, size, 0, 0
        self._unpacker = _unpacker(kind, self)

    def readable(self) -> bool:
        """Return True: it is read."""
        return True

    def packed(self) -> bytes:
        """Return the next packed bytes, none at the end."""
        data = self._raw.read(min(_CHUNK, self._left))
        self._left -= len(data)
        self._taken += len(data)
        return data

    def take(self, size: int) -> bytes:
        """Return up to ``size`` unpacked bytes, none only at the end.

        :raises ValueError: the caps are reached.
        """
        data: bytes = self._unpacker.read(size)
        self._given += len(data)
        if self._given > MAX_STREAM:
            raise ValueError(f"it unpacks to more than {MAX_STREAM} bytes")
        if self._given > FREE_STREAM + MAX_RATIO * self._taken:
            raise ValueError(f"it grows more than {MAX_RATIO} times when it is unpacked")
        return data

    def readinto(self, buffer: Any) -> int:
        """Unpack into ``buffer``; return how many bytes."""
        data = self.take(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _unpacker(kind: str, source: Unpacking) -> Any:
    makers: dict[str, Callable[[Unpacking], Any]] = {
        "xz": _Decoded, "gz": _Inflated, "zst": _zstd, "tar": _Plain,
    }  # fmt: skip
    if kind not in makers:
        raise ValueError(f"its files are packed with {kind[:20]!r}, not with xz, zstd or gzip")
    return makers[kind](source)


class _Plain:
    def __init__(self, source: Unpacking) -> None:
        self._source, self._data = source, b""

    def read(self, size: int) -> bytes:
        self._data = self._data or self._source.packed()
        given, self._data = self._data[:size], self._data[size:]
        return given


class _Decoded:
    """xz, with a cap on its dictionary."""

    def __init__(self, source: Unpacking) -> None:
        self._source = source
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DICTIONARY)

    def read(self, size: int) -> bytes:
        while not self._decoder.eof:
            packed = self._source.packed() if self._decoder.needs_input else b""
            if not packed and self._decoder.needs_input:
                raise ValueError("its files end in the middle of the xz stream")
            data = self._decoder.decompress(packed, size)
            if data:
                return data
        return b""


class _Inflated:
    def __init__(self, source: Unpacking) -> None:
        self._source, self._decoder = source, zlib.decompressobj(wbits=31)

    def read(self, size: int) -> bytes:
        while not self._decoder.eof:
            packed = self._decoder.unconsumed_tail or self._source.packed()
            if not packed:
                raise ValueError("its files end in the middle of the gzip stream")
            data = self._decoder.decompress(packed, size)
            if data:
                return data
        return b""


def _zstd(source: Unpacking) -> Any:
    try:
        import zstandard  # noqa: PLC0415 - only some packages need it
    except ImportError:
        raise _NO_ZSTD from None
    packed: Any = _Packed(source)
    unpacker = zstandard.ZstdDecompressor(max_window_size=_DICTIONARY)
    return _Zstd(unpacker.stream_reader(packed, read_across_frames=True), zstandard.ZstdError)


class _Zstd:
    """zstd, whose own errors become ValueError."""

    def __init__(self, stream: Any, error: type[Exception]) -> None:
        self._stream, self._error = stream, error

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._stream.read(size)
        except self._error as error:
            raise ValueError(str(error)) from None
        return data


class _Packed:
    """The packed bytes as a file that a library reads."""

    def __init__(self, source: Unpacking) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        """Return some bytes, none at the end; how many are asked for is a hint."""
        return self._source.packed()


_NO_ZSTD = UpliftError(
    "cannot unpack the package",
    "its files are packed with zstd, for which Python has no module here",
    "install python3-zstandard",
)
