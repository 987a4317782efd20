"""The tables of names in a kernel: CPU flags, XSAVE components, HWCAPs, ISA extensions.

Each is an array of pointers to text in the kernel's source: ``x86_cap_flags`` (made by Linux
``arch/x86/kernel/cpu/mkcapflags.sh``), ``xfeature_names`` (``arch/x86/kernel/fpu/xstate.c``),
``hwcap_str`` (``arch/arm64/kernel/cpuinfo.c``), ``riscv_isa_ext``
(``arch/riscv/kernel/cpufeature.c``). It is found by its symbol, or else by how it begins.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import takewhile

from uplift.facts.kernel_image.memory import Memory

_BITS = 32
_MOST = 2048  #: entries of a table
_FLAG = re.compile(r"[a-z0-9][a-z0-9_.]{0,31}\Z")
_BUGS = frozenset(("f00f", "fdiv", "coma"))  #: x86_bug_flags may follow x86_cap_flags
_STATES = 63  #: bits of XCR0 and IA32_XSS that can mean a component
_STATE = re.compile(r"[A-Za-z][ -~]{2,63}\Z")
_AFTER_HWCAPS = "swp"  #: compat_hwcap_str may follow hwcap_str
_FIRST = {
    "x86_cap_flags": ("fpu", "vme", "de", "pse"),
    "hwcap_str": ("fp", "asimd", "evtstrm", "aes"),
}
#: ``struct riscv_isa_ext_data`` of various versions, in bytes; the name is its second word.
_RISCV_STRIDES = (48, 40, 32, 56, 64, 24)


class NoTable(Exception):
    """The image has no such table, or it is not where it should be; says which."""


def x86_flags(memory: Memory) -> list[tuple[int, int, str]]:
    """Return (word, bit, name) of every flag that /proc/cpuinfo can show.

    :raises NoTable: the table was not found.
    """
    start = _place(memory, "x86_cap_flags")
    found = []
    for index in range(_entries(memory, "x86_cap_flags", start)):
        address = memory.pointer(start + 8 * index)
        name = memory.text(address) if address else ""
        if name in _BUGS:
            break
        if address and not _FLAG.match(name):
            if "x86_cap_flags" in memory.symbols:
                raise NoTable(f"entry {index} of x86_cap_flags is no name of a flag")
            break
        if name:
            found.append((*divmod(index, _BITS), name))
    return found


def x86_words(memory: Memory) -> int:
    """Return how many words of CPU features the kernel has (NCAPINTS).

    :raises NoTable: the table was not found.
    """
    if "x86_cap_flags" not in memory.symbols:
        raise NoTable("the image lists no symbol x86_cap_flags")
    return _entries(memory, "x86_cap_flags", memory.symbols["x86_cap_flags"]) // _BITS


def xfeatures(memory: Memory) -> list[tuple[int, str]]:
    """Return (index, name) of every XSAVE state component that the kernel has a name for.

    :raises NoTable: the table was not found.
    """
    start = _place(memory, "xfeature_names")
    count = _entries(memory, "xfeature_names", start)
    texts = (memory.text(memory.pointer(start + 8 * index)) for index in range(min(count, _STATES)))
    named = [(index, text) for index, text in enumerate(texts) if _STATE.match(text)]
    if [index for index, _ in named[:3]] != [0, 1, 2]:
        raise NoTable("xfeature_names does not begin with names")
    return [(index, text) for index, text in named if not text.startswith("unknown")]


def arm64_hwcaps(memory: Memory) -> list[str]:
    """Return the words that the Features line of /proc/cpuinfo can have, in the kernel's order.

    :raises NoTable: the table was not found.
    """
    start = _place(memory, "hwcap_str")
    count = _entries(memory, "hwcap_str", start)
    found = []
    for index in range(count):
        address = memory.pointer(start + 8 * index)
        name = memory.text(address) if address else ""
        if address and (not _FLAG.match(name) or name == _AFTER_HWCAPS):
            break
        if name:
            found.append(name)
    return list(dict.fromkeys(found))


def riscv_isa(memory: Memory) -> list[str]:
    """Return the ISA extensions that the kernel knows, in its order.

    :raises NoTable: the table was not found; kernels before 6.6 have none of this form.
    """
    start = _place(memory, "riscv_isa_ext")
    count = memory.pointer(memory.symbols.get("riscv_isa_ext_count", 0))
    tables = [_riscv_names(memory, start, stride, count or _MOST) for stride in _RISCV_STRIDES]
    best = max(tables, key=len)
    if len(best) < 3 or (0 < count <= _MOST and len(best) != count):
        raise NoTable(f"riscv_isa_ext has {len(best)} names where its count is {count}")
    return list(dict.fromkeys(best))


def _riscv_names(memory: Memory, start: int, stride: int, count: int) -> list[str]:
    places = range(start + 8, start + 8 + stride * min(count, _MOST), stride)
    names = (memory.text(memory.pointer(place)) for place in places)
    return list(takewhile(_FLAG.match, names))


def _place(memory: Memory, table: str) -> int:
    """Return the address of a table: its symbol's, or that of what begins as it does."""
    if table in memory.symbols:
        return memory.symbols[table]
    if table in _FIRST:
        for address in _starts(memory, _FIRST[table]):
            return address
    what = "has no symbol table" if not memory.symbols else f"lists no symbol {table}"
    raise NoTable(f"the image {what}, and nothing in it looks like {table}")


def _starts(memory: Memory, names: Sequence[str]) -> Iterator[int]:
    for first in memory.addresses_of(names[0]):
        for place in memory.pointers_to(first):
            if all(
                memory.text(memory.pointer(place + 8 * index)) == name
                for index, name in enumerate(names)
            ):
                yield place


def _entries(memory: Memory, table: str, start: int) -> int:
    """Return how many pointers lie between a table's start and the next symbol."""
    if table not in memory.symbols:
        return _MOST
    places = memory.sorted_addresses
    after = bisect_right(places, start)
    room = (places[after] - start) // 8 if after < len(places) else _MOST
    return min(room, _MOST)
