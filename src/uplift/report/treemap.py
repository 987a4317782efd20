"""Rectangles whose areas are given, as near to squares as may be.

Method: Bruls, Huizing, van Wijk, "Squarified Treemaps" (2000).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A rectangle; the origin is the upper left corner."""

    x: float
    y: float
    width: float
    height: float


def squarified(sizes: Sequence[float], width: float, height: float) -> list[Tile]:
    """Return a rectangle for each size; together they fill ``width`` times ``height``.

    :param sizes: positive, the largest first.
    """
    total = float(sum(sizes))
    areas = [size * width * height / total for size in sizes] if total else []
    found: list[Tile] = []
    free = Tile(0.0, 0.0, width, height)
    while areas:
        side = min(free.width, free.height)
        count = _row(areas, side)
        row, areas = areas[:count], areas[count:]
        tiles, free = _placed(row, free)
        found.extend(tiles)
    return found


def _row(areas: Sequence[float], side: float) -> int:
    """Return how many of the next areas make the squarest row along ``side``."""
    best = _worst(areas[:1], side)
    for count in range(2, len(areas) + 1):
        ratio = _worst(areas[:count], side)
        if ratio > best:
            return count - 1
        best = ratio
    return len(areas)


def _worst(row: Sequence[float], side: float) -> float:
    total = sum(row)
    return max(side * side * max(row) / total**2, total**2 / (side * side * min(row)))


def _placed(row: Sequence[float], free: Tile) -> tuple[list[Tile], Tile]:
    """Lay a row along the shorter side; return it, and what stays free."""
    total = sum(row)
    if free.width >= free.height:
        depth = total / free.height
        tiles = [Tile(free.x, at, depth, area / depth) for at, area in _along(row, free.y, depth)]
        return tiles, Tile(free.x + depth, free.y, max(free.width - depth, 1e-9), free.height)
    depth = total / free.width
    tiles = [Tile(at, free.y, area / depth, depth) for at, area in _along(row, free.x, depth)]
    return tiles, Tile(free.x, free.y + depth, free.width, max(free.height - depth, 1e-9))


def _along(row: Sequence[float], start: float, depth: float) -> Iterator[tuple[float, float]]:
    for area in row:
        yield start, area
        start += area / depth
