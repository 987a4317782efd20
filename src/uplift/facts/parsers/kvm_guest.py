"""What a virtual processor of KVM's has by default: arm64's ID registers, RISC-V's extensions.

Both were read from a virtual processor that never ran, made with each feature that QEMU asks KVM
for unasked; arm64's then once more with memory tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.hwcap_tables import implied_hwcaps, kvm_riscv_extensions
from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.arm64 import parse_registers

REGISTERS = "probe:kvm-arm64-registers"
EXTENSIONS = "probe:kvm-riscv-isa"
_MAX_LINES = 4096
_FEATURES = re.compile(r"features((?: [a-z0-9.-]{1,40}){0,32})")
_EXTENSION = re.compile(r"(\d{1,5}) (\d{1,20})")


def _arm64(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read each processor: what it was made with, and the words that a kernel takes from it.

    :raises ValueError: a line is no register, or stands before the first features.
    """
    guests = list(_guests(captures[REGISTERS].text))
    features, registers = guests[0]
    values: dict[str, Value] = {f"kvm.register.{name}": v for name, v in registers.items()}
    values["kvm.vcpu_features"] = features
    values["kvm.words"] = implied_hwcaps(registers)
    values["kvm.asked_words"] = implied_hwcaps(guests[-1][1])
    yield Reading(REGISTERS, values)


def _guests(text: str) -> Iterator[tuple[frozenset[str], Mapping[str, int]]]:
    """Yield each processor's features and registers; the one that QEMU makes unasked is first."""
    before, *blocks = re.split(r"^(?=features\b)", text, flags=re.MULTILINE)
    if before.strip() or not blocks:
        raise ValueError(f"line 1: {before[:60]!r} names no features")
    for block in blocks:
        first, _, rest = block.partition("\n")
        told = _FEATURES.fullmatch(first.strip())
        if told is None:
            raise ValueError(f"{first[:60]!r} is no list of features")
        yield frozenset(told[1].split()), parse_registers(rest)


def _riscv(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read ``NUMBER 0|1`` lines; a number that nobody knows yet is left out.

    :raises ValueError: a line is none.
    """
    names = kvm_riscv_extensions()
    found: set[str] = set()
    for number, line in enumerate(captures[EXTENSIONS].text.splitlines()[:_MAX_LINES], 1):
        told = _EXTENSION.fullmatch(line)
        if told is None:
            raise ValueError(f"line {number}: {line[:60]!r} is no number with 0 or 1")
        if int(told[2]) and int(told[1]) in names:
            found.add(names[int(told[1])])
    yield Reading(EXTENSIONS, {"kvm.isa": frozenset(found)})


PARSERS = (
    Parser(
        name="kvm guest arm64",
        declares=("kvm.words", "kvm.asked_words", "kvm.vcpu_features", "kvm.register."),
        reads=(REGISTERS,),
        parse=_arm64,
    ),
    Parser(name="kvm guest riscv", declares=("kvm.isa",), reads=(EXTENSIONS,), parse=_riscv),
)
