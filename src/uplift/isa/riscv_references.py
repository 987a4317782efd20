"""riscv64 references to fixed addresses, one by one: the rules of ``riscv_core.h``."""

from __future__ import annotations

from uplift.isa.known_registers import Reader, signed
from uplift.isa.range_rows import (
    ADDRESS,
    BRANCH,
    CALL,
    CALL_MEMORY,
    IDENTITY,
    INDIRECT,
    JUMP,
    JUMP_MEMORY,
    LOAD,
    STORE,
)

CALL_CLOBBERED = (1, 5, 6, 7, *range(10, 18), 28, 29, 30, 31)  #: ra, t0-t6, a0-a7: the psABI
_IDENTITIES = frozenset((0x301, 0xC22, *range(0xF11, 0xF16)))  #: misa, vlenb, the machine's
_ELSEWHERE = 32  #: a load goes to no integer register


def read(instructions: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Kind, address and target of every reference.

    :param instructions: address and word of each; of compressed ones the half-word.
    """
    reader = Reader()
    for at, word in instructions:
        if word & 3 == 3:
            _wide(reader, word, at)
        else:
            _compact(reader, word, at)
        reader.forget(0)
    return reader.found


def _bits(word: int, *fields: tuple[int, int, int]) -> int:
    """The immediate made of fields: lowest bit and size in the word, lowest bit in the result."""
    return sum((word >> low & (1 << size) - 1) << to for low, size, to in fields)


def immediate_j(word: int) -> int:
    """Of JAL."""
    return signed(_bits(word, (31, 1, 20), (12, 8, 12), (20, 1, 11), (21, 10, 1)), 21)


def immediate_b(word: int) -> int:
    """Of the conditional branches."""
    return signed(_bits(word, (31, 1, 12), (7, 1, 11), (25, 6, 5), (8, 4, 1)), 13)


def immediate_cj(word: int) -> int:
    """Of C.J."""
    return signed(
        _bits(word, (12, 1, 11), (8, 1, 10), (9, 2, 8), (6, 1, 7), (7, 1, 6), (2, 1, 5),
              (11, 1, 4), (3, 3, 1)), 12)  # fmt: skip


def immediate_cb(word: int) -> int:
    """Of C.BEQZ and C.BNEZ."""
    return signed(_bits(word, (12, 1, 8), (5, 2, 6), (2, 1, 5), (10, 2, 3), (3, 2, 1)), 9)


def immediate_i(word: int) -> int:
    """Of loads, JALR and operations with an immediate."""
    return signed(word >> 20, 12)


def immediate_u(word: int) -> int:
    """Of AUIPC."""
    return signed(word & 0xFFFFF000, 32)


def _to_register(r: Reader, d: int, n: int, by: int, at: int) -> None:
    if n in r.value:
        r.emit(CALL if d else JUMP, at, r.value[n] + by)
    elif n in r.source:
        r.emit(CALL_MEMORY if d else JUMP_MEMORY, at, r.source[n])
    elif d or n not in (1, 5):
        r.emit(INDIRECT, at)
    if d:
        r.forget_all(CALL_CLOBBERED)


def _conditional(r: Reader, n: int, at: int, target: int) -> None:
    r.emit(BRANCH, at, target)
    r.test(n, at)


def _add(r: Reader, d: int, n: int, by: int, at: int) -> None:
    known = r.value.get(n)
    if known is None:
        r.forget(d)
        return
    r.emit(ADDRESS, at, known + by)
    r.set_value(d, known + by)


def _load(r: Reader, d: int, n: int, by: int, at: int) -> None:
    known = r.value.get(n)
    if known is not None:
        r.emit(LOAD, at, known + by)
        if d != _ELSEWHERE:
            r.set_source(d, known + by)
    else:
        r.forget(d)


def _store(r: Reader, n: int, by: int, at: int) -> None:
    if n in r.value:
        r.emit(STORE, at, r.value[n] + by)


def _wide(r: Reader, word: int, at: int) -> None:
    d, n, opcode = word >> 7 & 31, word >> 15 & 31, word & 0x7F
    if opcode == 0x6F:
        r.emit(CALL if d else JUMP, at, at + immediate_j(word))
        if d:
            r.forget_all(CALL_CLOBBERED)
    elif opcode == 0x67:
        _to_register(r, d, n, immediate_i(word), at)
    elif opcode == 0x63:
        _conditional(r, 0 if word >> 20 & 31 else n, at, at + immediate_b(word))
    elif opcode == 0x17:
        r.set_value(d, at + immediate_u(word))
    elif opcode == 0x13:
        _operation(r, word, at)
    elif opcode in (0x03, 0x07, 0x23, 0x27):
        _memory(r, word, at)
    else:
        if opcode == 0x73 and word >> 12 & 7 and word >> 20 in _IDENTITIES:
            r.emit(IDENTITY, at)
        r.forget(d)


def _operation(r: Reader, word: int, at: int) -> None:
    d, n, function = word >> 7 & 31, word >> 15 & 31, word >> 12 & 7
    if function == 0:
        _add(r, d, n, immediate_i(word), at)
    elif function in (1, 5, 7):
        r.keep_source(d, n)
    else:
        r.forget(d)


def _memory(r: Reader, word: int, at: int) -> None:
    n, opcode, floating = word >> 15 & 31, word & 0x7F, 1 <= word >> 12 & 7 <= 4
    if opcode == 0x03:
        _load(r, word >> 7 & 31, n, immediate_i(word), at)
    elif opcode == 0x07 and floating:
        _load(r, _ELSEWHERE, n, immediate_i(word), at)
    elif opcode == 0x23 or (opcode == 0x27 and floating):
        _store(r, n, signed(word >> 25 << 5 | word >> 7 & 31, 12), at)


def _compact(r: Reader, word: int, at: int) -> None:
    (_quadrant0, _quadrant1, _quadrant2)[word & 3](r, word, at)


def _quadrant0(r: Reader, word: int, at: int) -> None:
    n, m, function = 8 + (word >> 7 & 7), 8 + (word >> 2 & 7), word >> 13
    by_words = _bits(word, (5, 1, 6), (10, 3, 3), (6, 1, 2))
    by_doubles = _bits(word, (5, 2, 6), (10, 3, 3))
    if function == 0:
        r.forget(m)
    elif function == 4:
        _narrow(r, word, at)
    elif function < 4:
        by = by_words if function == 2 else by_doubles
        _load(r, _ELSEWHERE if function == 1 else m, n, by, at)
    else:
        _store(r, n, by_words if function == 6 else by_doubles, at)


def _narrow(r: Reader, word: int, at: int) -> None:
    """Zcb: loads and stores of bytes and halves."""
    n, m = 8 + (word >> 7 & 7), 8 + (word >> 2 & 7)
    by = (word >> 5 & 1) << 1
    if not word >> 10 & 1:
        by |= word >> 6 & 1
    if word >> 10 & 7 < 2:
        _load(r, m, n, by, at)
    else:
        _store(r, n, by, at)


def _quadrant1(r: Reader, word: int, at: int) -> None:
    d, n, function = word >> 7 & 31, 8 + (word >> 7 & 7), word >> 13
    if function == 0:
        _add(r, d, d, signed(_bits(word, (12, 1, 5), (2, 5, 0)), 6), at)
    elif function == 5:
        r.emit(JUMP, at, at + immediate_cj(word))
    elif function > 5:
        _conditional(r, n, at, at + immediate_cb(word))
    elif function == 4:
        if word >> 10 & 3 == 3:
            r.forget(n)
        else:
            r.keep_source(n, n)
    else:
        r.forget(d)


def _quadrant2(r: Reader, word: int, at: int) -> None:
    d, m, function = word >> 7 & 31, word >> 2 & 31, word >> 13
    if function == 0:
        r.keep_source(d, d)
    elif function == 4 and not m and d:
        _to_register(r, word >> 12 & 1, d, 0, at)
    elif function == 4 and m and not word >> 12 & 1:
        r.copy(d, m)
    elif function in (2, 3, 4):
        r.forget(d)
