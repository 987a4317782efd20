"""Boot a kernel on an emulated CPU model, run the collector inside, and return its snapshot.

The emulator drops CPU features that it does not have, with only a warning. So the warnings are
kept as a capture beside what the machine saw, or, with ``enforce``, a model that cannot be had
whole is refused. A machine that hangs, dies or runs out of time is *lost*: that says nothing about
its features, so it is never called failed.
"""

from __future__ import annotations

import marshal
import os
import re
import shlex
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from uplift.errors import RecordingError, TargetError
from uplift.facts import snapshot_file
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.lab import guest, initramfs, kernel_modules, process
from uplift.lab.kernel_package import Kernel
from uplift.lab.model import Options
from uplift.lab.packages import Userland, compile_for, fetch_userland

PORT = "uplift.snapshot"
MAX_CONSOLE = 4 << 20
MAX_SNAPSHOT = 64 << 20
TAIL_LINES = 80
MAX_CONFIG = 4 << 20
#: A feature in a warning: "CPUID.07H:EBX.hle [bit 4]" (QEMU 7.2), "CPUID[eax=07h].EBX.hle [bit 4]"
#: (QEMU 9.2 and later), "MSR(48BH).vmx-apicv [bit 8]"; a bit without a name keeps its register.
_LACKING = re.compile(r"support requested feature: (\S+ \[bit \d+\])")
#: What a kernel surfaces of a CPU: captures whose id starts so. The rest of the collector's takes
#: an emulated machine two seconds more, and tells of the Python that came along.
SURFACE = (
    *("probe:cpuid", "probe:xcr0", "probe:xcomp", "probe:auxv", "probe:msr", "probe:kvm"),
    *("probe:arm64-id-registers", "probe:riscv", "probe:uname", "probe:collector"),
    *("file:/proc/cpuinfo", "file:/proc/cmdline", "file:/proc/modules", "file:/proc/version"),
    *("file:/proc/self/status", "file:/proc/misc", "file:/proc/device-tree", "file:/proc/sysinfo"),
    *("file:/boot/config-", "file:/sys/hypervisor", "file:/proc/xen"),
    *("tree:/sys/devices/system/cpu", "tree:/sys/module/kvm", "tree:/sys/class/dmi/id"),
)
_IMPORT = re.compile(r"^import (\w+)$", re.MULTILINE)
_NAMED = re.compile(r"(?:CPUID.+?E[A-D]X|MSR\(\w+\))\.(\S+) \[bit \d+\]")


#: The first process where there is byte code for it: Python compiles this line only.
START_INIT = b"""#!/usr/bin/python3 -ISB
import marshal
exec(marshal.loads(open("/uplift/init.pyc", "rb").read()[16:]))
"""


class BootStatus(str, Enum):
    """How a boot ended."""

    BOOTED = "booted"
    LOST = "lost"  #: hung, died or ran out of time before the collector had answered
    REFUSED = "refused"  #: the emulator does not start this CPU model


#: The kernel does not test its ciphers at boot, which takes a sixth of an emulated one.
_NO_TESTS = "cryptomgr.notests=1"


@dataclass(frozen=True)
class Machine:
    """How an architecture is emulated.

    :param line: the serial line for the snapshot where the kernel has no virtio driver.
    :param port: the devices that make a virtio port.
    :param words: added to the kernel's command line; nothing that changes what surfaces.
    :param enforces: whether the CPU models know ``enforce``.
    """

    program: str
    package: str
    options: tuple[str, ...]
    console: str
    line: str
    port: tuple[str, ...] = ("virtio-serial-pci", f"virtserialport,chardev=port,name={PORT}")
    words: str = _NO_TESTS
    enforces: bool = False


MACHINES = {
    "x86_64": Machine(
        "qemu-system-x86_64",
        "qemu-system-x86",
        ("-machine", "q35", "-serial", "chardev:line"),
        console="ttyS0",
        line="ttyS1",
        # a machine of one CPU would patch every lock prefix away, a tenth of a second of emulation
        words=f"{_NO_TESTS} noreplace-smp",
        enforces=True,
    ),
    "aarch64": Machine(
        "qemu-system-aarch64",
        "qemu-system-arm",
        ("-machine", "virt", "-device", "pci-serial,chardev=line"),
        console="ttyAMA0",
        line="ttyS0",
    ),
    "riscv64": Machine(
        "qemu-system-riscv64",
        "qemu-system-misc",
        ("-machine", "virt", "-device", "pci-serial,chardev=line"),
        console="ttyS0",
        line="ttyS1",
    ),
}


@dataclass(frozen=True)
class BootRequest:
    """What to boot.

    :param arch: ``uname -m`` of the machine.
    :param cpu_model: as QEMU's ``-cpu``: ``Skylake-Server``, ``Haswell,-avx2``, ``max``.
    :param modules_dir: ``lib/modules/<release>`` of the kernel; without it the snapshot leaves
        through a serial line where the kernel has virtio as modules.
    :param config: the kernel's configuration, recorded beside what the machine inside saw.
    :param release: the kernel's release; empty: as the configuration's name says.
    :param append: added to the kernel's command line.
    :param enforce: refuse the model rather than drop what the emulator lacks (x86).
    :param accel: ``tcg`` (emulation, the same everywhere) or ``kvm``.
    :param userland: the Python inside; None: fetched with apt.
    :param options: how the collector inside collects.
    :param everything: all that the collector knows, not only what a kernel surfaces of a CPU.
    :param kvm_modules: load KVM inside, so that what it offers to guests is recorded.
    :param program: another QEMU than the one that is installed.
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
    release: str = ""
    accel: str = "tcg"
    memory_mib: int = 512
    userland: Userland | None = None
    options: Options = field(default_factory=Options)
    everything: bool = False
    kvm_modules: bool = False
    program: str = ""

    @staticmethod
    def of(kernel: Kernel, cpu_model: str, **more: object) -> BootRequest:
        """Return a request to boot a kernel that was fetched."""
        request = BootRequest(
            kernel_image=kernel.image,
            modules_dir=kernel.modules_dir,
            arch=kernel.arch,
            cpu_model=cpu_model,
            config=kernel.config,
            release=kernel.release,
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
    :param before: what was tried before and why it did not do, one line.
    """

    status: BootStatus
    snapshot: Snapshot | None
    console: str
    seconds: float
    accel: str
    why: str = ""
    lacking: tuple[str, ...] = ()
    before: str = ""


def boot(request: BootRequest, stop: threading.Event | None = None) -> BootResult:
    """Boot once and return what the collector inside recorded.

    :param stop: set from another thread, it ends the machine, which then is lost.

    :raises TargetError: QEMU or what the machine needs is not there. What happens from the moment
        QEMU starts is a result, never an error.
    """
    machine = _machine(request.arch)
    userland = request.userland or fetch_userland(request.arch)
    with tempfile.TemporaryDirectory(prefix="uplift-boot-") as name:
        place = Path(name)
        with (place / "initramfs").open("wb") as stream:
            stream.write(userland.archive.read_bytes())
            stream.write(initramfs.archive(_own_files(request, machine, userland)))
        ended = start(request, place, stop)
        answers = [place / part for part in ("port", "line")]
        return _result(request, machine, ended, answers)


def start(request: BootRequest, place: Path, stop: threading.Event | None = None) -> process.Result:
    """Run QEMU to its end.

    :param place: holds the initramfs and receives the answers.
    :raises TargetError: QEMU is not installed.
    """
    argv = command(request, place)
    try:
        return process.run(
            argv,
            timeout=request.timeout,
            max_stdout=MAX_CONSOLE,
            max_file=MAX_SNAPSHOT,
            stop=stop,
        )
    except OSError as error:
        raise _not_installed(_machine(request.arch), argv[0]) from error


def command(request: BootRequest, place: Path) -> list[str]:
    """Return QEMU's argument vector; ``place`` holds the initramfs and receives the answers."""
    machine = _machine(request.arch)
    model = f"{request.cpu_model},enforce" if _enforced(request, machine) else request.cpu_model
    words = f"console={machine.console} panic=-1 {machine.words} {request.append}".split()
    return [
        request.program or machine.program,
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-accel", request.accel, "-cpu", model, "-m", str(request.memory_mib)),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-chardev", f"file,id=line,path={_comma_free(place / 'line')}"),
        *("-chardev", f"file,id=port,path={_comma_free(place / 'port')}"),
        *machine.options,
        *(word for device in machine.port for word in ("-device", device)),
        *("-kernel", str(request.kernel_image), "-initrd", str(place / "initramfs")),
        *("-append", " ".join(words)),
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


def _compiled(name: str, source: bytes, userland: Userland) -> initramfs.Entry:
    """Return a program as byte code, if it can be made here: it starts seconds sooner.

    The byte code is kept beside the interpreter that it is for.
    """
    stem = f"{name}-{sha256(source).hexdigest()[:16]}"
    compiled = userland.archive.with_name(f"{stem}.pyc")
    if not compiled.exists():
        with tempfile.TemporaryDirectory(prefix="uplift-code-") as work:
            path = Path(work) / f"{stem}.py"
            path.write_bytes(source)
            compile_for(userland.python, ["compileall", "-q", "-b", str(path)])
            made = path.with_suffix(".pyc")
            if not made.exists():
                return initramfs.file(f"uplift/{name}.py", source)
            _keep(made.read_bytes(), compiled)
    return initramfs.file(f"uplift/{name}.pyc", compiled.read_bytes())


def _keep(data: bytes, place: Path) -> None:
    part = place.with_name(f"{place.name}.{os.getpid()}.{threading.get_ident()}")
    part.write_bytes(data)
    part.replace(place)


def _own_files(
    request: BootRequest, machine: Machine, userland: Userland
) -> Iterator[initramfs.Entry]:
    """Yield what this boot adds to the interpreter: init, collector, modules, orders."""
    yield initramfs.character_device("dev/console", 5, 1)
    # before /dev is mounted: without RDRAND, Python starts only where this one can be read
    yield initramfs.character_device("dev/urandom", 1, 9)
    yield from _init(userland)
    source = request.options.collector.read_bytes()
    collector = _compiled("collector", source, userland)
    yield collector
    name = Path(collector.path).name
    yield initramfs.file("uplift/orders", _orders(request, machine, name, source, userland))
    yield initramfs.directory("uplift/modules")
    for number, (name, module) in enumerate(_modules(request).items()):
        yield initramfs.file(f"uplift/modules/{number:02}-{name}", module)


def _init(userland: Userland) -> Iterator[initramfs.Entry]:
    """Yield the first process: its source, or as little source as starts its byte code."""
    source = files(guest).joinpath("init.py").read_bytes()
    program = _compiled("init", source, userland)
    if program.path.endswith(".pyc"):
        yield program
        source = START_INIT
    yield initramfs.file("init", source, executable=True)


def _orders(
    request: BootRequest, machine: Machine, collector: str, source: bytes, userland: Userland
) -> bytes:
    """Return what init does, with the collector's options as it parses them: there it is slow.

    Kept beside the byte code: to parse them, the collector has to be imported here.
    """
    only = () if request.everything else SURFACE
    chosen = [word for prefix in only for word in ("--only", prefix)]
    words = [*replace(request.options, redact=False).arguments, *chosen]
    told = repr((machine.line, collector, words)).encode()
    place = userland.archive.with_name(f"orders-{sha256(told + source).hexdigest()[:16]}")
    if not place.exists():
        orders = {
            "line": machine.line,
            "collector": collector,
            "options": _parsed(words),
            "later": sorted(_IMPORT.findall(source.decode())),
        }
        _keep(marshal.dumps(orders, 2), place)
    return place.read_bytes()


def _parsed(words: Sequence[str]) -> dict[str, object]:
    from uplift.facts import collector  # noqa: PLC0415 - rarely needed, and slow to import

    parsed = vars(collector.parsed_options(words))  # type: ignore[no-untyped-call]
    # str.startswith takes many prefixes at once: 300 calls inside instead of 7000
    return {**parsed, "only": [tuple(parsed["only"])] if parsed["only"] else []}


def _modules(request: BootRequest) -> dict[str, bytes]:
    wanted = (*kernel_modules.VIRTIO, *(kernel_modules.KVM if request.kvm_modules else ()))
    return kernel_modules.load_order(kernel_modules.module_files(request.modules_dir), wanted)


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
    told = replace(snapshot, captures={**snapshot.captures, **_evidence(machine, ended, places)})
    if request.options.redact:
        from uplift.facts.redaction import redact_snapshot  # noqa: PLC0415 - slow to import

        told = redact_snapshot(told)
    # the package's configuration is public, and as large as all else together
    whole = replace(told, captures={**told.captures, **_config(request)})
    return replace(result, status=BootStatus.BOOTED, snapshot=whole)


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


def _config(request: BootRequest) -> dict[str, Capture]:
    """Return the configuration as the package has it; the machine inside has no /boot."""
    if request.config is None or request.config.stat().st_size > MAX_CONFIG:
        return {}
    release = request.release or request.config.name.removeprefix("config-")
    name = f"file:/boot/config-{release}"
    how = f"{request.config.name} of the kernel's package"
    return {name: Capture(name, CaptureStatus.OK, request.config.read_bytes(), how)}


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
    words = [Path(argv[0]).name, *argv[1:]]
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


def _not_installed(machine: Machine, program: str) -> TargetError:
    return TargetError(
        "cannot boot an emulated machine",
        f"{program} is not installed",
        f"install {machine.package}",
    )
