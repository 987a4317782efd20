"""Where functions lie, from call-frame information, in array operations.

Formats: LSB 5.0 ``.eh_frame`` and ``.eh_frame_hdr``; DWARF 5, section 6.4 (``.debug_frame``).
A frame description (FDE) names a range of code; a common entry (CIE) says how addresses are
written in it. Compilers write 4-byte relative addresses everywhere but in large-model code.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uplift.isa.elf import EH_FRAME_HDR, Elf, Ints

MAX_FRAMES = 1 << 23
_PC_RELATIVE, _DATA_RELATIVE = 0x10, 0x30
_LENGTHS = {0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8}  #: bytes by the low half of an encoding
_FEW_CIES = 1 << 16
#: Version 1; pointer to the section and table relative, 4 bytes signed; count 4 bytes unsigned.
_USUAL_HEADER = bytes([1, 0x1B, 0x03, 0x3B])


@dataclass(frozen=True)
class Frames:
    """Ranges of code that call-frame information describes, sorted by start.

    :param start: addresses; ``end`` is exclusive. Empty ranges are left out.
    """

    start: Ints
    end: Ints


def frames(elf: Elf) -> Frames:
    """Return what the unwinder's tables say of where functions lie.

    A table that is broken somewhere gives what stands before that place.
    """
    header = next((s for s in elf.segments if s.kind == EH_FRAME_HDR and s.file_size), None)
    if header is not None:
        found = _by_index(elf, header.address, header.file_size)
        if found is not None:
            return found
    for section in elf.sections:
        if section.name == ".eh_frame" and section.size and section.kind != 8:
            return _sorted(parse(elf.content(section), section.address))
    if header is not None:
        return _sorted(_by_header(elf, header.address, header.file_size))
    return debug_frames(elf)


def _by_index(elf: Elf, address: int, size: int) -> Frames | None:
    """Read the unwinder's sorted index, which names each FDE; None where it is of another form.

    The chain of lengths through ``.eh_frame`` is then not followed: only ends are read there.
    """
    raw = elf.at(address, size)
    if len(raw) < 12 or bytes(raw[:4]) != _USUAL_HEADER:
        return None
    count = min(struct.unpack_from("<I", raw, 8)[0], (len(raw) - 12) // 8, MAX_FRAMES)
    index = np.frombuffer(raw[12 : 12 + 8 * count], "<i4").reshape(-1, 2).astype(np.int64)
    start, places = index[:, 0] + address, index[:, 1] + address
    home = next(
        (s for s in elf.loaded if count and 0 <= int(places[0]) - s.address < s.file_size), None
    )
    if home is None:
        return None
    data = np.frombuffer(elf.at(home.address, home.file_size), np.uint8)
    places = places - home.address
    if int(places.min()) < 0 or int(places.max()) + 16 > len(data) or (places & 3).any():
        return None
    return _by_places(elf, home.address, data, start, places)


def _by_places(
    elf: Elf, base: int, data: npt.NDArray[np.uint8], start: Ints, places: Ints
) -> Frames | None:
    if base & 3:
        return None
    words = data[: len(data) // 4 * 4].view("<u4")
    fields = places >> 2
    cies = places + 4 - words[fields + 1].astype(np.int64)
    distinct = np.unique(cies)
    if int(distinct[0]) < 0 or len(distinct) > _FEW_CIES:
        return None
    raw = memoryview(data.data)
    if any(_encoding(raw, cie) & 15 not in (3, 11) for cie in distinct.tolist()):
        return None
    return _sorted((start, start + words[fields + 3]))


def debug_frames(elf: Elf) -> Frames:
    """Return the ranges of ``.debug_frame``, which debuggers use."""
    section = elf.section(".debug_frame")
    if section is None or section.flags & 0x800:  # compressed
        return _sorted((np.empty(0, np.int64), np.empty(0, np.int64)))
    return _sorted(parse(elf.content(section), 0, debug=True))


def parse(raw: memoryview, address: int, debug: bool = False) -> tuple[Ints, Ints]:
    """Return starts and ends of all FDEs of a section that lies at ``address``."""
    places, cies = _entries(raw, debug)
    if not len(places):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    data = np.frombuffer(raw, np.uint8)
    starts, ends = [], []
    for cie, rows in _groups(cies):
        encoding = 0 if debug else _encoding(raw, cie)
        start, end = _ranges(data, places[rows] + 8, address, encoding)
        starts.append(start)
        ends.append(end)
    return np.concatenate(starts), np.concatenate(ends)


def _entries(raw: memoryview, debug: bool) -> tuple[Ints, Ints]:
    """Return where FDEs start, and where the CIE of each does.

    The chain of lengths is followed one entry after the other; nothing else is done in the loop.
    """
    size = len(raw) // 4 * 4
    words = memoryview(raw[:size]).cast("B").cast("I")
    chain: list[int] = []
    place, end = 0, len(words) - 1
    append = chain.append
    while place < end:
        length = words[place]
        if not length or length & 3 or length >= 0xFFFFFFF0:
            if length or debug:
                break
            place += 1  # a terminator; another unit's entries may follow
            continue
        append(place)
        place += 1 + (length >> 2)
    every = np.array(chain, np.int64)
    every = every[every + 1 < len(words)]
    identity = np.frombuffer(raw[:size], "<u4")[every + 1].astype(np.int64)
    is_fde = identity != (0xFFFFFFFF if debug else 0)
    places = every[is_fde] * 4
    cies = identity[is_fde] if debug else places + 4 - identity[is_fde]
    inside = (cies >= 0) & (cies < size) & (places + 24 <= size)
    return places[inside][:MAX_FRAMES], cies[inside][:MAX_FRAMES]


def _groups(cies: Ints) -> list[tuple[int, npt.NDArray[np.intp]]]:
    order = np.argsort(cies, kind="stable")
    values, first = np.unique(cies[order], return_index=True)
    parts = np.split(order, first[1:])
    return list(zip(values.tolist()[:_FEW_CIES], parts, strict=False))


def _encoding(raw: memoryview, cie: int) -> int:
    """Return how a CIE's descriptions write addresses (the letter R of its augmentation)."""
    head = bytes(raw[cie + 8 : cie + 256])
    text, ended, rest = head[1:].partition(b"\0")
    if not ended or not text.startswith(b"z"):
        return 0
    position = _past_numbers(rest, 2 if head[0] == 1 else 3)
    position = _past_return_register(rest, position, head[0])
    for letter in text[1:].decode("latin-1"):
        if letter == "R":
            return rest[position] if position < len(rest) else 0
        if letter == "P":
            kind = rest[position] if position < len(rest) else 0
            position += 1 + _LENGTHS.get(kind & 15, 8)
        elif letter == "L":
            position += 1
    return 0


def _past_numbers(rest: bytes, count: int) -> int:
    """Step over code alignment, data alignment (and in version 3 the return register)."""
    position = 0
    for _ in range(count):
        while position < len(rest) and rest[position] & 0x80:
            position += 1
        position += 1
    return position


def _past_return_register(rest: bytes, position: int, version: int) -> int:
    position += 1 if version == 1 else 0
    while position < len(rest) and rest[position] & 0x80:  # length of the augmentation
        position += 1
    return position + 1


def _ranges(
    data: npt.NDArray[np.uint8], places: Ints, address: int, encoding: int
) -> tuple[Ints, Ints]:
    wide = encoding & 15 in (0, 4, 12)
    size = 8 if wide else 4
    if encoding & 15 in (2, 10) or encoding == 0xFF:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    places = places[places + 2 * size <= len(data)]
    start = _numbers(data, places, size, signed=True)
    if encoding & 0x70 == _PC_RELATIVE:
        start = start + address + places
    return start, start + _numbers(data, places + size, size, signed=False)


def _numbers(data: npt.NDArray[np.uint8], places: Ints, size: int, signed: bool) -> Ints:
    raw = data[places[:, None] + np.arange(size)]
    kind = f"<{'i' if signed or size == 8 else 'u'}{size}"
    found: Ints = raw.view(kind).reshape(-1).astype(np.int64)
    return found


def _by_header(elf: Elf, address: int, size: int) -> tuple[Ints, Ints]:
    """Find ``.eh_frame`` through the unwinder's header, where a file has no sections."""
    raw = bytes(elf.at(address, min(size, 8)))
    if len(raw) < 8 or raw[0] != 1 or raw[1] != (_PC_RELATIVE | 11):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    place = address + 4 + struct.unpack_from("<i", raw, 4)[0]
    for segment in elf.loaded:
        if 0 <= place - segment.address < segment.file_size:
            left = segment.file_size - (place - segment.address)
            return parse(elf.at(place, left), place)
    return np.empty(0, np.int64), np.empty(0, np.int64)


def _sorted(found: tuple[Ints, Ints]) -> Frames:
    start, end = found
    keep = (end > start) & (end - start < 1 << 31)
    start, end = start[keep], end[keep]
    order = np.argsort(start, kind="stable")
    return Frames(start[order], end[order])
