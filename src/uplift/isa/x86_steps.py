"""What x86-64 instructions do to general registers, as far as tests of features need it.

Only the common integer instructions are told apart; every other one is reduced to what it may
change. Source: Intel SDM vol. 2, opcode maps (appendix A).
"""

from __future__ import annotations

from typing import Any, NamedTuple

#: An operand: ("r", number), ("h", number) for ah…bh, ("i", value), ("m", base, index, shift, disp)
#: where base is a register's number, -1 for none, -2 for a fixed address that disp holds.
Operand = tuple[Any, ...]
FIXED, NONE = -2, -1


class Step(NamedTuple):
    """One instruction: what it is, its operands, the bytes it works on.

    :param kind: ``mov``, ``lea``, ``test`` …; ``vector``: no general register changes;
        ``clobber``: those in ``operands`` do; ``unknown``: every one may.
    :param target: of a jump or call; also the condition's number in ``condition``.
    """

    kind: str
    at: int
    end: int
    size: int = 0
    operands: tuple[Operand, ...] = ()
    target: int = 0
    condition: int = -1


_GROUP = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")
_PREFIXES = frozenset(b"\x66\xf2\xf3\x2e\x36\x3e\x26\x64\x65\x67\xf0")
_ENDS = {0xC3: "ret", 0xC2: "ret", 0xCC: "end", 0xF4: "end"}
_STRING = frozenset((*range(0xA4, 0xA8), *range(0xAA, 0xB0)))
#: In map 0F: what writes a general register named by reg, or by r/m, and what writes none.
_REG = frozenset((0x2C, 0x2D, 0x50, 0xC5, 0xD7, 0xBC, 0xBD, 0xB8, 0x02, 0x03))
_NO_GENERAL = frozenset(
    (*range(0x10, 0x2C), 0x2E, 0x2F, *range(0x51, 0x7E), 0x7F, 0xC2, 0xC4, 0xC6, *range(0xD0, 0xD7),
     *range(0xD8, 0x100), 0x0D, *range(0x18, 0x20), 0x77, 0xAE, 0x0B, 0x05, 0x31)
)  # fmt: skip


class _Reader:
    """Reads one instruction's bytes."""

    def __init__(self, code: bytes, at: int, end: int) -> None:
        self.code, self.at, self.end = code, at, end
        self.place = 0
        self.rex = self.size = 0
        self.prefixes = b""

    def run(self) -> Step:
        while self.place < len(self.code) - 1 and self.code[self.place] in _PREFIXES:
            self.place += 1
        self.prefixes = self.code[: self.place]
        if self.code[self.place] & 0xF0 == 0x40 and self.place < len(self.code) - 1:
            self.rex = self.code[self.place]
            self.place += 1
        wide = self.rex & 8
        self.size = 8 if wide else 2 if 0x66 in self.prefixes else 4
        return self._opcode(self._byte())

    def _opcode(self, op: int) -> Step:  # noqa: PLR0911, PLR0912 - an opcode map
        if op == 0x0F:
            return self._two(self._byte())
        if op < 0x40 and op & 7 < 6:
            return self._arithmetic(_GROUP[op >> 3], op & 7)
        if 0x50 <= op < 0x60:
            return self._push_pop(op)
        if 0x70 <= op < 0x80:
            return self._jump("branch", self._signed(1), op & 15)
        if op in (0x80, 0x81, 0x83):
            return self._group_1(op)
        if op in (0x84, 0x85):
            return self._modrm("test", op & 1, both=True)
        if 0x88 <= op < 0x8C:
            return self._modrm("mov", op & 1, reverse=op >= 0x8A, both=True)
        if op == 0x8D:
            return self._modrm("lea", 1, reverse=True, both=True)
        if op == 0x63:
            return self._modrm("signed4", 1, reverse=True, both=True)
        if op in (0x86, 0x87):
            return self._modrm("xchg", op & 1, both=True)
        if op in (0xA8, 0xA9):
            return self._accumulator("test", op & 1)
        if 0xB0 <= op < 0xC0:
            return self._move_constant(op)
        if op in (0xC6, 0xC7):
            return self._with_constant("mov", op & 1)
        return self._rest(op)

    def _rest(self, op: int) -> Step:  # noqa: PLR0911, PLR0912 - an opcode map
        if op in (0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3):
            return self._shift(op)
        if op in (0xE8, 0xE9):
            return self._jump("call" if op == 0xE8 else "jump", self._signed(4))
        if op == 0xEB:
            return self._jump("jump", self._signed(1))
        if 0xE0 <= op < 0xE4:
            return self._jump("branch", self._signed(1), 16)
        if op in _ENDS:
            return self._step(_ENDS[op])
        if op in (0xF6, 0xF7):
            return self._group_3(op & 1)
        if op in (0xFE, 0xFF):
            return self._group_5(op & 1)
        if op in (0x98, 0x99, 0x9C, 0x9D, 0x9E, 0x9F):
            return self._step("clobber", ("r", 0), ("r", 2), ("r", 4))
        if op == 0x90:
            return self._step("nop")
        if op in _STRING:
            return self._step("clobber", ("r", 0), ("r", 1), ("r", 6), ("r", 7))
        if op in (0x69, 0x6B):
            return self._modrm("clobber", 1, reverse=True)
        if op == 0xC9:
            return self._step("clobber", ("r", 4), ("r", 5))
        if op in (0xC4, 0xC5, 0x62):
            return self._vex(op)
        if op == 0x8F or 0xD8 <= op < 0xE0:
            return self._step("unknown" if op == 0x8F else "vector")
        return self._step("unknown")

    def _two(self, op: int) -> Step:  # noqa: PLR0911, PLR0912 - an opcode map
        if 0x80 <= op < 0x90:
            return self._jump("branch", self._signed(4), op & 15)
        if 0x90 <= op < 0xA0:
            return self._modrm("set", 0)._replace(condition=op & 15)
        if 0x40 <= op < 0x50:
            return self._modrm("select", 1, reverse=True, both=True)._replace(condition=op & 15)
        if op == 0xA2:
            return self._step("cpuid")
        if op == 0x01 and self.code[self.place : self.place + 1] == b"\xd0":
            return self._step("xgetbv")
        if op in (0xB6, 0xB7, 0xBE, 0xBF):
            kind = ("zero" if op < 0xB8 else "signed") + ("2" if op & 1 else "1")
            return self._modrm(kind, 1, reverse=True, both=True, narrow=2 if op & 1 else 1)
        if op in (0xA3, 0xBA):
            return self._bit_test(op)
        if op == 0x0B:
            return self._step("end")
        if op == 0x1E and 0xF3 in self.prefixes and self.code[self.place] & 0xF8 == 0xC8:
            return self._step("rdssp", ("r", self.code[self.place] & 7 | (self.rex & 1) << 3))
        if op == 0xAF or op in _REG:
            return self._modrm("clobber", 1, reverse=True)
        if op == 0x7E:
            return self._modrm("vector" if 0xF3 in self.prefixes else "clobber", 1)
        if op in (0x38, 0x3A):
            return self._three(op, self._byte())
        if 0xC8 <= op < 0xD0:
            return self._step("clobber", ("r", op & 7 | (self.rex & 1) << 3))
        if op in (0x05, 0x31):
            return self._step("clobber", ("r", 0), ("r", 1), ("r", 2), ("r", 11))
        if op in _NO_GENERAL:
            return self._step("vector") if op == 0x77 else self._modrm("vector", 1)
        return self._step("unknown")

    def _three(self, kind: int, op: int) -> Step:
        if kind == 0x38:
            writes = op in (0xF0, 0xF1, 0xF6)
            return self._modrm("clobber" if writes else "vector", 1, reverse=True)
        if 0x14 <= op < 0x18:
            return self._modrm("clobber", 1)
        if 0x60 <= op < 0x64:
            return self._step("clobber", ("r", 1))
        return self._modrm("vector", 1)

    def _vex(self, op: int) -> Step:
        """Take every general register that a VEX or EVEX instruction could write for written."""
        skip = {0xC5: 1, 0xC4: 2, 0x62: 3}[op]
        payload = self.code[self.place : self.place + skip + 2]
        if len(payload) < skip + 2:
            return self._step("unknown")
        first, last = payload[0], payload[skip - 1] if op != 0x62 else payload[1]
        table = 1 if op == 0xC5 else first & (0x1F if op == 0xC4 else 7)
        self.rex = 0x40 | (~first >> 7 & 1) << 2 | (0 if op == 0xC5 else ~first >> 5 & 1)
        self.rex |= 0 if op == 0xC5 else (~first >> 6 & 1) << 1
        self.place += skip
        code = self._byte()
        if table == 1 and code in (0x77,):
            return self._step("vector")
        step = self._modrm("vector", 1, both=True)
        if table == 1 and code not in (0x92, 0x93, 0x7E, 0x50, 0xD7, 0x2C, 0x2D, 0xC5):
            return step
        if table == 2 and code not in range(0xF0, 0x100):
            return step
        general = tuple(o for o in step.operands if o[0] != "i")
        return step._replace(kind="clobber", operands=(*general, ("r", ~last >> 3 & 15)))

    def _byte(self) -> int:
        value = self.code[self.place] if self.place < len(self.code) else 0
        self.place += 1
        return value

    def _signed(self, size: int) -> int:
        value = int.from_bytes(self.code[self.place : self.place + size], "little", signed=True)
        self.place += size
        return value

    def _step(self, kind: str, *operands: Operand) -> Step:
        return Step(kind, self.at, self.end, self.size, operands)

    def _jump(self, kind: str, distance: int, condition: int = -1) -> Step:
        return Step(kind, self.at, self.end, 8, (), self.end + distance, condition)

    def _register(self, number: int, size: int) -> Operand:
        if size == 1 and not self.rex and 4 <= number < 8:
            return ("h", number - 4)
        return ("r", number)

    def _address(self) -> tuple[int, Operand]:
        """Return the reg field and the operand that r/m names."""
        byte = self._byte()
        mode, reg, low = byte >> 6, byte >> 3 & 7 | (self.rex & 4) << 1, byte & 7
        if mode == 3:
            return reg, ("r", low | (self.rex & 1) << 3)
        base, index, shift = low | (self.rex & 1) << 3, NONE, 0
        if low == 4:
            scaled = self._byte()
            index = scaled >> 3 & 7 | (self.rex & 2) << 2
            index, shift = (NONE if index == 4 else index), scaled >> 6
            base = scaled & 7 | (self.rex & 1) << 3
            if scaled & 7 == 5 and mode == 0:
                base, mode = NONE, 2
        elif low == 5 and mode == 0:
            return reg, ("m", FIXED, NONE, 0, self.end + self._signed(4))
        disp = self._signed({0: 0, 1: 1, 2: 4}[mode]) if mode else 0
        if 0x64 in self.prefixes or 0x65 in self.prefixes:
            return reg, ("m", NONE, NONE, 0, -1)  # the thread's own: nobody's address
        if base == NONE and index == NONE:
            return reg, ("m", FIXED, NONE, 0, disp)
        return reg, ("m", base, index, shift, disp)

    def _modrm(
        self, kind: str, wide: int, reverse: bool = False, both: bool = False, narrow: int = 0
    ) -> Step:
        size = self.size if wide else 1
        reg, place = self._address()
        if place[0] == "r":
            place = self._register(place[1], narrow or size)
        register = self._register(reg, size)
        operands = (register, place) if reverse else (place, register)
        if not both:
            memory = (place,) if place[0] == "m" and reverse else ()
            operands = (operands[0], *memory)
        return Step(kind, self.at, self.end, size, operands)

    def _arithmetic(self, kind: str, form: int) -> Step:
        if form >= 4:
            return self._accumulator(kind, form & 1)
        return self._modrm(kind, form & 1, reverse=form >= 2, both=True)

    def _accumulator(self, kind: str, wide: int) -> Step:
        size = self.size if wide else 1
        value = self._signed(min(size, 4))
        return Step(kind, self.at, self.end, size, (("r", 0), ("i", value)))

    def _with_constant(self, kind: str, wide: int) -> Step:
        size = self.size if wide else 1
        _, place = self._address()
        if place[0] == "r":
            place = self._register(place[1], size)
        return Step(kind, self.at, self.end, size, (place, ("i", self._signed(min(size, 4)))))

    def _move_constant(self, op: int) -> Step:
        number = op & 7 | (self.rex & 1) << 3
        if op < 0xB8:
            return Step(
                "mov", self.at, self.end, 1, (self._register(number, 1), ("i", self._signed(1)))
            )
        value = self._signed(self.size)
        return Step("mov", self.at, self.end, self.size, (("r", number), ("i", value)))

    def _push_pop(self, op: int) -> Step:
        number = op & 7 | (self.rex & 1) << 3
        if op < 0x58:
            return self._step("push", ("r", number))
        return self._step("clobber", ("r", number))

    def _group_1(self, op: int) -> Step:
        size = 1 if op == 0x80 else self.size
        reg, place = self._address()
        if place[0] == "r":
            place = self._register(place[1], size)
        value = self._signed(min(size, 4) if op == 0x81 else 1)
        return Step(_GROUP[reg & 7], self.at, self.end, size, (place, ("i", value)))

    def _group_3(self, wide: int) -> Step:
        size = self.size if wide else 1
        reg, place = self._address()
        if place[0] == "r":
            place = self._register(place[1], size)
        if reg & 7 < 2:
            value = self._signed(min(size, 4))
            return Step("test", self.at, self.end, size, (place, ("i", value)))
        if reg & 7 < 4:
            kind = "not" if reg & 7 == 2 else "neg"
            return Step(kind, self.at, self.end, size, (place,))
        return self._step("clobber", ("r", 0), ("r", 2))

    def _group_5(self, wide: int) -> Step:
        size = self.size if wide else 1
        reg, place = self._address()
        kind = ("inc", "dec", "call-at", "unknown", "jump-at", "unknown", "push", "unknown")
        name = kind[reg & 7]
        if place[0] == "r" and size == 1:
            place = self._register(place[1], 1)
        return Step(name, self.at, self.end, 8 if name.endswith("-at") else size, (place,))

    def _shift(self, op: int) -> Step:
        size = self.size if op & 1 else 1
        reg, place = self._address()
        if place[0] == "r":
            place = self._register(place[1], size)
        if op in (0xD2, 0xD3) or reg & 7 not in (4, 5, 7):
            return Step("clobber", self.at, self.end, size, (place,))
        count = 1 if op in (0xD0, 0xD1) else self._signed(1) & 63
        kind = {4: "shl", 5: "shr", 7: "sar"}[reg & 7]
        return Step(kind, self.at, self.end, size, (place, ("i", count)))

    def _bit_test(self, op: int) -> Step:
        reg, place = self._address()
        if op == 0xA3:
            return Step("bt", self.at, self.end, self.size, (place, ("r", reg)))
        kind = {4: "bt", 5: "bts", 6: "btr"}.get(reg & 7, "clobber")
        return Step(kind, self.at, self.end, self.size, (place, ("i", self._signed(1) & 63)))


def read(code: bytes, at: int) -> Step:
    """Return what the instruction ``code``, which lies at ``at``, does."""
    return _Reader(code, at, at + len(code)).run()
