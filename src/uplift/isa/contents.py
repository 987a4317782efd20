"""What a source gives: packages, and the files in them that hold instructions; within caps."""

from __future__ import annotations

import mmap
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from uplift.errors import UpliftError
from uplift.isa.elf import Buffer
from uplift.lab import package_stream

MAX_FILE = 4 << 30  #: bytes of one file
MAX_NAME = 4096
IN_MEMORY = 16 << 20  #: bytes of a file that is held in memory; a larger one goes through a disk
HEAD = 64  #: bytes that tell whether a file holds instructions
_CHUNK = 1 << 20
_ELF = b"\x7fELF"
_MODULE = re.compile(r"\.ko(?:\.(?:xz|zst|gz))?\Z")
_KERNEL = re.compile(r"(?:^|/)(?:vmlinu[xz](?:-[^/]*)?|Image(?:\.gz)?)\Z")
_DEBUG = re.compile(r"(?:^|/)usr/lib/debug/")


@dataclass(frozen=True)
class Package:
    """What a file came in.

    :param kind: deb, snap, oci, wheel, tar, file, installed or process.
    :param source: the name of the source package, where there is one.
    :param depends: names of packages it cannot do without; of alternatives, all.
    :param reverse: how many packages of the same suite depend on it; None: nobody counted.
    """

    kind: str
    name: str
    version: str = ""
    arch: str = ""
    source: str = ""
    depends: tuple[str, ...] = ()
    reverse: int | None = None


@dataclass(frozen=True)
class Found:
    """One file that holds instructions.

    :param name: as its package calls it; never a place to write to.
    :param sha256: of ``data``, in hexadecimal.
    """

    name: str
    data: Buffer
    sha256: str
    package: Package


@dataclass
class Contents:
    """What is in one package, read once, front to back.

    :param notes: what was left out, known when ``files`` ends.
    """

    package: Package
    files: Iterator[Found]
    notes: list[str] = field(default_factory=list)


class Readable(Protocol):
    """Anything that gives its bytes in order."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none only at the end."""


def wanted(name: str, head: bytes) -> bool:
    """Say whether a file holds instructions: an ELF file, a kernel or a module.

    Detached debug files are ELF files without instructions, and left out.

    :param head: its first bytes.
    """
    if head.startswith(_ELF):
        return not _DEBUG.search(name)
    return bool(_MODULE.search(name) or (_KERNEL.search(name) and len(head) == HEAD))


def taken(head: bytes, rest: Readable, size: int) -> tuple[Buffer, str]:
    """Read a file whole; return its bytes and their sha256.

    :param size: what the archive announces; no more is read.
    :raises ValueError: it is larger than the cap, or ends before.
    """
    if size > MAX_FILE:
        raise ValueError(f"a file has {size} bytes, more than {MAX_FILE}")
    if size > IN_MEMORY:
        return _spooled(head, rest, size)
    parts, left = [head], size - len(head)
    while left > 0:
        part = rest.read(min(left, _CHUNK))
        if not part:
            raise ValueError(f"a file ends {left} bytes before its end")
        parts.append(part)
        left -= len(part)
    data = b"".join(parts)
    return data, sha256(data).hexdigest()


def _spooled(head: bytes, rest: Readable, size: int) -> tuple[Buffer, str]:
    digest, left = sha256(head), size - len(head)
    with tempfile.TemporaryFile(prefix="uplift-") as file:
        file.write(head)
        while left > 0:
            part = rest.read(min(left, _CHUNK))
            if not part:
                raise ValueError(f"a file ends {left} bytes before its end")
            digest.update(part)
            file.write(part)
            left -= len(part)
        file.flush()
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ), digest.hexdigest()


def clean(name: str) -> str:
    """Return a member's name without ``./``; it is shown and recorded, never opened."""
    return name[:MAX_NAME].removeprefix("./").lstrip("/")


@contextmanager
def refusing(place: str, kind: str) -> Iterator[None]:
    """Turn what reading a broken archive raises into an error that names it."""
    try:
        yield
    except package_stream.BROKEN as error:
        raise refused(place, kind, str(error)) from None
    except OSError as error:
        raise refused(place, kind, error.strerror or str(error)) from None


def refused(place: str, kind: str, cause: str) -> UpliftError:
    """Return the error that one source cannot be read."""
    return UpliftError(
        f"cannot read the {kind} {place[:300]!r}",
        printable(cause)[:300],
        "check that the file is whole, or fetch it again",
    )


def guarded(files: Iterable[Found], place: str, kind: str) -> Iterator[Found]:
    """Yield ``files``; what breaks on the way is told as an error of ``place``."""
    with refusing(place, kind):
        yield from files


def printable(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
