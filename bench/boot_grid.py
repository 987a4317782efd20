"""Boot a distribution's kernel on a grid of emulated CPU models, and time each.

    python bench/boot_grid.py [--at-once 2] [--save DIRECTORY] [ARCH:MODEL …]

Prints a line per model: how it ended, seconds, and what the emulator lacks of the model. With
--save, writes each machine's redacted snapshot, which is how tests/recordings/boots was made.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from uplift.facts import snapshot_file
from uplift.lab.model import Options
from uplift.lab.packages import fetch_kernel
from uplift.lab.qemu import BootRequest, BootResult, boot

GRID = (
    "x86_64:Nehalem",
    "x86_64:Haswell",
    "x86_64:Skylake-Server",
    "x86_64:EPYC-Rome",
    "x86_64:max",
    "aarch64:neoverse-n1",
    "aarch64:max,pauth-impdef=on",
)


@dataclass(frozen=True)
class Cell:
    """One model, and how its boot ended."""

    name: str
    result: BootResult

    @property
    def file(self) -> str:
        """The name of its recording."""
        return self.name.partition(",")[0].replace(":", "-") + ".jsonl.gz"

    def __str__(self) -> str:
        lacking = " ".join(self.result.lacking) or "nothing"
        ended = f"{self.result.status.value:8}{self.result.seconds:6.1f} s"
        return f"{self.name:30}{ended}  lacks {lacking}  {self.result.why}".rstrip()


def boot_cell(name: str) -> Cell:
    """Boot ``ARCH:MODEL`` once."""
    arch, _, model = name.partition(":")
    request = BootRequest.of(fetch_kernel(arch), model, options=Options(redact=True), timeout=240)
    return Cell(name, boot(request))


def main() -> None:
    """Boot the grid and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="*", default=GRID, metavar="ARCH:MODEL")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--save", type=Path)
    args = parser.parse_args()
    with ThreadPoolExecutor(args.at_once) as pool:
        for cell in pool.map(boot_cell, args.cells):
            print(cell, flush=True)
            if args.save and cell.result.snapshot:
                snapshot_file.save(cell.result.snapshot, args.save / cell.file)


if __name__ == "__main__":
    main()
