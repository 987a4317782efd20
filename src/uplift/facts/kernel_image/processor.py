"""A processor that has everything, as the code of an emulated kernel meets it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from uplift.facts.kernel_image import names
from uplift.facts.kernel_image.btf import Btf
from uplift.facts.kernel_image.elf import Elf
from uplift.facts.kernel_image.emulation import Machine, World
from uplift.facts.kernel_image.memory import Memory

ONES = 0xFFFFFFFF
_ADDRESS_BITS = 48
_MOST_WORDS = 64  #: of features and errata

Place = tuple[int, int, int]  #: leaf, subleaf, index of the register
Registers = tuple[int, int, int, int]


class NotRead(Exception):
    """The kernel's code could not be run; says why."""


@dataclass(frozen=True)
class Vendor:
    """A maker of x86 processors and its KVM module.

    :param number: X86_VENDOR_*, asm/processor.h.
    :param family: of its recent processors.
    :param pmu_version: architectural performance monitoring, as its recent processors have it.
    """

    name: str
    module: str
    number: int
    family: int
    pmu_version: int


#: State components that only a supervisor can use: they stand in IA32_XSS, not in XCR0.
_SUPERVISOR = frozenset((8, *range(10, 17)))
_STATES = {
    (0xD, index, register): number
    for index in range(2, 63)
    for register, number in enumerate((64, 576, int(index in _SUPERVISOR), 0))  # size, offset
}

#: Registers that hold a number rather than bits, with a plausible one.
#: Sources: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E.
NUMBERS: Mapping[Place, int] = {
    (0x0, 0, 0): 0x0FFFFFFF,  # the highest leaf
    (0x80000000, 0, 0): 0x8FFFFFFF,
    (0x7, 0, 0): 0x0FFF,  # the highest subleaf
    (0x14, 0, 0): 1,
    (0x1D, 0, 0): 1,
    (0x1E, 0, 0): 1,
    (0x24, 0, 0): 1,
    (0x80000008, 0, 0): _ADDRESS_BITS << 8 | _ADDRESS_BITS,
    (0x8000000A, 0, 1): 0x8000,  # address space identifiers
    (0x8000001F, 0, 1): 0x6F,  # encryption bit 47, which costs one address bit
    (0x8000001F, 0, 2): 509,  # encrypted guests
    (0x8000001F, 0, 3): 100,  # the lowest identifier of one without encrypted state
    **_STATES,
}
#: Leaves that list something by subleaves, and how many: caches, levels of the topology.
_LISTS = {0x4: 8, 0xB: 2, 0x1F: 2, 0x8000001D: 8}

#: Flags (word, bit) that take something away: HYPERVISOR, XENPV, HYBRID_CPU (KVM then has no PMU).
_NOT_THERE = ((4, 31), (8, 16), (18, 15))

_PAT, _XSS, _EFER = 0x277, 0xDA0, 0xC0000080
_VMX_BASIC, _VMX_FIRST, _VMX_LAST = 0x480, 0x480, 0x493
#: A region of 1 KiB, write-back memory, and bits 54 to 56: INS/OUTS information, the TRUE controls,
#: exceptions with or without error codes (SDM vol. 3D, A.1).
_VMX_BASIC_VALUE = 1 | 0x400 << 32 | 6 << 50 | 7 << 54
#: Of these all 64 bits are capabilities; of the rest the upper half says what may be 1.
_VMX_PLAIN = frozenset((0x485, 0x486, 0x488, 0x48C, 0x491, 0x492))
_MSRS = {
    _PAT: 0x0007040600070406,  # as after reset
    _XSS: (1 << 64) - 1,
    _EFER: 0xD01,  # as Linux sets it
    _VMX_BASIC: _VMX_BASIC_VALUE,
}


def msr(number: int) -> int:
    """Answer RDMSR for a processor whose virtualization has everything."""
    if number in _MSRS:
        return _MSRS[number]
    if _VMX_FIRST <= number <= _VMX_LAST:
        return (1 << 64) - 1 if number in _VMX_PLAIN else ONES << 32
    return 0


def cpuid(pattern: int, leaf: int, subleaf: int) -> Registers:
    """Answer CPUID for a processor that has everything, or every other bit of it."""
    if subleaf >= _LISTS.get(leaf, subleaf + 1):
        return 0, 0, 0, 0
    a, b, c, d = (NUMBERS.get((leaf, subleaf, index), pattern) for index in range(4))
    return a, b, c, d


@dataclass(frozen=True)
class Layout:
    """Where a kernel keeps what it knows of its processor.

    :param cpu: members of ``struct cpuinfo_x86``, by byte.
    :param features: words of features in ``x86_capability``.
    :param errata: words of errata, which follow them.
    :param state_mask: the byte of ``max_features`` in ``fpu_user_cfg``; None where it has none.
    :param msr_by_pointer: whether ``native_read_msr_safe`` returns the value through its pointer
        (since Linux 7) rather than the error.
    :param pmu_words: of ``struct x86_pmu_capability``.
    """

    cpu: Mapping[str, int]
    features: int
    errata: int
    state_mask: int | None
    msr_by_pointer: bool
    pmu_words: int


def layout(kernel: Memory) -> Layout:
    """Read the layout out of the kernel's BTF.

    :raises NotRead: it has none, or none that tells.
    """
    section = Elf(kernel.data).section(".BTF") if kernel.data.startswith(b"\x7fELF") else None
    if section is None or not section.data or "boot_cpu_data" not in kernel.symbols:
        raise NotRead("the kernel image has no BTF, which tells where it keeps CPU features")
    types = Btf(section.data)
    members = types.members("cpuinfo_x86")
    if not {"x86", "x86_vendor", "x86_capability"} <= members.keys():
        raise NotRead("the kernel's BTF does not describe struct cpuinfo_x86")
    start = members["x86_capability"]
    words = (min((n for n in members.values() if n > start), default=start) - start) // 4
    features = names.x86_words(kernel)
    if not 0 < features <= words <= _MOST_WORDS:
        raise NotRead(f"the kernel's BTF has {words} words of CPU features, its table {features}")
    return Layout(
        cpu=members,
        features=features,
        errata=words - features,
        state_mask=types.members("fpu_state_config").get("max_features"),
        msr_by_pointer=types.pointed_size("native_read_msr_safe", 1) == 8,
        pmu_words=8 if "pebs_ept" in types.members("x86_pmu_capability") else 7,
    )


def world(layout: Layout, vendor: Vendor, pattern: int = ONES) -> World:
    """Return what a processor that has everything answers to a kernel's code."""
    functions: dict[str, Callable[[Machine], int]] = {
        "native_cpuid": _native_cpuid,
        "__cpuid": _native_cpuid,
        "native_read_msr": lambda machine: msr(machine.argument(0) & ONES),
        "native_read_msr_safe": partial(_native_read_msr_safe, layout.msr_by_pointer),
        "perf_get_x86_pmu_capability": partial(_pmu_capability, layout, vendor),
    }
    return World(partial(cpuid, pattern), msr, functions)


def describe(machine: Machine, layout: Layout, vendor: Vendor, errata: bool) -> None:
    """Fill in what the kernel keeps of its processor: every feature.

    :param errata: whether the processor has every erratum that the kernel knows, or none.
    """
    for start in (machine.program.address("boot_cpu_data"), *machine.per_cpu("cpu_info")):
        place = start + layout.cpu["x86_capability"]
        machine.write(place, b"\xff" * 4 * layout.features)
        machine.write(place + 4 * layout.features, (b"\0", b"\xff")[errata] * 4 * layout.errata)
        for word, bit in (flag for flag in _NOT_THERE if flag[0] < layout.features):
            machine.write(place + 4 * word, (ONES ^ 1 << bit).to_bytes(4, "little"))
        for name, value in _numbers(vendor).items():
            if name in layout.cpu:
                machine.write(start + layout.cpu[name], value)


def _numbers(vendor: Vendor) -> dict[str, bytes]:
    return {
        "x86": bytes([vendor.family]),
        "x86_vendor": bytes([vendor.number]),
        "cpuid_level": b"\xff\xff\0\0",
        "x86_phys_bits": bytes([_ADDRESS_BITS]),
        "x86_virt_bits": bytes([_ADDRESS_BITS]),
        "x86_power": b"\xff" * 4,  # CPUID 80000007H EDX
    }


def _native_cpuid(machine: Machine) -> int:
    places = [machine.argument(index) for index in range(4)]
    leaf, subleaf = (int.from_bytes(machine.read(places[n], 4), "little") for n in (0, 2))
    for place, value in zip(places, machine.world.cpuid(leaf, subleaf), strict=True):
        machine.write(place, value.to_bytes(4, "little"))
    return 0


def _native_read_msr_safe(by_pointer: bool, machine: Machine) -> int:
    value, pointer = msr(machine.argument(0) & ONES), machine.argument(1)
    machine.write(pointer, value.to_bytes(8, "little") if by_pointer else bytes(4))
    return 0 if by_pointer else value


def _pmu_capability(layout: Layout, vendor: Vendor, machine: Machine) -> int:
    """Describe the counters: version, how many, how wide; the flags in the last word are set."""
    words = (vendor.pmu_version, 8, 4, 48, 48, 0, 8, ONES)[: layout.pmu_words]
    machine.write(machine.argument(0), struct.pack(f"<{len(words)}I", *words))
    return 0
