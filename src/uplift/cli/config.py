"""``uplift config``: a kernel's configuration against the policy of its tree."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from uplift.cli import output
from uplift.errors import FOUND, UpliftError


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "config",
        help="a kernel's configuration against the policy of its tree",
        description="Check a kernel's configuration against Ubuntu's annotations.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check: argparse.ArgumentParser = actions.add_parser(
        "check",
        help="does a configuration do what the annotations say?",
        description="Compare each option of a kernel's configuration with what the annotations "
        "say for an architecture and flavour. Exits with 1 when a policy is violated.",
    )
    check.add_argument(
        "annotations",
        type=Path,
        metavar="ANNOTATIONS",
        help="debian.KERNEL/config/annotations; includes are read from the same tree",
    )
    check.add_argument(
        "config",
        type=Path,
        metavar="CONFIG",
        help="a .config, /boot/config-RELEASE or /proc/config.gz",
    )
    check.add_argument("--arch", required=True, help="as the annotations name it: amd64, arm64")
    check.add_argument("--flavour", default="generic", help="generic when left out")
    check.add_argument(
        "--strict", action="store_true", help="fail on options that no policy speaks of, too"
    )
    check.add_argument("--all", action="store_true", help="list every violation")
    check.add_argument("--json", action="store_true", help="print uplift-config-check/1 JSON")
    check.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check one configuration."""
    from uplift.facts.annotations import check_config
    from uplift.facts.annotations_file import load_annotations, load_config
    from uplift.report.config_check import ConfigCheck, check_to_json, print_check

    annotations = load_annotations(args.annotations)
    _known(args.arch, annotations.archs, "architecture")
    named = f"{args.arch}-{args.flavour}"
    _known(named, (*annotations.flavours, *annotations.derived.values()), "flavour")
    found = check_config(annotations, load_config(args.config), args.arch, args.flavour)
    check = ConfigCheck(
        str(args.annotations),
        str(args.config),
        args.arch,
        args.flavour,
        len(annotations.of(args.arch, args.flavour)),
        found,
    )
    if args.json:
        output.print_json(check_to_json(check))
    else:
        print_check(check, output.console(), args.all)
    return FOUND if check.violations or (args.strict and check.uncovered) else 0


def _known(name: str, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        raise UpliftError(
            f"cannot check against {name}",
            f"the annotations have no such {what}",
            f"choose one of {', '.join(known)}",
        )
