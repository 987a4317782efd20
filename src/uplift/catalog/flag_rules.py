"""What Linux makes of CPUID before it reports a flag: rules and dependencies, as data."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class FlagRule:
    """How a flag of ``/proc/cpuinfo`` comes about beyond the CPUID bit of its name.

    :param bits: one of these (``cpuid.7.0.ecx.7``) is enough; empty: the one of the same name.
    :param bits_vendor: where ``bits`` counts; elsewhere the bit of the same name does.
    :param config: options that must be set; the kernel masks the flag without them.
    :param config_from: the first version that asks for them; ``config_until``: the first that no
        longer does.
    :param needs: flags without which it is not reported.
    :param before: below this version it is off unless somebody switches it on.
    :param vendor: CPUID's vendor string, empty for all.
    :param always: reported whatever CPUID says.
    :param off: why it is never reported; empty where it is.
    :param open: why nobody can tell; ``models`` (``family``) and ``open_vendor`` limit that,
        ``unless_config`` settles it.
    :param unset_open: why it may be reported although its bit is not set.
    :param off_config: with this option the kernel switches it off on ``off_models``
        (``family:model``, decimal); with ``on_config`` it leaves it on there.
    :param clears_cpuid: switching it off clears its CPUID bit, so that nobody above sees it.
    """

    flag: str
    bits: tuple[str, ...] = ()
    bits_vendor: str = ""
    config: tuple[str, ...] = ()
    config_from: str = ""
    config_until: str = ""
    needs: tuple[str, ...] = ()
    before: str = ""
    vendor: str = ""
    always: bool = False
    off: str = ""
    open: str = ""
    models: tuple[str, ...] = ()
    open_vendor: str = ""
    unless_config: str = ""
    unset_open: str = ""
    off_config: str = ""
    on_config: str = ""
    off_models: tuple[str, ...] = ()
    clears_cpuid: bool = False


@dataclass(frozen=True)
class FlagRules:
    """Every rule by flag, and what each flag depends on.

    :param source: where the rules were read.
    """

    rules: Mapping[str, FlagRule]
    needs: Mapping[str, tuple[str, ...]]
    source: str


@cache
def load_flag_rules() -> FlagRules:
    """Return the shipped rules for x86."""
    data = files("uplift.catalog").joinpath("data")
    table = tomllib.loads(data.joinpath("linux-x86-flags.toml").read_text("utf-8"))
    rules = (_rule(entry) for entry in table["rule"])
    lines = data.joinpath("linux-x86-dependencies.csv").read_text("utf-8").splitlines()
    needs: dict[str, tuple[str, ...]] = {}
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        needs[row["flag"]] = (*needs.get(row["flag"], ()), row["needs"])
    return FlagRules({rule.flag: rule for rule in rules}, needs, table["source"]["derived"])


def _rule(entry: Mapping[str, object]) -> FlagRule:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return FlagRule(**values)  # type: ignore[arg-type]
