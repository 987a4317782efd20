"""``cpuinfo.flags`` on x86: the flags that a kernel knows, on a chip whose CPUID is known.

A flag is reported when the kernel has a name for it, the chip has its bit, the kernel was built
with what it needs, and everything that it depends on is reported too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from uplift.catalog.flag_rules import FlagRule, load_flag_rules
from uplift.facts.cpuid_table import table
from uplift.facts.model import Fact, Missing, PartialRegister, PartialWords
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predicate import version_key
from uplift.resolve.predict.versions import by_version

_FLAGS = "probe:kernel-image/x86-flags"
_KERNEL = "kernel.release"
#: Words of x86_capability that are CPUID registers: asm/cpufeatures.h and asm/cpufeature.h of
#: Linux 7.1.13 (enum cpuid_leafs). Words 2, 5, 3, 7, 8, 11 and 21 are Linux's own.
_WORDS: Mapping[int, str] = {
    0: "cpuid.1.0.edx",
    1: "cpuid.80000001.0.edx",
    4: "cpuid.1.0.ecx",
    6: "cpuid.80000001.0.ecx",
    9: "cpuid.7.0.ebx",
    10: "cpuid.d.1.eax",
    12: "cpuid.7.1.eax",
    13: "cpuid.80000008.0.ebx",
    14: "cpuid.6.0.eax",
    15: "cpuid.8000000a.0.edx",
    16: "cpuid.7.0.ecx",
    17: "cpuid.80000007.0.ebx",
    18: "cpuid.7.0.edx",
    19: "cpuid.8000001f.0.eax",
    20: "cpuid.80000021.0.eax",
}
#: Whose bits count: a name of another vendor's bit says nothing of these chips.
_VENDORS = frozenset({"Intel", "AMD"})
_SILENT = "no list says whether the chip has its bit"
_OWN = "Linux sets it by itself, not from CPUID alone"


class _Known(NamedTuple):
    """The flags that a kernel knows.

    :param places: flag to the CPUID bits that it stands for, one of which is enough.
    :param why: flags of which nobody can say whether this kernel knows them; ``otherwise``: why
        that holds of every other flag, too; empty where it does not.
    """

    places: Mapping[str, tuple[str, ...]]
    why: Mapping[str, str]
    inputs: tuple[str, ...]
    how: str
    otherwise: str = ""


def predict_flags(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict ``cpuinfo.flags``; None for any other fact of cpuinfo."""
    if name != "cpuinfo.flags":
        return None
    known = _known_flags(facts)
    if known is None:
        return Missing(name, "neither the kernel's image nor its version is known")
    judge = _Judge(facts, known)
    words: set[str] = set()
    why: dict[str, str] = dict(known.why)
    for flag in known.places:
        answer = judge.reported(flag)
        if answer is True:
            words.add(flag)
        elif answer is not False:
            why[flag] = answer
    inputs = (*known.inputs, "probe:cpuid", *judge.asked)
    return Prediction(
        PartialWords(words, why, known.otherwise), tuple(dict.fromkeys(inputs)), known.how
    )


def _known_flags(facts: PlanFacts) -> _Known | None:
    """Return what the kernel's image names, else what its version is known to name."""
    image = facts.release.get("image.flags")
    if isinstance(image, Fact) and isinstance(image.value, frozenset):
        places = {flag: _place(facts, str(flag)) for flag in image.value}
        return _Known(places, {}, (image.capture,), "the flags named in the kernel's image")
    told = by_version(facts, "linux", "x86-flag", "x86-64", _KERNEL, "image.flags")
    if isinstance(told, Missing):
        return None
    assert isinstance(told.value, PartialWords)
    places = {flag: _bits_by_name().get(flag, ()) for flag in told.value}
    return _Known(places, told.value.why, told.inputs, told.how, told.value.otherwise)


def _place(facts: PlanFacts, flag: str) -> tuple[str, ...]:
    """Return the CPUID bit of a flag from its word in the image; by name for Linux's own words."""
    word, _, bit = str(facts.release.value(f"image.flag.{flag}") or "").partition(":")
    register = _WORDS.get(int(word)) if word.isdigit() else None
    return (f"{register}.{bit}",) if register else _bits_by_name().get(flag, ())


@cache
def _bits_by_name() -> Mapping[str, tuple[str, ...]]:
    """Return CPUID's bits by the name that Linux's flags have; those that Linux reads, if any."""
    read: dict[str, tuple[str, ...]] = {}
    others: dict[str, tuple[str, ...]] = {}
    for field in table():
        if field.low != field.high or (field.vendors and not _VENDORS & set(field.vendors)):
            continue
        place = f"cpuid.{field.leaf:x}.{field.subleaf:x}.{field.register}.{field.low}"
        into = read if field.source.endswith(_READ_BY_LINUX) else others
        into[field.name] = (*into.get(field.name, ()), place)
    return {**others, **read}


#: Where Linux says which bits its flags come from.
_READ_BY_LINUX = ("cpufeatures.h", "scattered.c")


def cleared(facts: PlanFacts, register: str) -> Mapping[int, str]:
    """Return the bits of a CPUID register that the kernel clears, or may clear.

    :param register: ``cpuid.7.0.ebx``.
    :return: bit to why nobody knows; empty text where the kernel does clear it.
    """
    flags = facts.get("cpuinfo.flags")
    if not isinstance(flags, Fact) or not isinstance(flags.value, PartialWords):
        return {}
    return {
        bit: flags.value.open(flag)
        for flag, bit in _clearing().get(register, ())
        if flag not in flags.value
    }


@cache
def _clearing() -> Mapping[str, tuple[tuple[str, int], ...]]:
    """Return the flags whose rule clears a CPUID bit, by register."""
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    for rule in load_flag_rules().rules.values():
        for place in _bits_by_name().get(rule.flag, ()) if rule.clears_cpuid else ():
            register, _, bit = place.rpartition(".")
            found[register] = (*found.get(register, ()), (rule.flag, int(bit)))
    return found


class _Judge:
    """Says of one flag whether it is reported: True, False, or why nobody knows."""

    def __init__(self, facts: PlanFacts, known: _Known) -> None:
        self._facts = facts
        self._known = known
        self._rules = load_flag_rules()
        self._answers: dict[str, bool | str] = {}
        self.asked: dict[str, None] = {}  #: captures of the options that decided

    def reported(self, flag: str) -> bool | str:
        """Judge ``flag``, and before it everything that it depends on."""
        if flag not in self._answers:
            self._answers[flag] = False  # a cycle among dependencies holds nothing up
            self._answers[flag] = self._judge(flag)
        return self._answers[flag]

    def _judge(self, flag: str) -> bool | str:
        rule = self._rules.rules.get(flag, FlagRule(flag))
        if rule.off or not self._of_vendor(rule.vendor):
            return False
        if rule.always:
            return True
        return _all(self._conditions(flag, rule))

    def _conditions(self, flag: str, rule: FlagRule) -> Iterator[bool | str]:
        yield self._bit(flag, rule)
        yield self._configured(flag, rule)
        yield not rule.before or version_key(self._version) >= version_key(rule.before)
        for needed in (*rule.needs, *self._rules.needs.get(flag, ())):
            if needed in self._known.places:
                answer = self.reported(needed)
                # a chip that has a feature has what that rests on, though its list is silent
                yield True if answer == _SILENT else answer
        yield self._open(rule)

    def _bit(self, flag: str, rule: FlagRule) -> bool | str:
        own = self._known.places.get(flag, ())
        use_rule = rule.bits and self._of_vendor(rule.bits_vendor)
        bits = rule.bits if use_rule else own
        if not bits:
            return _OWN
        answers = [self._is_set(bit) for bit in bits]
        if True in answers:
            return True
        return rule.unset_open or (_SILENT if None in answers else False)

    def _is_set(self, place: str) -> bool | None:
        """Say whether the chip has a bit; None where its list does not say."""
        register, _, bit = place.rpartition(".")
        value = self._facts.chip.value(register)
        if not isinstance(value, int):
            return None
        if isinstance(value, PartialRegister) and value.unknown >> int(bit) & 1:
            return None
        return bool(value >> int(bit) & 1)

    def _configured(self, flag: str, rule: FlagRule) -> bool | str:
        disabled = self._option(f"CONFIG_X86_DISABLED_FEATURE_{flag.upper()}")
        if disabled == "y":
            return False
        answers = [self._option(name) for name in rule.config if self._asks_config(rule)]
        if any(answer == "n" for answer in answers):
            return False
        unset = [n for n, a in zip(rule.config, answers, strict=False) if a is None]
        return f"whether the kernel was built with {unset[0]} is not known" if unset else True

    def _asks_config(self, rule: FlagRule) -> bool:
        version = version_key(self._version)[:2]
        return not (
            (rule.config_from and version < version_key(rule.config_from))
            or (rule.config_until and version >= version_key(rule.config_until))
        )

    def _option(self, name: str) -> str | None:
        found = self._facts.release.get(f"kernel.config.{name}")
        if not isinstance(found, Fact):
            return None
        self.asked[found.capture] = None
        return str(found.value)

    def _open(self, rule: FlagRule) -> bool | str:
        if self._is_of(rule.off_models):
            if self._is_on(rule.off_config):
                return False
            if self._is_on(rule.on_config):
                return True
        if not rule.open or not self._of_vendor(rule.open_vendor):
            return True
        if self._is_on(rule.unless_config):
            return True
        family = self._facts.chip.value("cpuid.family")
        return True if rule.models and str(family) not in rule.models else rule.open

    def _is_on(self, option: str) -> bool:
        return bool(option) and self._option(option) == "y"

    def _is_of(self, models: tuple[str, ...]) -> bool:
        chip = self._facts.chip
        return f"{chip.value('cpuid.family')}:{chip.value('cpuid.model')}" in models

    def _of_vendor(self, vendor: str) -> bool:
        return not vendor or self._facts.chip.value("cpuid.vendor") == vendor

    @property
    def _version(self) -> str:
        return str(self._facts.value(_KERNEL) or "")


def _all(conditions: Iterator[bool | str]) -> bool | str:
    """Join conditions: one that fails decides; else one that is open does."""
    open_ = ""
    for condition in conditions:
        if condition is False:
            return False
        if condition is not True and not open_:
            open_ = condition
    return open_ or True
