"""Files of a Python wheel, or of any other zip archive.

Formats: PKZIP APPNOTE 6.3 (4.3.16, end of central directory); "Binary distribution format" of PyPA.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from uplift.isa.contents import HEAD, Contents, Found, Package, clean
from uplift.isa.deb import file_in
from uplift.lab import package_stream

MAX_DIRECTORY = 128 << 20  #: bytes of the central directory: ``zipfile`` holds it in memory
_END = b"PK\x05\x06"
_WHEEL = re.compile(r"([\w.]+)-([\w.!+]+)(?:-\d\w*)?-[\w.]+-[\w.]+-([\w.]+)\.whl")


def contents(raw: BinaryIO, size: int, name: str) -> Contents:
    """Give the files of a zip archive; a wheel's name says what it is.

    :param size: bytes of it.
    :raises ValueError: it is no zip archive, is broken, or exceeds a cap.
    """
    _check_directory(raw, size)
    try:
        archive = zipfile.ZipFile(raw)
    except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
        raise ValueError(f"it is no zip archive: {error}") from None
    match = _WHEEL.fullmatch(name)
    package = Package("wheel", match[1], match[2], match[3]) if match else Package("zip", name)
    return Contents(package, _files(archive, package))


def _check_directory(raw: BinaryIO, size: int) -> None:
    start = max(0, size - 22 - 0xFFFF)
    raw.seek(start)
    tail = raw.read(size - start)
    at = tail.rfind(_END)
    if at < 0 or at + 22 > len(tail):
        raise ValueError("it has no end of a central directory, so it is no zip archive")
    (length,) = struct.unpack_from("<I", tail, at + 12)
    if length == 0xFFFFFFFF and at >= 20:
        (place,) = struct.unpack_from("<Q", tail, at - 12)
        raw.seek(min(place, size))
        record = raw.read(56)
        length = struct.unpack_from("<Q", record, 40)[0] if len(record) == 56 else size
    if length > MAX_DIRECTORY:
        raise ValueError(f"its directory has {length} bytes, more than {MAX_DIRECTORY}")
    raw.seek(0)


def _files(archive: zipfile.ZipFile, package: Package) -> Iterator[Found]:
    given = 0
    members = archive.infolist()
    if len(members) > package_stream.MAX_MEMBERS:
        raise ValueError(f"it holds more than {package_stream.MAX_MEMBERS} files")
    for member in members:
        if member.is_dir() or member.file_size <= HEAD:
            continue
        found = _file(archive, member, package)
        if found is not None:
            given += member.file_size
            if given > package_stream.MAX_STREAM:
                raise ValueError(f"it unpacks to more than {package_stream.MAX_STREAM} bytes")
            yield found


def _file(archive: zipfile.ZipFile, member: zipfile.ZipInfo, package: Package) -> Found | None:
    name = clean(member.filename)
    if member.file_size > 1 << 20 and member.file_size > 1100 * max(member.compress_size, 1):
        raise ValueError(f"{name[:200]!r} grows more than a thousand times when it is unpacked")
    try:
        with archive.open(member) as stream:
            return file_in(name, stream, member.file_size, package)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ValueError(f"{name[:200]!r}: {error}") from None
