"""The matrix as JSON: the contract for scripts, ``uplift-matrix/1``."""

from __future__ import annotations

from typing import Any

from uplift.catalog.model import Since
from uplift.report.labels import label_list, with_labels
from uplift.report.matrix import MatrixReport
from uplift.report.scan_json import layer_to_json, stop_to_json
from uplift.resolve.matrix import Cell, UseVerdict
from uplift.resolve.model import Stop

SCHEMA = "uplift-matrix/1"

Json = dict[str, Any]


def matrix_to_json(report: MatrixReport, evidence: bool = False) -> Json:
    """Return the whole matrix; keys are only ever added within one schema version.

    :param evidence: with every layer's verdict and what proves it: twenty times as large.
    """
    return {
        "schema": SCHEMA,
        "as_of": report.as_of or None,
        "labels": label_list(report.labels),
        "chips": [
            {
                "chip": chip.name,
                "title": chip.title,
                "arch": chip.arch,
                "basis": chip.basis,
                "made": chip.made,
                "source": chip.listed.source or None,
            }
            for chip in report.chips
        ],
        "releases": [
            {
                "release": release.name,
                "title": release.title,
                "arch": list(release.architectures),
                "sets": [{"name": name, "basis": basis} for name, basis in release.sets],
                "recorded_at": release.recorded_at or None,
            }
            for release in report.releases
        ],
        "cells": [_cell(cell, evidence) for cell in report.cells],
        "skipped": [skipped._asdict() for skipped in report.skipped],
    }


def _cell(cell: Cell, evidence: bool) -> Json:
    row: Json = {
        "chip": cell.chip,
        "release": cell.release,
        "feature": cell.feature.id,
        **{use.value: found.answer.value for use, found in cell.uses.items()},
        "stop": _stop(cell.stop, cell.since),
        "basis": cell.basis,
        "chip_basis": cell.chip_basis,
        "why": {use.value: _why(found) for use, found in cell.uses.items()},
    }
    if evidence:
        row["layers"] = [layer_to_json(verdict) for verdict in cell.resolution.verdicts]
    return with_labels(row, cell.labels)


def _why(found: UseVerdict) -> str:
    return found.why


def _stop(stop: Stop | None, since: Since | None) -> Json | None:
    told = stop_to_json(stop)
    if told is None:
        return None
    told["since"] = (
        {"project": since.project, "version": since.version, "commit": since.commit or None}
        if since
        else None
    )
    return told
