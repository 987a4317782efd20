"""What KVM's modules are loaded with by default, as derived from Linux's sources."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from uplift.catalog.since import Since


@dataclass(frozen=True)
class DefaultParameter:
    """A default of one parameter, from one version of Linux on.

    :param default: as ``/sys/module`` shows it; ``zen4``: on where CPUID has x2AVIC on Zen 4 and
        later, off elsewhere.
    :param bit: ``cpuid.8000000a.0.edx.0``, without which the module switches it off; or empty.
    """

    since: Since
    default: str
    bit: str


@lru_cache(maxsize=1)
def load_kvm_parameters() -> Mapping[str, tuple[DefaultParameter, ...]]:
    """Return ``kvm_intel.ept`` and the like to their defaults, the newest first."""
    text = files("uplift.catalog").joinpath("data/kvm-parameters.csv").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    found: dict[str, tuple[DefaultParameter, ...]] = {}
    for row in csv.DictReader(lines):
        name = f"{row['module']}.{row['parameter']}"
        since = Since(row["without"], row["version"])
        found[name] = (DefaultParameter(since, row["default"], row["bit"]), *found.get(name, ()))
    return found
