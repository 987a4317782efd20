"""Teach archspec a microarchitecture: ``cpu/microarchitectures.json`` of archspec-json.

A target there has parents whose code it runs, the ``/proc/cpuinfo`` words that it needs, and the
flags by which compilers make code for it. archspec names a machine by the largest target of which
it has every word; a word that firmware can switch off would hide the chip, so only words of
instruction sets are added to those of the parent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from uplift.catalog.cpuid_names import BitPlace
from uplift.catalog.labels import union
from uplift.catalog.model import (
    All,
    Catalog,
    Chip,
    Feature,
    Labels,
    Layer,
    Predicate,
    Test,
)
from uplift.catalog.model import Any as AnyOf
from uplift.catalog.since import Since, series_of
from uplift.catalog.upstream.model import (
    Addition,
    Subject,
    UpstreamPatch,
    chip_source,
    subject_labels,
)
from uplift.errors import UpliftError
from uplift.facts.cpuid_table import table
from uplift.facts.model import Facts

TARGETS = "cpu/microarchitectures.json"
CPUID = "cpu/cpuid.json"
RECORDINGS = "tests/targets"

#: Features of these areas are instruction sets; what else a chip has is no matter of compilers.
_AREAS = frozenset(("compute", "crypto"))
#: Instruction sets that firmware, microcode or the kernel switches off on many machines that have
#: them: TSX, Key Locker, user interrupts, and what needs the kernel's help.
_SWITCHED_OFF = frozenset(
    ("hle", "rtm", "tsxldtrk", "aeskle", "widekl", "uintr", "enqcmd", "pku", "fsgsbase", "xsaves")
)
_WORDS = ("cpuinfo.flags", "hwcap.words")
_CPUID_FACT = re.compile(r"cpuid\.([0-9a-f]+)\.([0-9a-f]+)\.(e[abcd]x)")
#: What archspec calls the makers, where it differs from the catalog.
_VENDORS = {"Arm": "ARM"}
#: Compilers in archspec, their projects in the tables of versions.
_COMPILERS = {"gcc": ("gcc",), "clang": ("llvm", "clang")}

#: Project to name to when it came: compilers' options, and what Linux shows in /proc/cpuinfo.
Options = Mapping[str, Mapping[str, Since]]
Json = dict[str, Any]


def teach(
    texts: Mapping[str, str], subjects: Sequence[Subject], catalog: Catalog, options: Options
) -> UpstreamPatch:
    """Return the patch that adds the targets that archspec lacks.

    :param texts: of the files that the tree has, by path; :data:`TARGETS` at least.
    :param options: since when compilers know which option.
    :raises UpliftError: a file is not of archspec's form.
    """
    document = _document(texts, TARGETS)
    teacher = _Teacher(document["microarchitectures"], catalog, options)
    after: dict[str, str] = {}
    added: list[Addition] = []
    skipped: dict[str, str] = {}
    bits: dict[str, BitPlace] = {}
    for subject in subjects:
        shown = subject.chip.codename if subject.chip else subject.origin
        made = teacher.target(subject)
        if isinstance(made, str):
            skipped[shown] = made
            continue
        name, target, words, labels = made
        document["microarchitectures"] = teacher.targets = _after(teacher.targets, name, target)
        origin = f"recorded: {subject.origin}; " if subject.origin else ""
        source = origin + (chip_source(subject.chip) if subject.chip else "")
        added.append(Addition(name, source, labels | subject_labels(subject)))
        bits.update(teacher.places(words))
        after.update(_recording(name, subject))
    after[TARGETS] = _written(document)
    if CPUID in texts and bits:
        after[CPUID] = _with_bits(_document(texts, CPUID), bits)
    names = ", ".join(addition.name for addition in added)
    targets = (document["microarchitectures"][addition.name] for addition in added)
    versions = (
        " Compiler versions are the first ones that were seen to take the option."
        if any("compilers" in target for target in targets)
        else ""
    )
    return UpstreamPatch(
        subject=f"Add {names} support",
        body="The features are those of the parent and the words that Linux shows in "
        "/proc/cpuinfo for the instruction sets that the chip adds." + versions,
        changes={path: (texts.get(path, ""), text) for path, text in after.items()},
        added=tuple(added),
        skipped=skipped,
    )


class _Teacher:
    """Makes targets out of chips."""

    def __init__(self, targets: Json, catalog: Catalog, options: Options) -> None:
        self.targets = targets
        self._options = options
        self._features = {feature.id: feature for feature in catalog.features}
        self._chips = catalog.chips
        self._spoken = {word for target in targets.values() for word in target["features"]}

    def target(self, subject: Subject) -> tuple[str, Json, list[str], Labels] | str:
        """Return name, entry, added words and their labels; why there is none otherwise."""
        chip = subject.chip
        why = self._obstacle(chip)
        if chip is None or why:
            return why
        has = _Has(chip, self._features, subject.facts)
        parent = self._parent(chip, has)
        if not parent:
            return "archspec has no target of its maker whose words the chip is known to have: a "
            "recording with /proc/cpuinfo would tell"
        inherited = _distinct(self.targets[parent]["features"])
        new = sorted(word for word in has.words if word not in inherited and self._usable(word))
        if self._words_of_chips(parent).issuperset(new):
            return f"by what Linux shows it is the same as {parent}"
        spellings = _spellings(chip)
        name = _plain(spellings[0])
        entry: Json = {
            "from": [parent],
            "vendor": _vendor(chip),
            "features": [*inherited, *new],
        }
        compilers = self._compilers(chip, spellings, name)
        entry |= {"compilers": compilers} if compilers else {}
        entry |= {"cpupart": part} if (part := _part(chip)) else {}
        return name, entry, new, union(*(has.words[word].labels for word in new))

    def _words_of_chips(self, target: str) -> set[str]:
        """Return the words of the chips that archspec calls ``target``: more than it asks for.

        A new target that one of these fits, too, would take its name away.
        """
        found: set[str] = set()
        for chip in self._chips:
            if target in (chip.archspec, _plain(_spellings(chip)[0])):
                found |= _Has(chip, self._features, None).words.keys()
        return found

    def _obstacle(self, chip: Chip | None) -> str:
        """Return why no target can be written for the chip; empty where one may."""
        if chip is None:
            return "its chip is in no catalog"
        if chip.arch not in ("x86-64", "arm64"):
            return f"targets of {chip.arch} are not written"
        names = (chip.archspec, *map(_plain, _spellings(chip)))
        there = [name for name in names if name in self.targets]
        return f"archspec has it as {there[0]}" if there else ""

    def _usable(self, word: str) -> bool:
        """Whether archspec speaks of a word, or Linux is seen to show it."""
        shown = self._options.get("linux", {}).get(word)
        return word in self._spoken or bool(shown and shown.version)

    def _parent(self, chip: Chip, has: _Has) -> str:
        """Return the largest target of the maker of which the chip has every word; else empty.

        A word that no instruction set of the catalog has (mmx, lahf_lm) tells nothing, and what
        every chip since x86-64-v2 has is not always listed.
        """
        baseline = set(self.targets.get("x86_64_v2", {}).get("features", ()))
        own = [
            name
            for name, target in self.targets.items()
            if target["vendor"] == _vendor(chip) and has.all_of(set(target["features"]) - baseline)
        ]
        return _largest(own, self.targets) if own else ""

    def places(self, words: Iterable[str]) -> dict[str, BitPlace]:
        """Return the CPUID bits that stand for words."""
        found: dict[str, BitPlace] = {}
        wanted = set(words)
        for feature in self._features.values():
            place = _place(feature)
            for word in wanted.intersection(_words_of(feature)) if place else ():
                found.setdefault(word, place or (0, 0, "", 0))
        return found

    def _compilers(self, chip: Chip, spellings: Sequence[str], name: str) -> Json:
        """Return since which version each compiler has an option for the chip."""
        found: Json = {}
        for compiler, projects in _COMPILERS.items():
            for spelling in spellings:
                option = f"-march={spelling}" if chip.arch == "x86-64" else f"-mcpu={spelling}"
                since = next(
                    (s for p in projects if (s := self._options.get(p, {}).get(option))), None
                )
                if since is None or not since.version:
                    continue
                entry: Json = {"versions": f"{_first(since)}:"}
                if chip.arch == "x86-64":
                    entry |= {"name": spelling} if spelling != name else {}
                    entry["flags"] = "-march={name} -mtune={name}"
                else:
                    entry["flags"] = option
                found[compiler] = [entry]
                break
        return found


class _Has:
    """Which words a chip has.

    :param words: of its instruction sets, each with the feature that it stands for.
    """

    def __init__(self, chip: Chip, features: Mapping[str, Feature], facts: Facts | None) -> None:
        seen = facts.value("cpuinfo.flags") if facts else None
        self._seen = seen if isinstance(seen, frozenset) else None
        self._tracked: set[str] = set()
        self.words: dict[str, Feature] = {}
        for feature in sorted(features.values(), key=lambda feature: feature.id):
            if chip.arch not in feature.arch or feature.area not in _AREAS:
                continue
            recorded = _recorded(feature, facts) if facts else None
            there = feature.id in chip.features if recorded is None else recorded
            for word in set(_words_of(feature)) - _SWITCHED_OFF:
                self._tracked.add(word)
                if word in self._seen if self._seen is not None else there:
                    self.words.setdefault(word, feature)

    def all_of(self, words: Iterable[str]) -> bool:
        """Whether the chip has every one of ``words``, as far as anybody can tell."""
        if self._seen is not None:
            return self._seen.issuperset(words)
        return self._tracked.intersection(words) <= self.words.keys()


def _recorded(feature: Feature, facts: Facts) -> bool | None:
    """Whether a recording's CPUID shows a feature; None where it does not tell."""
    place = _place(feature)
    if place is None:
        return None
    value = facts.value(f"cpuid.{place[0]:x}.{place[1]:x}.{place[2]}")
    return bool(value >> place[3] & 1) if isinstance(value, int) else None


def _words_of(feature: Feature) -> tuple[str, ...]:
    """Return the words by which Linux shows a feature: what its layers ask for, its bit's name."""
    found: list[str] = []
    for need in feature.layers:
        if need.name in (Layer.SILICON, Layer.KERNEL):
            asked = (test for test in _positive(need.needs) if test.fact in _WORDS)
            found.extend(str(test.operand) for test in asked if test.op == "has")
    place = _place(feature)
    if place is not None:
        found.extend(_bit_names().get(place, ()))
    return tuple(dict.fromkeys(found))


@cache
def _bit_names() -> Mapping[BitPlace, tuple[str, ...]]:
    """Return what Linux calls each CPUID bit that it has a flag for."""
    return {
        (field.leaf, field.subleaf, field.register, field.low): (field.name,)
        for field in table()
        if field.low == field.high and "linux" in field.source
    }


def _place(feature: Feature) -> BitPlace | None:
    """Return the one CPUID bit that shows a feature; None where it is none."""
    needs = feature.layers[0].needs if feature.layers else None
    if not isinstance(needs, Test) or needs.op != "bit":
        return None
    place = _CPUID_FACT.fullmatch(needs.fact)
    if place is None:
        return None
    return int(place[1], 16), int(place[2], 16), place[3], int(needs.operand)


def _vendor(chip: Chip) -> str:
    return _VENDORS.get(chip.vendor, chip.vendor)


def _positive(predicate: Predicate) -> Iterator[Test]:
    """Yield the tests that are not below a ``not``."""
    if isinstance(predicate, Test):
        yield predicate
    elif isinstance(predicate, (All, AnyOf)):
        for part in predicate.parts:
            yield from _positive(part)


def _spellings(chip: Chip) -> tuple[str, ...]:
    """Return how compilers may spell the chip, the likeliest first."""
    zen = re.match(r"Zen (\d+)", chip.microarchitecture)
    if zen:
        return (f"zen{zen[1]}", f"znver{zen[1]}")
    if chip.arch == "arm64":
        return (chip.codename,)
    words = chip.codename.split("-")
    joined = ["".join(words[:2]), *words[2:]]
    return tuple(dict.fromkeys(("-".join(joined), "".join(words))))


def _plain(spelling: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", spelling)


def _part(chip: Chip) -> str:
    """Return the part number of MIDR_EL1 as /proc/cpuinfo shows it; empty off Arm."""
    for signature in chip.signatures:
        if signature.kind == "midr" and not signature.labels:
            for field, low, high in signature.fields:
                if field == "part" and low == high:
                    return f"{low:#05x}"
    return ""


def _first(since: Since) -> str:
    """Return the first version with it: its series' first where the one before was read, too."""
    major = series_of(since.version, 1)[0]
    before = series_of(since.without, 1)[0] if since.without else major
    return f"{major}.0" if before == major - 1 else since.version


def _largest(names: Sequence[str], targets: Json) -> str:
    """Return the target with the most words; of several the last."""
    return max(reversed(names), key=lambda name: len(set(targets[name]["features"])))


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _after(targets: Json, name: str, target: Json) -> Json:
    """Return the targets with a new one behind the last of the same maker."""
    kin = [n for n, t in targets.items() if t["vendor"] == target["vendor"]]
    anchor = kin[-1] if kin else target["from"][-1]
    made: Json = {}
    for other, entry in targets.items():
        made[other] = entry
        if other == anchor:
            made[name] = target
    return made


def _with_bits(document: Json, bits: Mapping[str, BitPlace]) -> str:
    """Return ``cpuid.json`` with the bits that it lacks."""
    groups = [*document["flags"], *document["extension-flags"]]
    known = {bit["name"] for group in groups for bit in group["bits"]}
    for word, (leaf, subleaf, register, number) in sorted(bits.items()):
        if word in known:
            continue
        wanted = {"eax": leaf, "ecx": subleaf}
        group = next((group for group in groups if group["input"] == wanted), None)
        if group is not None:
            group["bits"].append({"name": word, "register": register, "bit": number})
    return _written(document)


def _recording(name: str, subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield the recording for archspec's tests, where there is a /proc/cpuinfo: its first CPU."""
    captures = subject.facts.snapshot.captures if subject.facts else {}
    capture = captures.get("file:/proc/cpuinfo")
    if capture is not None and capture.usable:
        first = capture.text.split("\n\n", 1)[0]
        lines = [line for line in first.splitlines() if not line.lower().startswith("serial")]
        yield f"{RECORDINGS}/linux-unknown-{name}", "\n".join(lines) + "\n"


def _document(texts: Mapping[str, str], path: str) -> Json:
    try:
        document = json.loads(texts[path])
        _check(document, path)
    except KeyError:
        cause = "it is not there"
    except (ValueError, TypeError, RecursionError) as error:
        cause = str(error)[:200]
    else:
        if _written(document) == texts[path]:
            return dict(document)
        cause = "it is not in the layout that archspec's own check asks for (jq)"
    raise UpliftError(
        f"cannot teach archspec: {path}",
        cause,
        f"pass --tree a checkout of archspec-json, or its {TARGETS}",
    )


def _check(document: Any, path: str) -> None:
    if path == TARGETS:
        for name, target in document["microarchitectures"].items():
            lists = isinstance(target["from"], list) and isinstance(target["features"], list)
            if not lists or not isinstance(target["vendor"], str):
                raise ValueError(f"{name} is no target")
    elif not all(isinstance(g["bits"], list) for g in document["flags"]):
        raise ValueError("flags have no bits")


def _written(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
