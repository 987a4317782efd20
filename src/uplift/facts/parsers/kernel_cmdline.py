"""The kernel's command line: every word, and each parameter's value.

``kernel.cmdline.nosmt`` is ``""`` where the word was not given and ``"nosmt"`` where it was given
without a value. ``kernel.cmdline_words`` also holds a comma list word by word, so that
``clearcpuid=amx_tile,amx_int8`` is found as ``clearcpuid=amx_int8``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

CAPTURE = "file:/proc/cmdline"
MAX_BYTES = 1 << 16  #: x86 takes 2,048 bytes, arm64 2,048, s390x 4,096

_PREFIX = "kernel.cmdline."
#: A word ends at a blank that is not between double quotes (lib/cmdline.c, next_arg).
_WORD = re.compile(r'(?:"[^"]*"?|[^\s"])+')


def words_of(text: str) -> list[str]:
    """Split a command line as the kernel does, without quotes; what follows ``--`` is init's."""
    found = [word.replace('"', "") for word in _WORD.findall(text)]
    return found[: found.index("--")] if "--" in found else found


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    data = captures[CAPTURE].data
    if len(data) > MAX_BYTES or b"\0" in data.rstrip(b"\0\n"):
        raise ValueError("it is no command line: it is too long or holds NUL bytes")
    found = words_of(data.rstrip(b"\0\n").decode("utf-8", "replace"))
    values: dict[str, Value] = {"kernel.cmdline_words": frozenset(_single(found))}
    for word in found:
        name, equals, value = word.partition("=")
        values[_PREFIX + name.replace("-", "_")] = value if equals else name
    yield Reading(CAPTURE, values)


def _single(words: list[str]) -> Iterator[str]:
    for word in words:
        yield word
        name, _, value = word.partition("=")
        if "," in value:
            yield from (f"{name}={item}" for item in value.split(","))


def _implied(name: str, values: Mapping[str, Value]) -> Value | None:
    """The kernel takes ``-`` and ``_`` in a parameter's name for the same."""
    return values.get(name.replace("-", "_"), "") if name.startswith(_PREFIX) else None


PARSER = Parser(
    name="kernel command line",
    declares=(_PREFIX, "kernel.cmdline_words"),
    reads=(CAPTURE,),
    parse=_parse,
    implied=_implied,
)
