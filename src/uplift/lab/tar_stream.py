"""Read a tar archive once, front to back, without the cost of ``tarfile`` for each member.

Format: tar(5): ustar, GNU's long names, pax's path, linkpath and size. What is read is a
stranger's file: every header's checksum and every announced size is checked while reading.
A package of documentation holds tens of thousands of small files; ``tarfile`` spends more on their
headers than the unpacker on their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple, Protocol

MAX_MEMBERS = 400_000
MAX_HEADER = 1 << 20  #: bytes of an extended header
_BLOCK = 512
_CHUNK = 1 << 20
_END = bytes(_BLOCK)
_LONG = {b"L": "path", b"K": "linkpath"}
_EXTENDED = (*_LONG, b"x", b"X", b"g")
_FILES = (b"0", b"\0", b"7")
_EMPTY = (b"1", b"2", b"3", b"4", b"5", b"6")  #: links, devices, directories and pipes


class Kind(Enum):
    """What a member is, as far as a reader of files asks."""

    FILE = "file"
    HARD_LINK = "hard link"
    OTHER = "other"


class Member(NamedTuple):
    """One member.

    :param name: as it is written, escaped where it is no UTF-8.
    :param target: of a link.
    """

    name: str
    kind: Kind
    size: int
    target: str


class Source(Protocol):
    """Whatever gives bytes in order."""

    def take(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none only at the end."""


class TarStream:
    """The members of an archive; while one is at hand, :meth:`read` gives its bytes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._data, self._at = b"", 0
        self._left = self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Yield the members.

        :raises ValueError: a header is broken, or there are too many, or the archive is cut short.
        """
        more: dict[str, str] = {}
        for _ in range(3 * MAX_MEMBERS):
            block = self._header()
            if block is None:
                return
            kind = block[156:157]
            if kind in _EXTENDED:
                more.update(self._extended(kind, _number(block[124:136])))
                continue
            yield self._member(block, kind, more)
            self._skip(self._left + self._padding)
            more = {}
        raise ValueError(f"it holds more than {MAX_MEMBERS} files")

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes of the member at hand, none at its end.

        :raises ValueError: the archive is cut short.
        """
        data = self._exactly(min(size, self._left))
        self._left -= len(data)
        return data

    def _member(self, block: bytes, kind: bytes, more: Mapping[str, str]) -> Member:
        if kind == b"S" or "GNU.sparse." in more:
            raise ValueError("it holds a sparse file, which dpkg does not unpack either")
        size = int(more.get("size") or _number(block[124:136]))
        if size < 0:
            raise ValueError("a member has a negative size")
        name = more.get("path") or _path(block)
        self._left = 0 if kind in _EMPTY else size
        self._padding = -self._left % _BLOCK
        what = Kind.HARD_LINK if kind == b"1" else Kind.OTHER
        if kind in _FILES and not name.endswith("/"):
            what = Kind.FILE
        return Member(name, what, self._left, more.get("linkpath") or _name(block[157:257]))

    def _header(self) -> bytes | None:
        """Return the next header, None at the end of the archive, which is a block of zeros."""
        block = self._exactly(_BLOCK)
        if block == _END:
            return None
        given = _number(block[148:156])
        if given != sum(block) - sum(block[148:156]) + 8 * 32:
            raise ValueError("the checksum of a header is wrong")
        return block

    def _extended(self, kind: bytes, size: int) -> Mapping[str, str]:
        """Read what a long-name or pax header says of the member after it."""
        if not 0 <= size <= MAX_HEADER:
            raise ValueError(f"a header of it has {size} bytes")
        text = self._exactly(size)
        self._skip(-size % _BLOCK)
        if kind in _LONG:
            return {_LONG[kind]: _name(text)}
        return {} if kind == b"g" else _records(text)  # what holds for all names none

    def _exactly(self, size: int) -> bytes:
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        while len(data) < size:
            self._more()
            rest = self._data[: size - len(data)]
            self._at = len(rest)
            data += rest
        return data

    def _skip(self, size: int) -> None:
        while size > len(self._data) - self._at:
            size -= len(self._data) - self._at
            self._more()
        self._at += size

    def _more(self) -> None:
        self._data, self._at = self._source.take(_CHUNK), 0
        if not self._data:
            raise ValueError("it ends before the end of the archive")


def _number(field: bytes) -> int:
    """Return a number: octal digits, or GNU's binary form for larger ones."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)
    text = field.partition(b"\0")[0].strip()
    if text.strip(b"01234567"):
        raise ValueError("a number in a header is broken")
    return int(text or b"0", 8)


def _name(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _path(block: bytes) -> str:
    """Return a member's name; ustar may put directories of it elsewhere in the header."""
    name = _name(block[:100])
    if block[345] and block[257:263] == b"ustar\0":
        return f"{_name(block[345:500])}/{name}"
    return name


def _records(text: bytes) -> dict[str, str]:
    """Return the pax records that matter to a reader: length, space, key=value, end of line."""
    found: dict[str, str] = {}
    while text:
        length = text.partition(b" ")[0]
        if not length.isdigit() or len(length) > 8 or not 4 < int(length) <= len(text):
            raise ValueError("an extended header is broken")
        record, text = text[: int(length)], text[int(length) :]
        key, _, value = record[len(length) + 1 : -1].partition(b"=")
        if key in (b"path", b"linkpath"):
            found[key.decode()] = _name(value)
        elif key == b"size":
            found["size"] = str(_decimal(value))
        elif key.startswith(b"GNU.sparse."):
            found["GNU.sparse."] = ""
    return found


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise ValueError("an extended header is broken")
    return int(value)
