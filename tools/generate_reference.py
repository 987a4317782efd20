"""Write what is generated from the argument parser: the CLI reference and the man page.

python -m tools.generate_reference [--check]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from argparse_manpage.manpage import Manpage

from uplift import __version__
from uplift.cli.parser import build_parser

ROOT = Path(__file__).resolve().parent.parent
CLI = ROOT / "docs/reference/cli.md"
MAN = ROOT / "man/uplift.1"


def reference() -> str:
    """Return the CLI reference: each command's own help, in order."""
    parts = [
        "# Commands\n\nGenerated from the program (`make docs`); do not edit.\n",
        *(f"## `{parser.prog}`\n\n```text\n{_help(parser)}```\n" for parser in parsers()),
    ]
    return "\n".join(parts)


def manual() -> str:
    """Return the man page in roff."""
    parser = build_parser()
    parser.man_short_description = "where a chip's features stop in the server stack"  # type: ignore[attr-defined]
    page = Manpage(
        parser,
        {
            "project_name": "uplift",
            "version": __version__,
            "date": "2026-11-23",
            "manual_section": "1",
        },
    )
    return str(page)


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Yield the parser and each of its commands, depth first."""
    yield from _with_commands(build_parser())


def _with_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _with_commands(command)


def _help(parser: argparse.ArgumentParser) -> str:
    os.environ["COLUMNS"] = "90"
    os.environ["NO_COLOR"] = "1"
    return parser.format_help()


def main(check: bool) -> int:
    """Write both files; with ``check`` only say whether they are current."""
    stale = []
    for path, text in ((CLI, reference()), (MAN, manual())):
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'out of date: run make docs' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
