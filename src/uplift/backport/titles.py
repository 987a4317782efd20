"""Titles of commits as they are compared."""

from __future__ import annotations

import re

_TAGS = re.compile(r"^(?:\s*\[[^\]]{0,60}\])+\s*")


def plain_title(title: str) -> str:
    """Return ``title`` with spaces and case levelled, and what mail put before it taken off."""
    return " ".join(_TAGS.sub("", title).split()).casefold()
