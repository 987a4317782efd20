"""The matrix as one self-contained HTML page: a heat picture with filters, works offline."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from uplift.catalog.labels import union
from uplift.report.html import visible
from uplift.report.labels import Marks
from uplift.report.matrix import MatrixReport, ReleaseColumn, differs, is_told
from uplift.resolve.chip_side import ChipSide
from uplift.resolve.matrix import Answer, Cell, Use, UseVerdict

#: One letter for each answer, in the page's data and its style sheet.
LETTERS = {
    Answer.USABLE: "u",
    Answer.STOPPED: "s",
    Answer.ABSENT: "a",
    Answer.UNKNOWN: "q",
    Answer.NOT_APPLICABLE: "n",
}
MEANINGS = {
    Answer.USABLE: "usable",
    Answer.STOPPED: "stopped above the silicon",
    Answer.ABSENT: "the hardware lacks it",
    Answer.UNKNOWN: "nobody looked, or it cannot be told yet",
    Answer.NOT_APPLICABLE: "nothing of this kind is asked",
}
USES = {
    Use.HOST: "programs on the host",
    Use.GUEST: "programs in a KVM guest",
    Use.PACKAGES: "the release's packages as built",
    Use.REBUILD: "a package rebuilt with the release's compilers",
}


class _Words:
    """Texts, each kept once: a page has thousands of cells and few sentences."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Return the number of ``text``."""
        return self._places.setdefault(visible(text), len(self._places))

    def all(self) -> list[str]:
        """Return every text, by its number."""
        return list(self._places)


def render_matrix(report: MatrixReport) -> str:
    """Return the page; every text is escaped, and the data stands in the page itself."""
    marks = Marks(report.labels)
    return _template().render(
        report=report,
        banner=marks.banner(),
        letters=LETTERS,
        meanings=MEANINGS,
        uses=USES,
        shares=[_shares(report, chip) for chip in report.chips],
        data=_escaped(_data(report, marks)),
        visible=visible,
    )


def _escaped(document: Any) -> str:
    """Return JSON that cannot end the element that it stands in."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(report: MatrixReport, marks: Marks) -> dict[str, Any]:
    words = _Words()
    chips = [_chip(report, chip, words, marks) for chip in report.chips]
    return {"uses": [use.value for use in Use], "chips": chips, "words": words.all()}


def _chip(report: MatrixReport, chip: ChipSide, words: _Words, marks: Marks) -> dict[str, Any]:
    rows = report.by_chip[chip.name]
    columns = [r for r in report.releases if any(r.name in cells for cells in rows.values())]
    return {
        "name": chip.name,
        "columns": [[column.name, int(_is_cited(column))] for column in columns],
        "rows": [
            {
                "id": feature,
                "mark": marks.on(union(*(cell.labels for cell in cells.values()))).strip(),
                "title": visible(next(iter(cells.values())).feature.title),
                "area": next(iter(cells.values())).feature.area,
                "told": int(is_told(cells)),
                "differs": int(differs(cells)),
                "cells": [_cell(cells.get(column.name), words) for column in columns],
            }
            for feature, cells in rows.items()
        ],
    }


def _is_cited(column: ReleaseColumn) -> bool:
    return any(basis == "cited" for _, basis in column.sets)


def _cell(cell: Cell | None, words: _Words) -> list[Any] | None:
    """Return answers, reasons, the stop of each use and the basis, as numbers of texts."""
    if cell is None:
        return None
    answers = "".join(LETTERS[cell.uses[use].answer] for use in Use)
    reasons = [words.place(cell.uses[use].why) for use in Use]
    stops = [words.place(_stop(cell.uses[use])) for use in Use]
    basis = words.place(f"release: {cell.basis}; chip: {cell.chip_basis}")
    return [answers, reasons, stops, basis]


def _stop(found: UseVerdict) -> str:
    stop = found.stop
    if stop is None:
        return ""
    lifted = f"; lifted by {stop.remedy.kind}: {stop.remedy.do}" if stop.remedy else ""
    since = f" (since {found.since.project} {found.since.version})" if found.since else ""
    return f"{stop.layer.value}: {stop.cause} [{stop.owner}]{lifted}{since}"


def _shares(report: MatrixReport, chip: ChipSide) -> list[dict[str, Any]]:
    """Return for each release how much of what the silicon has is open to each use."""
    found = []
    rows = report.by_chip[chip.name].values()
    for column in report.releases:
        cells = [cells[column.name] for cells in rows if column.name in cells]
        if cells:
            bars = [(use.value, *_share(cells, use)) for use in Use]
            found.append({"name": column.name, "cited": _is_cited(column), "bars": bars})
    return found


def _share(cells: Iterable[Cell], use: Use) -> tuple[int, int, int]:
    """Return how many of what the silicon has are usable, stopped and unknown."""
    answers = [cell.uses[use].answer for cell in cells if cell.in_silicon]
    kinds = (Answer.USABLE, Answer.STOPPED, Answer.UNKNOWN)
    usable, stopped, unknown = (answers.count(kind) for kind in kinds)
    return usable, stopped, unknown


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("uplift.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    return environment.get_template("matrix.html.j2")
