"""Kernels and a Python for emulated machines, from the packages that this machine's apt offers.

apt is asked in directories of our own, so nothing is installed, no root is needed, and another
architecture's packages do not touch this machine's lists. Where packages come from is the
machine's own apt configuration, and apt checks what it fetches.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from uplift.errors import TargetError
from uplift.lab import apt, initramfs, process, release_sources
from uplift.lab.kernel_package import Kernel, kernel_in, unpack_package

__all__ = ["Kernel", "Userland", "fetch_kernel", "fetch_userland", "kernel_in"]

DEBIAN_ARCH = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64le": "ppc64el",
}
KERNEL_PACKAGES = ("linux-image-cloud-{}", "linux-image-{}", "linux-image-virtual")
_PYTHON_PACKAGES = ("python3-minimal", "libpython3-stdlib")
#: What the interpreter needs of their dependencies; the rest (dpkg, tar, Kerberos, …) stays out.
_NEEDED = re.compile(r"(python3|libpython3|libc6|libexpat1|zlib1g|libffi|libgcc-s1|libm-)")
#: Directories that the collector imports nothing from: an emulated machine unpacks 100 MiB/s.
_NOT_NEEDED = frozenset(
    (
        *("share", "dist-packages", "gconv", "ensurepip", "lib2to3", "pydoc_data", "idlelib"),
        *("asyncio", "email", "http", "html", "unittest", "distutils", "xml", "xmlrpc", "tkinter"),
        *("multiprocessing", "concurrent", "test", "curses", "sqlite3", "wsgiref", "dbm"),
        *("urllib", "venv", "zoneinfo", "logging", "tomllib"),
    )
)
#: Files likewise: extensions, encodings, tools and libraries that neither it nor Python wants.
_LEFT_OUT = re.compile(
    r"lib-dynload/(?!_ctypes\.|mmap|termios|fcntl|resource|_json|_queue|_contextvars)"
    r"|/encodings/(?!__init__|aliases|utf_8\.|ascii|latin_1|idna)"
    r"|/lib(?:mvec|nsl|resolv|expatw|nss_|BrokenLocale|thread_db|anl|memusage|pcprofile|c_malloc)"
    r"|/python3[.\d]*/(?:turtle|pydoc|mailbox|doctest|pdb|_pyio|_pydecimal|imaplib|pickletools)\."
    r"|/python3[.\d]*/(?:difflib|optparse|configparser|smtplib|ftplib|nntplib|cgi|plistlib)\."
    r"|/python3[.\d]*/(?:ssl|ipaddress|zipfile|statistics|fractions|profile|cProfile|trace)\."
    r"|/python3[.\d]*/(?:_strptime|calendar|aifc|wave|sunau|telnetlib|poplib|tabnanny)\."
    r"|/bin/(?!python3)|/sbin/"
)
_KERNEL_PART = re.compile(r"linux-(image|modules|binary|base)-(unsigned-)?[0-9][\w.+~-]*\Z")
#: Files of the archive all have the same time, so a check by time would discard the byte code.
_COMPILE_ALL = ("compileall", "-q", "-b", "--invalidation-mode", "unchecked-hash", "-r", "2")
#: Architectures that a machine's own release may lack, with the suite that has them since.
_SUITE_SINCE = {"riscv64": "trixie"}
_LAYOUT = "boot-3"  #: another number for another arrangement, so that no old cache is misread


def default_cache() -> Path:
    """Return where this user's fetched packages are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "uplift"


def fetch_kernel(
    arch: str,
    package: str = "",
    cache: Path | None = None,
    refresh: bool = False,
    suite: str = "",
) -> Kernel:
    """Return a distribution's kernel, from the cache or else from apt.

    :param arch: ``uname -m`` of the machine to boot.
    :param package: what to install for a kernel (``linux-image-amd64``); empty: the smallest of
        the distribution's standard ones.
    :param refresh: ask apt for the newest version even where the cache has one.
    :param suite: whose packages; empty: those of this machine's own apt configuration.
    :raises TargetError: apt has no such package or cannot fetch it.
    """
    store = _Store(arch, cache or default_cache(), suite)
    with store.locked():
        place = store.latest(f"kernel-{package or 'default'}", refresh)
        if place is None:
            place = _unpack_kernel(store, _kernel_parts(store, package))
            store.remember(f"kernel-{package or 'default'}", place)
    return kernel_in(place, arch)


@dataclass(frozen=True)
class Userland:
    """A Python interpreter for a machine, and what it needs.

    :param archive: a cpio archive.
    :param python: its version, ``3.11``; empty where unknown.
    """

    archive: Path
    python: str = ""


def fetch_userland(arch: str, cache: Path | None = None, refresh: bool = False) -> Userland:
    """Return the distribution's Python for ``arch``, from the cache or else from apt.

    :raises TargetError: apt has no Python for ``arch`` or cannot fetch it.
    """
    try:
        return _userland_of(_Store(arch, cache or default_cache()), refresh)
    except TargetError:
        if arch not in _SUITE_SINCE:
            raise
    return _userland_of(_Store(arch, cache or default_cache(), _SUITE_SINCE[arch]), refresh)


def _userland_of(store: _Store, refresh: bool) -> Userland:
    with store.locked():
        place = store.latest("userland", refresh)
        if place is None:
            place = _unpack_userland(store)
            store.remember("userland", place)
    return Userland(place / "userland.cpio", (place / "python").read_text())


def compile_for(version: str, argv: Sequence[str]) -> bool:
    """Run a compiler module of Python ``version``, if this machine has that version too.

    Emulated machines are slow, and byte code is the same on every architecture.

    :param argv: the module and its arguments.
    :return: whether it was done.
    """
    python = f"/usr/bin/python{version}"
    if not version or not os.access(python, os.X_OK):
        return False
    try:
        return process.run([python, "-I", "-S", "-m", *argv], timeout=apt.UNPACK_SECONDS).ok
    except OSError:
        return False


def _kernel_parts(store: _Store, package: str) -> tuple[str, ...]:
    """Return the packages that hold the image and its modules, found from the meta package."""
    names = [package] if package else [name.format(store.debian) for name in KERNEL_PACKAGES]
    for name in names:
        if name not in store.apt.names():
            continue
        parts = tuple(part for part in store.apt.dependencies(name) if _KERNEL_PART.match(part))
        if parts:
            return parts
    raise _no_package(store, " or ".join(names))


def _unpack_kernel(store: _Store, parts: Sequence[str]) -> Path:
    with store.workshop() as work:
        packages = store.apt.download(parts, work)
        (work / "kept").mkdir()
        for package in packages:
            unpack_package(package, work / "kept")
        return store.keep(work / "kept", "+".join(package.stem for package in packages)[:200])


def _unpack_userland(store: _Store) -> Path:
    wanted = [f"{n}={v}" for n, v in store.apt.to_install(_PYTHON_PACKAGES) if _NEEDED.match(n)]
    if not wanted:
        raise _no_package(store, " and ".join(_PYTHON_PACKAGES))
    with store.workshop() as work:
        for package in store.apt.download(wanted, work):
            apt.unpack(package, work / "root")
        version = _python_version(wanted)
        library = work / "root" / "usr/lib" / f"python{version}"
        compile_for(version, [*_COMPILE_ALL, str(library)])
        _drop_compiled_sources(library)
        (work / "kept").mkdir()
        (work / "kept" / "python").write_text(version)
        entries = initramfs.tree(work / "root", _NOT_NEEDED)
        packed = initramfs.archive(e for e in entries if not _LEFT_OUT.search(f"/{e.path}"))
        (work / "kept" / "userland.cpio").write_bytes(packed)
        return store.keep(work / "kept", "userland-" + sha256(packed).hexdigest()[:16])


def _drop_compiled_sources(library: Path) -> None:
    """Byte code beside where its source was is all that Python needs."""
    for compiled in library.rglob("*.pyc"):
        compiled.with_suffix(".py").unlink(missing_ok=True)


def _python_version(packages: Sequence[str]) -> str:
    found = (re.match(r"python(3\.\d+)-minimal=", name) for name in packages)
    return next((match[1] for match in found if match), "")


def _no_package(store: _Store, name: str) -> TargetError:
    return TargetError(
        f"cannot prepare a machine to boot on {store.arch}",
        f"apt on this machine offers no {name} for {store.debian}",
        f"add a source that has {store.debian} packages to apt, or pass a kernel image",
    )


class _Store:
    """One architecture's part of the cache: unpacked things, and names for the latest of each."""

    def __init__(self, arch: str, cache: Path, suite: str = "") -> None:
        if arch not in DEBIAN_ARCH:
            raise TargetError(
                f"cannot boot a machine of {arch}",
                "there is no Debian architecture for it here",
                f"choose one of {', '.join(DEBIAN_ARCH)}",
            )
        self.arch = arch
        self.debian = DEBIAN_ARCH[arch]
        self.root = cache / _LAYOUT / (f"{self.debian}-{suite}" if suite else self.debian)
        self._suite = suite

    @cached_property
    def apt(self) -> apt.Apt:
        """The packages of the suite, or of this machine's own sources."""
        known = release_sources.machine_archives() if self._suite else ()
        sources = (
            release_sources.sources([self._suite], self.debian, known) if self._suite else None
        )
        return apt.Apt(self.debian, self.root / "apt", sources)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this user out while packages are fetched."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """Give a directory beside the cache's own that is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="work-", dir=self.root) as name:
            yield Path(name)

    def latest(self, name: str, refresh: bool) -> Path | None:
        """Return what ``name`` stands for, if it is still there."""
        pointer = self.root / f"{name}.latest"
        if refresh or not pointer.is_file():
            return None
        place = self.root / Path(pointer.read_text().strip()).name
        return place if place.is_dir() else None

    def remember(self, name: str, place: Path) -> None:
        """Let ``name`` stand for ``place``."""
        (self.root / f"{name}.latest").write_text(place.name + "\n")

    def keep(self, made: Path, name: str) -> Path:
        """Move what was made into the cache."""
        place = self.root / name
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)
        return place
