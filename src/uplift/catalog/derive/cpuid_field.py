"""One named CPUID field, as an upstream project names it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from uplift.errors import CatalogError


@dataclass(frozen=True, order=True)
class Slot:
    """Which bits: of a leaf, of subleaves first to last, of a register (0 is eax)."""

    leaf: int
    subleaf: int
    last_subleaf: int
    register: int
    low: int
    high: int


@dataclass(frozen=True)
class Named:
    """A name for a slot.

    :param source: a key of the table's list of sources, such as ``linux/cpufeatures.h``.
    :param title: the meaning, only from sources whose text may be copied.
    :param vendors: whose processors (or which hypervisor) it is about, where that matters.
    """

    slot: Slot
    name: str
    source: str
    title: str = field(default="", compare=False)
    vendors: str = ""


def bit(leaf: int, subleaf: int, register: int, number: int) -> Slot:
    """Return the slot of one bit."""
    return Slot(leaf, subleaf, subleaf, register, number, number)


def plain(name: str) -> str:
    """Return ``name`` in the table's spelling: lower case, with underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def lines_of(tree: Path, path: str) -> Iterator[str]:
    """Yield the lines of a file in an upstream tree.

    :raises CatalogError: it is not there.
    """
    try:
        yield from (tree / path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise CatalogError(
            f"cannot derive the CPUID table from {tree}",
            f"{path}: {error.strerror}",
            "pass the directory of an unpacked source tree",
        ) from error
