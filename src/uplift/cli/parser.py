"""The argument parser: the one source of help, man pages, completion and the CLI reference."""

from __future__ import annotations

import argparse

import uplift
from uplift.cli import (
    backport,
    boot,
    catalog,
    chip,
    completion,
    config,
    cpuid,
    diff,
    explain,
    fix,
    isa,
    matrix,
    rebuild,
    release,
    scan,
)

COMMANDS = (
    *(scan, explain, fix, matrix, diff, chip, release, boot, backport, isa, rebuild),
    *(config, cpuid, catalog, completion),
)

_EPILOG = """exit codes: 0 met; 1 found something it was asked to fail on; 2 usage or input;
3 a target could not be reached. NO_COLOR switches colours off."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="uplift",
        description="Follow every feature of a chip through the server stack: where it stops, "
        "whose stop it is, and what lifts it.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"uplift {uplift.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_to(commands)
    return parser
