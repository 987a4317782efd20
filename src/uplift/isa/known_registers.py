"""What is known of the integer registers while code is read in the order of its addresses.

The rules of the native decoder's ``registers.h``, for the fallbacks.
"""

from __future__ import annotations

from collections.abc import Iterable

from uplift.isa.range_rows import FLAG_TEST

MASK = (1 << 64) - 1


def signed(value: int, bits: int = 64) -> int:
    """``value`` as a two's complement number of ``bits`` bits."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


class Reader:
    """References found in one range, and what its registers hold."""

    def __init__(self) -> None:
        self.found: list[tuple[int, int, int]] = []
        self.value: dict[int, int] = {}  #: register → the address it holds
        self.source: dict[int, int] = {}  #: register → the address it was loaded from

    def emit(self, kind: int, at: int, target: int = 0) -> None:
        """Take one reference."""
        self.found.append((kind, at, signed(target)))

    def forget(self, register: int) -> None:
        """The register holds something else."""
        self.value.pop(register, None)
        self.source.pop(register, None)

    def forget_all(self, registers: Iterable[int]) -> None:
        """The registers hold something else."""
        for register in registers:
            self.forget(register)

    def set_value(self, register: int, value: int) -> None:
        """The register holds an address."""
        self.forget(register)
        self.value[register] = signed(value)

    def set_source(self, register: int, source: int) -> None:
        """The register was loaded from an address."""
        self.forget(register)
        self.source[register] = signed(source)

    def copy(self, to: int, origin: int) -> None:
        """Register ``to`` is a copy."""
        value, source = self.value.get(origin), self.source.get(origin)
        self.forget(to)
        if value is not None:
            self.value[to] = value
        elif source is not None:
            self.source[to] = source

    def keep_source(self, to: int, origin: int) -> None:
        """Register ``to`` is a part of what was loaded: a bit of it is tested later."""
        source = self.source.get(origin)
        self.forget(to)
        if source is not None:
            self.source[to] = source

    def test(self, register: int, at: int) -> None:
        """A flag is tested if the register was loaded from an address."""
        if register in self.source:
            self.emit(FLAG_TEST, at, self.source[register])
