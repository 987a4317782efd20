"""Every set CPUID bit with its name and source, for a terminal and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from uplift.errors import UpliftError
from uplift.facts.cpuid_table import SetBit, decode_snapshot
from uplift.facts.model import Snapshot
from uplift.report.terminal import safe

SCHEMA = "uplift-cpuid/1"


def bits_to_json(snapshot: Snapshot, unnamed_only: bool = False) -> dict[str, Any]:
    """Return every set bit of every kind of core, in order of leaf, subleaf, register and bit.

    :raises UpliftError: the snapshot holds no CPUID that can be read.
    """
    bits = set_bits(snapshot)
    named = sum(bit.name is not None for bit in bits)
    return {
        "schema": SCHEMA,
        "snapshot": snapshot.digest,
        "set": len(bits),
        "named": named,
        "unnamed": len(bits) - named,
        "bits": [bit_to_json(bit) for bit in bits if not (unnamed_only and bit.name)],
    }


def set_bits(snapshot: Snapshot) -> list[SetBit]:
    """Return every set bit.

    :raises UpliftError: the snapshot holds no CPUID, or none that can be read.
    """
    capture = snapshot.captures.get("probe:cpuid")
    if capture is None or not capture.usable:
        raise UpliftError(
            "cannot decode CPUID",
            f"probe:cpuid was {capture.status.value}" if capture else "it was not recorded",
            "pass an x86 machine or a recording that holds raw CPUID",
        )
    try:
        return list(decode_snapshot(snapshot))
    except ValueError as error:
        raise UpliftError(
            "cannot decode CPUID", str(error), "correct the recording, or record it again"
        ) from None


def print_bits(snapshot: Snapshot, unnamed_only: bool, console: Console) -> None:
    """Print one line a field: its set bits together."""
    bits = set_bits(snapshot)
    for bit in bits:
        if not (unnamed_only and bit.name):
            console.print(_line(bit), soft_wrap=True)
    unnamed = sum(bit.name is None for bit in bits)
    console.print(Text(f"{len(bits)} set bits, {unnamed} that no source names", style="dim"))


def _line(bit: SetBit) -> Text:
    place = f"{bit.leaf:#010x} {bit.subleaf:#04x} {bit.register} {bit.bit:>2}  "
    if bit.name is None:
        return Text.assemble((place, "dim"), ("no source names it", "yellow"))
    return Text.assemble(
        (place, "dim"), f"{safe(bit.name):<28}", (f"  {safe(bit.source or '')}", "dim")
    )


def bit_to_json(bit: SetBit) -> dict[str, Any]:
    """Return one set bit; name and source are null where no source names it."""
    return {
        "kind": bit.kind,
        "leaf": bit.leaf,
        "subleaf": bit.subleaf,
        "register": bit.register,
        "bit": bit.bit,
        "name": bit.name,
        "source": bit.source or None,
    }
