"""How CPUs change speed and sleep: cpufreq and cpuidle, from sysfs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.sysfs import SysTree

CPU_TREE = "tree:/sys/devices/system/cpu"


def _over(tree: SysTree, name: str) -> frozenset[str]:
    """Return the distinct texts of one file over all policies and CPUs."""
    places = [f"cpufreq/policy{n}" for n in tree.numbered("policy", "cpufreq")]
    places += [f"cpu{n}/cpufreq" for n in tree.numbered("cpu")]
    found = (tree.text(f"{place}/{name}") for place in places)
    return frozenset(text for text in found if text)


def _cpufreq(tree: SysTree) -> Iterator[tuple[str, Value]]:
    drivers = _over(tree, "scaling_driver")
    if drivers:
        yield "power.driver", " ".join(sorted(drivers))
    for fact, name in (
        ("governor", "scaling_governor"),
        ("energy_preference", "energy_performance_preference"),
    ):
        words = _over(tree, name)
        if words:
            yield f"power.{fact}", words
    for fact, name in (
        ("governors", "scaling_available_governors"),
        ("energy_preferences", "energy_performance_available_preferences"),
    ):
        words = _over(tree, name)
        if words:
            yield f"power.{fact}", frozenset(word for text in words for word in text.split())
    for driver in ("intel_pstate", "amd_pstate"):
        status = tree.text(f"{driver}/status")
        if status:
            yield "power.pstate", status


def _boost(tree: SysTree) -> Iterator[tuple[str, Value]]:
    """Yield whether CPUs may run above their nominal speed; intel_pstate says it the other way."""
    boost, no_turbo = tree.text("cpufreq/boost"), tree.text("intel_pstate/no_turbo")
    if boost in ("0", "1"):
        yield "power.boost", boost == "1"
    elif no_turbo in ("0", "1"):
        yield "power.boost", no_turbo == "0"


def _idle(tree: SysTree) -> Iterator[tuple[str, Value]]:
    for fact, names in (
        ("driver", ("current_driver",)),
        ("governor", ("current_governor", "current_governor_ro")),
    ):
        text = next((text for name in names if (text := tree.text(f"cpuidle/{name}"))), None)
        if text:
            yield f"idle.{fact}", text
    states = list(_states(tree))
    if states:
        yield "idle.states", tuple(dict.fromkeys(name for name, _ in states))
        yield "idle.disabled", frozenset(name for name, disabled in states if disabled)


def _states(tree: SysTree) -> Iterable[tuple[str, bool]]:
    """Yield the idle states of the first CPU that has any, shallow first."""
    for cpu in tree.numbered("cpu"):
        states = tree.numbered("state", f"cpu{cpu}/cpuidle")
        for state in states:
            path = f"cpu{cpu}/cpuidle/state{state}"
            name = tree.text(f"{path}/name")
            if name:
                yield name, tree.text(f"{path}/disable") not in (None, "0")
        if states:
            return


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    tree = SysTree.of(captures[CPU_TREE])
    values = {**dict(_cpufreq(tree)), **dict(_boost(tree)), **dict(_idle(tree))}
    yield Reading(CPU_TREE, values)


def _implied(name: str, values: Mapping[str, Value]) -> Value | None:
    """A tree that was read and holds no driver means that there is none."""
    return "" if name in ("power.driver", "idle.driver", "power.pstate") else None


PARSER = Parser(
    name="power",
    declares=("power.", "idle."),
    reads=(CPU_TREE,),
    parse=_parse,
    implied=_implied,
)
