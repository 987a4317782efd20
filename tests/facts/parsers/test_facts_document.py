"""The list of facts in the documentation is whole."""

from __future__ import annotations

from pathlib import Path

from uplift.facts.parsers import all_parsers

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "facts.md"


def test_every_declared_name_is_in_the_reference():
    text = DOCUMENT.read_text("utf-8")
    names = {name for parser in all_parsers() for name in parser.declares}
    ends = ("firmware.", "darwin.", "device.", "kernel.xcomp_")
    missing = [n for n in names if n not in text and not n.startswith(ends)]
    assert missing == []
