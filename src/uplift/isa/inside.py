"""One file by the name that an audit gives it: on disk, in a package, in a static library."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa import contents, sources, static_library
from uplift.isa.elf import Buffer
from uplift.isa.file_list import is_package

_MEMBER = re.compile(r"(.+)\(([^()]+)\)", re.DOTALL)


def bytes_of(name: str) -> Buffer:
    """Return the bytes of a file: ``libm.so.6``, ``PACKAGE/PATH``, or ``libc.a(memcpy.o)``.

    :raises UpliftError: there is no such file, or what it is in is broken.
    """
    try:
        return _data(name)
    except (OSError, ValueError) as error:
        raise _not_there(name, str(error)) from None


def _data(name: str) -> Buffer:
    path, member = Path(name), _MEMBER.fullmatch(name)
    if path.is_file():
        return _mapped(path)
    package = next((p for p in path.parents if p.is_file()), None)
    if package is not None and is_package(package):
        return _packed(package, name[len(str(package)) :].lstrip("/"))
    library = Path(member[1]) if member else None
    if member and library and library.is_file():
        data = _mapped(library)
        if static_library.is_static_library(bytes(memoryview(data)[: contents.HEAD])):
            return _object(data, str(library), member[2])
    raise ValueError("there is no such file")


def _mapped(path: Path) -> Buffer:
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)


def _packed(package: Path, wanted: str) -> Buffer:
    with sources.opened(package) as found:
        for file in found.files:
            if contents.printable(file.name) == wanted:
                return file.data
    raise ValueError("no file with instructions in the package is called so")


def _object(data: Buffer, library: str, wanted: str) -> Buffer:
    for member in static_library.objects(data, library):
        if member.name == wanted:
            return member.data
    raise ValueError("no object file in the static library is called so")


def _not_there(name: str, cause: str) -> UpliftError:
    return UpliftError(
        f"cannot read {name[:300]!r}",
        cause,
        "name a file as `uplift isa audit` does: PATH, PACKAGE/PATH or LIBRARY(OBJECT)",
    )
