"""Which operating system it is: ``os.id``, ``os.version``, ``os.codename``, ``os.title``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_CAPTURE = "file:/etc/os-release"
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)=(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s\"'#]*))[ \t\r]*$", re.M)
_FACTS = {
    "ID": "os.id",
    "VERSION_ID": "os.version",
    "VERSION_CODENAME": "os.codename",
    "PRETTY_NAME": "os.title",
}


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    found = {
        name: next(filter(None, texts), "")
        for name, *texts in _LINE.findall(captures[_CAPTURE].text[:65536])
    }
    if "ID" not in found:
        raise ValueError("no line is ID=…")
    values: dict[str, Value] = {fact: found[name] for name, fact in _FACTS.items() if name in found}
    yield Reading(_CAPTURE, values)


PARSER = Parser("operating system", ("os.",), (_CAPTURE,), _parse)
