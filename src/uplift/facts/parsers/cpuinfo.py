"""``/proc/cpuinfo`` of every architecture: what the kernel says that each CPU is and can do.

The file is written for people and differs by architecture: blocks of ``name : value`` for each CPU
on x86, arm64, riscv64 and ppc64; one block for all and short ones for each CPU on s390x; one block
for all on sparc64. Fields outside of a CPU's block hold for every CPU.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers import arm_parts, arm_sysreport, lscpu_output, sysfs

MAX_LINES = 2_000_000
CAPTURE = "file:/proc/cpuinfo"

#: Fields that tell one kind of core from another, in the order that kinds are listed by.
_KIND_FIELDS = (
    *("vendor_id", "cpu implementer", "mvendorid", "cpu family", "cpu part", "marchid"),
    *("model", "mimpid", "model name", "uarch", "cpu", "stepping", "cpu variant"),
)
_S390_MACHINE = re.compile(r"machine\s*=\s*(\w+)")
_VERSION = re.compile(r"\d+p\d+$")


@dataclass
class CpuInfo:
    """The fields of a cpuinfo text, names in lower case.

    :param common: fields that hold for every CPU.
    :param cpus: number of a CPU to its own fields.
    :param caches: the lines of s390x that describe caches.
    """

    common: dict[str, str] = field(default_factory=dict)
    cpus: dict[int, dict[str, str]] = field(default_factory=dict)
    caches: list[dict[str, str]] = field(default_factory=list)

    def of(self, cpu: int) -> Mapping[str, str]:
        """Return everything that is said of one CPU."""
        return ChainMap(self.cpus.get(cpu, {}), self.common)


@dataclass(frozen=True)
class Kind:
    """One kind of core: which CPUs are such (a mask), and what is said of the first of them."""

    cpus: int
    fields: Mapping[str, str]


def read(text: str) -> CpuInfo:
    """Read a cpuinfo text.

    :raises ValueError: no line is ``name : value``, or a CPU's number is out of range.
    """
    info = CpuInfo()
    current = info.common
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise ValueError(f"more than {MAX_LINES} lines")
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not colon:
            current = info.common if not line.strip() else current
            continue
        current = _take(info, current, name.strip().lower(), value.strip(), number)
    if not info.common and not info.cpus:
        raise ValueError("line 1: there is no line 'name : value'")
    return info


def _take(
    info: CpuInfo, current: dict[str, str], name: str, value: str, line: int
) -> dict[str, str]:
    """Keep one field; return the block that the next line belongs to."""
    if name in ("processor", "cpu number") and value.isascii() and value.isdigit():
        return info.cpus.setdefault(_number(value, line), {})
    head, number = _split_number(name)
    if head == "processor" and number:  # s390x: processor 0: version = FF, …
        found = _S390_MACHINE.search(value)
        info.cpus.setdefault(_number(number, line), {})["machine"] = found[1] if found else ""
    elif head == "cpu" and number and value in ("online", "offline"):  # sparc64
        info.cpus.setdefault(_number(number, line), {})["state"] = value
    elif head == "cache" and number and "level=" in value:
        info.caches.append(dict(_pairs(value)))
    elif name == "processor":  # older arm: the name of the core
        info.common.setdefault("processor name", value)
    else:
        current.setdefault(name, value)
    return current


def _number(text: str, line: int) -> int:
    number = int(text) if len(text) < 7 else sysfs.MAX_CPU
    if number >= sysfs.MAX_CPU:
        raise ValueError(f"line {line}: the number of a CPU is {text[:20]}")
    return number


def _split_number(name: str) -> tuple[str, str]:
    head = name.rstrip("0123456789")
    return head.strip(), name[len(head) :]


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for word in text.split():
        name, equals, value = word.partition("=")
        if equals:
            yield name, value


def kinds(info: CpuInfo) -> list[Kind]:
    """Return the kinds of cores, in a stable order; one without CPUs where none is numbered."""
    masks: dict[tuple[str, ...], int] = {}
    first: dict[tuple[str, ...], int] = {}
    for cpu in sorted(info.cpus):
        fields = info.of(cpu)
        key = tuple(fields.get(name, "") for name in _KIND_FIELDS)
        masks[key] = masks.get(key, 0) | 1 << cpu
        first.setdefault(key, cpu)
    if not masks:
        return [Kind(0, info.common)]
    return [Kind(masks[key], info.of(first[key])) for key in sorted(masks)]


def arch_of(fields: Mapping[str, str]) -> str:
    """Return ``uname -m`` as far as cpuinfo shows it (ppc64le reads as ppc64); else empty."""
    isa = fields.get("isa", "").lower()
    if "flags" in fields and "vendor_id" in fields:
        return "x86_64" if " lm " in f" {fields['flags']} " else "i686"
    if "cpu implementer" in fields:
        return "aarch64" if _is_arm64(fields) else "armv7l"
    signs = (
        ("riscv32", isa.startswith("rv32")),
        ("riscv64", isa.startswith("rv")),
        ("s390x", fields.get("vendor_id") == "IBM/S390"),
        ("loongarch64", "loongarch" in isa),
        ("ppc64", "timebase" in fields or "pvr" in fields.get("revision", "")),
        ("sparc64", fields.get("type", "").startswith("sun4")),
    )
    return next((arch for arch, holds in signs if holds), "")


def _is_arm64(fields: Mapping[str, str]) -> bool:
    return fields.get("cpu architecture", "") in ("8", "AArch64") and " asimd " in (
        f" {fields.get('features', '')} "
    )


def flags_of(fields: Mapping[str, str]) -> frozenset[str] | None:
    """Return a CPU's feature words; None where its cpuinfo lists none."""
    for name in ("flags", "features", "ases implemented"):
        if name in fields:
            return frozenset(fields[name].split())
    if fields.get("isa", "").lower().startswith("rv"):
        return riscv_extensions(fields.get("hart isa") or fields["isa"])
    if fields.get("type", "").startswith("sun4"):
        return frozenset((fields["type"],))
    if "pvr" in fields.get("revision", ""):
        return (
            frozenset(("altivec",)) if "altivec supported" in fields.get("cpu", "") else frozenset()
        )
    return None


def riscv_extensions(isa: str) -> frozenset[str]:
    """Split ``rv64imafdc_zicsr_zba`` into the names of its extensions, lower case."""
    base, *longer = isa.strip().lower().replace(" ", "_").split("_")
    found = set(_single_letters(base[4:])) | {_VERSION.sub("", name) for name in longer}
    if "g" in found:
        found |= {"i", "m", "a", "f", "d", "zicsr", "zifencei"}
    return frozenset(found - {""})


def _single_letters(text: str) -> Iterator[str]:
    """Yield the letters of ``i2p1m2p0afd``; a z, s or x begins one long name."""
    text = re.sub(r"(?<=[a-z])\d+p\d+", "", text)
    for at, letter in enumerate(text):
        if letter in "zsx":
            yield text[at:]
            return
        yield letter


def vendor_of(fields: Mapping[str, str]) -> str:
    """Return the vendor as ``lscpu`` names it; empty where it is not said."""
    implementer = _hexadecimal(fields.get("cpu implementer", ""))
    if implementer is not None:
        return arm_parts.IMPLEMENTERS.get(implementer, fields["cpu implementer"])
    return fields.get("vendor_id") or fields.get("mvendorid") or fields.get("vendor", "")


def model_name_of(fields: Mapping[str, str]) -> str:
    """Return the model's name as ``lscpu`` prints it; empty where it is not known."""
    implementer, part = (_hexadecimal(fields.get(f"cpu {n}", "")) for n in ("implementer", "part"))
    if implementer is not None and part is not None:
        name = arm_parts.PARTS.get(implementer, {}).get(part)
        if name:
            return name
    names = (fields.get(name, "") for name in ("model name", "uarch", "cpu", "cpu model"))
    return next((name for name in names if name), "")


def _hexadecimal(text: str) -> int | None:
    try:
        return int(text, 16) if len(text) <= 18 and text else None
    except ValueError:
        return None


def _decimal(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def decimal_point(text: str) -> float | None:
    """Read a number such as ``2000.00``, with or without ``MHz``; None where it is none."""
    try:
        return float(text.rstrip("MHz ")) if text and len(text) < 40 else None
    except ValueError:
        return None


#: fact: field, and how it is read.
_NUMBERS = (
    ("family", "cpu family", _decimal),
    ("model", "model", _decimal),
    ("stepping", "stepping", _decimal),
    ("implementer", "cpu implementer", _hexadecimal),
    ("part", "cpu part", _hexadecimal),
    ("variant", "cpu variant", _hexadecimal),
    ("revision", "cpu revision", _decimal),
    ("bogomips", "bogomips", decimal_point),
    ("bogomips", "bogomips per cpu", decimal_point),
    ("mvendorid", "mvendorid", _hexadecimal),
    ("marchid", "marchid", _hexadecimal),
    ("mimpid", "mimpid", _hexadecimal),
    ("mhz_dynamic", "cpu mhz dynamic", decimal_point),
    ("mhz_static", "cpu mhz static", decimal_point),
)
_TEXTS = (
    ("isa", "isa"),
    ("mmu", "mmu"),
    ("uarch", "uarch"),
    ("family_name", "cpu family"),
    ("revision_text", "revision"),
    ("revision_text", "cpu revision"),
    ("machine", "machine"),
    ("platform", "platform"),
    ("hardware", "hardware"),
    ("facilities", "facilities"),
)


def _kind_values(kind: Kind) -> dict[str, Value]:
    """Return what is said of one kind of core, by the fact's last word."""
    fields = kind.fields
    values: dict[str, Value] = {}
    for fact, name, number_of in _NUMBERS:
        number = number_of(fields.get(name, ""))
        if number is not None:
            values.setdefault(fact, number)
    values.update({fact: fields[name] for fact, name in _TEXTS if fields.get(name)})
    names = {"vendor": vendor_of(fields), "model_name": model_name_of(fields)}
    values.update({fact: text for fact, text in names.items() if text})
    flags = flags_of(fields)
    if flags is not None:
        values["flags"] = flags
    return values


def _values(info: CpuInfo) -> dict[str, Value]:
    found = kinds(info)
    values: dict[str, Value] = {
        f"cpuinfo.{fact}": value for fact, value in _kind_values(found[0]).items()
    }
    values["cpuinfo.kinds"] = len(found)
    if info.cpus:
        values["cpuinfo.cpus"] = len(info.cpus)
    for number, kind in enumerate(found):
        prefix = f"cpuinfo.kind{number}."
        values[f"{prefix}cpus"] = sysfs.listed(kind.cpus)
        values.update({prefix + fact: value for fact, value in _kind_values(kind).items()})
    values.update(_over_all_cpus(info))
    arch = arch_of(found[0].fields)
    if arch:
        values["cpuinfo.arch"] = arch
    return values


def _over_all_cpus(info: CpuInfo) -> Iterator[tuple[str, Value]]:
    """Yield what every CPU has in common, or what any of them suffers from."""
    every = [info.of(cpu) for cpu in info.cpus] or [info.common]
    flags = _distinct_flags(every)
    if flags:
        yield "cpuinfo.flags", frozenset.intersection(*flags)
        yield "cpuinfo.flags_of_some", frozenset.union(*flags) - frozenset.intersection(*flags)
    bugs = {text for fields in every if (text := fields.get("bugs")) is not None}
    if bugs:
        yield "cpuinfo.bugs", frozenset(word for text in bugs for word in text.split())
    vmx = {text for fields in every if (text := fields.get("vmx flags")) is not None}
    if vmx:
        yield "cpuinfo.vmx_flags", reduce(frozenset.__and__, (frozenset(t.split()) for t in vmx))
    yield from _microcode(every)
    yield from _addresses(every[0].get("address sizes", ""))
    modes = _op_modes(every[0])
    if modes:
        yield "cpuinfo.op_modes", modes


def _distinct_flags(every: Iterable[Mapping[str, str]]) -> list[frozenset[str]]:
    """Return the flag sets of all CPUs, each different text read once."""
    names = ("flags", "features", "isa", "hart isa", "type", "cpu", "revision")
    seen: dict[tuple[str, ...], frozenset[str] | None] = {}
    for fields in every:
        key = tuple(fields.get(name, "") for name in names)
        if key not in seen:
            seen[key] = flags_of(fields)
    return [flags for flags in seen.values() if flags is not None]


def microcode(text: str) -> int | None:
    """Return the lowest microcode revision in a cpuinfo text; None where it names none."""
    info = read(text)
    found = dict(_microcode([info.of(cpu) for cpu in info.cpus] or [info.common]))
    revision = found.get("cpuinfo.microcode")
    return revision if isinstance(revision, int) else None


def _microcode(every: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, Value]]:
    revisions = {_hexadecimal(text) for fields in every if (text := fields.get("microcode"))}
    known = sorted(revision for revision in revisions if revision is not None)
    if known:
        yield "cpuinfo.microcode", known[0]
        yield "cpuinfo.microcodes", tuple(f"{revision:#x}" for revision in known)


_ADDRESSES = re.compile(r"(\d{1,3}) bits physical, (\d{1,3}) bits virtual")


def _addresses(text: str) -> Iterator[tuple[str, Value]]:
    found = _ADDRESSES.match(text)
    if found:
        yield "cpuinfo.physical_bits", int(found[1])
        yield "cpuinfo.virtual_bits", int(found[2])


def _op_modes(fields: Mapping[str, str]) -> frozenset[str]:
    flags = flags_of(fields) or frozenset()
    isa = set(fields.get("isa", "").split())
    if flags & {"lm", "zarch", "sun4u", "sun4v"}:
        return frozenset(("32-bit", "64-bit"))
    modes = {"32-bit": {"loongarch32", "loongarch32s", "loongarch32r"}, "64-bit": {"loongarch64"}}
    return frozenset(mode for mode, names in modes.items() if names & isa)


def _from_lscpu(capture: Capture) -> Reading:
    report = lscpu_output.read(capture)
    return Reading(capture.id, lscpu_output.cpuinfo_values(report))


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if CAPTURE in captures:
        yield Reading(CAPTURE, _values(read(captures[CAPTURE].text)))
        return
    for name in lscpu_output.CAPTURES:
        if name in captures:
            yield _from_lscpu(captures[name])
            return
    if arm_sysreport.CAPTURE in captures:
        report = arm_sysreport.read(captures[arm_sysreport.CAPTURE].text)
        yield Reading(arm_sysreport.CAPTURE, arm_sysreport.cpuinfo_values(report))


PARSER = Parser(
    name="cpuinfo",
    declares=("cpuinfo.",),
    reads=(CAPTURE, *lscpu_output.CAPTURES, arm_sysreport.CAPTURE),
    parse=_parse,
)
