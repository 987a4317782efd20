"""A chip's captures, made from a list of its features: registers that say what the list says.

For a chip of which there is a list and no dump. What the list leaves open is written down as open
(``open=`` masks), and stays unknown when a parser reads it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from uplift.catalog.made_registers import (
    Made,
    MadeRegisters,
    Place,
    arm64_place,
    demand_all,
    empty_arm64,
    place_of,
)
from uplift.catalog.model import Chip, Feature, Layer, Predicate, Signature, Test
from uplift.catalog.predicate import tests
from uplift.facts.hwcap_tables import arm64_rules
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers import arm64, cpuid, riscv
from uplift.facts.parsers.cpuid_notation import FEATURE_MASKS, REGISTERS, Leaf

MACHINES = {
    "x86-64": "x86_64",
    "arm64": "aarch64",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64el": "ppc64le",
}
_FULL = 0xFFFFFFFF
_HIGHEST_BASIC = 0x29
_HIGHEST_EXTENDED = 0x80000026
_INTEL = "GenuineIntel"
#: Intel's extended leaves end here, and of those before only these bits are not reserved: Intel SDM
#: vol. 2A, CPUID, table 3-17. What AMD defines there (SVM, SEV, IBS, …) Intel's silicon lacks.
_HIGHEST_INTEL = 0x80000008
_DEFINED_BY_INTEL = {
    "cpuid.80000001.0.ecx": frozenset({0, 5, 8}),
    "cpuid.80000001.0.edx": frozenset({11, 20, 26, 27, 29}),
    "cpuid.80000007.0.ebx": frozenset(),
    "cpuid.80000007.0.edx": frozenset({8}),
    "cpuid.80000008.0.ebx": frozenset({9}),
}
_BRAND = (0x80000002, 0x80000003, 0x80000004)

#: What x86-64 itself requires: x86-64 psABI 1.0, table 3.1 (CMOV, CX8, FPU, FXSR, MMX, SCE, SSE,
#: SSE2) and linux 7.1.8 arch/x86/Kconfig.cpufeatures (X86_REQUIRED_FEATURE: MSR, PAE, PGE, PSE).
_BASELINE_EDX = (0, 3, 4, 5, 6, 8, 9, 13, 15, 23, 24, 25, 26)
#: XSAVE state components that a feature's registers live in: Intel SDM vol. 1, chapter 13;
#: APX: Intel APX architecture specification, section 3.1.4.
_USER_STATES = {
    "x86/avx": (2,),
    "x86/avx512f": (5, 6, 7),
    "x86/pku": (9,),
    "x86/amx-tile": (17, 18),
    "x86/apx-f": (19,),
}
_SUPERVISOR_STATES = {
    "x86/intel-pt": (8,),
    "x86/enqcmd": (10,),
    "x86/cet-shadow-stack": (11, 12),
    "x86/uintr": (14,),
    "x86/arch-lbr": (15,),
}
#: Bytes of each user state component; the architecture fixes them (same sources).
_STATE_BYTES = {2: 256, 5: 64, 6: 512, 7: 1024, 9: 8, 17: 64, 18: 8192, 19: 128}
_X87_AND_SSE = 3
_XFD_STATE = 18  #: AMX tile data: the state that extended feature disable was made for
#: AMX palette 1 and the TMUL unit, as the architecture fixes them: Intel SDM vol. 1, chapter 18.
_AMX_LEAVES = {
    "cpuid.1d.0.eax": 1,
    "cpuid.1d.1.eax": 1024 << 16 | 8192,
    "cpuid.1d.1.ebx": 8 << 16 | 64,
    "cpuid.1d.1.ecx": 16,
    "cpuid.1e.0.ebx": 64 << 8 | 16,
}


@dataclass(frozen=True)
class MadeChip:
    """A chip's snapshot made from a list.

    :param disagree: listed features that the made registers do not show, with the reason.
    """

    snapshot: Snapshot
    disagree: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SiliconList:
    """What is to come out.

    :param has: features that the list names.
    :param lacks: features that it denies.
    :param source: of the list, for people.
    """

    has: tuple[Feature, ...]
    lacks: tuple[Feature, ...]
    source: str

    @property
    def names(self) -> frozenset[str]:
        """The ids of what the chip has."""
        return frozenset(feature.id for feature in self.has)


def make(chip: Chip, listed: SiliconList) -> MadeChip:
    """Return a snapshot of ``chip`` whose facts agree with ``listed``."""
    makers = {"x86-64": _x86, "arm64": _arm64, "riscv64": _riscv}
    maker = makers.get(chip.arch)
    how = f"made from a list, not read: {listed.source}"
    captures, disagree = maker(chip, listed, how) if maker else ((), _beyond(listed, chip.arch))
    snapshot = Snapshot(
        {capture.id: capture for capture in captures},
        kind="chip",
        origin=f"uplift catalog, {chip.codename}",
        arch=MACHINES.get(chip.arch, chip.arch),
    )
    return MadeChip(snapshot, disagree)


def _beyond(listed: SiliconList, arch: str) -> dict[str, str]:
    return dict.fromkeys(listed.names, f"registers of {arch} are not made")


def _settle(registers: MadeRegisters, listed: SiliconList) -> dict[str, str]:
    """Demand what the list says; return which of the features it names cannot be shown, and why."""
    failed = demand_all(registers, _needs(listed.has), True)
    demand_all(registers, _needs(listed.lacks), False)
    needs = dict(_needs(listed.has))
    return {name: _why_not(registers, needs[name]) for name in failed}


def _needs(features: Iterable[Feature]) -> Iterator[tuple[str, Predicate]]:
    for feature in features:
        if feature.layers and feature.layers[0].name is Layer.SILICON:
            yield feature.id, feature.layers[0].needs


def _why_not(registers: MadeRegisters, needs: Predicate) -> str:
    if registers.state(needs) is False:
        return "another listed feature, or the chip's signature, rules it out"
    asked = dict.fromkeys(test.fact for test in tests(needs))
    return f"no register shows it: it is asked of {', '.join(asked)}"


def _x86(chip: Chip, listed: SiliconList, how: str) -> tuple[tuple[Capture, ...], dict[str, str]]:
    identity = _x86_identity(chip)
    registers = MadeRegisters(_x86_place, _knows(identity))
    for place, number in _x86_given(listed.names, identity):
        registers.put(place, number)
    disagree = _settle(registers, listed)
    text = cpuid_text(identity, registers.registers())
    capture = Capture(
        cpuid.CAPTURE, CaptureStatus.OK, text.encode(), how, format=cpuid.DEFAULT_NOTATION
    )
    return (capture,), disagree


def _x86_place(test: Test) -> Place | None:
    register = test.fact.rpartition(".")[2]
    if not test.fact.startswith("cpuid.") or register not in REGISTERS:
        return None
    return place_of(test, test.fact)


def _knows(identity: Mapping[str, int | str]) -> Callable[[Test], bool | None]:
    """Return who answers tests of the vendor, the family and the model."""

    def known(test: Test) -> bool | None:
        value = identity.get(test.fact)
        if value is None:
            return None
        if test.op == "equals":
            return value == test.operand
        if test.op == "at-least" and isinstance(value, int):
            return value >= int(test.operand)
        return None

    return known


def _x86_identity(chip: Chip) -> dict[str, int | str]:
    signature = _signature(chip, "x86")
    fields = {name: low for name, low, _ in signature.fields} if signature else {}
    return {
        "cpuid.vendor": chip.vendor,
        "cpuid.brand": (signature.text if signature else "") or chip.title,
        **{f"cpuid.{name}": low for name, low in fields.items()},
    }


def _signature(chip: Chip, kind: str) -> Signature | None:
    """Return the signature that says most."""
    mine = [signature for signature in chip.signatures if signature.kind == kind]
    return max(mine, key=lambda found: (bool(found.text), len(found.fields)), default=None)


def _x86_given(
    names: frozenset[str], identity: Mapping[str, int | str]
) -> Iterator[tuple[Place, int]]:
    """Yield what follows from the architecture, and what no silicon has by itself."""
    for bit in _BASELINE_EDX:
        yield Place("cpuid.1.0.edx", bit, bit), 1
    for register, bit in _SET_BY_SOFTWARE:
        yield Place(register, bit, bit), 0
    yield Place("cpuid.7.0.eax", 0, 31), 2  # subleaves 0, 1 and 2
    if identity["cpuid.vendor"] == _INTEL:
        for register, defined in _DEFINED_BY_INTEL.items():
            yield from ((Place(register, b, b), 0) for b in range(32) if b not in defined)
    if isinstance(package := identity.get("cpuid.package"), int):
        yield Place("cpuid.80000001.0.ebx", 28, 31), package
    yield from states_of(names)
    if "x86/amx-tile" in names:
        yield from ((Place(name, 0, 31), value) for name, value in _AMX_LEAVES.items())


def states_of(names: frozenset[str]) -> Iterator[tuple[Place, int]]:
    """Yield leaf 0xD: the XSAVE state that the features' registers live in."""
    if "x86/xsave" not in names:
        return
    user = {state for name, states in _USER_STATES.items() if name in names for state in states}
    supervisor = {
        state for name, states in _SUPERVISOR_STATES.items() if name in names for state in states
    }
    for state in (0, 1, *sorted(user)):
        yield Place("cpuid.d.0.eax", state, state), 1
    for state in sorted(supervisor):
        yield Place("cpuid.d.1.ecx", state, state), 1
    for state in sorted(user):
        yield Place(f"cpuid.d.{state:x}.eax", 0, 31), _STATE_BYTES[state]
    if _XFD_STATE in user:
        yield Place(f"cpuid.d.{_XFD_STATE:x}.ecx", 2, 2), 1


def cpuid_text(
    identity: Mapping[str, int | str], registers: Mapping[str, Made], open_bits: int = _FULL
) -> str:
    """Write registers as ``cpuid -r`` does, with what is open of each after them.

    :param identity: ``cpuid.vendor``, ``cpuid.brand``, ``cpuid.family`` and so on.
    :param registers: by fact name; a leaf's other registers are 0.
    :param open_bits: which bits of those are open.
    """
    made = {**registers, **_identity_registers(identity)}
    highest = {0: made["cpuid.0.0.eax"].value, 0x8000: made["cpuid.80000000.0.eax"].value}
    told = {*_LEAVES, *(_leaf_of(name) for name in made)}
    leaves = sorted(leaf for leaf in told if leaf[0] <= highest.get(leaf[0] >> 16, leaf[0]))
    lines = (_cpuid_line(leaf, made, Made(0, open_bits)) for leaf in leaves)
    return "CPU 0:\n" + "".join(f"   {line}\n" for line in lines)


def _cpuid_line(leaf: Leaf, made: Mapping[str, Made], otherwise: Made) -> str:
    stem = f"cpuid.{leaf[0]:x}.{leaf[1]:x}."
    words = [made.get(stem + register, otherwise) for register in REGISTERS]
    shown = " ".join(
        f"{register}=0x{word.value:08x}" for register, word in zip(REGISTERS, words, strict=True)
    )
    unknown = "-".join(f"{word.open & _FULL:08x}" for word in words)
    tail = f" open={unknown}" if any(word.open & _FULL for word in words) else ""
    return f"0x{leaf[0]:08x} 0x{leaf[1]:02x}: {shown}{tail}"


def _leaf_of(name: str) -> Leaf:
    _, leaf, subleaf, _ = name.split(".")
    return int(leaf, 16), int(subleaf, 16)


def _identity_registers(identity: Mapping[str, int | str]) -> dict[str, Made]:
    made = {
        "cpuid.0.0.eax": Made(int(identity.get("cpuid.level", _HIGHEST_BASIC)), 0),
        "cpuid.80000000.0.eax": Made(_highest_extended(identity), 0),
    }
    if "cpuid.family" in identity:
        made["cpuid.1.0.eax"] = Made(_leaf_1_eax(identity), 0)
    vendor = str(identity["cpuid.vendor"]).encode("latin-1", "replace")
    if len(vendor) == 12:
        for register, start in (("ebx", 0), ("edx", 4), ("ecx", 8)):
            word = int.from_bytes(vendor[start : start + 4], "little")
            made[f"cpuid.0.0.{register}"] = Made(word, 0)
    brand = str(identity["cpuid.brand"]).encode("latin-1", "replace")[:47].ljust(48, b"\0")
    for index, leaf in enumerate(_BRAND):
        for place, register in enumerate(REGISTERS):
            start = 16 * index + 4 * place
            word = int.from_bytes(brand[start : start + 4], "little")
            made[f"cpuid.{leaf:x}.0.{register}"] = Made(word, 0)
    return made


def _highest_extended(identity: Mapping[str, int | str]) -> int:
    if "cpuid.xlevel" in identity:
        return int(identity["cpuid.xlevel"])
    return _HIGHEST_INTEL if identity["cpuid.vendor"] == _INTEL else _HIGHEST_EXTENDED


def _leaf_1_eax(identity: Mapping[str, int | str]) -> int:
    """Return family, model and stepping as leaf 1 packs them (Intel SDM vol. 2A, figure 3-6)."""
    family, model, stepping = (
        int(identity.get(f"cpuid.{name}", 0)) for name in ("family", "model", "stepping")
    )
    base = min(family, 0xF)
    return (
        (family - base) << 20 | (model >> 4) << 16 | base << 8 | (model & 0xF) << 4 | stepping & 0xF
    )


def _arm64(chip: Chip, listed: SiliconList, how: str) -> tuple[tuple[Capture, ...], dict[str, str]]:
    registers = MadeRegisters(arm64_place, lambda _: None)
    disagree = _settle(registers, listed)
    empty_arm64(registers)
    made = {name: Made(0, _FULL_64) for name in _ARM64_REGISTERS} | dict(registers.registers())
    midr = _midr(chip)
    if midr is not None:
        made["midr_el1"] = midr
    text = "".join(
        f"{name.upper()} 0x{made[name].value:016x}"
        + (f" open=0x{made[name].open & _FULL_64:016x}" if made[name].open & _FULL_64 else "")
        + "\n"
        for name in sorted(made)
    )
    # what silicon has, and what a kernel that masks nothing would show of it
    captures = tuple(
        Capture(name, CaptureStatus.OK, text.encode(), how) for name in (arm64.RAW, arm64.REGISTERS)
    )
    return captures, disagree


def _midr(chip: Chip) -> Made | None:
    """Return MIDR_EL1 of the chip's signature; open where the signature leaves it open."""
    signature = _signature(chip, "midr")
    if signature is None:
        return None
    value, unknown = 0xF << 16, 0  # architecture: told by ID registers
    places = {"implementer": (24, 0xFF), "variant": (20, 0xF), "part": (4, 0xFFF)}
    given = {name: (low, high) for name, low, high in signature.fields}
    for name, (shift, mask) in {**places, "revision": (0, 0xF)}.items():
        low, high = given.get(name, (0, mask))
        value |= low << shift
        unknown |= (mask if low != high else 0) << shift
    return Made(value, unknown)


def _riscv(chip: Chip, listed: SiliconList, how: str) -> tuple[tuple[Capture, ...], dict[str, str]]:
    extensions = MadeRegisters(_extension, lambda _: None)
    disagree = _settle(extensions, listed)
    settled = sorted((place.register, bounds.least) for place, bounds in extensions.bounds.items())
    lines = [f"{name} {'yes' if there else 'no'}" for name, there in settled]
    lines += [f"{name} {value:#x}" for name, value in _riscv_identity(chip)]
    text = "".join(f"{line}\n" for line in lines)
    return (Capture(riscv.LIST, CaptureStatus.OK, text.encode(), how),), disagree


def _extension(test: Test) -> Predicate | Place | None:
    """Return an extension as a field of one bit: firmware tells kernels what the silicon has."""
    if test.fact in ("riscv.isa", "riscv.firmware_isa") and test.op == "has":
        return Test(str(test.operand), "bit", 0)
    return place_of(test, test.fact) if "." not in test.fact else None


def _riscv_identity(chip: Chip) -> Iterator[tuple[str, int]]:
    signature = _signature(chip, "riscv")
    for name, low, high in signature.fields if signature else ():
        if low == high:
            yield name, low


#: Bits that an operating system or a hypervisor sets, never silicon by itself.
_SET_BY_SOFTWARE = (
    ("cpuid.1.0.ecx", 27),  # OSXSAVE
    ("cpuid.1.0.ecx", 31),  # a hypervisor is present
    ("cpuid.7.0.ecx", 4),  # OSPKE
)
_LEAVES: tuple[Leaf, ...] = (
    (0, 0),
    *FEATURE_MASKS,
    (0xA, 0),
    (0x1D, 0),
    (0x1D, 1),
    (0x1E, 0),
    (0x80000000, 0),
    *((leaf, 0) for leaf in _BRAND),
    (0xF, 1),
    (0x10, 1),
    (0x10, 2),
    (0x10, 3),
)
_FULL_64 = (1 << 64) - 1
_ARM64_REGISTERS = frozenset(
    condition.register for rule in arm64_rules().values() for group in rule for condition in group
)
