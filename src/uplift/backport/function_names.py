"""Which functions a patch changes: told by hunk headers, and by the lines in the hunk. Pure.

A hunk header names the last function that begins before the hunk's first line (git's default: a
line that begins with a letter, ``_`` or ``$``; gitattributes(5)). A function that begins inside the
hunk is read from its own line, so a change in its first lines is not told of the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 120  #: bytes of a name; what is longer is none
MOST = 5000  #: names of one file in one commit
_LINE = re.compile(rb"^(?:@@ [^@\n]*@@ ?(?P<heading>[^\n]*)|(?P<line>[ +-][^\n]*))", re.MULTILINE)
_NOT_NAMES = rb"(?:if|for|while|switch|return|sizeof|typeof|else|do|case|defined|__attribute__)\b"
_CALLED = re.compile(rb"\b(?!" + _NOT_NAMES + rb")([A-Za-z_]\w*)\s*\(")
_FUNCTION = re.compile(rb"\b(?:def|fn|func)\s+(?:\([^)]*\)\s*)?([A-Za-z_]\w*)")
_TYPE = re.compile(rb"\b(?:class|struct|enum|union|interface|impl)\s+([A-Za-z_]\w*)")
_INDENTED = re.compile(
    rb"^\s+(?:(?:pub(?:\([^)]*\))?|async|unsafe|const|static)\s+)*(?:def|fn|func)\s+([A-Za-z_]\w*)"
)
_ASSIGNED = re.compile(rb"([A-Za-z_]\w*)\s*(?:\[[^\]]*\])?\s*=")
_BEGINS = re.compile(rb"[A-Za-z_$]")


def functions_in(hunks: bytes) -> set[str]:
    """Return the names of what the hunks of one file change.

    :param hunks: a unified diff of one file, from its first ``@@`` on.
    """
    return {name.decode("utf-8", "replace") for name in set(_changed(hunks)) if name}


def _changed(hunks: bytes) -> Iterator[bytes]:
    current = b""
    for match in _LINE.finditer(hunks):
        heading, line = match["heading"], match["line"]
        if line is None:
            current = name_in(heading)
            continue
        current = _begun(line[1:]) or current
        if line[:1] != b" ":
            yield current


def _begun(line: bytes) -> bytes:
    """Return the name of what begins in a line; a statement or a prototype begins nothing."""
    if not _BEGINS.match(line):
        found = _INDENTED.match(line)
        return found[1] if found and len(found[1]) <= LONGEST else b""
    ended = line.rstrip()
    return b"" if ended.endswith((b";", b":")) and b"=" not in ended[:-1] else name_in(line)


def name_in(line: bytes) -> bytes:
    """Return the name in a line that begins a function, a type or a table; empty where none is."""
    table = _ASSIGNED.search(line) if b"(" not in line.partition(b"=")[0] else None
    found = _FUNCTION.search(line) or table or _CALLED.search(line) or _TYPE.search(line)
    return found[1] if found and len(found[1]) <= LONGEST else b""
