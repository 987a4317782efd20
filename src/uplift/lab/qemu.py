"""Boot a kernel on an emulated CPU model, run the collector inside, and return its snapshot.

The emulator drops CPU features that it does not have, with only a warning. So the warnings are
kept as a capture beside what the machine saw, or, with ``enforce``, a model that cannot be had
whole is refused. A machine that hangs, dies or runs out of time is *lost*: that says nothing about
its features, so it is never called failed.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from importlib.resources import files
from pathlib import Path

from uplift.errors import RecordingError, TargetError
from uplift.facts import snapshot_file
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.lab import guest, initramfs, process
from uplift.lab.model import Options
from uplift.lab.packages import Kernel, Userland, compile_for, fetch_userland

PORT = "uplift.snapshot"
MAX_CONSOLE = 4 << 20
MAX_SNAPSHOT = 64 << 20
TAIL_LINES = 80
_KVM_SECONDS = 30.0
#: What a virtio port needs, each after what it depends on; built-in ones are not found, and fine.
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_console",
)
#: A feature in a warning: "CPUID.07H:EBX.hle [bit 4]" (QEMU 7.2), "CPUID[eax=07h].EBX.hle [bit 4]"
#: (QEMU 9.2 and later), "MSR(48BH).vmx-apicv [bit 8]"; a bit without a name keeps its register.
_LACKING = re.compile(r"support requested feature: (\S+ \[bit \d+\])")
_NAMED = re.compile(r"(?:CPUID.+?E[A-D]X|MSR\(\w+\))\.(\S+) \[bit \d+\]")


class BootStatus(str, Enum):
    """How a boot ended."""

    BOOTED = "booted"
    LOST = "lost"  #: hung, died or ran out of time before the collector had answered
    REFUSED = "refused"  #: the emulator does not start this CPU model


@dataclass(frozen=True)
class Machine:
    """How an architecture is emulated.

    :param line: the serial line for the snapshot where the kernel has no virtio driver.
    :param enforces: whether the CPU models know ``enforce``.
    """

    program: str
    package: str
    options: tuple[str, ...]
    console: str
    line: str
    enforces: bool = False


MACHINES = {
    "x86_64": Machine(
        "qemu-system-x86_64",
        "qemu-system-x86",
        ("-machine", "q35", "-serial", "chardev:line"),
        console="ttyS0",
        line="ttyS1",
        enforces=True,
    ),
    "aarch64": Machine(
        "qemu-system-aarch64",
        "qemu-system-arm",
        ("-machine", "virt", "-device", "pci-serial,chardev=line"),
        console="ttyAMA0",
        line="ttyS0",
    ),
}


@dataclass(frozen=True)
class BootRequest:
    """What to boot.

    :param arch: ``uname -m`` of the machine.
    :param cpu_model: as QEMU's ``-cpu``: ``Skylake-Server``, ``Haswell,-avx2``, ``max``.
    :param modules_dir: ``lib/modules/<release>`` of the kernel; without it the snapshot leaves
        through a serial line where the kernel has virtio as modules.
    :param config: the kernel's configuration, so that the collector finds it.
    :param append: added to the kernel's command line.
    :param enforce: refuse the model rather than drop what the emulator lacks (x86).
    :param accel: ``tcg`` (emulation, the same everywhere), ``kvm``, or ``auto``: KVM if this very
        machine boots so within 30 s, else TCG.
    :param userland: the Python inside; None: fetched with apt.
    :param options: how the collector inside collects.
    :param timeout: seconds until the machine is lost.
    """

    kernel_image: Path
    modules_dir: Path | None = None
    arch: str = "x86_64"
    cpu_model: str = "max"
    append: str = ""
    enforce: bool = False
    timeout: float = 120
    config: Path | None = None
    accel: str = "tcg"
    memory_mib: int = 512
    userland: Userland | None = None
    options: Options = field(default_factory=Options)
    devices: tuple[str, ...] = ("virtio-serial-pci", f"virtserialport,chardev=port,name={PORT}")

    @staticmethod
    def of(kernel: Kernel, cpu_model: str, **more: object) -> BootRequest:
        """Return a request to boot a kernel that was fetched."""
        request = BootRequest(
            kernel_image=kernel.image,
            modules_dir=kernel.modules_dir,
            arch=kernel.arch,
            cpu_model=cpu_model,
            config=kernel.config,
        )
        return replace(request, **more)  # type: ignore[arg-type]


@dataclass(frozen=True)
class BootResult:
    """How it went.

    :param snapshot: only when booted.
    :param accel: what ran it, ``tcg`` or ``kvm``.
    :param why: why it was lost or refused, one line.
    :param lacking: features of the model that the emulator lacks, as the emulator names them.
    :param console: the last lines of the console; untrusted text.
    """

    status: BootStatus
    snapshot: Snapshot | None
    console: str
    seconds: float
    accel: str
    why: str = ""
    lacking: tuple[str, ...] = ()


def boot(request: BootRequest) -> BootResult:
    """Boot once and return what the collector inside recorded.

    :raises TargetError: QEMU or what the machine needs is not there. What happens from the moment
        QEMU starts is a result, never an error.
    """
    if request.accel == "auto":
        return _boot_somehow(request)
    machine = _machine(request.arch)
    userland = request.userland or fetch_userland(request.arch)
    with tempfile.TemporaryDirectory(prefix="uplift-boot-") as name:
        place = Path(name)
        collector = _compiled(request.options.collector, userland, place)
        with (place / "initramfs").open("wb") as stream:
            stream.write(userland.archive.read_bytes())
            stream.write(initramfs.archive(_own_files(request, machine, collector)))
        argv = command(request, place)
        try:
            ended = process.run(
                argv, timeout=request.timeout, max_stdout=MAX_CONSOLE, max_file=MAX_SNAPSHOT
            )
        except OSError as error:
            raise _not_installed(machine) from error
        answers = [place / part for part in ("port", "line")]
        return _result(request, machine, ended, answers)


def _boot_somehow(request: BootRequest) -> BootResult:
    """Try KVM by booting: inside a virtual machine a guest may start and then hang."""
    emulated = replace(request, accel="tcg")
    if request.arch != os.uname().machine or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return boot(emulated)
    quick = replace(request, accel="kvm", timeout=min(request.timeout, _KVM_SECONDS))
    result = boot(quick)
    return result if result.status is BootStatus.BOOTED else boot(emulated)


def command(request: BootRequest, place: Path) -> list[str]:
    """Return QEMU's argument vector; ``place`` holds the initramfs and receives the answers."""
    machine = _machine(request.arch)
    model = f"{request.cpu_model},enforce" if _enforced(request, machine) else request.cpu_model
    words = f"console={machine.console} panic=-1 {request.append}".strip()
    return [
        machine.program,
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-accel", request.accel, "-cpu", model, "-m", str(request.memory_mib)),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-chardev", f"file,id=line,path={_comma_free(place / 'line')}"),
        *("-chardev", f"file,id=port,path={_comma_free(place / 'port')}"),
        *machine.options,
        *(word for device in request.devices for word in ("-device", device)),
        *("-kernel", str(request.kernel_image), "-initrd", str(place / "initramfs")),
        *("-append", words),
    ]


def lacking_features(warnings: str) -> tuple[str, ...]:
    """Return the features that QEMU says the emulator lacks, in order, without doubles."""
    found = (_NAMED.sub(r"\1", feature) for feature in _LACKING.findall(warnings))
    return tuple(dict.fromkeys(found))


def _machine(arch: str) -> Machine:
    if arch in MACHINES:
        return MACHINES[arch]
    raise TargetError(
        f"cannot boot a machine of {arch}",
        "nobody has said yet how such a machine is emulated",
        f"choose one of {', '.join(MACHINES)}",
    )


def _enforced(request: BootRequest, machine: Machine) -> bool:
    return request.enforce and machine.enforces


def _comma_free(path: Path) -> str:
    return str(path).replace(",", ",,")  # QEMU's way to write a comma inside a value


def _compiled(collector: Path, userland: Userland, place: Path) -> Path:
    """Return the collector as byte code, if it can be made here: it starts seconds sooner."""
    source = place / "collector.py"
    source.write_bytes(collector.read_bytes())
    compile_for(userland.python, ["compileall", "-q", "-b", str(source)])
    compiled = source.with_suffix(".pyc")
    return compiled if compiled.exists() else source


def _own_files(
    request: BootRequest, machine: Machine, collector: Path
) -> Iterator[initramfs.Entry]:
    """Yield what this boot adds to the interpreter: init, collector, modules, configuration."""
    yield initramfs.character_device("dev/console", 5, 1)
    # before /dev is mounted: without RDRAND, Python starts only where this one can be read
    yield initramfs.character_device("dev/urandom", 1, 9)
    yield initramfs.file("init", files(guest).joinpath("init.py").read_bytes(), executable=True)
    yield initramfs.file(f"uplift/{collector.name}", collector.read_bytes())
    words = "\n".join([machine.line, collector.name, *request.options.arguments])
    yield initramfs.file("uplift/arguments", words.encode())
    yield initramfs.directory("uplift/modules")
    for number, path in enumerate(_modules(request.modules_dir)):
        yield initramfs.file(f"uplift/modules/{number:02}-{path.name}", path.read_bytes())
    if request.config is not None:
        yield initramfs.file(f"boot/{request.config.name}", request.config.read_bytes())


def _modules(modules_dir: Path | None) -> Iterator[Path]:
    for name in MODULES if modules_dir is not None else ():
        yield from sorted(modules_dir.rglob(f"{name}.ko*"))[:1]  # type: ignore[union-attr]


def _result(
    request: BootRequest, machine: Machine, ended: process.Result, answers: Sequence[Path]
) -> BootResult:
    warnings = ended.stderr.decode("utf-8", "replace")
    result = BootResult(
        status=BootStatus.LOST,
        snapshot=None,
        console=_tail(ended.stdout),
        seconds=ended.seconds,
        accel=request.accel,
        lacking=lacking_features(warnings),
    )
    if ended.returncode > 0 and not ended.timed_out and not ended.stdout:
        why = ended.complaint or f"{machine.program} exited {ended.returncode}"
        return replace(result, status=BootStatus.REFUSED, why=why)
    snapshot = _answer(answers)
    if snapshot is None:
        return replace(result, why=_why_lost(request, ended))
    places = (answers[0].parent, request.kernel_image.parent)
    captures = {**snapshot.captures, **_evidence(machine, ended, places)}
    return replace(result, status=BootStatus.BOOTED, snapshot=replace(snapshot, captures=captures))


def _answer(answers: Sequence[Path]) -> Snapshot | None:
    """Return the first whole snapshot that arrived."""
    for path in answers:
        if not path.is_file() or not path.stat().st_size:
            continue
        try:
            snapshot = snapshot_file.load(path)
        except RecordingError:
            continue
        if snapshot.complete:
            return snapshot
    return None


def _evidence(
    machine: Machine, ended: process.Result, places: Sequence[Path]
) -> dict[str, Capture]:
    """Return what the emulator said, as a capture beside what the machine inside saw."""
    capture = Capture(
        id=f"cmd:{machine.program}/warnings",
        status=CaptureStatus.OK,
        data=ended.stderr,
        how=shlex.join(_without_directories(ended.argv, places)),
        detail=f"exit {ended.returncode}",
    )
    return {capture.id: capture}


def _without_directories(argv: Sequence[str], places: Sequence[Path]) -> list[str]:
    """Leave out where files lay: that says who booted, not what."""
    words = list(argv)
    for place in places:
        words = [word.replace(f"{place}/", "") for word in words]
    return words


def _why_lost(request: BootRequest, ended: process.Result) -> str:
    if ended.timed_out:
        return f"no answer within {request.timeout:g} s"
    if ended.truncated:
        return f"the console ran over {MAX_CONSOLE} bytes"
    if ended.returncode < 0:
        return f"signal {-ended.returncode} ended the emulator: {ended.complaint}"
    return "the machine stopped before the collector had answered"


def _tail(console: bytes) -> str:
    lines = console.decode("utf-8", "replace").replace("\r", "").splitlines()
    return "\n".join(lines[-TAIL_LINES:])


def _not_installed(machine: Machine) -> TargetError:
    return TargetError(
        "cannot boot an emulated machine",
        f"{machine.program} is not installed",
        f"install {machine.package}",
    )
