"""What a commit message links to: discussions and bugs, in the trailers that people write.

``Link:`` is Linux's for the mail that brought a change, ``BugLink:`` the Ubuntu kernel team's,
``Closes:`` Debian's and Linux's; ``Bugzilla ID:`` is DPDK's, ``Reported-at:`` Open vSwitch's,
``LP: #N`` Ubuntu's, ``Bug-NAME:`` DEP-3's. One bug is written in many ways: as a number, with its
tracker, or as an address. So each link has a key that is the same for all ways of one tracker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from hashlib import blake2b

MAX_MESSAGE = 256 << 10  #: characters of a message that are looked at
MAX_LINKS = 100  #: of one message
MAX_VALUE = 400  #: characters of one link


class LinkKind(str, Enum):
    """Which trailer names the link."""

    LINK = "link"  #: ``Link:``
    BUG = "bug"  #: ``BugLink:``, ``Bugzilla ID:``, ``Reported-at:``, ``LP: #N``
    CLOSES = "closes"  #: ``Closes:``, ``Resolves:``, ``Fixes:`` with a bug


@dataclass(frozen=True)
class Link:
    """One link of a message.

    :param value: as written: an address, or a bug's number with what stands before it.
    """

    kind: LinkKind
    value: str

    @cached_property
    def meant(self) -> Meant:
        """What it leads to, whatever way it is written in."""
        return meant(self.value) or Meant(self.value.casefold())


@dataclass(frozen=True)
class Meant:
    """What a link leads to.

    :param tracker: who numbers it: ``launchpad``, ``debian``, a host, a project's address; empty
        where only a number is written. With no number, the whole address.
    """

    tracker: str
    number: int = 0

    @property
    def key(self) -> int:
        """A signed 64-bit number, the same for all ways to write it; never 0."""
        return _key(f"{self.tracker}#{self.number}")

    @property
    def keys(self) -> tuple[int, ...]:
        """The keys of links that may mean the same: a bare number may be any tracker's own.

        Not Launchpad's: its numbers are always written with its name, and a bare one of this size
        is Debian's.
        """
        bare = Meant("", self.number)
        with_bare = self.number and self.tracker not in ("", "launchpad")
        return (self.key, bare.key) if with_bare else (self.key,)


def _key(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


_URL = re.compile(r"https?://[^\s<>\"'`\\^{}|\x00-\x1f\x7f-\x9f]{1,2000}", re.IGNORECASE)
#: A bug without an address: ``#12``, ``LP#12``, ``LP: #12``, ``bug 12``, ``12``, ``RHEL-12``.
_NUMBER = r"(?:(?:lp|launchpad|debian|bug)[:\s]{0,3}#?|#)?\s?\d{1,12}(?![\w.])"
_NAMED = r"[A-Z][A-Z0-9]{1,20}-\d{1,9}(?![\w-])"
_BUG = re.compile(rf"[ \t]*((?i:{_NUMBER})|{_NAMED})")
_BETWEEN = re.compile(r"[ \t]*(?:,|;|&|\band\b)?[ \t]*")
_KEYED = re.compile(
    r"^[ \t]{0,8}(?:"
    r"(?P<link>links?)"
    r"|(?P<bug>bug[ -]?links?|bug(?:[ -][a-z]{1,20})?|bugzilla(?:[ -](?:id|link|url))?"
    r"|reported[ -]at|launchpad(?:[ -]bug)?|issue|vmware-bz|bz)"
    r"|(?P<closes>closes|fix(?:es)?|resolves)"
    r")[ \t]{0,3}:[ \t]{0,8}(?P<value>\n?[^\n]{1,2000})",
    re.IGNORECASE | re.MULTILINE,
)
_LAUNCHPAD = re.compile(r"\bLP:\s{0,2}((?:#\d{3,9}(?:,\s{0,2}|\s)?){1,50})")
_TELLING = ("://", "#", "bug", "bz:", "closes", "resolves", "issue")


def links(message: str) -> tuple[Link, ...]:
    """Return what ``message`` links to, in the order of the text, each once.

    Only the first ``MAX_MESSAGE`` characters and ``MAX_LINKS`` links count.
    """
    text = message[:MAX_MESSAGE]
    lowered = text.lower()
    if not any(word in lowered for word in _TELLING):
        return ()
    found: dict[Link, None] = {}
    for _, link in sorted(_found(text), key=lambda pair: pair[0]):
        if len(found) == MAX_LINKS:
            break
        found[link] = None
    return tuple(found)


def _found(text: str) -> Iterator[tuple[int, Link]]:
    for match in _KEYED.finditer(text):
        kind = next(kind for kind in LinkKind if match[kind.value] is not None)
        for value in _values(match["value"], kind):
            yield match.start(), Link(kind, value)
    if "LP:" in text:
        for match in _LAUNCHPAD.finditer(text):
            for number in re.findall(r"\d+", match[1]):
                yield match.start(), Link(LinkKind.BUG, f"LP: #{number}")


def _values(text: str, kind: LinkKind) -> Iterator[str]:
    """Addresses; where there are none, the bugs with which the value of a bug's trailer begins."""
    addresses = [_trimmed(found) for found in _URL.findall(text)]
    if addresses or kind is LinkKind.LINK:
        yield from (address for address in addresses if len(address) <= MAX_VALUE)
        return
    at = 0
    while (found := _BUG.match(text, at)) and found.end() > at:
        yield " ".join(found[1].split())
        at = _BETWEEN.match(text, found.end()).end()  # type: ignore[union-attr]


def _trimmed(address: str) -> str:
    """Take off what is the sentence's, not the address's."""
    trimmed = address.rstrip(".,;:!?*")
    for opening, closing in ("()", "[]"):
        if trimmed.endswith(closing) and opening not in trimmed:
            trimmed = trimmed.rstrip(".,;:!?*" + closing)
    return trimmed


_MESSAGE = re.compile(
    r"(?:lore\.kernel\.org|lkml\.kernel\.org|patch\.msgid\.link|marc\.info/\?i=|inbox\.[\w.-]+)"
    r"(?:/[\w.-]+)?/(?P<id>[^/?#\s]+@[^/?#\s]+)"
)
#: The tracker and the number of an address without its scheme, in the forms that trackers have.
_TRACKERS = (
    (re.compile(r"(?:bugs\.)?launchpad\.net/(?:.*[/+])?bugs?/(\d{1,12})(?!\d)"), "launchpad"),
    (re.compile(r"(?:www\.)?bugs\.debian\.org/(?:.*[?&;/]bug=)?#?(\d{1,12})(?!\d)"), "debian"),
    (re.compile(r"pad\.lv/(\d{1,12})(?!\d)"), "launchpad"),
)
_BUGZILLA = re.compile(r"([\w.-]+).*/show_bug\.cgi\?(?:.*&)?id=(\d{1,12})(?!\d)")
_SHORT_BUGZILLA = re.compile(r"(bugzilla\.[\w.-]+|bugs\.[\w.-]+|bz\.[\w.-]+)/(\d{1,12})/?$")
_FORGE = re.compile(r"(.+?)/(?:-/)?(?:issues|pull|pulls|merge_requests)/(\d{1,12})(?!\d)")
_TICKET = re.compile(r".*/browse/([a-z][a-z0-9]{1,20}-\d{1,9})(?![\w-])")
_WORDED = re.compile(r"(?:(lp|launchpad|debian|bug)[:\s]*)?#?\s?(\d{1,12})")
_WHO = {"lp": "launchpad", "launchpad": "launchpad", "debian": "debian"}


def meant(written: str) -> Meant | None:
    """Return what a person means who writes ``written``; None where it is no bug and no address."""
    text = " ".join(written.split()).casefold()[:MAX_VALUE]
    if text.startswith(("http://", "https://")):
        return _of_address(text.partition("://")[2].removeprefix("www."))
    if worded := _WORDED.fullmatch(text):
        return Meant(_WHO.get(worded[1] or "", ""), int(worded[2]))
    return Meant(text) if re.fullmatch(_NAMED, text.upper()) else None


def _of_address(address: str) -> Meant:
    if found := _MESSAGE.match(address):
        return Meant(f"mail:{found['id']}")
    for pattern, tracker in _TRACKERS:
        if found := pattern.match(address):
            return Meant(tracker, int(found[1]))
    for pattern in (_BUGZILLA, _SHORT_BUGZILLA, _FORGE):
        if found := pattern.match(address):
            return Meant(found[1], int(found[2]))
    if found := _TICKET.match(address):
        return Meant(found[1])
    return Meant(address.rstrip("/"))
