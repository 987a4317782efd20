"""Compare decoded CPUID with the flags that libcpuid expects of its recorded machines.

    python bench/libcpuid_flags.py DIRECTORY-OF-LIBCPUID

Which flag is which bit is read from libcpuid's own tables (``matchtable_edx81`` and the like in
``libcpuid/*.c``); each ``tests/**/*.test`` ends with the flags expected, a block for each type of
core. A flag counts as ours if the decoder names the bit and the bit is set.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uplift.facts.cpuid_table import decode, vendor_name
from uplift.facts.parsers.cpuid import within_range
from uplift.facts.parsers.cpuid_notation import Leaves, read

LEAVES = {"1": 0x1, "7": 0x7, "81": 0x80000001, "87": 0x80000007}
VENDORS = {"cpuid_main.c": "", "recog_intel.c": "Intel", "recog_amd.c": "AMD Hygon"}
DELIMITER = "-" * 80
#: libcpuid takes ``ht`` back where it counts one logical processor per core
#: (libcpuid_util.c, decode_number_of_cores_x86): its flag is not the bit's value.
CHANGED_AFTERWARDS = {"ht"}


@dataclass(frozen=True)
class Flag:
    """One flag: its bit, and whose processors libcpuid looks at for it."""

    name: str
    leaf: int
    register: str
    bit: int
    vendors: str


def flags_of(source: Path) -> list[Flag]:
    """Read libcpuid's tables of bits, and the flags' printed names."""
    main = (source / "cpuid_main.c").read_text(encoding="utf-8")
    names = dict(re.findall(r"\{ (CPU_FEATURE_\w+), \"([^\"]+)\"", main))
    found = []
    for file, vendors in VENDORS.items():
        text = (source / file).read_text(encoding="utf-8")
        for table in re.finditer(
            r"matchtable_(e[a-d]x)(\d+)\[\] = \{(.*?)\n\t\};", text, re.DOTALL
        ):
            if table[2] not in LEAVES:
                continue
            for bit, feature in re.findall(r"\{\s*(\d+), (CPU_FEATURE_\w+)", table[3]):
                flag = Flag(names[feature], LEAVES[table[2]], table[1], int(bit), vendors)
                found.append(flag)
    return found


def expected(text: str) -> list[set[str]]:
    """Return the flags of each type of core: the last line of each block."""
    blocks = text.split(f"{DELIMITER}\n")[1:]
    lines = [line for block in blocks for line in block.splitlines()]
    return [set(line.split()) for line in lines if re.search(r"\bfpu\b.*\btsc\b", line)]


def ours(leaves: Leaves) -> set[tuple[int, str, int]]:
    """Return the bits that are set and that the decoder names."""
    found = decode(within_range(leaves))
    return {(b.leaf, b.register, b.bit) for b in found if b.name and b.subleaf == 0}


def tests(directory: Path) -> Iterator[tuple[str, Leaves, set[str]]]:
    """Yield each x86 test's kinds of core with the flags expected."""
    for path in sorted(directory.rglob("*.test")):
        data = path.read_bytes()
        if b"arm_midr" in data:
            continue
        kinds = read(data, "libcpuid")
        blocks = expected(data.decode("utf-8"))
        for number, flags in enumerate(blocks):
            kind = kinds[number] if len(kinds) == len(blocks) else kinds[0]
            yield f"{path.name}#{number}", kind.leaves, flags


def main() -> int:
    """Run the comparison over the directory named on the command line."""
    source = Path(sys.argv[1])
    flags = flags_of(source / "libcpuid")
    compared = machines = 0
    differing: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    for name, leaves, want in tests(source / "tests"):
        machines += 1
        vendor, have = vendor_name(leaves), ours(leaves)
        for flag in flags:
            if flag.vendors and vendor not in flag.vendors.split():
                continue
            compared += 1
            if (flag.name in want) == ((flag.leaf, flag.register, flag.bit) in have):
                continue
            if flag.name in CHANGED_AFTERWARDS:
                explained[flag.name] += 1
            else:
                differing[flag.name] += 1
                print(f"  {name}: {flag.name} expected {flag.name in want}")
    wrong = sum(differing.values())
    share = 100 * (1 - wrong / compared)
    print(f"{machines} machines and types of core, {len(flags)} flags, {compared} values compared")
    print(f"differ: {wrong} ({share:.3f} % agree); explained: {dict(explained)}")
    return 1 if share < 99.9 else 0


if __name__ == "__main__":
    sys.exit(main())
