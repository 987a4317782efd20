"""Files of a squashfs image, read without mounting or unpacking it.

Format: squashfs 4.0, Linux ``fs/squashfs/squashfs_fs.h``. Offsets, sizes and counts are a
stranger's: each is checked against the image or a cap before it is used.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from uplift.facts.kernel_image import lz4, lzo

MAX_INODES = 400_000
MAX_DEPTH = 64
MAX_NAMES = 64 << 20  #: characters of all paths
MAX_UNPACKED = 16 << 30  #: bytes of all blocks together
_METADATA = 8192
_CACHED_METADATA, _CACHED_BLOCKS = 256, 4
_SUPERBLOCK = struct.Struct("<4sIIIIHHHHHHQQQQQQQQ")
_MAGIC = b"hsqs"
_PLAIN_BLOCK = 1 << 24
_NO_FRAGMENT = 0xFFFFFFFF
_DIRECTORY, _FILE, _LONG_DIRECTORY, _LONG_FILE = 1, 2, 8, 9


@dataclass(frozen=True)
class Entry:
    """A regular file of the image.

    :param blocks: where its packed blocks begin; ``sizes`` says how long each is.
    :param fragment: the number of the fragment that holds its end, and where in it.
    """

    name: str
    size: int
    blocks: int
    sizes: tuple[int, ...]
    fragment: tuple[int, int] | None


class Squashfs:
    """One image.

    :param raw: the image; it must be able to seek.
    :param size: bytes of it.
    :raises ValueError: it is no squashfs 4 image, or a table of it is broken.
    """

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._size = raw, size
        head = self._bytes(0, _SUPERBLOCK.size)
        fields = _SUPERBLOCK.unpack(head)
        if fields[0] != _MAGIC:
            raise ValueError("it does not begin as a squashfs image")
        self._block_size, self._fragments_count, compressor = fields[3], fields[4], fields[5]
        if fields[9] != 4:
            raise ValueError(f"it is squashfs {fields[9]}.{fields[10]}, not 4")
        if not 4096 <= self._block_size <= 1 << 20 or self._block_size & (self._block_size - 1):
            raise ValueError(f"its blocks have {self._block_size} bytes, at byte 12")
        if fields[1] > MAX_INODES:
            raise ValueError(f"it holds {fields[1]} files, more than {MAX_INODES}")
        self._unpack = _unpacker(compressor)
        self._root, self._inodes, self._directories = fields[11], fields[15], fields[16]
        self._fragment_table = fields[17]
        self._metadata_cache: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        self._block_cache: OrderedDict[int, bytes] = OrderedDict()
        self._given = 0

    def files(self) -> Iterator[Entry]:
        """Yield the regular files, directory by directory.

        :raises ValueError: a directory or an inode is broken; it names the byte.
        """
        todo, seen, names, count = [("", self._root, 0)], set(), 0, 0
        while todo:
            path, reference, depth = todo.pop()
            if depth > MAX_DEPTH:
                raise ValueError(f"{path[:100]!r} is deeper than {MAX_DEPTH} directories")
            if reference in seen:
                raise ValueError(f"the directory {path[:100]!r} is met twice")
            seen.add(reference)
            for name, child, kind in self._entries(reference):
                whole = f"{path}/{name}" if path else name
                names, count = names + len(whole), count + 1
                if names > MAX_NAMES or count > MAX_INODES:
                    raise ValueError(f"it names more than {MAX_INODES} files, or too long ones")
                if kind == _DIRECTORY:
                    todo.append((whole, child, depth + 1))
                elif kind == _FILE:
                    yield self._file(whole, child)

    def open(self, entry: Entry) -> Reader:
        """Return a file's bytes, to be read once."""
        return Reader(self._pieces(entry))

    def _pieces(self, entry: Entry) -> Iterator[bytes]:
        at, left = entry.blocks, entry.size
        for packed in entry.sizes:
            length = min(left, self._block_size)
            stored = packed & (_PLAIN_BLOCK - 1)
            piece = self._block(at, packed) if stored else bytes(length)
            if len(piece) != length:
                raise ValueError(f"the block at byte {at} has {len(piece)} bytes, not {length}")
            yield piece
            at, left = at + stored, left - length
        if left and entry.fragment is not None:
            number, offset = entry.fragment
            piece = self._fragment(number)[offset : offset + left]
            if len(piece) != left:
                raise ValueError(f"{entry.name[:100]!r} ends outside of its fragment")
            yield piece

    def _fragment(self, number: int) -> bytes:
        if number >= self._fragments_count:
            raise ValueError(f"there is no fragment {number}")
        (table,) = struct.unpack("<Q", self._bytes(self._fragment_table + number // 512 * 8, 8))
        row, _ = self._metadata(table)
        start, packed, _ = struct.unpack_from("<QII", row, number % 512 * 16)
        cached = self._block_cache.get(start)
        if cached is None:
            cached = self._block_cache[start] = self._block(start, packed)
            if len(self._block_cache) > _CACHED_BLOCKS:
                self._block_cache.popitem(last=False)
        return cached

    def _block(self, at: int, packed: int) -> bytes:
        stored = packed & (_PLAIN_BLOCK - 1)
        if stored > self._block_size * 2:
            raise ValueError(f"the block at byte {at} has {stored} packed bytes")
        data = self._bytes(at, stored)
        return data if packed & _PLAIN_BLOCK else self._unpacked(data, self._block_size, at)

    def _unpacked(self, data: bytes, most: int, at: int) -> bytes:
        try:
            found = self._unpack(data, most)
        except (ValueError, IndexError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise ValueError(f"the block at byte {at} is broken: {error}") from None
        if len(found) > most:
            raise ValueError(f"the block at byte {at} unpacks to more than {most} bytes")
        self._given += len(found)
        if self._given > MAX_UNPACKED:
            raise ValueError(f"it unpacks to more than {MAX_UNPACKED} bytes")
        return found

    def _bytes(self, at: int, size: int) -> bytes:
        if at < 0 or at + size > self._size:
            raise ValueError(f"it has {self._size} bytes and wants those up to {at + size}")
        self._raw.seek(at)
        data = self._raw.read(size)
        if len(data) != size:
            raise ValueError(f"it ends at byte {at + len(data)}")
        return data

    def _metadata(self, at: int) -> tuple[bytes, int]:
        """Return one unpacked block of a table, and where the next one begins."""
        cached = self._metadata_cache.get(at)
        if cached is None:
            (header,) = struct.unpack("<H", self._bytes(at, 2))
            size = header & 0x7FFF
            data = self._bytes(at + 2, size)
            plain = data if header & 0x8000 else self._unpacked(data, _METADATA, at)
            cached = self._metadata_cache[at] = (plain, at + 2 + size)
            if len(self._metadata_cache) > _CACHED_METADATA:
                self._metadata_cache.popitem(last=False)
        return cached

    def _cursor(self, table: int, reference: int) -> _Cursor:
        return _Cursor(self._metadata, table + (reference >> 16), reference & 0xFFFF)

    def _entries(self, reference: int) -> Iterator[tuple[str, int, int]]:
        """Yield name, inode reference and kind of what a directory holds."""
        inode = self._cursor(self._inodes, reference)
        kind = inode.take("<HHHHII")[0]
        if kind == _DIRECTORY:
            block, _, size, offset, _ = inode.take("<IIHHI")
        elif kind == _LONG_DIRECTORY:
            _, size, block, _, _, offset, _ = inode.take("<IIIIHHI")
        else:
            raise ValueError(f"inode {reference:#x} is of kind {kind}, not a directory")
        listing = self._cursor(self._directories, block << 16 | offset)
        left = size - 3
        while left > 0:
            count, start, _ = listing.take("<III")
            left -= 12
            if count >= 256:
                raise ValueError(f"a header of the directory {reference:#x} is broken")
            for _ in range(count + 1):
                place, _, entry, length = listing.take("<HhHH")
                name = listing.bytes(length + 1).decode("utf-8", "replace")
                left -= 9 + length
                yield name, start << 16 | place, entry

    def _file(self, name: str, reference: int) -> Entry:
        inode = self._cursor(self._inodes, reference)
        kind = inode.take("<HHHHII")[0]
        if kind == _FILE:
            blocks, fragment, offset, size = inode.take("<IIII")
        elif kind == _LONG_FILE:
            blocks, size, _, _, fragment, offset, _ = inode.take("<QQQIIII")
        else:
            raise ValueError(f"inode {reference:#x} is of kind {kind}, not a file")
        count, rest = divmod(size, self._block_size)
        if rest and fragment == _NO_FRAGMENT:
            count += 1
        if count * 4 > self._size:
            raise ValueError(f"{name[:100]!r} is said to have {size} bytes")
        sizes = struct.unpack(f"<{count}I", inode.bytes(4 * count))
        part = None if fragment == _NO_FRAGMENT else (fragment, offset)
        return Entry(name, size, blocks, sizes, part)


class _Cursor:
    """A place in a table, moving on from one unpacked block to the next."""

    def __init__(self, block: Callable[[int], tuple[bytes, int]], at: int, offset: int) -> None:
        self._block, self._offset = block, offset
        self._data, self._next = block(at)

    def take(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self.bytes(struct.calcsize(layout)))

    def bytes(self, size: int) -> bytes:
        found = self._data[self._offset : self._offset + size]
        self._offset += len(found)
        parts, left = [found], size - len(found)
        while left:
            self._data, self._next = self._block(self._next)
            if not self._data:
                raise ValueError("a table holds an empty block")
            found = self._data[:left]
            self._offset = len(found)
            parts.append(found)
            left -= len(found)
        return b"".join(parts)


class Reader:
    """A file's bytes from its unpacked pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._data = pieces, b""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none only at the end."""
        if not self._data:
            self._data = next(self._pieces, b"")
        given, self._data = self._data[:size], self._data[size:]
        return given


def _unpacker(compressor: int) -> Callable[[bytes, int], bytes]:
    """Return what unpacks one block, given the most bytes that it may have."""
    known: dict[int, Callable[[bytes, int], bytes]] = {
        1: _inflated, 3: lzo.unpack_block, 4: _xz, 5: lz4.unpack_block, 6: _zstd,
    }  # fmt: skip
    if compressor not in known:
        raise ValueError(f"its blocks are packed in way {compressor}, which is not known, byte 20")
    return known[compressor]


def _inflated(data: bytes, most: int) -> bytes:
    return zlib.decompressobj().decompress(data, most + 1)


def _xz(data: bytes, most: int) -> bytes:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=64 << 20)
    return decoder.decompress(data, most + 1)


def _zstd(data: bytes, most: int) -> bytes:
    try:
        import zstandard  # noqa: PLC0415 - only some images need it
    except ImportError:
        raise ValueError("it is packed with zstd; install python3-zstandard") from None
    try:
        unpacked: bytes = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompress(
            data, max_output_size=most
        )
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    return unpacked
