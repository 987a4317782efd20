"""``uplift rebuild``: a source package for an ISA level, and what that changed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.errors import FOUND, UpliftError

if TYPE_CHECKING:
    from uplift.isa.rebuild import Rebuilt, Request
    from uplift.isa.rebuild_queue import Item, Queue

_ARCHES = {"x86_64": "x86-64", "aarch64": "aarch64", "riscv64": "riscv64"}


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "rebuild",
        help="rebuild source packages for an ISA level, and compare",
        description="Rebuild a source package of the machine's own apt archive for a level or a "
        "chip: unprivileged, in a clean root without network, its own tests included; audit it "
        "before and after; and put the packages into a local apt repository. A package whose "
        "tests fail is not put there. This machine's own configuration does not change.",
    )
    add = parser.add_argument
    add("source", nargs="?", metavar="SRC[=VERSION]", help="a source package, or one made of it")
    add(
        "--level",
        required=True,
        metavar="LEVEL",
        help="x86-64-v3, x86-64-v4, armv9-a, znver5, sapphirerapids, native, …",
    )
    add(
        "--variant",
        default="",
        metavar="NAME",
        help="name the packages as Ubuntu's architecture variant (amd64v3), with the archive's "
        "own version, instead of giving them a version of their own",
    )
    add("--into", type=Path, metavar="DIR", help="the repository; default: rebuilt/LEVEL")
    add("--no-tests", action="store_true", help="leave the package's own tests out")
    add(
        "--suite",
        action="append",
        default=[],
        metavar="SUITE",
        help="of the archive, instead of the machine's own suites (repeatable)",
    )
    add("--mirror", default="", metavar="URI", help="of the archive; default: this machine's own")
    add("--keyring", type=Path, metavar="FILE", help="whose keys sign the archive")
    add("--rank", type=Path, metavar="FILE", help="rebuild a ranking's packages: CSV or JSON")
    add("-n", "--number", type=int, default=10, metavar="N", help="how many of them (10)")
    add(
        "--control",
        action="store_true",
        help="build with the archive's own flags, too, and compare with that: the same compiler, "
        "and a name for every function on both sides",
    )
    add("--retry", action="store_true", help="with --rank: once more what failed before")
    add("--hours", type=float, default=4, metavar="H", help="a build may take (4)")
    add("--disk", type=int, default=40, metavar="GIB", help="a build may take (40)")
    add("--jobs", type=int, default=0, metavar="N", help="compilers at once; default: processors")
    add("--refresh", action="store_true", help="make the clean root anew")
    add("--json", action="store_true", help="print uplift-rebuild/1 JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Rebuild one package, or a ranking's."""
    if bool(args.source) == bool(args.rank):
        raise UpliftError(
            "cannot tell what to rebuild",
            "a source package or --rank FILE is needed, not both",
            "write for example: uplift rebuild zstd --level x86-64-v3",
        )
    return _run_queue(args) if args.rank else _run_one(args)


def _run_one(args: argparse.Namespace) -> int:
    from uplift.isa.rebuild import rebuild
    from uplift.report import rebuild as shown

    result = rebuild(_request(args, args.source), _say(args.source))
    _say("")("")
    if args.json:
        output.print_json(shown.to_json([result]))
    else:
        shown.print_rebuilt(result, output.console())
    return 0


def _run_queue(args: argparse.Namespace) -> int:
    from uplift.isa import rebuild_night, rebuild_queue
    from uplift.report import rebuild as shown

    into = _into(args)
    wanted = rebuild_queue.sources_of(_ranking(args.rank), args.number)
    with rebuild_night.held(into):
        queue = rebuild_queue.joined(rebuild_night.load(into), args.level, wanted)
        queue = rebuild_queue.again(queue) if args.retry else queue
        queue = rebuild_night.work_off(queue, into, _builder(args, into), _told)
    if args.json:
        output.print_json(shown.to_json([], queue))
    else:
        shown.print_queue(queue, output.console())
    return FOUND if queue.counts()["failed"] else 0


def _builder(args: argparse.Namespace, into: Path) -> Callable[[str], Rebuilt]:
    """Return what rebuilds one package of a queue, and leaves its report in the repository."""
    import json

    from uplift.isa.rebuild import rebuild
    from uplift.report import rebuild as shown

    def build(source: str) -> Rebuilt:
        request = _request(args, source)
        args.refresh = False  # once a night
        result = rebuild(request, _say(source))
        reports = into / "reports"
        reports.mkdir(parents=True, exist_ok=True)
        text = json.dumps(shown.to_json([result]), ensure_ascii=False)
        output.write_file(reports / f"{result.source}.json", text + "\n")
        return result

    return build


def _told(queue: Queue, item: Item) -> None:
    from uplift.lab.process import printable

    counts = queue.counts()
    left = counts["waiting"]
    _say("")("")
    line = f"{printable(item.source)}: {item.progress.value} in {item.seconds:.0f} s"
    why = f", {printable(item.why)}" if item.why else ""
    print(f"{line}{why}; {left} to go", file=sys.stderr)


def _ranking(path: Path) -> str:
    from uplift.isa.rebuild_queue import MAX_RANKING

    try:
        with path.open("rb") as stream:
            return stream.read(MAX_RANKING).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UpliftError(
            f"cannot read the ranking {path}", str(error), "name a text file that you may read"
        ) from None


def _into(args: argparse.Namespace) -> Path:
    named: Path | None = args.into
    return named or Path("rebuilt") / args.level.replace("/", "_")


def _request(args: argparse.Namespace, source: str) -> Request:
    from uplift.isa.rebuild import Request
    from uplift.lab.build_root import Limits
    from uplift.lab.packages import default_cache

    return Request(
        source=source,
        level=args.level,
        arch=_arch(),
        into=_into(args),
        cache=default_cache() / "rebuild",
        variant=args.variant,
        tests=not args.no_tests,
        suites=tuple(args.suite),
        mirror=args.mirror,
        keyring=args.keyring,
        limits=Limits(seconds=args.hours * 3600, disk=args.disk << 30),
        jobs=args.jobs or len(os.sched_getaffinity(0)),
        refresh=args.refresh,
        control=args.control,
    )


def _arch() -> str:
    machine = platform.machine()
    if machine not in _ARCHES:
        raise UpliftError(
            f"cannot rebuild packages on {machine}",
            "no levels are known for it",
            f"use a machine of {', '.join(_ARCHES)}",
        )
    return _ARCHES[machine]


def _say(what: str) -> Callable[[str], None]:
    """Return what shows a line of progress: on a terminal only, over the line before."""
    from uplift.lab.process import printable

    def say(text: str) -> None:
        if sys.stderr.isatty():
            line = f"{printable(what, 60)}: {printable(text, 100)}" if text else ""
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    return say
