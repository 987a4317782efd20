"""Mail files, read as a submission: each patch is applied in a quarantine, as git-am(1) would."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import mktime_tz, parseaddr, parsedate_tz
from pathlib import Path

from uplift.backport.commit_text import read_commit
from uplift.backport.lint.model import CoverLetter, SeriesCommit, Submission
from uplift.backport.model import Person
from uplift.backport.series import commit_object
from uplift.backport.tree_edit import applied, changed_paths
from uplift.errors import UpliftError
from uplift.lab.git import Workspace

MAX_MAIL = 32 << 20  #: bytes of one file
MAX_MAILS = 2000
MAX_HEADER = 2000  #: characters of one header that are looked at
_MBOX = re.compile(rb"(?m)^From \S{1,200} [^\n]{0,40}\d\d:\d\d:\d\d [^\n]{0,40}\d{4}\r?$")
_TAGS = re.compile(r"^(?:\s*\[[^\]]*\])+\s*")
_INBODY = re.compile(r"(?i)(from|subject|date):[ \t]*(.*)")


@dataclass(frozen=True)
class PatchMail:
    """One mail: its headers, its text, and the patch in it.

    :param patch: empty for a cover letter.
    """

    place: str
    subject: str
    sender: Person
    author: Person
    body: str
    patch: bytes

    @property
    def title(self) -> str:
        """The subject without what stands in brackets before it."""
        return _TAGS.sub("", self.subject).strip()

    @property
    def number(self) -> int:
        """Its number in the series; what has none sorts by its file's name."""
        found = re.search(r"\b(\d+)/\d+\]", self.subject)
        return int(found[1]) if found else 0


def read_mails(view: Workspace, base: str, paths: Sequence[Path]) -> Submission:
    """Return the series in mail files (mbox or single mails) or directories, applied to ``base``.

    :raises UpliftError: a file cannot be read, is too large, or none holds a patch.
    """
    mails = [mail for path in _files(paths) for mail in mails_in(path.name, _content(path))]
    patches = [mail for mail in mails if mail.patch]
    covers = [mail for mail in mails if not mail.patch and not _is_reply(mail.subject)]
    if not patches:
        raise UpliftError(
            "there is nothing to check",
            "no file holds a patch",
            "name mails made by git format-patch; check a pull request's branch by its commits",
        )
    if all(mail.number for mail in patches):
        patches.sort(key=lambda mail: mail.number)
    cover = CoverLetter(covers[0].subject, covers[0].body, covers[0].place) if covers else None
    return Submission(base, tuple(_applied(view, base, patches)), cover, mailed=True)


def _is_reply(subject: str) -> bool:
    return bool(re.match(r"(?i)\s*(re|aw|fwd?):", subject))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.iterdir() if one.is_file())
        else:
            yield path


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_MAIL:
            raise OSError(f"it has more than {MAX_MAIL} bytes")
        return path.read_bytes()
    except OSError as error:
        raise UpliftError(
            f"cannot read the mail {path}", error.strerror or str(error), "check the file's name"
        ) from error


def mails_in(name: str, content: bytes) -> tuple[PatchMail, ...]:
    """Read the mails of one file."""
    starts = [match.start() for match in _MBOX.finditer(content)]
    if len(starts) > MAX_MAILS:
        raise UpliftError(
            f"cannot read {name}",
            f"it holds {len(starts)} mails; at most {MAX_MAILS} are read",
            "split it",
        )
    if len(starts) < 2 or starts[0] != 0:
        return (_mail(name, content),)
    parts = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    return tuple(_mail(f"{name}:{number}", part) for number, part in enumerate(parts, 1))


def _mail(name: str, content: bytes) -> PatchMail:
    raw = _MBOX.sub(b"", content, count=1).lstrip(b"\r\n") if _MBOX.match(content) else content
    mail = message_from_bytes(raw)
    sender = _person(_header(mail, "From"), _header(mail, "Date"))
    headers, text, patch = _parts(_payload(mail))
    return PatchMail(
        place=name,
        subject=" ".join((headers.get("subject") or _header(mail, "Subject")).split()),
        sender=sender,
        author=_person(headers["from"], headers.get("date", "")) if "from" in headers else sender,
        body=text,
        patch=patch,
    )


def _header(mail: Message, name: str) -> str:
    value = str(mail.get(name, ""))[:MAX_HEADER]
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, ValueError):  # an unknown or broken encoding
        return value


def _person(address: str, date: str) -> Person:
    name, email = _address(address)
    parsed = parsedate_tz(date)
    try:
        when = int(mktime_tz(parsed)) if parsed else 0
    except (ValueError, OverflowError):
        when = 0
    return Person(name, email, max(0, when), "+0000")


def _address(text: str) -> tuple[str, str]:
    """Return name and address; what the standard library's parser chokes on is a name."""
    plain = " ".join(text[:MAX_HEADER].split())
    try:
        return parseaddr(plain)
    except RecursionError:
        return plain, ""


def _payload(mail: Message) -> bytes:
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            found = part.get_payload(decode=True)
            return found if isinstance(found, bytes) else b""
    return b""


_PATCH_START = re.compile(rb"(?m)^(?:---[ \t]*$|diff -|Index: )")
_DIFF_START = re.compile(rb"(?m)^(?:diff --git |--- \S)")


def _parts(payload: bytes) -> tuple[dict[str, str], str, bytes]:
    """Split a body into the headers in it, its text, and its patch."""
    text = payload.replace(b"\r\n", b"\n") if b"\r\n" in payload[:200] else payload
    diff = _DIFF_START.search(text)
    end = _PATCH_START.search(text)
    told = text[: end.start() if diff and end else len(text)].decode("utf-8", "replace")
    headers, lines = {}, told.lstrip("\n").split("\n")
    while lines and (match := _INBODY.match(lines[0])):
        headers[match[1].lower()] = match[2]
        lines.pop(0)
    return headers, "\n".join(lines).strip("\n"), text[diff.start() :] if diff else b""


def _applied(view: Workspace, base: str, mails: Sequence[PatchMail]) -> Iterator[SeriesCommit]:
    """Apply patch on patch; after one that fails the others are tried on what was there before."""
    parent, tree = base, read_commit(base, view.objects.read(base)[1]).tree
    for mail in mails:
        result = applied(view, tree, mail.patch)
        if not result.tree:
            yield replace(_commit(mail), failure=result.problem)
            continue
        message = f"{mail.title}\n\n{mail.body}\n"
        paths = changed_paths(view, tree, result.tree)
        made = replace(_commit(mail), parent=parent, tree=result.tree, paths=paths)
        raw = commit_object(result.tree, parent, mail.author, mail.sender, message)
        parent, tree = view.write("commit", raw), result.tree
        yield replace(made, sha=parent)


def _commit(mail: PatchMail) -> SeriesCommit:
    return SeriesCommit(
        sha="",
        place=mail.place,
        subject=mail.subject,
        title=mail.title,
        body=mail.body,
        author=mail.author,
        sender=mail.sender,
    )
