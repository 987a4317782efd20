"""What a commit message says of other commits: trailers as people really write them.

The forms were read in the histories of Linux, DPDK, Open vSwitch, OVN, rdma-core, systemd, OpenSSL,
OpenZFS, Xen, SPDK and QEMU; their misspellings too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.backport.model import Reference, ReferenceKind

_MAX_MESSAGE = 1 << 20  #: characters of a message that are read
_MAX_REFERENCES = 1000  #: of one message
_SHA = r"(?P<sha>[0-9a-f]{7,64})\b"
_WHERE = r"(?P<place>[^)\]\n]*)"
_QUICK = re.compile(r"[0-9a-f]{7}|^revert", re.IGNORECASE)
#: A title in quotes after a sha, perhaps in brackets.
_TITLE = re.compile(r"""\s*[,:-]?\s*(?:\(\s*["'“](?P<a>.+?)["'”]\s*\)|["“](?P<b>.+?)["”])""")
_ANY_SHA = re.compile(r"(?<![\w/.=#@-])[0-9a-f]{7,64}(?![\w/=@-])")
_MENTION = re.compile(
    r"(?:\bcommits?[:\s]+|\bchange\s+|\bafter\s+|\bsince\s+|\bin\s+|\bby\s+)"
    r"(?P<sha>[0-9a-f]{7,64})\b(?![\w/=@-])",
    re.IGNORECASE,
)
_REVERTED_TITLE = re.compile(r'^Revert:? "(?P<title>.+)"\s*$', re.IGNORECASE)

_FORMS: tuple[tuple[ReferenceKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(form.replace("SHA", _SHA).replace("WHERE", _WHERE), re.IGNORECASE))
    for kind, form in (
        (ReferenceKind.FIXES, r"^\s*Fix(?:es|ed)?\s*:\s*(?:commit\s+)?SHA"),
        (ReferenceKind.FIXES, r"^\s*Fixes\s+(?:commit\s+)?SHA"),
        (ReferenceKind.DEPENDENCY, r"^\s*Stable-dep-of\s*:\s*(?:commit\s+)?SHA"),
        (
            ReferenceKind.PICKED,
            r"^\s*\(?\s*che+r?ry?[- ]?pick(?:ed)?(?:\s+from)?(?:\s+(?P<before>[\w./:-]+))??"
            r"(?:\s+commitd?)?:?\s+SHA\s*WHERE",
        ),
        (ReferenceKind.PICKED, r"^\s*Cherry-picked-from\s*:\s*(?:commit\s+)?SHA"),
        (
            ReferenceKind.BACKPORTED,
            r"^\s*[(\[]?\s*back-?ported\s+(?:from|of)(?:\s+(?P<before>[\w./:-]+))??"
            r"(?:\s+commitd?)?:?\s+SHA\s*WHERE",
        ),
        (ReferenceKind.BACKPORTED, r"^\s*[(\[]?\s*backport\s+of\s+(?:commit\s+)?SHA\s*WHERE"),
        (
            ReferenceKind.UPSTREAM,
            r"^\s*[(\[]?\s*(?:from\s+|this is\s+)?(?:upstream|master|mainline|original)[\s_-]+"
            r"commit(?:[\s_-]*id)?\s*:?\s*SHA\s*WHERE",
        ),
        (ReferenceKind.UPSTREAM, r"^\s*[(\[]?\s*commit\s+SHA\s+(?P<place>upstream)\b"),
        (ReferenceKind.UPSTREAM, r"^\s*(?:Upstream|Original)-commit\s*:\s*SHA"),
        (
            ReferenceKind.UPSTREAM,
            r"^\s*[(\[]\s*from\s+(?:(?P<before>[\w./-]+)\s+)?commit\s+SHA\s*WHERE",
        ),
        (ReferenceKind.UPSTREAM, r"^\s*from\s+(?P<before>[\w./-]+)\s+commit\s+SHA\s*WHERE"),
        (
            ReferenceKind.REVERTS,
            r"^\s*(?:\W?\s*)?(?:this\s+)?(?:partially\s+)?revert(?:s|ed|ing)?\s+"
            r"(?:upstream\s+)?(?:commits?:?\s+)?SHA",
        ),
        (ReferenceKind.REVERTS, r"\bthis\s+(?:partially\s+)?reverts\s+(?:commit\s+)?SHA"),
    )
)
_ORIGIN = frozenset({ReferenceKind.PICKED, ReferenceKind.BACKPORTED, ReferenceKind.UPSTREAM})
#: Words beside a sha that say nothing of another repository.
_PLAIN_PLACES = frozenset({"", "upstream", "commit", "master", "main", "mainline", "the", "from"})


def read_references(subject: str, body: str) -> tuple[Reference, ...]:
    """Return every commit that a message names, in the order of its lines.

    One line gives one kind of reference; a sha that stands in no known form is a mention. A revert
    that names only a title gives a reference with an empty ``named``.

    :param body: the message without its subject; its first line is line 3 of the message.
    """
    message = f"{subject}\n\n{body[:_MAX_MESSAGE]}"
    if _QUICK.search(message) is None:
        return ()
    found: list[Reference] = []
    for reference in _references(message.split("\n")):
        found.append(reference)
        if len(found) == _MAX_REFERENCES:
            break
    if not any(reference.kind is ReferenceKind.REVERTS for reference in found):
        titled = _REVERTED_TITLE.match(subject)
        if titled is not None:
            found.append(Reference(ReferenceKind.REVERTS, "", titled["title"], "", 1))
    return tuple(found)


def origins(references: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Return the references that say where a commit was picked from; the original stands first."""
    return tuple(reference for reference in references if reference.kind in _ORIGIN)


def plain_title(title: str) -> str:
    """Return a title as it is compared: spaces and case levelled, what mail put before it gone."""
    text = re.sub(r"^(?:\s*\[[^\]]{0,60}\])+\s*", "", title)
    return " ".join(text.split()).casefold()


def _references(lines: list[str]) -> Iterator[Reference]:
    for number, line in enumerate(lines, 1):
        joined = _with_continuation(lines, number - 1)
        formed = next(_formed(line, joined, number), None)
        if formed is None:
            yield from _mentions(line, joined, number)
            continue
        yield formed
        if formed.kind is ReferenceKind.REVERTS or formed.kind in _ORIGIN:
            yield from _further(line, formed, number)


def _with_continuation(lines: list[str], at: int) -> str:
    """Return a line with the next one where a quoted title goes on there."""
    line = lines[at]
    if line.count('"') % 2 and at + 1 < len(lines):
        return f"{line} {lines[at + 1].strip()}"
    return line


def _formed(line: str, joined: str, number: int) -> Iterator[Reference]:
    for kind, form in _FORMS:
        match = form.search(line)
        if match is not None:
            groups = match.groupdict()
            words = f"{groups.get('before') or ''} {groups.get('place') or ''}"
            yield Reference(
                kind,
                match["sha"].lower(),
                _title_after(joined, match.end("sha")),
                _place(words),
                number,
            )


def _further(line: str, first: Reference, number: int) -> Iterator[Reference]:
    """Return the other commits of a line that names several: a squashed pick, a double revert."""
    for match in _ANY_SHA.finditer(line.lower()):
        if not first.named.startswith(match[0]) and not match[0].startswith(first.named):
            yield Reference(first.kind, match[0], "", first.place, number)


def _mentions(line: str, joined: str, number: int) -> Iterator[Reference]:
    """Return shas in running text: after a word that says so, with a title, or of full length."""
    seen: set[str] = set()
    for match in _ANY_SHA.finditer(line):
        title = _title_after(joined, match.end())
        said = any(m["sha"] == match[0] for m in _MENTION.finditer(line))
        if (title or said or len(match[0]) >= 40) and match[0] not in seen:
            if match[0].isdigit() and not title and len(match[0]) < 40:
                continue
            seen.add(match[0])
            yield Reference(ReferenceKind.MENTION, match[0], title, "", number)


def _title_after(line: str, at: int) -> str:
    match = _TITLE.match(line, at)
    return "" if match is None else " ".join((match["a"] or match["b"]).split())


def _place(words: str) -> str:
    kept = [
        word for word in re.split(r"[\s,.;:()\[\]]+", words) if word.lower() not in _PLAIN_PLACES
    ]
    return " ".join(kept)[:80]
