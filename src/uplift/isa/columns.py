"""Sorted columns of numbers: what NumPy's set operations do slower, for they hash first."""

from __future__ import annotations

import numpy as np

from uplift.isa.elf import Ints


def distinct(values: Ints) -> Ints:
    """Return the different values, sorted."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    found: Ints = ordered[first]
    return found


def plain(values: Ints) -> memoryview:
    """Return a view whose single elements are read fast, for instance by ``bisect``."""
    return np.ascontiguousarray(values).data
