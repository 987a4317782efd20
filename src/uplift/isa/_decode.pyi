"""The native decoder; see :mod:`uplift.isa.decoder`."""

from typing_extensions import Buffer

data_crc: int

def classify(
    arch: str, data: Buffer, base: int, starts: Buffer, ends: Buffer, /
) -> tuple[bytes, bytes, int]: ...
def walk(
    arch: str,
    data: Buffer,
    base: int,
    seeds: Buffer,
    covered_starts: Buffer,
    covered_ends: Buffer,
    /,
) -> tuple[bytes, bytes, bytes]: ...
def references(arch: str, data: Buffer, base: int, starts: Buffer, ends: Buffer, /) -> bytes: ...
def lengths(arch: str, data: Buffer, /) -> bytes: ...
