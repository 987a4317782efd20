"""Names of functions and data: of the file, of a detached debug file, of Go's own table.

Go's table: ``runtime/symtab.go`` and ``debug/gosym`` of Go 1.16 to 1.24 (``pclntab``).
Detached debug files: GDB manual, "Debugging Information in Separate Files".
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from uplift.isa.columns import plain
from uplift.isa.elf import Elf, Ints, SymbolTable

DEBUG_ROOT = Path("/usr/lib/debug")
FUNCTION, OBJECT, RESOLVER = 2, 1, 10  #: STT_FUNC, STT_OBJECT, STT_GNU_IFUNC
MAX_GO_FUNCTIONS = 1 << 21
_GO_MAGICS = {0xFFFFFFF0: 1, 0xFFFFFFF1: 1, 0xFFFFFFFA: 0}  #: value: a text start is in the header
_UNNAMED = ("$x", "$d", "$a", "$t", ".L")


@dataclass(frozen=True)
class Names:
    """Symbols of a file in columns, sorted by address: one for each named place.

    :param kind: as in ELF: function, object, resolver.
    :param exported: other files may use it by name.
    """

    address: Ints
    size: Ints
    kind: Ints
    exported: np.ndarray[tuple[int], np.dtype[np.bool_]]
    tables: tuple[SymbolTable | tuple[str, ...], ...]
    table: Ints
    index: Ints

    def text(self, row: int) -> str:
        """Return the name in one row."""
        table = self.tables[int(self.table[row])]
        index = int(self.index[row])
        return table[index] if isinstance(table, tuple) else table.text(index)

    def at(self, address: int) -> str:
        """Return a name of exactly this address: the exported one, or else the first."""
        low = bisect_left(self._places, address)
        high = bisect_right(self._places, address, low)
        rows: Sequence[int] = range(low, min(high, low + 16))
        if len(rows) > 1:
            rows = sorted(rows, key=lambda row: (not self.exported[row], self.size[row] == 0))
        return next((text for text in map(self.text, rows) if text), "")

    @cached_property
    def _places(self) -> memoryview:
        return plain(self.address)

    @cached_property
    def functions(self) -> Ints:
        """The rows of functions and resolvers."""
        return np.flatnonzero((self.kind == FUNCTION) | (self.kind == RESOLVER))

    @cached_property
    def objects(self) -> Ints:
        """The rows of data."""
        return np.flatnonzero(self.kind == OBJECT)

    def named(self, wanted: frozenset[bytes]) -> Iterator[tuple[str, int, int]]:
        """Yield name, address and size of symbols with one of these names."""
        for row in self._rows_named(wanted):
            yield self.text(row), int(self.address[row]), int(self.size[row])

    @cached_property
    def _found(self) -> dict[frozenset[bytes], tuple[int, ...]]:
        return {}

    def _rows_named(self, wanted: frozenset[bytes]) -> tuple[int, ...]:
        if wanted not in self._found:
            self._found[wanted] = tuple(self._search(wanted))
        return self._found[wanted]

    def _search(self, wanted: frozenset[bytes]) -> Iterator[int]:
        for number, table in enumerate(self.tables):
            if isinstance(table, tuple):
                continue
            called = table.named(wanted)
            if len(called):
                here = np.flatnonzero(self.table == number)
                yield from here[np.isin(self.index[here], called)].tolist()


def names(elf: Elf, debug: Elf | None = None) -> Names:
    """Return the names of functions and data in a file and in its debug file."""
    tables = [t for t in (elf.dynamic_symbols, elf.symbols, debug and debug.symbols) if t]
    columns = [_placed(table, elf, number) for number, table in enumerate(tables)]
    go = go_functions(elf)
    if go is not None:
        columns.append(_go_columns(go, len(tables)))
    if not columns:
        columns = [np.empty((6, 0), np.int64)]
    merged = np.concatenate(columns, axis=1)
    merged = merged[:, np.argsort(merged[0], kind="stable")]
    every: tuple[SymbolTable | tuple[str, ...], ...] = (*tables, *((go[1],) if go else ()))
    address, size, kind, exported, table, index = merged
    return Names(address, size, kind, exported.astype(np.bool_), every, table, index)


def _placed(table: SymbolTable, elf: Elf, number: int) -> Ints:
    kind = table.kind.astype(np.int64)
    usable = np.isin(kind, (0, FUNCTION, OBJECT, RESOLVER)) & (table.section != 0)
    usable &= (table.section < 0xFF00) & ((kind != 0) | (table.binding != 0))
    rows = np.flatnonzero(usable)
    exported = (table.binding != 0) & ((table.visibility == 0) | (table.visibility == 3))
    exported = exported & (table is elf.dynamic_symbols)
    return np.stack(
        [
            table.value[rows],
            table.size[rows],
            kind[rows],
            exported[rows].astype(np.int64),
            np.full(len(rows), number),
            rows,
        ]
    )


def _go_columns(go: tuple[Ints, tuple[str, ...]], number: int) -> Ints:
    start, size = go[0][:-1], np.diff(go[0])
    count = len(size)
    every = np.arange(count)
    fixed = [np.full(count, FUNCTION), np.zeros(count, np.int64), np.full(count, number)]
    return np.stack([start, size, *fixed, every])


def go_functions(elf: Elf) -> tuple[Ints, tuple[str, ...]] | None:
    """Return the starts of Go's functions with the end of the last, and their names.

    None where the file holds no such table, or one of another version or broken.
    """
    section = elf.section(".gopclntab") or elf.section(".data.rel.ro.gopclntab")
    raw = elf.content(section) if section else memoryview(b"")
    if len(raw) < 72:
        return None
    magic, _, _, pointer = struct.unpack_from("<IHBB", raw)
    if magic not in _GO_MAGICS or pointer != 8:
        return None
    count, _ = struct.unpack_from("<QQ", raw, 8)
    text = elf.section(".text")
    base = struct.unpack_from("<Q", raw, 24)[0] if _GO_MAGICS[magic] else 0
    base = base or (text.address if text and _GO_MAGICS[magic] else 0)
    at = 32 if _GO_MAGICS[magic] else 24
    names_at, _, _, _, table_at = struct.unpack_from("<5Q", raw, at)
    return _go_table(raw, count, base, (names_at, table_at), 4 if _GO_MAGICS[magic] else 8)


def _go_table(
    raw: memoryview, count: int, base: int, parts: tuple[int, int], width: int
) -> tuple[Ints, tuple[str, ...]] | None:
    names_at, table_at = parts
    if count > MAX_GO_FUNCTIONS or table_at + (2 * count + 1) * width > len(raw):
        return None
    table = np.frombuffer(raw[table_at:], f"<i{width}", 2 * count + 1).astype(np.int64)
    starts = table[::2] + base
    if (np.diff(starts) < 0).any():
        return None
    blob = bytes(raw[names_at:table_at])
    found = []
    for offset in (table[1::2] + table_at).tolist():
        place = offset + (4 if width == 4 else 8)
        name = struct.unpack_from("<i", raw, place)[0] if 0 <= place <= len(raw) - 4 else -1
        end = blob.find(b"\0", max(name, 0))
        found.append(blob[name:end].decode("utf-8", "backslashreplace") if 0 <= name < end else "")
    return starts, tuple(found)


def debug_path(build_id: str, root: Path = DEBUG_ROOT) -> Path:
    """Return where the detached debug file of a build id is kept."""
    return root / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
