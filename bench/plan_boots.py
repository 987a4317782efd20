"""Hold the matrix's predictions against boots: what surfaces in the guest, fact by fact.

``python -m bench.plan_boots DIRECTORY`` reads ``*.jsonl.gz`` boots (``uplift boot --save``) and,
for each, the release that its kernel belongs to. The chip is what no kernel touched: CPUID on x86,
the emulator's own ID registers on arm64. Everything else is predicted from the release, and
compared with what the guest recorded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from uplift.catalog.load import load_catalog
from uplift.catalog.model import Catalog, Layer
from uplift.catalog.releases import SHIPPED, Place, SelectedRelease, load_release, release_names
from uplift.facts import snapshot_file
from uplift.facts.model import Fact, Facts, PartialRegister, PartialWords, Snapshot
from uplift.facts.parsers import read_facts
from uplift.resolve.chip_side import ChipSide, recorded_chip
from uplift.resolve.compose import compose
from uplift.resolve.matrix import ReleaseSide, plan
from uplift.resolve.model import Status
from uplift.resolve.plan_facts import PlanFacts
from uplift.resolve.scan import scan

RECORDINGS = Path(__file__).parents[1] / "tests" / "recordings" / "predictions"
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}
#: What of a guest's snapshot is the chip's: no kernel masks it.
_RAW = "probe:arm64-raw-registers"
_CHIP = ("probe:cpuid", _RAW)
#: Some registers QEMU computes and does not tell: these are read in the guest.
_GUESTS = "probe:arm64-id-registers"
#: Facts that are compared whole, by architecture.
_SETS = {
    "x86_64": ("cpuinfo.flags",),
    "aarch64": ("hwcap.words",),
}
_REGISTERS = {"x86_64": ("kernel.xcr0", "kernel.xcomp_supported")}


@dataclass(frozen=True)
class Compared:
    """One prediction and what the boot recorded.

    :param predicted: None where the plan says that nobody can tell.
    """

    boot: str
    what: str
    predicted: bool | None
    recorded: bool

    @property
    def agrees(self) -> bool:
        """Whether a prediction was made and came true."""
        return self.predicted is self.recorded


def compare_boot(
    name: str, boot: Snapshot, release: SelectedRelease, catalog: Catalog
) -> Iterator[Compared]:
    """Yield every fact and every kernel verdict that the plan and the boot both speak of."""
    seen = read_facts(_guest_of(boot))
    side = recorded_chip(name, _chip_of(boot), catalog)
    recorded = read_facts(release.snapshot)
    facts = compose(side.facts, release, recorded)
    yield from _sets(name, boot.arch, facts, seen)
    yield from _bits(name, boot.arch, facts, seen)
    yield from _verdicts(name, side, ReleaseSide(release, recorded), seen, catalog)


def _chip_of(boot: Snapshot) -> Snapshot:
    """Return what of the guest's snapshot says what the silicon is."""
    kept = {name: capture for name, capture in boot.captures.items() if name in _CHIP}
    raw, guests = kept.get(_RAW), boot.captures.get(_GUESTS)
    if raw is not None and guests is not None:
        told = {line.partition(" ")[0] for line in raw.text.splitlines()}
        rows = guests.text.splitlines()
        more = "".join(f"{row}\n" for row in rows if row.partition(" ")[0] not in told)
        kept[_RAW] = replace(raw, data=raw.data + more.encode())
        midr = (row for row in rows if row.startswith("MIDR_EL1 "))
        kept[_GUESTS] = replace(guests, data="".join(f"{row}\n" for row in midr).encode())
    return replace(boot, captures=kept, kind="chip")


def _guest_of(boot: Snapshot) -> Snapshot:
    """Return what the guest itself recorded: without what the emulator told of its registers."""
    captures = {name: capture for name, capture in boot.captures.items() if name != _RAW}
    return replace(boot, captures=captures)


def _sets(name: str, arch: str, facts: PlanFacts, seen: Facts) -> Iterator[Compared]:
    for fact in _SETS.get(arch, ()):
        planned, found = facts.get(fact), seen.get(fact)
        if not isinstance(planned, Fact) or not isinstance(found, Fact):
            continue
        assert isinstance(planned.value, frozenset) and isinstance(found.value, frozenset)
        open_ = planned.value.why if isinstance(planned.value, PartialWords) else {}
        for word in sorted(planned.value | found.value | open_.keys()):
            predicted = None if word in open_ else word in planned.value
            yield Compared(name, f"{fact} {word}", predicted, word in found.value)


def _bits(name: str, arch: str, facts: PlanFacts, seen: Facts) -> Iterator[Compared]:
    named = [*_REGISTERS.get(arch, ()), *(n for n in seen.under("kvm.cpuid.") if _is_feature(n))]
    for fact in named:
        planned, found = facts.get(fact), seen.get(fact)
        if not isinstance(planned, Fact) or not isinstance(found, Fact):
            continue
        assert isinstance(planned.value, int) and isinstance(found.value, int)
        unknown = planned.value.unknown if isinstance(planned.value, PartialRegister) else 0
        for bit in range(64):
            either = (planned.value | found.value | unknown) >> bit & 1
            if either:
                predicted = None if unknown >> bit & 1 else bool(planned.value >> bit & 1)
                yield Compared(name, f"{fact} bit {bit}", predicted, bool(found.value >> bit & 1))


#: Leaves of features; the others hold numbers, names and the machine's layout.
_FEATURE_REGISTERS = (
    *("1.0.ecx", "1.0.edx", "7.0.ebx", "7.0.ecx", "7.0.edx", "7.1.eax", "7.1.edx", "7.2.edx"),
    *("d.1.eax", "80000001.0.ecx", "80000001.0.edx", "80000008.0.ebx", "80000021.0.eax"),
)


def _is_feature(name: str) -> bool:
    return name.removeprefix("kvm.cpuid.") in _FEATURE_REGISTERS


def _verdicts(
    name: str, side: ChipSide, release: ReleaseSide, seen: Facts, catalog: Catalog
) -> Iterator[Compared]:
    """Compare each feature's kernel layer: whether it surfaces."""
    judged = {r.feature.id: r for r in scan(catalog, seen).resolutions}
    for cell in plan(side, release, catalog):
        found = judged.get(cell.feature.id)
        planned = {v.layer: v.status for v in cell.resolution.verdicts}.get(Layer.KERNEL)
        told = {v.layer: v.status for v in found.verdicts}.get(Layer.KERNEL) if found else None
        if planned is None or told is None or told in (Status.UNKNOWN, Status.NOT_APPLICABLE):
            continue
        predicted = None if planned is Status.UNKNOWN else planned.passes
        yield Compared(name, f"verdict {cell.feature.id}", predicted, told.passes)


def release_of_boot(boot: Snapshot) -> SelectedRelease | None:
    """Return the shipped release whose kernel was booted, or an update of the same package."""
    booted = str(read_facts(boot).value("kernel.release"))
    arch = _DEBIAN.get(boot.arch, "")
    near: SelectedRelease | None = None
    for release, by_arch in release_names().items():
        for one in by_arch.get(arch, ()):
            name = release if one == "base" else f"{release}+{one}"
            selected = load_release(name, arch, (Place(SHIPPED),))
            held = _kernel_of(selected)
            if held == booted:
                return selected
            near = selected if _package(held) == _package(booted) else near
    return near


def _kernel_of(release: SelectedRelease) -> str:
    facts = read_facts(release.snapshot)
    return str(facts.value("image.release") or facts.value("kernel.config_release") or "")


def _package(release: str) -> tuple[str, ...]:
    """Return the series and the flavour: ``6.12.117+deb13-cloud-amd64`` and ``…118…`` agree."""
    version, _, flavour = release.partition("-")
    return (*version.partition("+")[0].split(".")[:2], flavour.partition("-")[2] or flavour)


def main() -> int:
    """Print each difference and the agreement; 1 below 99 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=RECORDINGS)
    args = parser.parse_args()
    catalog = load_catalog()
    rows: list[Compared] = []
    for path in sorted(args.directory.glob("*.jsonl.gz")):
        boot = snapshot_file.load(path)
        release = release_of_boot(boot)
        if release is None:
            print(f"{path.name}: no shipped release has this kernel", file=sys.stderr)
            continue
        mine = list(compare_boot(path.name.removesuffix(".jsonl.gz"), boot, release, catalog))
        rows.extend(mine)
        print(f"{path.name}: {release.name}: {_told(mine)}")
    for row in rows:
        if row.predicted is not None and not row.agrees:
            print(f"  differs: {row.boot}: {row.what}: predicted {row.predicted}")
    for what, count in _open(rows).items():
        print(f"  open in {count}: {what}")
    print(f"all: {_told(rows)}")
    made = [row for row in rows if row.predicted is not None]
    return 0 if made and sum(row.agrees for row in made) >= 0.99 * len(made) else 1


def _told(rows: list[Compared]) -> str:
    made = [row for row in rows if row.predicted is not None]
    agree = sum(row.agrees for row in made)
    share = 100 * agree / len(made) if made else 0.0
    return f"{agree} of {len(made)} agree ({share:.2f} %), {len(rows) - len(made)} left open"


def _open(rows: list[Compared]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        if row.predicted is None:
            found[row.what] = found.get(row.what, 0) + 1
    return found


if __name__ == "__main__":
    sys.exit(main())
