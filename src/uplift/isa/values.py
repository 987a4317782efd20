"""What is known of a value on a set of machines: which bits are clear, which are set, and by what.

The rules of x86's arithmetic on such values, and of its flags: Intel SDM vol. 1, 3.4.3.
"""

from __future__ import annotations

from typing import Any

#: Bits known clear, bits known set, and the feature words they come from; or ("@", address), an
#: address in the file; or ("p", name, offset), one in another file's feature words; or
#: ("?", addresses): anything, perhaps one of these. None: anything.
Value = tuple[Any, ...]
State = dict[Any, Any]
Sources = frozenset[str]

ALL = (1 << 64) - 1
POINTERS = ("@", "p", "?")
_MANY = 8  #: addresses that one value may be
NOTHING: Sources = frozenset()
UNKNOWN_FLAGS = (None, None, None, None, NOTHING)


def known(value: int, sources: Sources = NOTHING) -> Value:
    """Return the value of which every bit is known."""
    value &= ALL
    return (~value & ALL, value, sources)


def join(one: Value | None, other: Value | None) -> Value | None:
    """Return what holds whichever of two values it is; None where nothing does."""
    if one == other:
        return one
    if (
        one is None
        or other is None
        or len(one) != 3
        or len(other) != 3
        or "p" in (one[0], other[0])
    ):
        return None
    sources = one[2] | other[2]
    clear, ones = one[0] & other[0], one[1] & other[1]
    return (clear, ones, sources) if clear or ones or sources else None


def joined_states(one: State, other: State) -> State:
    """Return what is known of registers in both of two states."""
    both = {key: join(value, other.get(key)) for key, value in one.items()}
    return {key: value for key, value in both.items() if value is not None}


def bits(value: Value | None) -> tuple[int, int, Sources]:
    if value is None or value[0] in POINTERS:
        return 0, 0, NOTHING
    return value


def is_address(value: Value | None) -> bool:
    return value is not None and value[0] == "@"


def addresses(value: Value | None) -> tuple[int, ...]:
    """Return the addresses of the file that a value may be."""
    if value is None or value[0] not in ("@", "?"):
        return ()
    return (value[1],) if value[0] == "@" else tuple(value[1])


def either_address(one: Value | None, other: Value | None) -> Value | None:
    """Return the value that may be an address of one or the other; None where neither is one."""
    every = frozenset(addresses(one)) | frozenset(addresses(other))
    return ("?", every) if every and len(every) <= _MANY else None


def narrow(value: Value, size: int, shift: int = 0) -> Value:
    """Return the low bytes, the rest clear."""
    mask = (1 << 8 * size) - 1
    clear, ones, sources = value
    return (clear >> shift & mask | ~mask & ALL, ones >> shift & mask, sources)


def inserted(old: Value | None, value: Value, size: int, shift: int) -> Value:
    """Return ``old`` with some low bytes replaced, as narrow writes do."""
    mask = ((1 << 8 * size) - 1) << shift
    clear, ones, sources = bits(old)
    new = bits(value)
    return (
        clear & ~mask & ALL | new[0] << shift & mask,
        ones & ~mask & ALL | new[1] << shift & mask,
        sources | new[2],
    )


def sign_extended(value: Value, width: int, size: int) -> Value:
    clear, ones, sources = value
    low, top = (1 << 8 * width) - 1, 1 << 8 * width - 1
    high = ((1 << 8 * size) - 1) & ~low
    beyond = ~((1 << 8 * size) - 1) & ALL
    return (
        clear & low | (high if clear & top else 0) | beyond,
        ones & low | (high if ones & top else 0),
        sources,
    )


def computed(kind: str, one: Value | None, other: Value | None, size: int) -> Value | None:
    mask = (1 << 8 * size) - 1
    if kind in ("add", "sub") and one is not None and one[0] in ("@", "p"):
        return moved(kind, one, other)
    if kind == "add" and other is not None and other[0] in ("@", "p"):
        return moved(kind, other, one)
    (c1, o1, s1), (c2, o2, s2) = bits(one), bits(other)
    sources, beyond = s1 | s2, ~mask & ALL
    if kind in ("and", "test"):
        result = ((c1 | c2) & mask | beyond, o1 & o2 & mask, sources)
    elif kind == "or":
        result = (c1 & c2 & mask | beyond, (o1 | o2) & mask, sources)
    elif kind == "xor":
        both = (c1 | o1) & (c2 | o2) & mask
        result = (~(o1 ^ o2) & both | beyond, (o1 ^ o2) & both, sources)
    elif kind in ("add", "sub") and (c1 | o1) & mask == mask and (c2 | o2) & mask == mask:
        total = o1 + o2 if kind == "add" else o1 - o2
        return known(total & mask, sources)
    else:
        result = (0, 0, sources)
    useful = result[0] & mask or result[1] or sources
    return result if useful else None


def moved(kind: str, address: Value, by: Value | None) -> Value | None:
    clear, ones, _ = bits(by)
    if (clear | ones) != ALL:
        return None
    distance = ones - (1 << 64) if ones >> 63 else ones
    distance = -distance if kind == "sub" else distance
    return (*address[:-1], address[-1] + distance)


def shifted(kind: str, value: Value, count: int, size: int) -> Value | None:
    clear, ones, sources = value
    mask = (1 << 8 * size) - 1
    if kind == "shl":
        filled = (1 << count) - 1
        return ((clear << count | filled) & mask | ~mask & ALL, ones << count & mask, sources)
    high = mask & ~(mask >> count)
    new = ((clear & mask) >> count, (ones & mask) >> count)
    top = 1 << 8 * size - 1
    if kind == "shr" or clear & top:
        return (new[0] | high | ~mask & ALL, new[1], sources)
    if ones & top:
        return (new[0] | ~mask & ALL, new[1] | high, sources)
    return (new[0] | ~mask & ALL, new[1], sources)


def known_bit(value: Value, bit: int) -> bool | None:
    if value[0] >> bit & 1:
        return False
    return True if value[1] >> bit & 1 else None


def tested(
    result: Value | None, size: int, carry: bool | None, sources: Sources
) -> tuple[Any, ...]:
    """Return zero, carry, sign and overflow after a result."""
    mask = (1 << 8 * size) - 1
    clear, ones, _ = bits(result)
    zero = True if clear & mask == mask else False if ones & mask else None
    sign = known_bit((clear, ones), 8 * size - 1)
    return (zero, carry, sign, carry, sources)


def compared(
    one: Value | None, other: Value | None, size: int, sources: Sources
) -> tuple[Any, ...]:
    mask = (1 << 8 * size) - 1
    (c1, o1, _), (c2, o2, _) = bits(one), bits(other)
    low1, high1, low2, high2 = o1 & mask, ~c1 & mask, o2 & mask, ~c2 & mask
    zero = None
    if (o1 & c2 | c1 & o2) & mask:
        zero = False
    elif low1 == high1 == low2 == high2:
        zero = True
    carry = True if high1 < low2 else False if low1 >= high2 else None
    sign = overflow = None
    top = 1 << 8 * size - 1
    if c1 & top and c2 & top:  # neither is negative: the signed order is the unsigned one
        sign, overflow = carry, False
    return (zero, carry, sign, overflow, sources)


def joined_flags(one: tuple[Any, ...], other: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if other is None:
        return None
    flags = tuple(a if a == b else None for a, b in zip(one[:4], other[:4], strict=True))
    return None if flags == (None,) * 4 else (*flags, one[4] | other[4])


def holds(number: int, flags: tuple[Any, ...]) -> bool | None:
    """Return whether a condition holds, as x86 numbers them; None where it may or may not."""
    zero, carry, sign, overflow, _ = flags
    less = None if sign is None or overflow is None else sign != overflow
    plain = {
        0: overflow,
        1: carry,
        2: zero,
        3: either(carry, zero),
        4: sign,
        5: None,
        6: less,
        7: either(less, zero),
    }[number >> 1]
    if plain is None:
        return None
    return bool(plain) != bool(number & 1)


def either(one: bool | None, other: bool | None) -> bool | None:
    if one or other:
        return True
    return None if one is None or other is None else False
