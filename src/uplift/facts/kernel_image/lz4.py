"""LZ4 as Linux wraps its kernels: the legacy frame of blocks of 8 MiB.

The standard library has no LZ4. The format is that of the LZ4 project's ``lz4_Frame_format.md``
(legacy frame) and ``lz4_Block_format.md``.
"""

from __future__ import annotations

import struct

LEGACY = b"\x02\x21\x4c\x18"
_BLOCK = 8 << 20
_TRAILER = 4  #: bytes: Linux writes the unpacked size after the last block
_WORST_BLOCK = _BLOCK + _BLOCK // 255 + 16


def unpack(data: bytes, limit: int) -> bytes:
    """Unpack the legacy frame at the start of ``data``.

    :param limit: bytes that the result may have.
    :raises ValueError: it is no such frame, or it is broken or too large.
    """
    if not data.startswith(LEGACY):
        raise ValueError("byte 0: no LZ4 legacy frame")
    whole = bytearray()
    position = 4
    while len(data) - position > _TRAILER:
        (size,) = struct.unpack_from("<I", data, position)
        end = position + 4 + size
        if size == 0 or size > _WORST_BLOCK or end > len(data):
            raise ValueError(f"byte {position}: the LZ4 frame is cut off within a block of {size}")
        block = _block(data[position + 4 : end], position + 4)
        whole += block
        if len(whole) > limit:
            raise ValueError(f"it unpacks to more than {limit} bytes")
        position = end
        if len(block) < _BLOCK:
            break
    return bytes(whole)


def unpack_block(data: bytes, limit: int) -> bytes:
    """Unpack one block without a frame.

    :raises ValueError: it is broken, or unpacks to more than ``limit`` bytes.
    """
    block = _block(data, 0)
    if len(block) > limit:
        raise ValueError(f"an LZ4 block unpacks to more than {limit} bytes")
    return bytes(block)


def _block(data: bytes, place: int) -> bytearray:
    out = bytearray()
    position = 0
    try:
        while position < len(data):
            token = data[position]
            literals, position = _length(data, position + 1, token >> 4)
            out += data[position : position + literals]
            position += literals
            if position >= len(data):
                break
            distance = data[position] | data[position + 1] << 8
            matched, position = _length(data, position + 2, token & 15)
            repeat(out, distance, matched + 4)
            if len(out) > _BLOCK:
                raise ValueError(f"byte {place}: an LZ4 block unpacks to more than {_BLOCK} bytes")
    except IndexError:
        raise ValueError(f"byte {place + position}: the LZ4 block is cut off") from None
    return out


def _length(data: bytes, position: int, start: int) -> tuple[int, int]:
    if start < 15:
        return start, position
    while True:
        more = data[position]
        position += 1
        start += more
        if more != 255:
            return start, position


def repeat(out: bytearray, distance: int, count: int) -> None:
    """Append ``count`` bytes that stand ``distance`` back; the run may overlap itself.

    :raises ValueError: they would stand before the first byte.
    """
    start = len(out) - distance
    if distance == 0 or start < 0 or count > _BLOCK:
        raise ValueError(f"a match goes back {distance} bytes of {len(out)}")
    if distance >= count:
        out += out[start : start + count]
        return
    pattern = bytes(out[start:])
    out += (pattern * (count // distance + 1))[:count]
