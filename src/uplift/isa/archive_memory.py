"""Keep a worker's memory flat: what audits left behind is given back to the system.

An audit's arrays hang in cycles that Python's collector counts as few objects, however large they
are, and what is freed stays with the C library. Both would let a worker grow with every package.
"""

from __future__ import annotations

import ctypes
import gc
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

_FILES = 2048  #: whose audit a process keeps, for packages that hold the same
_ROWS = 100_000  #: that these may have in all: about 100 MB
_Kept = TypeVar("_Kept")
_EVERY = 16 << 20  #: bytes of audited files; a collection after each costs about 2 % of the audit


class Debris:
    """Counts what was audited, and clears up after so much of it."""

    def __init__(self, every: int = _EVERY) -> None:
        self._every, self._audited = every, 0
        trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only the GNU C library has it
        self._trim = trim or (lambda _: 0)

    def add(self, size: int) -> bool:
        """Count ``size`` bytes of files as audited; say whether it was time to clear up."""
        self._audited += size
        if self._audited < self._every:
            return False
        self._audited = 0
        gc.collect()
        self._trim(0)
        return True


class Remembered(Generic[_Kept]):
    """The last answers by digest, so few of them and of their rows that memory holds them.

    :param rows: says how many rows an answer has.
    """

    def __init__(
        self, rows: Callable[[_Kept], int], files: int = _FILES, most: int = _ROWS
    ) -> None:
        self._rows_of, self._files, self._most = rows, files, most
        self._known: OrderedDict[str, _Kept] = OrderedDict()
        self._rows = 0

    def get(self, identity: str) -> _Kept | None:
        """Return the answer, if it is still there; it is the last to go now."""
        if identity in self._known:
            self._known.move_to_end(identity)
        return self._known.get(identity)

    def add(self, identity: str, answer: _Kept) -> None:
        """Keep an answer that is not there yet, and let the oldest go where there are too many."""
        self._known[identity] = answer
        self._rows += self._rows_of(answer)
        while len(self._known) > self._files or self._rows > self._most:
            _, gone = self._known.popitem(last=False)
            self._rows -= self._rows_of(gone)
