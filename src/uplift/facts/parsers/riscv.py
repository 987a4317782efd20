"""RISC-V: the ISA string of /proc/cpuinfo, its identity registers, and what hwprobe answers.

Where a chip is known from a list only, ``probe:riscv-isa-list`` says of each extension yes or no,
and the identity registers; what it does not speak of is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.hwcap_tables import bit_names
from uplift.facts.model import Capture, Parser, PartialWords, Reading, Value

HWPROBE = "probe:riscv-hwprobe"
CPUINFO = "file:/proc/cpuinfo"
LIST = "probe:riscv-isa-list"
NOT_LISTED = "no source says whether the chip has it"
_MAX_LINES = 4096
_MAX_KEY = 1 << 16

#: Keys of riscv_hwprobe(2): linux 7.1.8 arch/riscv/include/uapi/asm/hwprobe.h.
KEYS = {
    0: "mvendorid",
    1: "marchid",
    2: "mimpid",
    3: "base_behavior",
    4: "ima_ext_0",
    5: "cpuperf_0",
    6: "zicboz_block_size",
    7: "highest_virt_address",
    8: "time_csr_freq",
    9: "misaligned_scalar_perf",
    10: "misaligned_vector_perf",
    11: "vendor_ext_thead_0",
    12: "zicbom_block_size",
    13: "vendor_ext_sifive_0",
    14: "vendor_ext_mips_0",
    15: "zicbop_block_size",
    16: "ima_ext_1",
}

_IMA = ("i", "m", "a")


def parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read what was recorded; hwprobe adds to the ISA string, for it names what that leaves out."""
    if LIST in captures and CPUINFO not in captures and HWPROBE not in captures:
        yield Reading(LIST, parse_list(captures[LIST].text))
        return
    cpuinfo = parse_cpuinfo(captures[CPUINFO].text) if CPUINFO in captures else {}
    probed = parse_hwprobe(captures[HWPROBE].text) if HWPROBE in captures else {}
    if cpuinfo:
        yield Reading(CPUINFO, cpuinfo)
    if probed:
        isa = frozenset(extensions(probed)) | _set(cpuinfo.get("riscv.isa"))
        values: dict[str, Value] = {f"riscv.hwprobe.{k}": v for k, v in probed.items()}
        ids = {f"riscv.{k}": probed[k] for k in ("mvendorid", "marchid", "mimpid") if k in probed}
        yield Reading(HWPROBE, {**values, **ids, **({"riscv.isa": isa} if isa else {})})


def parse_list(text: str) -> dict[str, Value]:
    """Read ``EXTENSION yes|no`` and ``mvendorid 0x…`` lines.

    :raises ValueError: a line is neither.
    """
    values: dict[str, Value] = {}
    answers: dict[str, bool] = {}
    for number, line in enumerate(text.splitlines()[:_MAX_LINES], 1):
        match = re.fullmatch(
            r"(?:([a-z][a-z0-9]{0,30}) (yes|no)|(m\w+id) (0x[0-9a-f]{1,16}))", line
        )
        if match is None:
            raise ValueError(f"line {number}: {line[:60]!r} is no extension with yes or no")
        if match[1]:
            answers[match[1]] = match[2] == "yes"
        else:
            values[f"riscv.{match[3]}"] = int(match[4], 16)
    has = frozenset(name for name, there in answers.items() if there)
    settled = dict.fromkeys(answers.keys() - has, "")
    return {**values, "riscv.isa": PartialWords(has, settled, NOT_LISTED)}


def _set(value: Value | None) -> frozenset[str]:
    return value if isinstance(value, frozenset) else frozenset()


def parse_hwprobe(text: str) -> dict[str, int]:
    """Read ``key value`` lines, hexadecimal; a key the kernel does not know answers as -1.

    :raises ValueError: a line is no such pair.
    """
    values: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            key, value = (int(word, 16) for word in line.split())
        except ValueError:
            raise ValueError(f"line {number}: {line[:60]!r} is no key and value") from None
        if 0 <= key < _MAX_KEY:
            values[KEYS.get(key, f"key_{key}")] = value & 0xFFFFFFFFFFFFFFFF
    return values


def extensions(probed: Mapping[str, int]) -> Iterator[str]:
    """Yield the extensions that hwprobe's answer names."""
    if probed.get("base_behavior", 0) & 1:
        yield from _IMA
    for key in ("ima_ext_0", "ima_ext_1"):
        for bit, name in bit_names("riscv64").get(key, {}).items():
            if probed.get(key, 0) >> bit & 1:
                yield from name if name == "fd" else (name,)


def parse_cpuinfo(text: str) -> dict[str, Value]:
    """Read the first processor's ISA and identity; ISA is what every hart has."""
    values: dict[str, Value] = {}
    strings = re.findall(r"^(?:hart )?isa[ \t]*:[ \t]*(rv\S+)[ \t]*$", text, re.MULTILINE)
    if strings:
        values["riscv.isa"] = frozenset.intersection(*(split_isa(s) for s in set(strings)))
        values["riscv.isa_string"] = strings[0]
    for name in ("mvendorid", "marchid", "mimpid"):
        found = re.search(rf"^{name}[ \t]*:[ \t]*(0x[0-9a-fA-F]{{1,16}})\s*$", text, re.MULTILINE)
        if found:
            values[f"riscv.{name}"] = int(found[1], 16)
    for name in ("uarch", "mmu"):
        found = re.search(rf"^{name}[ \t]*:[ \t]*(\S+)[ \t]*$", text, re.MULTILINE)
        if found:
            values[f"riscv.{name}"] = found[1]
    return values


def split_isa(isa: str) -> frozenset[str]:
    """Split ``rv64imafdcv_zba_zbb`` into its extensions, lower case; ``g`` stands for imafd."""
    letters, *words = isa.lower().split("_")
    found = set(re.sub(r"^rv(32|64|128)", "", re.sub(r"\d+p\d+", "", letters)))
    if "g" in found:
        found |= set("imafd") | {"zicsr", "zifencei"}
    return frozenset(found | {re.sub(r"\d+p\d+$", "", word) for word in words if word})


PARSER = Parser(
    name="riscv",
    declares=("riscv.",),
    reads=(HWPROBE, CPUINFO, LIST),
    parse=parse,
)
