"""x86-64 decoding in Python, where the native decoder was not built: correct, but slow.

Functions and results are those of the native decoder. The bits of a cell are those that
``native/x86_core.h`` names; the formats are those of Intel SDM vol. 2, chapter 2, and of the APX
and XOP specifications.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from uplift.isa import range_rows as rows_
from uplift.isa.known_registers import signed
from uplift.isa.range_rows import BAD, BAD_ROW, ROW, Buffer, Ints, References
from uplift.isa.recursive_descent import Descent, Flow, Space, Step

WINDOW, LONGEST = 32, 15  #: bytes looked at from an instruction's first one on; bytes it may have
BLOCK = 4096  #: what a walk holds at once
_NODE, _NO_VVVV = 1 << 22, 1 << 23
_BROADCAST, _ROUNDING, _MASKED, _ZEROED = 1 << 28, 1 << 29, 1 << 30, 1 << 31
_REX2, _3DNOW, _VEX, _EVEX, _XOP = 16, 24, 32, 288, 544  #: first rows
_LEGACY = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
(_PLAIN, _CALL, _JUMP, _BRANCH, _END, _IDENTITY, _CALL_AT, _JUMP_AT, _ADDRESS, _LOAD, _STORE,
 _TEST, _ABSOLUTE) = range(13)  # fmt: skip
_MEMORY = {
    _CALL_AT: rows_.CALL_MEMORY, _JUMP_AT: rows_.JUMP_MEMORY, _ADDRESS: rows_.ADDRESS,
    _LOAD: rows_.LOAD, _STORE: rows_.STORE, _TEST: rows_.FLAG_TEST,
}  # fmt: skip
_RELATIVE = {_CALL: rows_.CALL, _JUMP: rows_.JUMP, _BRANCH: rows_.BRANCH}


class Instruction(NamedTuple):
    """What the tables say of one instruction, and where its ModRM is (0: it has none)."""

    group: int = BAD
    length: int = 0
    use: int = _PLAIN
    immediate: int = 0
    modrm: int = 0
    thread: bool = False  #: a segment prefix: the address is the thread's own
    indexed: bool = False  #: the index register is one that only a prefix names


_NONE = Instruction()


class _Tables(NamedTuple):
    rows: list[int]
    cells: list[list[int]]
    nodes: list[tuple[int, int, int]]
    entries: list[int]
    extended: list[int]

    def cell(self, row: int, opcode: int, context: int) -> int:
        cell = self.cells[self.rows[row]][opcode]
        while cell & _NODE:
            offset, shift, mask = self.nodes[cell & 0xFFFF]
            cell = self.entries[offset + (context >> shift & mask)]
        return cell


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    path = files("uplift") / "isa" / "data" / "x86-tables.npz"
    with path.open("rb") as stream:
        arrays = np.load(stream, allow_pickle=False)
        nodes = zip(*(arrays[n].tolist() for n in ("offset", "shift", "mask")), strict=True)
        kept = {n: arrays[n].tolist() for n in ("rows", "cells", "entries", "extended")}
        return _Tables(nodes=list(nodes), **kept)


def _operand_bytes(code: bytes, at: int) -> int:
    """Bytes from ModRM to the displacement's end."""
    mode, rm = code[at] >> 6, code[at] & 7
    if mode == 3:
        return 1
    size = (1, 2, 5)[mode] + (rm == 4)
    base = code[at + 1] & 7 if rm == 4 else rm
    return size + 4 * (mode == 0 and base == 5)


def _context(modrm: int, evex: int, wide: int) -> int:
    context = modrm & 0x3F | (modrm >= 0xC0) << 6 | (evex >> 4 & 1) << 7
    return context | (evex & 7) << 8 | evex >> 7 << 11 | wide << 12


def _finished(code: bytes, at: int, cell: int, wide: int = 0) -> Instruction:
    immediate = (cell >> 16 & 15) + 4 * (cell >> 21 & wide & 1)
    has_modrm = cell >> 20 & 1
    length = at + immediate + (_operand_bytes(code, at) if has_modrm else 0)
    group = BAD if length > LONGEST else cell & 0xFFFF
    return Instruction(group, length, cell >> 24 & 15, immediate, at * has_modrm)


class _Reader:
    """Decodes one instruction of code that is padded to a whole window."""

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.rex = self.prefix = 0
        self.thread = self.short_address = self.short = False

    def run(self) -> Instruction:
        at, locked = self._prefixes()
        if at >= LONGEST:
            return _NONE
        byte, plain = self.code[at], not (self.rex or self.prefix or locked)
        if byte in (0xC4, 0xC5):
            found = self._vex(at) if plain else _NONE
        elif byte == 0x62:
            found = self._evex(at) if plain else _NONE
        elif byte == 0xD5:
            found = _NONE if self.rex else self._rex2(at)
        elif byte == 0x8F and self.code[at + 1] & 0x1F >= 8:
            found = self._xop(at) if plain else _NONE
        else:
            found = self._legacy(at)
        return found._replace(thread=self.thread)

    def _prefixes(self) -> tuple[int, bool]:
        repeat = locked = 0
        for at in range(LONGEST):
            byte = self.code[at]
            if byte & 0xF0 == 0x40:
                self.rex = byte
                continue
            if byte not in _LEGACY:
                self.prefix = repeat or int(self.short)
                return at, bool(locked)
            self.rex = 0
            repeat = {0xF3: 2, 0xF2: 3}.get(byte, repeat)
            self.short |= byte == 0x66
            self.thread |= byte & 0xFE == 0x64
            self.short_address |= byte == 0x67
            locked |= byte == 0xF0
        return LONGEST, bool(locked)

    def _legacy(self, at: int) -> Instruction:
        code, kind, wide, prefix = self.code, 0, self.rex >> 3 & 1, self.prefix
        if code[at] == 0x0F:
            at += 1
            kind = {0x38: 2, 0x3A: 3}.get(code[at], 1)
            at += kind > 1
            if kind == 1 and code[at] == 0x0F:
                return self._3dnow(at + 1)
        else:
            prefix = self._prefix_of_map_0(wide)
        cell = _tables().cell(kind * 4 + prefix, code[at], _context(code[at + 1], 0, wide))
        if not kind and self.short_address and code[at] & 0xFC == 0xA0:
            cell -= 4 << 16  # the address is the immediate
        return _finished(code, at + 1, cell, wide)._replace(indexed=bool(self.rex & 2))

    def _prefix_of_map_0(self, wide: int) -> int:
        """66 halves the operands there, unless W doubles them; F2 and F3 repeat."""
        return int(not wide) if self.short else self.prefix

    def _3dnow(self, at: int) -> Instruction:
        suffix = at + _operand_bytes(self.code, at)
        if suffix >= LONGEST:
            return _NONE
        found = _finished(self.code, at, _tables().cell(_3DNOW, self.code[suffix], 0))
        return found._replace(length=suffix + 1, indexed=bool(self.rex & 2))

    def _rex2(self, at: int) -> Instruction:
        bits = self.code[at + 1]
        wide, kind = bits >> 3 & 1, bits >> 7
        prefix = self.prefix if kind else self._prefix_of_map_0(wide)
        context = _context(self.code[at + 3], 0, wide)
        cell = _tables().cell(_REX2 + kind * 4 + prefix, self.code[at + 2], context)
        return _finished(self.code, at + 3, cell, wide)._replace(indexed=bool(bits & 0x22))

    def _vex(self, at: int) -> Instruction:
        three = self.code[at] == 0xC4
        first, last = self.code[at + 1], self.code[at + 1 + three]
        kind, wide = (first & 31, last >> 7) if three else (1, 0)
        if kind > 7:
            return _NONE
        found = self._packed(_VEX + kind * 32, last, wide, at + 2 + three)
        return found._replace(indexed=three and not first & 0x40)

    def _xop(self, at: int) -> Instruction:
        first, last = self.code[at + 1], self.code[at + 2]
        kind = (first & 31) - 8
        if kind > 2:
            return _NONE
        found = self._packed(_XOP + kind * 32, last, last >> 7, at + 3)
        return found._replace(indexed=not first & 0x40)

    def _packed(self, row: int, last: int, wide: int, opcode: int) -> Instruction:
        row += (last & 3) * 8 + (last >> 2 & 1) * 2 + wide
        context = _context(self.code[opcode + 1], 0, wide)
        cell = _tables().cell(row, self.code[opcode], context)
        if cell & _NO_VVVV and last & 0x78 != 0x78:
            return _NONE
        return _finished(self.code, opcode + 1, cell)

    def _evex(self, at: int) -> Instruction:
        first, second, bits, opcode, modrm = self.code[at + 1 : at + 6]
        kind, wide, in_register = first & 7, second >> 7, modrm >= 0xC0
        rounds = kind != 4 and in_register and bits & 0x10
        length = 2 if rounds else bits >> 5 & 3
        row = _EVEX + kind * 32 + (second & 3) * 8 + length * 2 + wide
        cell = _tables().cell(row, opcode, _context(modrm, bits, wide))
        if cell & 0xFFFF == BAD or (cell & _NO_VVVV and second & 0x78 != 0x78):
            return _NONE
        if (in_register and not second & 4) or (kind != 4 and not _fits(cell, bits, in_register)):
            return _NONE
        found = _finished(self.code, at + 5, cell)
        if (first & 8 or not second & 4) and found.group != BAD:
            found = found._replace(group=_tables().extended[found.group])
        return found._replace(indexed=not first & 0x40 or not second & 4)


def _fits(cell: int, bits: int, in_register: bool) -> bool:
    """Whether EVEX's b, aaa and z say something that the instruction knows."""
    if bits & 0x10 and not cell & (_ROUNDING if in_register else _BROADCAST):
        return False
    masked, zeroed, mask = cell & _MASKED, cell & _ZEROED, bits & 7
    if (not (masked or zeroed)) if mask else (zeroed and not masked):
        return False
    return not bits & 0x80 or bool(mask and zeroed and masked)


def _decode(code: bytes, at: int) -> Instruction:
    """Decode what is at ``code[at]``; an instruction that ends behind the code is none."""
    window = code[at : at + WINDOW]
    left = len(window)
    found = _Reader(window + bytes(WINDOW - left)).run()
    return found._replace(group=BAD) if found.length > left else found


def _sweep(code: bytes) -> Iterator[tuple[int, Instruction]]:
    """Decode in a row; where there is no instruction, go on one byte further."""
    at = 0
    while at < len(code):
        found = _decode(code, at)
        yield at, found
        at += 1 if found.group == BAD else found.length


def lengths(data: Buffer) -> bytes:
    """Return the length of each instruction from the start of ``data`` on, 0 for none."""
    return bytes(0 if i.group == BAD else i.length for _, i in _sweep(bytes(data)))


def classify(data: Buffer, base: int, starts: Ints, ends: Ints) -> tuple[bytes, bytes, int]:
    """Decode each range; see :func:`uplift.isa.decoder.classify`."""
    rows: list[tuple[int, int, int, int]] = []
    bad: list[tuple[int, int, int, int]] = []
    decoded = 0
    for n, low, code in _pieces(data, base, starts, ends):
        count: dict[int, list[int]] = {}
        for at, found in _sweep(code):
            decoded += found.group != BAD
            if found.group:
                count.setdefault(found.group, [base + low + at, 0])[1] += 1
        first, size = count.pop(BAD, (0, 0))
        bad += [(n, 0, first, size)] if size else []
        rows += [(n, group, first, size) for group, (first, size) in count.items()]
    return np.array(rows, ROW).tobytes(), np.array(bad, BAD_ROW).tobytes(), decoded


def _pieces(data: Buffer, base: int, starts: Ints, ends: Ints) -> Iterator[tuple[int, int, bytes]]:
    first, last = rows_.units(data, base, starts, ends, 1)
    view = memoryview(data).cast("B")
    for n, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        yield n, low, bytes(view[low:high])


def references(data: Buffer, base: int, starts: Ints, ends: Ints) -> bytes:
    """Find what refers to a fixed address; see :func:`uplift.isa.decoder.references`."""
    found = References()
    for n, low, code in _pieces(data, base, starts, ends):
        found.add(n, _refer(code, base + low))
    return found.finish()


def _refer(code: bytes, base: int) -> Iterator[tuple[int, int, int]]:
    for at, found in _sweep(code):
        if found.group == BAD or found.use in (_PLAIN, _END):
            continue
        if found.use == _IDENTITY:
            yield rows_.IDENTITY, base + at, 0
        elif found.use in _MEMORY:
            yield from _refer_to_memory(code, at, found, base)
        else:
            kind = _RELATIVE.get(found.use, rows_.JUMP)
            yield kind, base + at, _target(code[at : at + found.length], found, base + at)


def _refer_to_memory(
    code: bytes, at: int, found: Instruction, base: int
) -> Iterator[tuple[int, int, int]]:
    address = _fixed_address(code[at : at + found.length], found, base + at)
    if address is not None:
        yield _MEMORY[found.use], base + at, address
    elif found.use in (_CALL_AT, _JUMP_AT):
        yield rows_.INDIRECT, base + at, 0


def _target(code: bytes, found: Instruction, at: int) -> int:
    """Where a direct branch leads: its immediate ends the instruction."""
    by = int.from_bytes(code[len(code) - found.immediate :], "little", signed=True)
    return by if found.use == _ABSOLUTE else signed(at + found.length + by)


def _fixed_address(code: bytes, found: Instruction, at: int) -> int | None:
    """The address of the memory operand, where the code states it."""
    if not found.modrm or found.thread:
        return None
    place = found.modrm
    if code[place] & 0xC7 == 5:
        by = int.from_bytes(code[place + 1 : place + 5], "little", signed=True)
        return signed(at + found.length + by)
    if code[place] & 0xC7 == 4 and code[place + 1] & 0x3F == 0x25 and not found.indexed:
        return int.from_bytes(code[place + 2 : place + 6], "little", signed=True)
    return None


def walk(
    data: Buffer, base: int, seeds: Ints, covered_starts: Ints, covered_ends: Ints
) -> tuple[bytes, bytes, bytes]:
    """Follow code from ``seeds``; see :func:`uplift.isa.decoder.walk`."""
    view = memoryview(data).cast("B")
    space = Space.around(base, len(view), covered_starts, covered_ends)

    def step(at: int) -> Step:
        return _step(bytes(view[at - base : at - base + WINDOW]), at)

    return Descent(step, space, 1).run(seeds)


def _step(code: bytes, at: int) -> Step:
    """One instruction; two zeros are one too, but code that leads to them is likely data."""
    found = _decode(code, 0)
    if found.group == BAD or code[:2] == b"\0\0":
        return Step(Flow.BAD)
    if found.use in (_END, _JUMP_AT):
        return Step(Flow.END, found.length, found.group)
    flows = {_CALL: Flow.CALL, _JUMP: Flow.JUMP, _BRANCH: Flow.BRANCH, _ABSOLUTE: Flow.JUMP}
    if found.use not in flows:
        return Step(Flow.ON, found.length, found.group)
    target = _target(code[: found.length], found, at)
    return Step(flows[found.use], found.length, found.group, target)
