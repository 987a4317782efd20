"""Compare which features each platform passes on, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from uplift.catalog.kernel_options import KernelOptions
from uplift.catalog.labels import labels_of, union
from uplift.catalog.model import Catalog, Layer, Predicate
from uplift.resolve.difference_model import (
    CONFIG,
    Cause,
    Counted,
    Kind,
    PlatformDifference,
    Row,
    Side,
    linux,
    same_system,
)
from uplift.resolve.difference_reach import Distance, Reach, distance, options_off
from uplift.resolve.model import Resolution, Verdict
from uplift.resolve.scan import scan

_CHANGES = 3  #: of one row, said in full
Resolutions = Mapping[str, Resolution]


class Compared(NamedTuple):
    """What differs, what is counted only, and how many features were looked at."""

    differences: tuple[PlatformDifference, ...]
    counted: tuple[Counted, ...]
    features: int


class _Found(NamedTuple):
    """One feature that a layer passes on here and not there."""

    resolution: Resolution
    layer: Layer
    values: tuple[str, ...]
    cause: Cause
    why: str
    change: str
    names: tuple[str, ...]


def compare_features(sides: Sequence[Side], catalog: Catalog, kernel: KernelOptions) -> Compared:
    """Judge every feature on every side and keep those that end differently.

    Of a release nobody knows the silicon: its layers above are compared.
    """
    judged = [{r.feature.id: r for r in scan(catalog, side.facts).resolutions} for side in sides]
    everywhere = [name for name in judged[0] if all(name in other for other in judged)]
    found = [f for name in everywhere if (f := _compared(name, sides, judged, kernel))]
    silicon = [f for f in found if f.layer is Layer.SILICON]
    rest = [f for f in found if f.layer is not Layer.SILICON]
    counted = [*_of_silicon(silicon), *_of_one_architecture(judged, set(everywhere))]
    return Compared(tuple(_merged(rest)), tuple(counted), len(everywhere))


def _compared(
    name: str, sides: Sequence[Side], judged: Sequence[Resolutions], kernel: KernelOptions
) -> _Found | None:
    """Return the first layer that passes the feature on here and not there."""
    layers = [{v.layer: v for v in resolutions[name].verdicts} for resolutions in judged]
    for layer in layers[0]:
        verdicts = [of_side.get(layer) for of_side in layers]
        passes = [_passes(verdict) for verdict in verdicts]
        if True in passes and False in passes:
            stopped, passing = passes.index(False), passes.index(True)
            resolution = judged[stopped][name]
            needs = next(need.needs for need in resolution.feature.layers if need.name is layer)
            told = _judged(verdicts[stopped], needs, (sides[stopped], sides[passing]), kernel)
            values = tuple(_said(verdict) for verdict in verdicts)
            return _Found(resolution, layer, values, *told)
    return None


def _passes(verdict: Verdict | None) -> bool | None:
    if verdict is None:
        return None
    if verdict.status.passes:
        return True
    return False if verdict.status.stops else None


def _said(verdict: Verdict | None) -> str:
    return verdict.status.value if verdict else ""


class _Told(NamedTuple):
    cause: Cause
    why: str
    change: str
    names: tuple[str, ...] = ()


def _judged(
    verdict: Verdict | None, needs: Predicate, pair: tuple[Side, Side], kernel: KernelOptions
) -> _Told:
    """Return whose the difference is, for the side whose layer stops the feature."""
    assert verdict is not None
    side, other = pair
    if verdict.layer is Layer.SILICON:
        return _Told(Cause.INHERENT, f"{side.name}: the silicon lacks it", "")
    remedy = verdict.stop.remedy if verdict.stop else None
    change = f"{side.name}: {remedy.do}" if remedy else ""
    far = distance(needs, side, other, kernel)
    if far.options:
        return _of_options(far, side, change)._replace(names=options_off(needs, side))
    why = f"{side.name}: {verdict.stop.cause}" if verdict.stop else verdict.why
    if same_system(side, other) or not (side.system and other.system):
        return _Told(Cause.AVOIDABLE, why, change)
    return _Told(Cause.RELEASE, why, change)


def _of_options(far: Distance, side: Side, change: str) -> _Told:
    """Say why options that a feature needs are off: the kernel's source tells what it offers."""
    cause, words, more = _WHY[far.reach]
    options = ", ".join(CONFIG + option for option in dict.fromkeys(far.options))
    off = "are off" if "," in options else "is off"
    why = words.format(name=side.name, linux=linux(side), arch=side.arch, options=options, off=off)
    return _Told(cause, why, f"{change}{more}" if cause is Cause.AVOIDABLE else "")


#: How far it is to cause, reason and what the change needs besides.
_WHY = {
    Reach.THERE: (Cause.AVOIDABLE, "{name}: {options} {off}", ""),
    Reach.BEHIND: (
        Cause.AVOIDABLE,
        "{name}: {options} {off}, as is an option that it needs",
        " and what that needs",
    ),
    Reach.UNKNOWN: (
        Cause.UNKNOWN,
        "no source was read that says whether {linux} offers {options}",
        "",
    ),
    Reach.OTHER_ARCHITECTURE: (Cause.INHERENT, "on {arch} {linux} does not offer {options}", ""),
    Reach.OTHER_VERSION: (Cause.RELEASE, "{linux} does not offer {options}", ""),
    Reach.NO_OPTION: (Cause.UNKNOWN, "{name} lacks more than {options}", ""),
}


def _merged(found: Sequence[_Found]) -> Iterator[PlatformDifference]:
    """Join features that one change lifts, or that come at one layer with newer versions."""
    groups: dict[tuple[object, ...], list[_Found]] = {}
    for one in sorted(found, key=lambda f: -f.resolution.feature.worth):
        one_by_one = one.layer is Layer.KERNEL_BUILD and one.cause is not Cause.RELEASE
        what = (one.why, one.change) if one_by_one else one.layer
        groups.setdefault((one.layer, one.values, one.cause, what), []).append(one)
    for group in groups.values():
        first = group[0]
        names = tuple(one.resolution.feature.id for one in group)
        yield PlatformDifference(
            kind=Kind.FEATURE,
            id=f"{first.layer.value}/{names[0]}",
            title=first.layer.value,
            values=first.values,
            cause=first.cause,
            why=_joined([one.why for one in group]),
            change=_changes([one.change for one in group if one.change]),
            source=_source(first),
            worth=first.resolution.feature.worth,
            area=first.layer.value,
            names=names,
            labels=union(*(labels_of(one.resolution.feature) for one in group)),
        )


def _source(found: _Found) -> str:
    needs = found.resolution.feature.layers
    source = next(need.source for need in needs if need.name is found.layer)
    return f"{source.kind}: {source.text}"


def _joined(texts: Sequence[str]) -> str:
    """Return the distinct texts; what stands before their options is said once."""
    said: dict[str, dict[str, None]] = {}
    for text in texts:
        before, option, rest = text.partition(CONFIG)
        said.setdefault(before, {}).update(dict.fromkeys((option + rest).split(", ")))
    return "; ".join(before + ", ".join(filter(None, rest)) for before, rest in said.items())


def _changes(texts: Sequence[str]) -> str:
    """Return the first distinct changes; the side that they are for is said once."""
    side, _, _ = texts[0].partition(": ") if texts else ("", "", "")
    distinct = list(dict.fromkeys(texts))
    said = distinct[:1] + [text.removeprefix(f"{side}: ") for text in distinct[1:_CHANGES]]
    more = len(distinct) - _CHANGES
    return "; ".join(said) + (f"; and {more} more like these" if more > 0 else "")


def _of_silicon(found: Sequence[_Found]) -> Iterator[Counted]:
    if found:
        rows = tuple(Row(one.resolution.feature.id, one.values) for one in found)
        labels = union(*(labels_of(one.resolution.feature) for one in found))
        title = "features that one silicon lacks"
        yield Counted(Kind.FEATURE, "feature-silicon", title, Cause.INHERENT, rows, labels)


def _of_one_architecture(judged: Sequence[Resolutions], common: set[str]) -> Iterator[Counted]:
    every = sorted(set().union(*judged) - common)
    rows = tuple(
        Row(name, tuple("there" if name in of_side else None for of_side in judged))
        for name in every
    )
    if rows:
        title = "features of one architecture's processors"
        features = (
            of_side[name].feature for of_side in judged for name in every if name in of_side
        )
        labels = union(*map(labels_of, features))
        yield Counted(Kind.FEATURE, "feature-architecture", title, Cause.INHERENT, rows, labels)
