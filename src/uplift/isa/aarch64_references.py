"""arm64 references to fixed addresses, word by word: the rules of ``aarch64_core.h``."""

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

CALL_CLOBBERED = (*range(19), 30)  #: X0 to X18, X30: AAPCS64
_ZERO = 31  #: SP or zero: nothing is known of it


def read(words: list[int], at: int) -> list[tuple[int, int, int]]:
    """Kind, address and target of every reference that ``words``, at ``at``, make."""
    reader = Reader()
    for i, word in enumerate(words):
        _word(reader, word, at + 4 * i)
        reader.forget(_ZERO)
    return reader.found


def relative(word: int, at: int, shift: int, bits: int) -> int:
    """The target of a branch whose immediate is in units of four bytes."""
    return at + 4 * signed(word >> shift, bits)


def conditional_target(word: int, at: int) -> int | None:
    """Where a conditional branch may go; None for any other instruction."""
    if word & 0xFF000000 == 0x54000000 or word & 0x7E000000 == 0x34000000:
        return relative(word, at, 5, 19)
    if word & 0x7E000000 == 0x36000000:
        return relative(word, at, 5, 14)
    return relative(word, at, 5, 9) if word & 0x7E000000 == 0x74000000 else None


def _word(r: Reader, word: int, at: int) -> None:
    group, d = word >> 25 & 15, word & 31
    if group & 14 == 10:
        _control(r, word, at)
    elif group & 14 == 8:
        _immediate(r, word, at)
    elif group & 5 == 4:
        _memory(r, word, at)
    elif word & 0xFFE0FFE0 == 0xAA0003E0:
        r.copy(d, word >> 16 & 31)
    elif group & 7 == 5:
        r.forget(d)


def _control(r: Reader, word: int, at: int) -> None:
    target = conditional_target(word, at)
    if word & 0x7C000000 == 0x14000000:
        r.emit(CALL if word >> 31 else JUMP, at, relative(word, at, 0, 26))
        if word >> 31:
            r.forget_all(CALL_CLOBBERED)
    elif target is not None:
        r.emit(BRANCH, at, target)
        if word & 0x7C000000 == 0x34000000:
            r.test(word & 31, at)
    elif word & 0xFEDFF000 == 0xD61F0000:
        _to_register(r, word, at)
    elif word & 0xFFF00000 == 0xD5300000:
        if word & 0xFFFFF000 == 0xD5380000:
            r.emit(IDENTITY, at)
        r.forget(word & 31)


def _to_register(r: Reader, word: int, at: int) -> None:
    source, call = r.source.get(word >> 5 & 31), word >> 21 & 1
    if source is None:
        r.emit(INDIRECT, at)
    else:
        r.emit(CALL_MEMORY if call else JUMP_MEMORY, at, source)
    if call:
        r.forget_all(CALL_CLOBBERED)


def _immediate(r: Reader, word: int, at: int) -> None:
    d, n = word & 31, word >> 5 & 31
    offset = signed((word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3, 21)
    if word & 0x9F000000 == 0x90000000:
        r.set_value(d, (at & ~0xFFF) + (offset << 12))
    elif word & 0x9F000000 == 0x10000000:
        r.emit(ADDRESS, at, at + offset)
        r.set_value(d, at + offset)
    elif word & 0xFF800000 == 0x91000000:
        _add(r, word, at)
    elif d == _ZERO and word & 0x7F800000 in (0x71000000, 0x72000000):
        r.test(n, at)
    elif word & 0x7F800000 in (0x12000000, 0x53000000):
        r.keep_source(d, n)
    else:
        r.forget(d)


def _add(r: Reader, word: int, at: int) -> None:
    d, known = word & 31, r.value.get(word >> 5 & 31)
    if known is None:
        r.forget(d)
        return
    address = known + ((word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0))
    r.emit(ADDRESS, at, address)
    r.set_value(d, address)


def _memory(r: Reader, word: int, at: int) -> None:
    if word & 0x3B000000 == 0x39000000:
        _unsigned_offset(r, word, at)
    elif word & 0x3B000000 == 0x18000000:
        if word >> 30 != 3:
            _accessed(r, word, at, relative(word, at, 5, 19), load=True)
    else:
        _other_memory(r, word)


def _is_load(word: int) -> bool:
    opc = word >> 22 & 3
    return bool(opc & 1) if word >> 26 & 1 else opc != 0


def _accessed(r: Reader, word: int, at: int, address: int, load: bool) -> None:
    r.emit(LOAD if load else STORE, at, address)
    if load and not word >> 26 & 1:
        r.set_source(word & 31, address)


def _unsigned_offset(r: Reader, word: int, at: int) -> None:
    vector, opc, size = word >> 26 & 1, word >> 22 & 3, word >> 30
    if not vector and size == 3 and opc == 2:
        return  # PRFM
    known = r.value.get(word >> 5 & 31)
    if known is not None:
        scale = 4 if vector and opc & 2 else size
        _accessed(r, word, at, known + ((word >> 10 & 0xFFF) << scale), _is_load(word))
    elif not vector and _is_load(word):
        r.forget(word & 31)


def _other_memory(r: Reader, word: int) -> None:
    vector, t, n = word >> 26 & 1, word & 31, word >> 5 & 31
    if word & 0x3A000000 == 0x28000000:
        if word >> 22 & 1 and not vector:
            r.forget_all((t, word >> 10 & 31))
        if word >> 23 & 1:
            r.forget(n)
    elif word & 0x3B200400 == 0x38000400:
        if not vector and _is_load(word):
            r.forget(t)
        r.forget(n)
    elif not vector:
        r.forget_all((t, word >> 16 & 31))
