"""Features and chips of the catalog, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.catalog.load import load_catalog
from uplift.catalog.model import Chip, Feature, LayerNeed, Signature
from uplift.catalog.predicate import words

SCHEMA = "uplift-catalog/1"


def list_to_json(rows: Sequence[Feature | Chip]) -> dict[str, Any]:
    """Return the rows in short."""
    return {"schema": SCHEMA, "entries": [_short(row) for row in rows]}


def entry_to_json(entry: Feature | Chip) -> dict[str, Any]:
    """Return one entry whole, every cell with its source."""
    return {"schema": SCHEMA, "entry": {**_short(entry), **_long(entry)}}


def print_list(rows: Sequence[Feature | Chip], console: Console) -> None:
    """Print one line an entry."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for row in rows:
        if isinstance(row, Feature):
            table.add_row(row.id, row.area, row.title)
        else:
            table.add_row(
                row.codename, f"{row.vendor} {row.segment}".strip(), row.microarchitecture
            )
    console.print(table)
    console.print(Text(f"{len(rows)} entries", style="dim"))


def print_entry(entry: Feature | Chip, console: Console) -> None:
    """Print one entry with every source."""
    console.print(Text(entry.title, style="bold"))
    shown = {**_short(entry), **_long(entry)}
    layers = shown.pop("layers", [])
    for key, value in shown.items():
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        if text:
            console.print(Text.assemble((f"  {key:<18}", "dim"), text))
    for layer in layers:
        console.print(Text(f"  {layer['name']}", style="bold"))
        for key in ("needs", "used", "applies", "since", "source", "note"):
            if layer.get(key):
                console.print(Text.assemble((f"    {key:<10}", "dim"), str(layer[key])))
        for cause in layer["causes"]:
            console.print(Text.assemble(("    cause     ", "dim"), cause))


def summary(data: Path) -> str:
    """Return how much there is, in one line."""
    catalog = load_catalog(data)
    cells = sum(len(feature.layers) for feature in catalog.features)
    return (
        f"{len(catalog.features)} features with {cells} cells, {len(catalog.chips)} chips: "
        "every cell has a source, every fact a parser"
    )


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
        "signatures": [_signature(signature) for signature in entry.signatures],
        "source": f"{entry.source.kind}: {entry.source.text}",
        "features": sorted(entry.features),
        "features_source": f"{listed.kind}: {listed.text}" if listed else "",
        "origin": entry.origin,
    }


def _layer(need: LayerNeed) -> dict[str, Any]:
    since = need.since
    return {
        "name": need.name.value,
        "needs": words(need.needs),
        "used": words(need.used) if need.used else "",
        "applies": words(need.applies) if need.applies else "",
        "since": f"{since.project} {since.version} {since.commit}".strip() if since else "",
        "source": f"{need.source.kind}: {need.source.text}",
        "note": need.note,
        "causes": [f"{c.kind}: {c.cause} (when {words(c.when)})" for c in need.causes],
    }


def _signature(signature: Signature) -> str:
    fields = [
        f"{name} {low:#x}" if low == high else f"{name} {low:#x} to {high:#x}"
        for name, low, high in signature.fields
    ]
    return ", ".join([*fields, signature.text] if signature.text else fields)
