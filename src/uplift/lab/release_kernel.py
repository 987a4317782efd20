"""A release's kernel: its image, its configuration and its modules, taken out of its packages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uplift.errors import TargetError
from uplift.facts.kernel_image.reader import read_kernel_image
from uplift.facts.model import Capture, CaptureStatus
from uplift.lab import apt
from uplift.lab.kernel_package import Kernel, kernel_in
from uplift.lab.release_root import Progress

_PART = re.compile(r"linux-(image|modules|modules-extra|binary|base)-(unsigned-)?[0-9][\w.+~-]*")
#: Modules that the kernel image's reader looks into.
_READ = ("kvm", "kvm_intel", "kvm_amd")
_RELEASE = "probe:kernel-image/release"
MAX_CONFIG = 4 << 20
MAX_ANNOTATIONS = 16 << 20
MAX_IMAGE = 256 << 20
MAX_MODULE = 64 << 20


@dataclass(frozen=True)
class KernelFiles:
    """What is read of a kernel.

    :param packages: (name, version) of the packages that it came from.
    :param modules: name, with underscores, to the bytes of some modules as they are in the file.
    :param loadable: the names of all modules, with underscores.
    :param builtin: the names of what would be modules and is built in.
    """

    release: str
    arch: str
    image: bytes
    config: bytes
    packages: tuple[tuple[str, str], ...]
    modules: Mapping[str, bytes]
    loadable: tuple[str, ...]
    builtin: tuple[str, ...]


def fetch(store: apt.Apt, package: str, arch: str, place: Path, say: Progress) -> KernelFiles:
    """Fetch the kernel that installing ``package`` brings, and read its files.

    :param package: ``linux-image-amd64``, or the package of one kernel.
    :param arch: ``uname -m``.
    :raises TargetError: there is none, or a file of it is larger than any kernel's.
    """
    parts = [(name, version) for name, version in store.to_install([package]) if _is_part(name)]
    if not parts:
        raise TargetError(
            f"cannot read the kernel of {package}",
            f"installing {package} brings no linux-image with a version",
            "name the package of a kernel",
        )
    shutil.rmtree(place, ignore_errors=True)
    (place / "packages").mkdir(parents=True)
    say(f"fetching {', '.join(name for name, _ in parts)}")
    for file in store.download([f"{n}={v}" for n, v in parts], place / "packages"):
        apt.unpack(file, place / "root")
    found = read(kernel_in(place / "root", arch), tuple(parts))
    shutil.rmtree(place, ignore_errors=True)
    return found


def _is_part(name: str) -> bool:
    return _PART.fullmatch(name) is not None


def read(kernel: Kernel, packages: Sequence[tuple[str, str]]) -> KernelFiles:
    """Read the files of an unpacked kernel."""
    files = {_module_name(path): path for path in sorted(kernel.modules_dir.rglob("*.ko*"))}
    builtin = kernel.modules_dir / "modules.builtin"
    listed = _limited(builtin, MAX_CONFIG).decode().split() if builtin.is_file() else []
    return KernelFiles(
        release=kernel.release,
        arch=kernel.arch,
        image=_limited(kernel.image, MAX_IMAGE),
        config=_limited(kernel.config, MAX_CONFIG) if kernel.config else b"",
        packages=tuple(packages),
        modules={name: _limited(files[name], MAX_MODULE) for name in _READ if name in files},
        loadable=tuple(files),
        builtin=tuple(sorted(_module_name(Path(path)) for path in listed)),
    )


def _module_name(path: Path) -> str:
    return path.name.partition(".ko")[0].replace("-", "_")


def _limited(path: Path, limit: int) -> bytes:
    size = path.stat().st_size
    if size > limit:
        raise TargetError(
            f"cannot read {path.name}",
            f"it has {size} bytes, more than any kernel's ({limit})",
            "check the package",
        )
    return path.read_bytes()


def captures(files: KernelFiles, annotations: Path | None = None) -> dict[str, Capture]:
    """Return the captures of a kernel, by id.

    :param annotations: Ubuntu's configuration annotations, which no binary package holds.
    """
    packages = "".join(f"{name} {version}\n" for name, version in files.packages)
    names = ", ".join(name for name, _ in files.packages)
    found = [
        _capture("probe:kernel-image/packages", packages.encode(), "the packages it came from"),
        *_image_captures(files),
    ]
    if files.config:
        name = f"file:/boot/config-{files.release}"
        found.append(_capture(name, files.config, f"the configuration in {names}"))
    if annotations is not None:
        text = _limited(annotations, MAX_ANNOTATIONS)
        found.append(_capture("file:annotations", text, f"given as {annotations.name}"))
    return {capture.id: capture for capture in found}


def _image_captures(files: KernelFiles) -> Iterator[Capture]:
    """Yield what is read out of the image; the file's name tells the release where nothing does."""
    modules = {name: files.modules.get(name, b"") for name in files.loadable}
    for capture in read_kernel_image(files.image, modules, files.arch, files.builtin):
        if capture.id == _RELEASE and not capture.usable:
            yield _capture(_RELEASE, f"{files.release}\n".encode(), "the name of the image's file")
        else:
            yield capture


def _capture(name: str, data: bytes, how: str) -> Capture:
    return Capture(name, CaptureStatus.OK, data, how)
