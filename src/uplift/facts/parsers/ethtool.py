"""Network offloads, as ``ethtool -k`` lists them: ``net.offload.eth0.hw-tc-offload``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_PREFIX = "cmd:ethtool/"
_FEATURE = re.compile(r"^[ \t]*([\w-]+): (on|off)( \[.*\])?$", re.MULTILINE)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for name, capture in captures.items():
        interface = name[len(_PREFIX) :]
        features = _FEATURE.findall(capture.text)
        if not features:
            raise ValueError(f"{name}: no line is 'feature: on' or 'feature: off'")
        values: dict[str, Value] = {
            f"net.offload.{interface}.{feature}": state for feature, state, _ in features
        }
        able = (f for f, state, fixed in features if state == "on" or "fixed" not in fixed)
        values[f"net.offloads.{interface}"] = frozenset(able)
        yield Reading(name, values)
    yield from _of_any(captures)


def _of_any(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """What at least one interface does, and what at least one could be told to do."""
    found = [_FEATURE.findall(capture.text) for capture in captures.values()]
    every = [row for rows in found for row in rows]
    on = frozenset(feature for feature, state, _ in every if state == "on")
    able = frozenset(f for f, state, fixed in every if state == "on" or "fixed" not in fixed)
    values: dict[str, Value] = {"net.offloads_on": on, "net.offloads_able": able}
    yield Reading(next(iter(captures)), values)


PARSER = Parser(
    name="ethtool",
    declares=("net.offload.", "net.offloads.", "net.offloads_on", "net.offloads_able"),
    reads=(f"{_PREFIX}*",),
    parse=_parse,
)
