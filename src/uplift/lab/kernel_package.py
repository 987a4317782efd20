"""Take a kernel out of its packages: read as a stream, only what a boot needs, with caps.

A package is a stranger's file. Nothing of it runs, links are never followed or made, and only
regular files with a name that a kernel package gives to such a file are written, below one
directory. Format: deb(5), an ``ar`` archive whose ``data.tar`` is packed with xz, zstd or gzip.
"""

from __future__ import annotations

import io
import lzma
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from uplift.errors import TargetError, UpliftError
from uplift.lab.kernel_modules import dependencies, module_bytes, module_files

MAX_FILE = 256 << 20  #: bytes of one file of the package
MAX_KEPT = 1 << 30  #: bytes of all files that are written
MAX_STREAM = 8 << 30  #: bytes that a package may unpack to
MAX_MEMBERS = 200_000
MAX_HEADER = 1 << 20  #: bytes of a member's extended header: ``tarfile`` holds it in memory
_DICTIONARY = 300 << 20  #: memory for an unpacker's dictionary
_CHUNK = 1 << 20
_ROUNDS = 3  #: a dependency of a dependency may be found only when the first was read

_TOP = r"(?:\./)?(?:usr/)?lib/modules/(?P<release>[\w.+~-]+)"
_BOOT = re.compile(r"(?:\./)?boot/(?P<name>(?:vmlinu[xz]|config)-[\w.+~-]+)")
_IMAGE = re.compile(_TOP + r"/(?P<name>vmlinuz|config)")
_LIST = re.compile(_TOP + r"/(?P<name>modules\.builtin)")
_MODULE = re.compile(_TOP + r"/(?:[\w.+-]+/)*(?P<name>[\w+-]+)\.ko(?:\.(?:xz|zst|gz))?")
#: Modules that a boot may want, whatever else they turn out to need.
_WANTED = re.compile(r"virtio(_ring|_pci\w*|_console|_mmio)?|kvm(_intel|_amd)?|irqbypass|ccp")


@dataclass(frozen=True)
class Kernel:
    """A kernel as its packages hold it.

    :param modules_dir: ``lib/modules/<release>``; need not be there.
    :param config: the build's configuration, None where the package has none.
    :param arch: ``uname -m``.
    """

    release: str
    image: Path
    modules_dir: Path
    config: Path | None
    arch: str


def kernel_in(place: Path, arch: str) -> Kernel:
    """Return the kernel unpacked below ``place``; the last by name where there are several.

    :raises TargetError: there is none.
    """
    found = _kernels_in(place)
    if not found:
        raise TargetError(
            f"cannot boot a kernel from {place}",
            "there is no boot/vmlinuz-<release> or lib/modules/<release>/vmlinuz in it",
            "name a directory where a kernel package was unpacked",
        )
    release = max(found)
    tops = [place / top / "lib/modules" / release for top in ("", "usr")]
    modules = next((top for top in tops if top.is_dir()), tops[0])
    configs = (place / "boot" / f"config-{release}", *(top / "config" for top in tops))
    config = next((path for path in configs if path.is_file()), None)
    return Kernel(release, found[release], modules, config, arch)


def _kernels_in(place: Path) -> dict[str, Path]:
    """Return release to image, of every kernel below ``place``."""
    images = [p for top in ("", "usr/") for p in place.glob(f"{top}lib/modules/*/vmlinuz")]
    found = {path.parent.name: path for path in images}
    boot = sorted((place / "boot").glob("vmlinu[xz]-*"))
    return found | {path.name.partition("-")[2]: path for path in boot}


def unpack_package(package: Path, to: Path) -> None:
    """Write below ``to`` what a boot needs of a package: image, configuration, some modules.

    :raises TargetError: it is no Debian package, is broken, or is larger than the caps.
    """
    wanted: frozenset[str] = frozenset()
    for _ in range(_ROUNDS):
        has = _Unpacked(package, to, wanted).run()
        missing = _missing(to) & has
        if not missing:
            return
        wanted |= missing


def _missing(to: Path) -> frozenset[str]:
    """Return the modules that those below ``to`` need and that are not there."""
    files = {n: p for top in to.glob("**/lib/modules/*") for n, p in module_files(top).items()}
    needs = (name for path in files.values() for name in dependencies(module_bytes(path)))
    return frozenset(needs) - files.keys()


class _Unpacked:
    """One pass over a package."""

    def __init__(self, package: Path, to: Path, wanted: frozenset[str]) -> None:
        self._package, self._to, self._wanted = package, to, wanted
        self._kept = 0

    def run(self) -> frozenset[str]:
        """Write what is wanted; return the names of all modules in the package."""
        names: set[str] = set()
        try:
            with self._package.open("rb") as raw, _data_tar(raw) as archive:
                for number, member in enumerate(archive):
                    if number >= MAX_MEMBERS:
                        raise ValueError(f"it holds more than {MAX_MEMBERS} files")
                    names |= self._take(archive, member)
        except (ValueError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
            raise self._refused(str(error)) from None
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from None
        return frozenset(names)

    def _refused(self, why: str) -> TargetError:
        return TargetError(
            f"cannot unpack {self._package}", why[:300], "check the file, or fetch it again"
        )

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> set[str]:
        module = _MODULE.fullmatch(member.name)
        name = module["name"].replace("-", "_") if module else ""
        to = _destination(member.name) if not module else member.name.removeprefix("./")
        wants = not module or _WANTED.fullmatch(name) or name in self._wanted
        if to and wants and member.isreg() and ".." not in Path(to).parts:
            self._write(archive, member, self._to / to)
        return {name} if name else set()

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, to: Path) -> None:
        self._kept += member.size
        if member.size > MAX_FILE or self._kept > MAX_KEPT:
            raise ValueError(f"{member.name[:200]} is too large ({member.size} bytes)")
        stream = archive.extractfile(member)
        assert stream is not None
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("wb") as out:
            shutil.copyfileobj(stream, out, _CHUNK)


def _destination(name: str) -> str:
    """Return where a member that is no module is written; empty: it is left out."""
    if _BOOT.fullmatch(name) or _IMAGE.fullmatch(name) or _LIST.fullmatch(name):
        return name.removeprefix("./")
    return ""


class _Header(tarfile.TarInfo):
    """A member's header that may not make ``tarfile`` read more than the cap into memory."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in (b"L", b"K", b"x", b"g", b"X") and header.size > MAX_HEADER:
            raise ValueError(f"a header of it has {header.size} bytes")
        return header


def _data_tar(raw: BinaryIO) -> tarfile.TarFile:
    """Return the archive of a package's files.

    :raises ValueError: there is none.
    """
    for name, size in _members(raw):
        if name.startswith("data.tar"):
            stream: Any = io.BufferedReader(_Unpacking(raw, size, name), _CHUNK)
            return tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header, bufsize=_CHUNK)
        raw.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("there is no data.tar in it, so it is no Debian package")


def _members(raw: BinaryIO) -> Iterator[tuple[str, int]]:
    """Yield the members of an ``ar`` archive; the stream stands at each one's bytes."""
    if raw.read(8) != b"!<arch>\n":
        raise ValueError("it does not start as an ar archive, so it is no Debian package")
    while head := raw.read(60):
        size = head[48:58].strip()
        if len(head) < 60 or head[58:] != b"`\n" or not size.isdigit():
            raise ValueError("a header of the ar archive is broken")
        yield head[:16].decode("ascii", "replace").rstrip(" /"), int(size)


class _Unpacking(io.RawIOBase):
    """The unpacked bytes of one member; more of them than the cap are refused."""

    def __init__(self, raw: BinaryIO, size: int, name: str) -> None:
        self._raw, self._left, self._given = raw, size, 0
        self._unpacker = _unpacker(name.rpartition(".")[2], self)

    def readable(self) -> bool:
        return True

    def packed(self) -> bytes:
        """Return the next packed bytes, none at the end."""
        data = self._raw.read(min(_CHUNK, self._left))
        self._left -= len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self._unpacker.read(len(buffer))
        self._given += len(data)
        if self._given > MAX_STREAM:
            raise ValueError(f"it unpacks to more than {MAX_STREAM} bytes")
        buffer[: len(data)] = data
        return len(data)


def _unpacker(kind: str, source: _Unpacking) -> Any:
    if kind == "xz":
        return _Decoded(source, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DICTIONARY))
    if kind == "gz":
        return _Inflated(source)
    if kind == "zst":
        return _zstd(source)
    if kind == "tar":
        return _Plain(source)
    raise ValueError(f"its files are packed with {kind[:20]!r}, not with xz, zstd or gzip")


class _Plain:
    def __init__(self, source: _Unpacking) -> None:
        self._source, self._data = source, b""

    def read(self, size: int) -> bytes:
        self._data = self._data or self._source.packed()
        given, self._data = self._data[:size], self._data[size:]
        return given


class _Decoded:
    """xz, with a cap on its dictionary."""

    def __init__(self, source: _Unpacking, decoder: lzma.LZMADecompressor) -> None:
        self._source, self._decoder = source, decoder

    def read(self, size: int) -> bytes:
        while not self._decoder.eof:
            packed = self._source.packed() if self._decoder.needs_input else b""
            if not packed and self._decoder.needs_input:
                raise ValueError("its files end in the middle of the xz stream")
            data = self._decoder.decompress(packed, size)
            if data:
                return data
        return b""


class _Inflated:
    def __init__(self, source: _Unpacking) -> None:
        self._source, self._decoder = source, zlib.decompressobj(wbits=31)

    def read(self, size: int) -> bytes:
        while not self._decoder.eof:
            packed = self._decoder.unconsumed_tail or self._source.packed()
            if not packed:
                raise ValueError("its files end in the middle of the gzip stream")
            data = self._decoder.decompress(packed, size)
            if data:
                return data
        return b""


def _zstd(source: _Unpacking) -> Any:
    try:
        import zstandard  # noqa: PLC0415 - only some packages need it
    except ImportError:
        raise _NO_ZSTD from None
    packed: Any = _Packed(source)
    return zstandard.ZstdDecompressor(max_window_size=_DICTIONARY).stream_reader(packed)


class _Packed:
    """The packed bytes as a file that a library reads."""

    def __init__(self, source: _Unpacking) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        """Return some bytes, none at the end; how many are asked for is a hint."""
        return self._source.packed()


_NO_ZSTD = UpliftError(
    "cannot unpack the kernel package",
    "its files are packed with zstd, for which Python has no module here",
    "install python3-zstandard",
)
