"""Which CPUID bits a kernel's KVM passes on to guests, by running KVM's own code.

KVM works out when it is loaded which of the processor's features it knows, what the vendor's module
adds and withholds, and answers ``KVM_GET_SUPPORTED_CPUID`` from that. Here both modules are loaded
and asked in a CPU emulator, on a processor that has everything: each CPUID bit reads as 1. What
KVM then answers is what it lets through, with its modules' parameters as they are by default.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_

from uplift.facts.kernel_image import processor
from uplift.facts.kernel_image.emulation import Machine, Program, Stuck
from uplift.facts.kernel_image.memory import Memory
from uplift.facts.kernel_image.processor import NUMBERS, ONES, NotRead, Place, Registers, Vendor
from uplift.facts.kernel_image.unpack import unpack

REGISTERS = ("eax", "ebx", "ecx", "edx")
VENDORS = (
    Vendor("intel", "kvm_intel", number=0, family=6, pmu_version=5),
    Vendor("amd", "kvm_amd", number=2, family=0x1A, pmu_version=2),
)
_PATTERNS = (ONES, 0x55555555, 0xAAAAAAAA)  #: what each register of bits reads as, in turn
_SUPPORTED = 0xC008AE05  #: KVM_GET_SUPPORTED_CPUID, include/uapi/linux/kvm.h
_MOST_ENTRIES = 256
_ENTRY = struct.Struct("<7I12x")  #: struct kvm_cpuid_entry2, arch/x86/include/uapi/asm/kvm.h
_BASES = (0, 0x80000000)  #: what KVM makes up, from 0x40000000 on, is none of the processor's
_CAPS = 32  #: words of kvm_cpu_caps that are looked at; what follows the array does no harm

_Supported = Mapping[tuple[int, int], Registers]


def kvm_cpuid(kernel: Memory, modules: Mapping[str, bytes], vendor: Vendor) -> dict[Place, int]:
    """Return the bits of each CPUID register that KVM could pass on, for one vendor.

    A leaf that is left out is one that KVM passes nothing of on. A register that is left out of a
    leaf is no set of the processor's own bits: KVM's own number, or the lower of two.

    :param modules: name, with underscores, to the file as packaged; ``kvm`` and the vendor's.
    :raises NotRead: KVM's code is not there or did not come to its end.
    :raises NoEmulator: the emulator is not installed.
    :raises ValueError: a module is broken.
    """
    files = {name: unpack(modules.get(name, b"")) for name in ("kvm", vendor.module)}
    for name, file in files.items():
        if not file:
            raise NotRead(f"the file of module {name} is not among those given")
    layout = processor.layout(kernel)
    program = Program(kernel, files, ("pv_ops",))
    try:
        with_and_without = [_answers(program, layout, vendor, errata) for errata in (True, False)]
    except Stuck as error:
        raise NotRead(f"{vendor.module}: {error}") from None
    return _merged([dict(_masks(answers)) for answers in with_and_without])


def _merged(worlds: Sequence[Mapping[Place, int | None]]) -> dict[Place, int]:
    """Return what is passed on in any world; what is unclear in one is left out."""
    found: dict[Place, int | None] = {}
    for place in sorted({place for masks in worlds for place in masks}):
        masks = [world.get(place, 0) for world in worlds]
        found[place] = None if None in masks else reduce(or_, (mask or 0 for mask in masks))
    leaves = {place[:2] for place, mask in found.items() if mask != 0}
    return {p: mask for p, mask in found.items() if mask is not None and p[:2] in leaves}


@dataclass(frozen=True)
class _Answers:
    """What KVM answered, for each pattern in turn.

    :param caps: the words of ``kvm_cpu_caps``: what KVM worked out when it was loaded.
    """

    supported: Sequence[_Supported]
    caps: frozenset[int]


def _answers(program: Program, layout: processor.Layout, vendor: Vendor, errata: bool) -> _Answers:
    """Load KVM and ask what it supports: of some errata it passes on that they are not there."""
    with Machine(program, processor.world(layout, vendor)) as machine:
        processor.describe(machine, layout, vendor, errata)
        for name, linked in program.linked.items():
            start = linked.symbols.get("init_module")
            if start is not None:
                _checked(machine, f"loading {name}", start)
        words = machine.read(program.address("kvm_cpu_caps"), 4 * _CAPS)
        supported = []
        for pattern in _PATTERNS:
            machine.world.cpuid = partial(processor.cpuid, pattern)
            supported.append(_supported(machine))
    return _Answers(supported, frozenset(struct.unpack(f"<{_CAPS}I", words)))


def _checked(machine: Machine, what: str, function: int, *arguments: int) -> None:
    error = machine.call(function, *arguments)
    if error:
        raise Stuck(f"{what} returned {error}")


def _supported(machine: Machine) -> _Supported:
    """Ask as a program does with KVM_GET_SUPPORTED_CPUID."""
    asked, answer = machine.allocate(), machine.allocate()
    machine.write(asked, struct.pack("<I", _MOST_ENTRIES))
    entries = machine.next_allocation
    function = machine.program.address("kvm_dev_ioctl_get_cpuid")
    _checked(machine, "KVM_GET_SUPPORTED_CPUID", function, asked, answer, _SUPPORTED)
    (count,) = struct.unpack("<I", machine.read(asked, 4))
    made = machine.read(entries, _ENTRY.size * min(count, _MOST_ENTRIES))
    return {
        (leaf, subleaf): (a, b, c, d)
        for leaf, subleaf, _, a, b, c, d in _ENTRY.iter_unpack(made)
        if leaf & 0xF0000000 in _BASES
    }


def _masks(answers: _Answers) -> Iterator[tuple[Place, int | None]]:
    """Yield what each register passes on; None where it holds something else than bits."""
    for leaf, subleaf in answers.supported[0]:
        empty = (0, 0, 0, 0)
        lists = [supported.get((leaf, subleaf), empty) for supported in answers.supported]
        for index, values in enumerate(zip(*lists, strict=True)):
            place = (leaf, subleaf, index)
            yield place, _mask(place, values, answers.caps)


def _mask(place: Place, values: Sequence[int], caps: frozenset[int]) -> int | None:
    whole = values[0]
    if place in NUMBERS:
        return ONES if whole == NUMBERS[place] else None
    if len(set(values)) == 1:  # decided when KVM was loaded, or else a number of KVM's own
        return whole if whole == 0 or whole in caps else None
    bits = [whole & pattern for pattern in _PATTERNS]
    return whole if bits == list(values) else None
