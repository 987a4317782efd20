"""CPUID as facts: ``cpuid.7.0.edx`` and what follows from it (vendor, family, brand, hypervisor).

Over several kinds of core a feature register holds what every kind has; any other register is the
first processor's.

A recording that was made from a list rather than read states which bits nobody knows: a line of the
notation then ends in `` open=EAX-EBX-ECX-EDX``, their masks in hexadecimal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from uplift.facts.model import Capture, Parser, PartialRegister, Reading, Snapshot, Value
from uplift.facts.parsers.cpuid_notation import (
    FEATURE_MASKS,
    REGISTERS,
    Core,
    Leaf,
    Leaves,
    Registers,
    read,
)

CAPTURE = "probe:cpuid"
DEFAULT_NOTATION = "cpuid-r"

_HYPERVISOR_BIT = 1 << 31
_ZERO: Registers = (0, 0, 0, 0)
_OPEN = re.compile(
    rb"0x([0-9a-f]{8}) 0x([0-9a-f]{2}): eax=[^\n]* "
    rb"open=([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})$",
    re.MULTILINE,
)
NOT_LISTED = "no source says whether the chip has it"
#: Leaves whose subleaf 0 states the highest subleaf in eax (Intel SDM vol. 2A, CPUID).
_STATES_MAX_SUBLEAF = frozenset({0x7, 0x14, 0x17, 0x18, 0x1D, 0x1E, 0x20, 0x24})
#: Leaves whose subleaf 0 lists the others in a bit map: the register's index.
_LISTS_SUBLEAVES = {0xF: 3, 0x10: 1, 0x23: 0, 0x80000020: 1}
#: Blocks of leaves that only some vendors have.
_VENDORS_OF_BLOCK = {
    0xC000: ("CentaurHauls", "  Shanghai  "),
    0x8086: ("GenuineTMx86", "TransmetaCPU"),
}


def cores_of(snapshot: Snapshot) -> tuple[Core, ...]:
    """Return the kinds of core that the snapshot's CPUID recording shows; empty without one.

    :raises ValueError: the recording is broken.
    """
    capture = snapshot.captures.get(CAPTURE)
    if capture is None or not capture.usable:
        return ()
    return read(capture.data, capture.format or DEFAULT_NOTATION)


def parse(captures: Mapping[str, Capture]) -> Iterable[Reading]:
    """Read ``probe:cpuid`` in the notation that its ``format`` names."""
    capture = captures[CAPTURE]
    cores = read(capture.data, capture.format or DEFAULT_NOTATION)
    leaves = in_common([within_range(core.leaves) for core in cores])
    values: dict[str, Value] = {}
    unknown = _open_bits(capture.data) if b" open=" in capture.data else {}
    for leaf, registers in leaves.items():
        words = _partly(registers, unknown[leaf]) if leaf in unknown else registers
        values.update(zip(_fact_names(leaf), words, strict=True))
    values.update(_derived(leaves))
    values["cpuid.kinds"] = len(cores)
    yield Reading(CAPTURE, values)


def _open_bits(data: bytes) -> dict[Leaf, Registers]:
    """Return the masks of bits that the recording states as open."""
    return {
        (int(leaf, 16), int(subleaf, 16)): (int(a, 16), int(b, 16), int(c, 16), int(d, 16))
        for leaf, subleaf, a, b, c, d in _OPEN.findall(data)
    }


def _partly(registers: Registers, unknown: Registers) -> Sequence[int]:
    return [
        PartialRegister(word, mask, NOT_LISTED) if mask else word
        for word, mask in zip(registers, unknown, strict=True)
    ]


def within_range(leaves: Leaves) -> Leaves:
    """Return the leaves that the processor has.

    Tools also record leaves above the maximum. There Intel's processors repeat their highest basic
    leaf (Intel SDM vol. 2A, CPUID): such an echo is left out. What is no echo is kept: Quark has
    leaf 7 above its maximum of 2.
    """
    if (0, 0) not in leaves:
        return leaves
    echo = leaves.get((leaves[0, 0][0], 0))
    return {
        leaf: words
        for leaf, words in leaves.items()
        if not _above_range(leaves, leaf[0]) or (leaf[0] >> 16 in (0, 0x8000) and words != echo)
    }


def in_common(kinds: Sequence[Leaves]) -> Leaves:
    """Return the first kind's registers with the features that every kind has.

    A feature leaf that one kind lacks the recording of is left out, unless that kind's maximum says
    that it reads as zero.
    """
    if len(kinds) == 1:
        return kinds[0]
    merged = dict(kinds[0])
    for leaf in [leaf for leaf in merged if leaf in FEATURE_MASKS]:
        told = [_told(kind, leaf) for kind in kinds]
        if None in told:
            del merged[leaf]
            continue
        merged[leaf] = _both(merged[leaf], FEATURE_MASKS[leaf], [word for word in told if word])
    return merged


def _told(leaves: Leaves, leaf: Leaf) -> Registers | None:
    if leaf in leaves:
        return leaves[leaf]
    return _ZERO if reads_as_zero(leaves, leaf) else None


def _both(first: Registers, masks: Registers, all_told: Iterable[Registers]) -> Registers:
    common = list(first)
    for told in all_told:
        for index, (word, mask) in enumerate(zip(told, masks, strict=True)):
            common[index] &= word | ~mask
    return common[0], common[1], common[2], common[3]


def reads_as_zero(leaves: Leaves, leaf: Leaf) -> bool:
    """Whether a leaf that was not recorded is known to hold nothing.

    That is so above the range's maximum, and for a subleaf that subleaf 0 says is not there.
    """
    number, subleaf = leaf
    if (0, 0) not in leaves:
        return False
    if _above_range(leaves, number):
        return True
    return subleaf > 0 and _no_subleaf(leaves, number, subleaf)


def _above_range(leaves: Leaves, number: int) -> bool:
    if (0, 0) not in leaves:
        return False
    block = number >> 16
    if block == 0:
        return number > leaves[0, 0][0]
    if block == 0x4000:
        return _above_hypervisor_range(leaves, number)
    vendors = _VENDORS_OF_BLOCK.get(block)
    if vendors is not None and vendor_of(leaves) not in vendors:
        return True
    highest = leaves.get((block << 16, 0))
    return highest is not None and number > max(highest[0], block << 16)


def _above_hypervisor_range(leaves: Leaves, number: int) -> bool:
    if (1, 0) in leaves and not leaves[1, 0][2] & _HYPERVISOR_BIT:
        return True
    base = leaves.get((number & 0xFFFFFF00, 0))
    if base is None:
        return False
    highest = base[0] or (number & 0xFFFFFF00) + 1  # old KVM says 0 and has one leaf more
    return number > highest


def _no_subleaf(leaves: Leaves, number: int, subleaf: int) -> bool:
    first = leaves.get((number, 0))
    if first is None:
        return False
    if number in _STATES_MAX_SUBLEAF:
        return subleaf > first[0]
    if number in _LISTS_SUBLEAVES:
        return subleaf > 31 or not first[_LISTS_SUBLEAVES[number]] >> subleaf & 1
    if number == 0xD and subleaf > 1:
        second = leaves.get((0xD, 1), _ZERO)
        listed = first[0] | first[3] << 32 | second[2] | second[3] << 32
        return subleaf > 63 or not listed >> subleaf & 1
    return False


def _implied(name: str, values: Mapping[str, Value]) -> Value | None:
    parts = name.split(".")
    if len(parts) != 4 or parts[3] not in REGISTERS:
        return None
    try:
        leaf = (int(parts[1], 16), int(parts[2], 16))
    except ValueError:
        return None
    leaves = _Recorded(values)
    return 0 if leaf not in leaves and reads_as_zero(leaves, leaf) else None


class _Recorded(Mapping[Leaf, Registers]):
    """The leaves behind facts already read."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def __getitem__(self, leaf: Leaf) -> Registers:
        eax, ebx, ecx, edx = (self._values[name] for name in _fact_names(leaf))
        return int(eax), int(ebx), int(ecx), int(edx)  # type: ignore[arg-type]

    def __contains__(self, leaf: object) -> bool:
        return isinstance(leaf, tuple) and _fact_names(leaf)[0] in self._values

    def __iter__(self) -> Iterator[Leaf]:
        raise TypeError("only look-ups are needed here")

    def __len__(self) -> int:
        return len(self._values)


@lru_cache(maxsize=4096)
def _fact_names(leaf: Leaf) -> tuple[str, str, str, str]:
    stem = f"cpuid.{leaf[0]:x}.{leaf[1]:x}."
    return stem + "eax", stem + "ebx", stem + "ecx", stem + "edx"


def vendor_of(leaves: Leaves) -> str:
    """Return the vendor string: ebx, edx, ecx of leaf 0."""
    _, ebx, ecx, edx = leaves[0, 0]
    return _characters((ebx, edx, ecx))


def _characters(words: Iterable[int]) -> str:
    return b"".join(word.to_bytes(4, "little") for word in words).decode("latin-1")


def _derived(leaves: Leaves) -> Iterator[tuple[str, Value]]:
    yield "cpuid.max_leaf", leaves[0, 0][0]
    yield "cpuid.vendor", vendor_of(leaves)
    if (1, 0) in leaves:
        family, model, stepping = signature(leaves[1, 0][0])
        yield "cpuid.family", family
        yield "cpuid.model", model
        yield "cpuid.stepping", stepping
        yield from _hypervisor(leaves)
    brand = [leaves.get((number, 0)) for number in (0x80000002, 0x80000003, 0x80000004)]
    if None not in brand:
        text = "".join(_characters(words) for words in brand if words)
        yield "cpuid.brand", " ".join(text.partition("\0")[0].split())


def signature(eax: int) -> tuple[int, int, int]:
    """Return displayed family, model and stepping of leaf 1's eax.

    The extended family counts for base family 15 (Intel SDM vol. 2A, CPUID, figure 3-6; AMD APM
    vol. 3, Fn0000_0001_EAX). The extended model counts from family 6 on, as Linux has it
    (arch/x86/lib/cpu.c): Zhaoxin uses it with family 7.
    """
    family, model = eax >> 8 & 0xF, eax >> 4 & 0xF
    if family == 0xF:
        family += eax >> 20 & 0xFF
    if family >= 6:
        model |= (eax >> 16 & 0xF) << 4
    return family, model, eax & 0xF


def _hypervisor(leaves: Leaves) -> Iterator[tuple[str, Value]]:
    if not leaves[1, 0][2] & _HYPERVISOR_BIT:
        yield "cpuid.hypervisor", ""
    elif (0x40000000, 0) in leaves:
        yield "cpuid.hypervisor", _characters(leaves[0x40000000, 0][1:]).rstrip("\0 ")


PARSER = Parser(
    name="cpuid",
    declares=("cpuid.",),
    reads=(CAPTURE,),
    parse=parse,
    implied=_implied,
)
