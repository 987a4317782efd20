"""What gcc builds for unless told otherwise: ``-march`` and the options that are on.

``gcc -Q --help=target`` without further options prints them. A capture that only lists what the
compiler knows, without states, tells nothing of defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_CAPTURE = "cmd:gcc/target-help"
_ENABLED = re.compile(r"^ {1,4}-m([\w.-]+)[ \t]+\[enabled\][ \t\r]*$", re.M)
_STATED = re.compile(r"\[(?:enabled|disabled)\]")
_MARCH = re.compile(r"^ {1,4}-march=(?:ARCH)?[ \t]+([\w.+-]+)[ \t\r]*$", re.M)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    text = captures[_CAPTURE].text
    if not _STATED.search(text):
        return
    values: dict[str, Value] = {"compiler_default.gcc.options": frozenset(_ENABLED.findall(text))}
    march = _MARCH.search(text)
    if march:
        values["compiler_default.gcc.march"] = march[1]
    yield Reading(_CAPTURE, values)


PARSER = Parser("compiler defaults", ("compiler_default.",), (_CAPTURE,), _parse)
