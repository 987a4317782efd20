"""A series as it is judged, and what is found: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from uplift.backport.model import Person, Reference
from uplift.backport.titles import plain_title
from uplift.backport.trailers import references


class Severity(str, Enum):
    """How much a finding weighs."""

    ERROR = "error"  #: a reviewer would send it back
    WARNING = "warning"  #: a reviewer would ask
    NOTE = "note"  #: worth knowing; also: what could not be looked at


@dataclass(frozen=True)
class Finding:
    """One thing a reviewer would say.

    :param problem: one line; :param why: the rule behind it; :param fix: what to do.
    :param commit: the sha of the commit, empty for a mail that does not apply and for the series.
    :param place: a file's name, a short sha, ``cover letter`` or ``series``.
    :param line: of the message, from 1; 0 for the whole.
    :param quote: that line.
    :param detail: lines that show it (a range-diff, a list of commits).
    """

    rule: str
    severity: Severity
    problem: str
    why: str
    fix: str
    commit: str = ""
    place: str = "series"
    title: str = ""
    line: int = 0
    quote: str = ""
    detail: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeriesCommit:
    """One commit of the series, or one mail.

    :param sha: in the workspace; of a mail what it makes there, empty where it does not apply.
    :param subject: as sent, with what stands in brackets before the title.
    :param sender: the committer, or who sent the mail.
    :param failure: why the mail does not apply.
    """

    sha: str
    place: str
    subject: str
    title: str
    body: str
    author: Person
    sender: Person
    parent: str = ""
    tree: str = ""
    paths: tuple[bytes, ...] = ()
    failure: str = ""

    @cached_property
    def message(self) -> str:
        """The whole message as git has it."""
        return f"{self.title}\n\n{self.body}".rstrip("\n") + "\n"

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines of the message; the first is the title."""
        return tuple(self.message.rstrip("\n").split("\n"))

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """What the message says of other commits."""
        return references(self.message)

    @cached_property
    def plain_title(self) -> str:
        """The title as titles are compared."""
        return plain_title(self.title)


@dataclass(frozen=True)
class CoverLetter:
    """The mail before the patches, or the text that goes into the bug."""

    subject: str
    body: str
    place: str = "cover letter"


@dataclass(frozen=True)
class Submission:
    """What was sent, or what a branch adds to its base.

    :param base: the commit that it stands on.
    :param mailed: it came as mails.
    """

    base: str
    commits: tuple[SeriesCommit, ...]
    cover: CoverLetter | None = None
    mailed: bool = False

    @property
    def tip(self) -> str:
        """The last commit, or the base of an empty series."""
        made = [commit.sha for commit in self.commits if commit.sha]
        return made[-1] if made else self.base


@dataclass(frozen=True)
class SupportedRelease:
    """A release of the distribution, as a series names it by its letter.

    :param released: and :param supported_until: days, ISO 8601; empty: not known.
    :param kernel: version of its kernel, ``6.17``: what that version has needs no backport.
    """

    name: str
    released: str = ""
    supported_until: str = ""
    kernel: str = ""
