"""Pure parsers, one module per source. A new source is one new module with ``PARSER`` in it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from uplift.facts.model import Facts, Parser, ParserIndex, Snapshot


@cache
def all_parsers() -> tuple[Parser, ...]:
    """Return every parser of this package, in order of module name."""
    found: list[Parser] = []
    for module in sorted(iter_modules(__path__), key=lambda m: m.name):
        loaded = import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, "PARSER"):
            found.append(loaded.PARSER)
        found.extend(getattr(loaded, "PARSERS", ()))
    return tuple(found)


def read_facts(snapshot: Snapshot) -> Facts:
    """Return the facts of ``snapshot``, parsed when first asked for."""
    return Facts(snapshot, _index())


@cache
def _index() -> ParserIndex:
    return ParserIndex(all_parsers())
