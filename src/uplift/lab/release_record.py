"""Record a release: unpack its software, run the collector in it, read its kernels."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from uplift import __version__
from uplift.errors import TargetError
from uplift.facts import snapshot_file
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.lab import apt, release_kernel, release_packages, release_root, release_sources
from uplift.lab.model import COLLECTOR
from uplift.lab.release_root import Progress
from uplift.lab.release_store import BASE

#: Debian's name of an architecture to ``uname -m``.
MACHINES: Mapping[str, str] = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64el": "ppc64le",
}
_BUDGET = 3600  #: seconds for the collector; under emulation a compiler takes several to start
_GRACE = 60
#: Of these a missing program says that the release lacks it; of others, that it was not asked for.
_PROMISED = (
    *("cmd:gcc", "cmd:clang", "cmd:as/", "cmd:qemu-", "cmd:virsh/", "cmd:libvirtd/", "cmd:ld.so/"),
    *("cmd:dpdk/", "cmd:ovs-", "cmd:openssl/", "cmd:python3/", "probe:", "tree:", "list:"),
)


def machine_architecture() -> str:
    """Return Debian's name of this machine's architecture.

    :raises TargetError: it has none here.
    """
    machine = platform.machine()
    found = next((arch for arch, name in MACHINES.items() if name == machine), "")
    if not found:
        raise TargetError(
            f"cannot record a release for {machine}",
            "there is no Debian architecture for it here",
            f"name one: --arch {' or '.join(MACHINES)}",
        )
    return found


@dataclass(frozen=True)
class Request:
    """What to record.

    :param arch: Debian's name of the architecture.
    :param packages: more than what stands for every release.
    :param kernels: set to package, more than what the suites have.
    :param mirror: the URI of an archive; empty: the machine's own.
    :param keyring: whose keys sign it; None: the machine's keyrings.
    :param annotations: Ubuntu's kernel configuration annotations.
    :param only: ``kernel`` or ``software``; empty: both.
    """

    name: str
    suites: tuple[str, ...]
    arch: str
    packages: tuple[str, ...] = ()
    kernels: Mapping[str, str] = field(default_factory=dict)
    mirror: str = ""
    keyring: Path | None = None
    annotations: Path | None = None
    only: str = ""


def record(request: Request, work: Path, say: Progress) -> dict[str, Snapshot]:
    """Record a release on one architecture.

    :param work: a directory for what is unpacked; about 2 GB.
    :return: set to snapshot, the base first.
    :raises TargetError: packages cannot be had, or their programs cannot be run here.
    """
    machine = MACHINES[request.arch]
    store = apt.Apt(request.arch, work / "apt", _sources(request))
    say(f"reading the package lists of {', '.join(request.suites)}")
    available = store.names()
    captures: dict[str, dict[str, Capture]] = {BASE: {}}
    if request.only != "kernel":
        captures[BASE] = _software(request, store, available, work, say)
    if request.only != "software":
        for name, package in _kernels(request, available).items():
            files = release_kernel.fetch(store, package, machine, work / "kernel", say)
            say(f"reading the kernel {files.release}")
            captures.setdefault(name, {}).update(
                release_kernel.captures(files, request.annotations)
            )
    return {name: _snapshot(request, found) for name, found in captures.items() if found}


def _sources(request: Request) -> apt.Sources:
    known = () if request.mirror else release_sources.machine_archives()
    keyrings = [request.keyring] if request.keyring else release_sources.KEYRINGS
    return release_sources.sources(request.suites, request.arch, known, request.mirror, keyrings)


def _kernels(request: Request, available: frozenset[str]) -> dict[str, str]:
    return {
        **release_packages.kernel_packages(request.arch, available),
        **request.kernels,
    }


def _software(
    request: Request, store: apt.Apt, available: frozenset[str], work: Path, say: Progress
) -> dict[str, Capture]:
    wanted = release_packages.wanted_packages(request.arch, available, request.packages)
    root = release_root.build(store, wanted, work, MACHINES[request.arch], say)
    say("recording what its software can do")
    found = collect(root)
    lacking = release_packages.missing_packages(request.arch, available)
    return {
        name: _noted(capture, lacking)
        for name, capture in found.captures.items()
        if capture.status is not CaptureStatus.ABSENT or name.startswith(_PROMISED)
    }


def collect(root: release_root.Root) -> Snapshot:
    """Run the collector in a release's root.

    :raises TargetError: it gave no snapshot.
    """
    words = ("--software", "--jobs", "2", "--budget", str(_BUDGET))
    ended = root.run(
        ["/usr/bin/python3", "-I", "-S", "-", *words],
        stdin=COLLECTOR.read_bytes(),
        timeout=_BUDGET + _GRACE,
        max_stdout=snapshot_file.MAX_STREAM,
    )
    if not ended.ok:
        why = "it took too long" if ended.timed_out else ended.complaint
        raise TargetError(
            "cannot record the release's software",
            f"the collector failed in its root: {why or ended.returncode}",
            "keep the root with --keep-root and run its programs by hand",
        )
    return snapshot_file.read_bytes(ended.stdout, "the release's root")


def _noted(capture: Capture, lacking: Sequence[str]) -> Capture:
    """Say beside the list of packages what was looked for and is not in the suites."""
    if capture.id != "cmd:dpkg-query/packages" or not lacking:
        return capture
    detail = f"{capture.detail}; the suites have no {', '.join(lacking)}"
    return Capture(capture.id, capture.status, capture.data, capture.how, detail)


def _snapshot(request: Request, captures: Mapping[str, Capture]) -> Snapshot:
    return Snapshot(
        dict(captures),
        kind="release",
        origin=f"uplift {__version__} release record: {' '.join(request.suites)}",
        collected_at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        arch=MACHINES[request.arch],
    )


@contextmanager
def workplace(parent: Path, request: Request, keep: bool) -> Iterator[Path]:
    """Give a directory for one recording; removed afterwards unless it is to be kept."""
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{request.name}.{request.arch}-"
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield place
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)
