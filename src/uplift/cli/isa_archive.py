"""``uplift isa archive``: audits every package of an archive, a directory, or a system."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.errors import UNREACHABLE, TargetError, UpliftError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from uplift.isa.archive import Executors
    from uplift.isa.archive_work import Selection, Work

_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}


def add_to(actions: Any) -> None:
    """Add the command to those of ``uplift isa``."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "archive",
        help="audit every package of an archive, a directory, or an installed system",
        description="Audit packages as streams, many at once; results are Parquet files in a "
        "directory, for `uplift isa query`. Interrupted at any time, the same command goes on. "
        "With no PATH and no --root, the packages are those of this machine's apt "
        "configuration. Exits with 3 when packages could not be fetched.",
    )
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH",
        help="packages, snaps, images, wheels, or directories of them")  # fmt: skip
    add("--into", type=Path, required=True, metavar="DIR", help="where results are, or go to")
    add("--root", type=Path, metavar="DIR", help="an installed system: what dpkg recorded there")
    add("--suite", action="append", default=[], help="of apt's archive; may be repeated; "
        "default: those of apt's configuration")  # fmt: skip
    add("--component", action="append", default=[], help="only of this one; may be repeated")
    add("--name", action="append", default=[], metavar="PATTERN",
        help="only packages called so, as a shell matches names; may be repeated")  # fmt: skip
    add("--arch", help="Debian's name of the architecture; default: this machine's")
    add("--mirror", default="", metavar="URI", help="an archive instead of apt's own")
    add("--keyring", type=Path, action="append", default=[], metavar="FILE",
        help="keys that sign the mirror")  # fmt: skip
    add("--sample", type=int, default=0, metavar="N", help="only N packages, by chance")
    add("--seed", type=int, default=0, help="of the chance: the same seed, the same packages (0)")
    add("--jobs", type=int, metavar="N", help="processes; default: one for each processor")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster whose workers do the work")
    add("--json", action="store_true", help="print uplift-isa-archive/1 JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit what is not yet among the results."""
    from uplift.isa import archive
    from uplift.isa.archive_results import arrow, held

    arrow()
    work = _work(args)
    with held(args.into) as results, _executors(args, len(work)) as (executors, workers):
        outcome = archive.run(work, results, executors, workers, _progress)
    _progress(0, 0)
    if args.json:
        from dataclasses import asdict

        output.print_json(
            {"schema": "uplift-isa-archive/1", "results": str(args.into), **asdict(outcome)}
        )
    else:
        print(
            f"{outcome.wanted} packages: {outcome.before} were done before, {outcome.done} now; "
            f"{outcome.refused} could not be audited, {outcome.unreached} not be fetched"
        )
    return UNREACHABLE if outcome.unreached else 0


def _work(args: argparse.Namespace) -> list[Work]:
    from uplift.isa import archive_work

    selection = _selection(args)
    if args.paths and args.root:
        raise UpliftError(
            "cannot tell what to audit", "both PATH and --root are given", "give one of them"
        )
    if args.paths:
        work = archive_work.of_files(args.paths, selection)
    elif args.root:
        work = archive_work.of_installed(args.root, selection)
    else:
        work = _of_apt(args, selection)
    if not work:
        raise UpliftError(
            "cannot audit nothing", "no package is selected", "check --name, --component, --suite"
        )
    return work


def _selection(args: argparse.Namespace) -> Selection:
    from uplift.isa.archive_work import Selection

    if args.sample < 0:
        raise UpliftError("cannot sample", "--sample is negative", "give how many packages")
    return Selection(tuple(args.component), tuple(args.name), args.sample, args.seed)


def _of_apt(args: argparse.Namespace, selection: Selection) -> list[Work]:
    from uplift.isa import archive_work
    from uplift.lab import apt, apt_lists, packages, release_sources

    arch = args.arch or _DEBIAN.get(platform.machine(), "amd64")
    if not arch.isalnum():
        raise TargetError(f"cannot audit {arch[:40]!r}", "it is no architecture", "say amd64")
    sources = None
    if args.suite or args.mirror:
        known = () if args.mirror else release_sources.machine_archives()
        keys = args.keyring or release_sources.KEYRINGS
        sources = release_sources.sources(args.suite, arch, known, args.mirror, keys)
        if not args.suite:
            raise UpliftError("cannot read the mirror", "no suite is named", "name it: --suite")
    place = "-".join([arch, *args.suite]) if not args.mirror else f"{arch}-mirror"
    lists = apt.Apt(arch, packages.default_cache() / "archive" / place, sources)
    return archive_work.listed(apt_lists.package_lists(lists.index_targets()), selection)


@contextmanager
def _executors(args: argparse.Namespace, count: int) -> Iterator[tuple[Executors, int]]:
    """Give what makes executors: local processes, or a Dask cluster's."""
    if args.scheduler:
        with _cluster(args.scheduler) as (executors, workers):
            yield executors, workers
        return
    wanted = len(os.sched_getaffinity(0)) if args.jobs is None else args.jobs
    if wanted < 1:
        raise UpliftError(
            f"cannot work with {wanted} processes", "one is the least", "leave --jobs out"
        )
    from uplift.isa.archive import local

    workers = min(wanted, count)
    yield lambda: local(workers), workers


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executors, int]]:
    try:
        import distributed
    except ImportError:
        raise UpliftError(
            "cannot use a Dask cluster",
            "Python's distributed is not installed",
            "install it: pip install distributed",
        ) from None
    try:
        connect: Any = distributed.Client
        client: Any = connect(address, timeout=20)
    except (OSError, ValueError) as error:
        raise TargetError(
            f"cannot reach the Dask cluster {address[:100]!r}",
            str(error)[:200],
            "check --scheduler",
        ) from None

    def executor() -> Executor:
        found: Executor = client.get_executor()
        return found

    with client:
        yield executor, max(1, sum(client.ncores().values()))


def _progress(done: int, total: int) -> None:
    """Show how far it is, on a terminal only; the line is wiped at the end."""
    if sys.stderr.isatty():
        text = f"auditing packages {done}/{total}" if total else ""
        print(f"\r{text:<50}\r", end="", file=sys.stderr, flush=True)
