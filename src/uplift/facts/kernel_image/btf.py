"""How a kernel's structures and functions are laid out: the part of BTF that tells it.

Layout: Linux ``Documentation/bpf/btf.rst`` and ``include/uapi/linux/btf.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = struct.Struct("<HBBIIIII")
_MAGIC = 0xEB9F
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
_PARAMETER = struct.Struct("<II")
_INT, _POINTER, _ARRAY, _STRUCT, _UNION, _ENUM = 1, 2, 3, 4, 5, 6
_TYPEDEF, _VOLATILE, _CONST = 8, 9, 10
_FUNC, _FUNC_PROTO, _VAR, _DATASEC, _DECL_TAG, _ENUM64 = 12, 13, 14, 15, 17, 19
#: Bytes that follow a type: (always, for each of its members).
_FOLLOWING = {
    _INT: (4, 0),
    _ARRAY: (12, 0),
    _STRUCT: (0, _MEMBER.size),
    _UNION: (0, _MEMBER.size),
    _ENUM: (0, 8),
    _FUNC_PROTO: (0, _PARAMETER.size),
    _VAR: (4, 0),
    _DATASEC: (0, 12),
    _DECL_TAG: (4, 0),
    _ENUM64: (0, 12),
}
_MOST_ALIASES = 16
_MOST_MEMBERS = 10_000  #: of one structure, with those inside it


class _Type(NamedTuple):
    name: int
    kind: int
    size: int  #: members, parameters
    meaning: int  #: a size or the number of another type
    position: int  #: of what follows


class Btf:
    """The types of a kernel.

    :param data: the section ``.BTF`` of a kernel, not of a module.
    :raises ValueError: the section is broken.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER.size:
            raise ValueError("the BTF section ends within its header")
        magic, _, _, size, types, types_size, strings, strings_size = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("the BTF section does not begin as one")
        ends = size + types + types_size, size + strings + strings_size
        if max(ends) > len(data):
            raise ValueError(f"the BTF section has {len(data)} bytes of {max(ends)}")
        self._data = data[size + types : ends[0]]
        self._strings = data[size + strings : ends[1]]
        self._types = [_Type(0, 0, 0, 0, 0), *self._read()]

    def members(self, structure: str) -> dict[str, int]:
        """Return the byte offset of each member of a structure; empty where it is not described.

        Members of unnamed structures and unions inside it count as its own.
        """
        for found in self._named(structure, _STRUCT):
            if found.size:
                return dict(self._members(found))
        return {}

    def pointed_size(self, function: str, index: int) -> int:
        """Return the size of what a function's parameter points to; 0 where that is not told."""
        for found in self._named(function, _FUNC):
            prototype = self._type(found.meaning)
            if prototype.kind == _FUNC_PROTO and index < prototype.size:
                place = prototype.position + index * _PARAMETER.size
                parameter = self._plain(_PARAMETER.unpack_from(self._data, place)[1])
                target = self._plain(parameter.meaning)
                if parameter.kind == _POINTER and target.kind == _INT:
                    return target.meaning
        return 0

    def _read(self) -> Iterator[_Type]:
        position = 0
        while position + _TYPE.size <= len(self._data):
            name, info, meaning = _TYPE.unpack_from(self._data, position)
            kind, count = info >> 24 & 31, info & 0xFFFF
            position += _TYPE.size
            yield _Type(name, kind, count, meaning, position)
            always, each = _FOLLOWING.get(kind, (0, 0))
            position += always + each * count
        if position != len(self._data):
            raise ValueError("the BTF section ends within a type")

    def _named(self, name: str, kind: int) -> Iterator[_Type]:
        at = self._strings.find(b"\0" + name.encode() + b"\0") + 1
        return (found for found in self._types if at and found.name == at and found.kind == kind)

    def _type(self, number: int) -> _Type:
        return self._types[number] if number < len(self._types) else self._types[0]

    def _plain(self, number: int) -> _Type:
        """Return a type without its aliases and qualifiers."""
        found = self._type(number)
        for _ in range(_MOST_ALIASES):
            if found.kind not in (_TYPEDEF, _VOLATILE, _CONST):
                break
            found = self._type(found.meaning)
        return found

    def _members(self, structure: _Type) -> Iterator[tuple[str, int]]:
        """Yield a structure's members, and those of the unnamed ones inside it, in any order."""
        pending = [(structure, index, 0) for index in range(structure.size)]
        for _ in range(_MOST_MEMBERS):
            if not pending:
                return
            outer, index, base = pending.pop()
            place = outer.position + index * _MEMBER.size
            name, number, offset = _MEMBER.unpack_from(self._data, place)
            offset = base + (offset & 0xFFFFFF) // 8
            inner = self._type(number)
            if name:
                yield self._text(name), offset
            elif inner.kind in (_STRUCT, _UNION):
                pending += [(inner, nested, offset) for nested in range(inner.size)]

    def _text(self, place: int) -> str:
        return self._strings[place : self._strings.find(b"\0", place)].decode("latin-1")
