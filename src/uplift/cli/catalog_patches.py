"""``uplift catalog public-patch`` and ``upstream``: what the catalog knows, as patches."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from typing import Any

from uplift.cli.targets import add_overlay_option
from uplift.errors import UpliftError

_KINDS = {
    "feature": "features",
    "chip": "chips",
    "list": "lists of features",
    "release": "releases",
    "set": "component sets",
    "recording": "recordings",
}


def add_to(actions: Any) -> None:
    """Add the actions to those of ``uplift catalog``."""
    _add_public_patch(actions)


def _add_public_patch(actions: Any) -> None:
    parser = actions.add_parser(
        "public-patch",
        help="the part of an overlay that may go public, as a patch",
        description="Print the entries that are marked public, whose day has come (--as-of), or "
        "that --allow names, as a patch against the catalog's own files. This is the only command "
        "that drops a label.",
    )
    add_overlay_option(parser)
    parser.add_argument(
        "--allow",
        nargs="+",
        action="extend",
        default=[],
        metavar="ID",
        help="these may go public: a feature's id, a code name, a release, release+set",
    )
    parser.add_argument(
        "--as-of", default="", metavar="DAY", help="what lifts on this day or before may go public"
    )
    parser.add_argument(
        "--prefix", help="where the catalog's files lie in the repository to be patched"
    )
    parser.set_defaults(run=run_public_patch)


def run_public_patch(args: argparse.Namespace) -> int:
    """Print the patch; on standard error how much is in it and how much was left out."""
    from uplift.catalog.load import catalog_texts
    from uplift.catalog.overlay_files import read_overlay
    from uplift.catalog.public_patch import PREFIX, public_patch

    if not args.overlay:
        raise UpliftError(
            "cannot tell what may go public", "no overlay was named", "add --overlay DIR"
        )
    if args.as_of and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", args.as_of):
        raise UpliftError(
            f"cannot tell which day {args.as_of[:40]!r} is",
            "a day reads YYYY-MM-DD",
            "write for example --as-of 2027-01-15",
        )
    overlays = [read_overlay(directory) for directory in args.overlay]
    patch = public_patch(
        catalog_texts(), overlays, frozenset(args.allow), args.as_of, args.prefix or PREFIX
    )
    sys.stdout.write(patch.text)
    print(f"in the patch: {_counted(patch.taken)}", file=sys.stderr)
    print(f"left out, not public: {_counted(patch.left_out)}", file=sys.stderr)
    return 0


def _counted(counts: Mapping[str, int]) -> str:
    shown = [f"{counts[kind]} {words}" for kind, words in _KINDS.items() if counts.get(kind)]
    return ", ".join(shown) or "nothing"
