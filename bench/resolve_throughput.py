"""Snapshots resolved per second per core: parse, name the chip, judge the whole catalog.

    python -m bench.resolve_throughput DIRECTORY

DIRECTORY holds recordings (such as InstLatx64's CPUID texts). Files are read into memory first, so
that the figure is of the work and not of the disk.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from uplift.catalog.load import load_catalog
from uplift.errors import UpliftError
from uplift.facts.imports import load_path
from uplift.facts.model import Snapshot
from uplift.facts.parsers import read_facts
from uplift.resolve.scan import scan


def main(directory: Path) -> None:
    """Load every recording below ``directory``, then resolve each once; print rates."""
    started = time.process_time()
    catalog = load_catalog()
    print(f"catalog: {len(catalog.features)} features, {time.process_time() - started:.2f} s CPU")
    snapshots, refused = _load(directory)
    gc.freeze()  # catalog and recordings stay: looking through them for garbage is no part of it
    print(f"recordings: {len(snapshots)} read, {refused} refused")
    verdicts = 0

    def resolve_all() -> None:
        nonlocal verdicts
        for snapshot in snapshots:
            for resolution in scan(catalog, read_facts(snapshot)).resolutions:
                verdicts += len(resolution.verdicts)

    seconds = _cpu_seconds(resolve_all)
    print(f"parse + name + resolve: {len(snapshots) / seconds:.0f} snapshots/s/core")
    print(f"verdicts: {verdicts / seconds:.0f}/s/core")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


def _load(directory: Path) -> tuple[list[Snapshot], int]:
    snapshots, refused = [], 0
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        try:
            snapshots.append(load_path(path))
        except UpliftError:
            refused += 1
    return snapshots, refused


def _cpu_seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main(Path(sys.argv[1]))
