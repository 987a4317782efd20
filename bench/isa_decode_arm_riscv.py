"""How fast arm64 and riscv64 code is decoded: native, NumPy, and named peers, in CPU time.

    python -m bench.isa_decode_arm_riscv [--suite trixie] [--peer llvm-objdump]... [FILE...]

Without files it fetches the packages of ``PACKAGES`` for both architectures with apt into a
temporary folder; the archive is the first that the machine's own apt configuration names. A peer
is a disassembler that takes ``-d FILE``; it also reads the file and writes text, so its figure is
that of the whole process. Figures are MB (10⁶ bytes) of ``.text`` per second of CPU time of one
thread; the best of five runs for ours, one run for a peer.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import uplift
from uplift.isa import aarch64_fallback, riscv_fallback

PACKAGES = ("libc6", "libssl3t64", "libopenblas0-pthread", "libpython3.13")
MACHINES: dict[int, tuple[str, ModuleType]] = {
    183: ("aarch64", aarch64_fallback),
    243: ("riscv64", riscv_fallback),
}
SMALLEST = 1 << 20
ROUNDS = 5


def main() -> None:
    """Print one line per file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--suite", default="trixie")
    parser.add_argument("--peer", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        native = native_module(Path(folder))
        files = options.files or list(fetched(Path(folder), options.suite))
        for file in files:
            report(file, native, options.peer)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak resident memory of this process: {peak} MiB")


def report(file: Path, native: Any, peers: list[str]) -> None:
    """Measure one file."""
    machine, code = text_of(file)
    arch, fallback = MACHINES[machine]
    start, end = np.array([0]), np.array([len(code)])
    line = [f"{arch:8}{file.name:28}{len(code) / 1e6:7.1f} MB"]
    line += [_speed("native", code, lambda: native.classify(arch, code, 0, start, end))]
    line += [_speed("NumPy", code, lambda: fallback.classify(code, 0, start, end))]
    line += [_peer(peer, file, code) for peer in peers]
    print("  ".join(line), flush=True)


def _speed(name: str, code: bytes, run: Callable[[], object]) -> str:
    best = min(_cpu(run) for _ in range(ROUNDS))
    return f"{name} {len(code) / best / 1e6:6.0f} MB/s"


def _cpu(run: Callable[[], object]) -> float:
    before = time.process_time()
    run()
    return time.process_time() - before


def _peer(peer: str, file: Path, code: bytes) -> str:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([peer, "-d", file], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{Path(peer).name} {len(code) / spent / 1e6:5.1f} MB/s"


def text_of(file: Path) -> tuple[int, bytes]:
    """The machine number and the ``.text`` of an ELF file."""
    image = file.read_bytes()
    (machine,) = struct.unpack_from("<H", image, 18)
    offset, size, count, names = struct.unpack_from("<Q10xHHH", image, 40)
    sections = [struct.unpack_from("<IIQQQQ", image, offset + size * i) for i in range(count)]
    for name, _, _, _, place, length in sections:
        at = sections[names][4] + name
        if image[at : at + 6] == b".text\0":
            return machine, image[place : place + length]
    raise SystemExit(f"{file}: no .text")


def native_module(folder: Path) -> Any:
    """The built extension; without one it is compiled here, with the flags of a release."""
    if importlib.util.find_spec("uplift.isa._decode"):
        return importlib.import_module("uplift.isa._decode")
    sources = sorted((Path(uplift.__file__).parent / "isa" / "native").glob("*.c"))
    library = folder / "_decode.so"
    include = sysconfig.get_path("include")
    flags = ["-O2", "-std=gnu11", "-shared", "-fPIC", "-I", include, "-o", str(library)]
    subprocess.run(["cc", *flags, *map(str, sources)], check=True)
    spec = importlib.util.spec_from_file_location("_decode", library)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fetched(folder: Path, suite: str) -> Iterator[Path]:
    """The large shared objects of the packages, for both architectures."""
    for arch in ("arm64", "riscv64"):
        here = folder / arch
        here.mkdir()
        options = apt_options(here, arch, suite)
        subprocess.run(["apt-get", *options, "-q=2", "update"], check=True, cwd=here)
        subprocess.run(["apt-get", *options, "-q=2", "download", *PACKAGES], check=True, cwd=here)
        for package in here.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, here / "root"], check=True)
        found = (here / "root").rglob("*.so*")
        yield from sorted(f for f in found if not f.is_symlink() and f.stat().st_size > SMALLEST)


def apt_options(folder: Path, arch: str, suite: str) -> list[str]:
    """Options that keep apt inside ``folder`` and make it see ``suite`` for ``arch``."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    archives = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    archive = next((a for a in archives if a.rstrip("/").endswith("/debian")), None)
    if archive is None:
        sys.exit("apt knows no Debian archive; pass files instead")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    source = f"deb [arch={arch} signed-by={KEYRING}] {archive} {suite} main\n"
    (folder / "sources.list").write_text(source)
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


if __name__ == "__main__":
    main()
