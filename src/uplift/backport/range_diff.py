"""How one commit's change differs from another's, as git-range-diff(1) shows it."""

from __future__ import annotations

import re
from difflib import unified_diff

from uplift.backport.patches import changed_lines
from uplift.lab.git import Workspace

MAX_LINES = 120
_MAX_OUTPUT = 4 << 20  #: bytes


def range_diff(workspace: Workspace, upstream: str, commit: str) -> tuple[str, ...]:
    """Return the lines of the range-diff from ``upstream`` to ``commit``; messages left out.

    Commits without a parent, and differences too large for git, are shown by their changed lines.
    """
    ranges = (f"{upstream}^..{upstream}", f"{commit}^..{commit}")
    options = ("--no-color", "--no-notes", "--creation-factor=100", "--no-ext-diff")
    answer = workspace.attempt("range-diff", *options, *ranges, max_stdout=_MAX_OUTPUT)
    if answer.ok and answer.stdout:
        lines = answer.stdout.decode("utf-8", "replace").splitlines()
        return _cut(_without_messages(lines))
    lines_of = changed_lines(workspace, [upstream, commit])
    mine, theirs = (lines_of.get(sha, ()) for sha in (upstream, commit))
    return _cut([*unified_diff(mine, theirs, upstream[:12], commit[:12], "", "", 1, "")])


def _without_messages(lines: list[str]) -> list[str]:
    """Drop the sections that compare authors and messages: provenance lines differ by nature."""
    kept, shown = lines[:1], True
    for line in lines[1:]:
        text = line.strip()
        if text.startswith("@@"):
            shown = not text.startswith(("@@ Metadata", "@@ Commit message"))
        elif " ## " in line or text.startswith("## "):
            shown = not text.lstrip("+- ").startswith(("## Metadata", "## Commit message"))
        if shown:
            kept.append(line)
    return kept


def _cut(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - MAX_LINES
    return tuple(lines[:MAX_LINES]) + ((f"… {more} more lines",) if more > 0 else ())


def lines_of_patch(text: str) -> tuple[str, ...]:
    """Return the changed lines of a unified diff, ``+`` or ``-`` first, headers left out."""
    found, left = [], [0, 0]
    for line in text.split("\n"):
        head = _HUNK.match(line)
        if head and left == [0, 0]:
            left = [int(head[1] or 1), int(head[2] or 1)]
        elif any(left):
            sign = line[:1] or " "
            left[0] -= sign in "- "
            left[1] -= sign in "+ "
            if sign in "+-":
                found.append(line.rstrip("\r"))
    return tuple(found)


_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
