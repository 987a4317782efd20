"""libvirt's CPU map: the features that it has names for, and what each of its models demands.

Without a name in the map a feature cannot be asked for in a guest's XML, whatever QEMU knows.
The capture holds the map as lines, file by file; see ``docs/reference/captures.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.qemu import read_json

CAPTURE = "tree:/usr/share/libvirt/cpu_map"
_MARKS = frozenset(("removed", "added"))
_MAX_DEPTH = 16  #: of models that build on one another; libvirt's go 3 deep


class _Model:
    """A model as its file has it: what it builds on, and what it demands itself."""

    def __init__(self) -> None:
        self.bases: list[str] = []
        self.needs: set[str] = set()


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    files = read_json(captures[CAPTURE].data)
    if not isinstance(files, dict):
        raise ValueError("it is no JSON object")
    features: set[str] = set()
    models: dict[str, _Model] = {}
    for name in sorted(files):
        _read(name, str(files[name]), features, models)
    values: dict[str, Value] = {
        "libvirt.map_features": frozenset(features),
        "libvirt.map_models": frozenset(models),
    }
    for model in models:
        values[f"libvirt.map_model.{model}"] = frozenset(_demanded(model, models))
    yield Reading(CAPTURE, values)


def _read(name: str, text: str, features: set[str], models: dict[str, _Model]) -> None:
    """Read one file's lines into what is known already.

    A feature marked ``added`` or ``removed`` came to the model, or left it, after libvirt first
    had it; libvirt demands it of no host.
    """
    current: _Model | None = None
    for number, line in enumerate(text.splitlines(), 1):
        kind, _, rest = line.partition(" ")
        word, *marks = rest.split(" ") if kind == "needs" else (rest,)  # a model's has spaces
        if not word or not _MARKS.issuperset(marks):
            raise ValueError(f"{name}: line {number} is {line[:60]!r}")
        if kind == "feature":
            features.add(word)
        elif kind == "model":
            current = models.setdefault(word, _Model())
        elif kind == "base" and current is not None:
            current.bases.append(word)
        elif kind == "needs" and current is not None:
            current.needs.update(() if marks else (word,))
        else:
            raise ValueError(f"{name}: line {number} is {line[:60]!r}")


def _demanded(model: str, models: Mapping[str, _Model], depth: int = 0) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError(f"the model {model} builds on itself")
    if model in models:
        yield from models[model].needs
        for base in models[model].bases:
            yield from _demanded(base, models, depth + 1)


def _unknown_model(name: str, values: Mapping[str, Value]) -> Value | None:
    known = name.startswith("libvirt.map_model.") and "libvirt.map_models" in values
    return frozenset() if known else None


PARSER = Parser(
    name="libvirt CPU map",
    declares=("libvirt.map_features", "libvirt.map_models", "libvirt.map_model."),
    reads=(CAPTURE,),
    parse=_parse,
    implied=_unknown_model,
)
