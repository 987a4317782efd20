"""What a file says about itself: notes, properties, compilers.

Formats: gABI notes; Linux ABI extensions (``GNU_PROPERTY_*``, psABIs of x86-64 and AArch64);
"Package Metadata for Executable Files" of the UAPI group (``.note.package``).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping

from uplift.isa.elf import INTERPRETER, NOTE, NOTES, RELOCATABLE, Elf
from uplift.isa.model import Identity

UNLINKED = "relocatable"  #: the kind of an object file
_KINDS = {1: UNLINKED, 2: "executable", 3: "shared", 4: "core"}
_BUILD_ID, _PROPERTY, _PACKAGE = 3, 5, 0xCAFE1A7E
_MAX_NOTE = 1 << 16
_LEVELS = ("x86-64-baseline", "x86-64-v2", "x86-64-v3", "x86-64-v4")
_X86_FEATURES, _X86_NEEDED, _X86_USED = 0xC0000002, 0xC0008002, 0xC0010002
_ARM_FEATURES = 0xC0000000


def identity(elf: Elf) -> Identity:
    """Read what a file says about itself."""
    found = {(owner, kind): body for owner, kind, body in notes(elf)}
    comment = elf.section(".comment")
    producers = bytes(elf.content(comment)[:_MAX_NOTE]).split(b"\0") if comment else []
    segment = next((s for s in elf.segments if s.kind == INTERPRETER), None)
    interpreter = bytes(elf.at(segment.address, min(segment.file_size, 4096))) if segment else b""
    names = {section.name for section in elf.sections}
    texts = tuple(dict.fromkeys(_shown(text) for text in producers if text))
    return Identity(
        kind="module" if elf.kind == RELOCATABLE and ".modinfo" in names else _kind(elf),
        build_id=found.get(("GNU", _BUILD_ID), b"")[:64].hex(),
        soname=_printable(elf.soname),
        interpreter=_shown(interpreter.partition(b"\0")[0]),
        needed=tuple(map(_printable, elf.needed)),
        runpath=_printable(elf.runpath),
        package=_package(found.get(("FDO", _PACKAGE), b"")),
        properties=tuple(_properties(elf.arch, found.get(("GNU", _PROPERTY), b""))),
        producers=texts,
        languages=tuple(_languages(names, texts)),
    )


def _kind(elf: Elf) -> str:
    if elf.kind == 3 and any(segment.kind == INTERPRETER for segment in elf.segments):
        return "executable"
    return _KINDS.get(elf.kind, f"type {elf.kind}")


def _languages(names: set[str], producers: tuple[str, ...]) -> Iterator[str]:
    if names & {".gopclntab", ".note.go.buildid", ".go.buildinfo"}:
        yield "go"
    if any(text.startswith("rustc ") for text in producers):
        yield "rust"


def notes(elf: Elf) -> Iterator[tuple[str, int, bytes]]:
    """Yield owner, kind and content of every note; a broken one ends its part."""
    parts = [(elf.content(s), s.align) for s in elf.sections if s.kind == NOTES]
    if not parts:
        parts = [
            (elf.at(s.address, s.file_size), 8 if s.address & 7 == 0 else 4)
            for s in elf.segments
            if s.kind == NOTE
        ]
    for raw, align in parts:
        yield from _notes(raw, 8 if align == 8 else 4)


def _notes(raw: memoryview, align: int) -> Iterator[tuple[str, int, bytes]]:
    place = 0
    while place + 12 <= len(raw):
        owner_size, size, kind = struct.unpack_from("<III", raw, place)
        start = place + 12 + (owner_size + 3 & ~3)
        if owner_size > 256 or size > _MAX_NOTE or start + size > len(raw):
            return
        owner = bytes(raw[place + 12 : place + 12 + owner_size]).rstrip(b"\0")
        yield owner.decode("latin-1"), kind, bytes(raw[start : start + size])
        place = start + (size + align - 1 & -align)


def _properties(arch: str, body: bytes) -> Iterator[str]:
    place = 0
    while place + 8 <= len(body):
        kind, size = struct.unpack_from("<II", body, place)
        value = int.from_bytes(body[place + 8 : place + 8 + min(size, 4)], "little")
        if arch == "x86-64":
            yield from _x86_property(kind, value)
        elif arch == "aarch64" and kind == _ARM_FEATURES:
            yield from (name for bit, name in enumerate(("bti", "pac", "gcs")) if value >> bit & 1)
        place += 8 + (size + 7 & ~7)


def _x86_property(kind: int, value: int) -> Iterator[str]:
    if kind == _X86_FEATURES:
        yield from (name for bit, name in enumerate(("ibt", "shstk")) if value >> bit & 1)
    for wanted, word in ((_X86_NEEDED, "needed"), (_X86_USED, "used")):
        if kind == wanted:
            yield from (f"{word} {name}" for bit, name in enumerate(_LEVELS) if value >> bit & 1)


def _package(body: bytes) -> Mapping[str, str]:
    try:
        found = json.loads(body.rstrip(b"\0").decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {_printable(str(k)): _printable(str(v)) for k, v in list(found.items())[:64]}


def _shown(raw: bytes) -> str:
    return _printable(raw[:4096].decode("utf-8", "backslashreplace"))


def _printable(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:4096])
