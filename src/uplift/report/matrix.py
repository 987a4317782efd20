"""What every rendering of the matrix shows: cells by chip and feature, stops grouped by remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from uplift.catalog.labels import union
from uplift.catalog.model import Labels, Layer
from uplift.resolve.chip_side import ChipSide
from uplift.resolve.matrix import Answer, Cell, Use
from uplift.resolve.model import Stop


class ReleaseColumn(NamedTuple):
    """A release as it was asked for.

    :param architectures: Debian's names of those that it was planned on.
    :param recorded_at: the day of its newest recording; empty where it is cited.
    :param sets: each component set with what it stands on: ``("base", "recorded")``.
    """

    name: str
    title: str
    architectures: tuple[str, ...]
    sets: tuple[tuple[str, str], ...]
    recorded_at: str


class Skipped(NamedTuple):
    """A chip and a release that have no architecture in common."""

    chip: str
    release: str
    why: str


class StopRow(NamedTuple):
    """Features that one remedy lifts on one chip, in the releases that need it.

    :param uses: what is stopped: host, guest, packages, rebuild.
    :param worth: of the most worth among the features.
    """

    chip: str
    stop: Stop
    since: str
    uses: tuple[Use, ...]
    features: tuple[str, ...]
    releases: tuple[str, ...]
    worth: int


@dataclass(frozen=True)
class MatrixReport:
    """A matrix with what a reader needs first.

    :param as_of: the day that was asked for; empty: today.
    :param labels: of the overlays that anything in it comes from.
    """

    chips: tuple[ChipSide, ...]
    releases: tuple[ReleaseColumn, ...]
    cells: tuple[Cell, ...]
    skipped: tuple[Skipped, ...] = ()
    as_of: str = ""

    @cached_property
    def labels(self) -> Labels:
        """The labels of everything in it."""
        return union(*(cell.labels for cell in self.cells))

    @cached_property
    def by_chip(self) -> Mapping[str, Mapping[str, Mapping[str, Cell]]]:
        """Chip to feature to release to cell; features by worth, then by name."""
        ordered = sorted(self.cells, key=lambda c: (-c.feature.worth, c.feature.id))
        found: dict[str, dict[str, dict[str, Cell]]] = {chip.name: {} for chip in self.chips}
        for cell in ordered:
            found[cell.chip].setdefault(cell.feature.id, {})[cell.release] = cell
        return found

    def stops(self, chip: str) -> Sequence[StopRow]:
        """Return what stops a chip's features, most features and worth first."""
        groups: dict[tuple[object, ...], list[tuple[Cell, Use]]] = {}
        stops: dict[tuple[object, ...], Stop] = {}
        for cell, use, stop in self._stopped(chip):
            key = (stop.layer, stop.kind, stop.owner, _what_lifts(stop))
            groups.setdefault(key, []).append((cell, use))
            stops.setdefault(key, stop)
        rows = [_row(chip, stops[key], found) for key, found in groups.items()]
        return sorted(rows, key=lambda row: (-row.worth, _LAYERS[row.stop.layer], row.features))

    def _stopped(self, chip: str) -> Iterator[tuple[Cell, Use, Stop]]:
        for by_release in self.by_chip[chip].values():
            for cell in by_release.values():
                for use, found in cell.uses.items():
                    if found.answer is Answer.STOPPED and found.stop is not None:
                        yield cell, use, found.stop


_LAYERS = {layer: place for place, layer in enumerate(Layer)}


def _what_lifts(stop: Stop) -> str:
    return stop.remedy.do if stop.remedy else stop.cause


def _row(chip: str, stop: Stop, found: Sequence[tuple[Cell, Use]]) -> StopRow:
    told = (cell.uses[use] for cell, use in found)
    since = next((one.since for one in told if one.since and one.stop == stop), None)
    return StopRow(
        chip=chip,
        stop=stop,
        since=f"{since.project} {since.version}" if since else "",
        uses=tuple(use for use in Use if any(use is asked for _, asked in found)),
        features=tuple(dict.fromkeys(cell.feature.id for cell, _ in found)),
        releases=tuple(dict.fromkeys(cell.release for cell, _ in found)),
        worth=max(cell.feature.worth for cell, _ in found),
    )


def is_told(cells: Mapping[str, Cell]) -> bool:
    """Say whether a feature's row tells anything: the silicon has it, and some use is known."""
    return any(cell.in_silicon and _has_answer(cell) for cell in cells.values())


def _has_answer(cell: Cell) -> bool:
    answers = {found.answer for found in cell.uses.values()}
    return bool(answers & {Answer.USABLE, Answer.STOPPED})


def differs(cells: Mapping[str, Cell]) -> bool:
    """Say whether the releases answer differently, or one of them stops a use."""
    rows = {tuple(found.answer for found in cell.uses.values()) for cell in cells.values()}
    return len(rows) > 1 or any(Answer.STOPPED in row for row in rows)
