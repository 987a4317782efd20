"""Time the matrix beside ``uplift scan`` of the same number of recordings of CPUID.

``python -m bench.matrix_time [--runs 5]`` plans five chips (Granite Rapids, Turin, Sierra Forest,
Neoverse V2, RVA23) against every shipped release, and scans as many dumps in one command: both load
the catalog and judge every feature; the matrix judges every layer too. The commands take turns.
Prints the median wall time, its spread and the largest memory of each, and the ratio for one plan.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHIPS = "granite-rapids,turin,sierra-forest,neoverse-v2,rva23"
DUMPS = ROOT / "tests" / "recordings" / "libcpuid"


def command(*arguments: str) -> list[str]:
    """Return an argument vector of this checkout's ``uplift``."""
    return [sys.executable, "-m", "uplift.cli", *arguments]


def timed(argv: list[str]) -> tuple[float, int, bytes]:
    """Return seconds, KiB of memory and the output of one run."""
    began = time.perf_counter()
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    output = child.stdout.read()
    _, _, usage = os.wait4(child.pid, 0)
    return time.perf_counter() - began, _kib(usage), output


def _kib(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss


def main() -> int:
    """Print the table; 1 where the matrix planned nothing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    matrix = command("matrix", "--chip", CHIPS, "--json")
    planned = json.loads(timed(matrix)[2])
    plans = len({(cell["chip"], cell["release"]) for cell in planned["cells"]})
    dumps = [str(path) for path in sorted(DUMPS.glob("*.test"))]
    scanned = (dumps * (plans // len(dumps) + 1))[:plans]
    scan = command("scan", *scanned, "--json")
    figures: dict[str, list[tuple[float, int]]] = {"matrix": [], "scan": []}
    for _ in range(runs):
        for name, argv in (("matrix", matrix), ("scan", scan)):
            figures[name].append(timed(argv)[:2])
    print(f"{plans} plans, {len(planned['cells'])} cells; {plans} dumps scanned; {runs} runs")
    for name, found in figures.items():
        seconds = [row[0] for row in found]
        print(
            f"{name:8} median {statistics.median(seconds):.2f} s "
            f"({min(seconds):.2f} to {max(seconds):.2f}), {max(row[1] for row in found) >> 10} MiB"
        )
    medians = [statistics.median(row[0] for row in found) for found in figures.values()]
    print(f"ratio matrix to scan {medians[0] / medians[1]:.2f}")
    return 0 if plans else 1


if __name__ == "__main__":
    sys.exit(main())
