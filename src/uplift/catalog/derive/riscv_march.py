"""How a compiler is asked for a RISC-V extension."""

from __future__ import annotations

from collections.abc import Iterator

_BASE = "rv64gc"
_IN_BASE = frozenset("imafdcg")


def options_of_extension(name: str) -> Iterator[str]:
    """Yield the options that add an extension to RV64GC: ``-march=rv64gcv``, ``…_zba``."""
    if len(name) > 1:
        yield f"-march={_BASE}_{name}"
    elif name not in _IN_BASE and name != "e":
        yield f"-march={_BASE}{name}"
        yield f"-march={_BASE}_{name}"
