"""Static libraries: the object files in an ``ar`` archive, called ``libc.a(memcpy.o)``.

Format: ar(5) of System V and GNU binutils (``/`` and ``/SYM64/`` for the index of symbols, ``//``
for long names), and of BSD (``#1/``). A file is hostile: what does not fit is refused whole, with
the byte where it went wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from uplift.errors import UpliftError
from uplift.isa.contents import MAX_NAME, printable, refused
from uplift.isa.elf import Buffer

MAGIC, THIN = b"!<arch>\n", b"!<thin>\n"
MAX_OBJECTS = 400_000
MAX_NAMES = 64 << 20  #: bytes of the table of long names
_PACKAGE = MAGIC + b"debian-binary"
_HEADER = 60
_INDEXES = ("/", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED", "__.SYMDEF_64")
_LONG_NAMES = "//"
_KIND = "static library"


@dataclass(frozen=True)
class Object:
    """One member of a static library; ``data`` is a part of the library's own bytes."""

    name: str
    data: memoryview


def is_static_library(head: bytes) -> bool:
    """Whether a file is an ``ar`` archive and no Debian package, by its first 21 bytes."""
    return head.startswith((MAGIC, THIN)) and not head.startswith(_PACKAGE)


def objects(data: Buffer, place: str) -> Iterator[Object]:
    """Yield the members of a static library; its indexes are left out.

    :param place: how the library is called, for errors.
    :raises UpliftError: it is broken, exceeds a cap, or is thin: its code lies in other files.
    """
    view = memoryview(data)
    thin = bytes(view[: len(THIN)]) == THIN
    names = b""
    for count, (raw, start, size) in enumerate(_members(view, place, thin)):
        if count > MAX_OBJECTS:
            raise refused(place, _KIND, f"it holds more than {MAX_OBJECTS} members")
        if raw == _LONG_NAMES:
            if size > MAX_NAMES:
                raise refused(place, _KIND, f"its table of names has {size} bytes")
            names = bytes(view[start : start + size])
        elif raw not in _INDEXES:
            name, skipped = _name(raw, names, view[start : start + size])
            if thin:
                raise _thin(place, name)
            if name not in _INDEXES:
                yield Object(name, view[start + skipped : start + size])


def _members(view: memoryview, place: str, thin: bool) -> Iterator[tuple[str, int, int]]:
    """Yield the name as it stands, the place and the size of each member's bytes."""
    at = len(MAGIC)
    while at < len(view):
        head = bytes(view[at : at + _HEADER])
        size = head[48:58].rstrip(b" ")
        if len(head) < _HEADER or head[58:] != b"`\n" or not size.isdigit():
            raise refused(place, _KIND, f"byte {at}: a header of it is broken")
        name, start, length = head[:16].decode("ascii", "replace").rstrip(" "), at + 60, int(size)
        here = not thin or name in (*_INDEXES, _LONG_NAMES)
        if here and start + length > len(view):
            cause = f"byte {at}: a member would end at byte {start + length} of {len(view)}"
            raise refused(place, _KIND, cause)
        yield name, start, length
        at = start + (length + length % 2 if here else 0)


def _name(raw: str, names: bytes, content: memoryview) -> tuple[str, int]:
    """Return a member's name, and how many bytes of its content are that name."""
    kind, _, number = raw.partition("/")
    if kind == "#1" and number.isdigit():
        length = int(number)
        return _shown(bytes(content[: min(length, MAX_NAME)]).rstrip(b"\0")), length
    if not kind and number.isdigit():
        start = int(number)
        return _shown(names[start : start + MAX_NAME].partition(b"\n")[0].removesuffix(b"/")), 0
    return printable(raw.removesuffix("/")), 0


def _shown(name: bytes) -> str:
    return printable(name.decode("utf-8", "backslashreplace"))


def _thin(place: str, name: str) -> UpliftError:
    return UpliftError(
        f"cannot audit the static library {place[:300]!r}",
        f"it is thin: it only names its members, and the code of {name[:200]!r} lies in that file",
        "audit the object files themselves: name them, or the directory that they are in",
    )
