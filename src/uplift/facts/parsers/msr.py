"""Model-specific registers of the first CPU, where root read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

CAPTURE = "probe:msr"
_LINE = re.compile(r"0x([0-9a-fA-F]{1,8}) (?:0x([0-9a-fA-F]{1,16})|errno \w+)$")


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read ``0x3a 0x5``; a register that the CPU refuses (``0x3a errno EIO``) stays unknown."""
    values: dict[str, Value] = {}
    for number, line in enumerate(captures[CAPTURE].text.split("\n"), 1):
        if not line.strip():
            continue
        found = _LINE.match(line.strip())
        if found is None:
            raise ValueError(f"line {number}: {line[:60]!r} is no register and value")
        if found[2]:
            values[f"firmware.msr.{int(found[1], 16):x}"] = int(found[2], 16)
    yield Reading(CAPTURE, values)


PARSER = Parser(name="msr", declares=("firmware.msr.",), reads=(CAPTURE,), parse=_parse)
