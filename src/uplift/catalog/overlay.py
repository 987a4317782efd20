"""Lay private overlays over the base catalog: add, extend or replace; each cell keeps its label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TypeVar

from uplift.catalog.entries import (
    LAYER_ORDER,
    Table,
    cause_of,
    chip_of,
    feature_of,
    need_of,
    signature_of,
    silicon_of,
    source_of,
)
from uplift.catalog.labels import labels_of
from uplift.catalog.model import (
    Catalog,
    Cause,
    Chip,
    Feature,
    Labels,
    Layer,
    LayerNeed,
    Listed,
    Signature,
    Source,
)
from uplift.catalog.overlay_files import OverlayData, PrivateEntry, refusal
from uplift.errors import CatalogError

_Made = TypeVar("_Made", Feature, Chip)


def lay_over(base: Catalog, overlays: Sequence[OverlayData]) -> Catalog:
    """Return ``base`` with every overlay laid over it, the first one first.

    :raises CatalogError: an entry shadows another without saying extend or replace, says so where
        there is nothing to extend or replace, or names what does not exist; with file and line.
    """
    _refuse_same_names(overlays)
    catalog = base
    for data in overlays:
        catalog = _Merge(catalog, data).catalog()
    return replace(catalog, overlays=tuple(data.overlay for data in overlays))


def _refuse_same_names(overlays: Sequence[OverlayData]) -> None:
    names = [data.overlay.name for data in overlays]
    for name in names:
        if names.count(name) > 1:
            raise CatalogError(
                "cannot load the overlays",
                f"{names.count(name)} of them are called {name}",
                "name each directory once, and each overlay differently",
            )


class _Merge:
    """One overlay on its way into a catalog."""

    def __init__(self, below: Catalog, data: OverlayData) -> None:
        self.data = data
        self.label: Labels = frozenset({data.overlay.label})
        self.features = {feature.id: feature for feature in below.features}
        self.chips = {chip.codename: chip for chip in below.chips}

    def catalog(self) -> Catalog:
        """Return the merged catalog."""
        for kind, take in (("feature", self._feature), ("chip", self._chip), ("list", self._list)):
            for entry in self.data.entries:
                if entry.kind == kind:
                    take(entry)
        self._refuse_unknown_features()
        return Catalog(tuple(self.features.values()), tuple(self.chips.values()))

    def _feature(self, entry: PrivateEntry) -> None:
        below = self.features.get(entry.id)
        _check_marks(entry, below.origin if below else None, self.features)
        if below is not None and entry.marks.extend:
            self.features[entry.id] = self._extended_feature(below, entry)
        else:
            labels = self.label | (labels_of(below) if below else frozenset())
            made = _built(entry, feature_of)
            self.features[entry.id] = label_feature(made, labels)

    def _extended_feature(self, below: Feature, entry: PrivateEntry) -> Feature:
        layers = {need.name: need for need in below.layers}
        for table in entry.table["layer"]:
            need = self._layer(table, layers.get(_layer_name(table, entry)), entry)
            layers[need.name] = need
        ordered = sorted(layers.values(), key=lambda need: LAYER_ORDER[need.name])
        return replace(below, layers=tuple(ordered))

    def _layer(self, table: Table, below: LayerNeed | None, entry: PrivateEntry) -> LayerNeed:
        extends, replaces = table.get("extend", False), table.get("replace", False)
        name = table.get("name")
        if below is not None and not extends and not replaces:
            raise refusal(entry.where, f"{entry.id} has a layer {name} already", _SAY_WHICH)
        if below is None and (extends or replaces):
            raise refusal(
                entry.where, f"{entry.id} has no layer {name} to extend or replace", _ADD_IT
            )
        if below is not None and extends:
            causes = (_cause(_read(entry, cause_of, one), self.label) for one in table["cause"])
            return replace(below, causes=(*causes, *below.causes))
        plain = {key: value for key, value in table.items() if key != "replace"}
        made = _read(entry, need_of, plain)
        labels = self.label | (labels_of(below) if below else frozenset())
        return _need(made, labels)

    def _chip(self, entry: PrivateEntry) -> None:
        below = self.chips.get(entry.id)
        _check_marks(entry, below.origin if below else None, self.chips)
        if below is not None and entry.marks.extend:
            self.chips[entry.id] = self._extended_chip(below, entry)
        else:
            labels = self.label | (labels_of(below) if below else frozenset())
            made = _built(entry, chip_of)
            self.chips[entry.id] = label_chip(made, labels)

    def _extended_chip(self, below: Chip, entry: PrivateEntry) -> Chip:
        made = tuple(
            replace(_read(entry, lambda t: signature_of(t, below.vendor), one), labels=self.label)
            for one in entry.table.get("signature", ())
        )
        chip = replace(below, signatures=(*below.signatures, *made))
        names = frozenset(entry.table.get("features", ()))
        return self._with_listed(chip, names, _read(entry, source_of, entry.table["source"]))

    def _list(self, entry: PrivateEntry) -> None:
        chip = self.chips.get(entry.id)
        if chip is None:
            near = _near(entry.id, self.chips)
            raise refusal(entry.where, f"no chip is called {entry.id}", f"name it first{near}")
        has_one = bool(chip.features)
        _check_marks(entry, chip.origin if has_one else None, self.chips, "a list of features")
        listed = _read(entry, lambda table: silicon_of(table, entry.where), entry.table)
        if entry.marks.extend:
            self.chips[entry.id] = self._with_listed(chip, listed.features, listed.source)
            return
        before = frozenset().union(*(one.labels for one in chip.added), _list_labels(chip))
        source = _source(listed.source, self.label | before)
        self.chips[entry.id] = replace(
            chip,
            features=listed.features,
            features_source=source,
            unsure=listed.unsure,
            lacks=listed.lacks,
            added=(),
        )

    def _with_listed(self, chip: Chip, names: frozenset[str], source: Source) -> Chip:
        new = names - chip.features
        if not new:
            return chip
        listed = Listed(new, _source(source, self.label), self.label)
        return replace(chip, features=chip.features | new, added=(*chip.added, listed))

    def _refuse_unknown_features(self) -> None:
        for entry in self.data.entries:
            named = {"chip": "features", "list": "list"}.get(entry.kind)
            for name in entry.table.get(named, ()) if named else ():
                if name not in self.features:
                    near = _near(name, self.features)
                    raise refusal(
                        entry.where,
                        f"{entry.id} lists {name}, which no feature file has",
                        f"add the feature, or correct the id{near}",
                    )


_SAY_WHICH = "write extend = true to add to it, or replace = true to put another in its place"
_ADD_IT = "drop extend and replace to add it, or correct the name"


def _check_marks(
    entry: PrivateEntry, below: str | None, known: Iterable[str], what: str = ""
) -> None:
    """Refuse what shadows something silently, and what extends or replaces nothing."""
    marked = entry.marks.extend or entry.marks.replace
    if below is not None and not marked:
        has = f"{entry.id} has {what} already" if what else f"{entry.id} is in {below} already"
        raise refusal(entry.where, has, _SAY_WHICH)
    if below is None and marked:
        lacks = f"{entry.id} has no {what.removeprefix('a ')}" if what else f"{entry.id} is unknown"
        near = "" if what else _near(entry.id, known)
        raise refusal(
            entry.where, f"{lacks}: there is nothing to extend or replace", _ADD_IT + near
        )


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 3)
    return f" (near: {', '.join(near)})" if near else ""


def _built(entry: PrivateEntry, build: Callable[[Table, str], _Made]) -> _Made:
    return _read(entry, lambda table: build(table, entry.where.rpartition("/")[2]), entry.table)


_Read = TypeVar("_Read")


def _read(entry: PrivateEntry, build: Callable[[Table], _Read], table: Table) -> _Read:
    try:
        return build(table)
    except KeyError as error:
        cause = f"{entry.id}: {error.args[0]} is missing"
    except (ValueError, TypeError, AttributeError) as error:
        cause = f"{entry.id}: {error}"
    raise refusal(entry.where, cause[:400], "correct the entry")


def _layer_name(table: Table, entry: PrivateEntry) -> Layer:
    """Return the layer's name as the model has it."""
    name = table.get("name")
    found = next((layer for layer in LAYER_ORDER if layer.value == name), None)
    if found is None:
        raise refusal(entry.where, f"{name!r} is no layer", "correct the name")
    return found


def label_feature(feature: Feature, labels: Labels) -> Feature:
    """Return the feature with ``labels`` on each of its cells."""
    layers = tuple(_need(need, labels) for need in feature.layers)
    return replace(feature, layers=layers, labels=feature.labels | labels)


def label_chip(chip: Chip, labels: Labels) -> Chip:
    """Return the chip with ``labels`` on each of its cells."""
    return replace(
        chip,
        signatures=tuple(_signature(one, labels) for one in chip.signatures),
        source=_source(chip.source, labels),
        labels=chip.labels | labels,
    )


def _need(need: LayerNeed, labels: Labels) -> LayerNeed:
    return replace(
        need,
        source=_source(need.source, labels),
        causes=tuple(_cause(cause, labels) for cause in need.causes),
        labels=need.labels | labels,
    )


def _cause(cause: Cause, labels: Labels) -> Cause:
    return replace(cause, labels=cause.labels | labels)


def _signature(signature: Signature, labels: Labels) -> Signature:
    return replace(signature, labels=signature.labels | labels)


def _source(source: Source, labels: Labels) -> Source:
    return replace(source, labels=source.labels | labels)


def _list_labels(chip: Chip) -> Labels:
    return chip.features_source.labels if chip.features_source else frozenset()
