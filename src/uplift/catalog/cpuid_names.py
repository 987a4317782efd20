"""Names that overlays give to CPUID bits: a private feature whose silicon is one bit names it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from uplift.catalog.model import Catalog, Feature, Labels, Layer, Test

_FACT = re.compile(r"cpuid\.(?P<leaf>[0-9a-f]+)\.(?P<subleaf>[0-9a-f]+)\.(?P<register>e[abcd]x)")

#: Leaf, subleaf, register, bit.
BitPlace = tuple[int, int, str, int]


class PrivateName(NamedTuple):
    """What an overlay calls one bit."""

    name: str
    source: str
    title: str
    labels: Labels


def private_names(catalog: Catalog) -> Mapping[BitPlace, PrivateName]:
    """Return the bits that the features of overlays name; of two names the first."""
    found: dict[BitPlace, PrivateName] = {}
    for feature in catalog.features:
        place = _place(feature)
        if place is not None:
            layer = feature.layers[0]
            name = feature.id.partition("/")[2].replace("-", "_")
            source = f"{layer.source.kind}: {layer.source.text}"
            labels = feature.labels | layer.labels
            found.setdefault(place, PrivateName(name, source, feature.title, labels))
    return found


def _place(feature: Feature) -> BitPlace | None:
    """Return the one bit that shows a private feature; None where it is public or no bit."""
    if not feature.layers or feature.layers[0].name is not Layer.SILICON:
        return None
    needs = feature.layers[0].needs
    if not feature.layers[0].labels or not isinstance(needs, Test) or needs.op != "bit":
        return None
    place = _FACT.fullmatch(needs.fact)
    if place is None:
        return None
    leaf, subleaf = int(place["leaf"], 16), int(place["subleaf"], 16)
    return leaf, subleaf, place["register"], int(needs.operand)
