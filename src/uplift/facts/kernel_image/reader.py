"""From the bytes of a packaged kernel to captures, one for each thing that can be read there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from uplift.facts.kernel_image import memory, names
from uplift.facts.kernel_image.emulation import NoEmulator
from uplift.facts.kernel_image.kvm_cpuid import REGISTERS, VENDORS, kvm_cpuid
from uplift.facts.kernel_image.memory import Memory
from uplift.facts.kernel_image.processor import NotRead
from uplift.facts.kernel_image.unpack import NoUnpacker, unpack
from uplift.facts.kernel_image.user_states import user_states
from uplift.facts.model import Capture, CaptureStatus

PREFIX = "probe:kernel-image/"
_X86, _ARM64, _RISCV = "x86_64", "aarch64", "riscv64"


def read_kernel_image(
    image: bytes, modules: Mapping[str, bytes], machine: str, builtin: Iterable[str] = ()
) -> list[Capture]:
    """Read what a kernel knows out of its image and its modules.

    Pure: no file is read and no process is started. Nothing is guessed: what cannot be read is a
    capture with its status and the reason.

    :param image: vmlinuz, Image, Image.gz, EFI zboot or vmlinux, as packaged.
    :param modules: name, with underscores, to the bytes of its file, compressed or not; empty
        bytes where only the name is known.
    :param machine: as ``uname -m`` says on it.
    :param builtin: names of what would be modules and is built in.
    """
    found = [_modules(modules, builtin)]
    tables = _tables(machine, modules)
    try:
        kernel = memory.of(unpack(image))
    except (ValueError, NoUnpacker) as error:
        status = CaptureStatus.ABSENT if isinstance(error, NoUnpacker) else CaptureStatus.FAILED
        return found + [_capture(name, status, detail=str(error)) for name in tables]
    return found + [_read(name, table, kernel) for name, table in tables.items()]


def _modules(modules: Mapping[str, bytes], builtin: Iterable[str]) -> Capture:
    kinds = dict.fromkeys(modules, "module") | dict.fromkeys(builtin, "builtin")
    lines = "".join(f"{name} {kind}\n" for name, kind in sorted(kinds.items()))
    if not lines:
        return _capture("modules", CaptureStatus.ABSENT, detail="no module of it is known")
    return _capture("modules", CaptureStatus.OK, lines, "the modules in the kernel's packages")


@dataclass(frozen=True)
class _Table:
    """Something that can be read of a kernel.

    :param lines: yields its lines, and puts into the list what could not be read of it.
    :param how: out of what it is read.
    """

    lines: Callable[[Memory, list[str]], Iterator[str]]
    how: str


def _read(name: str, table: _Table, kernel: Memory) -> Capture:
    lacking: list[str] = []
    try:
        text = "".join(f"{line}\n" for line in table.lines(kernel, lacking))
    except (names.NoTable, NotRead) as error:
        return _capture(name, CaptureStatus.ABSENT, how=table.how, detail=str(error))
    except ValueError as error:
        return _capture(name, CaptureStatus.FAILED, how=table.how, detail=str(error))
    status = CaptureStatus.OK if text else CaptureStatus.ABSENT
    return _capture(name, status, text, table.how, "; ".join(lacking))


def _capture(
    name: str, status: CaptureStatus, text: str = "", how: str = "", detail: str = ""
) -> Capture:
    return Capture(PREFIX + name, status, text.encode(), how, detail)


def _release(kernel: Memory, _: list[str]) -> Iterator[str]:
    words = kernel.banner.split()
    if len(words) < 3:
        raise NotRead("there is no line 'Linux version …' in it")
    yield words[2]


def _x86_flags(kernel: Memory, _: list[str]) -> Iterator[str]:
    return (f"{word} {bit} {name}" for word, bit, name in names.x86_flags(kernel))


def _xfeatures(kernel: Memory, lacking: list[str]) -> Iterator[str]:
    for index, name in names.xfeatures(kernel):
        yield f"{index} {name}"
    try:
        yield f"user-mask {user_states(kernel):#x}"
    except (NotRead, NoEmulator, ValueError) as error:
        lacking.append(f"user-mask: {error}")


def _kvm_cpuid(modules: Mapping[str, bytes], kernel: Memory, lacking: list[str]) -> Iterator[str]:
    for vendor in VENDORS:
        try:
            masks = kvm_cpuid(kernel, modules, vendor)
        except (names.NoTable, NotRead, NoEmulator, NoUnpacker, ValueError) as error:
            lacking.append(f"{vendor.name}: {error}")
            continue
        for (leaf, subleaf, register), mask in masks.items():
            yield f"{vendor.name} {leaf:x} {subleaf:x} {REGISTERS[register]} {mask:#x}"


def _arm64_hwcaps(kernel: Memory, _: list[str]) -> Iterator[str]:
    return iter(names.arm64_hwcaps(kernel))


def _riscv_isa(kernel: Memory, _: list[str]) -> Iterator[str]:
    return iter(names.riscv_isa(kernel))


def _tables(machine: str, modules: Mapping[str, bytes]) -> dict[str, _Table]:
    """Return what can be read of a kernel for ``machine``."""
    found = {"release": _Table(_release, "the banner in the kernel image")}
    if machine == _X86:
        found["x86-flags"] = _Table(_x86_flags, "x86_cap_flags in the kernel image")
        found["xfeatures"] = _Table(_xfeatures, "xfeature_names in the kernel image")
        how = "KVM's own code, emulated on a processor that has every CPUID bit"
        found["kvm-cpuid"] = _Table(partial(_kvm_cpuid, modules), how)
    elif machine == _ARM64:
        found["arm64-hwcaps"] = _Table(_arm64_hwcaps, "hwcap_str in the kernel image")
    elif machine == _RISCV:
        found["riscv-isa"] = _Table(_riscv_isa, "riscv_isa_ext in the kernel image")
    return found
