"""The GNU assembler: its version, and the instructions and options it accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading

_VERSION_CAPTURE = "cmd:as/version"
_ACCEPTS = "cmd:as/accepts"
_VERSION = re.compile(r"GNU assembler.* (\d+\.\d+(?:\.\d+)*)")
_ANSWER = re.compile(r"^(\S.*?) (yes|no)[ \t\r]*$", re.MULTILINE)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _VERSION_CAPTURE in captures:
        found = _VERSION.search(captures[_VERSION_CAPTURE].text[:1000])
        if not found:
            raise ValueError(f"{_VERSION_CAPTURE}: line 1 states no version")
        yield Reading(_VERSION_CAPTURE, {"assembler.version": found[1]})
    if _ACCEPTS in captures:
        answers = _ANSWER.findall(captures[_ACCEPTS].text)
        if not answers:
            raise ValueError(f"{_ACCEPTS}: line 1 is no answer '… yes'")
        accepted = frozenset(what for what, answer in answers if answer == "yes")
        yield Reading(_ACCEPTS, {"assembler.accepts": accepted})


PARSER = Parser(
    name="assembler",
    declares=("assembler.version", "assembler.accepts"),
    reads=(_VERSION_CAPTURE, _ACCEPTS),
    parse=_parse,
)
