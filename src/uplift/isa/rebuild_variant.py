"""Mark a binary package as built for an architecture variant, as Ubuntu's dpkg does.

Ubuntu's dpkg writes the field ``Architecture-Variant`` beside an unchanged ``Architecture`` and
names the file after the variant (Launchpad bug 2128606; dpkg 1.22.21ubuntu3 and later). Where the
build root's dpkg does not know variants, the field is added to the finished package: its
``control.tar`` is written anew, its files stay byte by byte. Format: deb(5).
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

from uplift.errors import UpliftError

FIELD = "Architecture-Variant"
_MAGIC = b"!<arch>\n"
_HEADER = 60
_CHUNK = 1 << 20
_MAX_CONTROL = 64 << 20


def variant_name(name: str, arch: str, variant: str) -> str:
    """Return a package's file name with the variant where the architecture stood."""
    for ending in (".deb", ".ddeb"):
        if name.endswith(f"_{arch}{ending}"):
            return f"{name[: -len(arch + ending)]}{variant}{ending}"
    return name


def mark(package: Path, to: Path, variant: str) -> None:
    """Write a copy of ``package`` that says which variant it is for.

    :raises UpliftError: it is no package as deb(5) has it.
    """
    try:
        with package.open("rb") as source, to.open("wb") as out:
            _mark(source, out, variant)
    except (OSError, ValueError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        to.unlink(missing_ok=True)
        raise UpliftError(
            f"cannot mark {package.name} as one of {variant}",
            str(error)[:200],
            "build it again; this is no package that dpkg reads",
        ) from None


def _mark(source: BinaryIO, out: BinaryIO, variant: str) -> None:
    if source.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no ar archive")
    out.write(_MAGIC)
    while header := source.read(_HEADER):
        name, size = _member(header)
        if name.startswith("control.tar"):
            if size > _MAX_CONTROL:
                raise ValueError("its control part is too large")
            packed = lzma.compress(with_field(_unpacked(name, source.read(size)), variant))
            _write(out, b"control.tar.xz", packed)
        else:
            out.write(header)
            _copy(source, out, size)
        source.read(size % 2)
        if size % 2 and not name.startswith("control.tar"):
            out.write(b"\n")


def _member(header: bytes) -> tuple[str, int]:
    if len(header) != _HEADER or header[58:] != b"`\n":
        raise ValueError("a member's header is cut short")
    return header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])


def _copy(source: BinaryIO, out: BinaryIO, size: int) -> None:
    while size:
        piece = source.read(min(size, _CHUNK))
        if not piece:
            raise ValueError("a member is cut short")
        out.write(piece)
        size -= len(piece)


def _write(out: BinaryIO, name: bytes, data: bytes) -> None:
    head = b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name, 0, 0, 0, b"100644", len(data))
    out.write(head + data + b"\n" * (len(data) % 2))


def _unpacked(name: str, data: bytes) -> bytes:
    if name.endswith(".xz"):
        return lzma.LZMADecompressor().decompress(data, _MAX_CONTROL)
    if name.endswith(".gz"):
        return zlib.decompressobj(31).decompress(data, _MAX_CONTROL)
    if name.endswith(".zst"):
        import zstandard  # noqa: PLC0415 - only some packages need it

        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data))
        return reader.read(_MAX_CONTROL)
    if name.endswith(".tar"):
        return data
    raise ValueError(f"its control part is packed in a way that is not known: {name[:30]}")


def with_field(control_tar: bytes, variant: str) -> bytes:
    """Return a control archive whose ``control`` names the variant after the architecture."""
    buffer = io.BytesIO()
    found = False
    with (
        tarfile.open(fileobj=io.BytesIO(control_tar)) as source,
        tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as out,
    ):
        for member in source:
            content = source.extractfile(member) if member.isreg() else None
            data = content.read() if content else None
            if data is not None and member.name.removeprefix("./") == "control":
                data = _with_variant(data.decode("utf-8"), variant).encode()
                member.size, found = len(data), True
            out.addfile(member, io.BytesIO(data) if data is not None else None)
    if not found:
        raise ValueError("it has no control file")
    return buffer.getvalue()


def _with_variant(text: str, variant: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith(f"{FIELD}:")]
    place = next((n for n, line in enumerate(lines) if line.startswith("Architecture:")), None)
    if place is None:
        raise ValueError("its control file has no Architecture")
    lines.insert(place + 1, f"{FIELD}: {variant}")
    return "\n".join(lines) + "\n"
