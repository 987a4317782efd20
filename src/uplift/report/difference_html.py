"""What differs between platforms as one self-contained page: offline, filterable, printable."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from uplift.report.difference import HEADINGS, counts, heading, remedy, side_line
from uplift.report.html import visible
from uplift.report.labels import Marks
from uplift.resolve.difference_model import CAUSES, Comparison, PlatformDifference


def render_comparison(comparison: Comparison) -> str:
    """Return the page; every text from a capture is escaped."""
    return _template().render(
        comparison=comparison,
        sections=[
            (kind, title, [d for d in comparison.differences if d.kind is kind])
            for kind, title in HEADINGS.items()
        ],
        counts=counts(comparison),
        causes=CAUSES,
        heading=heading,
        remedy=remedy,
        side_line=side_line,
        words=_words,
        marks=Marks(comparison.labels),
    )


def _words(difference: PlatformDifference) -> str:
    """Return what a filter finds a row by."""
    parts = (difference.title, difference.cause.value, difference.area, *difference.names)
    return " ".join((*parts, *difference.values)).lower()


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
    return environment.get_template("diff.html.j2")
