"""``uplift diff``: what differs between machines, releases, flavours or architectures."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.cli import output
from uplift.cli.targets import (
    add_overlay_option,
    add_target_options,
    catalog_of_user,
    one_snapshot,
    options_of,
)
from uplift.errors import FOUND, UpliftError

if TYPE_CHECKING:
    from uplift.catalog.model import Catalog
    from uplift.catalog.releases import Place
    from uplift.facts.annotations import Annotations
    from uplift.lab.model import Options
    from uplift.resolve.difference_model import Side

_SIDE_HELP = (
    "a release: bookworm, trixie/arm64, noble+hwe-6.17; or a machine as scan takes it: local, "
    "ssh:[user@]host[:port], a snapshot file or another recording"
)
_CAUSES = ("avoidable", "intended", "release", "inherent", "unknown")


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "diff",
        help="what differs for a user between platforms or releases: inherent or avoidable",
        description="Compare machines, releases, flavours or architectures: what each does by "
        "default, which features it passes on, how its kernel was built, what is installed; and "
        "say of each difference whose it is and what removes it.",
    )
    parser.add_argument("side", nargs="+", metavar="SIDE", help=_SIDE_HELP)
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="FILE",
        help="Ubuntu's kernel annotations: a note there says why an option differs",
    )
    parser.add_argument(
        "--arch", help="of releases named without one: amd64, arm64, … (this machine's)"
    )
    add_target_options(parser)
    add_overlay_option(parser)
    parser.add_argument("--all", action="store_true", help="list what is otherwise counted")
    parser.add_argument("--json", action="store_true", help="print uplift-diff/1 JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page, works offline")
    parser.add_argument(
        "--fail-on",
        choices=_CAUSES,
        action="append",
        default=[],
        help="exit with 1 when a difference has this cause (repeatable)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare the sides."""
    from uplift.catalog.defaults import load_defaults
    from uplift.report.difference import ComparisonText, comparison_to_json, counts
    from uplift.resolve.difference import compare

    if len(args.side) < 2:
        raise UpliftError(
            f"cannot compare {args.side[0]} with nothing",
            "one side was named",
            "name two or more, for example: uplift diff bookworm trixie",
        )
    catalog = catalog_of_user(args.overlay)
    comparison = compare(_sides(args, catalog), catalog, load_defaults())
    if args.html:
        from uplift.report.difference_html import render_comparison

        output.write_file(args.html, render_comparison(comparison))
    if args.json:
        output.print_json(comparison_to_json(comparison))
    elif not args.html:
        ComparisonText(comparison, output.unicode_output(), args.all).print(output.console())
    found = {cause.value for cause, count in counts(comparison).items() if count}
    return FOUND if found & set(args.fail_on) else 0


def _sides(args: argparse.Namespace, catalog: Catalog) -> list[Side]:
    from uplift.cli.matrix import release_places
    from uplift.facts.annotations_file import load_annotations

    annotations = load_annotations(args.annotations) if args.annotations else None
    places = release_places(catalog)
    arch = args.arch or _this_architecture()
    return [_side(name, arch, places, annotations, options_of(args)) for name in args.side]


def _side(
    name: str,
    arch: str,
    places: Sequence[Place],
    annotations: Annotations | None,
    options: Options,
) -> Side:
    """Return a release where its name is one; otherwise the machine or recording."""
    from uplift.catalog.releases import release_names

    release, _, its_arch = name.partition("/")
    known = release_names(places)
    if release.partition("+")[0] in known and not Path(name).exists():
        offered = known[release.partition("+")[0]]
        chosen = its_arch or (arch if arch in offered else next(iter(offered)))
        return _release(name, release, chosen, places, annotations)
    if name != "local" and not name.startswith("ssh:") and not Path(name).exists():
        raise UpliftError(
            f"cannot tell what {name[:100]!r} is",
            "it is no release that was recorded or cited, and no such file exists",
            f"name one of {', '.join(known)}, local, ssh:HOST, or a recording",
        )
    return _machine(name, annotations, options)


def _release(
    name: str, release: str, arch: str, places: Sequence[Place], annotations: Annotations | None
) -> Side:
    from uplift.catalog.releases import ARCHITECTURES, load_release
    from uplift.resolve.difference_release import release_side

    if arch not in ARCHITECTURES:
        raise UpliftError(
            f"cannot tell which architecture {arch[:40]!r} is",
            "releases are named by Debian's architectures",
            f"use one of {', '.join(ARCHITECTURES)}",
        )
    return release_side(name, load_release(release, arch, places), annotations)


def _machine(name: str, annotations: Annotations | None, options: Options) -> Side:
    from uplift.facts.parsers import read_facts
    from uplift.resolve.difference_model import Side

    snapshot = one_snapshot(None if name == "local" else name, options)
    return Side(_short_name(name), "machine", read_facts(snapshot), annotations=annotations)


def _short_name(name: str) -> str:
    return Path(name).name.partition(".")[0] if "/" in name and ":" not in name else name


def _this_architecture() -> str:
    """Return Debian's name of the architecture that this runs on; amd64 where it has none."""
    from uplift.catalog.releases import ARCHITECTURES

    machine = platform.machine()
    return next(
        (debian for debian, (_, uname) in ARCHITECTURES.items() if uname == machine), "amd64"
    )
