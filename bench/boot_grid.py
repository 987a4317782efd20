"""Boot a grid of CPU models with one machine at a time and with several, and compare.

    python -m bench.boot_grid [--kernel KERNEL …] [--cpu MODEL …] [--jobs 1 --jobs 2] [--save DIR]

Prints a line per boot, and for each number of machines at once: seconds, seconds per boot, and how
many times faster than the first. With --save, writes the redacted snapshots of everything that the
collector knows, which is how tests/recordings/boots was made.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from uplift.facts import snapshot_file
from uplift.lab.boot_grid import Ended, boot_all
from uplift.lab.cpu_names import qemu_model
from uplift.lab.kernels import find_kernels
from uplift.lab.model import Options
from uplift.lab.qemu import BootRequest, BootResult

KERNELS = ("apt:linux-image-cloud-amd64",)
MODELS = (
    *("Nehalem", "SandyBridge", "Haswell", "Broadwell"),
    *("Skylake-Server", "EPYC", "EPYC-Rome", "max"),
)


def requests_of(
    kernels: Sequence[str], models: Sequence[str], everything: bool
) -> list[BootRequest]:
    """Return every kernel on every model."""
    return [
        BootRequest.of(
            kernel,
            qemu_model(model),
            options=Options(redact=everything),
            everything=everything,
            timeout=240,
        )
        for kernel in find_kernels(kernels)
        for model in models
    ]


def told(one: Ended) -> str:
    """Return a line on one boot."""
    name = f"{one.request.release} {one.request.cpu_model}"
    if not isinstance(one.result, BootResult):
        return f"{name}: {one.result.cause}"
    lacking = " ".join(one.result.lacking) or "nothing"
    ended = f"{one.result.status.value} {one.result.seconds:.1f} s"
    return f"{name}: {ended}, lacks {lacking} {one.result.why}".rstrip()


def save(one: Ended, place: Path) -> None:
    """Write a boot's snapshot as ``ARCH-MODEL.jsonl.gz``."""
    if isinstance(one.result, BootResult) and one.result.snapshot is not None:
        model = one.request.cpu_model.partition(",")[0]
        snapshot_file.save(one.result.snapshot, place / f"{one.request.arch}-{model}.jsonl.gz")


def main() -> None:
    """Boot the grid once for each number of machines at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", action="append")
    parser.add_argument("--cpu", action="append")
    parser.add_argument("--jobs", action="append", type=int)
    parser.add_argument("--save", type=Path)
    args = parser.parse_args()
    models = args.cpu or MODELS
    requests = requests_of(args.kernel or KERNELS, models, args.save is not None)
    first = 0.0
    for jobs in args.jobs or (1, 2):
        started = time.monotonic()
        for one in boot_all(requests, jobs):
            print(told(one), flush=True)
            if args.save:
                save(one, args.save)
        seconds = time.monotonic() - started
        first = first or seconds
        each = seconds / len(requests)
        print(
            f"== {len(requests)} boots, {jobs} at once: {seconds:.1f} s, {each:.2f} s each, "
            f"{first / seconds:.2f} times the first; load {os.getloadavg()[0]:.1f}"
        )


if __name__ == "__main__":
    main()
