"""Mails of a series, as git-am(1) reads them: each gives byte for byte the tree of its commit."""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.header import Header
from email.utils import format_datetime
from pathlib import Path

from uplift.backport.commit_text import read_commit
from uplift.backport.model import Commit, Person
from uplift.backport.profiles import Profile
from uplift.errors import UpliftError
from uplift.lab.git import Workspace

_DIFF = ("--no-ext-diff", "--no-textconv", "--no-color")
_PATCH = ("diff-tree", "-p", "-r", "--binary", "--full-index", "--no-commit-id", *_DIFF)
_LONGEST_LINE = 990  #: bytes; RFC 5322 allows 998


@dataclass(frozen=True)
class Envelope:
    """What all mails of a series have in common.

    :param series: as the target's team writes it: ``N/J:linux-azure``, ``22.11``.
    :param version: 1 is not written.
    """

    profile: Profile
    sender: Person
    series: str
    version: int = 1

    def tags(self, number: int, total: int, *, pull: bool = False) -> str:
        """Return what stands in brackets before a title."""
        form = self.profile.subject.pull if pull else self.profile.subject.tags
        width = len(str(total))
        values = {
            "series": self.series,
            "version": f" v{self.version}" if self.version > 1 else "",
            "number": f"{number:0{width}d}",
            "total": str(total),
        }
        return " ".join(form.format(**values).replace("[PATCH  ", "[PATCH ").split())


@dataclass(frozen=True)
class Mail:
    """One mail and the name of its file."""

    name: str
    content: bytes


def patch_mails(view: Workspace, shas: Sequence[str], envelope: Envelope) -> tuple[Mail, ...]:
    """Return a mail for each commit, oldest first.

    :raises RepositoryError: git cannot make a patch of one.
    """
    mails = []
    for number, sha in enumerate(shas, 1):
        commit = read_commit(sha, view.objects.read(sha)[1])
        tags = envelope.tags(number, len(shas))
        body = _patch_body(view, commit, envelope.sender)
        content = _mail(envelope, commit.author, f"{tags} {commit.subject}", body)
        mails.append(Mail(f"{number:04d}-{_slug(commit.subject)}.patch", content))
    return tuple(mails)


def cover_mail(envelope: Envelope, subject: str, text: str, total: int, *, pull: bool) -> Mail:
    """Return the cover letter; ``pull`` asks to fetch the commits instead of sending them."""
    tags = envelope.tags(0, total, pull=pull)
    body = text.rstrip("\n").encode("utf-8", "replace") + b"\n"
    return Mail(
        "0000-cover-letter.patch", _mail(envelope, envelope.sender, f"{tags} {subject}", body)
    )


def write_mails(directory: Path, mails: Sequence[Mail]) -> tuple[Path, ...]:
    """Write mails into a directory that does not exist yet or is empty.

    :raises UpliftError: something is in the directory, or it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise FileExistsError(f"{directory} is not empty")
        for mail in mails:
            (directory / mail.name).write_bytes(mail.content)
    except OSError as error:
        raise UpliftError(
            f"cannot write the mails into {directory}",
            error.strerror or str(error),
            "name a new directory",
        ) from error
    return tuple(directory / mail.name for mail in mails)


def _patch_body(view: Workspace, commit: Commit, sender: Person) -> bytes:
    stat = view.git("diff-tree", "-r", "--stat=78", "--summary", *_between(commit), *_DIFF, "-M")
    patch = view.git(*_PATCH, "-M", *_between(commit))
    text = f"{_from_line(commit, sender)}{commit.body.strip(chr(10))}\n---\n"
    return text.encode("utf-8", "surrogateescape") + stat + b"\n" + patch + b"-- \nuplift\n\n"


def _between(commit: Commit) -> tuple[str, ...]:
    if commit.parents:
        return (commit.parents[0], commit.sha)
    return ("--root", commit.sha)


def _from_line(commit: Commit, sender: Person) -> str:
    """Name the author in the body where another one sends: it is who git-am will name."""
    author = commit.author
    if (author.name, author.email) == (sender.name, sender.email):
        return ""
    return f"From: {_address(author)}\n\n"


def _mail(envelope: Envelope, author: Person, subject: str, body: bytes) -> bytes:
    encoding, payload = _encoded(body)
    to = envelope.profile.address
    lines = (
        "From uplift Mon Sep 17 00:00:00 2001",
        f"From: {_address(envelope.sender)}",
        *([f"To: {to}"] if to else []),
        f"Date: {_date(author)}",
        f"Subject: {_header(subject, 'Subject')}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        f"Content-Transfer-Encoding: {encoding}",
    )
    return "\n".join(lines).encode("ascii", "replace") + b"\n\n" + payload


_NOT_PLAIN = re.compile(rb"[\r\0]|^From |[^\n]{%d}" % _LONGEST_LINE, re.M)


def _encoded(body: bytes) -> tuple[str, bytes]:
    """Choose how a body travels: what mail programs would change goes as base64."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        plain = False
    else:
        plain = not _NOT_PLAIN.search(body)
    return ("8bit", body) if plain else ("base64", encodebytes(body))


def _address(person: Person) -> str:
    name = " ".join(re.sub(r"[\x00-\x1f<>]", " ", person.name).split())
    email = re.sub(r"[\x00-\x20<>]", "", person.email)
    if not name.isascii():
        name = Header(name, "utf-8").encode(maxlinelen=0)
    elif re.search(r"[^\w .!#$%&\'*+/=?^`{|}~-]|\.", name):
        escaped = re.sub(r'([\\"])', r"\\\1", name)
        name = f'"{escaped}"'
    return f"{name} <{email}>".strip()


def _header(text: str, name: str) -> str:
    clean = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())
    if clean.isascii():
        return clean
    return Header(clean, "utf-8", header_name=name, maxlinelen=76).encode(linesep="\n")


def _date(person: Person) -> str:
    sign, hours, minutes = person.zone[:1], person.zone[1:3], person.zone[3:5]
    try:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(-offset if sign == "-" else offset)
        return format_datetime(datetime.fromtimestamp(person.time, zone))
    except (ValueError, OverflowError, OSError):
        return format_datetime(datetime.fromtimestamp(0, timezone.utc))


def _slug(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-.")[:52].rstrip("-.") or "patch"
