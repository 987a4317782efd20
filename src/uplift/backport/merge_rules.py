"""What a .gitattributes file says of merging; the rest of it is left out. Pure.

Git reads attributes from the work tree, and here is none. Drivers that a repository names have no
definition in our configuration, so that git merges their files as text, as for anybody who has not
installed the driver.
"""

from __future__ import annotations

import re

_OF_MERGING = re.compile(
    rb"(?:^|\s)[-!]?(?:merge(?:=\S+)?|binary|conflict-marker-size=\d+)(?=\s|$)"
)
_MACRO = re.compile(rb"\[attr\]")


def merge_rules(content: bytes) -> bytes:
    """Return the lines of an attributes file that change how files are merged."""
    lines = (line for line in content.splitlines() if not line.lstrip().startswith(b"#"))
    kept = [line for line in lines if _OF_MERGING.search(line) or _MACRO.match(line)]
    return b"".join(line + b"\n" for line in kept)
