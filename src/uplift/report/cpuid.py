"""Every set CPUID bit with its name and source, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.text import Text

from uplift.catalog.cpuid_names import BitPlace, PrivateName
from uplift.catalog.labels import labels_of, union
from uplift.errors import UpliftError
from uplift.facts.cpuid_table import SetBit, decode_snapshot
from uplift.facts.model import Snapshot
from uplift.report.labels import Marks, label_list, print_banner, with_labels
from uplift.report.terminal import safe

SCHEMA = "uplift-cpuid/1"

Names = Mapping[BitPlace, PrivateName]
_NO_NAMES: Names = {}


def bits_to_json(
    snapshot: Snapshot, unnamed_only: bool = False, names: Names = _NO_NAMES
) -> dict[str, Any]:
    """Return every set bit of every kind of core, in order of leaf, subleaf, register and bit.

    :param names: what overlays call bits that no public source names.
    :raises UpliftError: the snapshot holds no CPUID that can be read.
    """
    bits = set_bits(snapshot, names)
    named = sum(bit.name is not None for bit in bits)
    return {
        "schema": SCHEMA,
        "labels": label_list(union(*(labels_of(bit) for bit in bits))),
        "snapshot": snapshot.digest,
        "set": len(bits),
        "named": named,
        "unnamed": len(bits) - named,
        "bits": [bit_to_json(bit) for bit in bits if not (unnamed_only and bit.name)],
    }


def set_bits(snapshot: Snapshot, names: Names = _NO_NAMES) -> list[SetBit]:
    """Return every set bit.

    :param names: what overlays call bits that no public source names.
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
        return [_named(bit, names) for bit in decode_snapshot(snapshot)]
    except ValueError as error:
        raise UpliftError(
            "cannot decode CPUID", str(error), "correct the recording, or record it again"
        ) from None


def _named(bit: SetBit, names: Names) -> SetBit:
    found = names.get((bit.leaf, bit.subleaf, bit.register, bit.bit))
    if bit.name is not None or found is None:
        return bit
    return replace(
        bit, name=found.name, source=found.source, title=found.title, labels=found.labels
    )


def print_bits(
    snapshot: Snapshot, unnamed_only: bool, console: Console, names: Names = _NO_NAMES
) -> None:
    """Print one line a field: its set bits together."""
    bits = set_bits(snapshot, names)
    marks = Marks(union(*(labels_of(bit) for bit in bits)))
    print_banner(marks, console)
    for bit in bits:
        if not (unnamed_only and bit.name):
            console.print(_line(bit, marks), soft_wrap=True)
    unnamed = sum(bit.name is None for bit in bits)
    console.print(Text(f"{len(bits)} set bits, {unnamed} that no source names", style="dim"))


def _line(bit: SetBit, marks: Marks) -> Text:
    place = f"{bit.leaf:#010x} {bit.subleaf:#04x} {bit.register} {bit.bit:>2}  "
    if bit.name is None:
        return Text.assemble((place, "dim"), ("no source names it", "yellow"))
    return Text.assemble(
        (place, "dim"),
        f"{safe(bit.name):<28}",
        (f"  {safe(bit.source or '')}", "dim"),
        marks.of(bit),
    )


def bit_to_json(bit: SetBit) -> dict[str, Any]:
    """Return one set bit; name and source are null where no source names it."""
    document = {
        "kind": bit.kind,
        "leaf": bit.leaf,
        "subleaf": bit.subleaf,
        "register": bit.register,
        "bit": bit.bit,
        "name": bit.name,
        "source": bit.source or None,
    }
    return with_labels(document, labels_of(bit))
