"""A commit object's bytes as values (gitformat: ``git help commit-tree``, ``git help commit``)."""

from __future__ import annotations

import re

from uplift.backport.model import Commit, Person

_PERSON = re.compile(rb"(.*?)\s*<([^<>]*)>?\s*(-?\d+)?\s*([+-]\d{4,})?\s*$", re.DOTALL)
_NOBODY = Person("", "", 0, "+0000")
_LAST_SECOND = (1 << 53) - 1  #: what every reader of JSON can hold


def read_commit(sha: str, raw: bytes) -> Commit:
    """Return the commit that the object ``raw`` describes; a damaged one gives empty values.

    Text that the header ``encoding`` does not explain is read as UTF-8, then as Latin-1.
    """
    head, _, message = raw.partition(b"\n\n")
    fields = _fields(head)
    encoding = _first(fields, b"encoding").decode("ascii", "replace")
    subject, body = split_message(decode(message, encoding))
    return Commit(
        sha=sha,
        tree=_first(fields, b"tree").decode("ascii", "replace"),
        parents=tuple(parent.decode("ascii", "replace") for parent in fields.get(b"parent", ())),
        author=_person(_first(fields, b"author"), encoding),
        committer=_person(_first(fields, b"committer"), encoding),
        subject=subject,
        body=body,
    )


def message_of(raw: bytes) -> str:
    """Return the whole message of the commit object ``raw``, decoded."""
    head, _, message = raw.partition(b"\n\n")
    encoding = _first(_fields(head), b"encoding").decode("ascii", "replace")
    return decode(message, encoding)


def split_message(message: str) -> tuple[str, str]:
    """Split a message as git does: the first paragraph on one line, and the rest."""
    head, _, rest = message.partition("\n\n")
    if head and "\n" not in head and not head.isspace():
        return " ".join(head.split()), rest.strip("\n")
    subject, _, body = re.sub(r"^(?:[ \t]*\n)+", "", message).partition("\n")
    lines = body.split("\n")
    taken = next((n for n, line in enumerate(lines) if not line.strip()), len(lines))
    whole = " ".join(" ".join([subject, *lines[:taken]]).split())
    return whole, "\n".join(lines[taken:]).strip("\n")


def decode(text: bytes, encoding: str) -> str:
    """Decode ``text``, named encoding first; NUL characters are dropped, line ends are ``\\n``."""
    decoded = _decoded(text, encoding)
    return decoded.replace("\0", "").replace("\r\n", "\n")


def _decoded(text: bytes, encoding: str) -> str:
    for name in (encoding, "utf-8"):
        try:
            if name and _is_text_encoding(name):
                return text.decode(name)
        except (LookupError, UnicodeError):
            continue
    return text.decode("latin-1")


def _is_text_encoding(name: str) -> bool:
    """Whether a hostile header names a character set, not one of Python's transformations."""
    return bool(
        re.fullmatch(
            r"(?i)(utf|iso|windows|cp|koi8|gb|big5|euc|shift|latin|ascii|us-ascii|mac)[\w-]*", name
        )
    )


def _fields(head: bytes) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, separator, value = line.partition(b" ")
        if key and separator:  # a continued line (a signature's) begins with a space
            fields.setdefault(key, []).append(value)
    return fields


def _first(fields: dict[bytes, list[bytes]], key: bytes) -> bytes:
    values = fields.get(key)
    return values[0] if values else b""


def _person(value: bytes, encoding: str) -> Person:
    found = _PERSON.match(value)
    if not found:
        return _NOBODY
    time = (
        max(-_LAST_SECOND, min(int(found[3] or 0), _LAST_SECOND))
        if len(found[3] or b"") < 20
        else 0
    )
    return Person(
        name=decode(found[1], encoding),
        email=decode(found[2], encoding),
        time=time,
        zone=(found[4] or b"+0000").decode("ascii"),
    )
