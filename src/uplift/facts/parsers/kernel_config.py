"""How the kernel was built: ``kernel.config.CONFIG_X``, ``n`` where the file leaves it out."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, CaptureStatus, Parser, Reading, Value

RUNNING = "file:/proc/config.gz"
MAX_BYTES = 16 << 20  #: unpacked; a distribution's configuration is 300 KB

_PREFIX = "kernel.config."
_OPTION = re.compile(r"^(CONFIG_\w+)=(.*)$", re.MULTILINE | re.ASCII)
_BROKEN = re.compile(r"^(?!CONFIG_\w+=|#|[ \t\r]*$)", re.MULTILINE | re.ASCII)
_HEADING = re.compile(r"^# Linux/\S+ (\S+) Kernel Configuration", re.MULTILINE)
_WHOLE = "kernel.config_whole"


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    chosen = _choose(captures)
    if chosen is None:
        return
    text, whole = text_of(chosen)
    values: dict[str, Value] = dict(_options(text, whole))
    heading = _HEADING.search(text[:1000])
    if heading:
        values["kernel.config_release"] = heading[1]
    values[_WHOLE] = whole
    yield Reading(chosen.id, values)


def _choose(captures: Mapping[str, Capture]) -> Capture | None:
    """Prefer what the running kernel says of itself over files that merely lie there."""
    if RUNNING in captures:
        return captures[RUNNING]
    files = [name for name in captures if name.startswith("file:/boot/config-")]
    files += [name for name in captures if name.endswith(("/config", "/.config"))]
    return captures[files[0]] if files else None


def text_of(capture: Capture) -> tuple[str, bool]:
    """Return the configuration, and whether it is all of it."""
    whole = capture.status is CaptureStatus.OK
    if not capture.data.startswith(b"\x1f\x8b"):
        return capture.text, whole
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(capture.data, MAX_BYTES)
    except zlib.error as error:
        raise ValueError(f"it is no gzip file: {error}") from error
    if len(data) == MAX_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
    if whole and not unpacker.eof:
        raise ValueError(f"the gzip file ends after {len(data)} unpacked bytes without its trailer")
    return data.decode("utf-8", "replace"), whole


def _options(text: str, whole: bool) -> Iterator[tuple[str, Value]]:
    broken = _BROKEN.search(text)
    if broken and whole:
        line = text.count("\n", 0, broken.start()) + 1
        raise ValueError(f"line {line}: neither CONFIG_…= nor a comment")
    found = _OPTION.findall(text)
    if not found:
        raise ValueError("line 1: there is no line CONFIG_…=")
    for name, value in found if whole else found[:-1]:
        yield _PREFIX + name, value.strip('"')


def _implied(name: str, values: Mapping[str, Value]) -> Value | None:
    return "n" if name.startswith(_PREFIX) and values.get(_WHOLE) is True else None


PARSER = Parser(
    name="kernel configuration",
    declares=(_PREFIX, "kernel.config_release", _WHOLE),
    reads=(RUNNING, "file:/boot/config-*", "file:/lib/modules/*"),
    parse=_parse,
    implied=_implied,
)
