"""What an emulated CPU model promises, checked on fresh boots and on recordings of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from uplift.facts.model import Snapshot, Value
from uplift.facts.parsers import read_facts

#: Where CPUID says what the emulator's warnings name (Intel SDM vol. 2A, CPUID; AMD APM vol. 3).
CPUID_BITS = {
    "pcid": ("cpuid.1.0.ecx", 17),
    "x2apic": ("cpuid.1.0.ecx", 21),
    "hle": ("cpuid.7.0.ebx", 4),
    "invpcid": ("cpuid.7.0.ebx", 10),
    "rtm": ("cpuid.7.0.ebx", 11),
    "avx512f": ("cpuid.7.0.ebx", 16),
    "avx512dq": ("cpuid.7.0.ebx", 17),
    "rdseed": ("cpuid.7.0.ebx", 18),
    "avx512cd": ("cpuid.7.0.ebx", 28),
    "sha-ni": ("cpuid.7.0.ebx", 29),
    "avx512bw": ("cpuid.7.0.ebx", 30),
    "avx512vl": ("cpuid.7.0.ebx", 31),
    "rdpid": ("cpuid.7.0.ecx", 22),
}


@dataclass(frozen=True)
class Promise:
    """One CPU model.

    :param facts: exact values.
    :param has: words that ``/proc/cpuinfo`` shows.
    :param lacks: words that it must not show, whatever the emulator can.
    """

    arch: str
    model: str
    facts: Mapping[str, Value]
    has: str
    lacks: str

    @property
    def name(self) -> str:
        """A file name for recordings of it."""
        return f"{self.arch}-{self.model.partition(',')[0]}"

    def check(self, snapshot: Snapshot) -> None:
        """Assert that a machine of this model is what was promised."""
        facts = read_facts(snapshot)
        assert {name: facts.value(name) for name in self.facts} == dict(self.facts)
        flags = facts.value("cpuinfo.flags")
        assert isinstance(flags, frozenset)
        assert set(self.has.split()) - flags == set()
        assert set(self.lacks.split()) & flags == set()


def x86(model: str, chip: str, has: str, lacks: str) -> Promise:
    """``chip``: vendor, family, model number."""
    vendor, family, number = chip.split()
    facts: dict[str, Value] = {
        "cpuid.vendor": vendor,
        "cpuid.family": int(family, 16),
        "cpuid.model": int(number, 16),
        "cpuid.hypervisor": "TCGTCGTCGTCG",
        "platform.hypervisor": "qemu-tcg",
    }
    return Promise("x86_64", model, facts, has, lacks)


#: Family and model: QEMU 7.2, target/i386/cpu.c, builtin_x86_defs; MIDR: target/arm/cpu64.c.
PROMISES = (
    x86("Nehalem", "GenuineIntel 6 1a", "sse4_2 popcnt ssse3", "avx xsave aes rdrand movbe"),
    x86("Haswell", "GenuineIntel 6 3c", "avx2 fma bmi2 movbe rdrand", "avx512f hle rtm adx clwb"),
    x86("Skylake-Server", "GenuineIntel 6 55", "avx2 clwb adx clflushopt pku", "avx512f rtm"),
    x86("EPYC-Rome", "AuthenticAMD 17 31", "avx2 sse4a svm clwb umip", "avx512f erms vaes pku"),
    Promise("x86_64", "max", {"cpuid.hypervisor": "TCGTCGTCGTCG"}, "avx2 la57 pku svm", "avx512f"),
    Promise(
        "aarch64",
        "neoverse-n1",
        {"arm64.midr": 0x414FD0C1},
        has="asimddp atomics lrcpc dcpop fphp",
        lacks="sve sve2 bf16 i8mm paca",
    ),
    Promise(
        "aarch64",
        "max,pauth-impdef=on",  # the architecture's own algorithm is ten times slower to emulate
        {},
        has="sve sve2 bf16 i8mm paca bti rng",
        lacks="",
    ),
)


def masked_but_there(snapshot: Snapshot, lacking: tuple[str, ...]) -> set[str]:
    """Return what the emulator said it lacks although the machine inside has it."""
    facts = read_facts(snapshot)
    known = {name: CPUID_BITS[name] for name in lacking if name in CPUID_BITS}
    values = {name: (facts.value(fact), bit) for name, (fact, bit) in known.items()}
    return {name for name, (v, bit) in values.items() if isinstance(v, int) and v >> bit & 1}
