"""The scan as one self-contained HTML page: works offline, prints well, fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from uplift.catalog.labels import labels_of
from uplift.catalog.model import Layer
from uplift.report.labels import Marks
from uplift.report.model import ENDINGS, ScanReport, ending, owner_labels
from uplift.report.terminal import GLYPHS, identity_notes
from uplift.resolve.model import Resolution, Status

#: What a status means, in the words of the legend.
MEANINGS = {
    Status.USED: "passed on, and seen in use",
    Status.OFFERED: "passed on",
    Status.STOPPED: "reaches the layer, which does not pass it on",
    Status.HIDDEN: "there below, masked by something",
    Status.ABSENT: "the hardware lacks it",
    Status.UNKNOWN: "nobody looked, or it cannot be told",
    Status.NOT_APPLICABLE: "nothing to judge here",
}


def render_html(report: ScanReport) -> str:
    """Return the page; every text from a capture is escaped."""
    return _template().render(
        report=report,
        identity=report.scan.identity,
        notes=list(identity_notes(report.scan.identity)),
        layers=list(Layer),
        glyphs={status: glyph for status, (glyph, _, _) in GLYPHS.items()},
        meanings=MEANINGS,
        endings=ENDINGS,
        areas=dict(_by_area(report)),
        ending=ending,
        visible=visible,
        marks=Marks(labels_of(report)),
        owner_labels=owner_labels,
    )


def visible(text: object) -> str:
    """Return ``text`` with control characters made visible."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in str(text))


def _by_area(report: ScanReport) -> Iterator[tuple[str, list[Resolution]]]:
    for area in sorted({resolution.feature.area for resolution in report.ordered}):
        yield area, [r for r in report.ordered if r.feature.area == area]


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
    return environment.get_template("scan.html.j2")
