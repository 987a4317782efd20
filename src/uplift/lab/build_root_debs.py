"""Binary packages that a build made, or that an archive has: read as streams, with caps.

What a build leaves behind is a stranger's: only regular files with a package's name are taken,
links are never followed. ``dpkg-deb`` unpacks; nothing is written but what is asked for.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from uplift.errors import TargetError
from uplift.lab import apt, process
from uplift.lab.source_package import Fields, stanzas

MAX_PACKAGE = 4 << 30  #: bytes of one package
MAX_FILE = 1 << 30  #: bytes of one file in it that is read
MAX_UNPACKED = 32 << 30
MAX_MEMBERS = 500_000
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+_[A-Za-z0-9.+~%-]+_[a-z0-9-]+\.d?deb")
_SECONDS = 900
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """A regular file of a package that is an ELF file."""

    path: str
    data: bytes


def collect(directory: Path, to: Path) -> list[Path]:
    """Copy the packages that lie in a directory of a build root.

    :raises TargetError: one is larger than a package may be.
    """
    to.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted(directory.iterdir()):
        if _NAME.fullmatch(path.name):
            found.append(_copy(path, to / path.name))
    return found


def _copy(source: Path, to: Path) -> Path:
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _not_taken(source, error.strerror or str(error)) from None
    with os.fdopen(descriptor, "rb") as stream:
        about = os.fstat(stream.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_PACKAGE:
            raise _not_taken(source, "it is no regular file, or larger than a package may be")
        part = to.with_name(f".{to.name}.part")
        with part.open("wb") as out:
            while piece := stream.read(_CHUNK):
                out.write(piece)
        part.replace(to)
    return to


def _not_taken(source: Path, why: str) -> TargetError:
    return TargetError(
        f"cannot take {process.printable(source.name)} out of the build root",
        why,
        "look into the build's log",
    )


def control(package: Path) -> Fields:
    """Return a package's control fields, names in lower case."""
    return next(stanzas(control_text(package)), {})


def control_text(package: Path) -> str:
    """Return a package's control file as it stands."""
    return apt.checked(["dpkg-deb", "-f", str(package)], _SECONDS)


def elf_files(package: Path) -> Iterator[Member]:
    """Yield the ELF files of a package, one at a time.

    :raises TargetError: it cannot be unpacked, or is larger than is read.
    """
    with process.pipe(["dpkg-deb", "--fsys-tarfile", str(package)], timeout=_SECONDS) as running:
        running.stdin.close()
        try:
            yield from _elf_members(running.stdout)
            while running.stdout.read(_CHUNK):
                pass
        except (tarfile.TarError, OSError, ValueError) as error:
            raise _unreadable(package, str(error)) from None
        if running.finish():
            raise _unreadable(package, running.complaint)


def _elf_members(stream: IO[bytes]) -> Iterator[Member]:
    total = 0
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for number, member in enumerate(archive):
            total += member.size
            if number > MAX_MEMBERS or total > MAX_UNPACKED:
                raise ValueError("it unpacks to more than is read")
            if not member.isreg() or not 64 <= member.size <= MAX_FILE:
                continue
            content = cast("IO[bytes]", archive.extractfile(member))
            head = content.read(4)
            if head == b"\x7fELF":
                yield Member(member.name.removeprefix("."), head + content.read())


def _unreadable(package: Path, why: str) -> TargetError:
    return TargetError(
        f"cannot read {process.printable(package.name)}",
        process.printable(why) or "it is no package",
        "fetch or build it again",
    )
