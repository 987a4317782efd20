"""Where results go: standard output or a file that appears whole or not at all."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uplift.errors import UpliftError

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Return the console of standard output: colours only on a terminal, never with NO_COLOR."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 110
    return Console(width=wide, highlight=False, soft_wrap=False)


def unicode_output() -> bool:
    """Say whether standard output can show more than ASCII."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def print_json(document: Any) -> None:
    """Print one JSON document: indented for a person, one line for a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=False) + "\n")


def write_file(path: Path, text: str) -> None:
    """Write ``path`` whole: to a temporary file beside it, then renamed.

    :raises UpliftError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_text(text, "utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UpliftError(
            f"cannot write {path}",
            error.strerror or str(error),
            "choose a directory that exists and that you may write to",
        ) from None
