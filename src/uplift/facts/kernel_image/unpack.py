"""From a kernel or module as packaged to the program inside: wrappers off, with caps.

Formats: Linux ``Documentation/arch/x86/boot.rst`` (payload of a bzImage), ``drivers/firmware/efi/
libstub/zboot-header.S`` (EFI zboot), ``Documentation/arch/arm64/booting.rst`` and
``Documentation/arch/riscv/boot-image-header.rst`` (flat images).
"""

from __future__ import annotations

import lzma
import struct
import sys
import zlib
from collections.abc import Callable

from uplift.facts.kernel_image import lz4

MAX_BYTES = 512 << 20  #: unpacked; a distribution's kernel is 40 to 90 MB
_MEMORY = 300 << 20  #: for the dictionary of an unpacker
_FED = 2048  #: bytes fed to zstd at once: a byte can become 32 KiB
_LAYERS = 4  #: a signed zboot image that holds a compressed flat image has two

_SETUP_SECTORS, _BOOT_MAGIC, _BOOT_VERSION = 0x1F1, 0x202, 0x206
_PAYLOAD = 0x248
_WITH_PAYLOAD = 0x208  #: the boot protocol's version that has payload_offset
_FLAT = {b"ARM\x64": "aarch64", b"RSC\x05": "riscv64"}  #: the magic at byte 56


class NoUnpacker(Exception):
    """The bytes are packed in a way that this installation cannot unpack; says what to install."""


def unpack(data: bytes) -> bytes:
    """Take off whatever wraps a kernel image or a module.

    :return: an ELF file or a flat image, or ``data`` itself where nothing known wraps it.
    :raises ValueError: a wrapper is broken, or unpacks to more than ``MAX_BYTES``.
    :raises NoUnpacker: the unpacker is not installed.
    """
    for _ in range(_LAYERS):
        inner = _inner(data)
        if inner is None:
            return data
        data = inner
    raise ValueError(f"it is wrapped more than {_LAYERS} times")


def flat_machine(data: bytes) -> str:
    """Return which machine a flat image is for, as ``uname -m`` says; empty where it is none."""
    return _FLAT.get(data[56:60], "")


def _inner(data: bytes) -> bytes | None:
    if data.startswith(b"\x7fELF"):
        return None
    if data[4:8] == b"zimg" and data.startswith(b"MZ"):
        return _zboot(data)
    if flat_machine(data):
        return None
    if data[_BOOT_MAGIC : _BOOT_MAGIC + 4] == b"HdrS":
        return _boot_payload(data)
    method = _method(data)
    return method(data) if method else None


def _zboot(data: bytes) -> bytes:
    start, size = _numbers(data, 8)
    packed = _part(data, start, size, "the payload of the EFI zboot image")
    return _unpacked(packed, "the payload of the EFI zboot image")


def _boot_payload(data: bytes) -> bytes:
    (version,) = struct.unpack_from("<H", data, _BOOT_VERSION)
    if version < _WITH_PAYLOAD:
        raise ValueError(f"its boot protocol {version >> 8}.{version & 255} tells no payload")
    sectors = data[_SETUP_SECTORS] or 4
    start, size = _numbers(data, _PAYLOAD)
    packed = _part(data, (sectors + 1) * 512 + start, size, "the payload of the bzImage")
    return _unpacked(packed, "the payload of the bzImage")


def _numbers(data: bytes, position: int) -> tuple[int, int]:
    try:
        first, second = struct.unpack_from("<II", data, position)
    except struct.error:
        raise ValueError(f"it ends at byte {len(data)}, within its header") from None
    return first, second


def _part(data: bytes, start: int, size: int, what: str) -> bytes:
    if start + size > len(data) or not size:
        raise ValueError(f"{what} is bytes {start} to {start + size} of {len(data)}")
    return data[start : start + size]


def _unpacked(packed: bytes, what: str) -> bytes:
    method = _method(packed)
    if method:
        return method(packed)
    if packed.startswith((b"\x7fELF", b"MZ")):
        return packed
    raise ValueError(f"{what} starts with {packed[:6].hex(' ')}, no known compression")


def _method(data: bytes) -> Callable[[bytes], bytes] | None:
    for magic, method in _METHODS.items():
        if data.startswith(magic):
            return method
    return None


def _gzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        out = unpacker.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise ValueError(f"the gzip stream is broken: {error}") from None
    return _whole(out, unpacker.eof, "gzip")


def _xz(data: bytes) -> bytes:
    return _lzma(data, lzma.FORMAT_XZ, "xz")


def _lzma_alone(data: bytes) -> bytes:
    return _lzma(data, lzma.FORMAT_ALONE, "lzma")


def _lzma(data: bytes, kind: int, name: str) -> bytes:
    unpacker = lzma.LZMADecompressor(kind, memlimit=_MEMORY)
    try:
        out = unpacker.decompress(data, MAX_BYTES)
    except lzma.LZMAError as error:
        raise ValueError(f"the {name} stream is broken: {error}") from None
    return _whole(out, unpacker.eof, name)


def _whole(out: bytes, ended: bool, name: str) -> bytes:
    if ended:
        return out
    if len(out) >= MAX_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
    raise ValueError(f"the {name} stream is cut off after {len(out)} unpacked bytes")


def _lz4(data: bytes) -> bytes:
    return lz4.unpack(data, MAX_BYTES)


def _zstd(data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - Python 3.14 has it

        unpacker = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 28})
        try:
            out = unpacker.decompress(data, MAX_BYTES)
        except zstd.ZstdError as error:
            raise ValueError(f"the zstd stream is broken: {error}") from None
        return _whole(out, unpacker.eof, "zstd")
    return _zstd_by_library(data)


def _zstd_by_library(data: bytes) -> bytes:
    try:
        import zstandard  # noqa: PLC0415 - only for what is packed so
    except ImportError:
        raise NoUnpacker("it is packed with zstd: install python3-zstandard") from None
    unpacker = zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()
    out = bytearray()
    try:
        for start in range(0, len(data), _FED):
            out += unpacker.decompress(data[start : start + _FED])
            if unpacker.eof or len(out) > MAX_BYTES:
                break
    except zstandard.ZstdError as error:
        raise ValueError(f"the zstd stream is broken: {error}") from None
    return _whole(bytes(out), unpacker.eof and len(out) <= MAX_BYTES, "zstd")


_METHODS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b\x08": _gzip,
    b"\xfd7zXZ\x00": _xz,
    b"\x28\xb5\x2f\xfd": _zstd,
    lz4.LEGACY: _lz4,
    b"\x5d\x00\x00": _lzma_alone,
}
