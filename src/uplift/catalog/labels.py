"""Which overlays a value was made from: everything derived from one carries its label."""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch
from typing import Any

from uplift.catalog.model import (
    UNLABELLED,
    Catalog,
    Chip,
    Feature,
    Labels,
    LayerNeed,
)


@singledispatch
def labels_of(thing: Any) -> Labels:
    """Return the labels of every overlay that ``thing`` was made from; empty for none.

    :param thing: a feature, chip, layer, cause, source or catalog; a verdict, stop, resolution,
        chip identity, scan or plan; anything with ``labels`` of its own.
    """
    found: Labels = thing.labels
    return found


@labels_of.register
def _(thing: LayerNeed) -> Labels:
    return union(thing.labels, thing.source.labels, *(cause.labels for cause in thing.causes))


@labels_of.register
def _(thing: Feature) -> Labels:
    return union(thing.labels, *(labels_of(need) for need in thing.layers))


@labels_of.register
def _(thing: Chip) -> Labels:
    signatures = (signature.labels for signature in thing.signatures)
    return union(thing.labels, thing.source.labels, list_labels(thing), *signatures)


@labels_of.register
def _(thing: Catalog) -> Labels:
    return frozenset(overlay.label for overlay in thing.overlays)


def list_labels(chip: Chip) -> Labels:
    """Return the labels of a chip's list of features."""
    source = chip.features_source.labels if chip.features_source else UNLABELLED
    return union(chip.labels, source, *(listed.labels for listed in chip.added))


def listed_labels(chip: Chip, feature: str) -> Labels:
    """Return the labels of the claim that ``chip`` has, or lacks, ``feature``."""
    for listed in chip.added:
        if feature in listed.features:
            return union(chip.labels, listed.labels)
    source = chip.features_source.labels if chip.features_source else UNLABELLED
    return union(chip.labels, source)


def union(*labels: Iterable[str]) -> Labels:
    """Return all labels together."""
    return frozenset().union(*labels)
