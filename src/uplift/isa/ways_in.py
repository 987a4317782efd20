"""What a verdict on one function rests on: its instructions, the tests before it, what leads there.

The verdict is the audit's. What is shown here is read again from the file: who calls the function
or takes its address, which pointers lead to it, and where those ask what the processor can do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from uplift.errors import UpliftError
from uplift.isa import functions
from uplift.isa.audit import audit
from uplift.isa.disassembly import Line, disassemble, words_by
from uplift.isa.elf import Elf, Ints
from uplift.isa.exploration import explored
from uplift.isa.feature_words import NAMES
from uplift.isa.frames import debug_frames, frames
from uplift.isa.function_names import Called, called, near
from uplift.isa.functions import Ranges, References
from uplift.isa.inside import bytes_of
from uplift.isa.kernel_objects import opened
from uplift.isa.model import FileAudit, FunctionAudit, SetUse
from uplift.isa.range_rows import (
    ADDRESS,
    BRANCH,
    CALL,
    CALL_MEMORY,
    FLAG_TEST,
    IDENTITY,
    JUMP,
    JUMP_MEMORY,
    LOAD,
)
from uplift.isa.symbols import RESOLVER, Names, debug_path, names

_BEFORE, _AFTER = 2, 3  #: instructions shown around one that matters
_MAX_SITES = 200
_MAX_TESTS = 12  #: shown of one function
_MAX_GUARDS = 4
_MAX_MATCHES = 8
_KINDS = {CALL: "calls it", JUMP: "jumps to it", BRANCH: "branches to it", ADDRESS: "takes it"}
_READS = (LOAD, FLAG_TEST, ADDRESS)
_NEAR = 64  #: bytes behind a word of features that belong to it
_WORDS = re.compile(r"\bat (0x[0-9a-f]+)")
_WHAT_TO_NAME = "name a function that `uplift isa audit --functions` lists, or an address in it"
_NAMED = re.compile(r"(?:the resolver|guarded in|through) (\S+)")


@dataclass(frozen=True)
class Evidence:
    """The first instruction of one set in a function, with its neighbours."""

    set: str
    use: SetUse
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Test:
    """A place where a function asks what the processor can do.

    :param what: ``CPUID``, or the variable or function that is asked.
    """

    what: str
    address: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Guard:
    """A function that asks what the processor can do, on the way to another.

    :param resolver: the dynamic linker calls it and takes the address that it answers.
    :param cited: the verdict names it.
    """

    name: str
    address: int
    resolver: bool
    cited: bool
    tests: tuple[Test, ...]
    more: int = 0


@dataclass(frozen=True)
class Site:
    """Something that leads to a function.

    :param how: what it does with the function's address.
    :param function: where it stands; or the name of the data, empty where that has none.
    :param lines: the instruction; nothing where a pointer in data leads there.
    """

    how: str
    address: int
    function: str
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A function that a resolver may choose.

    :param sets: what its own code needs above the base; nothing where it runs everywhere.
    """

    name: str
    address: int
    sets: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """What is told of one function.

    :param exported: other files may call it by name.
    :param verdict: None where the function holds nothing above the base.
    :param resolver: the dynamic linker calls it and takes the address that it answers (IFUNC).
    :param variants: what it takes the address of, where it is a resolver.
    :param others: addresses of other functions of the name.
    """

    audit: FileAudit
    name: str
    address: int
    exported: bool
    verdict: FunctionAudit | None
    sets: tuple[Evidence, ...]
    guards: tuple[Guard, ...]
    sites: tuple[Site, ...]
    more_sites: int
    words_by: str
    resolver: bool = False
    variants: tuple[Variant, ...] = ()
    others: tuple[int, ...] = ()


def explain(file: str, wanted: str, debug: Path | None = None) -> Explanation:
    """Explain the verdict on one function of a file.

    :param file: a path; or, as an audit names them, ``PACKAGE/PATH`` or ``LIBRARY(OBJECT)``.
    :param wanted: a name, or an address in the function (``0x…``).
    :raises UpliftError: the file cannot be audited, or no such function is in it.
    """
    data = bytes_of(file)
    on_disk = Path(file)
    found = audit(on_disk if on_disk.is_file() else data, debug=debug, path=file)
    unpacked = opened(data)
    elf = Elf(unpacked.data)
    beside = debug or _installed(found.identity.build_id)
    kept = Elf(beside.read_bytes()) if beside else None
    return _Reader(found, elf, kept, unpacked.names or names(elf, kept)).explanation(wanted)


def _installed(build_id: str) -> Path | None:
    """Return the debug file of a build id that is installed on this machine."""
    path = debug_path(build_id) if build_id else None
    return path if path is not None and path.is_file() else None


class _Reader:
    """Reads one file again, for one function."""

    def __init__(self, found: FileAudit, elf: Elf, debug: Elf | None, named: Names) -> None:
        self.audit, self.elf, self.names = found, elf, named
        self.code = functions.parts(elf)
        self._debug = debug

    # which function

    def explanation(self, wanted: str) -> Explanation:
        meant = self._meant(wanted)
        (address,) = meant.meant
        verdict = self._verdict(address)
        start = verdict.address if verdict else address
        resolver = address in self._resolvers
        sites = [*self._by_code(verdict, start), *self._by_data(verdict, start)]
        return Explanation(
            audit=self.audit,
            name=self._shown(wanted, address, start),
            address=start,
            exported=bool(self.names.exported[self.names.address == start].any()),
            verdict=verdict,
            sets=tuple(self._evidence(verdict)) if verdict else (),
            guards=tuple(self._asking(address, verdict, sites)),
            sites=tuple(sites[:_MAX_SITES]),
            more_sites=max(len(sites) - _MAX_SITES, 0),
            words_by=words_by(self.elf.arch),
            resolver=resolver,
            variants=tuple(self._variants(address)) if resolver else (),
            others=meant.others,
        )

    def _shown(self, wanted: str, address: int, start: int) -> str:
        """Return the name that was asked for where it is one; functions have several."""
        asked = address == start and start in self._called(wanted).meant
        exact = asked and not any(sign in wanted for sign in "*?[")
        return wanted if exact else self.names.at(start) or f"{start:#x}"

    def _meant(self, wanted: str) -> Called:
        if re.fullmatch(r"0x[0-9a-fA-F]{1,16}", wanted):
            value = int(wanted, 16)
            address = value - (1 << 64) if value >> 63 else value
            if not any(part.base <= address < part.end for part in self.code):
                raise self._none(wanted, "no code lies at this address")
            return Called((address,))
        found = self._called(wanted)
        if not found.meant:
            names = near(wanted, self.names)
            told = f"; near: {', '.join(names)}" if names else ""
            raise self._none(wanted, f"no symbol is called so{told}")
        if len(found.meant) > 1:
            raise self._several(wanted, found.meant)
        return found

    def _several(self, wanted: str, places: Sequence[int]) -> UpliftError:
        if any(sign in wanted for sign in "*?["):
            shown = [self.names.at(place) or f"{place:#x}" for place in places]
            return self._none(wanted, f"it is a pattern of {_listed(shown)}", "name one of them")
        shown = [f"{place:#x}" for place in places]
        cause = f"{len(places)} functions are called so, at {_listed(shown)}"
        return self._none(wanted, cause, "name one by its address")

    def _called(self, wanted: str) -> Called:
        return called(wanted, self.names, self.audit.functions, self._resolvers)

    def _none(self, wanted: str, cause: str, fix: str = _WHAT_TO_NAME) -> UpliftError:
        return UpliftError(f"cannot explain {wanted[:120]!r} in {self.audit.path!r}", cause, fix)

    def _verdict(self, address: int) -> FunctionAudit | None:
        return next(
            (f for f in self.audit.functions if f.address <= address < f.address + f.size), None
        )

    # its instructions

    def _evidence(self, verdict: FunctionAudit) -> Iterator[Evidence]:
        lines = self._lines(verdict.address, verdict.size)
        uses = sorted(verdict.sets.items(), key=lambda item: item[1].first)
        for name, use in uses:
            yield Evidence(name, use, _around(lines, use.first, _BEFORE, _AFTER))

    def _lines(self, start: int, size: int) -> tuple[Line, ...]:
        part = next((p for p in self.code if p.base <= start < p.end), None)
        if part is None:
            return ()
        raw = bytes(part.raw[start - part.base : min(start + size, part.end) - part.base])
        return disassemble(self.elf.arch, raw, start)

    # what leads to it

    @cached_property
    def _found(self) -> Ranges:
        """The functions that frames and symbols name, and what these lead to, as in the audit."""
        described = frames(self.elf)
        if not len(described.start) and self._debug is not None:
            described = debug_frames(self._debug)
        declared = functions.declared(self.code, described, self.names)
        refs = functions.references(self.elf.arch, self.code, declared)
        walked = explored(self.elf, self.names, self.code, declared, refs)
        return self._with_own(declared.joined(walked))

    def _with_own(self, found: Ranges) -> Ranges:
        """Add what the audit found besides: what was decoded where nothing leads."""
        own = [f for f in self.audit.functions if self._index(found, f.address) < 0]
        start = np.array([f.address for f in own], np.int64)
        end = start + np.array([f.size for f in own], np.int64)
        return found.joined(functions.ranges(start, end, functions.REMAINDER))

    @staticmethod
    def _index(found: Ranges, address: int) -> int:
        return int(found.index(np.array([address], np.int64))[0])

    @cached_property
    def _refs(self) -> References:
        return functions.references(self.elf.arch, self.code, self._found)

    def _function_at(self, address: int) -> int:
        return self._index(self._found, address)

    def _name(self, number: int) -> str:
        start = int(self._found.start[number])
        return self.names.at(start) or f"{start:#x}"

    def _by_code(self, verdict: FunctionAudit | None, start: int) -> Iterator[Site]:
        refs = self._refs
        end = start + verdict.size if verdict else start + 1
        hit = (refs.target >= start) & (refs.target < end) & np.isin(refs.kind, list(_KINDS))
        hit &= (refs.at < start) | (refs.at >= end)
        for row in np.flatnonzero(hit).tolist():
            at = int(refs.at[row])
            number = self._function_at(at)
            if number >= 0:
                kind = int(refs.kind[row])
                before = _BEFORE if kind == BRANCH else 0
                yield Site(_KINDS[kind], at, self._name(number), self._one(at, before))

    def _by_data(self, verdict: FunctionAudit | None, start: int) -> Iterator[Site]:
        pointers = self.elf.pointers
        end = start + verdict.size if verdict else start + 1
        for row in np.flatnonzero((pointers.target >= start) & (pointers.target < end)).tolist():
            place = int(pointers.place[row])
            how = "is called to answer the address" if pointers.resolver[row] else "points to it"
            yield Site(how, place, self._object(place))

    def _object(self, place: int) -> str:
        rows = self.names.objects
        starts = self.names.address[rows]
        at = int(np.searchsorted(starts, place, side="right")) - 1
        for index in range(at, max(at - 8, -1), -1):
            row = int(rows[index])
            inside = place - int(self.names.address[row])
            if inside < int(self.names.size[row]):
                return f"{self.names.text(row)}+{inside:#x}" if inside else self.names.text(row)
        return ""

    def _one(self, address: int, before: int = 0, after: int = 0) -> tuple[Line, ...]:
        number = self._function_at(address)
        start, end = int(self._found.start[number]), int(self._found.end[number])
        return _around(self._lines(start, end - start), address, before, after)

    # what asks the processor

    def _guards(self, verdict: FunctionAudit, sites: Sequence[Site]) -> Iterator[Guard]:
        """Yield what the verdict names; else what leads to the function and asks the processor."""
        texts = verdict.evidence
        named = [name for text in texts for name in _NAMED.findall(text)]
        cited = list(dict.fromkeys(n for name in named for n in self._numbers(name) if n >= 0))
        own = self._function_at(verdict.address)
        if any(text.startswith("guarded in itself") for text in texts):
            cited.append(own)
        near = [own, *(self._function_at(site.address) for site in sites if site.lines)]
        numbers = cited or dict.fromkeys(n for n in near if n >= 0)
        asking = ((number, [*self._tests(number, texts)]) for number in numbers)
        worth = (
            (number, tests or [*self._asked_elsewhere(number, texts)])
            for number, tests in asking
            if tests or number in cited
        )
        for number, tests in islice(worth, _MAX_GUARDS):
            yield self._guard(number, tests, number in cited)

    def _numbers(self, name: str) -> Iterator[int]:
        if name.startswith("0x"):
            yield self._function_at(int(name, 16))
        for at in self._called(name).meant:
            yield self._function_at(at)

    def _asking(
        self, address: int, verdict: FunctionAudit | None, sites: Sequence[Site]
    ) -> Iterator[Guard]:
        """Yield what asks the processor on the way to a function; of a resolver, itself."""
        number = self._function_at(address)
        if verdict is not None:
            yield from self._guards(verdict, sites)
        elif address in self._resolvers and number >= 0:
            tests = [*self._tests(number, ())] or [*self._asked_elsewhere(number, ())]
            yield self._guard(number, tests, False)

    def _variants(self, resolver: int) -> Iterator[Variant]:
        """Yield the functions whose address a resolver takes: one of them is its answer."""
        number = self._function_at(resolver)
        if number < 0:
            return
        refs, found = self._refs, self._found
        inside = (refs.at >= found.start[number]) & (refs.at < found.end[number])
        taken = np.unique(refs.target[inside & (refs.kind == ADDRESS)])
        held = {function.address: function for function in self.audit.functions}
        for address in taken[np.isin(taken, found.start)].tolist():
            if address != resolver:
                sets = tuple(held[address].sets) if address in held else ()
                yield Variant(self.names.at(address) or f"{address:#x}", address, sets)

    def _guard(self, number: int, tests: list[tuple[str, int]], cited: bool) -> Guard:
        start, end = int(self._found.start[number]), int(self._found.end[number])
        lines = self._lines(start, end - start)
        shown = [Test(what, at, _around(lines, at, 0, _AFTER)) for what, at in tests[:_MAX_TESTS]]
        return Guard(
            name=self._name(number),
            address=start,
            resolver=start in self._resolvers,
            cited=cited,
            tests=tuple(shown),
            more=max(len(tests) - _MAX_TESTS, 0),
        )

    @cached_property
    def _resolvers(self) -> frozenset[int]:
        pointers, named = self.elf.pointers, self.names
        own = named.address[named.kind == RESOLVER]
        every = np.concatenate([pointers.target[pointers.resolver], own])
        return frozenset(every.tolist())

    def _tests(self, number: int, evidence: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield what a function asks of the processor, and where."""
        refs = self._refs
        words = [int(at, 16) for text in evidence for at in _WORDS.findall(text)]
        low, high = np.searchsorted(
            refs.at, [int(self._found.start[number]), int(self._found.end[number])]
        )
        seen: set[tuple[str, int]] = set()
        for row in range(int(low), int(high)):
            at = int(refs.at[row])
            kind, target = int(refs.kind[row]), int(refs.target[row])
            what = self._asked(kind, target)
            if not what and kind in _READS and any(0 <= target - w < _NEAR for w in words):
                what = f"the words at {target:#x} that hold what the processor can do"
            if what and (what, at) not in seen:
                seen.add((what, at))
                yield what, at

    def _asked_elsewhere(self, number: int, evidence: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield where a function calls one that asks for it."""
        refs = self._refs
        low, high = np.searchsorted(
            refs.at, [int(self._found.start[number]), int(self._found.end[number])]
        )
        for row in (np.flatnonzero(refs.kind[low:high] == CALL) + low).tolist():
            callee = self._function_at(int(refs.target[row]))
            tests = [*self._tests(callee, evidence)] if callee not in (-1, number) else []
            if tests:
                yield f"{self._name(callee)}, which asks {tests[0][0]},", int(refs.at[row])

    def _asked(self, kind: int, target: int) -> str:
        if kind == IDENTITY:
            return "CPUID" if self.elf.arch == "x86-64" else "an ID register"
        if kind in _READS:
            return self._words.get(target >> 4, "") and self._word(target)
        if kind in (CALL, JUMP, CALL_MEMORY, JUMP_MEMORY):
            slot = self._stubs.get(target, target)
            name = self._outside.get(slot, "") or self.names.at(target)
            return name if name.encode() in NAMES else ""
        return ""

    def _word(self, target: int) -> str:
        if target in self._outside:
            return self._outside[target]
        for name, address, size in self._variables:
            if address <= target < address + max(size, 16):
                return f"{name}+{target - address:#x}" if target > address else name
        return ""

    @cached_property
    def _variables(self) -> tuple[tuple[str, int, int], ...]:
        return tuple((n, a, s) for n, a, s in self.names.named(NAMES) if self._function_at(a) < 0)

    @cached_property
    def _words(self) -> Mapping[int, str]:
        """Where features are kept, in steps of 16 bytes, so that most targets cost one look-up."""
        found = {place >> 4: name for place, name in self._outside.items()}
        for name, address, size in self._variables:
            for block in range(address >> 4, (address + min(max(size, 16), 4096) >> 4) + 1):
                found[block] = name
        return found

    @cached_property
    def _outside(self) -> Mapping[int, str]:
        """Slots that the dynamic linker fills with the address of feature words of other files."""
        pointers, table = self.elf.pointers, self.elf.dynamic_symbols
        rows = np.flatnonzero(pointers.symbol > 0).tolist()
        texts = ((int(pointers.place[r]), table.text(int(pointers.symbol[r]))) for r in rows)
        return {place: text for place, text in texts if text.encode() in NAMES}

    @cached_property
    def _stubs(self) -> Mapping[int, int]:
        """The slots that stubs of the linkage table jump through, by the stubs' addresses."""
        found: dict[int, int] = {}
        refs = functions.linkage(self.elf.arch, self.code)
        jumps = refs.kind == JUMP_MEMORY
        for at, slot in zip(refs.at[jumps].tolist(), refs.target[jumps].tolist(), strict=True):
            for back in range(16):
                found.setdefault(at - back, slot)
        return found


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _MAX_MATCHES
    return ", ".join(texts[:_MAX_MATCHES]) + (f" and {more} more" if more > 0 else "")


def _around(lines: Sequence[Line], address: int, before: int, after: int) -> tuple[Line, ...]:
    """Return the line at ``address``, or the one it lies in, with its neighbours."""
    starts: Ints = np.array([line.address for line in lines], np.int64)
    at = int(np.searchsorted(starts, address, side="right")) - 1
    if at < 0:
        return ()
    return tuple(lines[max(at - before, 0) : at + after + 1])
