"""Installed packages: ``package.<name>`` is a version, empty where the package is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, CaptureStatus, Parser, Reading, Value

_DPKG = "cmd:dpkg-query/packages"
_RPM = "cmd:rpm/packages"
_SNAP = "cmd:snap/list"
_WHOLE = "package_list.whole"


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for name in (_DPKG, _RPM):
        if name in captures:
            yield Reading(name, _table(captures[name]))
            return


def _table(capture: Capture) -> dict[str, Value]:
    """Read ``name, version, architecture[, variant, status]``, separated by tabs.

    Of one package for several architectures the first is taken: dpkg lists the native one so.
    """
    whole = capture.status is CaptureStatus.OK
    lines = capture.text.split("\n")
    values: dict[str, Value] = {}
    variants: set[str] = set()
    for number, line in enumerate(lines[: None if whole else -1], 1):
        row = line.split("\t")
        if len(row) < 3:
            if line.strip():
                raise ValueError(f"{capture.id}: line {number} has {len(row)} of 3 columns")
            continue
        if len(row) > 4 and "installed" not in row[4].split():
            continue
        values.setdefault(f"package.{row[0]}", row[1])
        if len(row) > 3 and row[3]:
            variants.add(row[3])
            values.setdefault(f"package_variant.{row[0]}", row[3])
    values["package_list.count"] = sum(name.startswith("package.") for name in values)
    values["package_list.variants"] = frozenset(variants)
    values[_WHOLE] = whole
    return values


def _not_installed(name: str, values: Mapping[str, Value]) -> Value | None:
    known = name.startswith(("package.", "package_variant.")) and values.get(_WHOLE) is True
    return "" if known else None


def _snaps(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    lines = captures[_SNAP].text.splitlines()
    if not lines or not lines[0].startswith("Name"):
        raise ValueError("line 1 is not the heading of snap list")
    values: dict[str, Value] = {}
    for row in (line.split() for line in lines[1:]):
        if len(row) >= 3 and "disabled" not in row[-1]:
            values[f"snap.{row[0]}"] = row[1]
    values["snap_list.names"] = frozenset(name.partition(".")[2] for name in values)
    yield Reading(_SNAP, values)


def _no_snap(name: str, values: Mapping[str, Value]) -> Value | None:
    return "" if name.startswith("snap.") and "snap_list.names" in values else None


PARSERS = (
    Parser(
        "packages",
        ("package.", "package_variant.", "package_list."),
        (_DPKG, _RPM),
        _parse,
        _not_installed,
    ),
    Parser("snaps", ("snap.", "snap_list."), (_SNAP,), _snaps, _no_snap),
)
