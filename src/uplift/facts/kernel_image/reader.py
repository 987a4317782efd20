"""From the bytes of a packaged kernel to captures, one for each thing that can be read there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from uplift.facts.kernel_image import memory, names
from uplift.facts.kernel_image.memory import Memory
from uplift.facts.kernel_image.unpack import NoUnpacker, unpack
from uplift.facts.model import Capture, CaptureStatus

PREFIX = "probe:kernel-image/"
_X86, _ARM64, _RISCV = "x86_64", "aarch64", "riscv64"


class Unreadable(Exception):
    """The image is sound, and what was looked for is not in it."""


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
    try:
        kernel = memory.of(unpack(image))
    except (ValueError, NoUnpacker) as error:
        status = CaptureStatus.ABSENT if isinstance(error, NoUnpacker) else CaptureStatus.FAILED
        wanted = ("release", *_tables(machine))
        found += [_capture(name, status, detail=str(error)) for name in wanted]
        return found
    found.append(_read("release", partial(_release, kernel), "the banner in the kernel image"))
    for name, (read, how) in _tables(machine).items():
        found.append(_read(name, partial(read, kernel), how))
    return found


def _modules(modules: Mapping[str, bytes], builtin: Iterable[str]) -> Capture:
    kinds = dict.fromkeys(modules, "module") | dict.fromkeys(builtin, "builtin")
    lines = "".join(f"{name} {kind}\n" for name, kind in sorted(kinds.items()))
    if not lines:
        return _capture("modules", CaptureStatus.ABSENT, detail="no module of it is known")
    return _capture("modules", CaptureStatus.OK, lines, "the modules in the kernel's packages")


def _read(name: str, lines: Callable[[], Iterator[str]], how: str) -> Capture:
    try:
        text = "".join(f"{line}\n" for line in lines())
    except (names.NoTable, Unreadable) as error:
        return _capture(name, CaptureStatus.ABSENT, detail=str(error), how=how)
    except ValueError as error:
        return _capture(name, CaptureStatus.FAILED, detail=str(error), how=how)
    return _capture(name, CaptureStatus.OK, text, how)


def _capture(
    name: str, status: CaptureStatus, text: str = "", how: str = "", detail: str = ""
) -> Capture:
    return Capture(PREFIX + name, status, text.encode(), how, detail)


def _release(kernel: Memory) -> Iterator[str]:
    words = kernel.banner.split()
    if len(words) < 3:
        raise Unreadable("there is no line 'Linux version …' in it")
    yield words[2]


def _x86_flags(kernel: Memory) -> Iterator[str]:
    return (f"{word} {bit} {name}" for word, bit, name in names.x86_flags(kernel))


def _xfeatures(kernel: Memory) -> Iterator[str]:
    return (f"{index} {name}" for index, name in names.xfeatures(kernel))


def _arm64_hwcaps(kernel: Memory) -> Iterator[str]:
    return iter(names.arm64_hwcaps(kernel))


def _riscv_isa(kernel: Memory) -> Iterator[str]:
    return iter(names.riscv_isa(kernel))


_Table = tuple[Callable[[Memory], Iterator[str]], str]


def _tables(machine: str) -> dict[str, _Table]:
    """Return what can be read of a kernel for ``machine``, and out of what."""
    tables: dict[str, dict[str, _Table]] = {
        _X86: {
            "x86-flags": (_x86_flags, "x86_cap_flags in the kernel image"),
            "xfeatures": (_xfeatures, "xfeature_names in the kernel image"),
        },
        _ARM64: {"arm64-hwcaps": (_arm64_hwcaps, "hwcap_str in the kernel image")},
        _RISCV: {"riscv-isa": (_riscv_isa, "riscv_isa_ext in the kernel image")},
    }
    return tables.get(machine, {})
