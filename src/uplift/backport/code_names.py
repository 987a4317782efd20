"""Names in lines of C: which ones they use, and which ones they define. Pure.

Read line by line, without a preprocessor, so only what is plain counts: a name before a bracket,
behind an arrow, in capitals with an underscore, with ``_t`` at its end, or in an ``#include``. What
macros put together is left to the compiler.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

LONGEST = 4000  #: characters of a line that is looked at
_IS_CODE = re.compile(r"\.(?:c|h|cc|cpp|hh|hpp|S)$")
_NOT_CODE = re.compile(r"^\s*(?:\*(?=[\s/]|$)|//|/\*).*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])+'")
_COMMENT = re.compile(r"/\*.*?(?:\*/|$)|//.*")
_WORD = re.compile(r"[A-Za-z_]\w*")


class NameKind(str, Enum):
    """How a name is used."""

    CALL = "function"
    MEMBER = "member"
    CONSTANT = "constant"
    TYPE = "type"
    HEADER = "header"


@dataclass(frozen=True)
class Name:
    """A name and how it is used; of a header, what stands between the brackets or quotes."""

    text: str
    kind: NameKind


_USES = (
    (NameKind.CALL, re.compile(r"(?<![\w.>])([A-Za-z_]\w{3,80})\s*\(")),
    (
        NameKind.MEMBER,
        re.compile(r"(?:->|(?<=[\w)\]])\.|(?<=[{,\s])\.)([A-Za-z_]\w{3,80})\b(?!\s*\()"),
    ),
    (NameKind.CONSTANT, re.compile(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]{2,80})\b(?!\s*\()")),
    (NameKind.TYPE, re.compile(r"\b(\w{3,80}_t)\b")),
)
_INCLUDE = re.compile(r"\s*#\s*include\s*[<\"]([^>\"]{1,200})[>\"]")
_CONDITION = re.compile(r"\s*#\s*(?:if|elif)")


def is_code(path: str) -> bool:
    """Whether a file is C, C++ or assembly, by its name."""
    return bool(_IS_CODE.search(path))


def words(text: str) -> frozenset[str]:
    """Return every name that occurs in a text."""
    return frozenset(_WORD.findall(text))


def used(added: Iterable[str], removed: Iterable[str] = ()) -> tuple[Name, ...]:
    """Return the names that changed lines begin to use, in their order.

    A name that the removed lines have too is nothing new; one that is only asked for in an
    ``#if`` may be missing.
    """
    known = {word for line in removed for word in _WORD.findall(line)}
    found: dict[Name, None] = {}
    for line in added:
        found.update(dict.fromkeys(name for name in _used_in(line) if name.text not in known))
    return tuple(found)


def _used_in(line: str) -> Iterator[Name]:
    if len(line) > LONGEST or _CONDITION.match(line):
        return
    included = _INCLUDE.match(line)
    if included:
        yield Name(included[1], NameKind.HEADER)
        return
    plain = bare(line)
    for kind, pattern in _USES:
        yield from (Name(text, kind) for text in pattern.findall(plain))


def bare(line: str) -> str:
    """Return a line of code without its comments and strings."""
    return _COMMENT.sub(" ", _NOT_CODE.sub(" ", line))


_FUNCTION = re.compile(r"(?:#\s*define\s+|(?![#*/])\S.*?\b|)([A-Za-z_]\w*)\s*\(|#\s*define\s+(\w+)")


def functions(lines: Iterable[str]) -> frozenset[str]:
    """Return the names before a bracket, and of macros, in lines that are not indented."""
    found: set[str] = set()
    for line in lines:
        if line[:1].strip() and len(line) <= LONGEST:
            found.update(name for pair in _FUNCTION.findall(line) for name in pair if name)
    return frozenset(found)


def may_define(name: Name, line: str) -> bool:
    """Whether a line could be one that defines ``name``; said rather too often than too seldom."""
    text, n = bare(line), re.escape(name.text)
    if re.search(rf"#\s*define\s+{n}\b", line):
        return True
    if name.kind is NameKind.CALL:
        return name.text in functions([line]) or bool(re.search(rf"\b{n}\b(?!\s*\()", text))
    if name.kind is NameKind.MEMBER:
        return bool(re.search(rf"(?<![\w.>]){n}\b", text))
    if name.kind is NameKind.CONSTANT:
        return bool(re.match(rf"\s*(?:enum\b.*\{{.*)?{n}\s*(?:=(?!=)|,|\}}|$)", text))
    return bool(
        re.search(rf"(?:typedef\b.*|}}\s*)\b{n}\b", text) or re.fullmatch(rf"\s*{n};", text)
    )


def defines(name: Name, lines: Sequence[str], number: int) -> bool:
    """Whether the line of that number, from 0, plainly defines ``name``."""
    line, n = lines[number], re.escape(name.text)
    if len(line) > LONGEST:
        return False
    if re.match(rf"\s*#\s*define\s+{n}\b", line):
        return name.kind in (NameKind.CALL, NameKind.CONSTANT)
    text = bare(line)
    if name.kind is NameKind.CALL:
        return not text.rstrip().endswith(";") and name.text in functions([text])
    if name.kind is NameKind.MEMBER:
        return _declares(n, text) and _inside(lines, number, "struct", "union")
    if name.kind is NameKind.CONSTANT:
        given = re.match(rf"\s*(?:enum\b.*\{{.*)?{n}\s*(?:=(?!=)|,|\}}|$)", text)
        return bool(given) and ("enum" in text or _inside(lines, number, "enum"))
    return bool(re.search(rf"(?:\btypedef\b.*|^}}\s*)\b{n}\s*(?:;|\[)", text))


_STATEMENT = re.compile(r"\s*(?:return|goto|else|case|delete|new|typedef|extern)\b")


def _declares(name: str, text: str) -> bool:
    """Whether a line declares a member: a type, the name, and its end."""
    if _STATEMENT.match(text):
        return False
    plain = rf"\s+[A-Za-z_][\w\s*,]*[\s*]{name}\s*(?:\[.*\]\s*)?(?::\s*\w+\s*)?[;,]"
    return bool(re.match(plain, text) or re.search(rf"\(\s*\*\s*{name}\s*\)\s*\(", text))


_BACK = 600  #: lines that are looked at for the head of a block


def _inside(lines: Sequence[str], number: int, *heads: str) -> bool:
    """Whether the innermost block around a line is one of ``heads``, by the brackets before it."""
    depth = 0
    for at in range(number - 1, max(-1, number - _BACK), -1):
        text = bare(lines[at])
        depth += text.count("}") - text.count("{")
        if depth < 0:
            head = f"{bare(lines[at - 1]) if at else ''} {text}".rpartition("{")[0]
            return any(re.search(rf"\b{word}\b", head) for word in heads) and "(" not in head
    return False
