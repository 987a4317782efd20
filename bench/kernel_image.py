"""What is read out of kernel packages, how long it takes, and how it agrees with other sources.

    python -m bench.kernel_image PLACE… [--arch ARCH] [--save DIRECTORY] [--table] [--boot CPU…]

PLACE is a directory where a kernel's packages were unpacked. ``--save`` writes what was read as one
recording each. ``--table`` compares what KVM passes on with ``kvm-exposure.csv``, which was read
out of sources. ``--boot`` boots the kernel on QEMU's CPU models, asks its KVM what it supports, and
compares: a bit that the processor has and the mask lets through must be there, and none may be
there that the mask does not hold. (Bits that KVM adds of its own are counted apart.)
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from uplift.catalog.kvm_exposure import load_exposures
from uplift.facts import snapshot_file
from uplift.facts.kernel_image.reader import read_kernel_image
from uplift.facts.model import Capture, Fact, Facts, Snapshot
from uplift.facts.parsers import read_facts
from uplift.lab.kernel_package import Kernel, kernel_in
from uplift.lab.qemu import BootRequest, boot
from uplift.lab.release_kernel import read
from uplift.resolve.predicate import version_key

VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}


def recorded(kernel: Kernel) -> Snapshot:
    """Read a kernel and say what it took."""
    files = read(kernel, ())
    modules = {name: files.modules.get(name, b"") for name in files.loadable}
    started = time.perf_counter()
    captures = read_kernel_image(files.image, modules, kernel.arch, files.builtin)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{kernel.release}: {seconds:.1f} s, {peak:.0f} MiB at most so far")
    for capture in captures:
        print(f"   {_described(capture)}")
    found = {capture.id: capture for capture in captures}
    return Snapshot(found, "release", "bench.kernel_image", arch=kernel.arch)


def _described(capture: Capture) -> str:
    lines = capture.data.count(b"\n")
    return f"{capture.id} {capture.status.value}, {lines} lines {capture.detail}".rstrip()


def against_table(image: Facts) -> Iterator[str]:
    """Yield the bits that only one of the image and the table of sources passes on."""
    release = image.value("image.release")
    version = str(release).partition("-")[0].partition("+")[0]
    for exposure in load_exposures():
        for vendor, since in exposure.since.items():
            fact = image.get(f"image.kvm.{vendor}.{exposure.fact.removeprefix('cpuid.')}")
            if not isinstance(fact, Fact) or not isinstance(fact.value, int):
                continue
            newer = version_key(version) >= version_key(since.version)
            listed = bool(since.version) and newer
            if listed != bool(fact.value >> exposure.bit & 1):
                where = "the table" if listed else "the image"
                yield f"{vendor} {exposure.fact} bit {exposure.bit} ({exposure.kvm}): only {where}"


def against_boot(kernel: Kernel, image: Facts, cpu: str) -> Iterator[str]:
    """Yield where a booted KVM's answer differs from the processor's bits that pass the mask."""
    result = boot(BootRequest.of(kernel, cpu, kvm_modules=True))
    if result.snapshot is None:
        yield f"{cpu}: {result.status.value}: {result.why}"
        return
    seen = read_facts(result.snapshot)
    vendor = VENDORS[str(seen.value("cpuid.vendor"))]
    equal = added = 0
    for name in sorted(seen.under("kvm.cpuid.")):
        register = name.removeprefix("kvm.cpuid.")
        mask, chip = image.get(f"image.kvm.{vendor}.{register}"), seen.get(f"cpuid.{register}")
        answer = seen.value(name)
        if not (isinstance(mask, Fact) and isinstance(chip, Fact)):
            continue
        assert isinstance(mask.value, int) and isinstance(chip.value, int)
        assert isinstance(answer, int)
        lost, foreign = chip.value & mask.value & ~answer, answer & ~mask.value
        if lost or foreign:
            yield f"{cpu} {register}: {lost:#x} lost, {foreign:#x} that the mask does not hold"
        equal += chip.value & mask.value == answer
        added += (answer & ~chip.value).bit_count()
    yield f"{cpu}: {equal} registers equal; {added} bits that KVM adds of its own"


def main() -> None:
    """Read the kernels that are named."""
    parser = argparse.ArgumentParser(prog="bench.kernel_image")
    parser.add_argument("places", nargs="+", type=Path)
    parser.add_argument("--arch", default="x86_64")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--boot", nargs="*", default=())
    options = parser.parse_args()
    for place in options.places:
        kernel = kernel_in(place, options.arch)
        snapshot = recorded(kernel)
        image = read_facts(snapshot)
        if options.save:
            snapshot_file.save(snapshot, options.save / f"{kernel.release}.jsonl")
        for line in against_table(image) if options.table else ():
            print(f"   {line}")
        for cpu in options.boot:
            for line in against_boot(kernel, image, cpu):
                print(f"   {line}")


if __name__ == "__main__":
    main()
