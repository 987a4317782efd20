"""Open vSwitch and OVN: versions, configuration, and the implementations the datapath chose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.qemu import read_json

_CONFIG = "cmd:ovs-vsctl/show-config"
_LIST = "cmd:ovs-vsctl/list"  #: the same table as a sosreport keeps it, for people
_IMPLEMENTATIONS = "cmd:ovs-appctl/impl"
_GLOBAL = "cmd:ovn-nbctl/global"
_OVS_VERSIONS = ("cmd:ovs-vswitchd/version", "cmd:ovs-vsctl/version")
_OVN_VERSIONS = ("cmd:ovn-controller/version", "cmd:ovn-nbctl/version")
_VERSION = re.compile(r"(?:\(Open vSwitch\)|^ovn-\w+) (\d+\.\d+(?:\.\d+)*)", re.MULTILINE)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    yield from _versions(captures, _OVS_VERSIONS, "ovs.version")
    if _CONFIG in captures:
        yield Reading(_CONFIG, dict(_config(_row(captures[_CONFIG]))))
    elif _LIST in captures:
        yield Reading(_LIST, dict(_listed(captures[_LIST].text)))
    if _IMPLEMENTATIONS in captures:
        values = dict(_implementations(captures[_IMPLEMENTATIONS].text))
        yield Reading(_IMPLEMENTATIONS, values)


def _parse_ovn(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    yield from _versions(captures, _OVN_VERSIONS, "ovn.version")
    if _GLOBAL in captures:
        row = _row(captures[_GLOBAL])
        options = row.get("options", {})
        values: dict[str, Value] = {}
        if isinstance(options, Mapping):
            values = {f"ovn.option.{name}": text for name, text in options.items()}
        if isinstance(row.get("ipsec"), bool):
            values["ovn.ipsec"] = bool(row["ipsec"])
        yield Reading(_GLOBAL, values)


def _versions(
    captures: Mapping[str, Capture], names: tuple[str, ...], fact: str
) -> Iterator[Reading]:
    """Read what the daemon says, or else the tool beside it."""
    name = next((name for name in names if name in captures), None)
    if name is not None:
        found = _VERSION.search(captures[name].text)
        if not found:
            raise ValueError(f"{name}: line 1 states no version")
        yield Reading(name, {fact: found[1]})


def _row(capture: Capture) -> dict[str, object]:
    """Read the one row of ``ovs-vsctl --format=json list`` (RFC 7047's sets and maps)."""
    table = read_json(capture.data)
    if not isinstance(table, dict) or not isinstance(table.get("headings"), list):
        raise ValueError(f"{capture.id}: it is no table of OVSDB")
    rows = table.get("data")
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], list):
        raise ValueError(f"{capture.id}: the table has no row")
    return {
        str(name): _plain(value) for name, value in zip(table["headings"], rows[0], strict=False)
    }


def _plain(value: object) -> object:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], list):
        if value[0] == "map":
            pairs = (pair for pair in value[1] if isinstance(pair, list) and len(pair) == 2)
            return {str(name): str(text) for name, text in pairs}
        if value[0] == "set":
            return frozenset(str(item) for item in value[1])
    return value


def _config(row: Mapping[str, object]) -> Iterator[tuple[str, Value]]:
    if isinstance(row.get("ovs_version"), str):
        yield "ovs.database_version", str(row["ovs_version"])
    if isinstance(row.get("dpdk_initialized"), bool):
        yield "ovs.dpdk_initialized", bool(row["dpdk_initialized"])
    for column in ("datapath_types", "iface_types"):
        words = row.get(column)
        if isinstance(words, frozenset):
            yield f"ovs.{column}", words
    if isinstance(row.get("dpdk_version"), str):
        yield "ovs.dpdk_version", str(row["dpdk_version"])
    config = row.get("other_config")
    if isinstance(config, Mapping):
        yield "ovs.config_keys", frozenset(config)
        for name, text in config.items():
            yield f"ovs.config.{name}", str(text)


_COLUMN = re.compile(r"^(ovs_version|dpdk_version|dpdk_initialized|other_config) *: (.*)$", re.M)
_PAIR = re.compile(r'([\w-]{1,80})="?([^",}]{0,200})"?')


def _listed(text: str) -> Iterator[tuple[str, Value]]:
    columns = dict(_COLUMN.findall(text))
    if not columns:
        raise ValueError(f"{_LIST}: no line tells a column of Open_vSwitch")
    row: dict[str, object] = {name: value.strip().strip('"') for name, value in columns.items()}
    row["other_config"] = dict(_PAIR.findall(columns.get("other_config", "")))
    row["dpdk_initialized"] = columns.get("dpdk_initialized", "").strip() == "true"
    yield from _config(row)


_QUESTIONS = {
    "dpif-netdev/dpif-impl-get": "dpif",
    "dpif-netdev/miniflow-parser-get": "miniflow",
    "dpif-netdev/subtable-lookup-info-get": "lookup",
    "dpif-netdev/subtable-lookup-prio-get": "lookup",
    "odp-execute/action-impl-show": "actions",
}
#: ``  avx512_vbmi (available: True)``, ``  dpif_avx512 (pmds: 0,1)``, ``avx512 (Use count: 2, …``
_ROW = re.compile(r"^ +(\w+)\b[^\n(]*\((.*)\)", re.MULTILINE)
_IN_USE = re.compile(r"pmds: *\d|Use count: *[1-9]|Active: *[Tt]rue|active: *[Yy]es")
_FEATURE = re.compile(r"^([^:\n]+): +(\S+)$", re.MULTILINE)


def _implementations(text: str) -> Iterator[tuple[str, Value]]:
    """Read the answers of ``ovs-appctl``, each below a line ``== question``."""
    if not text.startswith("== "):
        raise ValueError(f"{_IMPLEMENTATIONS}: line 1 is no question")
    for part in text.split("== ")[1:]:
        question, _, answer = part.partition("\n")
        kind = _QUESTIONS.get(question.strip())
        if kind:
            rows = _ROW.findall(answer)
            offered = (name for name, state in rows if "vailable: False" not in state)
            yield f"ovs.{kind}", frozenset(offered)
            used = (name for name, state in rows if _IN_USE.search(state))
            yield f"ovs.{kind}_used", frozenset(used)
        elif question.strip() == "dpif/show-dp-features":
            for name, state in _FEATURE.findall(answer):
                yield f"ovs.datapath.{name.strip().lower().replace(' ', '_')}", state


def _unset(name: str, values: Mapping[str, Value]) -> Value | None:
    """A key that ``other_config`` does not hold is one that nobody set."""
    return "" if name.startswith("ovs.config.") and "ovs.config_keys" in values else None


PARSERS = (
    Parser("ovs", ("ovs.",), (*_OVS_VERSIONS, _CONFIG, _LIST, _IMPLEMENTATIONS), _parse, _unset),
    Parser("ovn", ("ovn.",), (*_OVN_VERSIONS, _GLOBAL), _parse_ovn),
)
