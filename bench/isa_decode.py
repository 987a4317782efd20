"""How fast x86-64 code is decoded: ours, Zydis with ISA sets, iced-x86 in Python; CPU time.

    python -m bench.isa_decode FILE... [--zydis PREFIX] [--loader LD.SO]

``FILE`` is an ELF file, for instance libcrypto.so.3 or libc.so.6. ``--zydis`` is the folder that
holds Zydis' and Zycore's ``include`` and ``lib`` (``/usr``: libzydis-dev); ``--loader`` runs the
peer with another C library. iced-x86 is measured where the package is installed. Figures are MB
(10⁶ bytes) of ``.text`` per second of CPU time of one thread, the best of some runs, all in one
run of this program. Zydis decodes without operands and counts ``meta.isa_set``; iced-x86 counts
codes, ``Counter(i.code for i in Decoder(64, code))``.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.isa_decode_arm_riscv import text_of
from uplift.isa import decoder, x86_fallback

ROUNDS = 5
SLOW_BYTES = 1 << 18  #: what the Python fallback is measured on
SLOWER_BYTES = 8 << 20  #: what iced-x86 is measured on
ZYDIS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <Zydis/Zydis.h>
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
int main(int argc, char **argv)
{
    static unsigned long count[ZYDIS_ISA_SET_MAX_VALUE + 1];
    FILE *f = fopen(argv[argc - 1], "rb");
    fseek(f, 0, SEEK_END);
    size_t size = ftell(f), bad = 0;
    unsigned char *code = malloc(size);
    rewind(f);
    if (fread(code, 1, size, f) != size)
        return 1;
    ZydisDecoder d;
    ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        double start = now();
        for (size_t i = 0; i < size;) {
            ZydisDecodedInstruction x;
            if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, code + i, size - i, &x))) {
                count[x.meta.isa_set]++;
                i += x.length;
            } else {
                bad++;
                i++;
            }
        }
        double spent = now() - start;
        best = spent < best ? spent : best;
    }
    printf("%.9f\n", best);
    return count[0] > size;
}
"""


def main() -> None:
    """Print one line per file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--zydis", type=Path)
    parser.add_argument("--loader")
    options = parser.parse_args()
    print(f"engine: {decoder.engine}")
    with tempfile.TemporaryDirectory() as folder:
        peer = zydis(Path(folder), options.zydis, options.loader) if options.zydis else None
        for file in options.files:
            report(file, peer, Path(folder))


def report(file: Path, peer: list[str] | None, folder: Path) -> None:
    """Measure one file."""
    _, code = text_of(file)
    before = _peak()
    ours = speed(code, lambda: ranges(decoder.classify, code, "x86-64"))
    line = [f"{file.name:28}{len(code) / 1e6:7.1f} MB", f"native {ours:5.0f} MB/s"]
    line.append(f"+{_peak() - before} MiB")
    if peer:
        (folder / "text").write_bytes(code)
        theirs = len(code) / float(output([*peer, str(folder / "text")])) / 1e6
        line.append(f"Zydis {theirs:5.1f} (×{ours / theirs:.1f})")
    if importlib.util.find_spec("iced_x86"):
        theirs = speed(code[:SLOWER_BYTES], lambda: iced(code[:SLOWER_BYTES]), 2)
        line.append(f"iced-x86 {theirs:5.1f} (×{ours / theirs:.1f})")
    some = code[:SLOW_BYTES]
    line.append(f"Python {speed(some, lambda: ranges(x86_fallback.classify, some), 2):4.2f}")
    print("  ".join(line), flush=True)


def ranges(classify: Callable[..., Any], code: bytes, *arch: str) -> Any:
    """Decode the code as one range."""
    return classify(*arch, code, 0, np.array([0]), np.array([len(code)]))


def iced(code: bytes) -> Any:
    """Count codes with iced-x86."""
    from iced_x86 import Decoder  # noqa: PLC0415 - a peer that need not be there

    return Counter(instruction.code for instruction in Decoder(64, code))


def speed(code: bytes, run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """MB per second of CPU time, the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        before = time.process_time()
        run()
        best = min(best, time.process_time() - before)
    return len(code) / best / 1e6


def zydis(folder: Path, prefix: Path, loader: str | None) -> list[str]:
    """Build the peer; the command that measures a file."""
    source, program = folder / "zydis.c", folder / "zydis"
    source.write_text(ZYDIS)
    libraries = sorted({path.parent for path in prefix.rglob("libZydis.so*")})
    search = [f"-Wl,-rpath,{path}" for path in libraries] + [f"-L{path}" for path in libraries]
    search.append("-Wl,--allow-shlib-undefined")
    command = ["cc", "-O2", f"-I{prefix}/include", str(source), "-o", str(program), *search]
    subprocess.run([*command, "-lZydis"], check=True)
    if not loader:
        return [str(program)]
    return [loader, "--library-path", ":".join(map(str, libraries)), str(program)]


def output(command: list[str]) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
