"""Shared libraries: which are installed, what they say of themselves, and what steers them.

``library.found`` holds names without ``lib`` and ``.so``; ``library.<name>.version`` is what the
library answers or, failing that, what its file's name ends in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_LIBRARIES = "probe:libraries"
_CALLS = "probe:library-calls"
_ENVIRONMENT = "probe:environment"
_HWCAPS = "list:glibc-hwcaps"

_LINE = re.compile(r"(lib(\S+?)\.so\S*) (\S+)(?: (\S*))?$")
_ANSWER = re.compile(r"(\w+) lib(\S+?)\.so\S*(?: (.*))?$")
_MAX_LINE = 4096
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*")

#: What a function's answer is, by the end of its name.
_ANSWERS = {
    "openblas_get_corename": "core",
    "openblas_get_config": "config",
    "dnnl_get_effective_cpu_isa": "isa",
    "numa_available": "available",
}
#: Names of one library under several file names.
_SAME = {"openblasp-r0": "openblas", "z-ng": "zlib_ng", "z": "zlib", "zstd": "zstd"}


def _name(stem: str) -> str:
    return _SAME.get(stem, re.sub(r"[^A-Za-z0-9_]", "_", stem).lower())


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _LIBRARIES in captures:
        yield Reading(_LIBRARIES, _installed(captures[_LIBRARIES].text))
    if _CALLS in captures:
        yield Reading(_CALLS, dict(_answered(captures[_CALLS].text)))
    if _HWCAPS in captures:
        words = captures[_HWCAPS].text.split()
        yield Reading(_HWCAPS, {"library.hwcaps": frozenset(words)})


def _installed(text: str) -> dict[str, Value]:
    found: set[str] = set()
    values: dict[str, Value] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line) if len(line) < _MAX_LINE else None
        if not match:
            raise ValueError(f"{_LIBRARIES}: line {number} is not 'library path version'")
        name = _name(match[2])
        found.add(name)
        if match[4] and "." in match[4]:
            values.setdefault(f"library.{name}.version", match[4])
        values.setdefault(f"library.{name}.path", match[3])
    values["library.found"] = frozenset(found)
    return values


def _answered(text: str) -> Iterator[tuple[str, Value]]:
    for number, line in enumerate(text.splitlines(), 1):
        match = _ANSWER.match(line) if len(line) < _MAX_LINE else None
        if not match:
            raise ValueError(f"{_CALLS}: line {number} is not 'function library answer'")
        name, answer = _name(match[2]), (match[3] or "").strip()
        if match[1] in _ANSWERS:
            yield f"library.{name}.{_ANSWERS[match[1]]}", answer
        if match[1].endswith(("_config", "ersion", "_version_str", "_versionString")):
            version = _VERSION.search(answer)
            if version:
                yield f"library.{name}.version", version[0]


def _environment(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    values: dict[str, Value] = {"environment.names": frozenset()}
    for number, line in enumerate(captures[_ENVIRONMENT].text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"line {number} is not 'NAME=value'")
        values[f"environment.{name}"] = value
    names = frozenset(name.partition(".")[2] for name in values) - {"names"}
    yield Reading(_ENVIRONMENT, {**values, "environment.names": names})


def _unset(name: str, values: Mapping[str, Value]) -> Value | None:
    """A variable that steers dispatch and is not set; others were not looked at."""
    return "" if name.startswith("environment.") and "environment.names" in values else None


_POSTGRES = "cmd:postgres/version"


def _postgres(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    found = re.search(r"PostgreSQL\) (\d+(?:\.\d+)*)", captures[_POSTGRES].text)
    if not found:
        raise ValueError("line 1 states no version")
    yield Reading(_POSTGRES, {"postgresql.version": found[1]})


PARSERS = (
    Parser("libraries", ("library.",), (_LIBRARIES, _CALLS, _HWCAPS), _parse),
    Parser("environment", ("environment.",), (_ENVIRONMENT,), _environment, _unset),
    Parser("postgresql", ("postgresql.version",), (_POSTGRES,), _postgres),
)
