"""LZO1X blocks: the standard library has no LZO.

The format is that of Linux ``Documentation/staging/lzo.rst``.
"""

from __future__ import annotations

from uplift.facts.kernel_image.lz4 import repeat

_AFTER_RUN = 4  #: the instruction before was a run of literals


def unpack_block(data: bytes, limit: int) -> bytes:
    """Unpack one block, up to its end mark.

    :raises ValueError: it is broken, or unpacks to more than ``limit`` bytes.
    """
    block = _Block(data, limit)
    try:
        block.run()
    except IndexError:
        raise ValueError(f"byte {block.at}: the LZO block is cut off") from None
    return bytes(block.out)


class _Block:
    """One block on its way: what is unpacked, and what the last instruction left behind."""

    def __init__(self, data: bytes, limit: int) -> None:
        self.data, self.limit = data, limit
        self.at, self.state = 0, 0
        self.out = bytearray()

    def run(self) -> None:
        """Unpack to the end mark."""
        if self.data[0] > 17:
            self.at = 1
            count = self.data[0] - 17
            self._literals(count)
            self.state = count if count < 4 else _AFTER_RUN
        while self._step():
            pass

    def _step(self) -> bool:
        word = self._byte()
        if word < 16 and self.state == 0:
            self._literals(self._length(word, 15) + 3)
            self.state = _AFTER_RUN
            return True
        length, distance, literals = self._match(word)
        if distance == 0:
            return False
        repeat(self.out, distance, length)
        self._literals(literals)
        self.state = literals
        return True

    def _match(self, word: int) -> tuple[int, int, int]:
        """Return length, distance and the count of literals behind; distance 0 ends the block."""
        if word >= 64:
            return (word >> 5) + 1, (word >> 2 & 7) + (self._byte() << 3) + 1, word & 3
        if word >= 32:
            length = self._length(word & 31, 31) + 2
            pair = self._byte() | self._byte() << 8
            return length, (pair >> 2) + 1, pair & 3
        if word >= 16:
            length = self._length(word & 7, 7) + 2
            pair = self._byte() | self._byte() << 8
            far = ((word & 8) << 11) + (pair >> 2)
            return length, far + 16384 if far else 0, pair & 3
        near = (word >> 2) + (self._byte() << 2)
        after_run = self.state == _AFTER_RUN
        return (3, near + 2049, word & 3) if after_run else (2, near + 1, word & 3)

    def _length(self, word: int, most: int) -> int:
        if word:
            return word
        more = self._byte()
        while more == 0:
            most += 255
            more = self._byte()
        return most + more

    def _literals(self, count: int) -> None:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count or len(self.out) > self.limit:
            raise ValueError(f"byte {self.at}: the LZO block is cut off or too large")
        self.out += piece
        self.at += count

    def _byte(self) -> int:
        byte = self.data[self.at]
        self.at += 1
        return byte
