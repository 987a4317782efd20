"""Compare kernel options one by one, and put aside those that no user meets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from uplift.catalog.defaults import Defaults
from uplift.catalog.kernel_options import Offer
from uplift.resolve.difference_model import Cause, Counted, Kind, Row, Side, offer, same_kernel

#: Group to its cause and title.
_GROUPS = {
    "noted": (Cause.INTENDED, "options set differently, with a note that says why"),
    "switched": (Cause.AVOIDABLE, "options that every side offers, on here and off there"),
    "valued": (Cause.AVOIDABLE, "options that every side offers, with another number or text"),
    "built-in": (Cause.AVOIDABLE, "drivers built in here, a module there"),
    "behind": (Cause.AVOIDABLE, "options behind another one, which is off on one side"),
    "new": (Cause.RELEASE, "options that came with a newer kernel"),
    "gone": (Cause.RELEASE, "options that a newer kernel no longer has"),
    "architecture": (Cause.INHERENT, "options that one architecture cannot have"),
    "unknown": (
        Cause.UNKNOWN,
        "options that only one side offers; no source was read that says why",
    ),
    "selected": (Cause.RELEASE, "options that nobody is asked for: other options decide them"),
    "build": (Cause.RELEASE, "options that tell of the build machine and its compiler"),
}


class Compared(NamedTuple):
    """The groups, and how many options were looked at."""

    groups: tuple[Counted, ...]
    options: int


def compare_options(
    sides: Sequence[Side], defaults: Defaults, shown: frozenset[str] = frozenset()
) -> Compared:
    """Group the options that differ; sides without a whole configuration are left out.

    :param shown: options that something else already speaks of.
    """
    told = [side for side in sides if side.config and side.config.whole]
    if len(told) < 2:
        return Compared((), 0)
    every = sorted(set().union(*(side.config.options for side in told if side.config)))
    found: dict[str, list[Row]] = {name: [] for name in _GROUPS}
    for option in every:
        values = tuple(side.named(option) for side in sides)
        known = [side.named(option) for side in told]
        if option not in shown and any(value != known[0] for value in known):
            name, note = _group(option, told, defaults)
            found[name].append(Row(option, values, note))
    return Compared(tuple(_counted(found, told)), len(every))


def _counted(found: dict[str, list[Row]], sides: Sequence[Side]) -> Iterator[Counted]:
    one_kernel = all(same_kernel(sides[0], side) for side in sides[1:])
    for name, rows in found.items():
        cause, title = _GROUPS[name]
        if name in ("selected", "build") and one_kernel:
            cause = Cause.INHERENT
        if rows:
            yield Counted(Kind.OPTION, f"option-{name}", title, cause, tuple(rows))


def _group(option: str, sides: Sequence[Side], defaults: Defaults) -> tuple[str, str]:
    noise = defaults.noise_of(option)
    a, b = _pair(option, sides)
    one, other = a.named(option), b.named(option)
    if one is not None and other is not None and noise != "build":
        note = a.note(option) or b.note(option) or _reason(option, a, b, defaults)
        if note:
            return "noted", note
    if noise:
        return noise, ""
    if one is None or other is None:
        return _on_one_side(option, a, b, defaults), ""
    return _valued({one, other}), ""


def _reason(option: str, a: Side, b: Side, defaults: Defaults) -> str:
    for side in (a, b):
        value, system = side.named(option) or "", side.text("os.id")
        found = defaults.reason(option, value, system, side.kernel, side.arch)
        if found:
            return f"{found.why} ({found.source.text})"
    return ""


def _pair(option: str, sides: Sequence[Side]) -> tuple[Side, Side]:
    first = sides[0]
    return first, next(s for s in sides[1:] if s.named(option) != first.named(option))


def _valued(values: Iterable[str]) -> str:
    values = set(values)
    if values == {"y", "m"}:
        return "built-in"
    return "switched" if values <= {"y", "m", "n"} else "valued"


def _on_one_side(option: str, a: Side, b: Side, defaults: Defaults) -> str:
    having, lacking = (a, b) if a.named(option) is not None else (b, a)
    found = offer(defaults.kernel, option, lacking, having)
    if found is Offer.NOT_THIS_VERSION:
        return "new" if having.kernel > lacking.kernel else "gone"
    if found is Offer.NOT_THIS_ARCHITECTURE:
        return "architecture"
    return "behind" if found is Offer.YES else "unknown"
