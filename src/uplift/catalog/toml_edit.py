"""Change single entries in the text of a catalog file and leave every other line as it is.

Works on files in the catalog's own form: headers stand at the beginning of a line. Whoever edits
checks afterwards that the text says what it should.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from uplift.catalog.entries import LAYER_ORDER, Table
from uplift.catalog.model import Layer
from uplift.catalog.toml_text import cause_text, layer_text

_TOP = re.compile(r"\[\[\w+\]\]|\[features\.|\[\w+\]")
_LAYER = "[[feature.layer]]"
_CAUSE = "[[feature.layer.cause]]"

Lines = list[str]
Span = tuple[int, int]


def appended(text: str, entry: str) -> str:
    """Return ``text`` with an entry after its last one."""
    return f"{text.rstrip()}\n\n{entry}" if text.strip() else entry


def replaced(text: str, kind: str, name: str, entry: str) -> str:
    """Return ``text`` with another entry in the place of one.

    :param kind: ``feature``, ``chip`` or ``list``.
    :raises ValueError: the entry is not found.
    """
    lines = text.splitlines()
    start, end = _span(lines, kind, name)
    return _joined([*lines[:start], *entry.splitlines(), *lines[end:]])


def with_layer(text: str, feature: str, layer: Table) -> str:
    """Return ``text`` with a layer in its place among a feature's layers.

    :param layer: with the marks ``extend`` (its causes go before those that are there) or
        ``replace`` (it goes in the place of the one that is there).
    :raises ValueError: the feature, or the layer to extend or replace, is not found.
    """
    lines = text.splitlines()
    start, end = _span(lines, "feature", feature)
    layers = _parts(lines, start, end, _LAYER)
    names = [_value(lines, part, "name") for part in layers]
    name = str(layer["name"])
    if layer.get("extend"):
        return _with_causes(lines, layers[names.index(name)], layer)
    entry = layer_text({key: value for key, value in layer.items() if key != "replace"})
    if layer.get("replace"):
        first, last = layers[names.index(name)]
        return _joined([*lines[:first], *entry.splitlines(), *_rest(lines, last)])
    order = LAYER_ORDER[Layer(name)]
    later = (part for part, other in zip(layers, names, strict=True) if _order(other) > order)
    at = next(later, (end, end))[0]
    return _inserted(lines, at, entry, end)


def with_value(text: str, kind: str, name: str, key: str, pair: str) -> str:
    """Return ``text`` with one key of an entry written anew, or added to it.

    :param pair: its new lines.
    :raises ValueError: the entry is not found.
    """
    lines = text.splitlines()
    start, end = _span(lines, kind, name)
    first, last = _key(lines, start, end, key)
    return _joined([*lines[:first], *pair.splitlines(), *lines[last:]])


def _with_causes(lines: Lines, layer: Span, table: Table) -> str:
    causes = "\n".join(cause_text(cause) for cause in table["cause"])
    parts = _parts(lines, *layer, _CAUSE)
    return _inserted(lines, parts[0][0] if parts else layer[1], causes, layer[1])


def _inserted(lines: Lines, at: int, entry: str, end: int) -> str:
    """Insert ``entry`` with one empty line around it; ``end`` is where the part around it ends."""
    new = entry.splitlines()
    if at == end:
        return _joined([*lines[:at], "", *new, *_rest(lines, at)])
    return _joined([*lines[:at], *new, "", *lines[at:]])


def _rest(lines: Lines, at: int) -> Lines:
    """Return the lines from ``at`` on, after one empty line."""
    rest = lines[at:]
    return ["", *rest] if rest and rest[0].strip() else rest


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def _span(lines: Lines, kind: str, name: str) -> Span:
    """Return the first line of an entry and the one after its last."""
    for start, end in _entries(lines, kind):
        if kind == "list":
            if re.fullmatch(rf'\[features\."?{re.escape(name)}"?\]', lines[start].strip()):
                return start, end
        elif _value(lines, (start, end), "id" if kind == "feature" else "codename") == name:
            return start, end
    raise ValueError(f"{name} is not found")


def _entries(lines: Lines, kind: str) -> list[Span]:
    header = "[features." if kind == "list" else f"[[{kind}]]"
    tops = [number for number, line in enumerate(lines) if _TOP.match(line)] + [len(lines)]
    return [
        (start, _trimmed(lines, start, end))
        for start, end in pairwise(tops)
        if lines[start].startswith(header)
    ]


def _parts(lines: Lines, start: int, end: int, header: str) -> list[Span]:
    """Return the spans of the sub-tables with ``header`` between two lines."""
    heads = [number for number in range(start, end) if lines[number].strip() == header]
    return [(first, _trimmed(lines, first, last)) for first, last in pairwise([*heads, end])]


def _trimmed(lines: Lines, start: int, end: int) -> int:
    """Return ``end`` without the empty lines and comments that lead to what follows."""
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return end


def _value(lines: Lines, span: Span, key: str) -> str:
    for line in lines[span[0] + 1 : span[1]]:
        if line.startswith("["):
            break
        found = re.match(rf'{key} = "([^"]*)"', line)
        if found:
            return found[1]
    return ""


def _key(lines: Lines, start: int, end: int, key: str) -> Span:
    """Return the span of ``key``, by its brackets; an empty one at the entry's end if missing."""
    for first in range(start + 1, end):
        if re.match(rf"{key}\s*=", lines[first]):
            last, depth = first, 0
            while last < end:
                bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", lines[last])
                depth += sum(map(bare.count, "[{")) - sum(map(bare.count, "]}"))
                last += 1
                if depth <= 0:
                    break
            return first, last
    return end, end


def _order(name: str) -> int:
    return LAYER_ORDER.get(Layer(name), 0)
