"""Headers of patch files as DEP-3 (Patch Tagging Guidelines) has them. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from uplift.backport.model import Commit
from uplift.backport.profiles import Profile
from uplift.backport.series_text import TO_WRITE, Form, Links

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]?(.*)")


def header(
    commit: Commit, form: Form, profile: Profile, links: Links, today: int, address: str = ""
) -> str:
    """Return the header of the patch that carries ``commit``, ending with a separator.

    :param today: seconds since 1970.
    :param address: where upstream shows a commit, with ``{sha}`` in it; empty: the sha is named.
    """
    source = address.format(sha=commit.sha) if address else f"commit:{commit.sha}"
    kind = "upstream" if form is Form.PICKED else "backport"
    lines = [
        f"Description: {commit.subject or 'TO WRITE'}",
        *_continued(commit.body),
        f"Author: {commit.author.name} <{commit.author.email}>",
        f"Origin: {kind}, {source}",
    ]
    if form is not Form.PICKED:
        lines.append(f"Comment: {TO_WRITE} what was changed and why")
    if links.bug:
        lines.append(profile.bug.line.format(bug=links.bug))
    lines.append(f"Last-Update: {datetime.fromtimestamp(today, timezone.utc):%Y-%m-%d}")
    lines.append("---")
    return "\n".join(lines) + "\n"


def _continued(body: str) -> list[str]:
    """Return the long description: each line indented, an empty one as a single dot."""
    return [f" {line}".rstrip() if line.strip() else " ." for line in _trimmed(body)]


def _trimmed(body: str) -> list[str]:
    lines = body.strip("\n").split("\n")
    return lines if any(line.strip() for line in lines) else []


def fields(text: str) -> dict[str, str]:
    """Read the header of a patch file: the fields above the patch, names in lower case."""
    found: dict[str, str] = {}
    last = ""
    for line in text.split("\n"):
        if re.match(r"---|diff |Index: ", line):
            break
        match = _FIELD.match(line)
        if match:
            last = match[1].lower()
            found.setdefault(last, match[2].strip())
        elif line[:1] == " " and last:
            found[last] += f"\n{line.strip()}"
    return found
