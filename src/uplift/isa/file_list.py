"""Which files to audit: those that are named, and the programs and libraries in directories."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa.elf import ARCHES
from uplift.isa.static_library import is_static_library

_PACKED_MODULES = (".ko.gz", ".ko.xz", ".ko.zst")
_PACKAGES = (".deb", ".ddeb", ".udeb", ".whl", ".snap")
_TARS = (".oci", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst")
_PACKAGE_STARTS = (b"!<arch>\ndebian-binary"[:20], b"hsqs", b"PK\x03\x04")
_KERNELS = ("vmlinuz", "vmlinux")
_HEADER = struct.Struct("<4sBB10xHH")


@dataclass(frozen=True)
class Wanted:
    """A file to audit.

    :param path: how it is called; ``opened`` is where it can be read, where that differs.
    """

    path: str
    opened: str = ""

    @property
    def source(self) -> Path:
        """Where its bytes are."""
        return Path(self.opened or self.path)


@dataclass(frozen=True)
class Skipped:
    """What was met and not looked into."""

    path: str
    why: str


def machine(head: bytes) -> str | None:
    """Return the architecture of an ELF file's first 20 bytes.

    None where they are of no ELF file; ``""`` for one that is not audited.
    """
    if len(head) < _HEADER.size or head[:4] != b"\x7fELF":
        return None
    _, bits, order, _, number = _HEADER.unpack_from(head)
    return ARCHES.get(number, "") if (bits, order) == (2, 1) else ""


def is_package(path: Path) -> bool:
    """Whether a file is a package or an image, of which what is in it is audited."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER.size)
    except OSError:
        return False  # the audit says what is wrong
    return head.startswith(_PACKAGE_STARTS) or (machine(head) is None and path.name.endswith(_TARS))


def wanted(paths: Iterable[str]) -> Iterator[Wanted | Skipped]:
    """Return named files as they are, and of directories programs, libraries, kernels, packages.

    Links in directories are not followed; a file that is met twice is returned once.

    :raises UpliftError: nothing is called so.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            status = Path(path).stat()
        except (OSError, ValueError) as error:
            raise _not_there(path, error) from None
        if stat.S_ISDIR(status.st_mode):
            yield from _in_directory(path, seen)
        elif not stat.S_ISREG(status.st_mode):
            raise _not_there(path, ValueError("it is no regular file"))
        elif (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield Wanted(path)


def _not_there(path: str, error: OSError | ValueError) -> UpliftError:
    fix = "name a file or a directory"
    if path.isdecimal():
        fix += f"; for a running process write --pid {path}"
    cause = error.strerror if isinstance(error, OSError) else str(error)
    return UpliftError(f"cannot audit {path[:200]!r}", cause or str(error), fix)


def _in_directory(root: str, seen: set[tuple[int, int]]) -> Iterator[Wanted | Skipped]:
    refused: list[Skipped] = []

    def note(error: OSError) -> None:
        refused.append(Skipped(str(error.filename), error.strerror or "it cannot be read"))

    for directory, folders, names in os.walk(root, onerror=note):
        folders.sort()
        for name in sorted(names):
            found = file_at(Path(directory, name), seen)
            if found is not None:
                yield found
        yield from refused
        refused.clear()
    yield from refused


def file_at(path: Path, seen: set[tuple[int, int]]) -> Wanted | Skipped | None:
    """Return a file that holds instructions; None for others, for links, and for what was seen."""
    try:
        status = path.lstat()
        key = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode) or key in seen:
            return None
        with path.open("rb") as stream:
            head = stream.read(_HEADER.size + 1)
            arch = machine(head)
    except OSError as error:
        return Skipped(str(path), error.strerror or "it cannot be read")
    seen.add(key)
    if arch == "":
        return Skipped(str(path), "it is not of 64 bits for x86-64, aarch64 or riscv64")
    if arch or is_static_library(head) or _is_named_so(path.name):
        return Wanted(str(path))
    return None


def _is_named_so(name: str) -> bool:
    return name.endswith((*_PACKED_MODULES, *_PACKAGES)) or name.startswith(_KERNELS)
