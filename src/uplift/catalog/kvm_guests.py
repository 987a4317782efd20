"""Which of a host's features KVM passes on to guests, on arm64 and RISC-V, by version of Linux.

Two tables derived from sources. A row tells a state and in which version it began; nobody read
every version, so several states can be possible for one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from uplift.catalog.since import Since

_NEVER = Since("", "")
Place = tuple[str, int]  #: an ID register, lower case, and a field's lowest bit


@dataclass(frozen=True)
class GuestState:
    """What KVM makes of a field or an extension.

    :param passed: whether guests may get it as the host has it.
    :param when: under which conditions, in the source's words joined by ``&&``; empty: always.
    :param since: when Linux came to this state.
    :param qemu: how QEMU asks KVM for it: ``by default``, an option; empty: it need not.
    :param qemu_since: since which QEMU.
    """

    passed: bool
    when: str
    since: Since
    qemu: str = ""
    qemu_since: Since = _NEVER


#: Before the first state, and where a table knows nothing.
NOT_THERE = GuestState(False, "", _NEVER)


@dataclass(frozen=True)
class History:
    """The states of one field or extension, oldest first."""

    states: tuple[GuestState, ...]

    def possible(self, version: str) -> tuple[GuestState, ...]:
        """Return the states that it may have in ``version``: one, unless nobody read near it."""
        found: list[GuestState] = []
        for state in reversed(self.states):
            reached = state.since.has(version)
            if reached is not False:
                found.append(state)
            if reached:
                return tuple(found)
        return (*found, NOT_THERE)


@dataclass(frozen=True)
class Extension:
    """What KVM makes of a RISC-V extension.

    :param host: the extension that the host must have: KVM makes Smnpm out of Ssnpm.
    :param qemu_since: since when QEMU tells a guest of it.
    """

    history: History
    host: str
    qemu_since: Since


@lru_cache(maxsize=1)
def arm64_fields() -> Mapping[Place, History]:
    """Return the history of each field of an ID register that an HWCAP word follows."""
    found: dict[Place, list[GuestState]] = {}
    for row in _rows("kvm-arm64.csv"):
        found.setdefault((row["register"].lower(), int(row["low"])), []).append(_state(row))
    return {place: History(tuple(states)) for place, states in found.items()}


@lru_cache(maxsize=1)
def riscv_extensions() -> Mapping[str, Extension]:
    """Return what KVM makes of each extension that it knows."""
    found: dict[str, list[GuestState]] = {}
    told: dict[str, dict[str, str]] = {}
    for row in _rows("kvm-riscv.csv"):
        found.setdefault(row["extension"], []).append(_state(row))
        told[row["extension"]] = row
    return {
        name: Extension(
            History(tuple(states)), told[name]["host"] or name, _since(told[name]["qemu_since"])
        )
        for name, states in found.items()
    }


def _state(row: Mapping[str, str]) -> GuestState:
    return GuestState(
        row["kvm"] == "passed",
        row["when"],
        _since(row["since"]),
        row.get("qemu", ""),
        _since(row["qemu_since"]),
    )


def _since(text: str) -> Since:
    without, _, version = text.partition("..")
    return Since(without, version)


def _rows(table: str) -> Iterator[dict[str, str]]:
    text = files("uplift.catalog").joinpath("data").joinpath(table).read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return iter(csv.DictReader(lines))
