"""Compare what platforms do by default: governor, IOMMU, huge pages, preemption, mitigations, …"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from uplift.catalog.defaults import Defaults, Setting
from uplift.catalog.kernel_options import Offer
from uplift.facts.model import Value
from uplift.resolve.difference_model import (
    CONFIG,
    Cause,
    Kind,
    PlatformDifference,
    Side,
    linux,
    offer,
)

#: What a setting is called that the other side could have and this one does not use.
_OFF = frozenset({"off", "no", "never", "nothing", "0"})
_SWITCHED = {"y": "on", "m": "module", "n": "off"}


class Answer(NamedTuple):
    """What a setting is on one side.

    :param there: False where the side has no such setting: its kernel names none of the options.
    """

    value: str
    there: bool = True


NOT_THERE = Answer("none", there=False)


def answer(setting: Setting, side: Side) -> Answer | None:
    """Return what a setting is; None where nobody knows.

    What a running machine says comes first, then its command line, then how its kernel was built.
    """
    if setting.arch and side.arch and side.arch not in setting.arch:
        return NOT_THERE
    running = side.value(setting.running) if setting.running else None
    if running is not None:
        return Answer(_word(setting, _text(running)))
    given = _given_at_boot(setting, side)
    return Answer(_word(setting, given)) if given else _built(setting, side)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (frozenset, tuple)):
        return ", ".join(sorted(value) if isinstance(value, frozenset) else value)
    return str(value) or "none"


def _word(setting: Setting, raw: str) -> str:
    return setting.words.get(raw, raw)


def _given_at_boot(setting: Setting, side: Side) -> str:
    """Return the value on the command line, where its parameter takes any value."""
    name, equals, value = setting.boot.get("*", "").partition("=")
    if value != "{value}":
        return ""
    found = side.value(f"kernel.cmdline.{name}") if equals else None
    return str(found or "")


def _built(setting: Setting, side: Side) -> Answer | None:
    if side.config is None or not setting.form:
        return None
    if setting.asks and side.named(setting.asks) in (None, "n"):
        return None
    if setting.form == "choices":
        return _chosen(setting, side)
    value = next((v for o in setting.options if (v := side.named(o)) is not None), None)
    if value is None:
        return NOT_THERE if side.config.whole else None
    if setting.form == "switch":
        return Answer(_SWITCHED.get(value, value))
    return Answer(_word(setting, value) or "none")


def _chosen(setting: Setting, side: Side) -> Answer | None:
    named = [option for option in setting.choices if side.named(option) is not None]
    on = next((option for option in named if side.named(option) == "y"), None)
    if on is not None:
        return Answer(setting.choices[on])
    if side.config is None or not side.config.whole:
        return None
    return Answer(setting.otherwise) if setting.otherwise else NOT_THERE


def compare_settings(sides: Sequence[Side], defaults: Defaults) -> Iterator[PlatformDifference]:
    """Yield the settings that are not the same on all sides that are known."""
    for setting in defaults.settings:
        answers = [answer(setting, side) for side in sides]
        pair = _first_pair(answers)
        if pair is None:
            continue
        a, b = pair
        found = _Pair(setting, sides[a], sides[b], answers[a], answers[b]).judged(defaults)
        yield PlatformDifference(
            kind=Kind.DEFAULT,
            id=setting.id,
            title=setting.title,
            values=_values(setting, answers),
            cause=found.cause,
            why=found.why,
            change=found.change,
            source=found.source or f"{setting.source.kind}: {setting.source.text}",
            worth=setting.worth,
            area=setting.area,
            names=setting.decided_by,
        )


def _values(setting: Setting, answers: Sequence[Answer | None]) -> tuple[str, ...]:
    """Return what to show; of lists only what is not in all of them."""
    if not setting.element:
        return tuple(told.value if told else "" for told in answers)
    lists = [told.value.split(",") if told else [] for told in answers]
    common = set.intersection(*(set(words) for words in lists if words))
    shown = ([word for word in words if word not in common] for words in lists)
    return tuple(
        ", ".join(["…", *words]) if told else "" for words, told in zip(shown, answers, strict=True)
    )


def _first_pair(answers: Sequence[Answer | None]) -> tuple[int, int] | None:
    """Return the first two sides that are known and differ."""
    known = [(number, told) for number, told in enumerate(answers) if told is not None]
    for number, told in known[1:]:
        if not _alike(told, known[0][1]):
            return known[0][0], number
    return None


def _alike(one: Answer, other: Answer) -> bool:
    """Say whether a user meets the same: what is not there is off."""
    if one.there and other.there:
        return one.value == other.value
    return one.value in _OFF | {NOT_THERE.value} and other.value in _OFF | {NOT_THERE.value}


class _Judged(NamedTuple):
    cause: Cause
    why: str
    change: str = ""
    source: str = ""


class _Pair:
    """One setting on two sides that differ in it."""

    def __init__(
        self, setting: Setting, a: Side, b: Side, one: Answer | None, other: Answer | None
    ) -> None:
        assert one is not None and other is not None
        self.setting, self.sides, self.answers = setting, (a, b), (one, other)
        self.changed = self._to_be_changed()

    def judged(self, defaults: Defaults) -> _Judged:
        """Return whose difference it is; what somebody wrote down comes before what could be."""
        found = self._could_be(defaults)
        written = None if found.cause is Cause.INHERENT else self._written(defaults)
        return written._replace(change=found.change) if written else found

    def _could_be(self, defaults: Defaults) -> _Judged:
        if self.setting.bound and self.sides[0].arch != self.sides[1].arch:
            return _Judged(Cause.INHERENT, "each architecture has its own")
        if not all(told.there for told in self.answers):
            return self._only_on_one_side(defaults)
        if self.setting.follows:
            return _Judged(Cause.INHERENT, self.setting.follows)
        return self._avoidable(defaults) or self._out_of_reach(defaults)

    def _written(self, defaults: Defaults) -> _Judged | None:
        """Return the note or the document that says why one side is as it is."""
        note = self._note()
        if note:
            return note
        for side, told in zip(self.sides, self.answers, strict=True):
            system = side.text("os.id")
            found = defaults.reason(self.setting.id, told.value, system, side.kernel, side.arch)
            if found:
                return _Judged(Cause.INTENDED, found.why, source=found.source.text)
        return None

    def _note(self) -> _Judged | None:
        """Return what the annotations say of an option that decides and differs."""
        for option in self.setting.decided_by:
            a, b = (side.named(option) for side in self.sides)
            note = next((text for side in self.sides if (text := side.note(option))), "")
            if note and a != b:
                return _Judged(Cause.INTENDED, note, source=f"annotations: {CONFIG}{option}")
        return None

    def _to_be_changed(self) -> int:
        """Return which side a change is for.

        The one that is off; else that with the smaller number or the shorter list; else the
        machine, where the other is a release; else the older kernel; else the second.
        """
        values = [told.value for told in self.answers]
        off = [number for number in (0, 1) if values[number] in _OFF]
        if len(off) == 1:
            return off[0]
        sizes = [self._size(value) for value in values]
        if sizes[0] != sizes[1]:
            return sizes.index(min(sizes))
        kinds = [side.kind for side in self.sides]
        if kinds[0] != kinds[1]:
            return kinds.index("machine")
        a, b = (side.kernel for side in self.sides)
        return 0 if a and b and a < b else 1

    def _size(self, value: str) -> int:
        if self.setting.form == "number" and value.isdigit():
            return int(value)
        return len(value.split(",")) if self.setting.element else 0

    def _only_on_one_side(self, defaults: Defaults) -> _Judged:
        lacking = 0 if self.answers[1].there else 1
        side = self.sides[lacking]
        if self.setting.arch and side.arch not in self.setting.arch:
            return _Judged(Cause.INHERENT, f"{side.arch} has none")
        return self._not_named(self._deciding(self.answers[1 - lacking].value), side, defaults)

    def _deciding(self, value: str) -> tuple[str, ...]:
        """Return the options that make the setting ``value``."""
        if self.setting.form == "choices":
            return tuple(o for o, named in self.setting.choices.items() if named == value)
        return self.setting.options

    def _not_named(self, options: Sequence[str], side: Side, defaults: Defaults) -> _Judged:
        """Say why a kernel names none of ``options``: its source tells."""
        other = self.sides[0] if side is self.sides[1] else self.sides[1]
        found = {offer(defaults.kernel, option, side, other) for option in options}
        if found == {Offer.NOT_THIS_VERSION}:
            return _Judged(Cause.RELEASE, f"{linux(side)} does not offer it")
        if found and found <= {Offer.NOT_THIS_ARCHITECTURE, Offer.NOT_THIS_VERSION}:
            return _Judged(Cause.INHERENT, f"{linux(side)} does not offer it on {side.arch}")
        if Offer.YES in found:
            change = f"{side.name}: build with {CONFIG}{options[0]}=y and what that needs"
            return _Judged(Cause.AVOIDABLE, f"{linux(side)} offers it on {side.arch}", change)
        return _Judged(Cause.UNKNOWN, f"the kernel of {side.name} does not offer it")

    def _avoidable(self, defaults: Defaults) -> _Judged | None:
        side, asked = self.sides[self.changed], self.answers[1 - self.changed].value
        wanted = self._reachable(asked, side)
        if wanted == self.answers[self.changed].value:
            return _Judged(Cause.INHERENT, f"{side.arch} allows no more than {wanted}")
        possible = self._is_possible(wanted, side, defaults)
        changes = list(self._changes(wanted, side)) if possible else []
        if not changes:
            return None
        limit = f"{side.arch} allows up to {wanted}" if wanted != asked else ""
        why = limit or f"{side.name} offers it, too"
        return _Judged(Cause.AVOIDABLE, why, f"{side.name}: {'; or '.join(changes)}")

    def _reachable(self, wanted: str, side: Side) -> str:
        most = self.setting.most.get(side.arch)
        return str(min(int(wanted), most)) if most and wanted.isdigit() else wanted

    def _lacking_elements(self, wanted: str, side: Side) -> list[str]:
        """Return elements of a wanted list that the kernel has no option for."""
        if not self.setting.element or side.config is None:
            return []
        has = self.answers[self.changed].value.split(",")
        options = (
            self.setting.element.format(w.upper()) for w in wanted.split(",") if w not in has
        )
        return [option for option in options if side.named(option) is None]

    def _is_possible(self, wanted: str, side: Side, defaults: Defaults) -> bool:
        """Say whether the side's kernel and driver know the value at all."""
        offered = side.value(self.setting.offered) if self.setting.offered else None
        if isinstance(offered, frozenset):
            return wanted in offered
        if self._lacking_elements(wanted, side):
            return False
        options = self._deciding(wanted) if self.setting.form == "choices" else ()
        if side.config is None or not options or wanted == self.setting.otherwise:
            return True
        if any(side.named(option) is not None for option in options):
            return True
        kernel = defaults.kernel
        found = {kernel.offer(option, side.kernel, side.arch) for option in options}
        return not side.config.whole and Offer.YES in found

    def _changes(self, wanted: str, side: Side) -> Iterator[str]:
        """Yield what makes the setting ``wanted``, the least effort first."""
        if self.setting.element:
            yield from self._additions(wanted)
            return
        told = _told(self.setting.sysctl, wanted)
        if told:
            yield f"sysctl {told}"
        told = _told(self.setting.command, wanted)
        if told and _has(side, self.setting.command_needs):
            yield told
        told = _told(self.setting.boot, wanted)
        if told and _has(side, self.setting.boot_needs):
            yield f"boot with {told}"
        option = self._option_for(wanted, side)
        if option:
            yield f"build with {option}"

    def _additions(self, wanted: str) -> Iterator[str]:
        """Yield what a list lacks, and where it is to be added."""
        has = self.answers[self.changed].value.split(",")
        lacking = ", ".join(word for word in wanted.split(",") if word not in has)
        if lacking:
            parameter = self.setting.boot.get("*", "").partition("=")[0]
            yield f"add {lacking} to {parameter}= at boot, or to {CONFIG}{self.setting.options[0]}"

    def _option_for(self, wanted: str, side: Side) -> str:
        """Return the line of the configuration; empty where the kernel has no such option."""
        if side.config is None:
            return ""
        if self.setting.form == "choices":
            if wanted == self.setting.otherwise:
                on = (o for o in self.setting.choices if side.named(o) == "y")
                return ", ".join(f"{CONFIG}{option}=n" for option in on)
            return next(
                (
                    f"{CONFIG}{option}=y"
                    for option, value in self.setting.choices.items()
                    if value == wanted and side.named(option) is not None
                ),
                "",
            )
        named = next((o for o in self.setting.options if side.named(o) is not None), None)
        if named is None:
            return ""
        return f"{CONFIG}{named}={_raw(self.setting, wanted)}"

    def _out_of_reach(self, defaults: Defaults) -> _Judged:
        side, wanted = self.sides[self.changed], self.answers[1 - self.changed].value
        if self.setting.offered and side.value(self.setting.offered) is not None:
            return _Judged(Cause.INHERENT, f"the driver on {side.name} does not offer {wanted}")
        options = self._lacking_elements(wanted, side) or self._deciding(wanted)
        return self._not_named(options, side, defaults)


def _told(by_value: Mapping[str, str], wanted: str) -> str:
    return by_value.get(wanted, by_value.get("*", "")).replace("{value}", wanted)


def _has(side: Side, option: str) -> bool:
    return not option or side.config is None or side.named(option) == "y"


def _raw(setting: Setting, word: str) -> str:
    """Return a word as the configuration writes it."""
    if setting.form == "switch":
        return {"on": "y", "off": "n", "module": "m"}.get(word, word)
    if setting.form == "text":
        return f'"{word}"'
    return next((raw for raw, named in setting.words.items() if named == word), word)
