"""Kernel modules as their packages hold them: which are needed for which, in which order.

A package has no ``modules.dep`` (depmod writes it when the package is installed), so dependencies
are read where depmod reads them: the line ``depends=`` of a module's ``.modinfo`` section.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from uplift.errors import TargetError

#: What a virtio port needs; what a kernel has built in is not found, and fine.
VIRTIO = ("virtio_pci", "virtio_console")
#: KVM of both vendors, and AMD's security processor, without which kvm_amd loads with less.
KVM = ("kvm", "kvm_intel", "ccp", "kvm_amd")
MAX_MODULE = 64 << 20
_MAX_FILES = 50_000
_DEPENDS = re.compile(rb"(?:^|\0)depends=([\w,-]{0,4096})\0")


def module_name(path: Path | str) -> str:
    """Return the name as the kernel has it: without suffix, dashes as underscores."""
    return Path(path).name.partition(".ko")[0].replace("-", "_")


def module_files(modules_dir: Path | None) -> dict[str, Path]:
    """Return every module below ``lib/modules/<release>``, by name; empty where there is none."""
    if modules_dir is None or not modules_dir.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in modules_dir.rglob("*.ko*"):
        if path.is_file() and len(found) < _MAX_FILES:
            found.setdefault(module_name(path), path)
    return found


def module_bytes(path: Path) -> bytes:
    """Return a module, unpacked.

    :raises TargetError: it cannot be unpacked, or is larger than any module.
    """
    try:
        if path.stat().st_size > MAX_MODULE:
            raise ValueError(f"it has more than {MAX_MODULE} bytes")
        data = path.read_bytes()
    except (ValueError, OSError) as error:
        raise _unreadable(path, error) from None
    return data if data.startswith(b"\x7fELF") else _unpacked(path, data)


def _unpacked(path: Path, data: bytes) -> bytes:
    from uplift.facts.kernel_image.unpack import NoUnpacker, unpack  # noqa: PLC0415 - start-up

    try:
        return unpack(data)
    except (ValueError, NoUnpacker) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> TargetError:
    return TargetError(
        f"cannot read the kernel module {path.name}", str(error), "check the kernel package"
    )


def dependencies(module: bytes) -> tuple[str, ...]:
    """Return the names of the modules that an unpacked module needs."""
    found = _DEPENDS.search(module)
    names = found[1].decode().split(",") if found else []
    return tuple(name.replace("-", "_") for name in names if name)


def load_order(files: Mapping[str, Path], wanted: Iterable[str]) -> dict[str, bytes]:
    """Return file name to unpacked module: ``wanted`` and all they need, each after its needs.

    What ``files`` has not is left out: the kernel has it built in, or was built without.
    """
    order: dict[str, bytes] = {}
    visited: set[str] = set()
    for name in wanted:
        for path, module in _visited(name, files, visited):
            order[f"{module_name(path)}.ko"] = module
    return order


def _visited(
    name: str, files: Mapping[str, Path], visited: set[str]
) -> Iterator[tuple[Path, bytes]]:
    if name in visited or name not in files:
        return
    visited.add(name)
    module = module_bytes(files[name])
    for need in dependencies(module):
        yield from _visited(need, files, visited)
    yield files[name], module
