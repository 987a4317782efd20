"""Patches as git writes them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff


def git_patch(changes: Mapping[str, tuple[str, str]]) -> str:
    """Return one patch of several files, for ``git apply`` and ``patch -p1``.

    :param changes: path to what stands there before and after; an empty text before makes the file
        new.
    """
    return "".join(_file(path, *texts) for path, texts in sorted(changes.items()))


def _file(path: str, before: str, after: str) -> str:
    if before == after:
        return ""
    source = f"a/{path}" if before else "/dev/null"
    head = f"diff --git a/{path} b/{path}\n" + ("" if before else "new file mode 100644\n")
    lines = unified_diff(_lines(before), _lines(after), source, f"b/{path}")
    return head + "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    """Return the lines as git counts them: a form feed ends none."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop().removesuffix("\n")
    return [*lines, last] if last else lines
