"""Features and chips of the catalog, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.catalog.labels import labels_of, union
from uplift.catalog.load import load_catalog
from uplift.catalog.model import Cause, Chip, Feature, Labels, LayerNeed, Listed, Signature
from uplift.catalog.predicate import words
from uplift.report.labels import Marks, in_words, label_list, print_banner, with_labels

SCHEMA = "uplift-catalog/1"


def list_to_json(rows: Sequence[Feature | Chip]) -> dict[str, Any]:
    """Return the rows in short."""
    return {
        "schema": SCHEMA,
        "labels": label_list(_of_all(rows)),
        "entries": [with_labels(_short(row), labels_of(row)) for row in rows],
    }


def entry_to_json(entry: Feature | Chip) -> dict[str, Any]:
    """Return one entry whole, every cell with its source."""
    labels = labels_of(entry)
    shown = with_labels({**_short(entry), **_long(entry)}, labels)
    return {"schema": SCHEMA, "labels": label_list(labels), "entry": shown}


def print_list(rows: Sequence[Feature | Chip], console: Console) -> None:
    """Print one line an entry."""
    marks = Marks(_of_all(rows))
    print_banner(marks, console)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for row in rows:
        if isinstance(row, Feature):
            cells = row.id, row.area, row.title
        else:
            cells = row.codename, f"{row.vendor} {row.segment}".strip(), row.microarchitecture
        table.add_row(*map(Text, cells), Text(marks.of(row)))
    console.print(table)
    console.print(Text(f"{len(rows)} entries", style="dim"))


def print_entry(entry: Feature | Chip, console: Console) -> None:
    """Print one entry with every source."""
    marks = Marks(labels_of(entry))
    print_banner(marks, console)
    console.print(Text(f"{entry.title}{marks.on(entry.labels)}", style="bold"))
    shown = {**_short(entry), **_long(entry)}
    layers = shown.pop("layers", [])
    for key, value in shown.items():
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        if text:
            console.print(Text.assemble((f"  {key:<18}", "dim"), text))
    for layer in layers:
        mark = marks.on(frozenset(layer.get("labels", ())))
        console.print(Text(f"  {layer['name']}{mark}", style="bold"))
        for key in ("needs", "used", "applies", "since", "source", "note"):
            if layer.get(key):
                console.print(Text.assemble((f"    {key:<10}", "dim"), str(layer[key])))
        for cause in layer["causes"]:
            console.print(Text.assemble(("    cause     ", "dim"), cause))


def summary(data: Path, overlays: Sequence[Path] = ()) -> str:
    """Return how much there is, in one line."""
    catalog = load_catalog(data, overlays=overlays)
    cells = sum(len(feature.layers) for feature in catalog.features)
    return (
        f"{len(catalog.features)} features with {cells} cells, {len(catalog.chips)} chips: "
        f"every cell has a source, every fact a parser{in_words(labels_of(catalog))}"
    )


def _of_all(rows: Sequence[Feature | Chip]) -> Labels:
    return union(*(labels_of(row) for row in rows))


def _short(entry: Feature | Chip) -> dict[str, Any]:
    if isinstance(entry, Feature):
        return {
            "id": entry.id,
            "title": entry.title,
            "arch": list(entry.arch),
            "area": entry.area,
            "worth": entry.worth,
            "layers_named": [layer.name.value for layer in entry.layers],
        }
    return {
        "codename": entry.codename,
        "title": entry.title,
        "vendor": entry.vendor,
        "arch": entry.arch,
        "microarchitecture": entry.microarchitecture,
        "segment": entry.segment,
    }


def _long(entry: Feature | Chip) -> dict[str, Any]:
    if isinstance(entry, Feature):
        return {
            "summary": entry.summary,
            "origin": entry.origin,
            "layers": [_layer(layer) for layer in entry.layers],
        }
    listed = entry.features_source
    return {
        "announced": entry.announced,
        "archspec": entry.archspec,
        "signatures": [_signature(one) + in_words(one.labels) for one in entry.signatures],
        "source": f"{entry.source.kind}: {entry.source.text}",
        "features": sorted(entry.features),
        "features_source": f"{listed.kind}: {listed.text}" if listed else "",
        "added": [_added(one) for one in entry.added],
        "origin": entry.origin,
    }


def _layer(need: LayerNeed) -> dict[str, Any]:
    since = need.since
    document = {
        "name": need.name.value,
        "needs": words(need.needs),
        "used": words(need.used) if need.used else "",
        "applies": words(need.applies) if need.applies else "",
        "since": f"{since.project} {since.version} {since.commit}".strip() if since else "",
        "source": f"{need.source.kind}: {need.source.text}",
        "note": need.note,
        "causes": [_cause(cause) for cause in need.causes],
    }
    return with_labels(document, labels_of(need))


def _cause(cause: Cause) -> str:
    return f"{cause.kind}: {cause.cause} (when {words(cause.when)}){in_words(cause.labels)}"


def _added(listed: Listed) -> str:
    names = ", ".join(sorted(listed.features))
    return f"{names} ({listed.source.kind}: {listed.source.text}){in_words(listed.labels)}"


def _signature(signature: Signature) -> str:
    fields = [
        f"{name} {low:#x}" if low == high else f"{name} {low:#x} to {high:#x}"
        for name, low, high in signature.fields
    ]
    return ", ".join([*fields, signature.text] if signature.text else fields)
