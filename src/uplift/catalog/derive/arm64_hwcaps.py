"""Derive, from Linux's own source, when an arm64 kernel sets which HWCAP bit.

``python -m uplift.catalog.derive.arm64_hwcaps LINUX VERSION`` writes two tables:

* ``facts/data/arm64-hwcaps.csv``: the conditions on ID registers, one a row. Rows of one
  ``alternative`` hold together; one alternative is enough.
* ``facts/data/hwcap-bits.csv``: what each bit of the auxiliary vector is called, per architecture.

Where the documentation and the kernel's table differ the kernel's table wins, because it is what
runs; every difference is printed.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = "Documentation/arch/arm64/elf_hwcaps.rst"
TABLE = "arch/arm64/kernel/cpufeature.c"
SYSREG = "arch/arm64/tools/sysreg"
DATA = Path(__file__).parents[2] / "facts" / "data"


@dataclass(frozen=True)
class Field:
    """Where a field stands in its register, and what its values are called."""

    register: str
    name: str
    low: int
    high: int
    signed: bool
    values: Mapping[str, int]


@dataclass(frozen=True)
class Condition:
    """``register.field`` is at least ``minimum``."""

    register: str
    field: str
    minimum: int


Alternatives = tuple[tuple[Condition, ...], ...]

#: The kernel asks for these registers' extension itself before it asks what the extension has.
_GUARDS = {
    "has_sve_feature": Condition("ID_AA64PFR0_EL1", "SVE", 1),
    "has_sme_feature": Condition("ID_AA64PFR1_EL1", "SME", 1),
}


def read_fields(sysreg: str) -> dict[tuple[str, str], Field]:
    """Read the ID registers' fields; keys are upper case."""
    fields: dict[tuple[str, str], Field] = {}
    for block in re.finditer(r"^Sysreg\s+(\w+)\s.*?^EndSysreg", sysreg, re.MULTILINE | re.DOTALL):
        register = block[1]
        for match in re.finditer(
            r"^(Unsigned|Signed)?Enum\s+(\d+)(?::(\d+))?\s+(\w+)\n(.*?)^EndEnum",
            block[0],
            re.MULTILINE | re.DOTALL,
        ):
            sign, high, low, name, body = match.groups()
            values = {v: int(n, 2) for n, v in re.findall(r"0b([01]+)\s+(\w+)", body)}
            field = Field(register, name, int(low or high), int(high), sign == "Signed", values)
            fields[register, name.upper()] = field
        for match in re.finditer(r"^Field\s+(\d+)(?::(\d+))?\s+(\w+)", block[0], re.MULTILINE):
            high, low, name = match.groups()
            fields[register, name.upper()] = Field(
                register, name, int(low or high), int(high), False, {}
            )
    return fields


def read_document(text: str) -> dict[str, Alternatives]:
    """Read the documented rules: ``Functionality implied by REG.FIELD == 0b…``, and/or included."""
    rules: dict[str, Alternatives] = {}
    for match in re.finditer(
        r"^(HWCAP\d?_\w+)\n\s+Functionality implied by (.*?)(?=\n\n|\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    ):
        tests = re.findall(
            r"(and |or )?(ID_\w+)\.(\w+)\s*==\s*0b([01]+)", " ".join(match[2].split())
        )
        groups: list[list[Condition]] = []
        for joint, register, field, value in tests:
            condition = Condition(register, field, int(value, 2))
            if joint == "and ":
                groups[-1].append(condition)
            else:
                groups.append([condition])
        rules[match[1]] = tuple(tuple(group) for group in groups)
    return rules


def read_table(text: str, fields: Mapping[tuple[str, str], Field]) -> dict[str, Alternatives]:
    """Read the kernel's table of hwcaps; names are without ``HWCAP…_``."""
    lists = dict(
        re.findall(
            r"arm64_cpu_capabilities (ptr_auth_hwcap_\w+)\[\] = \{(.*?)\n\};", text, re.DOTALL
        )
    )
    table: dict[str, Alternatives] = {}
    for guard, register, field, value, name in re.findall(
        r"HWCAP_CAP(?:_MATCH_ID)?\((?:(\w+), )?(ID_\w+), (\w+), (\w+),"
        r"\s*CAP_HWCAP\s*, KERNEL_HWCAP_(\w+)\)",
        text,
    ):
        condition = _condition(register, field, value, fields)
        guards = (_GUARDS[guard],) if guard else ()
        table[name] = ((*guards, condition),)
    for matches, name in re.findall(
        r"HWCAP_MULTI_CAP\((\w+), CAP_HWCAP, KERNEL_HWCAP_(\w+)\)", text
    ):
        tests = re.findall(r"HWCAP_CPUID_MATCH\((\w+), (\w+), (\w+)\)", lists[matches])
        table[name] = tuple((_condition(reg, fld, value, fields),) for reg, fld, value in tests)
    return table


def _condition(
    register: str, field: str, value: str, fields: Mapping[tuple[str, str], Field]
) -> Condition:
    found = fields[register, field.upper()]
    return Condition(register, found.name, found.values[value])


def merge(
    documented: Mapping[str, Alternatives], table: Mapping[str, Alternatives]
) -> Iterator[tuple[str, Alternatives, str]]:
    """Yield hwcap, rule and what document and kernel say differently."""
    left = dict(table)
    for name, rule in documented.items():
        short = name.partition("_")[2]
        # The document writes HWCAP2_SMEI16I32 where the header has HWCAP2_SME_I16I32.
        found = next((n for n in left if n.replace("_", "") == short.replace("_", "")), None)
        if found is None:
            yield short, rule, "only documented"
            continue
        kernel = left.pop(found)
        yield (
            found,
            kernel,
            "" if _same(rule, kernel) else f"{_words(rule)}; kernel {_words(kernel)}",
        )
    for short, kernel in left.items():
        yield short, kernel, "only in the kernel's table"


def _words(rule: Alternatives) -> str:
    return " or ".join(
        " and ".join(f"{c.register}.{c.field} >= {c.minimum}" for c in group) for group in rule
    )


def _same(one: Alternatives, other: Alternatives) -> bool:
    def normal(rule: Alternatives) -> set[frozenset[tuple[str, str, int]]]:
        return {
            frozenset((c.register, c.field.upper(), c.minimum) for c in group) for group in rule
        }

    return normal(one) == normal(other)


def rows(
    merged: Iterable[tuple[str, Alternatives, str]], fields: Mapping[tuple[str, str], Field]
) -> Iterator[tuple[str, int, str, str, int, int, int, int]]:
    """Yield the table's rows: hwcap, alternative, register, field, low, high, signed, minimum."""
    for name, rule, _ in merged:
        for number, group in enumerate(rule):
            for condition in group:
                field = fields[condition.register, condition.field.upper()]
                yield (
                    name.lower().replace("_", ""), number, field.register, field.name,
                    field.low, field.high, int(field.signed), condition.minimum,
                )  # fmt: skip


def read_bits(linux: Path) -> Iterator[tuple[str, str, int, str, str]]:
    """Yield architecture, vector entry, bit, the name cpuinfo prints, and the file it is from."""
    yield from _arm64_bits(linux)
    path = "arch/riscv/include/uapi/asm/hwcap.h"
    for letter in re.findall(r"COMPAT_HWCAP_ISA_(\w)\s", (linux / path).read_text()):
        yield "riscv64", "AT_HWCAP", ord(letter) - ord("A"), letter.lower(), path
    yield from _hwprobe_bits(linux)
    yield from _s390x_bits(linux)
    path = "arch/powerpc/include/uapi/asm/cputable.h"
    for word, name, mask in re.findall(
        r"#define PPC_FEATURE(2?)_(\w+)\s+\\?\s*(0x[0-9a-f]+)", (linux / path).read_text(), re.I
    ):
        yield "ppc64el", f"AT_HWCAP{word}", int(mask, 16).bit_length() - 1, name.lower(), path


def _arm64_bits(linux: Path) -> Iterator[tuple[str, str, int, str, str]]:
    path = "arch/arm64/include/uapi/asm/hwcap.h"
    shown = dict(
        re.findall(
            r"\[KERNEL_HWCAP_(\w+)\]\s*= \"(\w+)\"",
            (linux / "arch/arm64/kernel/cpuinfo.c").read_text(),
        )
    )
    for word, name, bit in re.findall(
        r"#define HWCAP(\d?)_(\w+)\s+\(1(?:UL)? << (\d+)\)", (linux / path).read_text()
    ):
        yield "arm64", f"AT_HWCAP{word}", int(bit), shown.get(name, name.lower()), path


def _hwprobe_bits(linux: Path) -> Iterator[tuple[str, str, int, str, str]]:
    """Yield the bits of riscv_hwprobe's extension keys; ``fd`` stands for both letters."""
    path = "arch/riscv/include/uapi/asm/hwprobe.h"
    key = ""
    for line in (linux / path).read_text().splitlines():
        if found := re.match(r"#define RISCV_HWPROBE_KEY_(\w+)", line):
            key = found[1].lower()
        elif found := re.match(
            r"#define\s+RISCV_HWPROBE_(?:EXT|IMA)_(\w+)\s+\(1U?L?L? << (\d+)", line
        ):
            yield "riscv64", key, int(found[2]), found[1].lower(), path


def _s390x_bits(linux: Path) -> Iterator[tuple[str, str, int, str, str]]:
    path = "arch/s390/include/asm/elf.h"
    shown = dict(
        re.findall(
            r"\[HWCAP_NR_(\w+)\]\s*= \"(\w+)\"",
            (linux / "arch/s390/kernel/processor.c").read_text(),
        )
    )
    for name, bit in re.findall(r"HWCAP_NR_(\w+)\s*= (\d+)", (linux / path).read_text()):
        yield "s390x", "AT_HWCAP", int(bit), shown.get(name, name.lower()), path


def main(arguments: list[str]) -> int:
    """Write both tables; print every difference between document and kernel."""
    linux, version = Path(arguments[0]), arguments[1]
    fields = read_fields((linux / SYSREG).read_text())
    documented = read_document((linux / DOCUMENT).read_text())
    table = read_table((linux / TABLE).read_text(), fields)
    merged = list(merge(documented, table))
    for name, _, difference in merged:
        if difference:
            print(f"{name}: {difference}", file=sys.stderr)
    _write(
        "arm64-hwcaps.csv",
        f"# Derived from linux {version}: {DOCUMENT}, {TABLE}, {SYSREG}",
        ("hwcap", "alternative", "register", "field", "low", "high", "signed", "minimum"),
        rows(merged, fields),
    )
    _write(
        "hwcap-bits.csv",
        f"# Derived from linux {version}: the file that each row names",
        ("arch", "entry", "bit", "name", "source"),
        read_bits(linux),
    )
    print(f"{len(documented)} documented rules, {len(merged)} in all", file=sys.stderr)
    return 0


def _write(
    name: str, comment: str, heading: tuple[str, ...], lines: Iterable[tuple[object, ...]]
) -> None:
    DATA.mkdir(exist_ok=True)
    with (DATA / name).open("w", newline="") as out:
        out.write(comment + "\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(heading)
        writer.writerows(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
