"""The audit of one file: from its bytes to sets, functions, reach and the level it runs at."""

from __future__ import annotations

import mmap
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Union

import numpy as np

from uplift.errors import UpliftError
from uplift.isa import baseline as levels
from uplift.isa import decoder, functions
from uplift.isa.dispatch import GUARDS, Verdicts, judge
from uplift.isa.elf import Buffer, Elf, Ints
from uplift.isa.exploration import explored
from uplift.isa.feature_words import NAMES
from uplift.isa.frames import debug_frames, frames
from uplift.isa.functions import CONFIDENCE, WALKED, Hits, Part, Ranges, References, ranges
from uplift.isa.immediates import with_immediates
from uplift.isa.kernel_objects import opened
from uplift.isa.machines import Machine, machines
from uplift.isa.model import (
    Confidence,
    FileAudit,
    FunctionAudit,
    Reach,
    SetUse,
    Violation,
)
from uplift.isa.notes import UNLINKED, identity
from uplift.isa.program import Program
from uplift.isa.reachability import Places
from uplift.isa.symbols import Names, debug_path, names
from uplift.isa.undetermined import NO_FRAMES, cause, of_kernels, without_certainty

Source = Union[str, Path, Buffer]
MAX_FILE = 4 << 30
_WORST = {Reach.ALWAYS: 0, Reach.UNKNOWN: 1, Reach.DISPATCHED: 2}
_BEST = {Confidence.FDE: 0, Confidence.REACHED: 1, Confidence.UNREACHED: 2}
#: Ends of names by which libraries tell variants for processors apart.
_VARIANT = re.compile(
    r"[_.](sse[234]?\w*|ssse3|avx\w*|fma\d?|bmi\d?|aes(ni)?|sha(ni)?|x86_64_v[234]|arch_\w+|"
    r"neon|asimd|sve\w*|lse|rvv|haswell|zen\d*|skylakex?|nehalem|sandybridge|cooperlake|"
    r"sapphirerapids|icelake\w*|cascadelake|barcelona|bulldozer|piledriver|steamroller|"
    r"excavator|atom|prescott|core2|penryn|dunnington|opteron\w*|bobcat|nano|knl|"
    r"armv8\w*|cortexa\d+|neoverse\w*|thunderx\w*)(?![a-z])",
    re.IGNORECASE,
)
_HWCAPS = re.compile(r"/glibc-hwcaps/([\w.-]+)/")
_MAX_EVIDENCE = 4
_NOT_LINKED = "nothing was linked yet: what takes this object file decides whether it is reached"


def audit(
    source: Source, *, baseline: str | None = None, debug: Source | None = None, path: str = ""
) -> FileAudit:
    """Say which instruction sets a file holds, in which functions, and how they are reached.

    :param source: a path or bytes: an ELF file, a kernel image, a module, packed or not.
    :param baseline: the level that violations are judged against: ``x86-64-v2``, ``armv8.2-a`` …
    :param debug: its detached debug file; without it, the one of its build id where there is one
        on this machine and ``source`` is a path.
    :param path: how the file is called where ``source`` is bytes.
    :raises UpliftError: it is no such file, or broken; the cause names the byte.
    """
    if isinstance(source, (str, Path)):
        with mapped(Path(source)) as data:
            return _audit(data, path or str(source), baseline, debug, find=True)
    return _audit(source, path, baseline, debug, find=False)


@contextmanager
def mapped(path: Path) -> Iterator[Buffer]:
    """Give a file's bytes without reading them all.

    :raises UpliftError: it cannot be read, or is larger than :data:`MAX_FILE`.
    """
    try:
        status = path.stat()  # before it is opened: a FIFO without a writer would never be
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no regular file")
        with path.open("rb") as stream:
            size = status.st_size
            if size > MAX_FILE:
                raise OSError(f"it has {size} bytes, more than {MAX_FILE}")
            data = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) if size else b""
    except (OSError, ValueError) as error:
        raise UpliftError(
            f"cannot audit {str(path)!r}", str(error), "name a regular file that you may read"
        ) from None
    yield data


def _audit(
    data: Buffer, path: str, baseline: str | None, debug: Source | None, find: bool
) -> FileAudit:
    unpacked = opened(data)
    elf = Elf(unpacked.data)
    about = identity(elf)
    level = levels.level(elf.arch, baseline) if baseline else None
    kept = _debug_elf(debug, about.build_id if find else "")
    work = _Work(elf, kept, unpacked.names)
    found = work.functions()
    hits = work.hits(found)
    judged = _judged(work, hits)
    if about.kind == UNLINKED:
        judged = tuple(without_certainty(function, _NOT_LINKED) for function in judged)
    kind = unpacked.kind or about.kind
    judged = of_kernels(kind, judged)
    doubt = cause(kind, work.notes, judged)
    result = FileAudit(
        path=path,
        arch=elf.arch,
        identity=replace(about, kind=kind),
        sets=_summed(judged),
        functions=judged,
        level="" if doubt else _level(elf.arch, judged),
        needs=_needs(elf.arch, judged),
        function_count=len(work.found),
        instructions=hits.instructions,
        undecodable=hits.undecodable,
        engine=str(decoder.engine),
        notes=(*unpacked.notes, *work.notes),
        undetermined=doubt,
    )
    result = _by_path(result)
    return replace(result, violations=_violations(result, level)) if level else result


def _debug_elf(debug: Source | None, build_id: str) -> Elf | None:
    """Open the debug file that was given, or the one of the build id; a broken one is refused."""
    if debug is None:
        path = debug_path(build_id) if build_id else None
        if path is None or not path.is_file():
            return None
        debug = path
    if isinstance(debug, (str, Path)):
        with mapped(Path(debug)) as data:
            return Elf(data, detached=True)
    return Elf(debug, detached=True)


class _Work:
    """One file on its way to a verdict."""

    def __init__(self, elf: Elf, debug: Elf | None, extra: Names | None) -> None:
        self.elf = elf
        self.names = extra or names(elf, debug)
        self.code: tuple[Part, ...] = functions.parts(elf)
        self.notes: list[str] = []
        self.debug = debug
        self.found = ranges(np.empty(0, np.int64), np.empty(0, np.int64), 0)
        self.refs: References | None = None

    def functions(self) -> Ranges:
        described = frames(self.elf)
        if not len(described.start) and self.debug is not None:
            described = debug_frames(self.debug)
        if not len(described.start):
            self.notes.append(NO_FRAMES)
        return functions.declared(self.code, described, self.names)

    def hits(self, found: Ranges) -> Hits:
        """Count sets in functions, then in gaps; walk gaps only where they hold some."""
        arch = self.elf.arch
        declared = functions.count(arch, self.code, found)
        left = functions.gaps(self.code, found, self.names)
        in_gaps = functions.count(arch, self.code, left)
        self.found = found
        if not len(in_gaps):
            return replace(
                declared,
                instructions=declared.instructions + in_gaps.instructions,
                undecodable=declared.undecodable,
            )
        walked = self._walked(found)
        both = found.joined(walked)
        rest = functions.gaps(self.code, both, self.names)
        in_walked = functions.count(arch, self.code, walked)
        in_rest = functions.count(arch, self.code, rest)
        keep = np.unique(in_rest.range)
        kept = Ranges(rest.start[keep], rest.end[keep], rest.origin[keep])
        self.found = both.joined(kept)
        at = [np.searchsorted(self.found.start, part.start) for part in (found, walked, rest)]
        total = functions.merged((declared, in_walked, in_rest), at)
        return replace(total, undecodable=declared.undecodable + in_walked.undecodable)

    def _walked(self, found: Ranges) -> Ranges:
        """Follow code into the gaps; what is found there may lead further."""
        refs = functions.references(self.elf.arch, self.code, found)
        self.refs = refs
        return explored(self.elf, self.names, self.code, found, refs)

    def references(self) -> References:
        if self.refs is None or (self.found.origin == WALKED).any():
            code = self.found.origin != functions.REMAINDER
            picked = Ranges(
                *(c[code] for c in (self.found.start, self.found.end, self.found.origin))
            )
            self.refs = functions.references(self.elf.arch, self.code, picked)
        words = np.array([address for _, address, _ in self.names.named(NAMES)], np.int64)
        return with_immediates(self.elf, self.code, self.found, self.refs, words)


def _judged(work: _Work, hits: Hits) -> tuple[FunctionAudit, ...]:
    """Judge every function on each kind of machine; keep the worst of what lacks a set."""
    if not len(hits):
        return ()
    arch = work.elf.arch
    places = Places(
        work.elf, work.found, work.references(), functions.linkage(arch, work.code), work.names
    )
    above = np.unique(hits.range)
    program = Program(places, work.code, _asking_by_effect(arch, hits), above)
    lowest, *better = machines(arch)
    variants = _variants(places, hits)
    verdicts = judge(program, lowest.features, variants)
    perhaps = _not_only_guarded(verdicts, variants)
    if len(perhaps):
        verdicts = judge(program, lowest.features, variants, perhaps)
    found = tuple(_functions(work, hits, verdicts))
    for machine in better if arch in GUARDS else ():
        if _guarded(found) <= machine.sets:
            break
        verdicts = judge(program, machine.features, variants, perhaps)
        hidden = frozenset(f.address for f in found if Reach.DISPATCHED in _reaches(f))
        there = {f.address: f for f in _functions(work, hits, verdicts, hidden)}
        found = tuple(_worse(f, there.get(f.address, f), machine) for f in found)
    return found


def _reaches(function: FunctionAudit) -> frozenset[Reach]:
    return frozenset(use.reach for use in function.sets.values())


def _asking_by_effect(arch: str, hits: Hits) -> frozenset[int]:
    """Return the functions that learn of shadow stacks from RDSSP, which does nothing without."""
    names_of = functions.classes(arch).names
    wanted = [number for number, name in enumerate(names_of) if name == "shstk"]
    return frozenset(hits.range[np.isin(hits.set, wanted)].tolist())


def _guarded(found: Iterable[FunctionAudit]) -> frozenset[str]:
    uses = (pair for function in found for pair in function.sets.items())
    return frozenset(name for name, use in uses if use.reach == Reach.DISPATCHED)


def _worse(one: FunctionAudit, other: FunctionAudit, machine: Machine) -> FunctionAudit:
    """Take over what a machine comes to that lacks the set."""
    sets = {
        name: other.sets[name]
        if name not in machine.sets and _WORST[other.sets[name].reach] < _WORST[use.reach]
        else use
        for name, use in one.sets.items()
    }
    worst = min((use.reach for use in sets.values()), key=_WORST.__getitem__)
    if worst == one.reach:
        return replace(one, sets=sets)
    evidence = tuple(f"on {machine.name}: {text}" for text in other.evidence)
    return replace(one, sets=sets, reach=worst, evidence=evidence)


def _variants(places: Places, hits: Hits) -> Ints:
    """Return the exported functions that the file itself chooses from.

    Their names say that they are one processor's variant, or a program offers them to plug-ins.
    """
    start = places.found.start
    named = [
        number
        for number in np.intersect1d(hits.range, places.roots).tolist()
        if _VARIANT.search(places.names.at(int(start[number])))
    ]
    led_to = np.union1d(places.code_edges.target, places.pointer_edges.target)
    return np.union1d(np.intersect1d(np.array(named, np.int64), led_to), places.offered)


def _not_only_guarded(verdicts: Verdicts, variants: Ints) -> Ints:
    """Return the variants that not only guarded code leads to."""
    guarded = verdicts.reached.somewhere[variants] & ~verdicts.reached.perhaps[variants]
    return variants[~guarded]


def _functions(
    work: _Work, hits: Hits, verdicts: Verdicts, only: frozenset[int] | None = None
) -> Iterator[FunctionAudit]:
    """Yield the functions that hold hits; ``only``: those at these addresses."""
    order = np.argsort(hits.range, kind="stable")
    first = np.searchsorted(hits.range[order], np.unique(hits.range))
    for rows in np.split(order, first[1:]):
        if only is None or int(work.found.start[hits.range[rows[0]]]) in only:
            yield _function(work, hits, verdicts, rows)


def _function(work: _Work, hits: Hits, verdicts: Verdicts, rows: Ints) -> FunctionAudit:
    number = int(hits.range[rows[0]])
    start, end = int(work.found.start[number]), int(work.found.end[number])
    confidence = CONFIDENCE[int(work.found.origin[number])]
    whole = Reach.UNKNOWN if confidence == Confidence.UNREACHED else _reach(verdicts, number)
    names_of = functions.classes(work.elf.arch).names
    outside = _run_without_guard(work, verdicts, number) if whole != Reach.DISPATCHED else None
    sets = {}
    for row in rows.tolist():
        which, first = int(hits.set[row]), int(hits.first[row])
        reach = whole
        if outside is not None:
            first, surely = outside.get(which, (first, False))
            reach = _inside(whole, which in outside, surely)
        sets[names_of[which]] = SetUse(int(hits.count[row]), confidence, reach, first)
    worst = min((use.reach for use in sets.values()), key=_WORST.__getitem__)
    return FunctionAudit(
        name=work.names.at(start) or f"{start:#x}",
        address=start,
        size=end - start,
        confidence=confidence,
        reach=worst,
        sets=dict(sorted(sets.items())),
        evidence=tuple(_evidence(work, verdicts, number, worst, confidence)),
    )


def _inside(whole: Reach, runs: bool, surely: bool) -> Reach:
    """Return the reach of a set in a function that asks about features itself."""
    if not runs:
        return Reach.DISPATCHED
    return whole if surely else Reach.UNKNOWN


def _reach(verdicts: Verdicts, number: int) -> Reach:
    result = verdicts.reached
    if result.always[number]:
        return Reach.ALWAYS
    if result.perhaps[number] or not result.somewhere[number]:
        return Reach.UNKNOWN
    return Reach.DISPATCHED


def _run_without_guard(
    work: _Work, verdicts: Verdicts, number: int
) -> Mapping[int, tuple[int, bool]] | None:
    """Return the sets that a function uses before any test lets it, where, and whether surely.

    None: it is not known, or nothing in the function asks about features.
    """
    outcome = verdicts.outcomes.get(number)
    if outcome is None or not outcome.complete:
        return None
    if not outcome.guards and outcome.certain == outcome.reached:
        return None
    surely = _first_in(work, outcome.certain)
    every = _first_in(work, outcome.reached)
    return {which: (at, which in surely) for which, at in every.items()}


def _first_in(work: _Work, code: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return the sets that pieces of code hold, and where first."""
    merged: list[list[int]] = []
    for start, end in sorted(code):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    bounds = np.array(merged, np.int64).reshape(-1, 2)
    found = functions.count(work.elf.arch, work.code, ranges(bounds[:, 0], bounds[:, 1], 0))
    first: dict[int, int] = {}
    for which, at in zip(found.set.tolist(), found.first.tolist(), strict=True):
        first[which] = min(at, first.get(which, at))
    return first


def _evidence(
    work: _Work, verdicts: Verdicts, number: int, worst: Reach, confidence: Confidence
) -> Iterator[str]:
    own = verdicts.outcomes.get(number)
    if confidence == Confidence.UNREACHED:
        yield "no call, jump, pointer or symbol was seen to lead to it; it may be data"
    elif worst == Reach.DISPATCHED:
        origin = verdicts.origin.get(number)
        if origin is None and own is not None:
            yield f"guarded in itself by {_list(own.guards)}"
        elif origin is not None:
            yield from _guard(work, verdicts, origin)
    elif worst == Reach.ALWAYS:
        yield "reached from outside or at start with no guard on the way"
    elif verdicts.reached.perhaps[number]:
        yield "its address lies in data, or nothing was seen to lead to what calls it"
        if verdicts.loses_track:
            yield "or a branch before it asks for what CPUID answered, which is kept out of sight"
    else:
        yield "nothing was seen to lead to it"


def _guard(work: _Work, verdicts: Verdicts, origin: int) -> Iterator[str]:
    if origin >= len(work.found):
        yield "only a guarded table of pointers leads to it"
        return
    start = int(work.found.start[origin])
    name = work.names.at(start) or f"{start:#x}"
    outcome = verdicts.outcomes.get(origin)
    tests = f" by {_list(outcome.guards)}" if outcome is not None and outcome.guards else ""
    kind = "chosen by the resolver" if origin in verdicts.resolvers else "guarded in"
    yield f"{kind} {name}{tests}"


def _list(words: Iterable[str]) -> str:
    every = sorted(words)
    more = f" and {len(every) - _MAX_EVIDENCE} more" if len(every) > _MAX_EVIDENCE else ""
    return ", ".join(every[:_MAX_EVIDENCE]) + more


def _summed(found: Sequence[FunctionAudit]) -> dict[str, SetUse]:
    """Sum sets over functions; what may be data counts only where no code has the set."""
    sure: dict[str, SetUse] = {}
    maybe: dict[str, SetUse] = {}
    for function in found:
        total = maybe if function.confidence == Confidence.UNREACHED else sure
        for name, use in function.sets.items():
            total[name] = _both(total[name], use) if name in total else use
    return dict(sorted({**maybe, **sure}.items()))


def _both(one: SetUse, other: SetUse) -> SetUse:
    worst = min(one, other, key=lambda use: (_WORST[use.reach], use.first))
    best = min(one.confidence, other.confidence, key=_BEST.__getitem__)
    return SetUse(one.count + other.count, best, worst.reach, worst.first)


def _exposed(found: Iterable[FunctionAudit], reaches: frozenset[Reach]) -> frozenset[str]:
    """Return the sets that functions use in one of these ways; what may be data counts not."""
    return frozenset(
        name
        for function in found
        if function.confidence != Confidence.UNREACHED
        for name, use in function.sets.items()
        if use.reach in reaches
    )


def _needs(arch: str, found: Sequence[FunctionAudit]) -> str:
    return levels.holding(arch, _exposed(found, frozenset({Reach.ALWAYS})))


def _level(arch: str, found: Sequence[FunctionAudit]) -> str:
    """Return the lowest level that has all that is not dispatched."""
    return levels.holding(arch, _exposed(found, frozenset({Reach.ALWAYS, Reach.UNKNOWN})))


def _violations(result: FileAudit, allowed: frozenset[str]) -> tuple[Violation, ...]:
    found = []
    for function in result.functions:
        if function.confidence == Confidence.UNREACHED:
            continue
        beyond = {
            name: use.reach
            for name, use in function.sets.items()
            if name not in allowed and use.reach != Reach.DISPATCHED
        }
        if beyond:
            certain = Reach.ALWAYS in beyond.values()
            found.append(Violation(function.name, function.address, tuple(sorted(beyond)), certain))
    return tuple(found)


def _by_path(result: FileAudit) -> FileAudit:
    """Take a file in a directory that the dynamic linker only looks into on better processors."""
    match = _HWCAPS.search(result.path)
    has = levels.named(result.arch, match[1]) if match else None
    if match is None or has is None:
        return result
    evidence = f"the dynamic linker takes it only on {match[1]}"
    found = tuple(_with_level(function, has, evidence) for function in result.functions)
    return replace(result, functions=found, sets=_summed(found), notes=(*result.notes, evidence))


def _with_level(function: FunctionAudit, has: frozenset[str], evidence: str) -> FunctionAudit:
    sets = {
        name: replace(use, reach=Reach.DISPATCHED) if name in has else use
        for name, use in function.sets.items()
    }
    worst = min((use.reach for use in sets.values()), key=_WORST.__getitem__)
    return replace(function, sets=sets, reach=worst, evidence=(evidence, *function.evidence))
