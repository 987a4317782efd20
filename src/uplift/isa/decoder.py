"""Count, follow and search code: natively where the extension was built, else with NumPy.

Addresses are int64 arrays; results are packed little-endian records, whose layouts
:mod:`uplift.isa.range_rows` names. ``arch`` is "x86-64", "aarch64" or "riscv64". Class numbers are
those of ``data/*-classes.csv``; class 0 is the architecture's base set. Any bytes are decoded.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import Any, cast

import numpy as np

from uplift.errors import UpliftError
from uplift.isa.range_rows import Buffer, Ints

#: The modules that decode without the extension.
FALLBACKS = {
    "x86-64": "uplift.isa.x86_fallback",
    "aarch64": "uplift.isa.aarch64_fallback",
    "riscv64": "uplift.isa.riscv_fallback",
}


def _data_crc() -> int:
    """What the classes' lists add up to: a module built for other lists is not used."""
    crc = 0
    data = files("uplift.isa") / "data"
    for path in sorted(data.iterdir(), key=lambda path: path.name):
        if path.name.endswith("-classes.csv"):
            crc = zlib.crc32(path.read_bytes(), crc)
    return crc


def _native() -> Any:
    try:
        module = import_module("uplift.isa._decode")
    except ImportError:
        return None
    return module if module.data_crc == _data_crc() else None


_decode = _native()
#: "native" or "fallback".
engine = "native" if _decode else "fallback"


@cache
def _fallback(arch: str) -> ModuleType:
    if arch not in FALLBACKS:
        known = ", ".join(FALLBACKS)
        raise UpliftError(f"cannot decode {arch} code", "no decoder knows it", f"use {known}")
    return import_module(FALLBACKS[arch])


def _addresses(array: Ints) -> Ints:
    return np.ascontiguousarray(array, np.int64)


def classify(
    arch: str, data: Buffer, base: int, starts: Ints, ends: Ints
) -> tuple[bytes, bytes, int]:
    """Decode each range in a row and count its classes.

    :param data: code; its first byte is at address ``base``.
    :param starts: addresses of the ranges' first bytes; ``ends``: behind the last ones.
    :return: ROW records, one per range and class beyond the base set; BAD_ROW records, one per
        range with bytes that are no instruction; how many instructions were decoded.
    :raises UpliftError: no decoder knows ``arch``.
    """
    bounds = _addresses(starts), _addresses(ends)
    if _decode and arch in FALLBACKS:
        return cast("tuple[bytes, bytes, int]", _decode.classify(arch, data, base, *bounds))
    return cast("tuple[bytes, bytes, int]", _fallback(arch).classify(data, base, *bounds))


def walk(
    arch: str, data: Buffer, base: int, seeds: Ints, covered_starts: Ints, covered_ends: Ints
) -> tuple[bytes, bytes, bytes]:
    """Follow code from ``seeds`` into what no covered range holds.

    A path that reaches bytes that are no instruction is dropped whole.

    :return: ROW records, whose range is an index into the second; EXTENT records; int64 addresses
        outside that calls, jumps and taken addresses lead to.
    :raises UpliftError: no decoder knows ``arch``.
    """
    places = _addresses(seeds), _addresses(covered_starts), _addresses(covered_ends)
    if _decode and arch in FALLBACKS:
        return cast("tuple[bytes, bytes, bytes]", _decode.walk(arch, data, base, *places))
    return cast("tuple[bytes, bytes, bytes]", _fallback(arch).walk(data, base, *places))


def references(arch: str, data: Buffer, base: int, starts: Ints, ends: Ints) -> bytes:
    """Find what refers to a fixed address.

    :return: REFERENCE records, by range and place; their kinds are named in
        :mod:`uplift.isa.range_rows`.
    :raises UpliftError: no decoder knows ``arch``.
    """
    bounds = _addresses(starts), _addresses(ends)
    if _decode and arch in FALLBACKS:
        return cast(bytes, _decode.references(arch, data, base, *bounds))
    return cast(bytes, _fallback(arch).references(data, base, *bounds))


def lengths(arch: str, data: Buffer) -> bytes:
    """Return the length of each instruction from the first byte on; 0 where there is none.

    Behind a 0 decoding goes on one byte (x86-64), half-word (riscv64) or word (aarch64) further.

    :raises UpliftError: no decoder knows ``arch``.
    """
    if _decode and arch in FALLBACKS:
        return cast(bytes, _decode.lengths(arch, data))
    return cast(bytes, _fallback(arch).lengths(data))
