"""A report of Arm's ``sysreport``, as text.

The report is kept whole. What it lists in full in another notation becomes the capture that a
parser knows: ``--config`` a kernel's config, ``--vulnerabilities`` the files of sysfs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from uplift.errors import RecordingError
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers import arm_sysreport
from uplift.facts.parsers.arm_sysreport import Report

NAME = "arm-sysreport"


def recognises(name: str, head: bytes) -> bool:
    """Whether a file begins as such a report does."""
    return arm_sysreport.HEADING.encode() in head


def load(name: str, data: bytes) -> Snapshot:
    """Turn a report into captures.

    :raises RecordingError: it is broken.
    """
    try:
        report = arm_sysreport.read(data.decode("utf-8", "replace"))
    except ValueError as error:
        raise RecordingError(
            f"cannot read {name}", str(error), "run sysreport.py again and keep its whole output"
        ) from error
    found = {capture.id: capture for capture in _captures(report, data)}
    collected = re.match(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)", report.fields.get("collected", ""))
    return Snapshot(
        found,
        origin=f"{NAME} {name}",
        collected_at=f"{collected[1]}T{collected[2]}" if collected else "",
        arch=arm_sysreport.arch_of(report),
    )


def _captures(report: Report, data: bytes) -> Iterator[Capture]:
    yield Capture(arm_sysreport.CAPTURE, CaptureStatus.OK, data, how="sysreport.py")
    release = report.fields.get("kernel", "")
    if re.fullmatch(r"\d[\w.+~-]{1,80}", release):
        yield _taken(
            "probe:uname",
            f"sysname Linux\nrelease {release}\nmachine {arm_sysreport.arch_of(report)}\n",
            "field Kernel, which leaves out what follows the first hyphen",
        )
    if report.config:
        lines = (f"{name}={value}\n" for name, value in report.config.items() if value != "n")
        yield _taken(f"file:/boot/config-{release or 'unknown'}", "".join(lines), "--config")
    if report.vulnerabilities:
        data_of_tree = json.dumps(report.vulnerabilities, sort_keys=True)
        yield _taken(
            "tree:/sys/devices/system/cpu/vulnerabilities", data_of_tree, "--vulnerabilities"
        )


def _taken(capture: str, text: str, where: str) -> Capture:
    return Capture(capture, CaptureStatus.OK, text.encode(), how=f"sysreport.py: {where}")
