"""``uplift release``: record a release's software, list and show what is known of releases."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.cli.targets import add_overlay_option, catalog_of_user
from uplift.errors import UpliftError

if TYPE_CHECKING:
    from uplift.facts.model import Snapshot
    from uplift.lab.release_record import Request
    from uplift.lab.release_root import Progress

ARCHITECTURES = ("amd64", "arm64", "riscv64", "s390x", "ppc64el")


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "release",
        help="record a release from its own packages; list and show releases",
        description="What a release's kernel, emulator, compilers and libraries can do, recorded "
        "from its own packages or cited from documents: what `uplift matrix` plans with.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_record(actions)
    _add_list(actions)
    _add_show(actions)


def _add_record(actions: Any) -> None:
    parser = actions.add_parser(
        "record",
        help="record a release's software, without a machine that runs it",
        description="Fetch a release's packages with apt, unpack them without installing them, "
        "run the collector among them and read the kernels. Nothing on this machine changes; no "
        "root is needed. Another architecture's programs run through qemu-user.",
    )
    parser.add_argument("name", metavar="NAME", help="what to call it: trixie, bookworm-backports")
    add = parser.add_argument
    add(
        "--suite",
        action="append",
        required=True,
        metavar="SUITE",
        help="of the archive; repeat for updates, security and backports",
    )
    add(
        "--arch",
        action="append",
        choices=(*ARCHITECTURES, "all"),
        help="Debian's name of the architecture (repeatable; all: amd64, arm64 and riscv64); "
        "default: this machine's",
    )
    add("--mirror", default="", metavar="URI", help="of the archive; default: this machine's own")
    add("--keyring", type=Path, metavar="FILE", help="whose keys sign the archive")
    add("--package", action="append", default=[], metavar="PACKAGE", help="unpack this one, too")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=PACKAGE",
        help="a further kernel as a component set: hwe-6.17=linux-image-generic-hwe-24.04",
    )
    add(
        "--annotations",
        type=Path,
        metavar="FILE",
        help="Ubuntu's kernel configuration annotations, which no package holds",
    )
    add(
        "--only",
        choices=("kernel", "software"),
        default="",
        help="record this part again and keep the rest of the last recording",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="where recordings go; default: this user's data directory",
    )
    add("--keep-root", action="store_true", help="leave what was unpacked, and say where it is")
    parser.set_defaults(run=run_record)


def _add_list(actions: Any) -> None:
    parser = actions.add_parser("list", help="releases, their architectures and component sets")
    add_overlay_option(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-release/1 JSON")
    parser.set_defaults(run=run_list)


def _add_show(actions: Any) -> None:
    parser = actions.add_parser("show", help="one release: its components, and where each is from")
    parser.add_argument("name", metavar="RELEASE[+SET…]", help="noble, noble+hwe-6.17")
    parser.add_argument("--arch", choices=ARCHITECTURES, help="default: every one that is known")
    add_overlay_option(parser)
    parser.add_argument("--json", action="store_true", help="print uplift-release/1 JSON")
    parser.set_defaults(run=run_show)


def run_record(args: argparse.Namespace) -> int:
    """Record a release on each architecture asked for; print the files written."""
    from uplift.lab import release_store

    directory = args.output or release_store.user_directory()
    for arch in _architectures(args.arch):
        for path in _recorded(_request(args, arch), directory, args.keep_root):
            print(path)
    return 0


def _architectures(named: list[str] | None) -> list[str]:
    from uplift.lab.release_record import machine_architecture

    wanted = named or [machine_architecture()]
    every = ["amd64", "arm64", "riscv64"] if "all" in wanted else []
    return list(dict.fromkeys([*every, *(arch for arch in wanted if arch != "all")]))


def _request(args: argparse.Namespace, arch: str) -> Request:
    from uplift.lab.release_record import Request

    return Request(
        name=args.name,
        suites=tuple(args.suite),
        arch=arch,
        packages=tuple(args.package),
        kernels=dict(map(_named_kernel, args.set)),
        mirror=args.mirror,
        keyring=args.keyring,
        annotations=args.annotations,
        only=args.only,
    )


def _named_kernel(text: str) -> tuple[str, str]:
    name, equals, package = text.partition("=")
    if not (name and equals and package):
        raise UpliftError(
            f"cannot tell which kernel {text!r} names",
            "a set reads NAME=PACKAGE",
            "write for example --set cloud=linux-image-cloud-amd64",
        )
    return name, package


def _recorded(request: Request, directory: Path, keep: bool) -> list[Path]:
    from uplift.lab import release_record, release_store
    from uplift.lab.packages import default_cache

    say = _progress(f"{request.name} {request.arch}")
    work = release_record.workplace(default_cache() / "releases", request, keep)
    with work as place:
        found = _with_library_use(release_record.record(request, place, say), request, place, say)
        if keep:
            print(f"root: {place / 'root'}", file=sys.stderr)
    say("")
    return release_store.keep(directory, request.name, request.arch, found, request.only)


def _with_library_use(
    found: dict[str, Snapshot], request: Request, place: Path, say: Progress
) -> dict[str, Snapshot]:
    """Add to a release's software what its files use of the chips that they may run on."""
    from uplift.cli.library_use import audited
    from uplift.lab.release_store import BASE

    if request.only == "kernel":
        return found

    def told(done: int, total: int) -> None:
        say(f"auditing its libraries {done}/{total}")

    return {**found, BASE: audited(found[BASE], place / "root", told)}


def _progress(what: str) -> Progress:
    """Return what shows a line of progress: on a terminal only, over the line before."""
    from uplift.lab.process import printable

    def say(text: str) -> None:
        if sys.stderr.isatty():
            line = f"{what}: {printable(text, 100)}" if text else ""
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    return say


def run_list(args: argparse.Namespace) -> int:
    """List releases."""
    from uplift.cli.matrix import release_places
    from uplift.report import release as shown

    rows = shown.listed(release_places(catalog_of_user(args.overlay)))
    if args.json:
        output.print_json(shown.list_to_json(rows))
    else:
        shown.print_list(rows, output.console())
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show one release on one architecture, or on each."""
    from uplift.catalog.releases import load_release, release_names
    from uplift.cli.matrix import release_places
    from uplift.report import release as shown

    places = release_places(catalog_of_user(args.overlay))
    known = release_names(places).get(args.name.partition("+")[0], {})
    wanted = [args.arch] if args.arch else list(known) or [ARCHITECTURES[0]]
    selected = [load_release(args.name, arch, places) for arch in wanted]
    if args.json:
        output.print_json(shown.show_to_json(selected))
    else:
        shown.print_release(selected, output.console())
    return 0
