"""What the running kernel says of itself: release, modules, sysctls, mitigations, XSAVE state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, CaptureStatus, Parser, Reading, Value
from uplift.facts.parsers.sysfs import SysTree

_SYSCTL = "file:/proc/sys/"
_VULNERABILITIES = "tree:/sys/devices/system/cpu/vulnerabilities"
_OSRELEASE = "file:/proc/sys/kernel/osrelease"
_MAX_TEXT = 4096
#: A sosreport's commands.
_UNAME_ALL, _LSMOD, _SYSCTL_ALL = "cmd:uname/all", "cmd:lsmod/text", "cmd:sysctl/all"


def _words(capture: Capture) -> list[list[str]]:
    """Return the lines' words; a truncated capture's last line may be cut and is left out."""
    lines = capture.text.split("\n")
    if capture.status is CaptureStatus.TRUNCATED:
        lines = lines[:-1]
    return [words for words in (line.split() for line in lines) if words]


_VERSION_LINE = re.compile(r"Linux version (\S+)")


def _release(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if "probe:uname" in captures:
        yield Reading("probe:uname", dict(_uname(captures["probe:uname"])))
    elif _OSRELEASE in captures:
        yield Reading(_OSRELEASE, {"kernel.release": captures[_OSRELEASE].text.strip()})
    elif "file:/proc/version" in captures:
        text = captures["file:/proc/version"].text
        found = _VERSION_LINE.match(text)
        if not found:
            raise ValueError("line 1: it does not begin with 'Linux version'")
        values: dict[str, Value] = {"kernel.release": found[1], "kernel.version": text.strip()}
        yield Reading("file:/proc/version", values)
    elif _UNAME_ALL in captures:
        yield Reading(_UNAME_ALL, _uname_all(captures[_UNAME_ALL].text.split()))


def _uname_all(words: list[str]) -> dict[str, Value]:
    """Read ``uname -a`` of a sosreport: Linux, host, release, version …, machine three times."""
    if len(words) < 6 or words[0] != "Linux":
        raise ValueError("line 1 is not that of uname -a")
    return {"kernel.release": words[2], "kernel.machine": words[-2]}


def _uname(capture: Capture) -> Iterator[tuple[str, Value]]:
    fields = dict(line.split(" ", 1) for line in capture.text.splitlines() if " " in line)
    if "release" not in fields:
        raise ValueError("there is no line 'release …'")
    for field in ("release", "version", "machine"):
        if field in fields:
            yield f"kernel.{field}", fields[field].strip()


def _modules(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    name = "file:/proc/modules" if "file:/proc/modules" in captures else _LSMOD
    rows = _words(captures[name])
    if rows and rows[0][0] == "Module":  # lsmod's heading
        rows = rows[1:]
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or not row[1].isdigit():
            raise ValueError(f"line {number}: a module's size is missing")
    yield Reading(name, {"kernel.modules": frozenset(row[0] for row in rows)})


def _filesystems(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    names = frozenset(row[-1] for row in _words(captures["file:/proc/filesystems"]))
    if not names:
        raise ValueError("line 1: no file system is listed")
    yield Reading("file:/proc/filesystems", {"kernel.filesystems": names})


def _sysctls(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for name, capture in captures.items():
        if name == _SYSCTL_ALL:
            yield _all_sysctls(capture)
        elif capture.status is CaptureStatus.OK:
            key = name[len(_SYSCTL) :].replace("/", ".")
            value = " ".join(capture.text[:_MAX_TEXT].split())
            yield Reading(name, {f"kernel.sysctl.{key}": value})


_SETTING = re.compile(r"^([\w./-]{1,200}) = (.*)$", re.MULTILINE)


def _all_sysctls(capture: Capture) -> Reading:
    """Read ``sysctl -a`` of a sosreport."""
    found = _SETTING.findall(capture.text)
    if not found:
        raise ValueError(f"{capture.id}: no line is 'name = value'")
    return Reading(
        capture.id, {f"kernel.sysctl.{name}": " ".join(value.split()) for name, value in found}
    )


def _vulnerabilities(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    tree = SysTree.of(captures[_VULNERABILITIES])
    values: dict[str, Value] = {}
    for name in tree.names(""):
        text = tree.text(name)
        if text is not None:
            values[f"kernel.vulnerability.{name}"] = text
    yield Reading(_VULNERABILITIES, values)


_TIMESTAMP = re.compile(r"^(?:<\d+>)?\[[^]\n]{0,40}\d[.:]\d[^]\n]{0,40}\] ?(?:\[ *[TC]\d+\] ?)?")


#: As drivers/base/firmware_loader/main.c of Linux says it.
_NO_FIRMWARE = re.compile(r"Direct firmware load for (\S+) failed")


def _log(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    lines = captures["cmd:dmesg/excerpt"].text.splitlines()
    told = frozenset(_TIMESTAMP.sub("", line).strip() for line in lines if line.strip())
    missing = frozenset(
        found[1].rpartition("/")[2] for line in told if (found := _NO_FIRMWARE.search(line))
    )
    yield Reading("cmd:dmesg/excerpt", {"kernel.log": told, "kernel.firmware_missing": missing})


_XCOMP = {"supp": "supported", "perm": "permitted", "guest-supp": "guest_supported"}
_XCOMP_LINE = re.compile(r"(supp|perm|guest-supp) +(?:(0x[0-9a-fA-F]{1,16})|.*errno.*)$")


def _xcomp(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    values: dict[str, Value] = {}
    for number, line in enumerate(captures["probe:xcomp"].text.splitlines(), 1):
        found = _XCOMP_LINE.match(line)
        if not found and line.strip():
            raise ValueError(f"line {number}: {line[:60]!r} is no answer of arch_prctl")
        if found and found[2]:
            values[f"kernel.xcomp_{_XCOMP[found[1]]}"] = int(found[2], 16)
    yield Reading("probe:xcomp", values)


def _xcr0(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    text = captures["probe:xcr0"].text.strip()
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
        raise ValueError(f"{text[:60]!r} is no 64-bit register")
    yield Reading("probe:xcr0", {"kernel.xcr0": int(text, 16)})


_LOCKDOWN = "file:/sys/kernel/security/lockdown"


def _lockdown(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    found = re.search(r"\[(\w+)\]", captures[_LOCKDOWN].text)
    if not found:
        raise ValueError("no level stands in brackets")
    yield Reading(_LOCKDOWN, {"kernel.lockdown": found[1]})


PARSERS = (
    Parser(
        "kernel release",
        ("kernel.release", "kernel.version", "kernel.machine"),
        ("probe:uname", _OSRELEASE, "file:/proc/version", _UNAME_ALL),
        _release,
    ),
    Parser("kernel modules", ("kernel.modules",), ("file:/proc/modules", _LSMOD), _modules),
    Parser(
        "kernel file systems", ("kernel.filesystems",), ("file:/proc/filesystems",), _filesystems
    ),
    Parser("kernel sysctls", ("kernel.sysctl.",), (_SYSCTL_ALL, f"{_SYSCTL}*"), _sysctls),
    Parser("kernel mitigations", ("kernel.vulnerability.",), (_VULNERABILITIES,), _vulnerabilities),
    Parser(
        "kernel log",
        ("kernel.log", "kernel.firmware_missing"),
        ("cmd:dmesg/excerpt",),
        _log,
    ),
    Parser(
        "kernel state components",
        tuple(f"kernel.xcomp_{name}" for name in _XCOMP.values()),
        ("probe:xcomp",),
        _xcomp,
    ),
    Parser("extended control register", ("kernel.xcr0",), ("probe:xcr0",), _xcr0),
    Parser("kernel lockdown", ("kernel.lockdown",), (_LOCKDOWN,), _lockdown),
)
