"""Small kernels made for tests: wrappers, symbol tables and a KVM of thirty lines."""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from uplift.facts.kernel_image.elf import LOADED, Elf
from uplift.facts.kernel_image.memory import Memory, Part

FLAT = bytearray(4096)
FLAT[:2], FLAT[56:60] = b"MZ", b"ARM\x64"


def gzipped(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard", reason="zstd needs python3-zstandard")
    packed: bytes = zstandard.ZstdCompressor().compress(data)
    return packed


def lz4_of_literals(data: bytes) -> bytes:
    """Pack as LZ4 does what it cannot shorten: one run of literals a block."""
    size = len(data)
    long = size - 15
    length = b"\xff" * (long // 255) + bytes([long % 255]) if long >= 0 else b""
    block = bytes([min(size, 15) << 4]) + length + data
    return b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block


PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzipped,
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_XZ),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": zstd,
    "lz4": lz4_of_literals,
}


def bzimage(payload: bytes) -> bytes:
    """Wrap as arch/x86/boot does: setup sectors, then a payload that the header points at."""
    image = bytearray(5 * 512 + 64)
    image[0x1F1], image[0x202:0x206] = 4, b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    struct.pack_into("<II", image, 0x248, 64, len(payload))
    return bytes(image) + payload + struct.pack("<I", 0)


def zboot(payload: bytes) -> bytes:
    """Wrap as drivers/firmware/efi/libstub does."""
    head = struct.pack("<2sH4sII", b"MZ", 0, b"zimg", 64, len(payload))
    return head.ljust(64, b"\0") + payload


def kallsyms(symbols: Iterable[tuple[str, int]], layout: str, place: int) -> tuple[bytes, int]:
    """Return the tables that scripts/kallsyms.c makes, and where in them the offsets start.

    :param symbols: name, with the letter of its kind, and address; by address.
    :param layout: ``before``, ``after`` (offsets from a base), or ``own`` (from their own place).
    :param place: the address at which the tables will lie.
    """
    symbols = list(symbols)
    pair = 0  # a token of two letters: one byte of the table stands for "ke"
    tokens = [bytes([n]) if 33 <= n < 127 else b"%02x" % n for n in range(256)]
    tokens[pair] = b"ke"
    names, markers = bytearray(), []
    for number, (name, _) in enumerate(symbols):
        if number % 256 == 0:
            markers.append(len(names))
        packed = name.encode().replace(b"ke", bytes([pair]))
        names += bytes([len(packed)]) + packed
    starts = [sum(len(token) + 1 for token in tokens[:n]) for n in range(256)]
    base = symbols[0][1]

    def offsets(at: int) -> bytes:
        own = layout == "own"
        return b"".join(
            struct.pack("<i", address - (place + at + 4 * n if own else base))
            for n, (_, address) in enumerate(symbols)
        )

    out = bytearray()
    start = 0
    if layout == "before":
        out += _padded(offsets(0), 8) + struct.pack("<Q", base)
    out += _padded(struct.pack("<I", len(symbols)), 8)
    out += _padded(bytes(names), 8)
    out += _padded(struct.pack(f"<{len(markers)}I", *markers), 8)
    out += _padded(b"".join(token + b"\0" for token in tokens), 8)
    out += struct.pack("<256H", *starts)
    if layout != "before":
        start = len(out)
        out += _padded(offsets(start), 8)
        out += struct.pack("<Q", base) if layout == "after" else b""
    return bytes(out), start


def _padded(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def btf(structures: Mapping[str, Mapping[str, int]], pointed: Mapping[str, int]) -> bytes:
    """Describe structures, member to byte; and functions by the size that argument 2 points to."""
    strings, types = bytearray(b"\0"), bytearray()

    def text(name: str) -> int:
        strings.extend(name.encode() + b"\0")
        return len(strings) - len(name) - 1

    number = 0
    for name, members in structures.items():
        number += 1
        types.extend(struct.pack("<III", text(name), 4 << 24 | len(members), 4096))
        for member, place in members.items():
            types.extend(struct.pack("<III", text(member), 0, place * 8))
    for name, size in pointed.items():
        types.extend(struct.pack("<IIII", text("value"), 1 << 24, size, size * 8))
        types.extend(struct.pack("<III", 0, 2 << 24, number + 1))
        types.extend(struct.pack("<III", 0, 13 << 24 | 2, 0))
        types.extend(struct.pack("<IIII", 0, number + 1, 0, number + 2))
        types.extend(struct.pack("<III", text(name), 12 << 24, number + 3))
        number += 4
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return head + bytes(types) + bytes(strings)


def compiled(place: Path, name: str, source: str, *options: str) -> bytes:
    """Return what gcc makes of C for x86-64, as the kernel's build has it."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    (place / f"{name}.c").write_text(source)
    out = place / f"{name}.o"
    flags = ("-O2", "-ffreestanding", "-fno-pic", "-mcmodel=kernel", "-mno-red-zone", "-mno-sse")
    more = (
        "-fno-toplevel-reorder",
        "-fno-stack-protector",
        "-fcf-protection=none",
        "-fno-asynchronous-unwind-tables",
    )
    argv = ["gcc", *flags, *more, *(options or ("-c",)), "-o", str(out), str(place / f"{name}.c")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"gcc makes no code for x86-64 here: {done.stderr.splitlines()[:1]}")
    return out.read_bytes()


def linked_kernel(place: Path, source: str, types: bytes) -> Memory:
    """Return a kernel linked where x86-64 links it; its symbols are those of the linker."""
    (place / "types").write_bytes(types)
    data = compiled(
        place,
        "vmlinux",
        source + f'\nasm(".section .BTF\\n.incbin \\"{place}/types\\"\\n.text");',
        *(
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--build-id=none",
            "-Wl,-Ttext=0xffffffff81000000",
        ),
        *("-Wl,-e0", "-Wl,-z,max-page-size=4096", "-Wl,-Tdata=0xffffffff82000000"),
        "-Wl,-Tbss=0xffffffff83000000",
    )
    elf = Elf(data)
    parts = tuple(
        Part(s.address, s.offset, s.offset + s.file_size)
        for s in elf.segments
        if s.kind == LOADED and s.file_size
    )
    listing = sorted((s.value, s.name) for s in elf.symbols if s.name and s.value)
    return Memory(data, parts, {name: address for address, name in listing}, listing)
