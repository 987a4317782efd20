"""Small chips and releases, as values, for tests of plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from uplift.catalog.model import Source
from uplift.catalog.releases import BASE, ComponentSet, Release, SelectedRelease, Stated
from uplift.facts.model import Capture, CaptureStatus, Fact, Facts, Snapshot, Value
from uplift.facts.parsers import read_facts
from uplift.resolve.compose import compose
from uplift.resolve.plan_facts import PlanFacts

#: Sapphire Rapids: family 6, model 143, stepping 8, with AVX-512, AMX and their state.
LEAVES: Mapping[str, tuple[int, int, int, int]] = {
    "0 0": (0x20, 0x756E6547, 0x6C65746E, 0x49656E69),
    "1 0": (0x806F8, 0, 0xFFFA3203 | 1 << 5 | 1 << 26 | 1 << 28, 0xFFFFFFFF),
    "7 0": (2, 0xF3BFB7FB, 1 << 7 | 1 << 3, 1 << 22 | 1 << 24 | 1 << 25),
    "7 1": (1 << 26, 0, 0, 0),
    "d 0": (0x602E7, 0, 0x2B00, 0),
    "d 1": (0x1F, 0, 0, 0),
    "80000000 0": (0x80000008, 0, 0, 0),
    "80000001 0": (0, 0, 0x121, 0x2C100800),
}


def chip(**changed: tuple[int, int, int, int]) -> Facts:
    """Return the facts of a chip; ``changed`` replaces leaves (``leaf_7_0``)."""
    leaves = {
        **LEAVES,
        **{k.removeprefix("leaf_").replace("_", " "): v for k, v in changed.items()},
    }
    lines = ["CPU 0:"]
    for place, registers in leaves.items():
        leaf, subleaf = (int(word, 16) for word in place.split())
        words = " ".join(
            f"{name}=0x{value:08x}"
            for name, value in zip(("eax", "ebx", "ecx", "edx"), registers, strict=True)
        )
        lines.append(f"   0x{leaf:08x} 0x{subleaf:02x}: {words}")
    capture = Capture("probe:cpuid", CaptureStatus.OK, "\n".join(lines).encode(), format="cpuid-r")
    return read_facts(Snapshot({capture.id: capture}, kind="chip", arch="x86_64"))


def release(captures: Mapping[str, str] | None = None, **stated: Value) -> SelectedRelease:
    """Return a release of recorded captures (id to text) and stated facts (dots as ``__``)."""
    held = {
        name: Capture(name, CaptureStatus.OK, text.encode())
        for name, text in (captures or {}).items()
    }
    snapshot = Snapshot(held, kind="release", arch="x86_64")
    base = ComponentSet(BASE, BASE, snapshot)
    made = SelectedRelease("testing", "amd64", Release("testing", "Testing"), (base,), snapshot, {})
    facts = {name.replace("__", "."): value for name, value in stated.items()}
    return _stating(made, facts)


def _stating(made: SelectedRelease, facts: Mapping[str, Value]) -> SelectedRelease:
    stated = {n: Stated(n, v, Source("cited", "a document")) for n, v in facts.items()}
    captures = dict(made.snapshot.captures)
    for one in stated.values():
        name = made.capture_of(one)
        captures[name] = Capture(name, CaptureStatus.OK, str(one.value).encode())
    return replace(made, stated=stated, snapshot=replace(made.snapshot, captures=captures))


def under(made: SelectedRelease, silicon: Facts | None = None) -> PlanFacts:
    """Return the facts of a chip under a release."""
    return compose(silicon or chip(), made, read_facts(made.snapshot))


def value(facts: Facts, name: str) -> Value:
    """Return a fact that must be known."""
    found = facts.get(name)
    assert isinstance(found, Fact), found
    return found.value
