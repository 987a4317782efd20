"""From one entry of the TOML data to the model's value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any as Json
from typing import NamedTuple

from uplift.catalog.model import (
    Cause,
    Chip,
    Feature,
    Layer,
    LayerNeed,
    Remedy,
    Signature,
    Since,
    Source,
)
from uplift.catalog.predicate import parse_predicate

LAYER_ORDER = {layer: place for place, layer in enumerate(Layer)}

Table = Mapping[str, Json]


def feature_of(entry: Table, origin: str) -> Feature:
    layers = tuple(need_of(layer) for layer in entry["layer"])
    order = [LAYER_ORDER[layer.name] for layer in layers]
    if order != sorted(set(order)):
        raise ValueError("its layers are not in order, or one stands twice")
    return Feature(
        id=entry["id"],
        title=entry["title"],
        arch=tuple(entry.get("arch", ())),
        area=entry["area"],
        layers=layers,
        worth=entry.get("worth", 3),
        summary=entry.get("summary", ""),
        origin=origin,
    )


def need_of(entry: Table) -> LayerNeed:
    name = Layer(entry["name"])
    return LayerNeed(
        name=name,
        needs=parse_predicate(entry["needs"]),
        source=source_of(entry["source"]),
        used=parse_predicate(entry["used"]) if "used" in entry else None,
        applies=parse_predicate(entry["applies"]) if "applies" in entry else None,
        since=Since(**entry["since"]) if "since" in entry else None,
        owner=entry.get("owner", ""),
        causes=tuple(cause_of(cause) for cause in entry.get("cause", ())),
        remedy=Remedy(**entry["remedy"]) if "remedy" in entry else None,
        note=entry.get("note", ""),
    )


def cause_of(entry: Table) -> Cause:
    status = entry.get("status", "stopped")
    if status not in ("stopped", "hidden", "absent"):
        raise ValueError(f"a cause's status is stopped, hidden or absent, not {status!r}")
    return Cause(
        when=parse_predicate(entry["when"]),
        cause=entry["cause"],
        kind=entry["kind"],
        owner=entry.get("owner", ""),
        status=status,
        remedy=Remedy(**entry["remedy"]) if "remedy" in entry else None,
    )


def source_of(entry: Table) -> Source:
    if len(entry) != 1 or not set(entry) <= {"recorded", "derived", "cited"}:
        raise ValueError(f"a source is one of recorded, derived, cited, not {dict(entry)!r}")
    ((kind, text),) = entry.items()
    return Source(kind, text)


def chip_of(entry: Table, origin: str) -> Chip:
    return Chip(
        codename=entry["codename"],
        title=entry["title"],
        vendor=entry["vendor"],
        arch=entry["arch"],
        microarchitecture=entry.get("microarchitecture", ""),
        segment=entry.get("segment", ""),
        signatures=tuple(signature_of(s, entry["vendor"]) for s in entry["signature"]),
        source=source_of(entry["source"]),
        features=frozenset(entry.get("features", ())),
        archspec=entry.get("archspec", ""),
        announced=entry.get("announced", ""),
        origin=origin,
    )


_KIND_OF_FIELD = {"family": "x86", "implementer": "midr", "mvendorid": "riscv", "text": "platform"}
_TEXTS = ("text", "brand", "system")


def signature_of(entry: Table, vendor: str) -> Signature:
    kinds = [kind for field, kind in _KIND_OF_FIELD.items() if field in entry]
    if len(kinds) != 1:
        raise ValueError(f"a signature has one of {', '.join(_KIND_OF_FIELD)}, not {dict(entry)!r}")
    fields = []
    for field, value in entry.items():
        if field not in _TEXTS:
            low, high = value if isinstance(value, list) else (value, value)
            fields.append((field, int(low), int(high)))
    text = next((entry[name] for name in _TEXTS if name in entry), "")
    return Signature(kinds[0], vendor, tuple(fields), text)


class Silicon(NamedTuple):
    """What a source lists for one chip."""

    features: frozenset[str]
    source: Source
    unsure: frozenset[str] | None
    lacks: frozenset[str] = frozenset()


def silicon_of(entry: Table, origin: str) -> Silicon:
    unsure = frozenset(entry["unsure"]) if "unsure" in entry else None
    return Silicon(
        frozenset(entry["list"]),
        source_of(entry["source"]),
        unsure,
        frozenset(entry.get("lacks", ())),
    )
