"""Which ACPI tables the firmware hands over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading

LIST = "list:/sys/firmware/acpi/tables"
_TABLE = re.compile(r"([A-Z][A-Z0-9_!]{3})\d*$")


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read the names; several tables of one name are numbered (``SSDT1``)."""
    found = (_TABLE.match(name) for name in captures[LIST].text.split())
    yield Reading(LIST, {"firmware.acpi_tables": frozenset(match[1] for match in found if match)})


PARSER = Parser(name="acpi", declares=("firmware.acpi_tables",), reads=(LIST,), parse=_parse)
