"""What a recording says of the chip's signature, whichever capture it is in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from uplift.facts.model import Fact, Facts

_X86_SOURCES = ("cpuid", "cpuinfo", "darwin")
_DMI = ("sys_vendor", "product_name", "product_family", "board_vendor", "board_name", "bios_vendor")
_PACKAGE_FAMILIES = 0x10  #: AMD gives the package from family 10h on


@dataclass(frozen=True)
class Seen:
    """The signature of one recording.

    :param kinds: which signatures of the catalog it can be compared with.
    :param fields: the numbers, by the names that the catalog's signatures use.
    :param system: DMI texts.
    :param platform: strings that name the processor itself.
    :param words: for people: ``family 6, model 0xad, stepping 1``.
    :param facts: what all this was read from.
    """

    kinds: frozenset[str]
    vendor: str
    fields: Mapping[str, int]
    words: str
    brand: str = ""
    system: tuple[str, ...] = ()
    platform: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()


def plain(text: str) -> str:
    """Return ``text`` lower case with single blanks, for comparison."""
    return " ".join(text.lower().split())


def says_which(brand: str) -> bool:
    """Whether a brand string names a model: clouds cut it down to ``AMD EPYC``."""
    name = brand.partition("@")[0]
    if re.search(r"(?i)genuine intel|eng(?:ineering)? sample|virtual", name):
        return False
    return any(letter.isdigit() for letter in name)


def observe(facts: Facts) -> Seen | None:
    """Return the recording's signature; None where it holds none."""
    return _x86(facts) or _arm64(facts) or _riscv(facts) or _platform(facts)


def _x86(facts: Facts) -> Seen | None:
    for source in _X86_SOURCES:
        found = _facts(
            facts, {name: f"{source}.{name}" for name in ("family", "model", "stepping")}
        )
        if "family" in found and "model" in found:
            break
    else:
        return None
    vendor = _first(facts, "cpuid.vendor", "cpuinfo.vendor", "darwin.vendor")
    brand = _first(facts, "cpuid.brand", "cpuinfo.model_name", "darwin.brand_string")
    fields = _numbers(found)
    if "family" not in fields:
        return None
    maker = str(vendor.value) if vendor else ""
    package = _get(facts, "cpuid.80000001.0.ebx")
    if (
        package
        and isinstance(package.value, int)
        and maker in ("AuthenticAMD", "HygonGenuine")
        and fields["family"] >= _PACKAGE_FAMILIES
    ):
        fields["package"] = package.value >> 28
    return Seen(
        frozenset(("x86",)),
        maker,
        fields,
        f"{maker or 'x86'} family {fields['family']}, "
        + _words(fields, (("model", "#x"), ("stepping", "d"))),
        brand=str(brand.value) if brand else "",
        facts=tuple(fact for fact in (vendor, *found.values(), brand) if fact),
    )


def _arm64(facts: Facts) -> Seen | None:
    midr = _get(facts, "arm64.midr")
    if midr and isinstance(midr.value, int):
        value, found = midr.value, {"midr": midr}
        fields = {
            "implementer": value >> 24 & 0xFF,
            "variant": value >> 20 & 0xF,
            "part": value >> 4 & 0xFFF,
            "revision": value & 0xF,
        }
    else:
        names = ("implementer", "part", "variant", "revision")
        found = _facts(facts, {name: f"cpuinfo.{name}" for name in names})
        fields = _numbers(found)
    if not {"implementer", "part"} <= set(fields):
        return None
    dmi = [fact for name in _DMI if (fact := _get(facts, f"firmware.dmi.{name}"))]
    shown = (("implementer", "#x"), ("part", "#x"), ("variant", "#x"), ("revision", "d"))
    return Seen(
        frozenset(("midr",)),
        "",
        fields,
        _words(fields, shown),
        system=tuple(str(fact.value) for fact in dmi),
        facts=(*found.values(), *dmi),
    )


def _riscv(facts: Facts) -> Seen | None:
    found = _facts(facts, {n: f"riscv.{n}" for n in ("mvendorid", "marchid", "mimpid")})
    uarch = _get(facts, "riscv.uarch")
    if not found and uarch is None:
        return None
    fields = _numbers(found)
    texts = (str(uarch.value),) if uarch else ()
    shown = (("mvendorid", "#x"), ("marchid", "#x"), ("mimpid", "#x"))
    words = ", ".join(part for part in (_words(fields, shown), *texts) if part)
    return Seen(
        frozenset(("riscv", "platform")),
        "",
        fields,
        words,
        platform=texts,
        facts=tuple(fact for fact in (*found.values(), uarch) if fact),
    )


def _platform(facts: Facts) -> Seen | None:
    """s390x: the machine type; ppc64: the ``cpu`` line; macOS on Arm: the brand."""
    names = ("cpuinfo.machine", "cpuinfo.model_name", "darwin.brand_string", "hwcap.platform")
    found = [fact for name in names if (fact := _get(facts, name))]
    texts = tuple(str(fact.value) for fact in found)
    named = [text for text in texts if re.match(r"(?i)power\d|apple |\d{4}$", text)]
    if not named:
        return None
    return Seen(
        frozenset(("platform",)),
        "",
        {},
        named[0],
        platform=tuple(named),
        facts=tuple(fact for fact in found if str(fact.value) in named),
    )


def _words(fields: Mapping[str, int], shown: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {fields[name]:{form}}" for name, form in shown if name in fields)


def _numbers(found: Mapping[str, Fact]) -> dict[str, int]:
    return {name: fact.value for name, fact in found.items() if isinstance(fact.value, int)}


def _facts(facts: Facts, names: Mapping[str, str]) -> dict[str, Fact]:
    return dict(_known(facts, names))


def _known(facts: Facts, names: Mapping[str, str]) -> Iterator[tuple[str, Fact]]:
    for field, name in names.items():
        fact = _get(facts, name)
        if fact is not None:
            yield field, fact


def _first(facts: Facts, *names: str) -> Fact | None:
    return next((fact for name in names if (fact := _get(facts, name))), None)


def _get(facts: Facts, name: str) -> Fact | None:
    try:
        found = facts.get(name)
    except KeyError:  # this build has no parser for it
        return None
    return found if isinstance(found, Fact) else None
