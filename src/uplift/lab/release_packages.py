"""Which packages stand for a release: its compilers, emulator, libraries and kernels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

#: What the collector and the root itself need.
_ROOT = ("base-files", "bash", "coreutils", "dpkg", "libc-bin", "python3", "sed", "grep")
#: Component to packages; of ``a|b`` the first that the suite has.
_COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "toolchain": ("gcc", "clang", "binutils"),
    "libc": ("libc6", "libc-bin", "libc6-dev"),
    "libvirt": ("libvirt-daemon", "libvirt0", "libvirt-clients", "libvirt-common"),
    "libraries": ("openssl", "libopenblas0-pthread", "python3-numpy"),
    "network": ("openvswitch-switch", "openvswitch-switch-dpdk", "dpdk"),
}
_EMULATOR: Mapping[str, str] = {
    "amd64": "qemu-system-x86",
    "arm64": "qemu-system-arm",
    "riscv64": "qemu-system-riscv|qemu-system-misc",
    "s390x": "qemu-system-s390x|qemu-system-misc",
    "ppc64el": "qemu-system-ppc",
}
#: Set to the package that installs its kernel.
_KERNELS: Mapping[str, str] = {
    "base": "linux-image-{}|linux-image-generic",
    "cloud": "linux-image-cloud-{}",
    "16k": "linux-image-{}-16k",
    "64k": "linux-image-{}-64k|linux-image-generic-64k",
}
_NUMBERED = re.compile(r"(gcc|clang)-(\d+)")


def wanted_packages(
    arch: str, available: Collection[str], more: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return what to install for a release's root, of what its suites have.

    :param arch: Debian's name of the architecture.
    :param available: the names of all packages of the suites.
    :param more: further packages, whether or not they are there.
    """
    wishes = [*_ROOT, *(name for names in _COMPONENTS.values() for name in names)]
    wishes.append(_EMULATOR.get(arch, ""))
    found = [_first(wish, available) for wish in wishes]
    return tuple(dict.fromkeys(n for n in (*found, *_newest_compilers(available), *more) if n))


def missing_packages(arch: str, available: Collection[str]) -> tuple[str, ...]:
    """Return the wishes that the suites do not have, as they stand in the lists."""
    wishes = [name for names in _COMPONENTS.values() for name in names]
    wishes.append(_EMULATOR.get(arch, ""))
    return tuple(wish for wish in wishes if wish and not _first(wish, available))


def kernel_packages(arch: str, available: Collection[str]) -> dict[str, str]:
    """Return set to kernel package: the base, and every flavour that the suites have."""
    found = {name: _first(wish.replace("{}", arch), available) for name, wish in _KERNELS.items()}
    return {name: package for name, package in found.items() if package}


def _first(wish: str, available: Collection[str]) -> str:
    return next((name for name in wish.split("|") if name in available), "")


def _newest_compilers(available: Iterable[str]) -> list[str]:
    newest: dict[str, int] = {}
    for name in available:
        match = _NUMBERED.fullmatch(name)
        if match:
            newest[match[1]] = max(newest.get(match[1], 0), int(match[2]))
    return [f"{name}-{number}" for name, number in sorted(newest.items())]
