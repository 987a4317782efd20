"""Make Debian packages of given files, for tests."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "gz": gzip.compress,
    "tar": bytes,
}


def tar_of(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def ar_of(members: Mapping[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        out += head.encode() + data + b"\n" * (len(data) % 2)
    return out


def deb_of(data_tar: bytes, packed: str = "xz") -> bytes:
    name = "data.tar" if packed == "tar" else f"data.tar.{packed}"
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", name: PACKERS[packed](data_tar)}
    return ar_of(members)


def module(depends: str = "") -> bytes:
    """As much of a kernel module as a boot reads."""
    return b"\x7fELF.modinfo\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"


def bz_image(release: str = "6.1.0-x") -> bytes:
    """As much of an x86 kernel image as tells its release."""
    head = bytearray(0x400)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x100).to_bytes(2, "little")
    text = f"{release} (root@host) #1".encode() + b"\0"
    head[0x300 : 0x300 + len(text)] = text
    return bytes(head)


def write(place: Path, name: str, files: Mapping[str, bytes]) -> Path:
    path = place / name
    path.write_bytes(deb_of(tar_of(files)))
    return path
