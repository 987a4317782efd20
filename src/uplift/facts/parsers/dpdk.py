"""DPDK: the version that is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading

_TRIPLETS = ("x86_64", "aarch64", "riscv64", "powerpc64le", "s390x")
_READS = (
    "cmd:dpdk/version",
    *(f"file:/usr/lib/{arch}-linux-gnu/pkgconfig/libdpdk.pc" for arch in _TRIPLETS),
)
_VERSION = re.compile(r"(?:DPDK[: ]+|^Version: )v?(\d{1,2}\.\d{1,2}(?:\.\d+)*)", re.MULTILINE)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for name, capture in captures.items():
        found = _VERSION.search(capture.text)
        if not found:
            raise ValueError(f"{name}: no line states DPDK's version")
        yield Reading(name, {"dpdk.version": found[1]})
        return


PARSER = Parser("dpdk", ("dpdk.version",), _READS, _parse)
