"""Time the collector and ``uplift scan`` on this machine, alternating with a peer command.

    python bench/scan_time.py [--runs 15] [--python python3] [--as-nobody] [-- PEER ARGUMENT…]

The commands take turns, so that what else the machine does hits each alike. Prints the median, the
fastest and the slowest wall time of each, in milliseconds; the first turn warms up and is dropped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

COLLECTOR = Path(__file__).resolve().parent.parent / "src" / "uplift" / "facts" / "collector.py"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def candidates(python: str, peer: list[str]) -> dict[str, list[str]]:
    """Return the commands to time, by name."""
    found = {"collector": [python, "-I", str(COLLECTOR)]}
    uplift = shutil.which("uplift", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    if uplift:
        found["uplift scan"] = [uplift, "scan"]
    if peer:
        found[Path(peer[0]).name] = peer
    return found


def wall(argv: list[str]) -> float:
    """Return the wall time of one run in milliseconds."""
    began = time.perf_counter()
    subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return (time.perf_counter() - began) * 1000


def measure(commands: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    """Run the commands in turn, ``runs`` times after one turn that is dropped."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, argv in commands.items():
            took = wall(argv)
            if turn:
                times[name].append(took)
    return times


def main() -> int:
    """Print the table; return 1 where a command cannot be found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--as-nobody", action="store_true", help="without rights (needs root)")
    parser.add_argument("peer", nargs="*", help="a command to compare with")
    options = parser.parse_args()
    commands = candidates(options.python, options.peer)
    for name, argv in commands.items():
        if shutil.which(argv[0]) is None:
            print(f"{name}: {argv[0]} is not there", file=sys.stderr)
            return 1
    if options.as_nobody:
        commands = {name: [*NOBODY, *argv] for name, argv in commands.items()}
    print(f"{'command':24} {'median':>8} {'fastest':>8} {'slowest':>8}   milliseconds")
    for name, times in measure(commands, options.runs).items():
        print(f"{name:24} {statistics.median(times):8.0f} {min(times):8.0f} {max(times):8.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
