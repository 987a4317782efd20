"""A release's root file system, unpacked from its packages without being installed.

No maintainer script runs and no root is needed: packages are unpacked side by side, what their
scripts would have linked is linked, and programs run in namespaces of their own, without network,
/proc and /sys. Another architecture's programs run through QEMU's user emulation.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import pack, unpack_from

import uplift.lab.guest
from uplift.errors import TargetError
from uplift.lab import apt, process

Progress = Callable[[str], None]
ENTER = Path(uplift.lab.guest.__file__).with_name("enter_root.py")
_NAMESPACES = ("--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts")
_UNSHARE = ("unshare", *_NAMESPACES, "--fork", "--kill-child")
_CANNOT_RUN = 126
_PT_INTERP = 3
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_LDCONFIG_SECONDS = 300
_PRIVATE = ("proc", "sys", "dev", "run", "tmp", "var/lib/dpkg/updates", "var/lib/dpkg/info")

#: ``uname -m`` to ELF's data encoding, byte order and machine (System V ABI; elf.h).
_ELF = {
    "x86_64": (1, "<", 62),
    "aarch64": (1, "<", 183),
    "riscv64": (1, "<", 243),
    "s390x": (2, ">", 22),
    "ppc64le": (1, "<", 21),
}
_TRIPLETS = {"ppc64le": "powerpc64le-linux-gnu"}

#: What maintainer scripts link with update-alternatives: link, then what it may lead to.
_ALTERNATIVES = (
    ("usr/lib/{}/libblas.so.3", "usr/lib/{}/openblas-pthread/libblas.so.3"),
    ("usr/lib/{}/liblapack.so.3", "usr/lib/{}/openblas-pthread/liblapack.so.3"),
    ("usr/lib/{}/libopenblas.so.0", "usr/lib/{}/openblas-pthread/libopenblas.so.0"),
    ("usr/sbin/ovs-vswitchd", "usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"),
    ("usr/sbin/ovs-vswitchd", "usr/lib/openvswitch-switch/ovs-vswitchd"),
)


@dataclass(frozen=True)
class Root:
    """A root file system that programs can be run in.

    :param arch: ``uname -m`` of its programs.
    """

    path: Path
    arch: str

    @property
    def emulated(self) -> bool:
        """Whether its programs run through QEMU's user emulation."""
        return self.arch != platform.machine()

    @property
    def triplet(self) -> str:
        """The name of the directory of its libraries."""
        return _TRIPLETS.get(self.arch, f"{self.arch}-linux-gnu")

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        max_stdout: int = process.DEFAULT_MAX_STDOUT,
    ) -> process.Result:
        """Run one of its programs, as ``root`` of namespaces that end with it.

        :raises TargetError: this machine allows no such namespaces or cannot run its programs.
        """
        line = registration(self.arch) if self.emulated else ""
        enter = [sys.executable, "-I", "-S", str(ENTER), str(self.path), line]
        command = [*_UNSHARE, *enter, *argv]
        try:
            result = process.run(command, stdin=stdin, timeout=timeout, max_stdout=max_stdout)
        except OSError as error:
            raise _no_namespaces(str(error)) from error
        if result.returncode == _CANNOT_RUN:
            raise _cannot_emulate(self.arch, result.complaint)
        if result.returncode and not result.stdout and b"unshare:" in result.stderr:
            raise _no_namespaces(result.complaint)
        return result


def build(store: apt.Apt, packages: Sequence[str], place: Path, arch: str, say: Progress) -> Root:
    """Unpack ``packages`` and what they depend on below ``place``.

    :param arch: ``uname -m``.
    :raises TargetError: a package is not there, cannot be fetched or cannot be unpacked.
    """
    chosen = store.to_install(packages)
    if not chosen:
        raise TargetError(
            "cannot build the release's root",
            f"apt finds nothing to install for {', '.join(packages[:8])}",
            "check the suite's name",
        )
    fetched = place / "packages"
    fetched.mkdir(parents=True, exist_ok=True)
    say(f"fetching {len(chosen)} packages")
    files = store.download([f"{name}={version}" for name, version in chosen], fetched)
    root = Root(place / "root", arch)
    _prepare(root.path)
    for number, package in enumerate(files, 1):
        say(f"unpacking {number} of {len(files)}: {package.stem.partition('_')[0]}")
        _add(package, root.path, place / "one")
    _write_status(files, root.path)
    link_alternatives(root)
    say("listing its libraries")
    _list_libraries(root)
    return root


def _prepare(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    for name in _PRIVATE:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def _add(package: Path, root: Path, scratch: Path) -> None:
    """Unpack one package by itself, then move its files to where they belong."""
    shutil.rmtree(scratch, ignore_errors=True)
    apt.unpack(package, scratch)
    merge(scratch, root)
    shutil.rmtree(scratch, ignore_errors=True)


def merge(package: Path, root: Path) -> None:
    """Move the files below ``package`` below ``root``.

    A path that leads through a link is left out, so that no package writes outside of ``root``;
    the links of merged ``/usr`` are followed by name.
    """
    for directory, _, files in _walked(package):
        place = root / _merged(directory.relative_to(package))
        if not _is_plain(place, root):
            continue
        place.mkdir(parents=True, exist_ok=True)
        for name in files:
            target = place / name
            is_merged = directory == package and name in _MERGED
            if not is_merged and (target.is_symlink() or not target.is_dir()):
                (directory / name).replace(target)


def _walked(top: Path) -> Iterable[tuple[Path, list[str], list[str]]]:
    """Walk like :func:`os.walk`; a link to a directory counts as a file, as it is one."""
    for directory, names, files in os.walk(top):
        here = Path(directory)
        here.chmod(0o755)
        links = [name for name in names if (here / name).is_symlink()]
        yield here, names, files + links


def _merged(path: Path) -> Path:
    return Path("usr") / path if path.parts and path.parts[0] in _MERGED else path


def _is_plain(place: Path, root: Path) -> bool:
    """Whether no part of ``place`` below ``root`` is a link or a file."""
    parts = [place, *place.parents]
    below = parts[: parts.index(root)]
    return not any(p.is_symlink() or (p.exists() and not p.is_dir()) for p in below)


def _write_status(packages: Iterable[Path], root: Path) -> None:
    """Write dpkg's list as if the packages had been installed."""
    with (root / "var/lib/dpkg/status").open("w") as stream:
        for package in packages:
            control = apt.checked(["dpkg-deb", "-f", str(package)], apt.UNPACK_SECONDS)
            stream.write(f"{control.rstrip()}\nStatus: install ok installed\n\n")


def link_alternatives(root: Root) -> None:
    """Make the links that maintainer scripts would have made."""
    for link, target in _ALTERNATIVES:
        name, leads_to = (root.path / text.format(root.triplet) for text in (link, target))
        if leads_to.is_file() and not (name.is_symlink() or name.exists()):
            name.symlink_to(os.path.relpath(leads_to, name.parent))


def _list_libraries(root: Root) -> None:
    """Write the loader's cache with the release's own ldconfig."""
    program = "/usr/sbin/ldconfig"
    for name in ("ldconfig.real", "ldconfig"):
        if (root.path / "usr/sbin" / name).is_file():
            program = f"/usr/sbin/{name}"
            break
    result = root.run([program], timeout=_LDCONFIG_SECONDS)
    if not result.ok:
        raise TargetError(
            "cannot list the libraries of the release's root",
            f"{program} in it failed: {result.complaint or result.returncode}",
            "record it on a machine that can run its programs",
        )


def registration(arch: str) -> str:
    """Return the line for binfmt_misc that gives ``arch``'s programs to QEMU.

    :raises TargetError: there is no QEMU for them.
    """
    data, order, machine = _ELF[arch]
    magic = b"\x7fELF\x02" + bytes([data]) + b"\x01" + bytes(9) + pack(f"{order}HH", 2, machine)
    any_type = pack(f"{order}H", 0xFFFE)  # ET_EXEC or ET_DYN
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + any_type + b"\xff\xff"  # any OS ABI
    return f":uplift-{arch}:M::{_escaped(magic)}:{_escaped(mask)}:{_interpreter(arch)}:F"


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _interpreter(arch: str) -> str:
    """Return QEMU's user emulator; one that needs this machine's libraries cannot run in a root."""
    named = [shutil.which(name) for name in (f"qemu-{arch}-static", f"qemu-{arch}")]
    found = [path for path in named if path]
    if not found:
        raise _cannot_emulate(arch, f"there is no qemu-{arch}-static and no qemu-{arch}")
    static = next((path for path in found if not _wants_loader(Path(path).read_bytes())), "")
    if not static:
        raise _cannot_emulate(arch, f"{found[0]} is linked dynamically")
    return static


def _wants_loader(program: bytes) -> bool:
    """Whether a 64-bit ELF file of this machine names a loader (PT_INTERP; System V ABI)."""
    if program[:5] != b"\x7fELF\x02":
        return False
    start, size, count = *unpack_from("=Q", program, 32), *unpack_from("=HH", program, 54)
    kinds = (unpack_from("=I", program, start + number * size)[0] for number in range(count))
    return _PT_INTERP in kinds


def _cannot_emulate(arch: str, why: str) -> TargetError:
    return TargetError(
        f"cannot run programs of {arch} on this machine",
        why or "the kernel does not know their format",
        "install qemu-user-static (on newer releases: qemu-user-binfmt); without root this needs "
        f"Linux 6.7 or later. Or record on a machine of {arch}",
    )


def _no_namespaces(why: str) -> TargetError:
    return TargetError(
        "cannot run programs in the release's root",
        f"this machine allows no user namespace: {why}",
        "run as root, or allow them: sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
        "user.max_user_namespaces above 0",
    )
