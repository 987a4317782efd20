"""Name the chip: by its signature first, never by its features alone.

Features can be masked, so they cannot tell one chip from another: a Granite Rapids without its
newest bits looks like a Sapphire Rapids. The signature says which chip it is; the features say what
somebody took away from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from uplift.catalog.labels import list_labels, union
from uplift.catalog.model import Chip, Feature, Labels, Layer, Signature
from uplift.facts.model import Facts
from uplift.resolve.account import Evidence
from uplift.resolve.model import ChipIdentity, Difference
from uplift.resolve.predicate import Outcome, judge
from uplift.resolve.signature import Seen, observe, plain, says_which

#: Clouds write their name into DMI; a board maker need not say whose chip is on the board.
_CLOUDS = frozenset(("Amazon EC2", "Google", "Microsoft", "Alibaba"))
_SERVER_BRANDS = ("xeon", "epyc", "opteron")
_CLIENT_BRANDS = ("core(tm)", "ryzen", "threadripper")


@dataclass(frozen=True)
class _Match:
    """A signature that nothing recorded contradicts.

    :param open: how many of its fields were not recorded.
    :param rank: how closely it fits: more fields, then narrower ranges, then a longer text.
    """

    chip: Chip
    signature: Signature
    open: int
    rank: tuple[int, int, int]


def identify(
    facts: Facts,
    chips: Iterable[Chip],
    silicon: Mapping[str, Outcome] | None = None,
    private: Mapping[str, Labels] | None = None,
) -> ChipIdentity:
    """Say what chip ``facts`` were recorded on, and what it lacks of what that chip has.

    :param silicon: what :func:`judge_silicon` says, to compare with what the catalog lists.
    :param private: features whose silicon an overlay describes, with its labels.
    :return: with the labels of every overlay that had a part in it.
    """
    chips = tuple(chips)
    found = _identify(facts, chips, silicon or {})
    return replace(found, labels=_labels(found, chips, private or {}))


def _labels(found: ChipIdentity, chips: tuple[Chip, ...], private: Mapping[str, Labels]) -> Labels:
    """Return the labels of everything that was looked at to name the chip and compare it."""
    if found.nearest:
        makers = {chip.vendor for chip in chips if chip.codename == found.nearest}
        involved = [chip for chip in chips if chip.vendor in makers]
    else:
        named = {found.codename, *found.candidates}
        involved = [chip for chip in chips if chip.codename in named]
    compared = frozenset().union(*(chip.features for chip in involved))
    silicon = (labels for name, labels in private.items() if name in compared)
    lists = (list_labels(chip) for chip in involved)
    return union(found.named_by, *lists, *silicon)


def _identify(
    facts: Facts, chips: tuple[Chip, ...], silicon: Mapping[str, Outcome]
) -> ChipIdentity:
    seen = observe(facts)
    if seen is None:
        return _nameless(facts, chips)
    has = silicon_features(silicon)
    matches = [match for chip in chips for match in _matches(chip, seen)]
    closed = [match for match in matches if not match.open]
    if closed:
        best = max(closed, key=lambda match: match.rank)
        labels = union(best.chip.labels, best.signature.labels)
        return _named(facts, seen, best, _also_possible(best, matches), has, labels)
    if matches:
        best = min(matches, key=lambda match: (_distance(match.chip, has), match.open))
        others = tuple(sorted({m.chip.codename for m in matches} - {best.chip.codename}))
        tried = (union(list_labels(m.chip), m.signature.labels) for m in matches)
        return _named(facts, seen, best, others, has, union(*tried))
    return _unknown(facts, seen, chips, has)


def judge_silicon(facts: Facts, features: Iterable[Feature]) -> dict[str, Outcome]:
    """Return what each feature's silicon predicate came to."""
    outcomes: dict[str, Outcome] = {}
    for feature in features:
        if feature.layers and feature.layers[0].name is Layer.SILICON:
            with suppress(KeyError):  # no parser declares the fact: `catalog check` reports it
                outcomes[feature.id] = judge(feature.layers[0].needs, facts)
    return outcomes


def silicon_features(outcomes: Mapping[str, Outcome]) -> dict[str, bool]:
    """Return which features the recording shows or lacks; what nobody recorded is left out."""
    return {name: outcome.holds for name, outcome in outcomes.items() if outcome.holds is not None}


def _matches(chip: Chip, seen: Seen) -> Iterable[_Match]:
    for signature in chip.signatures:
        found = _match(signature, seen)
        if found is not None:
            width = sum(high - low for _, low, high in signature.fields)
            known = len(signature.fields) + bool(signature.text)
            rank = (known - found, -width, len(signature.text))
            yield _Match(chip, signature, found, rank)


def _match(signature: Signature, seen: Seen) -> int | None:
    """Return how many fields of ``signature`` are open; None where one contradicts."""
    if signature.kind not in seen.kinds:
        return None
    if signature.kind == "x86" and seen.vendor and signature.vendor != seen.vendor:
        return None
    missing = 0
    for field, low, high in signature.fields:
        value = seen.fields.get(field)
        if value is None:
            missing += 1
        elif not low <= value <= high:
            return None
    text = _match_text(signature, seen)
    return None if text is None else missing + text


def _match_text(signature: Signature, seen: Seen) -> int | None:
    wanted = plain(signature.text)
    if not wanted:
        return 0
    if signature.kind == "platform":
        fits = any(plain(text).startswith(wanted) for text in seen.platform)
        return 0 if fits else None
    texts = (seen.brand,) if signature.kind == "x86" else seen.system
    if any(wanted in plain(text) for text in texts):
        return 0
    if signature.kind == "x86":
        return None if says_which(seen.brand) else 1
    return None if any(seen.system) and signature.text in _CLOUDS else 1


def _also_possible(best: _Match, matches: Iterable[_Match]) -> tuple[str, ...]:
    """Return the chips that a field which was not recorded could still make it."""
    fields = len(best.signature.fields) + bool(best.signature.text)
    return tuple(
        sorted(
            {
                match.chip.codename
                for match in matches
                if match.chip is not best.chip
                and len(match.signature.fields) + bool(match.signature.text) - match.open >= 2
                and len(match.signature.fields) + bool(match.signature.text) > fields
            }
        )
    )


def _named(
    facts: Facts,
    seen: Seen,
    best: _Match,
    others: tuple[str, ...],
    has: Mapping[str, bool],
    labels: Labels,
) -> ChipIdentity:
    chip = best.chip
    missing = tuple(sorted(name for name in chip.features if has.get(name) is False))
    compared = sum(name in has for name in chip.features)
    exact = bool(compared) and not missing and not best.open and not others
    return ChipIdentity(
        codename=chip.codename,
        title=chip.title,
        confidence="exact" if exact else "signature",
        why=_why(seen, best, others, compared, len(missing)),
        vendor=chip.vendor,
        microarchitecture=chip.microarchitecture,
        segment=_segment(best, seen),
        signature=seen.words,
        differs=tuple(Difference(name, True) for name in missing),
        removed_by=_removed_by(facts) if missing else "",
        candidates=(chip.codename, *others) if others else (),
        evidence=_evidence(facts, seen),
        named_by=labels,
    )


def _why(seen: Seen, best: _Match, others: tuple[str, ...], compared: int, missing: int) -> str:
    parts = [f"{seen.words} is {best.chip.title} ({best.chip.source.text})"]
    if best.signature.text:
        parts.append(f"told apart by {best.signature.text!r}")
    if best.open:
        parts.append("what would tell it apart was not recorded")
    elif others:
        parts.append("several products share this signature")
    if compared:
        parts.append(f"{compared - missing} of {compared} features of the chip are there")
    else:
        parts.append("no features were compared")
    return "; ".join(parts)


def _segment(best: _Match, seen: Seen) -> str:
    """Return whom it is sold to: the brand decides where the signature does not speak of it."""
    brand = plain(seen.brand)
    if not best.signature.text and any(word in brand for word in _SERVER_BRANDS):
        return "server"
    if not best.signature.text and any(word in brand for word in _CLIENT_BRANDS):
        return "client"
    return best.chip.segment


def _unknown(
    facts: Facts, seen: Seen, chips: tuple[Chip, ...], has: Mapping[str, bool]
) -> ChipIdentity:
    near = [chip for chip in chips if _related(chip, seen)]
    if not near:
        why = f"{seen.words} is in no catalog, and nothing of its maker is"
        evidence = _evidence(facts, seen)
        return ChipIdentity(
            "unknown", "unknown chip", "none", why, seen.vendor, signature=seen.words,
            evidence=evidence,
        )  # fmt: skip
    listed = [chip for chip in near if chip.features] if has else []
    nearest = min(listed or near, key=lambda chip: (_distance(chip, has), *_apart(chip, seen)))
    differs = _differences(nearest, near, has)
    names = ", ".join(("" if d.expected else "not ") + d.feature for d in differs[:3])
    tail = f": it lacks or adds {names}" if names else ""
    return ChipIdentity(
        codename="unknown",
        title="unknown chip",
        confidence="nearest",
        why=f"{seen.words} is in no catalog; nearest is {nearest.title}, "
        f"which differs by {len(differs)} feature{'s' * (len(differs) != 1)}{tail}",
        vendor=seen.vendor or nearest.vendor,
        signature=seen.words,
        nearest=nearest.codename,
        differs=differs,
        removed_by=_removed_by(facts) if any(d.expected for d in differs) else "",
        evidence=_evidence(facts, seen),
    )


def _related(chip: Chip, seen: Seen) -> bool:
    """Whether a chip is of the same kind and maker."""
    for signature in chip.signatures:
        if signature.kind not in seen.kinds or signature.kind == "platform":
            continue
        if signature.kind == "x86":
            return signature.vendor == seen.vendor
        maker = signature.fields[0]
        if maker[1] <= seen.fields.get(maker[0], -1) <= maker[2]:
            return True
    return False


def _distance(chip: Chip, has: Mapping[str, bool]) -> int:
    there = {name for name, holds in has.items() if holds}
    return len((chip.features & has.keys()) ^ there)


def _apart(chip: Chip, seen: Seen) -> tuple[int, ...]:
    """Return how far the signature's numbers are, field by field."""

    def gaps(signature: Signature) -> tuple[int, ...]:
        return tuple(
            max(low - value, value - high, 0)
            for field, low, high in signature.fields
            if (value := seen.fields.get(field)) is not None
        )

    return min(gaps(s) for s in chip.signatures if s.kind in seen.kinds and s.fields)


def _differences(
    nearest: Chip, near: Iterable[Chip], has: Mapping[str, bool]
) -> tuple[Difference, ...]:
    covered = frozenset().union(*(chip.features for chip in near))
    return tuple(
        Difference(name, not there)
        for name, there in sorted(has.items())
        if name in covered and (name in nearest.features) != there
    )


def _removed_by(facts: Facts) -> str:
    """Return who stands between the silicon and the recording; empty where nobody knows."""
    hypervisor = _first(facts, "platform.hypervisor", "cpuid.hypervisor")
    if hypervisor or _value(facts, "platform.guest") is True:
        return "hypervisor"
    flags = _value(facts, "cpuinfo.flags")
    if isinstance(flags, frozenset) and "hypervisor" in flags:
        return "hypervisor"
    known = hypervisor == "" or isinstance(flags, frozenset)
    return "firmware" if known else ""


def _nameless(facts: Facts, chips: tuple[Chip, ...]) -> ChipIdentity:
    """Name a chip of which no signature was recorded: by the model's name, as a last resort."""
    name = _first(facts, "cpuid.brand", "cpuinfo.model_name", "darwin.brand_string")
    wanted = _letters(name) if isinstance(name, str) else ""
    for chip in chips if wanted else ():
        if wanted in (_letters(chip.codename), _letters(chip.microarchitecture)):
            return ChipIdentity(
                chip.codename, chip.title, "signature",
                f"no signature was recorded; the model's name {name!r} is all there is",
                chip.vendor, chip.microarchitecture, chip.segment, named_by=chip.labels,
            )  # fmt: skip
    why = "neither a signature nor a model's name was recorded"
    if wanted:
        why = f"no signature was recorded, and the model's name {name!r} is in no catalog"
    return ChipIdentity("unknown", "unknown chip", "none", why)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _first(facts: Facts, *names: str) -> object:
    found = [value for name in names if (value := _value(facts, name)) is not None]
    return next((value for value in found if value), found[0] if found else None)


def _value(facts: Facts, name: str) -> object:
    try:
        return facts.value(name)
    except KeyError:
        return None


def _evidence(facts: Facts, seen: Seen) -> tuple[Evidence, ...]:
    captures = facts.snapshot.captures
    return tuple(
        Evidence(
            fact.name,
            fact.value,
            fact.capture,
            captures[fact.capture].sha256 if fact.capture in captures else "",
        )
        for fact in seen.facts
    )
