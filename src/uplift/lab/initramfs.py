"""Build an initial RAM file system in memory: the kernel's "newc" cpio, without any program.

Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_TRAILER = "TRAILER!!!"
_MERGED = ("bin", "sbin", "lib", "lib64")  #: directories that are links into /usr


@dataclass(frozen=True)
class Entry:
    """One file, directory, link or device of the archive.

    :param mode: type and permission bits, as ``st_mode``.
    :param data: a file's bytes, or a link's target.
    :param device: major and minor number of a device node.
    """

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(path: str) -> Entry:
    """Return a directory's entry."""
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: str, data: bytes, executable: bool = False) -> Entry:
    """Return a regular file's entry."""
    return Entry(path, stat.S_IFREG | (0o755 if executable else 0o644), data)


def link(path: str, target: str) -> Entry:
    """Return a symbolic link's entry."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int) -> Entry:
    """Return a character device's entry."""
    return Entry(path, stat.S_IFCHR | 0o600, b"", (major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the cpio archive of ``entries``, parents added; the last of two equal paths wins.

    Archives may be joined: the kernel unpacks one after the other.
    """
    wanted = {entry.path: entry for entry in entries}
    parents = {str(up): None for path in wanted for up in PurePosixPath(path).parents}
    missing = [directory(path) for path in parents if path != "." and path not in wanted]
    ordered = sorted([*missing, *wanted.values()], key=lambda entry: entry.path)
    records = [_record(number, entry) for number, entry in enumerate(ordered, 1)]
    return b"".join([*records, _record(0, Entry(_TRAILER, 0))])


def _record(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    size, device = len(entry.data), entry.device
    fields = (number, entry.mode, 0, 0, links, 0, size, 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(head + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def tree(root: Path, skip: frozenset[str] = frozenset()) -> Iterator[Entry]:
    """Yield what lies below ``root``, with /bin, /sbin, /lib and /lib64 merged into /usr.

    :param skip: names of directories to leave out.
    """
    yield from (link(name, f"usr/{name}") for name in _MERGED)
    for top, names, files in os.walk(root):
        here = Path(top)
        inside = here.relative_to(root)
        names[:] = [name for name in names if name not in skip]
        links = [name for name in names if (here / name).is_symlink()]
        for name in [*links, *files]:
            yield _found(here / name, _merged(inside / name))
        for name in set(names) - set(links):
            yield directory(_merged(inside / name))


def _merged(path: Path) -> str:
    inside = path.as_posix()
    return f"usr/{inside}" if path.parts[0] in _MERGED else inside


def _found(path: Path, name: str) -> Entry:
    if path.is_symlink():
        return link(name, str(path.readlink()))
    return file(name, path.read_bytes(), executable=os.access(path, os.X_OK))
