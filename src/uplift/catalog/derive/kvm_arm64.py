"""Derive which fields of the arm64 ID registers KVM passes on to a guest, and since which version.

``python -m uplift.catalog.derive.kvm_arm64 TREE[=ORIGIN]…`` reads unpacked source trees of Linux
and of QEMU, of any number of versions, and writes ``catalog/data/kvm-arm64.csv``. A guest sees a
field if the kernel keeps it in its sanitised copy of the register (``cpufeature.c``) and KVM
neither hides the register nor clears the field (``sys_regs.c``). A row tells a state and when it
began: ``6.5.13..6.8.0`` says that the tree of 6.5.13 has another and that of 6.8.0 this one.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uplift.catalog.derive.c_statements import conjuncts, functions, negated, statements
from uplift.catalog.derive.unpacked import Tree, heading, trees
from uplift.catalog.derive.upstream import Files, without_comments
from uplift.facts.hwcap_tables import arm64_rules

TABLE = Path(__file__).parents[1] / "data" / "kvm-arm64.csv"
SYS_REGS = "arch/arm64/kvm/sys_regs.c"
CPUFEATURE = "arch/arm64/kernel/cpufeature.c"
SYSREG = "arch/arm64/tools/sysreg"
HEADER = "arch/arm64/include/asm/sysreg.h"
LINUX_FILES = (SYS_REGS, CPUFEATURE, SYSREG, HEADER)
QEMU_FILES = ("target/arm/kvm.c", "target/arm/kvm64.c", "target/arm/cpu64.c")
COLUMNS = ("register", "field", "low", "high", "kvm", "when", "since", "qemu", "qemu_since")

PASSED, HIDDEN, UNKNOWN_FIELD = "passed", "hidden", ""
Place = tuple[str, int]  #: register and lowest bit
#: What user space must ask KVM for: the condition, how KVM is asked, and how QEMU is.
ASKED = {
    "vcpu_has_sve(vcpu)": ("KVM_ARM_VCPU_SVE", "by default"),
    "vcpu_has_ptrauth(vcpu)": ("KVM_ARM_VCPU_PTRAUTH_ADDRESS", "by default"),
    "kvm_has_mte(vcpu->kvm)": ("KVM_CAP_ARM_MTE", "-machine virt,mte=on"),
}


@dataclass(frozen=True)
class State:
    """What KVM makes of a field.

    :param kvm: ``passed`` as the host has it, ``hidden``, or empty where the kernel's sanitised
        copy of the register has no such field.
    :param when: under which condition it is passed, in the source's words; empty: always.
    """

    kvm: str
    when: str = ""


@dataclass(frozen=True)
class Field:
    """A field's name and its highest bit."""

    name: str
    high: int


@dataclass(frozen=True)
class Kernel:
    """What one version says of each field that its sanitised registers have."""

    version: str
    fields: Mapping[Place, Field]
    states: Mapping[Place, State]


@dataclass(frozen=True)
class Emulator:
    """Which conditions one version of QEMU fulfils."""

    version: str
    asks: frozenset[str]


_NAME = re.compile(r"\b(ID_AA64[A-Z]+\d)(?:_EL1)?_(?!SHIFT\b|MASK\b)(\w+?)(?:_SHIFT|_MASK)?\b")
_SYSREG = re.compile(r"^Sysreg\s+(ID_AA64\w+)\b.*?\n(.*?)^EndSysreg", re.MULTILINE | re.DOTALL)
_SYSREG_FIELD = re.compile(
    r"^(?:Field|(?:Un)?[Ss]ignedEnum|Enum)\s+(\d+)(?::(\d+))?\s+(\w+)", re.MULTILINE
)
_SHIFT = re.compile(r"^#define\s+(ID_AA64\w+)_SHIFT\s+\(?(\d+)", re.MULTILINE)


def fields(files: Files) -> dict[str, tuple[Place, Field]]:
    """Return where the fields of the ID registers lie, by register and name without ``_EL1``."""
    found: dict[str, tuple[Place, Field]] = {}
    for name, shift in _SHIFT.findall(files.get(HEADER, "")):
        register, field_name = _split(name)
        low = int(shift)
        found[f"{register}.{field_name}"] = (register, low), Field(field_name, low + 3)
    for register, body in _SYSREG.findall(files.get(SYSREG, "")):
        for high, low, name in _SYSREG_FIELD.findall(body):
            place = register, int(low or high)
            found[f"{register}.{name}"] = place, Field(name, int(high))
    return found


def _split(name: str) -> tuple[str, str]:
    """Split ``ID_AA64PFR0_EL1_SVE_MASK`` into register and field; old names lack ``_EL1``."""
    told = _NAME.match(name)
    return (f"{told[1]}_EL1", told[2]) if told else ("", "")


_ARRAY = re.compile(r"arm64_ftr_bits (\w+)\[\] = \{(.*?)\n\};", re.DOTALL)
_BITS = re.compile(r"FTR_(?:NON)?STRICT,\s*FTR_\w+,\s*(\w+),")
_ENTRY = re.compile(r"ARM64_FTR_REG\w*\(\s*SYS_(ID_AA64\w+),\s*(\w+)")


def sanitised(text: str, known: Mapping[str, tuple[Place, Field]]) -> Iterator[Place]:
    """Yield the fields that the kernel keeps in its sanitised copies of the registers.

    :param text: ``cpufeature.c`` without comments.
    """
    arrays = dict(_ARRAY.findall(text))
    for register, array in _ENTRY.findall(text):
        for shift in _BITS.findall(arrays.get(array, "")):
            if shift.isdigit():
                yield register, int(shift)
            else:
                yield known[".".join(_split(shift))][0]


_DESCRIBED = re.compile(
    r"\b(?:ID_(?:SANITISED|WRITABLE|FILTERED)\((?:SYS_)?|SYS_DESC\(SYS_)(ID_AA64\w+)"
)
_READERS = re.compile(r"(?:__)?(?:kvm_)?(?:arm_)?read_(?:sanitised_)?id_\w+|sanitise_id_\w+")


def kernel(files: Files, version: str) -> Kernel:
    """Read what one Linux tree's KVM passes on.

    :raises ValueError: KVM clears a field that no header of the tree tells.
    """
    known = fields(files)
    text = without_comments(files[SYS_REGS])
    kept = frozenset(sanitised(without_comments(files[CPUFEATURE]), known))
    described = frozenset(_DESCRIBED.findall(text))
    states = {place: State(PASSED if place[0] in described else HIDDEN) for place in kept}
    names = dict(known.values())
    bodies = functions(text)
    for condition, register in _invisible(bodies.get("id_visibility", "")):
        _restrict(states, [p for p in kept if p[0] == register], negated(condition))
    for name, body in bodies.items():
        if _READERS.fullmatch(name):
            _apply(states, body, known)
    return Kernel(version, {place: names[place] for place in kept if place in names}, states)


def _invisible(body: str) -> Iterator[tuple[str, str]]:
    """Yield the conditions under which a register reads as zero."""
    for conditions, statement in statements(body):
        label = next((c for c in conditions if c.startswith("case ")), "")
        if statement == "return REG_RAZ" and label:
            rest = [c for c in conditions if c != label]
            yield " && ".join(rest), label.removeprefix("case SYS_")


_ASSIGNED = re.compile(r"val (\&|\|)= (.*)", re.DOTALL)


def _apply(states: dict[Place, State], body: str, known: Mapping[str, tuple[Place, Field]]) -> None:
    """Apply each statement that clears, keeps or sets fields of a register."""
    for conditions, statement in statements(body):
        told = _ASSIGNED.fullmatch(statement)
        if told is None:
            continue
        when = " && ".join(_own(conditions))
        mask = told[2]
        if told[1] == "|":
            set_ = [p for p in _set(mask, known) if p in states]
            states.update(dict.fromkeys(set_, State(PASSED, when)))
        elif mask.startswith("~"):
            places = _places(mask, known)
            _restrict(states, places, negated(when) if when else "")
        else:
            _keep_only(states, mask, known)


def _own(conditions: Iterable[str]) -> Iterator[str]:
    """Yield the conditions that are not about which register is read."""
    for condition in conditions:
        if condition.startswith(("case ", "!(id ==")):
            continue
        yield from (part for part in conjuncts(condition) if "id == SYS_" not in part)


def _places(mask: str, known: Mapping[str, tuple[Place, Field]]) -> list[Place]:
    names = [f"{register}_EL1.{name}" for register, name in _NAME.findall(mask)]
    missing = [name for name in names if name not in known and not name.endswith((".RES0", "_IMP"))]
    if missing:
        raise ValueError(f"no header tells where {missing[0]} lies")
    return [known[name][0] for name in names if name in known]


_PREPARED = re.compile(r"SYS_FIELD_PREP\w*\((ID_AA64\w+), (\w+)")


def _set(mask: str, known: Mapping[str, tuple[Place, Field]]) -> Iterator[Place]:
    """Yield the fields that KVM gives a value of its own."""
    bare = _PREPARED.sub("", mask)
    named = [(f"{register}_EL1", name) for register, name in _NAME.findall(bare)]
    for register, name in (*named, *_PREPARED.findall(mask)):
        if f"{register}.{name}" in known:
            yield known[f"{register}.{name}"][0]


def _restrict(states: dict[Place, State], places: Iterable[Place], when: str) -> None:
    """Hide fields, or pass them on only under a condition."""
    for place in places:
        old = states.get(place)
        if old is None or old.kvm == HIDDEN:
            continue
        both = " && ".join(filter(None, (old.when, when)))
        states[place] = State(PASSED, both) if when else State(HIDDEN)


_CHOICE = re.compile(r"\((.*?)\s*\?\s*(.*?):\s*0\s*\)", re.DOTALL)


def _keep_only(
    states: dict[Place, State], mask: str, known: Mapping[str, tuple[Place, Field]]
) -> None:
    """Hide all fields of a register but those in ``mask``, some of which a condition may keep."""
    kept = _places(mask, known)
    for condition, some in _CHOICE.findall(mask):
        _restrict(states, _places(some, known), condition)
    registers = {place[0] for place in kept}
    others = [p for p in states if p[0] in registers and p not in kept]
    _restrict(states, others, "")


def emulator(files: Files, version: str) -> Emulator:
    """Read which of the conditions one QEMU fulfils, by default or when it is asked to."""
    text = "".join(without_comments(files.get(name, "")) for name in QEMU_FILES)
    asks = (condition for condition, (word, _) in ASKED.items() if word in text)
    return Emulator(version, frozenset(asks))


Row = dict[str, object]


def rows(kernels: Sequence[Kernel], emulators: Sequence[Emulator]) -> Iterator[Row]:
    """Merge all versions, oldest first: one row for each state that a field has had.

    Told are the fields that HWCAP words follow: programs see no others.
    """
    names = {place: field for one in kernels for place, field in one.fields.items()}
    for place in sorted(names.keys() & _told()):
        for state, since in _history(place, kernels):
            yield {
                "register": place[0],
                "field": names[place].name,
                "low": place[1],
                "high": names[place].high,
                "kvm": state.kvm,
                "when": state.when,
                "since": since,
                **_asked(state.when, emulators),
            }


def _told() -> frozenset[Place]:
    return frozenset(
        (condition.register.upper(), condition.low)
        for rule in arm64_rules().values()
        for group in rule
        for condition in group
    )


def _history(place: Place, kernels: Sequence[Kernel]) -> Iterator[tuple[State, str]]:
    before, last = "", State(UNKNOWN_FIELD)
    for one in kernels:
        state = one.states.get(place, State(UNKNOWN_FIELD))
        if state != last:
            yield state, f"{before}..{one.version}"
        before, last = one.version, state


def _asked(when: str, emulators: Sequence[Emulator]) -> dict[str, str]:
    condition = next((part for part in conjuncts(when) if part in ASKED), "")
    if not condition:
        return {"qemu": "", "qemu_since": ""}
    having = [one.version for one in emulators if condition in one.asks]
    versions = [one.version for one in emulators]
    first = versions.index(having[0]) if having else 0
    since = f"{versions[first - 1] if first else ''}..{versions[first]}" if having else ""
    return {"qemu": ASKED[condition][1], "qemu_since": since}


def table(found: Sequence[Tree]) -> str:
    """Return the table's text.

    :param found: trees of Linux and of QEMU, oldest first.
    """
    kernels = [kernel(t.files, t.version) for t in found if t.project == "linux"]
    emulators = [emulator(t.files, t.version) for t in found if t.project == "qemu"]
    stream = io.StringIO()
    stream.writelines(heading(found))
    stream.write(f"# derived: linux: {SYS_REGS}, {CPUFEATURE}, {SYSREG}, {HEADER}\n")
    stream.write("# derived: qemu: target/arm/kvm.c, target/arm/kvm64.c\n")
    writer = csv.DictWriter(stream, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(kernels, emulators))
    return stream.getvalue()


def main(*arguments: str) -> None:
    """Derive the table from unpacked trees; the order does not matter."""
    found = trees(arguments, (*LINUX_FILES, *QEMU_FILES))
    TABLE.write_text(table(found), "utf-8")
    print(f"{TABLE.name}: {len(found)} trees")


if __name__ == "__main__":
    main(*sys.argv[1:])
