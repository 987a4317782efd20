"""``uplift boot``: kernels on emulated CPU models, and what surfaces inside."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.errors import FOUND, UpliftError

if TYPE_CHECKING:
    from uplift.catalog.model import Catalog, Feature
    from uplift.facts.model import Snapshot
    from uplift.lab.boot_grid import Ended
    from uplift.lab.qemu import BootRequest
    from uplift.report.boot import Boot
    from uplift.resolve.model import Resolution

_UNSAFE = re.compile(r"[^\w.+=-]+")
#: What ``uname -m`` prints, and what Debian's packages are called.
_ARCHITECTURES = {
    "x86_64": "x86_64",
    "aarch64": "aarch64",
    "riscv64": "riscv64",
    "amd64": "x86_64",
    "arm64": "aarch64",
}


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "boot",
        help="boot kernels on emulated CPU models and record what surfaces inside",
        description="Boot every kernel on every CPU model, run the collector inside, and say what "
        "the emulator dropped of the model. Exit code 1 when a boot was refused or lost.",
    )
    parser.add_argument(
        "--kernel",
        action="append",
        required=True,
        metavar="KERNEL",
        help="a package (.deb; several that belong together joined with commas), an image, a "
        "directory where a package was unpacked, or apt:PACKAGE[/SUITE] (repeatable)",
    )
    parser.add_argument(
        "--cpu",
        action="append",
        metavar="MODEL[,±FEATURE…]",
        help="as QEMU names it: Skylake-Server,-avx512f,+la57 (repeatable; default: max)",
    )
    _add_machine_options(parser)
    _add_answer_options(parser)
    parser.set_defaults(run=run)


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--arch", choices=_ARCHITECTURES, help="default: what the image is for")
    parser.add_argument(
        "--modules", type=Path, metavar="DIR", help="lib/modules/<release> of a bare image"
    )
    parser.add_argument("--append", default="", metavar="TEXT", help="to the kernel command line")
    parser.add_argument(
        "--accel",
        choices=("auto", "kvm", "tcg"),
        default="auto",
        help="auto: KVM where a boot shows that it works, else emulation (default)",
    )
    parser.add_argument(
        "--enforce", action="store_true", help="refuse a model that the emulator lacks a part of"
    )
    parser.add_argument(
        "--kvm-modules",
        action="store_true",
        help="load KVM inside and record what it would offer to guests",
    )
    parser.add_argument(
        "--timeout", type=_positive, default=120, metavar="SECONDS", help="per boot (120)"
    )
    parser.add_argument(
        "--memory", type=int, default=512, metavar="MIB", help="of each machine (512)"
    )
    parser.add_argument("--qemu", default="", metavar="PROGRAM", help="another QEMU than PATH's")
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="machines at once (by cores and memory)"
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 86400:
        raise argparse.ArgumentTypeError("must be above 0 and below a day")
    return value


def _add_answer_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--everything",
        action="store_true",
        help="record all that the collector knows, not only what a kernel surfaces of a CPU",
    )
    parser.add_argument(
        "--explain", metavar="FEATURE", help="what becomes of this feature inside each machine"
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE|DIR",
        help="write the snapshots, redacted; several go to DIR/<release>.<cpu>.jsonl.gz",
    )
    parser.add_argument("--json", action="store_true", help="print uplift-boot/1 JSON")


def run(args: argparse.Namespace) -> int:
    """Boot the grid; one boot that fails never costs the others."""
    requests, names = _requests(args)
    args.several = len(requests) > 1
    explained = _explained(args.explain)
    shown = _Shown(args.json)
    with _progress(len(requests)) as advance, closing(_boots(requests, args)) as ended:
        for one in ended:
            shown.add(one.number, _answered(one, names[one.number], explained, args))
            advance()
    return shown.end()


class _Shown:
    """Shows boots as they end, and all of them at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._boots: dict[int, Boot] = {}
        self._told: set[str] = set()

    def add(self, number: int, boot: Boot) -> None:
        """Show how one ended."""
        self._boots[number] = boot
        if not self._as_json:
            from uplift.report.boot import print_before, print_boot

            print_before(boot, self._told, output.console())
            print_boot(boot, output.console())

    def end(self) -> int:
        """Show all, in the order that they were asked for; return the exit code."""
        from uplift.report.boot import boots_to_json, print_table

        boots = [self._boots[number] for number in sorted(self._boots)]
        if self._as_json:
            output.print_json(boots_to_json(boots))
        elif len(boots) > 1:
            print_table(boots, output.console())
        return 0 if all(boot.met for boot in boots) else FOUND


def _requests(args: argparse.Namespace) -> tuple[list[BootRequest], list[tuple[str, str]]]:
    """Return what to boot, and of each the release and the CPU model as it was written."""
    from uplift.lab.cpu_names import qemu_model
    from uplift.lab.kernels import find_kernels
    from uplift.lab.model import Options
    from uplift.lab.qemu import BootRequest

    models = [(text, qemu_model(text)) for text in dict.fromkeys(args.cpu or ["max"])]
    kernels = find_kernels(args.kernel, _ARCHITECTURES.get(args.arch, ""), args.modules)
    grid = list(product(kernels, models))
    requests = [
        BootRequest.of(
            kernel,
            model,
            append=args.append,
            accel=args.accel,
            enforce=args.enforce,
            kvm_modules=args.kvm_modules,
            everything=args.everything,
            timeout=args.timeout,
            memory_mib=args.memory,
            program=args.qemu,
            options=Options(redact=args.save is not None),
        )
        for kernel, (_, model) in grid
    ]
    return requests, [(kernel.release, text) for kernel, (text, _) in grid]


def _boots(
    requests: Sequence[BootRequest], args: argparse.Namespace
) -> Generator[Ended, None, None]:
    from uplift.lab.boot_grid import boot_all

    return boot_all(requests, args.jobs, meanwhile=_import_late)


def _import_late() -> None:
    """Import while the machines start what is needed when they end."""
    import uplift.facts.redaction
    import uplift.report.boot  # noqa: F401


def _explained(name: str | None) -> tuple[Catalog, Feature] | None:
    if name is None:
        return None
    from uplift.cli.targets import catalog_of_user, find_feature

    catalog = catalog_of_user()
    return catalog, find_feature(catalog, name)


def _answered(
    ended: Ended,
    name: tuple[str, str],
    explained: tuple[Catalog, Feature] | None,
    args: argparse.Namespace,
) -> Boot:
    from uplift.report.boot import Boot

    result = ended.result
    snapshot = None if isinstance(result, UpliftError) else result.snapshot
    if snapshot is None:
        return Boot(name[0], ended.request.arch, name[1], result)
    return Boot(
        *(name[0], ended.request.arch, name[1], result),
        saved=_save(snapshot, name, args),
        feature=_judged(snapshot, explained) if explained else None,
    )


def _judged(snapshot: Snapshot, explained: tuple[Catalog, Feature]) -> Resolution:
    from uplift.facts.parsers import read_facts
    from uplift.resolve.scan import resolve_one

    catalog, feature = explained
    return resolve_one(catalog, feature, read_facts(snapshot))


def _save(snapshot: Snapshot, name: tuple[str, str], args: argparse.Namespace) -> Path | None:
    if args.save is None:
        return None
    from uplift.facts import snapshot_file

    path = _place(args, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UpliftError(
            f"cannot make {path.parent}",
            error.strerror or str(error),
            "choose a directory that you may write to",
        ) from None
    snapshot_file.save(snapshot, path)
    return path


def _place(args: argparse.Namespace, name: tuple[str, str]) -> Path:
    """Return the file that is named, or one in the directory that is."""
    save: Path = args.save
    if not args.several and not save.is_dir() and save.suffix:
        return save
    release, cpu = (_UNSAFE.sub("_", part.replace(",", "+")).lstrip(".") for part in name)
    return save / f"{release}.{cpu}.jsonl.gz"


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Show on a terminal how far a grid is."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("booting", total=total)
        yield lambda: progress.advance(task)
