"""What may be named as a kernel to boot: packages, an image, a directory, a package of apt's."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from uplift.errors import TargetError
from uplift.lab.kernel_package import Kernel, kernel_in, unpack_package
from uplift.lab.packages import DEBIAN_ARCH, default_cache, fetch_kernel

MAX_IMAGE = 512 << 20
_APT = "apt:"
_PACKAGE = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?:/(?P<suite>[a-z][a-z0-9.+-]*))?")
_VERSION = re.compile(rb"[\w.+~-]{1,100}")
_PE_MACHINES = {0x8664: "x86_64", 0xAA64: "aarch64", 0x5064: "riscv64"}
_HEAD = 1 << 20
_LAYOUT = "kernels-1"


@dataclass(frozen=True)
class _Part:
    """One file or directory that was named.

    :param place: a directory as a package unpacks to.
    """

    named: str
    place: Path

    @property
    def has_image(self) -> bool:
        """Whether there is a kernel to boot in it."""
        images = ("boot/vmlinu[xz]-*", "lib/modules/*/vmlinuz", "usr/lib/modules/*/vmlinuz")
        return any(True for pattern in images for _ in self.place.glob(pattern))

    @property
    def is_empty(self) -> bool:
        """Whether it only names other packages."""
        return not any(self.place.iterdir())


def find_kernels(
    words: Sequence[str], arch: str = "", modules: Path | None = None, cache: Path | None = None
) -> list[Kernel]:
    """Return the kernels that ``words`` name, in order.

    :param words: each a package file (several that belong together joined with commas, or as words
        of their own), an image, a directory, or ``apt:PACKAGE[/SUITE]``.
    :param arch: ``uname -m``; empty: what the image says, or this machine's for ``apt:``.
    :param modules: ``lib/modules/<release>`` for images that come alone.
    :raises TargetError: one of them is none of that, or holds no kernel.
    """
    cache = cache or default_cache()
    found: list[Kernel] = []
    parts: list[_Part] = []
    for word in _separated(words):
        path = Path(word)
        if word.startswith(_APT):
            found.append(_of_apt(word, arch, cache))
        elif path.is_dir() or word.endswith(".deb"):
            parts.append(_Part(word, path if path.is_dir() else _unpacked(path, cache)))
        else:
            found.append(_of_image(path, arch, modules))
    found += _joined(parts, arch)
    return [_bootable(kernel, cache) for kernel in found]


def _separated(words: Iterable[str]) -> list[str]:
    """Split what commas join, except where the comma is in a file's name."""
    return [
        part
        for word in words
        for part in ([word] if Path(word).exists() else word.split(","))
        if part
    ]


def _of_apt(word: str, arch: str, cache: Path) -> Kernel:
    named = _PACKAGE.fullmatch(word.removeprefix(_APT))
    if named is None:
        raise TargetError(
            f"cannot boot {word[:100]!r}",
            "that is no name of a package",
            "write apt:PACKAGE or apt:PACKAGE/SUITE, as in apt:linux-image-cloud-amd64/sid",
        )
    wanted = arch or _arch_in(named["name"]) or os.uname().machine
    return fetch_kernel(wanted, named["name"], cache, suite=named["suite"] or "")


def _arch_in(package: str) -> str:
    """Return the architecture that a kernel package of Debian has in its name."""
    words = package.split("-")
    return next((arch for arch, debian in DEBIAN_ARCH.items() if debian in words), "")


def _unpacked(package: Path, cache: Path) -> Path:
    """Return where ``package`` is unpacked: in the cache, under what tells one file from others."""
    try:
        stat = package.stat()
    except OSError as error:
        raise _unreadable(package, error) from None
    told = f"{package.resolve()} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
    name = f"{package.stem[:80]}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    place = cache / _LAYOUT / name
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=place.parent) as work:
        made = Path(work) / "root"
        made.mkdir()
        unpack_package(package, made)
        _keep(made, place)
    return place


def _keep(made: Path, place: Path) -> None:
    """Move what was made to its place; somebody may have been faster."""
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise


def _joined(parts: Sequence[_Part], arch: str) -> list[Kernel]:
    """Return a kernel for each part with an image; the others add modules and configuration."""
    kernels = [(part, _in(part, arch)) for part in parts if part.has_image]
    others = [part for part in parts if not part.has_image]
    used: set[str] = set()
    whole = []
    for _, kernel in kernels:
        for other in others:
            with_more = _with(kernel, other.place)
            used |= {other.named} if with_more != kernel else set()
            kernel = with_more  # noqa: PLW2901 - grows part by part
        whole.append(kernel)
    for other in others:
        if other.named not in used and not (whole and other.is_empty):
            raise TargetError(
                f"cannot boot {other.named}",
                "there is no kernel image in it, nor in the other packages one of its release",
                "name the package with the image, too (linux-image-… or linux-binary-…)",
            )
    return whole


def _in(part: _Part, arch: str) -> Kernel:
    kernel = kernel_in(part.place, arch)
    return replace(kernel, arch=arch or image_arch(kernel.image))


def _with(kernel: Kernel, place: Path) -> Kernel:
    """Add what ``place`` has of the kernel's release."""
    tops = [place / top / "lib/modules" / kernel.release for top in ("", "usr")]
    configs = (place / "boot" / f"config-{kernel.release}", *(top / "config" for top in tops))
    modules = next((top for top in tops if (top / "kernel").is_dir()), kernel.modules_dir)
    config = next((path for path in configs if path.is_file()), kernel.config)
    if modules == kernel.modules_dir and config == kernel.config and any(t.is_dir() for t in tops):
        modules = next(top for top in tops if top.is_dir())
    return replace(kernel, modules_dir=modules, config=config)


def _of_image(image: Path, arch: str, modules: Path | None) -> Kernel:
    release = image_release(image) or image.name
    config = image.with_name(f"config-{release}")
    return Kernel(
        release,
        image,
        modules or image.parent / "no-modules",
        config if config.is_file() else None,
        arch or image_arch(image),
    )


def image_release(image: Path) -> str:
    """Return the release that an x86 image's header tells; empty where it tells none.

    Offsets: Linux, Documentation/arch/x86/boot.rst, ``kernel_version``.
    """
    head = _head(image)
    if head[0x202:0x206] != b"HdrS":
        return ""
    start = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    found = _VERSION.match(head, start)
    return found[0].decode("ascii", "replace") if found else ""


def image_arch(image: Path) -> str:
    """Return ``uname -m`` of the machine that an image is for.

    :raises TargetError: it is no kernel image, or cannot be read.
    """
    head = _head(image)
    if head[0x202:0x206] == b"HdrS":
        return "x86_64"
    from uplift.facts.kernel_image.unpack import flat_machine  # noqa: PLC0415 - start-up

    if head.startswith(b"\x1f\x8b"):
        head = _inflated_head(image)
    place = int.from_bytes(head[0x3C:0x40], "little")
    machine = int.from_bytes(head[place + 4 : place + 6], "little")
    found = flat_machine(head)
    if not found and head.startswith(b"MZ") and head[place : place + 4] == b"PE\0\0":
        found = _PE_MACHINES.get(machine, "")
    if found:
        return found
    raise TargetError(
        f"cannot boot {image}",
        "it is no kernel image that is known here: no bzImage, flat image or EFI image",
        "name a vmlinuz or Image file, a kernel package or a directory of one; or say --arch",
    )


def _head(image: Path) -> bytes:
    try:
        if not image.is_file():
            raise FileNotFoundError(2, "no such file")
        with image.open("rb") as stream:
            return stream.read(_HEAD)
    except OSError as error:
        raise _unreadable(image, error) from None


def _inflated_head(image: Path) -> bytes:
    try:
        with gzip.open(image) as stream:
            return stream.read(_HEAD)
    except (OSError, EOFError) as error:
        raise TargetError(
            f"cannot boot {image}", f"its gzip stream is broken: {error}", "check the file"
        ) from None


def _bootable(kernel: Kernel, cache: Path) -> Kernel:
    """Unpack an image that an emulator may not unpack itself: gzip, EFI zboot."""
    head = _head(kernel.image)
    packed = head.startswith(b"\x1f\x8b") or head[4:8] == b"zimg"
    if kernel.arch == "x86_64" or not packed:
        return kernel
    stat = kernel.image.stat()
    told = f"{kernel.image.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    name = f"{kernel.release[:80]}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.image"
    place = cache / _LAYOUT / name
    if not place.is_file():
        _unpack_image(kernel.image, place)
    return replace(kernel, image=place)


def _unpack_image(image: Path, place: Path) -> None:
    from uplift.facts.kernel_image.unpack import NoUnpacker, unpack  # noqa: PLC0415 - start-up

    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        if image.stat().st_size > MAX_IMAGE:
            raise ValueError(f"it has more than {MAX_IMAGE} bytes")
        data = unpack(image.read_bytes())
    except (ValueError, NoUnpacker) as error:
        raise TargetError(f"cannot unpack {image}", str(error), "check the file") from None
    part = place.with_name(f"{place.name}.{os.getpid()}")
    part.write_bytes(data)
    shutil.move(part, place)


def _unreadable(path: Path, error: OSError) -> TargetError:
    return TargetError(
        f"cannot boot {path}",
        error.strerror or str(error),
        "name a kernel package (.deb), an image, a directory, or apt:PACKAGE",
    )
