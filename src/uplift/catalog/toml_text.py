"""Entries of the catalog as the text that its own files are written in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from uplift.catalog.entries import Table

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 100
#: Numbers that documents and tools write in hexadecimal.
_HEXADECIMAL = frozenset(
    ("family", "model", "stepping", "implementer", "part", "variant", "mvendorid", "marchid")
)


def feature_text(table: Table) -> str:
    """Return a feature's entry."""
    layers = (layer_text(layer) for layer in table["layer"])
    return "\n".join(["[[feature]]\n" + _pairs(table, but="layer"), *layers])


def layer_text(table: Table) -> str:
    """Return one layer of a feature, with its causes."""
    causes = (cause_text(cause) for cause in table.get("cause", ()))
    return "\n".join(["[[feature.layer]]\n" + _pairs(table, but="cause"), *causes])


def cause_text(table: Table) -> str:
    """Return one cause of a layer."""
    return "[[feature.layer.cause]]\n" + _pairs(table)


def chip_text(table: Table) -> str:
    """Return a chip's entry."""
    return "[[chip]]\n" + _pairs(table)


def list_text(codename: str, table: Table) -> str:
    """Return the list of a chip's features."""
    return f"[features.{json.dumps(codename)}]\n" + _pairs(table)


def release_text(table: Table) -> str:
    """Return how a release introduces itself."""
    return "[release]\n" + _pairs(table)


def set_text(table: Table) -> str:
    """Return one set of a release, with its facts."""
    facts = ("[[set.fact]]\n" + _pairs(fact) for fact in table.get("fact", ()))
    return "\n".join(["[[set]]\n" + _pairs(table, but="fact"), *facts])


def pair_text(key: str, value: Any) -> str:
    """Return ``key = value``, over several lines where it is long; with its newline."""
    name = key if _BARE.fullmatch(key) else json.dumps(key)
    line = f"{name} = {_inline(value, key)}"
    if len(line) > _WIDTH and isinstance(value, list):
        items = "".join(f"    {_inline(item, key)},\n" for item in value)
        return f"{name} = [\n{items}]\n"
    return line + "\n"


def _pairs(table: Table, but: str = "") -> str:
    return "".join(pair_text(key, value) for key, value in table.items() if key != but)


def _inline(value: Any, key: str = "") -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return hex(value) if key in _HEXADECIMAL and value > 9 else str(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_inline_pairs(value))} }}"
    if isinstance(value, list):
        return f"[{', '.join(_items(value, key))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _inline_pairs(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield f"{key if _BARE.fullmatch(key) else json.dumps(key)} = {_inline(value, key)}"


def _items(values: Iterable[Any], key: str) -> Iterator[str]:
    for value in values:
        yield _inline(value, key)
