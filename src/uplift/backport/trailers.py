"""What a commit message says of other commits: trailers in the forms people write, and mentions.

A statement is a bracket that begins with what was done (``(cherry picked from commit SHA)``), a
line with a key (``Fixes: SHA ("subject")``), or a line that is nothing but the statement (``commit
SHA upstream.``). The forms were counted on the stable branches of DPDK, Open vSwitch, Xen, OpenZFS,
SPDK and rdma-core and read in Linux's ``Documentation/process/stable-kernel-rules.rst``; the
misspelt ones (``cheery-pick``, ``commitd``) are real. All other shas are mentions: they link
nothing by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from uplift.backport.model import Reference, ReferenceKind

MAX_MESSAGE = 256 << 10  #: characters of a message that are looked at
MAX_REFERENCES = 500  #: of one message

PROVENANCE = frozenset({ReferenceKind.PICKED, ReferenceKind.BACKPORTED, ReferenceKind.UPSTREAM})
"""The kinds that say: this commit is that one, on another branch."""

_SHA = r"(?<![0-9A-Za-z_@.%+-])[0-9a-fA-F]{7,64}(?![0-9A-Za-z_@-])"
_LIST = rf"{_SHA}(?:(?:\s*(?:,|&|\+)\s*(?:and\s+)?|\s+and\s+)(?:commits?\s+)?{_SHA})*"
_PICK = r"ch\w{2,6}y[\s_-]{0,3}pick\w*"  # cherry, cheery, chery, cherrry
_PORT = r"back[\s_-]?port\w*"
#: What a bracket holds: no other bracket but a quoted title's, no empty line.
_INSIDE = r"(?:[^()\[\]\n]|\n(?!\s*\n)|\(\s*[\"'“][^\n]{0,300}?[\"'”]\s*\)){0,1000}"
_WORDS = r"(?:[\w./-]{1,40}[ \t]+){0,3}"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.MULTILINE)


_ANY_SHA = _pattern(_SHA)
_TITLE = re.compile(
    r"[,:]?\s{0,4}(?:\(\s{0,2}[\"“]|[\"“]|\(\s{0,2}')"
    r"((?:[^\n]|\n(?!\s*\n)){1,400}?)"
    r"(?:[\"”]\s{0,2}\)|[\"”](?=[\s.,;:]|$)|'\s{0,2}\))"
)
_KEYED = _pattern(r"^[ \t]{0,8}([A-Za-z][A-Za-z/ -]{2,40}?)[ \t]{0,3}:[ \t]{0,8}")
_KEYS: tuple[tuple[re.Pattern[str], ReferenceKind], ...] = (
    (re.compile(r"fix(es)?( commit)?"), ReferenceKind.FIXES),
    (re.compile(r"reverts?( commit)?"), ReferenceKind.REVERTS),
    (re.compile(r"stable dep of"), ReferenceKind.DEPENDENCY),
    (re.compile(rf"({_PICK}|picked)( (from|of))?( commit)?( id)?"), ReferenceKind.PICKED),
    (re.compile(rf"{_PORT}( (from|of))?( commit)?( id)?"), ReferenceKind.BACKPORTED),
    (re.compile(r"upstream( status| sha\w*| id| hash)?|origin"), ReferenceKind.UPSTREAM),
    (
        re.compile(
            r"(?!.*\b(bad|guilty|offending|culprit|broken|previous|first|introduc\w*|related|see|"
            r"this|following|last|next|base|parent|revert\w*|fix\w*|caus\w*|breaking|depend\w*|"
            r"since|in|the|regress\w*)\b)"
            r"[\w/ ]+ (commit|changeset|commitid)( (id|hash|sha))?"
        ),
        ReferenceKind.UPSTREAM,
    ),
)
_UPSTREAM = r"(?:upstream|mainline|master|main|trunk|devel)"
_TELLING = ("[", "pick", "back", "revert")
_COMMIT_SHA = _pattern(rf"\bcommit\w{{0,2}}[ \t:]+{_SHA}")
#: A word without which the pattern cannot match, the pattern, what it says.
_STATEMENTS: tuple[tuple[str, re.Pattern[str], ReferenceKind], ...] = (
    ("pick", _pattern(rf"[(\[]\s{{0,4}}(?:this is a\s+)?{_PICK}{_INSIDE}"), ReferenceKind.PICKED),
    ("back", _pattern(rf"[(\[]\s{{0,4}}{_PORT}\s{_INSIDE}"), ReferenceKind.BACKPORTED),
    (
        "[",
        _pattern(
            rf"\[\s{{0,4}}(?:from\s+)?{_UPSTREAM}[\s:-]{{1,4}}"
            rf"(?:commit\w*|sha\w*|changeset)?[\s:#-]{{0,4}}{_SHA}{_INSIDE}"
        ),
        ReferenceKind.UPSTREAM,
    ),
    (
        "commit",
        _pattern(
            rf"^[ \t]{{0,8}}[(\[]?\s{{0,4}}commit\w{{0,2}}[ \t:]+{_SHA}"
            rf"[ \t]+(?:from[ \t]+)?{_UPSTREAM}[ \t.)\]]*$"
        ),
        ReferenceKind.UPSTREAM,
    ),
    (
        "commit",
        _pattern(
            rf"^[ \t]{{0,8}}(?:from[ \t]+)?{_UPSTREAM}[ \t]+commit\w{{0,2}}[ \t:]+{_SHA}[ \t.]*$"
        ),
        ReferenceKind.UPSTREAM,
    ),
    (
        "commit",
        # "(from OVS commit SHA)": a repository's name, and nothing else on the line
        _pattern(
            r"^[ \t]{0,8}[(\[][ \t]{0,4}(?!(?:in|see|since|by|also|this|the|after|before|as)\b)"
            rf"(?:from[ \t]+)?(?!commit){_WORDS}commit\w{{0,2}}[ \t:]+{_SHA}[ \t.]*[)\]][ \t.]*$"
        ),
        ReferenceKind.UPSTREAM,
    ),
    (
        "pick",
        _pattern(
            rf"^[ \t]{{0,8}}(?:this[ \t]+(?:is|was)[ \t]+an?[ \t]+)?{_PICK}"
            rf"[ \t]+(?:of|from)[ \t]+{_WORDS}{_SHA}"
        ),
        ReferenceKind.PICKED,
    ),
    (
        "back",
        _pattern(
            rf"^[ \t]{{0,8}}(?:this[ \t]+(?:is|was)[ \t]+an?[ \t]+)?{_PORT}"
            rf"[ \t]+(?:(?:of|from)[ \t]+)?{_WORDS}commit\w{{0,2}}[ \t:]+{_SHA}"
        ),
        ReferenceKind.BACKPORTED,
    ),
    (
        "revert",
        _pattern(
            r"\brevert(?:s|ing)?\s+(?:(?:the|most|parts?|some|of|bits)\s+){0,4}"
            rf"(?:(?:commits?|changesets?|c/s|patch|merge|upstream)\s+){{0,2}}{_LIST}"
        ),
        ReferenceKind.REVERTS,
    ),
)
_FIRST = _pattern(
    r"(?:(?:commits?|upstream|backport|changeset|c/s|in|of|from)[ \t,:]+){0,3}"
    rf"(?:\[?https?://\S{{1,300}}?/|\d{{1,8}}:)?({_SHA})"
)
_FURTHER = _pattern(
    rf"(?:[ \t]{{0,4}}[,&+][ \t]{{0,4}}|[ \t]{{1,4}})(?:and[ \t]+)?(?:commit[ \t]+)?({_SHA})"
)
_ANY_ADDRESS = re.compile(rf"[^\n]{{0,60}}?https?://\S{{1,200}}?({_SHA})", re.I)
_PARTLY = _pattern(
    r"\b(?:partial(?:ly)?|partly|in part)\b|\breverts?\s+(?:most|parts?|some|bits)\b"
)
_COMMIT_BEFORE = re.compile(r"(?:\bcommits?|\bc/s|\bchangeset|\brevision)[\s:#]{1,4}$", re.I)
_ADDRESS = re.compile(r"https?://[^\s)\]]*$")
_REVERT_SUBJECT = re.compile(
    r"^(?:[^\"“]{0,80}?\b)?(revert|reapply)(?:ed|s)?:?\s+[\"“](.+)[\"”]", re.I
)
_URL = re.compile(r"https?://[^\s)\]]{1,300}")
_DONE = re.compile(rf"{_PICK}|{_PORT}|\bcommit\w{{0,2}}\b", re.IGNORECASE)
_NAMES = re.compile(r"[\w./:+-]*\w")
_NO_PLACE = frozenset(
    re.findall(
        r"\w+",
        "a and back backport backported branch changeset cherry commit commits from hash id in is"
        " of on pick picked picking ported repo repository sha sha1 the this tree upstream was"
        " with",
    )
)


@dataclass(frozen=True)
class _Found:
    start: int
    reference: Reference


def references(message: str) -> tuple[Reference, ...]:
    """Return every commit that ``message`` names, in the order in which they stand there.

    In a chain of picks the first is the original. A revert whose message names no sha gives a
    reference with the title alone, ``named`` empty. Of a longer message only the first
    ``MAX_MESSAGE`` characters and ``MAX_REFERENCES`` references count.
    """
    text = message[:MAX_MESSAGE]
    subject = text.split("\n", 1)[0]
    if '"' not in text and "“" not in text and not _ANY_SHA.search(text):
        return ()
    found = {item.start: item for item in _statements(text)}
    found.update((item.start, item) for item in _keyed(text))
    found.update((item.start, item) for item in _mentions(text, found))
    ordered = [found[start] for start in sorted(found)][:MAX_REFERENCES]
    return _with_revert_subject(subject, _numbered(text, ordered))


def _numbered(text: str, found: list[_Found]) -> tuple[Reference, ...]:
    line, at, numbered = 1, 0, []
    for item in found:
        line, at = line + text.count("\n", at, item.start), item.start
        numbered.append(replace(item.reference, line=line))
    return tuple(numbered)


def _statements(text: str) -> Iterator[_Found]:
    """Later patterns are the weaker ones: the first that claims a sha keeps it."""
    taken: set[int] = set()
    lowered = text.lower()
    words = {word for word in _TELLING if word in lowered}
    if "commit" in lowered and _COMMIT_SHA.search(text):
        words.add("commit")
    for word, pattern, kind in _STATEMENTS:
        for match in pattern.finditer(text) if word in words else ():
            part = kind is ReferenceKind.REVERTS and _PARTLY.search(text, *_before(match))
            for item in _named_in(text, match.start(), match.end(), kind):
                if item.start not in taken:
                    taken.add(item.start)
                    place = "in part" if part else item.reference.place
                    yield _Found(item.start, replace(item.reference, place=place))


def _before(match: re.Match[str]) -> tuple[int, int]:
    return max(0, match.start() - 24), match.end()


def _named_in(text: str, start: int, end: int, kind: ReferenceKind) -> Iterator[_Found]:
    place = "" if kind is ReferenceKind.REVERTS else _place(text[start:end])
    seen: set[str] = set()
    for match in _ANY_SHA.finditer(text, start, end):
        named = match[0].lower()
        if named not in seen:
            seen.add(named)
            yield _Found(match.start(), Reference(kind, named, _title(text, match.end()), place))


def _title(text: str, end: int) -> str:
    found = _TITLE.match(text, end)
    return " ".join(found[1].split()) if found else ""


def _place(statement: str) -> str:
    """Return what names a repository, a branch or a release in a statement."""
    if "://" in statement and (address := _URL.search(statement)):
        return address[0]
    bare = _DONE.sub(" ", _TITLE.sub(" ", _ANY_SHA.sub(" ", statement)))
    words = _NAMES.findall(bare)
    return " ".join(word for word in words if word.lower() not in _NO_PLACE)[:80]


def _keyed(text: str) -> Iterator[_Found]:
    for match in _KEYED.finditer(text):
        kind, key = _kind_of(match[1])
        if kind is not None:
            yield from _value(text, match, kind, key)


@lru_cache(maxsize=1024)
def _kind_of(written: str) -> tuple[ReferenceKind | None, str]:
    key = re.sub(r"[\s-]+", " ", written.lower().strip())
    return next((kind for pattern, kind in _KEYS if pattern.fullmatch(key)), None), key


def _value(text: str, key: re.Match[str], kind: ReferenceKind, name: str) -> Iterator[_Found]:
    """A key's value is its shas at the start: those after a title or in prose are mentions."""
    at, end = key.end(), text.find("\n", key.end())
    line_end = len(text) if end < 0 else end
    place = _key_place(name, text[at:line_end]) if kind is ReferenceKind.UPSTREAM else ""
    found = _FIRST.match(text, at, line_end) or _ANY_ADDRESS.match(text, at, line_end)
    if not found:
        quoted = _TITLE.match(text, at)
        if quoted and kind is ReferenceKind.FIXES:
            yield _Found(at, Reference(kind, "", " ".join(quoted[1].split())))
    while found:
        title = _title(text, found.end(1))
        yield _Found(found.start(1), Reference(kind, found[1].lower(), title, place))
        found = _FURTHER.match(text, found.end(1), line_end)


def _key_place(name: str, value: str) -> str:
    if "://" in value and (address := _URL.search(value)):
        return address[0]
    owner = re.sub(r"\b(upstream|commit|changeset|id|sha\w*|hash|status)\b", "", name)
    return " ".join(owner.split())


def _mentions(text: str, taken: Container[int]) -> Iterator[_Found]:
    """A number or a word that happens to be hexadecimal is no sha unless it is called one."""
    for match in _ANY_SHA.finditer(text):
        if match.start() in taken:
            continue
        before = text[max(0, match.start() - 200) : match.start()]
        address = _ADDRESS.search(before)
        mixed = not match[0].isdigit() and not match[0].isalpha()
        title = _title(text, match.end())
        if mixed or title or _COMMIT_BEFORE.search(before[-16:]):
            place = address[0] if address else ""
            reference = Reference(ReferenceKind.MENTION, match[0].lower(), title, place)
            yield _Found(match.start(), reference)


def _with_revert_subject(subject: str, found: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Give the one sha that is reverted the title which the subject quotes."""
    title = reverted_title(subject)
    if not title:
        return found
    reverts = [item for item in found if item.kind is ReferenceKind.REVERTS]
    if not reverts:
        return (Reference(ReferenceKind.REVERTS, "", title, line=1), *found)
    if len(reverts) > 1 or reverts[0].title:
        return found
    return tuple(replace(item, title=title) if item is reverts[0] else item for item in found)


def reverted_title(subject: str) -> str:
    """Return the subject of what a commit takes back; empty where its subject is no revert's.

    ``Reapply "x"`` is what git calls the revert of ``Revert "x"`` since 2.43.
    """
    found = _REVERT_SUBJECT.match(subject)
    if not found:
        return ""
    again = found[1].lower() == "reapply"
    return f'Revert "{found[2]}"' if again else found[2]
