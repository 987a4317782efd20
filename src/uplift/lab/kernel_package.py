"""Take a kernel out of its packages: read as a stream, only what a boot needs, with caps.

A package is a stranger's file. Nothing of it runs, links are never followed or made, and only
regular files with a name that a kernel package gives to such a file are written, below one
directory. Format: deb(5), an ``ar`` archive whose ``data.tar`` is packed with xz, zstd or gzip.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from uplift.errors import TargetError
from uplift.lab import package_stream
from uplift.lab.kernel_modules import dependencies, module_bytes, module_files

MAX_FILE = 256 << 20  #: bytes of one file of the package
MAX_KEPT = 1 << 30  #: bytes of all files that are written
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
                for member in package_stream.tar_members(archive):
                    names |= self._take(archive, member)
        except package_stream.BROKEN as error:
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


def _data_tar(raw: BinaryIO) -> tarfile.TarFile:
    """Return the archive of a package's files.

    :raises ValueError: there is none.
    """
    for name, size in package_stream.deb_members(raw):
        if name.startswith("data.tar"):
            return package_stream.deb_tar(raw, size, name)
    raise ValueError("there is no data.tar in it, so it is no Debian package")
