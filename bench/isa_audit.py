"""How fast whole files are audited, with functions; CPU time of whole processes and peak memory.

    python -m bench.isa_audit [FILE...] [--peer elfx86exts] [--rounds N]

MB are 10⁶ bytes of ``.text``. CPU time and the peak of memory are those of a process that does
one audit: for the rate, the start of Python and its imports (measured beside it) count too; the
rate without them is shown as ``audit``. The peer is elfx86exts, whatever version is installed; it
has no functions. The parse of frames is timed by itself, scaled to 100,000 FDEs.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from uplift.isa.elf import Elf
from uplift.isa.frames import frames

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
USUAL = (
    "libcrypto.so.3",
    "libc.so.6",
    "libpython3.11.so.1.0",
    "openblas-pthread/libopenblas.so.0",
    "libclang-cpp.so.14",
)
IMPORTS = "from uplift.isa.audit import audit; import sys"
AUDIT = IMPORTS + "; audit(sys.argv[1])"


def main() -> int:
    """Print one line per file and the geometric means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=[str(LIBRARIES / name) for name in USUAL])
    parser.add_argument("--peer", default="elfx86exts")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    peer = shutil.which(options.peer)
    print(f"peer: {_version(peer) if peer else 'not installed'}")
    start = _best([sys.executable, "-c", IMPORTS], options.rounds)[0]
    print(f"start of Python and imports: {start:.2f} s of CPU time")
    rates, ratios = [], []
    for path in (Path(name) for name in options.files):
        if not path.is_file():
            print(f"{path}: not here")
            continue
        size = _text_size(path) / 1e6
        seconds, memory = _best([sys.executable, "-c", AUDIT, str(path)], options.rounds)
        alone = max(seconds - start, 0.001)
        line = f"{path.name}: {size:.1f} MB; process {size / seconds:.1f} MB/s"
        line += f", audit {size / alone:.1f} MB/s; RSS {memory / 1024:.0f} MiB"
        rates.append((size / seconds, size / alone))
        if peer:
            other = _best([peer, str(path)], 1)[0]
            ratios.append((other / seconds, other / alone))
            line += f"; peer {size / other:.1f} MB/s"
        print(f"{line}; {_frames(path)}", flush=True)
    _means("MB/s", rates)
    _means("times the peer", ratios)
    return 0


def _version(peer: str) -> str:
    return subprocess.check_output([peer, "--version"], text=True).strip()


def _best(command: list[str], rounds: int) -> tuple[float, int]:
    """CPU seconds, the least of some runs, and the peak of memory in KiB, the most."""
    runs = [_run(command) for _ in range(rounds)]
    return min(seconds for seconds, _ in runs), max(memory for _, memory in runs)


def _run(command: list[str]) -> tuple[float, int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} exited {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _text_size(path: Path) -> int:
    elf = Elf(path.read_bytes())
    return next(section.size for section in elf.sections if section.name == ".text")


def _frames(path: Path) -> str:
    data = path.read_bytes()
    best, count = math.inf, 0
    for _ in range(3):
        elf = Elf(data)
        before = time.process_time()
        count = len(frames(elf).start)
        best = min(best, time.process_time() - before)
    return f"{count} FDEs, {1e3 * best * 1e5 / max(count, 1):.1f} ms per 100k"


def _means(what: str, pairs: list[tuple[float, float]]) -> None:
    if pairs:
        whole, alone = (math.exp(sum(map(math.log, p)) / len(p)) for p in zip(*pairs, strict=True))
        print(f"geometric mean: process {whole:.1f}, audit {alone:.1f} {what}")


if __name__ == "__main__":
    raise SystemExit(main())
