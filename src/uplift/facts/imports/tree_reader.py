"""Read a directory or a tar archive into memory, within caps and without unpacking anything.

An archive is read as a stream, once; only the members that an importer wants are kept, so that a
report of two gigabytes costs as much memory as the hundred files that matter in it.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from uplift.errors import RecordingError

Wanted = Callable[[str], bool]

MAX_MEMBERS = 200_000
MAX_DEPTH = 64  #: components of a name
MAX_NAME = 4096  #: bytes of a name or of a link's target
MAX_FILE = 16 << 20  #: bytes kept of one file; the rest is cut off
MAX_KEPT = 96 << 20  #: bytes kept of all files
MAX_NAMES = 32 << 20  #: bytes of all names
MAX_STREAM = 8 << 30  #: bytes of the archive, decompressed
FREE_STREAM = 64 << 20  #: decompressed bytes that no ratio limits
MAX_RATIO = 300  #: decompressed bytes for each compressed one, beyond that
MAX_DICTIONARY = 128 << 20  #: memory that an xz stream may ask for

_BLOCK = 512
_CHUNK = 1 << 18
_MAX_META = 1 << 16  #: bytes of a long name or of a pax header
_MAGICS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


@dataclass(frozen=True, eq=False)
class Tree(Mapping[str, bytes]):
    """The wanted files of a tree, by name relative to its root (``proc/cpuinfo``).

    :param links: symbolic links inside the tree and what they point to, as written.
    :param names: every name that the tree holds, wanted or not.
    :param truncated: files of which only the beginning was kept.
    :param left_out: devices, and links that lead out of the tree.
    :param root: the one directory that everything stood in, removed from the names.
    """

    files: Mapping[str, bytes]
    links: Mapping[str, str]
    names: frozenset[str]
    truncated: frozenset[str] = frozenset()
    left_out: tuple[str, ...] = ()
    root: str = ""

    def __getitem__(self, name: str) -> bytes:
        return self.files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def read(path: Path, wanted: Wanted) -> Tree:
    """Read a directory or an archive.

    :param wanted: asked with each name, both with and without its first component (an archive's
        root is only known at its end).
    :raises RecordingError: it cannot be read, is no archive, or exceeds a cap.
    """
    try:
        if path.is_dir():
            return read_directory(path, wanted)
        with path.open("rb") as raw:
            return read_archive(raw, str(path), wanted)
    except OSError as error:
        raise _refusal(str(path), error.strerror or str(error)) from error


def read_directory(path: Path, wanted: Wanted) -> Tree:
    """Read the wanted files below ``path``; no link is followed, no device opened."""
    keeper = _Keeper(wanted)
    try:
        for name, entry in _walk(path):
            _keep_entry(keeper, name, entry)
    except _Refused as error:
        raise _refusal(str(path), str(error)) from error
    return keeper.tree()


def read_archive(raw: BinaryIO, origin: str, wanted: Wanted) -> Tree:
    """Read a tar archive: plain, gzip, bzip2, xz, and zstd where this Python has it."""
    keeper = _Keeper(wanted)
    try:
        with closing(_decompressed(raw)) as stream:
            for member in _members(stream):
                _keep_member(keeper, member)
    except (_Refused, tarfile.HeaderError) as error:
        raise _refusal(origin, str(error)) from error
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise _refusal(origin, f"the archive is broken: {str(error)[:200]}") from error
    return keeper.tree()


def recognises(name: str, head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a tar archive, compressed or not."""
    try:
        block = _decompressed(io.BytesIO(head)).read(_BLOCK)
        return bool(block.strip(b"\0")) and bool(tarfile.TarInfo.frombuf(block, "utf-8", "replace"))
    except _Refused:  # only zstd: what is in it is not known before it is tried
        return ".tar" in name or ".tzst" in name
    except (tarfile.HeaderError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError):
        return False


class _Refused(Exception):
    """A cap was exceeded or the archive is not one; the caller adds which file."""


def _refusal(origin: str, cause: str) -> RecordingError:
    return RecordingError(
        f"cannot read {origin}", cause, "pass a whole archive, or the directory that holds it"
    )


class _Keeper:
    """Collects what is wanted, counting what it costs."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._names: set[str] = set()
        self._truncated: set[str] = set()
        self._left_out: list[str] = []
        self._kept = 0
        self._name_bytes = 0

    def sees(self, name: str) -> bool:
        """Count ``name``; say whether it is wanted."""
        self._names.add(name)
        self._name_bytes += len(name)
        if len(self._names) > MAX_MEMBERS or self._name_bytes > MAX_NAMES:
            raise _Refused(f"it holds more than {MAX_MEMBERS} files or {MAX_NAMES} bytes of names")
        return self._wanted(name) or self._wanted(name.partition("/")[2])

    def keep(self, name: str, data: bytes) -> None:
        """Keep a file's first bytes; one more than the cap means that there was more."""
        if len(data) > MAX_FILE:
            data = data[:MAX_FILE]
            self._truncated.add(name)
        self._kept += len(data) - len(self._files.get(name, b""))
        if self._kept > MAX_KEPT:
            raise _Refused(f"the files that matter in it hold more than {MAX_KEPT} bytes")
        self._files[name] = data

    def link(self, name: str, target: str) -> None:
        """Keep a link that stays inside the tree."""
        if _leads_out(name, target):
            self.leave_out(name)
        else:
            self._links[name] = target

    def same(self, name: str, target: str) -> None:
        """Keep a hard link: another name of a member that came before."""
        if target in self._files:
            self.keep(name, self._files[target])

    def leave_out(self, name: str) -> None:
        """Remember that a member was not read on purpose."""
        if len(self._left_out) < 1000:
            self._left_out.append(name)

    def tree(self) -> Tree:
        """Return what was kept, below the directory that all of it shares."""
        root = _shared_root(self._names)
        cut = len(root) + 1 if root else 0
        return Tree(
            files={name[cut:]: data for name, data in self._files.items()},
            links={name[cut:]: target for name, target in self._links.items()},
            names=frozenset(name[cut:] for name in self._names if name[cut:]),
            truncated=frozenset(name[cut:] for name in self._truncated),
            left_out=tuple(name[cut:] for name in self._left_out),
            root=root,
        )


#: Directories that are the contents of a recording, never the folder around it.
_CONTENTS = frozenset(("proc", "sys", "etc", "boot", "sos_commands", "sos_logs", "sos_reports"))


def _shared_root(names: set[str]) -> str:
    tops = {name.partition("/")[0] for name in names}
    top = tops.pop() if len(tops) == 1 else ""
    return "" if top in _CONTENTS or (top in names and len(names) == 1) else top


def _leads_out(name: str, target: str) -> bool:
    """Whether a link's target has more ``..`` than directories to climb; ``/`` is the root."""
    depth = 0 if target.startswith("/") else name.count("/")
    for part in target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def _clean(name: str) -> str:
    """Return a member's name without ``./`` and ``//``.

    :raises _Refused: the name leads out of the tree or is too long or too deep.
    """
    if len(name) > MAX_NAME:
        raise _Refused(f"a name is longer than {MAX_NAME} bytes: {name[:100]!r}…")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise _Refused(f"a name leads out of the archive: {name[:200]!r}")
    if len(parts) > MAX_DEPTH:
        raise _Refused(f"a name is deeper than {MAX_DEPTH} directories: {name[:100]!r}…")
    return "/".join(parts)


def _walk(top: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    todo = [(str(top), "")]
    while todo:
        directory, prefix = todo.pop()
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError:
            if not prefix:
                raise
            continue  # one directory without the right to read it never costs the others
        for entry in entries:
            name = _clean(prefix + _readable(entry.name))
            yield name, entry
            if entry.is_dir(follow_symlinks=False):
                todo.append((entry.path, name + "/"))


def _readable(name: str) -> str:
    """Return a name whose bytes are not UTF-8 as text that can be written out again."""
    return os.fsencode(name).decode("utf-8", "replace")


def _keep_entry(keeper: _Keeper, name: str, entry: os.DirEntry[str]) -> None:
    wanted = keeper.sees(name)
    if entry.is_symlink():
        if wanted:
            keeper.link(name, _readable(os.readlink(entry.path)))  # noqa: PTH115
    elif not entry.is_file(follow_symlinks=False):
        if not entry.is_dir(follow_symlinks=False):
            keeper.leave_out(name)
    elif wanted:
        data = _file_head(entry.path)
        if data is None:
            keeper.leave_out(name)
        else:
            keeper.keep(name, data)


def _file_head(path: str) -> bytes | None:
    """Read a regular file up to the cap and one byte more; None where that fails."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            return file.read(MAX_FILE + 1)
    except OSError:
        return None


class _Counted(io.RawIOBase):
    """The raw bytes of an archive, counted."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


class _Stream:
    """Decompressed bytes, refused when they are too many for the compressed ones."""

    def __init__(self, counted: _Counted, source: Any) -> None:
        self._counted = counted
        self._source = source
        self._given = 0

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        parts, left = [], size
        while left > 0:
            part = self._source.read(min(left, _CHUNK))
            if not part:
                break
            parts.append(part)
            left -= len(part)
            self._count(len(part))
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes.

        :raises _Refused: the archive ends before.
        """
        while size > 0:
            part = self.read(min(size, _CHUNK))
            if not part:
                raise _Refused("the archive ends in the middle of a file")
            size -= len(part)

    def close(self) -> None:
        """Nothing to give back: the caller owns the file."""

    def _count(self, size: int) -> None:
        self._given += size
        if self._given > MAX_STREAM:
            raise _Refused(f"it is larger than {MAX_STREAM} bytes when decompressed")
        if self._given > FREE_STREAM + MAX_RATIO * self._counted.count:
            raise _Refused(f"it grows more than {MAX_RATIO} times when decompressed")


def _decompressed(raw: BinaryIO) -> _Stream:
    counted = _Counted(raw)
    buffered = io.BufferedReader(counted, _CHUNK)
    head = buffered.peek(8)[:8]
    kind = next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), "")
    return _Stream(counted, _source(kind, buffered))


def _source(kind: str, buffered: Any) -> Any:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=buffered)
    if kind == "bzip2":
        return bz2.BZ2File(buffered)
    if kind == "xz":
        return _Xz(buffered)
    if kind == "zstd":
        return _zstd(buffered)
    return buffered


def _zstd(buffered: Any) -> Any:
    try:
        module = importlib.import_module("compression.zstd")
    except ImportError as error:
        raise _Refused(
            "it is compressed with zstd, which Python reads from 3.14 on; run unzstd on it first"
        ) from error
    return module.ZstdFile(buffered)


class _Xz:
    """An xz stream that may not ask for more memory than the cap; LZMAFile has no such limit."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._decoder = self._new()

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none only at the end."""
        while True:
            packed = self._input()
            if packed is None:
                return b""
            part = self._decoder.decompress(packed, size)
            if part:
                return part

    def _input(self) -> bytes | None:
        """Return the next compressed bytes, None at the end of the last stream."""
        if not self._decoder.eof:
            packed = self._raw.read(_CHUNK) if self._decoder.needs_input else b""
            if not packed and self._decoder.needs_input:
                raise EOFError("the compressed data ends too early")
            return packed
        packed = self._decoder.unused_data or self._raw.read(_CHUNK)
        packed = packed.lstrip(b"\0")  # padding between streams
        if not packed:
            return None
        self._decoder = self._new()
        return packed


@dataclass(frozen=True)
class _Member:
    name: str
    kind: bytes
    target: str
    size: int
    stream: _Stream


def _members(stream: _Stream) -> Iterator[_Member]:
    """Yield an archive's members; whoever takes one reads or skips its bytes before the next.

    ``tarfile`` reads headers of any announced size into memory, so only its block parser is used.
    """
    override: dict[str, str] = {}
    blocks = 0
    while header := _header(stream):
        blocks += 1
        if blocks > 3 * MAX_MEMBERS:
            raise _Refused(f"it holds more than {MAX_MEMBERS} members")
        if header.type in b"LKxgX":
            override.update(_overrides(header, stream))
            continue
        if header.type == tarfile.GNUTYPE_SPARSE:
            _skip_sparse_map(header, stream)
        size = int(override.get("size") or header.size)
        name = _clean(override.get("path") or header.name)
        target = override.get("linkpath") or header.linkname
        yield _Member(name, header.type, target, 0 if header.type in _NO_DATA else size, stream)
        override = {}


_NO_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)


def _header(stream: _Stream) -> tarfile.TarInfo | None:
    block = stream.read(_BLOCK)
    if not block.strip(b"\0"):
        return None
    if len(block) < _BLOCK:
        raise _Refused("the archive ends in the middle of a header")
    header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    header.type = header.type if header.type != b"\0" else tarfile.REGTYPE
    if header.size < 0:
        raise _Refused("a member has a negative size")
    header.pax_headers = {"extended": "1"} if block[482] else {}
    return header


def _skip_sparse_map(header: tarfile.TarInfo, stream: _Stream) -> None:
    more = bool(header.pax_headers)
    while more:
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise _Refused("the archive ends in the middle of a header")
        more = bool(block[504])


def _overrides(header: tarfile.TarInfo, stream: _Stream) -> dict[str, str]:
    """Return what a long-name or pax member says about the member after it."""
    if header.size > _MAX_META:
        raise _Refused(f"a header is larger than {_MAX_META} bytes")
    data = stream.read(header.size)
    if len(data) < header.size:
        raise _Refused("the archive ends in the middle of a header")
    stream.skip(-header.size % _BLOCK)
    text = data.rstrip(b"\0").decode("utf-8", "replace")
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": text}
    if header.type == tarfile.GNUTYPE_LONGLINK:
        return {"linkpath": text}
    return {} if header.type == tarfile.XGLTYPE else _pax(data)


def _pax(data: bytes) -> dict[str, str]:
    """Read the records ``<length> <key>=<value>\\n`` that matter here."""
    found: dict[str, str] = {}
    while data.strip(b"\0"):
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not len(length) < int(length[:9]) <= len(data):
            raise _Refused("a pax header is broken")
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        if key in (b"path", b"linkpath"):
            found[key.decode()] = value.decode("utf-8", "replace")
        elif key == b"size" and value.isdigit() and len(value) < 19:
            found["size"] = value.decode()
        data = data[int(length) :]
    return found


def _keep_member(keeper: _Keeper, member: _Member) -> None:
    wanted = bool(member.name) and keeper.sees(member.name)
    if member.kind == tarfile.SYMTYPE and wanted:
        keeper.link(member.name, member.target[:MAX_NAME])
    elif member.kind == tarfile.LNKTYPE and wanted:
        keeper.same(member.name, _clean(member.target))
    elif member.kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        keeper.leave_out(member.name)
    _take_data(keeper, member, wanted and member.kind in (tarfile.REGTYPE, tarfile.CONTTYPE))


def _take_data(keeper: _Keeper, member: _Member, wanted: bool) -> None:
    read = 0
    if wanted:
        data = member.stream.read(min(member.size, MAX_FILE + 1))
        read = len(data)
        if read < min(member.size, MAX_FILE + 1):
            raise _Refused("the archive ends in the middle of a file")
        keeper.keep(member.name, data)
    member.stream.skip(member.size - read + -member.size % _BLOCK)
