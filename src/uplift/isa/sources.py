"""Where files with instructions come from: packages, images, wheels, an installed system."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from uplift.errors import UpliftError
from uplift.isa import contents, control, deb, oci, snap, wheel
from uplift.isa.contents import HEAD, Contents, Found, Package

_SUFFIXES = (".deb", ".ddeb", ".udeb", ".snap", ".squashfs", ".whl", ".oci", ".tar", ".tar.gz",
             ".tgz", ".tar.xz", ".tar.zst")  # fmt: skip
_MAX_STATUS = 256 << 20
_MAX_LIST = 64 << 20


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Give what is in a package, an image, a wheel, or a single file, told by its first bytes.

    :raises UpliftError: it cannot be read, or is broken; also while ``files`` is read.
    """
    with contents.refusing(str(path), "package"), path.open("rb") as raw:
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        found = _contents(raw, status.st_size, path.name)
        found.files = contents.guarded(found.files, str(path), found.package.kind)
        yield found


def _contents(raw: BinaryIO, size: int, name: str) -> Contents:
    head = raw.read(HEAD)
    raw.seek(0)
    if head.startswith(b"!<arch>\n"):
        return deb.contents(raw)
    if head.startswith(b"hsqs"):
        return snap.contents(raw, size, name)
    if head.startswith(b"PK\x03\x04"):
        return wheel.contents(raw, size, name)
    if contents.wanted(name, head):
        package = Package("file", name)
        found = deb.file_in(name, raw, size, package)
        return Contents(package, iter([found] if found else []))
    return oci.contents(raw, size, name)


def packages_in(paths: Iterable[str]) -> Iterator[Path]:
    """Yield named files as they are, and of directories the packages and images, sorted.

    :raises UpliftError: nothing is called so.
    """
    for name in paths:
        path = Path(name)
        if path.is_dir():
            for directory, folders, names in os.walk(path):
                folders.sort()
                yield from (Path(directory, n) for n in sorted(names) if n.endswith(_SUFFIXES))
        elif path.is_file():
            yield path
        else:
            raise UpliftError(
                f"cannot audit {name[:200]!r}",
                "there is no such file or directory",
                "name a package, an image, or a directory that holds some",
            )


@dataclass(frozen=True)
class Installed:
    """A package of an installed system.

    :param files: the paths that dpkg recorded, as in the package.
    """

    package: Package
    files: tuple[str, ...]


def installed(root: Path) -> Iterator[Installed]:
    """Yield the packages that dpkg's database of a root names as installed.

    :raises UpliftError: there is no such database, or it is broken.
    """
    database = root / "var/lib/dpkg"
    with contents.refusing(str(database), "database of installed packages"):
        status = database / "status"
        if status.stat().st_size > _MAX_STATUS:
            raise ValueError(f"status has more than {_MAX_STATUS} bytes")
        with status.open(encoding="utf-8", errors="replace") as stream:
            for fields in control.stanzas(stream):
                if fields.get("Status", "").endswith(" installed"):
                    package = control.package(fields, "installed")
                    yield Installed(package, _listed(database / "info", package))


def _listed(info: Path, package: Package) -> tuple[str, ...]:
    for name in (f"{package.name}:{package.arch}.list", f"{package.name}.list"):
        path = info / Path(name).name
        if path.is_file() and path.stat().st_size <= _MAX_LIST:
            text = path.read_text("utf-8", "surrogateescape")
            return tuple(line.lstrip("/") for line in text.splitlines() if line not in ("", "/."))
    return ()


@contextmanager
def opened_installed(root: Path, one: Installed) -> Iterator[Contents]:
    """Give the files of an installed package; links and what lies outside of ``root`` are left."""
    found = Contents(one.package, iter(()))
    found.files = _installed_files(root.resolve(), one, found.notes)
    yield found


def _installed_files(root: Path, one: Installed, notes: list[str]) -> Iterator[Found]:
    for name in one.files:
        path = root / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode) or not _inside(path, root):
                continue
            with path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                found = deb.file_in(name, stream, size, one.package) if size > HEAD else None
        except (OSError, ValueError) as error:
            notes.append(f"{contents.printable(name)[:200]}: {error}")
            continue
        if found is not None:
            yield found


def _inside(path: Path, root: Path) -> bool:
    return path.parent.resolve().is_relative_to(root)
