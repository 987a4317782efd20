"""Performance monitoring units that the kernel registered: their sysfs names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from uplift.facts.model import Capture, Parser, Reading

_DEVICES = "list:/sys/bus/event_source/devices"


def parse(captures: Mapping[str, Capture]) -> Iterable[Reading]:
    """Return ``perf.pmus``: ``cpu``, ``arm_spe_0``, and each name without its number."""
    names = set(captures[_DEVICES].text.split())
    kinds = {name.rstrip("0123456789").rstrip("_") for name in names}
    return [Reading(_DEVICES, {"perf.pmus": frozenset(names | kinds)})]


PARSER = Parser("perf", ("perf.pmus",), (_DEVICES,), parse)
