"""A clean root file system that packages are built in: unprivileged, without network.

Everything that a package's scripts, rules and tests do happens in namespaces in which one user
identity is mapped: the caller's own, or where root calls, one that owns nothing else. apt outside
chooses, fetches and verifies what goes in; nothing inside reaches the network, the user's home or
any file that is not the root's.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uplift.lab.guest
from uplift.errors import TargetError
from uplift.lab import apt, process

Progress = Callable[[str], None]
ENTER = Path(uplift.lab.guest.__file__).with_name("enter_build_root.py")
#: Who root becomes: the last 64 KiB of what systemd's "Users, Groups, UIDs and GIDs" gives to
#: containers, so no user of this machine.
OWNER = 1878982656
BUILD_PLACE = "build"
_FIRST = ("?essential", "apt")
_MORE = ("build-essential", "fakeroot")
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_PLACES = ("proc", "sys", "dev", "run", "tmp", "debs", BUILD_PLACE, "etc/apt/apt.conf.d")
_LAYOUT = "root-1"  #: another number for another arrangement, so that no old base is taken
_NO_NAMESPACES = 125
_INSTALL_SECONDS = 3600
_UNPACK_SECONDS = 600
_MAX_PACKAGE = 2 << 30
_WATCH_SECONDS = 10.0
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    "USER": "builder",
    "LOGNAME": "builder",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
}
_APT_SETTINGS = (
    'APT::Sandbox::User "root";\nAPT::Get::Assume-Yes "true";\n'
    'APT::Install-Recommends "false";\nAcquire::Languages "none";\n'
)
_ACCOUNTS = (
    ("etc/passwd", b"builder:x:1000:1000::/nonexistent:/bin/sh\n"),
    ("etc/group", b"builder:x:1000:\n"),
)
_NO_SERVICES = b"#!/bin/sh\nexit 101\n"


@dataclass(frozen=True)
class Limits:
    """What one step in a root may use.

    :param seconds: until it is killed with all it started.
    :param disk: bytes that files below the root may take in all.
    :param file: bytes that any one file may reach.
    """

    seconds: float = 4 * 3600
    disk: int = 40 << 30
    file: int = 8 << 30
    processes: int = 4096


@dataclass(frozen=True)
class Step:
    """How one step in a root ended.

    :param over: why it was stopped; empty where it ended by itself.
    """

    returncode: int
    seconds: float
    output: bytes = b""
    over: str = ""
    complaint: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with success."""
        return self.returncode == 0 and not self.over


@dataclass(frozen=True)
class BuildRoot:
    """One root file system.

    :param place: a directory that holds the root as ``root``; it is removed with the build.
    """

    place: Path

    @property
    def path(self) -> Path:
        """Where the root is."""
        return self.place / "root"

    def run(  # noqa: PLR0913 - each is a part of what is run
        self,
        argv: Sequence[str],
        *,
        limits: Limits = Limits(),
        builder: bool = False,
        directory: str = "",
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        inside: bool = True,
        stdin: bytes = b"",
    ) -> Step:
        """Run one program in the root.

        :param builder: as an ordinary user; else as what its scripts take for root.
        :param directory: inside, where it starts.
        :param log: gets the output; without it, the step's ``output`` is standard output.
        :param inside: False: outside of the root, still in namespaces, in :attr:`place`.
        :raises TargetError: this machine allows no user namespaces.
        """
        orders = {
            "uid": OWNER,
            "inside": inside,
            "builder": builder,
            "directory": directory,
            "log": str(log.resolve()) if log else "",  # it starts in another directory
            "max_file": limits.file,
            "max_processes": limits.processes if builder else 0,
            "environment": {**ENVIRONMENT, **(environment or {})},
        }
        command = [sys.executable, "-I", "-S", str(ENTER), json.dumps(orders), *argv]
        watch = _DiskWatch(self.path, limits.disk)
        with watch:
            try:
                result = process.run(
                    command,
                    stdin=stdin,
                    timeout=limits.seconds,
                    stop=watch.full,
                    cwd=self.path if inside else self.place,
                )
            except OSError as error:
                raise _no_namespaces(str(error)) from error
        if result.returncode == _NO_NAMESPACES and b"namespaces:" in result.stderr:
            raise _no_namespaces(result.complaint)
        over = ""
        if result.timed_out:
            used = f"more than {limits.disk >> 20} MiB on disk"
            over = used if watch.full.is_set() else f"more than {limits.seconds:.0f} s"
        return Step(result.returncode, result.seconds, result.stdout, over, result.complaint)

    def add(self, packages: Sequence[Path], log: Path) -> None:
        """Install packages that were fetched, with nothing else.

        :raises TargetError: their scripts fail.
        """
        if not packages:
            return
        names = [f"/debs/{path.name}" for path in packages]
        for path in packages:
            give(path, self.path / "debs" / path.name)
        step = self.run(
            ["apt-get", "install", "--allow-downgrades", "--", *names],
            limits=Limits(seconds=_INSTALL_SECONDS),
            log=log,
        )
        for name in names:
            (self.path / name.lstrip("/")).unlink(missing_ok=True)
        check(step, f"cannot install {len(packages)} packages in the clean root", log)

    @property
    def status(self) -> bytes:
        """What dpkg has installed, as its status file says it."""
        return (self.path / "var/lib/dpkg/status").read_bytes()

    def remove(self) -> None:
        """Remove the root and all that was made in it."""
        remove(self.place)


class _DiskWatch:
    """Sets ``full`` when the files below a directory take more than they may."""

    def __init__(self, top: Path, most: int) -> None:
        self.full = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(top, most), daemon=True)

    def __enter__(self) -> _DiskWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self, top: Path, most: int) -> None:
        while not self._done.wait(_WATCH_SECONDS):
            if disk_use(top, self._done) > most:
                self.full.set()
                return


def disk_use(top: Path, stop: threading.Event | None = None) -> int:
    """Return how many bytes the files below ``top`` take on disk; nothing is followed."""
    total, waiting = 0, [str(top)]
    while waiting and not (stop and stop.is_set()):
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:  # it went away, or was closed to us
            continue
    return total


def give(source: Path, to: Path) -> None:
    """Copy a file to where the root's programs can read it."""
    to.unlink(missing_ok=True)
    shutil.copyfile(source, to)
    to.chmod(0o644)


def own(path: Path) -> None:
    """Give a new directory to the identity that works in it."""
    path.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(path, OWNER, OWNER)


def remove(place: Path) -> None:
    """Remove a directory whose parts may have been closed to their owner."""

    def reopen(_: object, path: str, __: object) -> None:
        parent = Path(path).parent
        try:
            parent.chmod(0o700)
            if not Path(path).is_symlink() and Path(path).is_dir():
                Path(path).chmod(0o700)
                shutil.rmtree(path, ignore_errors=True)
            else:
                Path(path).unlink(missing_ok=True)
        except OSError:
            return

    shutil.rmtree(place, onerror=reopen)


def check(step: Step, problem: str, log: Path) -> None:
    if step.ok:
        return
    raise TargetError(
        problem,
        step.over or f"{last_words(log) or step.complaint or step.returncode}",
        f"the whole story is in {log}",
    )


def last_words(log: Path) -> str:
    """Return the last error that a log tells, safe to print."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 65536))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    errors = [line for line in lines if "error" in line.lower() or line.startswith("E:")]
    return process.printable((errors or lines or [""])[-1])


def base(store: apt.Apt, cache: Path, key: str, say: Progress, refresh: bool = False) -> Path:
    """Return an archive of a minimal root with compilers, made where there is none yet.

    :param key: what the root is made of, as a file name: architecture and suites.
    :raises TargetError: a package cannot be fetched, or its scripts fail.
    """
    place = cache / _LAYOUT
    archive = place / f"{key}.tar"
    if archive.is_file() and not refresh:
        return archive
    place.mkdir(parents=True, exist_ok=True)
    work = place / f"{key}.{os.getpid()}.work"
    remove(work)
    own(work)
    try:
        _make(store, BuildRoot(work), place / f"{key}.log", say)
        made = work / "base.tar"
        made.replace(archive)
        archive.chmod(0o644)
    finally:
        remove(work)
    return archive


def _make(store: apt.Apt, root: BuildRoot, log: Path, say: Progress) -> None:
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    first = store.to_install(_FIRST)
    every = store.to_install([*_FIRST, *_MORE])
    if not first or not every:
        raise TargetError(
            "cannot make a clean root",
            "apt finds no essential packages",
            "check the suites' names and that each has this architecture",
        )
    fetched = root.place / "fetched"
    fetched.mkdir()
    say(f"fetching {len(every)} packages for a clean root")
    files = store.download([f"{name}={version}" for name, version in every], fetched)
    early = frozenset(name for name, _ in first)
    start = [path for path in files if path.name.partition("_")[0] in early]
    _prepare(root)
    for number, path in enumerate(start, 1):
        say(f"unpacking {number} of {len(start)}")
        _unpack(root, path)
    say(f"installing {len(files)} packages in a clean root")
    _install_first(root, start, log)
    root.add([path for path in files if path not in start], log)
    for name, line in _ACCOUNTS:
        words = ["dd", "status=none", "oflag=append", "conv=notrunc", f"of=root/{name}"]
        _outside(root, words, line)
    step = root.run(
        ["tar", "-c", "-f", "base.tar", "-C", "root", "."],
        inside=False,
        limits=Limits(seconds=_UNPACK_SECONDS),
    )
    if not step.ok:
        raise TargetError("cannot keep the clean root", step.complaint, "make room on the disk")


def _prepare(root: BuildRoot) -> None:
    own(root.path)
    steps = [["mkdir", "-p", *(f"root/{name}" for name in _PLACES)]]
    steps.append(["mkdir", "-p", *(f"root/usr/{name}" for name in _MERGED)])
    steps += [["ln", "-s", f"usr/{name}", f"root/{name}"] for name in _MERGED]
    steps.append(["chmod", "1777", "root/tmp", "root/debs", f"root/{BUILD_PLACE}"])
    steps.append(["mkdir", "-p", "root/usr/sbin", "root/var/lib/dpkg", "root/etc"])
    steps.append(["touch", "root/var/lib/dpkg/status", "root/var/lib/dpkg/available"])
    for words in steps:
        _outside(root, words)
    _write(root, "etc/apt/apt.conf.d/00root", _APT_SETTINGS.encode())
    _write(root, "usr/sbin/policy-rc.d", _NO_SERVICES, "755")
    _write(root, "etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")
    _write(root, "etc/hostname", b"build\n")
    _write(root, "etc/fstab", b"")


def _write(root: BuildRoot, name: str, content: bytes, mode: str = "644") -> None:
    """Write a file as the root's own user."""
    if content:
        _outside(root, ["dd", "status=none", f"of=root/{name}"], content)
    else:
        _outside(root, ["touch", f"root/{name}"])
    _outside(root, ["chmod", mode, f"root/{name}"])


def _outside(root: BuildRoot, words: Sequence[str], stdin: bytes = b"") -> None:
    step = root.run(words, inside=False, stdin=stdin)
    if not step.ok:
        raise TargetError("cannot make a clean root", step.complaint, "make room on the disk")


def _unpack(root: BuildRoot, package: Path) -> None:
    data = process.run(
        ["dpkg-deb", "--fsys-tarfile", str(package)],
        timeout=_UNPACK_SECONDS,
        max_stdout=_MAX_PACKAGE,
    )
    words = ["tar", "-x", "-p", "--keep-directory-symlink", "-C", "root", "-f", "-"]
    step = root.run(words, inside=False, stdin=data.stdout)
    if not data.ok or not step.ok:
        raise TargetError(
            f"cannot unpack {package.name}",
            data.complaint if not data.ok else step.complaint,
            "make room on the disk, or fetch it again",
        )


def _install_first(root: BuildRoot, packages: Sequence[Path], log: Path) -> None:
    """Install what dpkg itself needs; all of it is unpacked, so its programs run already."""
    for path in packages:
        give(path, root.path / "debs" / path.name)
    step = root.run(
        ["dpkg", "--force-depends", "--install", *(f"/debs/{path.name}" for path in packages)],
        limits=Limits(seconds=_INSTALL_SECONDS),
        log=log,
    )
    for path in packages:
        (root.path / "debs" / path.name).unlink(missing_ok=True)
    check(step, "cannot install the essential packages in a clean root", log)


def fresh(archive: Path, place: Path) -> BuildRoot:
    """Return a root unpacked from the archive of a base.

    :param place: a directory that does not exist yet.
    :raises TargetError: it cannot be unpacked.
    """
    own(place)
    root = BuildRoot(place)
    own(root.path)
    given = place / "base.tar"
    try:
        given.hardlink_to(archive)
    except OSError:
        shutil.copyfile(archive, given)
    words = ["tar", "-x", "-p", "-C", "root", "-f", "base.tar"]
    step = root.run(words, inside=False, limits=Limits(seconds=_UNPACK_SECONDS))
    given.unlink()
    if not step.ok:
        raise TargetError("cannot unpack a clean root", step.complaint, "make room on the disk")
    return root


def _no_namespaces(why: str) -> TargetError:
    return TargetError(
        "cannot build in a clean root",
        f"this machine allows no user namespace: {why}",
        "allow them: sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
        "user.max_user_namespaces above 0; in a container, its runtime must",
    )
