"""Captures, snapshots and facts: what was observed, and what a parser read out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import NamedTuple, Union

#: What a fact can hold. Sets hold words (flags, options); tuples keep order.
Value = Union[bool, int, float, str, "frozenset[str]", "tuple[str, ...]"]


class PartialWords(frozenset[str]):
    """A set of which it is not known of every word whether it is in it.

    :param why: what keeps a word open; a word that is in neither is known not to be in the set.
    :param otherwise: what keeps every word open that is in neither; empty: nothing does.
    :param settled: words known not to be in the set, whatever ``otherwise`` says.
    """

    why: Mapping[str, str]
    otherwise: str
    settled: frozenset[str]

    def __new__(
        cls,
        words: Iterable[str],
        why: Mapping[str, str] | None = None,
        otherwise: str = "",
        settled: Iterable[str] = (),
    ) -> PartialWords:
        made = super().__new__(cls, words)
        made.why, made.otherwise, made.settled = why or {}, otherwise, frozenset(settled)
        return made

    def open(self, word: str) -> str:
        """Return why nobody knows whether ``word`` is in it; empty where somebody does."""
        if word in self or word in self.settled:
            return ""
        return self.why.get(word, self.otherwise)


class ProvenWords(frozenset[str]):
    """A set that can say of each word what shows that it is, or is not, in it.

    :param proof: what shows it of the words in the set.
    :param otherwise: what shows of any other word that it is not.
    """

    proof: Mapping[str, str]
    otherwise: str

    def __new__(cls, proof: Mapping[str, str], otherwise: str = "") -> ProvenWords:
        made = super().__new__(cls, proof)
        made.proof, made.otherwise = proof, otherwise
        return made

    def shown(self, word: str) -> str:
        """Return what shows that ``word`` is in it, or is not."""
        return self.proof.get(word, self.otherwise)


class PartialRegister(int):
    """A register of which some bits are not known.

    :param unknown: the mask of these; they read as 0.
    :param why: what keeps them open.
    """

    unknown: int
    why: str

    def __new__(cls, value: int, unknown: int, why: str) -> PartialRegister:
        made = super().__new__(cls, value & ~unknown)
        made.unknown, made.why = unknown, why
        return made


#: What the collector says of a capture that only ``--deep`` takes.
LEFT_TO_DEEP = "left to --deep"


class CaptureStatus(str, Enum):
    """How an attempt to observe something ended."""

    OK = "ok"
    ABSENT = "absent"  #: looked, and it is not there
    DENIED = "denied"  #: it is there, and reading it needs more rights
    FAILED = "failed"  #: looked, and the looking itself broke
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"  #: recorded up to the cap


@dataclass(frozen=True)
class Capture:
    """One raw observation, verbatim.

    :param id: ``file:/proc/cpuinfo``, ``tree:/sys/…``, ``cmd:gcc-12/target-help``, ``probe:cpuid``.
    :param status: how the attempt ended; ``data`` is meaningful for OK and TRUNCATED only.
    :param data: the bytes as they were read.
    :param how: how they were obtained: the path, the argument vector, the probe's means.
    :param detail: what went wrong, or the exit code.
    :param format: which of several notations ``data`` uses, where a parser reads more than one.
    """

    id: str
    status: CaptureStatus
    data: bytes = b""
    how: str = ""
    detail: str = ""
    format: str = ""

    @cached_property
    def sha256(self) -> str:
        """The digest of ``data``, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def left_to_deep(self) -> bool:
        """Whether the collector knows of it and did not look: it takes longer than a second."""
        return self.status is CaptureStatus.ABSENT and self.detail.startswith(LEFT_TO_DEEP)

    @property
    def usable(self) -> bool:
        """Whether a parser may read ``data``."""
        return self.status in (CaptureStatus.OK, CaptureStatus.TRUNCATED)

    @property
    def text(self) -> str:
        """``data`` as text; bytes that are not UTF-8 become U+FFFD."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True)
class Snapshot:
    """All captures of one machine, release or chip at one time.

    :param kind: ``machine``, ``release`` or ``chip``.
    :param origin: where it came from: the collector, or the importer's name and the file's.
    :param collected_at: ISO 8601 in UTC, empty where the recording does not say.
    :param arch: ``uname -m`` of what was recorded, empty where unknown.
    """

    captures: Mapping[str, Capture]
    kind: str = "machine"
    origin: str = ""
    collected_at: str = ""
    arch: str = ""
    redacted: bool = False
    complete: bool = True

    @cached_property
    def digest(self) -> str:
        """The snapshot's name: the digest over its captures, independent of their order."""
        digest = hashlib.sha256(f"{self.kind}\n{self.arch}\n".encode())
        for name in sorted(self.captures):
            capture = self.captures[name]
            digest.update(f"{name}\n{capture.status.value}\n{capture.sha256}\n".encode())
        return digest.hexdigest()

    def matching(self, prefix: str) -> Iterator[Capture]:
        """Yield the captures whose id starts with ``prefix``, in order of id."""
        for name in self._names:
            if name.startswith(prefix):
                yield self.captures[name]

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(sorted(self.captures))


@dataclass(frozen=True)
class Reading:
    """What one parser read out of one capture: fact names to values."""

    capture: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Parser:
    """One source of facts: which captures it reads and which facts it can give.

    :param declares: fact names; a name that ends in ``.`` stands for every name that begins so.
    :param reads: capture ids; an id that ends in ``*`` stands for every id that begins so.
    :param parse: pure; from the usable captures (id to capture) to readings. Raises ``ValueError``
        with the position where the bytes are not what they should be: the facts are then unknown,
        never absent.
    :param implied: what a name that the readings lack means, given all values read: a CPUID leaf
        above the maximum reads as 0, an unset kernel option as ``n``; None where it means nothing.
    """

    name: str
    declares: tuple[str, ...]
    reads: tuple[str, ...]
    parse: Callable[[Mapping[str, Capture]], Iterable[Reading]]
    implied: Callable[[str, Mapping[str, Value]], Value | None] | None = None


class Fact(NamedTuple):
    """A value and the capture that it was read from."""

    name: str
    value: Value
    capture: str


class Missing(NamedTuple):
    """Nobody can say: the fact, why it is not known, and the captures that would tell.

    :param not_there: somebody looked, and what would tell is not on this machine (a program that
        is not installed, a file that does not exist): unlike what nobody looked for.
    """

    name: str
    why: str
    captures: tuple[str, ...] = ()
    not_there: bool = False


_TOLD = 4  #: captures named in one sentence


@dataclass
class _Parsed:
    values: dict[str, Value] = field(default_factory=dict)
    captures: dict[str, str] = field(default_factory=dict)
    first_capture: str = ""
    missing: str = ""
    not_there: bool = False


class ParserIndex:
    """Which parser declares a fact: every name belongs to one; the longest declared prefix wins."""

    def __init__(self, parsers: Iterable[Parser]) -> None:
        self.parsers = tuple(parsers)
        self._declared = {name: parser for parser in self.parsers for name in parser.declares}
        self._known: dict[str, Parser] = {}

    def parser_of(self, name: str) -> Parser:
        """Return the parser that declares ``name``.

        :raises KeyError: no parser declares it.
        """
        parser = self._known.get(name)
        if parser is None:
            parser = self._known[name] = self._look_up(name)
        return parser

    def _look_up(self, name: str) -> Parser:
        if name in self._declared:
            return self._declared[name]
        end = len(name)
        while (end := name.rfind(".", 0, end)) >= 0:
            parser = self._declared.get(name[: end + 1])
            if parser is not None:
                return parser
        raise KeyError(name)


class Facts:
    """The facts of one snapshot, parsed when first asked for.

    :param parsers: all of them; as an index where many snapshots are read.
    """

    def __init__(self, snapshot: Snapshot, parsers: Iterable[Parser] | ParserIndex) -> None:
        self.snapshot = snapshot
        self._index = parsers if isinstance(parsers, ParserIndex) else ParserIndex(parsers)
        self._parsed: dict[str, _Parsed] = {}
        self._found: dict[str, Fact | Missing] = {}

    def get(self, name: str) -> Fact | Missing:
        """Return the fact ``name``, or why nobody knows it.

        :raises KeyError: no parser declares ``name``.
        """
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._find(name)
        return found

    def _find(self, name: str) -> Fact | Missing:
        parser = self.parser_of(name)
        parsed = self._parsed.get(parser.name)
        if parsed is None:
            parsed = self._parsed[parser.name] = self._parse(parser)
        if name in parsed.values:
            return Fact(name, parsed.values[name], parsed.captures[name])
        if parsed.first_capture and parser.implied is not None:
            value = parser.implied(name, parsed.values)
            if value is not None:
                return Fact(name, value, parsed.first_capture)
        why = parsed.missing or f"{name} is not in {parsed.first_capture}"
        return Missing(name, why, parser.reads, parsed.not_there)

    @cached_property
    def collected(self) -> frozenset[str]:
        """Names of the parsers for which anything at all was recorded, whatever its status."""
        return frozenset(
            parser.name
            for parser in self._index.parsers
            if next(self._captures(parser), None) is not None
        )

    def value(self, name: str) -> Value | None:
        """Return the value of ``name``, None where it is not known."""
        found = self.get(name)
        return found.value if isinstance(found, Fact) else None

    def under(self, prefix: str) -> Mapping[str, Value]:
        """Return every fact read whose name begins with ``prefix`` (``kvm.``, ``cpuid.``)."""
        parser = self.parser_of(prefix)
        if parser.name not in self._parsed:
            self._parsed[parser.name] = self._parse(parser)
        values = self._parsed[parser.name].values
        return {name: value for name, value in values.items() if name.startswith(prefix)}

    def parser_of(self, name: str) -> Parser:
        """Return the parser that declares ``name``.

        :raises KeyError: no parser declares it.
        """
        return self._index.parser_of(name)

    def emptied(self) -> Facts:
        """Return the facts of a snapshot for which nothing was recorded."""
        return Facts(Snapshot({}), self._index)

    def _parse(self, parser: Parser) -> _Parsed:
        parsed = _Parsed()
        captures = {capture.id: capture for capture in self._captures(parser) if capture.usable}
        if not captures:
            parsed.missing = self._why_no_capture(parser)
            tried = list(self._captures(parser))
            parsed.not_there = bool(tried) and all(
                capture.status is CaptureStatus.ABSENT and not capture.left_to_deep
                for capture in tried
            )
            return parsed
        try:
            readings = list(parser.parse(captures))
        except ValueError as error:
            parsed.missing = f"{', '.join(captures)} could not be read: {error}"
            return parsed
        for reading in readings:
            parsed.first_capture = parsed.first_capture or reading.capture
            for name, value in reading.values.items():
                parsed.values[name] = value
                parsed.captures[name] = reading.capture
        if not parsed.first_capture:
            parsed.missing = f"{', '.join(captures)} holds nothing that {parser.name} knows"
        return parsed

    def _captures(self, parser: Parser) -> Iterator[Capture]:
        for pattern in parser.reads:
            if pattern.endswith("*"):
                yield from self.snapshot.matching(pattern[:-1])
            elif pattern in self.snapshot.captures:
                yield self.snapshot.captures[pattern]

    def _why_no_capture(self, parser: Parser) -> str:
        tried = [_how_it_ended(capture) for capture in self._captures(parser)]
        if tried:
            more = f"; and {len(tried) - _TOLD} more" if len(tried) > _TOLD else ""
            return "; ".join(tried[:_TOLD]) + more
        return f"{' or '.join(parser.reads[:_TOLD])} was not collected"


def _how_it_ended(capture: Capture) -> str:
    if capture.left_to_deep:
        return f"{capture.id} was {LEFT_TO_DEEP}"
    return f"{capture.id} was {capture.status.value}"
