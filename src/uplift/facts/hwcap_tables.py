"""The kernel's HWCAP tables: which bit is called what, and which ID registers imply it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from uplift.facts.model import PartialRegister


@dataclass(frozen=True)
class Condition:
    """A field of an arm64 ID register, and the value from which on the kernel takes it as there.

    :param register: lower case, as facts name it: ``id_aa64zfr0_el1``.
    :param signed: the field is two's complement: 0b1111 is -1, less than 0.
    """

    register: str
    low: int
    high: int
    signed: bool
    minimum: int

    def holds(self, value: int) -> bool:
        """Compare as the kernel does (``feature_matches`` in arch/arm64/kernel/cpufeature.c)."""
        return self._number(value >> self.low) >= self._number(self.minimum)

    def _number(self, value: int) -> int:
        width = self.high - self.low + 1
        field = value & ((1 << width) - 1)
        return field - (1 << width) if self.signed and field >> (width - 1) else field


Rule = tuple[tuple[Condition, ...], ...]  #: alternatives; the conditions of one hold together


def implied_hwcaps(registers: Mapping[str, int]) -> frozenset[str]:
    """Return the HWCAP words that an arm64 kernel with every option on sets for these registers.

    :param registers: lower-case names to values; a register that is missing implies nothing, nor
        does a field of which not enough bits are known (``PartialRegister``).
    """
    return _implied(registers, largest=False)


def open_hwcaps(registers: Mapping[str, int]) -> frozenset[str]:
    """Return the HWCAP words that bits which nobody knows leave open."""
    if not any(isinstance(value, PartialRegister) for value in registers.values()):
        return frozenset()
    return _implied(registers, largest=True) - _implied(registers, largest=False)


def _implied(registers: Mapping[str, int], largest: bool) -> frozenset[str]:
    return frozenset(
        word
        for word, rule in arm64_rules().items()
        if any(all(_holds(condition, registers, largest) for condition in g) for g in rule)
    )


def _holds(condition: Condition, registers: Mapping[str, int], largest: bool) -> bool:
    """Whether the field is large enough if its open bits make it as large, or as small, as can."""
    value = registers.get(condition.register)
    if isinstance(value, PartialRegister):
        sign = 1 << condition.high if condition.signed else 0
        value |= value.unknown & (~sign if largest else sign)
    return value is not None and condition.holds(value)


@lru_cache(maxsize=1)
def arm64_rules() -> Mapping[str, Rule]:
    """Return the rule of each arm64 HWCAP word that ID registers imply."""
    rules: dict[str, dict[int, list[Condition]]] = {}
    for row in _rows("arm64-hwcaps.csv"):
        condition = Condition(
            row["register"].lower(),
            int(row["low"]),
            int(row["high"]),
            row["signed"] == "1",
            int(row["minimum"]),
        )
        groups = rules.setdefault(row["hwcap"], {})
        groups.setdefault(int(row["alternative"]), []).append(condition)
    return {word: tuple(tuple(g) for g in groups.values()) for word, groups in rules.items()}


@lru_cache(maxsize=8)
def bit_names(arch: str) -> Mapping[str, Mapping[int, str]]:
    """Return what the bits of ``AT_HWCAP`` … are called: entry to bit to the name in cpuinfo.

    :param arch: ``arm64``, ``riscv64``, ``s390x`` or ``ppc64el``; empty for any other.
    """
    names: dict[str, dict[int, str]] = {}
    for row in _rows("hwcap-bits.csv"):
        if row["arch"] == arch:
            names.setdefault(row["entry"], {})[int(row["bit"])] = row["name"]
    return names


@lru_cache(maxsize=1)
def kvm_riscv_extensions() -> Mapping[int, str]:
    """Return the RISC-V extensions by their numbers in KVM's interface."""
    rows = _rows("kvm-riscv-extensions.csv")
    return {int(row["number"]): row["extension"] for row in rows}


def _rows(name: str) -> Iterator[Mapping[str, str]]:
    text = files("uplift.facts").joinpath("data").joinpath(name).read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return csv.DictReader(lines)
