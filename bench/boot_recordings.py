"""Record small boots that predictions are held against: kernels × CPU models.

    python -m bench.boot_recordings DIRECTORY --kernel apt:linux-image-cloud-amd64/trixie --cpu max

Writes ``<release>.<cpu>.jsonl.gz`` with the captures of what a kernel surfaces of a CPU, and, for
arm64, what QEMU itself tells of the model's registers. This made tests/recordings/predictions; run
it with another QEMU first in PATH for that one's models.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from uplift.errors import TargetError
from uplift.facts import snapshot_file
from uplift.facts.model import Snapshot
from uplift.lab.boot_grid import boot_all
from uplift.lab.cpu_names import qemu_model
from uplift.lab.kernels import find_kernels
from uplift.lab.model import Options
from uplift.lab.qemu import BootRequest
from uplift.lab.qemu_registers import raw_registers

MAX_BYTES = 60_000
#: A kernel's configuration is in its release's recording; the rest tells nothing of features.
LEFT_OUT = ("file:/boot/config-", "tree:/sys/class/dmi", "file:/proc/misc", "file:/proc/self")


def small(snapshot: Snapshot, cpu_model: str) -> Snapshot:
    """Return what a prediction is held against."""
    kept = {n: c for n, c in snapshot.captures.items() if not n.startswith(LEFT_OUT) and c.usable}
    if snapshot.arch == "aarch64":
        capture = raw_registers(cpu_model)
        kept[capture.id] = capture
    return replace(snapshot, captures=kept)


def main() -> None:
    """Boot the grid and write its snapshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--kernel", action="append", required=True)
    parser.add_argument("--cpu", action="append", required=True)
    parser.add_argument("--jobs", type=int, default=0)
    args = parser.parse_args()
    settings = {"kvm_modules": True, "timeout": 600, "options": Options(redact=True)}
    requests = [
        BootRequest.of(kernel, qemu_model(cpu), **settings)
        for kernel in find_kernels(args.kernel)
        for cpu in args.cpu
    ]
    for one in boot_all(requests, args.jobs):
        name = f"{one.request.release}.{one.request.cpu_model.partition(',')[0]}.jsonl.gz"
        if isinstance(one.result, TargetError) or one.result.snapshot is None:
            print(f"{name}: {one.result}", flush=True)
            continue
        path = args.directory / name
        snapshot_file.save(small(one.result.snapshot, one.request.cpu_model), path)
        size = path.stat().st_size
        print(f"{name}: {one.result.seconds:.1f} s, {size} bytes", flush=True)
        assert size <= MAX_BYTES


if __name__ == "__main__":
    main()
