"""Which instruction sets a feature gives, and who may use them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_TABLE = Path(__file__).parent / "data" / "instruction-sets.csv"


@dataclass(frozen=True)
class Given:
    """The instruction sets that a feature of the catalog gives.

    :param sets: by the names that an audit of files uses.
    :param use: ``compiled``: compilers make them of plain code; ``program``: programs ask for them
        by name; ``system``: for kernels; ``harmless``: hints; ``level``: a name for other features
        together.
    """

    sets: tuple[str, ...]
    use: str

    @property
    def compiled(self) -> bool:
        """Whether a rebuild alone brings them into a program."""
        return self.use == "compiled"

    @property
    def for_programs(self) -> bool:
        """Whether programs can be built for them."""
        return self.use in ("compiled", "program")


@lru_cache(maxsize=1)
def given_sets() -> Mapping[str, Given]:
    """Return what features of the catalog give, by feature."""
    lines = (line for line in _TABLE.read_text("utf-8").splitlines() if not line.startswith("#"))
    return {
        row["feature"]: Given(tuple(row["sets"].split()), row["use"])
        for row in csv.DictReader(lines)
    }
