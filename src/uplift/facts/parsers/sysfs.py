"""The notation of ``tree:`` captures, and of what sysfs writes in its small files."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Union

from uplift.facts.model import Capture

Entry = Union[str, Mapping[str, str]]

MAX_TREE = 12 << 20  #: bytes of one capture
MAX_BRACKETS = 400_000  #: a nested value costs thirty times its bytes
MAX_CPU = 1 << 16  #: numbers of CPUs and nodes below this
_MAX_HOPS = 8
_BLANK = " \t\r\n\0"  #: some recorders write a NUL where the kernel refused a read
_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class SysTree:
    """Many small files below one directory, read from one capture.

    :param entries: relative path to text, to ``{"error": …}`` or to ``{"link": target}``.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    @classmethod
    def of(cls, capture: Capture) -> SysTree:
        """Read a ``tree:`` capture.

        :raises ValueError: it is no JSON object of texts, errors and links, or too large.
        """
        data = capture.data
        if len(data) > MAX_TREE or data.count(b"{") + data.count(b"[") > MAX_BRACKETS:
            raise ValueError(f"the tree is larger than {MAX_TREE} bytes or nested too often")
        try:
            entries = json.loads(data)
        except RecursionError as error:
            raise ValueError("the tree is nested too deep") from error
        if not isinstance(entries, dict):
            raise ValueError("the tree is no JSON object")
        for name, entry in entries.items():
            if not isinstance(entry, (str, dict)):
                raise ValueError(f"entry {name[:200]!r} is neither text nor an object")
        return cls(entries)

    def text(self, path: str) -> str | None:
        """Return a file's text without blanks around it; None where it is not recorded."""
        entry = self._entries.get(path)
        if entry is None:
            entry = self._entries.get(self._followed(path))
        return entry.strip(_BLANK) if isinstance(entry, str) else None

    def number(self, path: str) -> int | None:
        """Return a file's integer, decimal or ``0x…``; None where it is not recorded.

        :raises ValueError: the file holds something else.
        """
        text = self.text(path)
        if not text:
            return None
        try:
            return int(text, 0) if text[:2].lower() == "0x" else int(text)
        except ValueError as error:
            raise ValueError(f"{path}: {text[:60]!r} is no number") from error

    def link(self, path: str) -> str:
        """Return the last name in a link's target (a driver's name); empty where there is none."""
        entry = self._entries.get(path)
        target = entry.get("link", "") if isinstance(entry, Mapping) else ""
        return target.rstrip("/").rpartition("/")[2] if isinstance(target, str) else ""

    def error(self, path: str) -> str:
        """Return why a file could not be read; empty where it could or was not tried."""
        entry = self._entries.get(path)
        found = entry.get("error", "") if isinstance(entry, Mapping) else ""
        return str(found)

    def has(self, path: str) -> bool:
        """Whether a file, a link or a directory of that name is recorded."""
        if path in self._entries or path in self._children:
            return True
        followed = self._followed(path)
        return followed in self._entries or followed in self._children

    def names(self, directory: str = "") -> list[str]:
        """Return the names recorded in a directory, sorted; links to directories are followed."""
        found = self._children.get(directory)
        if found is None:
            found = self._children.get(self._followed(directory), set())
        return sorted(found)

    def numbered(self, prefix: str, directory: str = "") -> list[int]:
        """Return n of every name ``<prefix><n>`` in a directory, in order."""
        tails = (n[len(prefix) :] for n in self.names(directory) if n.startswith(prefix))
        numbers = (
            int(tail) for tail in tails if tail.isascii() and tail.isdigit() and len(tail) < 7
        )
        return sorted(number for number in numbers if number < MAX_CPU)

    def numbered_sizes(self, prefix: str, unit: str) -> list[int]:
        """Return n of every name ``<prefix><n><unit>``, in order (``hugepages-2048kB``)."""
        names = [name for name in self.names() if name.startswith(prefix) and name.endswith(unit)]
        sizes = (name[len(prefix) : -len(unit)] for name in names)
        return sorted(int(text) for text in sizes if re.fullmatch(r"[0-9]{1,12}", text))

    @cached_property
    def _children(self) -> dict[str, set[str]]:
        children: dict[str, set[str]] = {}
        for path in self._entries:
            while path:
                parent, _, name = path.rpartition("/")
                known = children.setdefault(parent, set())
                if name in known:
                    break
                known.add(name)
                path = parent  # noqa: PLW2901 - climbing to the root
        return children

    @cached_property
    def _links(self) -> dict[str, str]:
        """The links that lead to another place in this tree."""
        found = {}
        for path, entry in self._entries.items():
            target = entry.get("link") if isinstance(entry, Mapping) else None
            if isinstance(target, str) and not target.startswith("/"):
                end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
                if not end.startswith(".."):
                    found[path] = end
        return found

    def _followed(self, path: str) -> str:
        if not self._links:
            return path
        for _ in range(_MAX_HOPS):
            start = next((start for start in _prefixes(path) if start in self._links), None)
            if start is None:
                break
            path = self._links[start] + path[len(start) :]
        return path


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, min(len(parts), 32) + 1)]


def cpu_list(text: str) -> int:
    """Read ``0-3,8`` as a mask with one bit for each CPU.

    :raises ValueError: it is no list, or a number is out of range.
    """
    mask = 0
    for part in text.replace(",", " ").split():
        first, _, last = part.partition("-")
        low, high = _cpu(first), _cpu(last or first)
        if high < low:
            raise ValueError(f"{part[:40]!r} runs backwards")
        mask |= ((1 << (high - low + 1)) - 1) << low
    return mask


def _cpu(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 6 or int(text) >= MAX_CPU:
        raise ValueError(f"{text[:40]!r} is no number of a CPU")
    return int(text)


def cpu_mask(text: str) -> int:
    """Read ``00000000,0000ff00`` as a mask with one bit for each CPU.

    :raises ValueError: it is no mask, or longer than the highest CPU needs.
    """
    digits = text.replace(",", "")
    if len(digits) * 4 > MAX_CPU:
        raise ValueError(f"a mask of {len(digits)} digits is too long")
    try:
        return int(digits, 16)
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is no mask of CPUs") from error


def listed(mask: int) -> str:
    """Write a mask as the kernel writes lists of CPUs: ``0-3,8``."""
    parts = []
    low = 0
    while mask:
        skip = (mask & -mask).bit_length() - 1
        mask >>= skip
        run = (~mask & (mask + 1)).bit_length() - 1
        low += skip
        parts.append(str(low) if run == 1 else f"{low}-{low + run - 1}")
        mask >>= run
        low += run
    return ",".join(parts)


def size(text: str) -> int:
    """Read ``32K`` or ``36864 kB`` as bytes.

    :raises ValueError: it is no size.
    """
    digits = text.strip().rstrip("iIbB ").rstrip()
    unit = digits[-1:].upper() if digits[-1:].isalpha() else ""
    number = digits[: len(digits) - len(unit)].strip()
    if unit not in _UNITS or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise ValueError(f"{text[:40]!r} is no size")
    return int(number) * _UNITS[unit]


def chosen(text: str) -> str:
    """Return the word in brackets of ``always [madvise] never``; the whole where there are none."""
    _, found, rest = text.partition("[")
    return rest.partition("]")[0] if found else text
