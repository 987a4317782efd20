"""The Java virtual machine: its version, and the flags that it settled on for this CPU."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_VERSION_CAPTURE = "cmd:java/version"
_FLAGS = "cmd:java/flags"
_RELEASES = "file:/usr/lib/jvm/"
_VERSION = re.compile(r'version "([^"\s]{1,60})"')
#: ``bool UseSHA   = true   {product} {default}``
_FLAG = re.compile(
    r"^ {0,80}\w{1,40} {1,9}(\w{1,99}) {1,80}:?= {1,80}([^\s{]*) {0,80}\{(.*)\}$", re.MULTILINE
)
_RELEASE = re.compile(r'^JAVA_VERSION="([^"]{1,60})"', re.MULTILINE)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _VERSION_CAPTURE in captures:
        found = _VERSION.search(captures[_VERSION_CAPTURE].text)
        if not found:
            raise ValueError(f"{_VERSION_CAPTURE}: no line states the version")
        yield Reading(_VERSION_CAPTURE, {"java.version": found[1]})
    if _FLAGS in captures:
        flags = _FLAG.findall(captures[_FLAGS].text)
        if not flags:
            raise ValueError(f"{_FLAGS}: no line lists a flag")
        yield Reading(_FLAGS, {f"java.flag.{name}": value for name, value, _ in flags})
    yield from _installed(captures)


def _installed(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for name, capture in captures.items():
        found = _RELEASE.search(capture.text) if name.endswith("/release") else None
        if found:
            virtual_machine = name[len(_RELEASES) : -len("/release")]
            values: dict[str, Value] = {f"java.installed.{virtual_machine}": found[1]}
            yield Reading(name, values)


PARSER = Parser("java", ("java.",), (_VERSION_CAPTURE, _FLAGS, f"{_RELEASES}*"), _parse)
