"""Compare machines, releases, flavours or architectures: what differs for a user, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from uplift.catalog.defaults import Defaults
from uplift.catalog.model import Catalog
from uplift.resolve.difference_features import compare_features
from uplift.resolve.difference_model import (
    Cause,
    Comparison,
    Counted,
    Kind,
    PlatformDifference,
    Row,
    Side,
)
from uplift.resolve.difference_options import compare_options
from uplift.resolve.difference_settings import compare_settings
from uplift.resolve.difference_software import compare_packages, compare_versions, compare_words

_ORDER = {kind: place for place, kind in enumerate(Kind)}
_CAUSE_ORDER = {cause: place for place, cause in enumerate(Cause)}


def compare(sides: Sequence[Side], catalog: Catalog, defaults: Defaults) -> Comparison:
    """Compare two or more sides; what nobody knows of a side is no difference.

    :param sides: the first is what the others are compared with.
    """
    settings = list(compare_settings(sides, defaults))
    features = compare_features(sides, catalog, defaults.kernel)
    met, elsewhere = _of_architectures(settings, sides)
    differences = [
        *met,
        *features.differences,
        *compare_words(sides, defaults),
        *compare_versions(sides, defaults),
    ]
    shown = frozenset(chain.from_iterable(d.names for d in (*settings, *features.differences)))
    options = compare_options(sides, defaults, shown)
    packages = compare_packages(sides)
    return Comparison(
        sides=tuple(sides),
        differences=tuple(sorted(differences, key=_rank)),
        counted=(*elsewhere, *features.counted, *options.groups, *packages.groups),
        not_compared=tuple(_not_compared(sides)),
        compared={
            Kind.DEFAULT: len(defaults.settings),
            Kind.FEATURE: features.features,
            Kind.OPTION: options.options,
            Kind.PACKAGE: packages.packages,
        },
    )


def _rank(difference: PlatformDifference) -> tuple[int, int, int, str]:
    """What a user meets first, then what can be changed, then what is worth most."""
    return (
        _ORDER[difference.kind],
        _CAUSE_ORDER[difference.cause],
        -difference.worth,
        difference.id,
    )


def _of_architectures(
    settings: Sequence[PlatformDifference], sides: Sequence[Side]
) -> tuple[list[PlatformDifference], list[Counted]]:
    """Put aside what is an architecture's own, where several are compared."""
    archs = {side.arch for side in sides}
    inherent = [d for d in settings if d.cause is Cause.INHERENT and len(archs) > 1]
    rows = tuple(Row(d.title, d.values) for d in inherent)
    title = "settings of one architecture"
    counted = [Counted(Kind.DEFAULT, "default-architecture", title, Cause.INHERENT, rows)]
    return [d for d in settings if d not in inherent], counted if rows else []


def _not_compared(sides: Sequence[Side]) -> Iterator[str]:
    """Yield what could not be compared, with the sides that it is not known of."""
    for what, lacking in _NOT_KNOWN.items():
        names = ", ".join(side.name for side in sides if lacking(side))
        if names:
            yield f"{what} ({names})"


_NOT_KNOWN: Mapping[str, Callable[[Side], bool]] = {
    "kernel options, which nobody recorded": lambda side: side.config is None,
    "kernel options one by one, which are known in part": lambda side: (
        side.config is not None and not side.config.whole
    ),
    "packages, which nobody recorded": lambda side: not side.value("package_list.count"),
    "what only a running machine tells": lambda side: side.kind == "release",
}
