"""A commit object's bytes as a :class:`Commit`: the format of git-hash-object(1), read strictly."""

from __future__ import annotations

import codecs
import re

from uplift.backport.model import Commit, Person
from uplift.errors import UpliftError

_PERSON = re.compile(
    r"(?P<name>.*?) ?<(?P<email>[^>]*)>(?: (?P<time>-?\d{1,12}) (?P<zone>[+-]\d+))?"
)
_NOBODY = Person("", "", 0, "+0000")
_LINE_ENDS = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class CommitError(UpliftError):
    """Bytes that are no commit."""

    def __init__(self, sha: str, cause: str) -> None:
        super().__init__(f"cannot read commit {sha}", cause, "check the repository: git fsck")


def parse_commit(sha: str, data: bytes) -> Commit:
    """Read one commit object.

    The text is decoded as its ``encoding`` header says, else as UTF-8; bytes that do not fit
    become U+FFFD, so that a message never costs the commit.

    :raises CommitError: the object names no tree.
    """
    head, _, message = data.partition(b"\n\n")
    fields: dict[str, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key:  # a continuation (of a signature) begins with a space
            fields.setdefault(key.decode("ascii", "replace"), []).append(value)
    if "tree" not in fields:
        raise CommitError(sha, "it does not begin with a tree")
    encoding = fields.get("encoding", [b"utf-8"])[0].decode("ascii", "replace")
    subject, body = split_message(decode(message, encoding))
    return Commit(
        sha=sha,
        tree=fields["tree"][0].decode("ascii", "replace"),
        parents=tuple(parent.decode("ascii", "replace") for parent in fields.get("parent", ())),
        author=_person(fields.get("author", [b""])[0], encoding),
        committer=_person(fields.get("committer", [b""])[0], encoding),
        subject=subject,
        body=body,
    )


def decode(text: bytes, encoding: str = "utf-8") -> str:
    """Return ``text`` as the commit says it is encoded; an unknown encoding reads as UTF-8."""
    try:
        info = codecs.lookup(encoding)
    except (LookupError, ValueError):
        info = codecs.lookup("utf-8")
    if not getattr(info, "_is_text_encoding", True):
        info = codecs.lookup("utf-8")
    try:
        return info.decode(text, "replace")[0]
    except (UnicodeError, ValueError):
        return text.decode("utf-8", "replace")


def split_message(message: str) -> tuple[str, str]:
    """Return the subject (the first paragraph on one line, as git shows it) and the rest."""
    lines = _LINE_ENDS.sub(" ", message.replace("\r\n", "\n")).lstrip("\n").split("\n")
    end = next((n for n, line in enumerate(lines) if not line.strip()), len(lines))
    subject = " ".join(line.strip() for line in lines[:end])
    return subject, "\n".join(lines[end:]).strip("\n")


def _person(line: bytes, encoding: str) -> Person:
    found = _PERSON.match(decode(line, encoding))
    if found is None:
        return _NOBODY
    time, zone = found["time"], found["zone"]
    return Person(found["name"], found["email"], int(time) if time else 0, zone or "+0000")
