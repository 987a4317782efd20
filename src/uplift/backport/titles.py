"""Titles of commits as they are compared."""

from __future__ import annotations

import re
from hashlib import blake2b

_TAGS = re.compile(r"^(?:\s*\[[^\]]{0,60}\])+\s*")


def plain_title(title: str) -> str:
    """Return ``title`` with spaces and case levelled, and what mail put before it taken off."""
    if title.startswith(("[", " ")):
        title = _TAGS.sub("", title)
    return " ".join(title.split()).casefold()


def title_key(plain: str) -> int:
    """Return a signed 64-bit number for a plain title; 0 for the empty one, and for no other."""
    if not plain:
        return 0
    digest = blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1
