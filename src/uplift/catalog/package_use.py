"""The library layer of what programs can be built for: do packages use it as they were built?

Every feature that gives instruction sets asks the same of the audited files, so no feature file
repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from uplift.catalog.instruction_sets import Given, given_sets
from uplift.catalog.labels import union
from uplift.catalog.model import (
    All,
    Any,
    Catalog,
    Feature,
    Layer,
    LayerNeed,
    Predicate,
    Remedy,
    Source,
    Test,
)

HELD = "isa.held"  #: sets of which audited files hold code
USED = "isa.used"  #: sets whose code runs where the processor has them
_ORDER = tuple(Layer)
_SOURCE = Source("derived", "the audit of a machine's files; catalog/data/instruction-sets.csv")
_REBUILD = Remedy(
    "rebuild",
    "rebuild what would gain: `uplift isa query` ranks the candidates, `uplift rebuild` builds one",
)
#: What guests do not get, or a compiler cannot build, does not keep packages from using it.
_BESIDE = (Layer.VIRTUALIZATION, Layer.TOOLCHAIN)


def with_package_use(catalog: Catalog) -> Catalog:
    """Return the catalog with the question in every feature that programs can be built for."""
    given = given_sets()
    features = tuple(
        _asking(feature, given[feature.id])
        if feature.id in given and given[feature.id].for_programs
        else feature
        for feature in catalog.features
    )
    return replace(catalog, features=features)


def _asking(feature: Feature, given: Given) -> Feature:
    below = [need for need in feature.layers if _rank(need) < _ORDER.index(Layer.LIBRARY)]
    above = feature.layers[len(below) :]
    used = _running(given, below)
    labels = union(feature.labels, *(need.labels for need in _passing_on(below)))
    if above and above[0].name is Layer.LIBRARY:
        known, *above_it = above
        both = Any((known.used, used)) if known.used else used
        asked = replace(known, used=both, labels=known.labels | labels)
        return replace(feature, layers=(*below, asked, *above_it))
    held = _has(HELD, given.sets)
    asked = LayerNeed(
        name=Layer.LIBRARY,
        needs=held,
        source=_SOURCE,
        used=used,
        applies=None if given.compiled else held,
        remedy=_REBUILD if given.compiled else None,
        labels=labels,
    )
    return replace(feature, layers=(*below, asked, *above))


def _rank(need: LayerNeed) -> int:
    return _ORDER.index(need.name)


def _running(given: Given, below: Iterable[LayerNeed]) -> Predicate:
    """Return what must hold for code to run: it is there, and no layer below withholds it."""
    return All((_has(USED, given.sets), *(need.needs for need in _passing_on(below))))


def _passing_on(below: Iterable[LayerNeed]) -> Iterator[LayerNeed]:
    yield from (need for need in below if need.name not in _BESIDE)


def _has(fact: str, sets: Iterable[str]) -> Predicate:
    asked = tuple(Test(fact, "has", name) for name in sets)
    return asked[0] if len(asked) == 1 else Any(asked)
