"""What glibc calls the bits of its x86 CPU features array (``data/glibc-x86.csv``)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

Word = tuple[int, int]  #: index of the array, register (0 is eax)


@lru_cache(maxsize=1)
def names() -> Mapping[Word, Mapping[int, str]]:
    """Return each word's bits and their names, lower case."""
    text = files("uplift.facts").joinpath("data/glibc-x86.csv").read_text("utf-8")
    found: dict[Word, dict[int, str]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        word = int(row["index"]), int(row["register"])
        found.setdefault(word, {})[int(row["bit"])] = row["name"]
    return found
