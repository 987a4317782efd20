"""CPUID as other programs write it down, read into registers: one reader per notation.

Every notation lists the processors one after the other, and leaf 0 opens each. Most processors of a
machine answer alike but for their own number, so a section is parsed in full only where its text
says something new: a server's dump of 384 processors costs little more than one of a laptop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

Registers = tuple[int, int, int, int]  #: eax, ebx, ecx, edx
Leaf = tuple[int, int]  #: leaf and subleaf
Leaves = Mapping[Leaf, Registers]

REGISTERS = ("eax", "ebx", "ecx", "edx")
MAX_BYTES = 24 << 20  #: 1,500 processors of the longest notation
MAX_LINES = 400_000
MAX_XML_BYTES = 1 << 20  #: an element costs many times its bytes
MAX_SECTIONS = 8192  #: processors
MAX_KINDS = 64  #: kinds of core; no machine has more than four
MAX_LEAVES = 4096  #: leaves and subleaves of one processor

_FULL = 0xFFFFFFFF
_LOW_WORD_HIGH = 0xFF000000

#: What every core of a machine has or has not: bits that mean the same on each of them.
#: ``{(leaf, subleaf): masks of eax, ebx, ecx, edx}``.
FEATURE_MASKS: dict[Leaf, Registers] = {
    (0x1, 0): (0, 0, _FULL, _FULL),
    (0x5, 0): (0, 0, _FULL, 0),
    (0x6, 0): (_FULL, 0, 0xF, 0xFF),
    (0x7, 0): (0, _FULL, _FULL, _FULL),
    (0x7, 1): (_FULL, _FULL, _FULL, _FULL),
    (0x7, 2): (_FULL, _FULL, _FULL, _FULL),
    (0xD, 0): (_FULL, 0, 0, _FULL),
    (0xD, 1): (_FULL, 0, _FULL, _FULL),
    (0xF, 0): (0, 0, 0, _FULL),
    (0x10, 0): (0, _FULL, 0, 0),
    (0x12, 0): (_FULL, _FULL, 0, 0),
    (0x12, 1): (_FULL, _FULL, _FULL, _FULL),
    (0x14, 0): (0, _FULL, _FULL, 0),
    (0x19, 0): (_FULL, _FULL, _FULL, 0),
    (0x1C, 0): (_FULL, _FULL, _FULL, 0),
    (0x1E, 1): (_FULL, 0, 0, 0),
    (0x20, 0): (0, _FULL, 0, 0),
    (0x24, 0): (0, 0xFFFFFF00, 0, 0),
    (0x24, 1): (0, 0, _FULL, 0),
    (0x29, 0): (0, _FULL, 0, 0),
    (0x80000001, 0): (0, 0, _FULL, _FULL),
    (0x80000007, 0): (0, _FULL, 0, _FULL),
    (0x80000008, 0): (0, _FULL, 0, 0),
    (0x8000000A, 0): (0, 0, 0, _FULL),
    (0x8000001A, 0): (_FULL, 0, 0, 0),
    (0x8000001B, 0): (_FULL, 0, 0, 0),
    (0x8000001F, 0): (_FULL, 0, 0, 0),
    (0x80000020, 0): (0, _FULL, 0, 0),
    (0x80000021, 0): (_FULL, 0, _FULL, 0),
    (0x80000022, 0): (_FULL, 0, 0, 0),
    (0x80000023, 0): (_FULL, 0, 0, 0),
    (0x80000025, 0): (_FULL, 0, 0, 0),
    (0x80860001, 0): (0, 0, 0, _FULL),
    (0xC0000001, 0): (0, 0, 0, _FULL),
}
#: What else tells one kind of core from another: its signature, its core type.
_KIND_MASKS: dict[Leaf, Registers] = {
    **FEATURE_MASKS,
    (0x1, 0): (_FULL, 0, _FULL, _FULL),
    (0x1A, 0): (_FULL, 0, 0, 0),
    (0x80000026, 0): (0, _LOW_WORD_HIGH, 0, 0),
}


@dataclass(frozen=True)
class Core:
    """What CPUID answers on one kind of core.

    :param index: the first logical processor of this kind, in the recording's order.
    :param cpus: how many logical processors of the recording are of this kind.
    """

    index: int
    cpus: int
    leaves: Leaves


@dataclass(frozen=True)
class _Notation:
    """How one program writes CPUID down as text.

    :param opens: what a processor's first line (leaf 0) looks like.
    :param row: one leaf; groups ``leaf``, ``sub`` and the registers are read by ``entry``.
    :param candidate: what looks like a leaf's line, whole or broken.
    :param own: lines that differ between processors of one kind: leaf 1 by the APIC number at the
        top of ebx (group ``id``), others as a whole.
    :param entry: from a row's groups to leaf, subleaf (None: not said) and registers.
    """

    opens: re.Pattern[str]
    row: re.Pattern[str]
    candidate: re.Pattern[str]
    own: re.Pattern[str]
    entry: Callable[[tuple[str, ...]], tuple[int, int | None, Registers]]


@lru_cache(maxsize=8)
def read(data: bytes, notation: str) -> tuple[Core, ...]:
    """Read a recording into the kinds of core that it shows, the first processor's kind first.

    :param notation: ``cpuid-r``, ``instlatx64``, ``libcpuid`` or ``libvirt-xml``.
    :raises ValueError: the notation is not known, the recording is too large or a line is broken;
        the message begins with the line's number where one line is at fault.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"the recording is larger than {MAX_BYTES >> 20} MiB")
    if notation == "libvirt-xml":
        if len(data) > MAX_XML_BYTES:
            raise ValueError(f"the XML is larger than {MAX_XML_BYTES >> 20} MiB")
        return (Core(0, 1, _read_xml(data)),)
    if notation not in _NOTATIONS:
        raise ValueError(f"{notation[:40]!r} is no CPUID notation")
    return read_text(as_text(data), notation)


def read_text(text: str, notation: str) -> tuple[Core, ...]:
    """Like :func:`read`, from text in one of the three text notations."""
    form = _NOTATIONS[notation]
    if notation == "libcpuid":  # what the decoder should say follows the dump
        text = text.partition("-" * 80)[0]
        form = form if form.opens.search(text) else _NOTATIONS["instlatx64"]
    return _kinds(_distinct(text, form))


def as_text(data: bytes) -> str:
    """Decode a recording: UTF-16 and UTF-8 by their marks, else every byte a character."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", "replace")
    elif data[:3] == b"\xef\xbb\xbf":
        text = data[3:].decode("utf-8", "replace")
    elif data[1:2] == b"\0" and data[3:4] == b"\0":
        text = data.decode("utf-16-le", "replace")
    else:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


@dataclass
class _Section:
    """Processors that answer alike: the first one's number, how many, and its answers."""

    index: int
    cpus: int
    leaves: dict[Leaf, Registers]


def _distinct(text: str, form: _Notation) -> list[_Section]:
    """Return the sections that differ in more than their processors' own numbers."""
    if text.count("\n") > MAX_LINES:
        raise ValueError(f"it has more than {MAX_LINES} lines")
    lines = text.split("\n")
    rows = _rows(lines, form)
    openers = {line for line in rows if form.opens.search(line)}
    starts = [number for number, line in enumerate(lines) if line in openers]
    if not starts:
        raise ValueError("it holds no CPUID leaf 0")
    if len(starts) > MAX_SECTIONS:
        raise ValueError(f"it holds more than {MAX_SECTIONS} processors")
    shared = {line: _shared(line, form) for line in rows}
    found: dict[tuple[str, ...], _Section] = {}
    ends = [*starts[1:], len(lines)]
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        section = [line for line in lines[start:end] if line in rows]
        alike = tuple([shared[line] for line in section])
        if alike in found:
            found[alike].cpus += 1
        else:
            leaves = _leaves([rows[line] for line in section], start, form)
            found[alike] = _Section(index, 1, leaves)
    return list(found.values())


def _rows(lines: list[str], form: _Notation) -> dict[str, tuple[str, ...]]:
    """Return each distinct line that tells a leaf, with its parts: most are there many times."""
    rows: dict[str, tuple[str, ...]] = {}
    for line in set(lines):
        row = form.row.search(line)
        if row is not None:
            rows[line] = row.groups("")
        elif form.candidate.search(line):
            number = lines.index(line) + 1
            raise ValueError(f"line {number}: {line[:80].strip()!r} is no CPUID leaf")
    return rows


def _shared(line: str, form: _Notation) -> str:
    """Return what processors of one kind have in common of a line: no APIC numbers."""
    own = form.own.search(line)
    if own is None:
        return line
    return line[: own.start("id")] + line[own.end("id") :] if own["id"] is not None else ""


def _leaves(rows: list[tuple[str, ...]], start: int, form: _Notation) -> dict[Leaf, Registers]:
    if len(rows) > MAX_LEAVES:
        raise ValueError(f"line {start + 1}: more than {MAX_LEAVES} leaves of one processor")
    counter = _Subleaves()
    leaves: dict[Leaf, Registers] = {}
    for leaf, subleaf, registers in map(form.entry, rows):
        leaves[leaf, counter.of(leaf, registers) if subleaf is None else subleaf] = registers
    return leaves


class _Subleaves:
    """Numbers the subleaves of a leaf whose lines do not say which they are.

    Older programs print a leaf once per subleaf, in order, and leave out those that are not there.
    """

    def __init__(self) -> None:
        self._queues: dict[int, list[int]] = {}

    def of(self, leaf: int, registers: Registers) -> int:
        """Return the subleaf of the next line of ``leaf``."""
        queue = self._queues.get(leaf)
        if queue is None:
            self._queues[leaf] = self._after_first(leaf, registers)
            return 0
        if leaf == 0xD and queue[0] == 1 and registers[:2] == (0x100, 0x240):
            queue.pop(0)  # 256 bytes at 576 are AVX state: subleaf 1 was left out
        number = queue.pop(0)
        if not queue:
            queue.append(number + 1)
        return number

    @staticmethod
    def _after_first(leaf: int, registers: Registers) -> list[int]:
        if leaf == 0xD:
            return [1, *_bits(registers[0] & ~3)]
        if leaf == 0xF:
            return _bits(registers[3]) or [1]
        if leaf == 0x10:
            return _bits(registers[1]) or [1]
        return [1]


def _bits(word: int) -> list[int]:
    return [bit for bit in range(32) if word >> bit & 1]


def _kinds(sections: Iterable[_Section]) -> tuple[Core, ...]:
    kinds: list[_Section] = []
    for section in sections:
        same = next((kind for kind in kinds if _same_kind(kind.leaves, section.leaves)), None)
        if same is None:
            kinds.append(section)
            if len(kinds) > MAX_KINDS:
                raise ValueError(f"it holds more than {MAX_KINDS} kinds of core")
        else:
            same.cpus += section.cpus
    return tuple(Core(kind.index, kind.cpus, kind.leaves) for kind in kinds)


def _same_kind(one: Leaves, other: Leaves) -> bool:
    """Whether no register that both have tells the two apart."""
    for leaf, masks in _KIND_MASKS.items():
        mine, yours = one.get(leaf), other.get(leaf)
        if mine is None or yours is None or mine == yours or not _reaches(one, leaf[0]):
            continue
        if any((a ^ b) & mask for a, b, mask in zip(mine, yours, masks, strict=True)):
            return False
    return True


def _reaches(leaves: Leaves, number: int) -> bool:
    """Whether the range's maximum reaches this leaf: above it nothing is a feature."""
    highest = leaves.get((number & 0xFFFF0000, 0))
    return highest is None or number <= highest[0]


def _registers(words: Sequence[str]) -> Registers:
    eax, ebx, ecx, edx = words
    return int(eax, 16), int(ebx, 16), int(ecx, 16), int(edx, 16)


def _instlatx64_entry(groups: tuple[str, ...]) -> tuple[int, int | None, Registers]:
    subleaf = int(groups[5], 16) if groups[5] else None
    return int(groups[0], 16), subleaf, _registers(groups[1:5])


def _cpuid_r_entry(groups: tuple[str, ...]) -> tuple[int, int | None, Registers]:
    subleaf = int(groups[1], 16) if groups[1] else None
    return int(groups[0], 16), subleaf, _registers(groups[2:6])


#: libcpuid's arrays: the leaf of the first element, and whether the index counts subleaves.
_LIBCPUID_ARRAYS = {
    "basic_cpuid": (0, False),
    "ext_cpuid": (0x80000000, False),
    "intel_fn4": (0x4, True),
    "intel_fn11": (0xB, True),
    "intel_fn12h": (0x12, True),
    "intel_fn14h": (0x14, True),
    "amd_fn8000001dh": (0x8000001D, True),
    "amd_fn80000026h": (0x80000026, True),
}


def _libcpuid_entry(groups: tuple[str, ...]) -> tuple[int, int | None, Registers]:
    leaf, counts_subleaves = _LIBCPUID_ARRAYS[groups[0]]
    index = int(groups[1])
    registers = _registers(groups[2:6])
    return (leaf, index, registers) if counts_subleaves else (leaf + index, 0, registers)


_HEX = "[0-9A-Fa-f]"
_WORD = f"({_HEX}{{8}})"
_NOTATIONS = {
    # CPUID 00000007: 00000000-029C6FBB-00000000-9C000400 [SL 00]
    "instlatx64": _Notation(
        opens=re.compile(r"CPUID 0{8}\b(?!.*\[SL 0*[1-9A-Fa-f])"),
        row=re.compile(
            rf"CPUID {_WORD}[ \t:]+{_WORD}[- ]{_WORD}[- ]{_WORD}[- ]{_WORD}\b"
            rf"(?: *\[SL ({_HEX}{{1,4}})\])?"
        ),
        candidate=re.compile(rf"CPUID {_HEX}{{8}}\b"),
        own=re.compile(
            r"CPUID (?:00000001[ \t:]+.{8}[- ](?P<id>..)"
            r"|0000000[Bb]|0000001[Ff]|80000026|8000001[Ee])"
        ),
        entry=_instlatx64_entry,
    ),
    # 0x00000007 0x00: eax=0x00000000 ebx=0x029c6fbb ecx=0x00000000 edx=0x9c000400
    "cpuid-r": _Notation(
        opens=re.compile(r"0x0{8}(?: 0x0+)?:"),
        row=re.compile(
            rf"0x{_WORD}(?: 0x({_HEX}{{1,8}}))?: "
            rf"eax=0x{_WORD} ebx=0x{_WORD} ecx=0x{_WORD} edx=0x{_WORD}\b"
        ),
        candidate=re.compile(rf"0x{_HEX}{{8}}\b[^\n=]*:"),
        own=re.compile(
            r"0x(?:00000001\b[^=\n]*=0x.{8} ebx=0x(?P<id>..)|0000000b|0000001f|80000026|8000001e)",
            re.IGNORECASE,
        ),
        entry=_cpuid_r_entry,
    ),
    # basic_cpuid[7]=00000000 029c6fbb 00000000 9c000400
    "libcpuid": _Notation(
        opens=re.compile(r"basic_cpuid\[0\]="),
        row=re.compile(
            rf"({'|'.join(_LIBCPUID_ARRAYS)})\[(\d{{1,4}})\]={_WORD} {_WORD} {_WORD} {_WORD}\b"
        ),
        candidate=re.compile(rf"(?:{'|'.join(_LIBCPUID_ARRAYS)})\["),
        own=re.compile(
            r"basic_cpuid\[(?:1\]=.{8} (?P<id>..)|11\])"
            r"|ext_cpuid\[(?:30|38)\]|intel_fn11\[|amd_fn80000026h\["
        ),
        entry=_libcpuid_entry,
    ),
}


def _read_xml(data: bytes) -> Leaves:
    """Read libvirt's ``<cpudata><cpuid eax_in='0x7' ecx_in='0x0' eax='0x…' …/></cpudata>``."""
    try:
        root: Element = defusedxml.ElementTree.fromstring(data)
    except (DefusedXmlException, defusedxml.ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"it is no XML: {str(error)[:200]}") from error
    found: dict[Leaf, Registers] = {}
    for number, element in enumerate(root.iter("cpuid"), 1):
        if number > MAX_LEAVES:
            raise ValueError(f"it holds more than {MAX_LEAVES} leaves")
        leaf, registers = _xml_leaf(element.attrib, number)
        found[leaf] = registers
    if (0, 0) not in found:
        raise ValueError("it holds no CPUID leaf 0")
    return found


def _xml_leaf(attributes: Mapping[str, str], number: int) -> tuple[Leaf, Registers]:
    def word(name: str, otherwise: str = "") -> int:
        text = attributes.get(name, otherwise)
        if not re.fullmatch(r"0x[0-9A-Fa-f]{1,8}", text):
            raise ValueError(f"cpuid element {number}: {name} is {text[:40]!r}, no register")
        return int(text, 16)

    leaf = word("eax_in") if "eax_in" in attributes else word("function")
    registers = (word("eax"), word("ebx"), word("ecx"), word("edx"))
    return (leaf, word("ecx_in", "0x0")), registers
