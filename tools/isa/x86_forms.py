"""What a generator knows of one x86-64 encoding, and the packed cell that the decoder reads.

A *row* is what 256 opcodes are looked up in: a legacy map with one mandatory prefix; a VEX, EVEX
or XOP map with prefix, W and vector length. A *context* is what an opcode may still depend on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

BAD = 0x7FFF
#: Context: r/m 0-2, reg 3-5, r/m is a register 6, EVEX b 7, EVEX aaa 8-10, EVEX z 11, W 12.
RM, REG, IS_REGISTER, B, NF, Z, W = 0x7, 0x38, 0x40, 0x80, 0x400, 0x800, 0x1000
MAPS = {"legacy": 4, "rex2": 2, "3dnow": 1, "vex": 8, "evex": 8, "xop": 3}


class Use(IntEnum):
    """What an instruction does to the flow, or to its memory operand."""

    PLAIN = 0
    CALL = 1
    JUMP = 2
    BRANCH = 3
    END = 4
    IDENTITY = 5
    CALL_AT = 6
    JUMP_AT = 7
    ADDRESS = 8
    LOAD = 9
    STORE = 10
    TEST = 11
    JUMP_ABSOLUTE = 12


@dataclass(frozen=True)
class Operands:
    """What follows the opcode, and which EVEX bits have a meaning."""

    modrm: bool
    immediate: int  #: bytes
    wide_immediate: bool = False  #: 4 bytes more with REX.W
    no_vvvv: bool = False  #: vvvv names no register and must be 1111
    broadcast: bool = False  #: EVEX b with memory
    rounding: bool = False  #: EVEX b with a register
    masked: bool = False
    zeroed: bool = False  #: without ``masked``: a mask must be given


@dataclass(frozen=True)
class Form:
    """One encoding.

    :param prefixes: of none, 66, F3, F2 those that select it, as numbers.
    :param widths: values of W, ``lengths`` of the vector length that select its row.
    :param needs: its ISA set, empty for the base set.
    """

    kind: str
    map: int
    opcode: int
    prefixes: frozenset[int]
    mask: int
    value: int
    operands: Operands
    needs: str
    mnemonic: str
    benign: bool
    use: Use
    widths: frozenset[int] = frozenset((0, 1))
    lengths: frozenset[int] = frozenset((0, 1, 2, 3))
    rank: int = 0  #: where several match the highest decides

    @property
    def key(self) -> tuple[str, str, bool]:
        """What makes its class."""
        return (self.needs, self.mnemonic, self.benign)

    def rows(self) -> Iterator[int]:
        """Return the numbers of its rows."""
        for prefix in self.prefixes:
            if self.kind in ("legacy", "rex2", "3dnow"):
                yield row_number(self.kind, self.map, prefix)
                continue
            for length in self.lengths:
                for width in self.widths:
                    yield row_number(self.kind, self.map, prefix, length, width)

    def within(self, mask: int, value: int) -> Form:
        """Return it with more of the context fixed."""
        return replace(self, mask=self.mask | mask, value=self.value | value)


#: First row of each kind; a map of VEX, EVEX or XOP has 32: prefix, length and W.
FIRST = {"legacy": 0, "rex2": 16, "3dnow": 24, "vex": 32, "evex": 288, "xop": 544}
ROWS = 640


def row_number(kind: str, map_: int, prefix: int, length: int = 0, width: int = 0) -> int:
    """Return the row that the decoder looks an opcode up in."""
    if kind in ("legacy", "rex2", "3dnow"):
        return FIRST[kind] + map_ * 4 + prefix
    return FIRST[kind] + map_ * 32 + prefix * 8 + length * 2 + width


NODE = 1 << 22


def cell(group: int, operands: Operands, use: Use) -> int:
    """Pack what the decoder reads of one opcode."""
    o = operands
    bits = group | o.immediate << 16 | o.modrm << 20 | o.wide_immediate << 21 | o.no_vvvv << 23
    bits |= use << 24 | o.broadcast << 28 | o.rounding << 29 | o.masked << 30
    return int(bits | o.zeroed << 31)
