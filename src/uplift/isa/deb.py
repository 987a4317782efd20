"""Files of a Debian package, streamed: its control file, then whatever holds instructions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from uplift.isa import control
from uplift.isa.contents import HEAD, Contents, Found, Package, Readable, clean, taken, wanted
from uplift.lab import package_stream
from uplift.lab.tar_stream import Kind, TarStream

_MAX_CONTROL = 4 << 20
_KEPT = 32 << 20  #: bytes of files that a hard link may still lead to


def contents(raw: BinaryIO) -> Contents:
    """Read a package's control file, and give its files.

    :param raw: at its beginning; it must be able to seek.
    :raises ValueError: it is no Debian package, or broken.
    """
    package = None
    for name, size in package_stream.deb_members(raw):
        if name.startswith("control.tar"):
            package = _control(package_stream.deb_stream(raw, size, name))
        elif name.startswith("data.tar"):
            if package is None:
                raise ValueError("its control.tar does not stand before its data.tar")
            return Contents(package, tar_files(package_stream.deb_stream(raw, size, name), package))
    raise ValueError("there is no data.tar in it, so it is no Debian package")


def _control(archive: TarStream) -> Package:
    for member in archive:
        if clean(member.name) == "control" and member.kind is Kind.FILE:
            if member.size > _MAX_CONTROL:
                break
            lines = archive.read(member.size).decode("utf-8", "replace").splitlines()
            return control.package(next(control.stanzas(lines), {}))
    raise ValueError("there is no control file in its control.tar")


def tar_files(archive: TarStream, package: Package) -> Iterator[Found]:
    """Yield the files of a tar archive that hold instructions; a hard link as what it leads to.

    :raises ValueError: a file is larger than the caps or cut short.
    """
    links = _Links()
    for member in archive:
        if member.kind is Kind.HARD_LINK:
            same = links.found.get(clean(member.target))
            if same is not None:
                yield Found(clean(member.name), same.data, same.sha256, package)
        elif member.kind is Kind.FILE and member.size > HEAD:
            found = file_in(clean(member.name), archive, member.size, package)
            if found is not None:
                links.add(found)
                yield found


class _Links:
    """The last files, which hard links that follow may lead to; older ones are let go."""

    def __init__(self) -> None:
        self.found: dict[str, Found] = {}
        self._size = 0

    def add(self, found: Found) -> None:
        self._size += len(memoryview(found.data))
        if self._size > _KEPT:
            self.found.clear()
            self._size = 0
        self.found[found.name] = found


def file_in(name: str, stream: Readable, size: int, package: Package) -> Found | None:
    """Return a member if it holds instructions; else its bytes are left unread."""
    head = stream.read(HEAD)
    if not wanted(name, head):
        return None
    return Found(name, *taken(head, stream, size), package)
