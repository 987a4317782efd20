"""Derive which CPUID bits KVM and QEMU pass on to a guest, and since which version.

``uplift catalog derive TREE…`` reads sources of Linux and of QEMU, of any number of versions, into
``catalog/data/kvm-exposure.csv``. ``4.19.0..5.4.0`` says that the tree of 4.19.0 lacks the bit and
that of 5.4.0 has it; ``..4.10.1`` that the oldest tree has it; ``… until 5.1.0..5.2.0`` that it
went again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TypeVar

from uplift.catalog.derive.upstream import Files, SourceTree, without_comments
from uplift.catalog.kvm_exposure import UNTIL
from uplift.catalog.since import version_key

TABLE = "kvm-exposure.csv"
CPUID = "arch/x86/kvm/cpuid.c"
CPUFEATURES = "arch/x86/include/asm/cpufeatures.h"
REVERSE = ("arch/x86/kvm/reverse_cpuid.h", "arch/x86/kvm/cpuid.h")
VENDORS = {
    "intel": ("arch/x86/kvm/vmx/vmx.c", "arch/x86/kvm/vmx.c"),
    "amd": ("arch/x86/kvm/svm/svm.c", "arch/x86/kvm/svm.c"),
}
QEMU_CPU = ("target/i386/cpu.c", "target-i386/cpu.c")
QEMU_KVM = ("target/i386/kvm/kvm.c", "target/i386/kvm.c", "target-i386/kvm.c")

_REGISTERS = ("eax", "ebx", "ecx", "edx")
Place = tuple[int, int, int, int]  #: leaf, subleaf, register, bit
Word = tuple[int, int, int]


@dataclass
class Kernel:
    """What one version of KVM says: each bit's kind, and under which conditions it changes it.

    :param changes: place to ``amd: set if nested`` and the like, in the source's words.
    :param withheld: vendor to places that its module says are not supported at all.
    """

    version: str
    kinds: dict[Place, str] = field(default_factory=dict)
    names: dict[Place, str] = field(default_factory=dict)
    changes: dict[Place, list[str]] = field(default_factory=dict)
    withheld: dict[str, set[Place]] = field(default_factory=dict)

    def has(self, place: Place, vendor: str) -> bool:
        """Whether this version can expose the bit with this vendor's module."""
        return place in self.kinds and place not in self.withheld.get(vendor, ())


@dataclass
class Emulator:
    """What one version of QEMU says: each bit's property, its rule, and what QEMU adds itself."""

    version: str
    properties: dict[Place, str] = field(default_factory=dict)
    rules: dict[Place, str] = field(default_factory=dict)
    adds: dict[Place, str] = field(default_factory=dict)  #: ``host``, ``always``, ``if …``


def _text(files: Files, names: Iterable[str]) -> str:
    return without_comments(next((files[name] for name in names if name in files), ""))


def linux_version(tree: Path) -> str:
    """Return ``6.1.176`` of a Linux tree, from its Makefile."""
    text = (tree / "Makefile").read_text(encoding="utf-8", errors="replace")
    parts = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)", text, re.MULTILINE))
    return ".".join(parts[name] for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))


_WORD = re.compile(r"CPUID level (0x[0-9a-f]+)(?::(\d+))?(.*?)word (\d+)", re.IGNORECASE)
_FLAG = re.compile(r"#define X86_FEATURE_(\w+)\s+\(\s*(\d+)\s*\*\s*32\s*\+\s*(\d+)\)")
_REVERSE = re.compile(r"\[(CPUID_\w+)\]\s*=\s*\{\s*(\w+),\s*(\w+),\s*CPUID_(E[A-D]X)\}")
_KVM_FLAG = re.compile(
    r"#define (?:KVM_)?X86_FEATURE_(\w+)\s+KVM_X86_FEATURE\((CPUID_\w+),\s*(\d+)\)"
)


def flags(files: Files) -> dict[str, Place]:
    """Return where each of the kernel's feature flags stands in CPUID."""
    header = files.get(CPUFEATURES, "")
    words: dict[int, Word] = {}
    for leaf, subleaf, between, number in _WORD.findall(header):
        register = re.search(r"\be([a-d])x\b", between, re.IGNORECASE)
        index = "abcd".index(register[1].lower()) if register else 3
        words[int(number)] = (int(leaf, 16), int(subleaf or 0), index)
    found = {
        name: (*words[int(word)], int(bit))
        for name, word, bit in _FLAG.findall(header)
        if int(word) in words
    }
    reverse = _text(files, REVERSE)
    leaves = {
        name: (int(leaf, 0), int(subleaf, 0), _REGISTERS.index(register.lower()))
        for name, leaf, subleaf, register in _REVERSE.findall(reverse)
    }
    for name, leaf, bit in _KVM_FLAG.findall(reverse):
        found[name] = (*leaves[leaf], int(bit))
    return found


_LIST = re.compile(
    r"kvm_cpu_cap_(?:mask|init\w*)\(\s*(\w+)\s*,(.*?)\)\s*;"
    r"|const u32 kvm_(cpuid_\w+?)_x86_features\s*=(.*?);",
    re.DOTALL,
)
_TOKEN = re.compile(r"\b(\w*?)_?(?:K|S)?F\((\w+)\)|\bf_(\w+)\b")
_KINDS = {
    "": "listed",
    "X86_64": "listed",
    "SCATTERED": "listed",
    "ALIASED_1_EDX": "listed",
    "VENDOR": "vendor",
    "RUNTIME": "runtime",
    "EMULATED": "emulated",
    "PASSTHROUGH": "passthrough",
    "SYNTHESIZED": "listed",
}
_ALIASES = "8000_0001_EDX"
#: Names of old code: SVM_FEATURE_NRIP is X86_FEATURE_NRIPS.
_OLD_NAMES = {"NRIP": "NRIPS", "GBPAGES": "GBPAGES", "LM": "LM"}


def kernel(files: Files, newest: Mapping[str, Place], version: str) -> Kernel:
    """Read what one Linux tree's KVM exposes.

    :param newest: flags of the newest tree, for names that this tree knows in another way.
    """
    known = {**newest, **flags(files)}
    found = Kernel(version)
    text = _text(files, [CPUID])
    for new_word, new_list, old_word, old_list in _LIST.findall(text):
        alias = _ALIASES in (new_word or old_word).upper()
        for kind, name in _tokens(new_list or old_list):
            _take(found, known.get(name), name, kind, alias)
    for name in re.findall(r"entry->e[a-d]x \|= F\((\w+)\)", text):
        _take(found, known.get(name), name, "emulated", False)
    for name in re.findall(r"kvm_cpu_cap_set\(X86_FEATURE_(\w+)\)", text):
        if known.get(name) not in found.kinds:
            _take(found, known.get(name), name, "set", False)
    for vendor, paths in VENDORS.items():
        text = _text(files, paths)
        _vendor(found, vendor, text, known)
        refused = (name.upper() for name in _REFUSED.findall(text))
        found.withheld[vendor] = {known[name] for name in refused if name in known}
    return found


#: Before Linux 5.7 a module answered so: ``static bool svm_xsaves_supported(void)``.
_REFUSED = re.compile(r"bool \w{3}_(\w+?)_supported\(void\)\s*\{\s*return false;")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for prefix, name, local in _TOKEN.findall(text):
        if local:
            yield "listed", local.upper()
        elif prefix in _KINDS:
            yield _KINDS[prefix], name


def _take(found: Kernel, place: Place | None, name: str, kind: str, alias: bool) -> None:
    if place is None:
        return
    if alias and place[0] == 1:  # AMD repeats leaf 1's edx in leaf 0x80000001
        place = (0x80000001, 0, 3, place[3])
    found.kinds[place] = kind
    found.names.setdefault(place, name.lower())


_CALL = re.compile(r"kvm_cpu_cap_(set|clear|check_and_set)\(X86_FEATURE_(\w+)\)")
_OLD_SET = re.compile(
    r"entry->e[a-d]x \|= (?:SVM_FEATURE_(\w+)|bit\(X86_FEATURE_(\w+)\)|F\((\w+)\))"
)
_SVM_BIT = "entry->ecx |= (1 << 2)"


def _vendor(found: Kernel, vendor: str, text: str, known: Mapping[str, Place]) -> None:
    for conditions, line in _statements(text):
        verb, name = _change(vendor, line)
        place = known.get(name)
        if place is None:
            continue
        condition = " && ".join(conditions)
        found.changes.setdefault(place, []).append(
            f"{vendor}: {verb}" + (f" if {condition}" if condition else "")
        )
        if verb == "set" and place not in found.kinds:
            found.kinds[place] = "vendor"
            found.names.setdefault(place, name.lower())


def _change(vendor: str, line: str) -> tuple[str, str]:
    call = _CALL.search(line)
    if call:
        return call[1].removeprefix("check_and_"), call[2]
    old = _OLD_SET.search(line)
    if old:
        name = old[1] or old[2] or old[3]
        return "set", _OLD_NAMES.get(name, name)
    return ("set", "SVM") if vendor == "amd" and _SVM_BIT in line else ("", "")


def _statements(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield each line with the conditions that it stands under, by the kernel's indentation."""
    stack: list[tuple[int, str]] = []
    closed = (0, "")
    for line in re.sub(r"(\|\||&&)\n\s+", r"\1 ", text).split("\n"):
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip("\t"))
        while stack and stack[-1][0] >= depth:
            closed = stack.pop()
        opened = re.match(r"\t*if \((.*)\)\s*\{?$", line)
        if opened:
            stack.append((depth, opened[1]))
        elif re.match(r"\t*(?:\} )?else(?: \{)?$", line):
            stack.append((depth, f"!({closed[1]})"))
        yield [condition for _, condition in stack], line


_FEATURE_WORDS = re.compile(r"feature_word_info\[FEATURE_WORDS\] = \{(.*?)\n\};", re.DOTALL)
_FEATURE_WORD = re.compile(r"\[FEAT_\w+\] = \{(.*?)\n {4}\s?\},", re.DOTALL)
_CONSTANT = re.compile(r"#define (CPUID_\w+)\s+\(1U?L?L? << (\d+)\)")


def emulator(files: Files) -> Emulator:
    """Read which property QEMU has for each bit, and what its defaults leave out or add."""
    found = Emulator(files["VERSION"].strip())
    constants = _constants(files)
    table = _FEATURE_WORDS.search(_text(files, QEMU_CPU))
    for body in _FEATURE_WORD.findall((table[1] if table else "") + "\n    },"):
        word = _cpuid_word(body)
        if word is None:
            continue
        for bit, name in _names(body):
            place = (*word, bit)
            found.properties[place] = name
        for rule in ("no_autoenable", "unmigratable"):
            for bit in _rule_bits(body, rule, constants):
                place = (*word, bit)
                found.rules[place] = rule.replace("_", "-")
    found.adds.update(_added(_text(files, QEMU_KVM), constants))
    return found


def _constants(files: Files) -> dict[str, int]:
    header = _text(files, ("target/i386/cpu.h", "target-i386/cpu.h"))
    return {name: int(bit) for name, bit in _CONSTANT.findall(header)}


def _cpuid_word(body: str) -> Word | None:
    leaf = re.search(r"\.(?:cpuid_)?eax = (0x\w+|\d+)", body)
    register = re.search(r"reg = R_E([A-D])X", body)
    if not leaf or not register:
        return None
    subleaf = re.search(r"\.(?:cpuid_)?ecx = (0x\w+|\d+)", body)
    return int(leaf[1], 0), int(subleaf[1], 0) if subleaf else 0, "ABCD".index(register[1])


def _names(body: str) -> Iterator[tuple[int, str]]:
    listed = re.search(r"\.feat_names = \{(.*?)\}", body, re.DOTALL)
    bit = 0
    for item in (listed[1] if listed else "").split(","):
        text = item.strip()
        at = re.match(r"\[(\d+)\] = (.*)", text)
        if at:
            bit, text = int(at[1]), at[2]
        name = re.match(r'"([^"|]+)', text)
        if name:
            yield bit, name[1].replace("_", "-").replace(".", "-")
        bit += bool(text)


def _rule_bits(body: str, rule: str, constants: Mapping[str, int]) -> Iterator[int]:
    told = re.search(rf"\.{rule}_flags = ([^,]+),", body)
    for name in re.findall(r"CPUID_\w+", told[1] if told else ""):
        if name in constants:
            yield constants[name]


_BLOCK = re.compile(
    r"if \(function == (0x\w+|\d+)(?: && index == (\d+))? && reg == R_E([A-D])X\) \{"
    r"(.*?)(?=\n    \} else if|\n    \}\n)",
    re.DOTALL,
)


def _added(text: str, constants: Mapping[str, int]) -> Iterator[tuple[Place, str]]:
    """Yield the bits that QEMU adds to what KVM answers: ``always`` or as the ``host`` has it."""
    body = text.partition("kvm_arch_get_supported_cpuid(")[2]
    for leaf, subleaf, register, block in _BLOCK.findall(body):
        word = int(leaf, 0), int(subleaf or 0), "ABCD".index(register)
        for conditions, line in _statements(_tabbed(block)):
            told = re.search(r"ret \|= ([^;]+);", line)
            how = " && ".join(conditions)
            for name in re.findall(r"CPUID_\w+", told[1] if told else ""):
                if name in constants:
                    kind = "host" if told and "&" in told[1] else "always"
                    yield (*word, constants[name]), f"if {how}" if how else kind


def _tabbed(block: str) -> str:
    """Indent as the kernel does; a condition or an expression over several lines becomes one."""
    joined = re.sub(r"(&&|\||,|=)\n\s+", r"\1 ", block)
    return re.sub(r"^(?: {4})+", lambda found: "\t" * (len(found[0]) // 4), joined, flags=re.M)


Row = dict[str, object]


def rows(kernels: list[Kernel], emulators: list[Emulator]) -> Iterator[Row]:
    """Merge all versions, oldest first, into one row per bit."""
    places = {place for k in kernels for place in k.kinds}
    places |= {place for e in emulators for place in e.properties}
    newest_kernel, newest_qemu = kernels[-1], emulators[-1]
    versions = [k.version for k in kernels], [e.version for e in emulators]
    for place in sorted(places):
        has = [k for k in kernels if place in k.kinds]
        knows = [e for e in emulators if place in e.properties]
        adds = [e for e in emulators if place in e.adds]
        yield {
            "leaf": f"{place[0]:x}",
            "subleaf": f"{place[1]:x}",
            "register": _REGISTERS[place[2]],
            "bit": place[3],
            "flag": has[-1].names[place] if has else "",
            "property": knows[-1].properties[place] if knows else "",
            "kvm": has[-1].kinds[place] if has else "",
            "intel_since": _since(
                versions[0], [k.version for k in kernels if k.has(place, "intel")]
            ),
            "amd_since": _since(versions[0], [k.version for k in kernels if k.has(place, "amd")]),
            "kvm_when": "; ".join(dict.fromkeys(newest_kernel.changes.get(place, ()))),
            "qemu_since": _since(versions[1], [e.version for e in knows]),
            "qemu_rule": newest_qemu.rules.get(place, ""),
            "qemu_adds": adds[-1].adds[place] if adds else "",
            "adds_since": _since(versions[1], [e.version for e in adds]),
        }


def _since(versions: list[str], having: list[str]) -> str:
    """Say between which two versions the bit came to stay, and where it went where it did."""
    if not having:
        return ""
    first = last = versions.index(having[-1])
    while first > 0 and versions[first - 1] in having:
        first -= 1
    came = f"{versions[first - 1] if first else ''}..{versions[first]}"
    gone = last + 1 < len(versions)
    return f"{came}{UNTIL}{versions[last]}..{versions[last + 1]}" if gone else came


def table(trees: Iterable[SourceTree], before: str) -> str:
    """Return ``kvm-exposure.csv`` with what the trees of Linux and QEMU say added to it.

    :param before: the table as it is; empty for none. Where no tree is newer than its versions,
        what it says of kinds, rules and conditions stays.
    """
    old = list(csv.DictReader(line for line in before.splitlines() if line[:1] != "#"))
    kernels, emulators = _recalled(before, old)
    own = sorted(trees, key=lambda tree: version_key(tree.version))
    known = {row["flag"].upper(): _place(row) for row in old if row["flag"]}
    for tree in own:
        if tree.project.name == "linux":
            known.update(flags(tree.files))
    for tree in own:
        if tree.project.name == "linux":
            kernels[tree.version] = kernel(tree.files, known, tree.version)
        elif tree.project.name == "qemu":
            emulators[tree.version] = emulator(tree.files)
    return _written(_by_age(kernels), _by_age(emulators))


_Read = TypeVar("_Read")


def _by_age(read: Mapping[str, _Read]) -> list[_Read]:
    return [read[version] for version in sorted(read, key=version_key)]


def _written(kernels: list[Kernel], emulators: list[Emulator]) -> str:
    if not kernels or not emulators:
        return ""  # half a table says nothing
    found = list(rows(kernels, emulators))
    out = StringIO()
    out.write(f"# derived: linux {', '.join(k.version for k in kernels)}: {CPUID},\n")
    out.write("# derived: its vmx.c and svm.c, reverse_cpuid.h, asm/cpufeatures.h;\n")
    out.write(f"# derived: qemu {', '.join(e.version for e in emulators)}:\n")
    out.write("# derived: target/i386/cpu.c (feature_word_info), kvm.c\n")
    writer = csv.DictWriter(out, fieldnames=list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


_Cells = dict[str, str]


def _recalled(text: str, old: list[_Cells]) -> tuple[dict[str, Kernel], dict[str, Emulator]]:
    """Read back what the table says of each version in its header."""
    kernels = {version: Kernel(version) for version in _versions(text, "linux")}
    emulators = {version: Emulator(version) for version in _versions(text, "qemu")}
    for kern in kernels.values():
        for row in old:
            _recall_kernel(kern, row, _place(row))
    for emul in emulators.values():
        for row in old:
            _recall_emulator(emul, row, _place(row))
    return kernels, emulators


def _versions(text: str, project: str) -> list[str]:
    told = re.search(rf"^# derived: {project} ([^:]+):", text, re.MULTILINE)
    return told[1].split(", ") if told else []


def _place(row: _Cells) -> Place:
    register = _REGISTERS.index(row["register"])
    return int(row["leaf"], 16), int(row["subleaf"], 16), register, int(row["bit"])


def _recall_kernel(found: Kernel, row: _Cells, place: Place) -> None:
    has = [vendor for vendor in VENDORS if _reached(row[f"{vendor}_since"], found.version)]
    if not has:
        return
    found.kinds[place], found.names[place] = row["kvm"], row["flag"]
    found.changes[place] = [part for part in row["kvm_when"].split("; ") if part]
    for vendor in VENDORS.keys() - has:
        found.withheld.setdefault(vendor, set()).add(place)


def _recall_emulator(found: Emulator, row: _Cells, place: Place) -> None:
    if _reached(row["qemu_since"], found.version):
        found.properties[place] = row["property"]
    if _reached(row["adds_since"], found.version):
        found.adds[place] = row["qemu_adds"]
    if row["qemu_rule"]:
        found.rules[place] = row["qemu_rule"]


def _reached(cell: str, version: str) -> bool:
    """Whether a version that was read had what a cell dates."""
    came, _, went = cell.partition(UNTIL)
    since, last = came.partition("..")[2], went.partition("..")[0]
    asked = version_key(version)
    before_end = not last or asked <= version_key(last)
    return bool(since) and before_end and asked >= version_key(since)
