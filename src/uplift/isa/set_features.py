"""By which bit a processor says that it has an instruction set, as the catalog has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from uplift.catalog.model import Catalog, Feature, Layer
from uplift.catalog.predicate import words
from uplift.isa.unused import CATALOG_ARCH, given_by

_LEVEL = "level"  #: a name for several features: no bit of the processor's


@dataclass(frozen=True)
class SetFeature:
    """The feature that gives one set.

    :param test: what the processor is asked, in the catalog's words: ``cpuid.7.0.ebx bit 5``.
    :param source: where the catalog has that from.
    """

    feature: str
    title: str
    test: str
    source: str


def features_of(sets: Iterable[str], arch: str, catalog: Catalog) -> Mapping[str, SetFeature]:
    """Return the feature that gives each set; sets that no feature of the catalog gives are out.

    :param arch: as the decoder names it.
    """
    wanted = set(sets)
    found: dict[str, SetFeature] = {}
    for feature in catalog.features:
        if CATALOG_ARCH.get(arch) not in feature.arch:
            continue
        given = given_by(feature, arch)
        told = _told(feature) if given and given.use != _LEVEL else None
        if given and told:
            found.update({name: told for name in given.sets if name in wanted - found.keys()})
    return dict(sorted(found.items()))


def _told(feature: Feature) -> SetFeature | None:
    layer = next((layer for layer in feature.layers if layer.name is Layer.SILICON), None)
    if layer is None:
        return None
    source = f"{layer.source.kind}: {layer.source.text}"
    return SetFeature(feature.id, feature.title, words(layer.needs), source)
