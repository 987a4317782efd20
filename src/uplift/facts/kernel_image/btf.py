"""Where a kernel's structures have their members: the part of BTF that tells it.

Layout: Linux ``Documentation/bpf/btf.rst`` and ``include/uapi/linux/btf.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<HBBIIIII")
_MAGIC = 0xEB9F
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
_STRUCT, _UNION = 4, 5
_ARRAY, _FUNC_PROTO, _VAR, _DATASEC, _DECL_TAG = 3, 13, 14, 15, 17
_INT, _ENUM, _ENUM64 = 1, 6, 19
#: Bytes that follow a type: (always, for each of its members).
_FOLLOWING = {
    _INT: (4, 0),
    _ARRAY: (12, 0),
    _STRUCT: (0, _MEMBER.size),
    _UNION: (0, _MEMBER.size),
    _ENUM: (0, 8),
    _FUNC_PROTO: (0, 8),
    _VAR: (4, 0),
    _DATASEC: (0, 12),
    _DECL_TAG: (4, 0),
    _ENUM64: (0, 12),
}


def members(data: bytes, structure: str) -> dict[str, int]:
    """Return the byte offset of each member of ``structure``; empty where it is not described.

    Members of unnamed structures and unions inside it count as its own.

    :param data: the section ``.BTF`` of a kernel, not of a module.
    :raises ValueError: the section is broken.
    """
    types, strings = _parts(data)
    wanted = strings.find(b"\0" + structure.encode() + b"\0") + 1
    if not wanted:
        return {}
    places = list(_types(types))
    for position, kind, count, name in places:
        if kind == _STRUCT and name == wanted and count:
            return dict(_members(types, strings, places, position, count))
    return {}


def _parts(data: bytes) -> tuple[bytes, bytes]:
    if len(data) < _HEADER.size:
        raise ValueError("the BTF section ends within its header")
    magic, _, _, size, types, types_size, strings, strings_size = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("the BTF section does not begin as one")
    ends = size + types + types_size, size + strings + strings_size
    if max(ends) > len(data):
        raise ValueError(f"the BTF section has {len(data)} bytes of {max(ends)}")
    return data[size + types : ends[0]], data[size + strings : ends[1]]


_Place = tuple[int, int, int, int]  #: position of what follows, kind, members, name


def _types(types: bytes) -> Iterator[_Place]:
    position = 0
    while position + _TYPE.size <= len(types):
        name, info, _ = _TYPE.unpack_from(types, position)
        position += _TYPE.size
        kind, count = info >> 24 & 31, info & 0xFFFF
        yield position, kind, count, name
        always, each = _FOLLOWING.get(kind, (0, 0))
        position += always + each * count


def _members(
    types: bytes, strings: bytes, places: list[_Place], position: int, count: int, base: int = 0
) -> Iterator[tuple[str, int]]:
    for index in range(count):
        name, kind, offset = _MEMBER.unpack_from(types, position + index * _MEMBER.size)
        offset = base + (offset & 0xFFFFFF) // 8
        if name:
            yield strings[name : strings.find(b"\0", name)].decode("latin-1"), offset
        elif 0 < kind <= len(places):
            inner, inner_kind, inner_count, _ = places[kind - 1]
            if inner_kind in (_STRUCT, _UNION) and inner < position:
                yield from _members(types, strings, places, inner, inner_count, offset)
