"""Time ``uplift boot`` against QEMU's own time to user space, side by side.

    python -m bench.boot_time [--kernel apt:linux-image-cloud-amd64] [--cpu max] [--rounds 7]

Each round runs three things in random order, with the same kernel and CPU model under emulation:

* ``uplift boot``: the command, from its start to the saved snapshot;
* ``plain``: QEMU, the kernel and an init of some instructions that powers off at once;
* ``same``: the same init, with QEMU's options and kernel parameters as ``uplift boot`` has them.

Reported are medians of wall-clock and processor seconds, the median of the rounds' own ratios, and
where the difference goes, as the machine inside tells. Run it on a calm machine: the load is shown.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from uplift.lab import initramfs
from uplift.lab.kernel_package import Kernel
from uplift.lab.kernels import find_kernels
from uplift.lab.qemu import MACHINES, BootRequest, boot, command

BAR_SECONDS, BAR_RATIO = 6.0, 1.3
#: reboot(LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF), then a loop.
POWER_OFF = {
    "x86_64": (62, bytes.fromhex("bfaddee1febe69191228badcfe2143b8a90000000f05ebfe")),
    "aarch64": (
        183,
        struct.pack(
            "<9I",
            *(0xD29BD5A0, 0xF2BFDC20),  # movz x0, #0xdead; movk x0, #0xfee1, lsl 16
            *(0xD2832D21, 0xF2A50241),  # movz x1, #0x1969; movk x1, #0x2812, lsl 16
            *(0xD29FDB82, 0xF2A86422),  # movz x2, #0xfedc; movk x2, #0x4321, lsl 16
            *(0xD28011C8, 0xD4000001, 0x14000000),  # movz x8, #142; svc #0; b .
        ),
    ),
}
_INSIDE = re.compile(r"uplift-init: (collecting|collected) at ([\d.]+) s")
_RUN_INIT = re.compile(r"\[ *([\d.]+)\] Run /init")


@dataclass(frozen=True)
class Run:
    """What one start cost.

    :param memory_mib: the largest resident set of it and its children.
    """

    wall: float
    processor: float
    memory_mib: float


def timed(argv: Sequence[str]) -> Run:
    """Run a program to its end; fail where it fails."""
    started = time.monotonic()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, f"{argv[0]} ended with {status}"
    return Run(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def power_off_program(arch: str) -> bytes:
    """Return an ELF program that powers the machine off."""
    number, code = POWER_OFF[arch]
    base, size = 0x400000, 120 + len(code)
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\2\1\1" + bytes(9), 2, number, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code


def baselines(kernel: Kernel, cpu: str, place: Path) -> dict[str, list[str]]:
    """Return the argument vectors of both baselines."""
    entries = [
        initramfs.character_device("dev/console", 5, 1),
        initramfs.file("init", power_off_program(kernel.arch), executable=True),
    ]
    (place / "initramfs").write_bytes(initramfs.archive(entries))
    machine = MACHINES[kernel.arch]
    board = machine.options[: machine.options.index("-machine") + 2]
    plain = [
        *(machine.program, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-accel", "tcg", "-cpu", cpu, "-m", "512", "-serial", "stdio", *board),
        *("-kernel", str(kernel.image), "-initrd", str(place / "initramfs")),
        *("-append", f"console={machine.console} panic=-1"),
    ]
    return {"plain": plain, "same": command(BootRequest.of(kernel, cpu), place)}


def rounds(commands: dict[str, list[str]], count: int) -> dict[str, list[Run]]:
    """Run everything ``count`` times, each round in another order."""
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(count):
        for name in random.sample(sorted(commands), len(commands)):
            found[name].append(timed(commands[name]))
        walls = ", ".join(f"{name} {runs[-1].wall:.2f}" for name, runs in found.items())
        print(f"round {number + 1}: {walls} s; load {os.getloadavg()[0]:.1f}", flush=True)
    return found


def ratio(found: dict[str, list[Run]], base: str, by: Callable[[Run], float]) -> float:
    """Return the median of the rounds' own ratios."""
    pairs = zip(found["uplift"], found[base], strict=True)
    return statistics.median(by(ours) / by(theirs) for ours, theirs in pairs)


def wall(run: Run) -> float:
    """Return wall-clock seconds."""
    return run.wall


def processor(run: Run) -> float:
    """Return processor seconds, which a loaded machine changes less."""
    return run.processor


def show(found: dict[str, list[Run]]) -> None:
    """Print medians and ratios."""
    for name, runs in found.items():
        walls, processors = [*map(wall, runs)], [*map(processor, runs)]
        print(
            f"{name:7} median {statistics.median(walls):5.2f} s, best {min(walls):5.2f} s, "
            f"processor {statistics.median(processors):5.2f} s, "
            f"memory {max(run.memory_mib for run in runs):4.0f} MiB"
        )
    for base in ("plain", "same"):
        print(
            f"uplift / {base:5}  {ratio(found, base, wall):.2f} by wall clock, "
            f"{ratio(found, base, processor):.2f} by processor time"
        )


def show_inside(kernel: Kernel, cpu: str) -> None:
    """Print where the time goes inside the machine, by its own clock."""
    result = boot(BootRequest.of(kernel, cpu, timeout=120))
    times = {what: float(at) for what, at in _INSIDE.findall(result.console)}
    init = _RUN_INIT.search(result.console)
    began = float(init[1]) if init else 0.0
    print(f"inside: the kernel starts init at {began:.2f} s")
    print(f"  interpreter, mounts, modules, channel  {times['collecting'] - began:5.2f} s")
    print(
        f"  collector                             {times['collected'] - times['collecting']:5.2f}"
    )
    print(f"  QEMU's whole run                      {result.seconds:5.2f} s")


def main() -> int:
    """Measure; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="apt:linux-image-cloud-amd64")
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--uplift", nargs="+", default=[sys.executable, "-m", "uplift.cli", "boot"])
    args = parser.parse_args()
    (kernel,) = find_kernels([args.kernel])
    boot(BootRequest.of(kernel, args.cpu))  # fetches what is not there yet
    with tempfile.TemporaryDirectory(prefix="uplift-bench-") as name:
        words = ["--kernel", args.kernel, "--cpu", args.cpu, "--accel", "tcg"]
        ours = [*args.uplift, *words, "--save", f"{name}/boot.jsonl.gz"]
        commands = {"uplift": ours, **baselines(kernel, args.cpu, Path(name))}
        found = rounds(commands, args.rounds)
    show(found)
    show_inside(kernel, args.cpu)
    seconds = statistics.median(run.wall for run in found["uplift"])
    met = seconds <= BAR_SECONDS and ratio(found, "plain", wall) <= BAR_RATIO
    print(f"bars: {BAR_SECONDS} s, {BAR_RATIO} times plain: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main())
