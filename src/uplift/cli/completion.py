"""``uplift completion``: shell completion, from the same parser as everything else."""

from __future__ import annotations

import argparse
from typing import Any

from uplift.errors import UpliftError

SHELLS = ("bash", "zsh", "tcsh")


def add_to(commands: Any) -> None:
    """Add the command to ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "completion",
        help="print the completion script of a shell",
        description="Print a completion script: uplift completion bash > "
        "~/.local/share/bash-completion/completions/uplift",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from uplift.cli.parser import build_parser

    try:
        import shtab
    except ImportError:
        raise UpliftError(
            "cannot make the completion script",
            "the Python package shtab is not installed",
            "install python3-shtab, or pip install shtab",
        ) from None
    print(shtab.complete(build_parser(), args.shell))
    return 0
