"""What a file's memory holds where features decide it: known variables, words it fills itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from uplift.isa.feature_words import KNOWN, Features, bits
from uplift.isa.program import Program
from uplift.isa.values import ALL, POINTERS, Value, join, known

_PASSED_WORDS = 40  #: bytes behind an address given to a function that asks CPUID


class Words:
    """The file's memory as far as features decide what it holds, byte by byte."""

    def __init__(self, program: Program, features: Features) -> None:
        self.program, self.features = program, features
        self.bytes: dict[int, Value] = {}
        self.opaque: dict[int, str] = {}  #: bytes that something set from CPUID
        self._spoilt: set[int] = set()

    def load(self, address: int, size: int) -> Value | None:
        for name, start, length in self.program.variables:
            if start <= address < start + length:
                return named_word(name, address - start, size, self.features)
        clear = ones = 0
        sources: frozenset[str] = frozenset()
        for index in range(min(size, 8)):
            place = address + index
            if place in self.opaque:
                value: Value | None = self._opaque(place)
            else:
                value = self.bytes.get(place)
            if value is None:
                continue
            clear |= (value[0] & 0xFF) << 8 * index
            ones |= (value[1] & 0xFF) << 8 * index
            sources |= value[2]
        if not sources:
            return None
        beyond = ALL << 8 * size & ALL if size < 8 else 0
        return (clear | beyond, ones, sources)

    def _opaque(self, place: int) -> Value:
        """Return what a byte holds of which only is known that CPUID decides it: not what."""
        return (0, 0, frozenset({self.opaque[place]}))

    def spoil(self, address: int, size: int = 16) -> None:
        for place in range(address, address + size):
            self._spoilt.add(place)
            if self.bytes.pop(place, None):
                self.opaque.setdefault(place, f"a word at {address:#x} that CPUID decides, or not")

    def passed(self, addresses: Iterable[int], opaque: dict[int, str]) -> None:
        for address in addresses:
            if self.program.is_writable(address):
                label = f"words at {address:#x} that CPUID fills"
                for place in range(address, address + _PASSED_WORDS):
                    opaque.setdefault(place, label)

    def note(
        self,
        written: dict[int, list[Value | None]],
        opaque: dict[int, str],
        address: int,
        store: tuple[Value | None, int],
        asks: bool,
    ) -> None:
        value, size = store
        unknown = value is None or value[0] in POINTERS
        for index in range(size):
            part = None
            if not unknown and value is not None and index < 8:
                part = (value[0] >> 8 * index & 0xFF, value[1] >> 8 * index & 0xFF, value[2])
            blurred = part is not None and part[2] and not part[0] and not part[1]
            if (unknown and asks) or blurred:
                opaque.setdefault(address + index, f"a word at {address:#x} set from CPUID")
            else:
                written.setdefault(address + index, []).append(part)

    def _byte(self, address: int, stored: list[Value | None]) -> Value | None:
        raw = self.program.places.elf.at(address, 1)
        first = raw[0] if len(raw) else 0
        value: Value | None = (~first & 0xFF, first, frozenset())
        for each in stored:
            value = join(value, each)
            if value is None:
                return None
        return value

    def settle(
        self, written: Mapping[int, list[Value | None]], decided: Mapping[int, frozenset[str]]
    ) -> None:
        """Widen each word by what is stored there.

        A new one is first taken for what the file holds: who reads it to change it is followed
        again with that, until nothing is added.
        """
        for address in written.keys() | decided.keys():
            stored = written.get(address, [])
            sources = decided.get(address, frozenset()).union(*(v[2] for v in stored if v))
            if address in self._spoilt or not sources:
                continue
            new = address not in self.bytes
            value = self._byte(address, [] if new else stored)
            if value is None or not (value[0] | value[1]) & 0xFF:
                self.bytes.setdefault(address, (0, 0, sources))
                self.spoil(address, 1)
            else:
                self.bytes[address] = (value[0], value[1], value[2] | sources)


def named_word(name: str, offset: int, size: int, features: Features) -> Value:
    """Return what a machine of ``features`` finds in a variable of a known name."""
    sources = frozenset({name})
    if name not in KNOWN:
        return known(0, sources)
    clear, ones = 0, 0
    for at in range(offset & ~3, offset + size, 4):
        word = bits(name, at, features)
        shift = 8 * (at - offset)
        clear |= word[0] << shift if shift >= 0 else word[0] >> -shift
        ones |= word[1] << shift if shift >= 0 else word[1] >> -shift
    mask = (1 << 8 * size) - 1
    return (clear & mask | ~mask & ALL, ones & mask, sources)
