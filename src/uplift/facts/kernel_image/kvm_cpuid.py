"""Which CPUID bits a kernel's KVM passes on to guests, by running KVM's own code.

KVM works out at load time which of the processor's features it knows (``kvm_set_cpu_caps`` and what
the vendor's module adds and withholds), and answers ``KVM_GET_SUPPORTED_CPUID`` from that. Here
this code runs in a CPU emulator, on a processor that has everything: each CPUID bit reads as 1.
What KVM then answers is what it lets through.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from uplift.facts.kernel_image import btf
from uplift.facts.kernel_image.elf import Elf
from uplift.facts.kernel_image.emulation import Machine, Program, Stuck, World
from uplift.facts.kernel_image.memory import Memory

REGISTERS = ("eax", "ebx", "ecx", "edx")
_ONES = 0xFFFFFFFF
_SUPPORTED = 0xC008AE05  #: KVM_GET_SUPPORTED_CPUID, include/uapi/linux/kvm.h
_ENTRIES = 256
_ENTRY = struct.Struct("<7I12x")  #: struct kvm_cpuid_entry2, arch/x86/include/uapi/asm/kvm.h
_ASKED, _FOR_USER = 0x10000, 0x20000  #: addresses of the request and of the answer

Answer = dict[tuple[int, int], tuple[int, int, int, int]]


@dataclass(frozen=True)
class Vendor:
    """A maker of x86 processors and its KVM module.

    :param number: X86_VENDOR_*, asm/processor.h.
    :param operations: symbols that its ``struct kvm_x86_init_ops`` had over the years.
    """

    name: str
    module: str
    number: int
    family: int
    operations: tuple[str, ...]


VENDORS = (
    Vendor("intel", "kvm_intel", 0, 6, ("vt_init_ops", "vmx_init_ops")),
    Vendor("amd", "kvm_amd", 2, 0x1A, ("svm_init_ops",)),
)


def _processor(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """Answer CPUID for a processor that has everything; lists of subleaves end somewhere."""
    return _ONES, _ONES, _ONES, _ONES
