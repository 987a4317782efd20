"""What deriving the catalog proposes, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from uplift.catalog.derive.proposal import Cell, Proposal


def to_text(proposal: Proposal, written: bool) -> str:
    """Return the diff, where each cell comes from, and what stays against the sources."""
    return "".join(_parts(proposal, written))


def _parts(proposal: Proposal, written: bool) -> Iterator[str]:
    yield from (change.diff() for change in proposal.changes)
    if proposal.cells:
        yield "\nWhere each cell comes from\n"
        yield from (f"  {_told(cell)}\n" for cell in proposal.cells)
    if proposal.kept:
        yield "\nThe catalog says otherwise, and stays as it is\n"
        yield from (f"  {_told(cell)}\n" for cell in proposal.kept)
    files = len(proposal.changes)
    verb = "written" if written else "proposed"
    yield f"\n{files} {'file' if files == 1 else 'files'}, {len(proposal.cells)} cells {verb}\n"


def _told(cell: Cell) -> str:
    before, after = cell.before or "nothing", cell.after or "nothing"
    return f"{cell.subject}: {before} -> {after} [{cell.source}]"


def to_json(proposal: Proposal, schema: str, written: bool) -> dict[str, object]:
    """Return the same as JSON: files with their diff, cells with their source."""
    return {
        "schema": schema,
        "written": written,
        "changes": [{"path": c.path, "diff": c.diff()} for c in proposal.changes],
        "cells": [_cell(cell) for cell in proposal.cells],
        "kept": [_cell(cell) for cell in proposal.kept],
    }


def _cell(cell: Cell) -> dict[str, str]:
    return {
        "file": cell.file,
        "subject": cell.subject,
        "before": cell.before,
        "after": cell.after,
        "source": cell.source,
    }
