"""Derive which RISC-V extensions KVM passes on to a guest, and since which version.

``python -m uplift.catalog.derive.kvm_riscv TREE[=ORIGIN]…`` reads unpacked source trees of Linux
and of QEMU, of any number of versions. It writes ``catalog/data/kvm-riscv.csv``, and the numbers
by which KVM's interface calls the extensions to ``facts/data/kvm-riscv-extensions.csv``. Brackets
as in ``kvm-arm64.csv``.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from uplift.catalog.derive.c_statements import functions, statements
from uplift.catalog.derive.unpacked import Tree, heading, trees
from uplift.catalog.derive.upstream import Files, without_comments

TABLE = Path(__file__).parents[1] / "data" / "kvm-riscv.csv"
NUMBERS = Path(__file__).parents[2] / "facts" / "data" / "kvm-riscv-extensions.csv"
#: The table of extensions moved twice: with Linux 6.6 and with Linux 7.2.
KVM = ("arch/riscv/kvm/isa.c", "arch/riscv/kvm/vcpu_onereg.c", "arch/riscv/kvm/vcpu.c")
UAPI = "arch/riscv/include/uapi/asm/kvm.h"
LINUX_FILES = (*KVM, UAPI)
QEMU_FILES = ("target/riscv/kvm/kvm-cpu.c", "target/riscv/kvm.c")
COLUMNS = ("extension", "host", "kvm", "when", "since", "qemu_since")
PASSED, HIDDEN = "passed", "hidden"


@dataclass(frozen=True)
class Kernel:
    """What one version's KVM knows.

    :param hosts: extension to the one that the host must have for it.
    :param when: the condition under which a guest gets it; ``false``: never.
    :param numbers: extension to its number in KVM's interface.
    """

    version: str
    hosts: Mapping[str, str]
    when: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Emulator:
    """The extensions that one version of QEMU tells a KVM guest of."""

    version: str
    tells: frozenset[str]


_ARRAY = re.compile(r"kvm_isa_ext_arr\[\] = \{(.*?)\n\};", re.DOTALL)
_ENTRY = re.compile(r"KVM_ISA_EXT_ARR\((\w+)\)|\[KVM_RISCV_ISA_EXT_(\w+)\] = RISCV_ISA_EXT_(\w+)")
#: Before Linux 6.0 masks of single letters: ``riscv_isa_extension_mask(a) | …``.
_MASK = re.compile(r"#define KVM_RISCV_ISA_(?:DISABLE_(?:NOT_)?)?ALLOWED\b((?:.*\\\n)*.*)")
_ENUM = re.compile(r"enum KVM_RISCV_ISA_EXT_ID \{(.*?)\}", re.DOTALL)
_ALLOWED = re.compile(r"kvm_riscv_(?:vcpu_)?isa_enable_allowed")
_CHECKED = "__kvm_riscv_isa_check_host"


def kernel(files: Files, version: str) -> Kernel:
    """Read what one Linux tree's KVM knows; a tree older than KVM on RISC-V knows nothing."""
    texts = [without_comments(files[name]) for name in KVM if name in files]
    hosts = dict(_table("\n".join(texts)))
    bodies = {name: body for part in texts for name, body in functions(part).items()}
    hosts.update(_hosts(bodies.get(_CHECKED, ""), hosts))
    allowed = next((body for name, body in bodies.items() if _ALLOWED.fullmatch(name)), "")
    return Kernel(version, hosts, dict(_conditions(allowed)), _numbers(files.get(UAPI, "")))


def _table(text: str) -> Iterator[tuple[str, str]]:
    """Yield the extensions that KVM lists, and of each what the host must have."""
    found = _ARRAY.search(text)
    for both, own, host in _ENTRY.findall(found[1] if found else ""):
        yield (both or own).lower(), (both or host).lower()
    for mask in _MASK.findall(text):
        for letter in re.findall(r"riscv_isa_extension_mask\((\w+)\)", mask):
            yield letter, letter


def _hosts(body: str, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the extensions for which the host needs another one."""
    for conditions, statement in statements(body):
        label = next((c for c in conditions if c.startswith("case ")), "")
        told = re.fullmatch(r"host_ext = RISCV_ISA_EXT_(\w+)", statement)
        name = label.removeprefix("case RISCV_ISA_EXT_").lower()
        if told and name in known:
            yield name, told[1].lower()


def _conditions(body: str) -> Iterator[tuple[str, str]]:
    """Yield what a guest gets only under a condition, or never."""
    for conditions, statement in statements(body):
        label = next((c for c in conditions if c.startswith("case ")), "")
        if label and statement.startswith("return "):
            name = label.removeprefix("case KVM_RISCV_ISA_EXT_").lower()
            yield name, statement.removeprefix("return ")


def _numbers(header: str) -> dict[str, int]:
    found = _ENUM.search(without_comments(header))
    names = re.findall(r"KVM_RISCV_ISA_EXT_(\w+)", found[1] if found else "")
    return {name.lower(): number for number, name in enumerate(names) if name != "MAX"}


def emulator(files: Files, version: str) -> Emulator:
    """Read which extensions one QEMU asks KVM for, and so writes into a guest's device tree."""
    text = "".join(without_comments(files.get(name, "")) for name in QEMU_FILES)
    names = re.findall(r"\bKVM_RISCV_ISA_EXT_(\w+)", text)
    return Emulator(version, frozenset(name.lower() for name in names))


Row = dict[str, object]


def rows(kernels: Sequence[Kernel], emulators: Sequence[Emulator]) -> Iterator[Row]:
    """Merge all versions, oldest first: one row for each state that an extension has had."""
    for name in sorted({name for one in kernels for name in one.hosts}):
        host = next(one.hosts[name] for one in reversed(kernels) if name in one.hosts)
        told = _since([e.version for e in emulators], [name in e.tells for e in emulators])
        for kvm, when, since in _history(name, kernels):
            yield {
                "extension": name,
                "host": host if host != name else "",
                "kvm": kvm,
                "when": when,
                "since": since,
                "qemu_since": told,
            }


def _history(name: str, kernels: Sequence[Kernel]) -> Iterator[tuple[str, str, str]]:
    before, last = "", ("", "")
    for one in kernels:
        state = _state(name, one)
        if state != last:
            yield (*state, f"{before}..{one.version}")
        before, last = one.version, state


def _state(name: str, one: Kernel) -> tuple[str, str]:
    if name not in one.hosts:
        return "", ""
    when = one.when.get(name, "")
    return (HIDDEN, "") if when == "false" else (PASSED, when)


def _since(versions: Sequence[str], has: Sequence[bool]) -> str:
    if True not in has:
        return ""
    first = has.index(True)
    return f"{versions[first - 1] if first else ''}..{versions[first]}"


def table(found: Sequence[Tree]) -> str:
    """Return the table's text.

    :param found: trees of Linux and of QEMU, oldest first.
    """
    emulators = [emulator(t.files, t.version) for t in found if t.project == "qemu"]
    stream = io.StringIO()
    stream.writelines(heading(found))
    stream.write(f"# derived: linux: {', '.join(KVM)}\n")
    stream.write(f"# derived: qemu: {', '.join(QEMU_FILES)}\n")
    writer = csv.DictWriter(stream, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(kernels(found), emulators))
    return stream.getvalue()


def kernels(found: Iterable[Tree]) -> list[Kernel]:
    """Read the trees of Linux."""
    return [kernel(t.files, t.version) for t in found if t.project == "linux"]


def numbers_table(newest: Kernel) -> str:
    """Return the table of numbers, of the newest version: numbers are never given twice."""
    lines = [f"# Derived from linux {newest.version}: {UAPI}", "number,extension"]
    lines += [f"{number},{name}" for name, number in newest.numbers.items()]
    return "\n".join(lines) + "\n"


def main(*arguments: str) -> None:
    """Derive both tables from unpacked trees; the order does not matter."""
    found = trees(arguments, (*LINUX_FILES, *QEMU_FILES))
    TABLE.write_text(table(found), "utf-8")
    NUMBERS.write_text(numbers_table(kernels(found)[-1]), "utf-8")
    print(f"{TABLE.name}: {len(found)} trees")


if __name__ == "__main__":
    main(*sys.argv[1:])
