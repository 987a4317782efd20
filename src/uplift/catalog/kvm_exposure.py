"""Which CPUID bits KVM and QEMU pass on to a guest, as derived from their sources."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from uplift.catalog.since import Since

__all__ = ("REGISTERS", "Exposure", "Since", "load_exposures")

UNTIL = " until "  #: between the bracket of a beginning and that of an end
REGISTERS = ("eax", "ebx", "ecx", "edx")


@dataclass(frozen=True)
class Exposure:
    """What the sources say of one CPUID bit.

    :param fact: the register, ``cpuid.7.0.edx``.
    :param property: QEMU's name for the bit; empty where it has none.
    :param kvm: how KVM treats it: ``listed`` (as the host has it), ``passthrough``, ``emulated``,
        ``vendor`` (where a vendor module sets it), ``set``, ``runtime`` (never advertised) or
        empty.
    :param since: per vendor's module (``intel``, ``amd``), when Linux came to have it.
    :param kvm_when: what the vendor modules change, ``amd: set if nested; intel: clear if …``.
    :param qemu_rule: ``no-autoenable`` or ``unmigratable`` where ``-cpu host`` leaves it out.
    :param qemu_adds: ``host``, ``always`` or ``if …`` where QEMU has it without KVM's word.
    """

    fact: str
    bit: int
    property: str
    kvm: str
    since: Mapping[str, Since]
    kvm_when: tuple[str, ...]
    qemu_since: Since
    qemu_rule: str
    qemu_adds: str
    adds_since: Since


@lru_cache(maxsize=1)
def load_exposures() -> tuple[Exposure, ...]:
    """Return the table, by leaf."""
    text = files("uplift.catalog").joinpath("data/kvm-exposure.csv").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(_exposure(row) for row in csv.DictReader(lines))


def _since(text: str) -> Since:
    came, _, went = text.partition(UNTIL)
    without, _, version = came.partition("..")
    last, _, gone = went.partition("..")
    return Since(without, version, last, gone)


def _exposure(row: dict[str, str]) -> Exposure:
    return Exposure(
        fact=f"cpuid.{row['leaf']}.{row['subleaf']}.{row['register']}",
        bit=int(row["bit"]),
        property=row["property"],
        kvm=row["kvm"],
        since={vendor: _since(row[f"{vendor}_since"]) for vendor in ("intel", "amd")},
        kvm_when=tuple(part for part in row["kvm_when"].split("; ") if part),
        qemu_since=_since(row["qemu_since"]),
        qemu_rule=row["qemu_rule"],
        qemu_adds=row["qemu_adds"],
        adds_since=_since(row["adds_since"]),
    )
