"""The statements of C functions, each with the conditions that it stands under."""

from __future__ import annotations

import re
from collections.abc import Iterator

_FUNCTION = re.compile(
    r"^(?:static )?[a-z][\w ]*?[ *](\w+)\(([^;{]*?)\)\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL
)
_WORD = re.compile(r"(if|else|switch|case|default|for|while)\b")


def functions(text: str) -> dict[str, str]:
    """Return the bodies of the functions of a file without comments, by name."""
    return {name: body for name, _, body in _FUNCTION.findall(text)}


def statements(body: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each statement of a function's body with the conditions around it, outermost first.

    A case's label stands among them as ``case LABEL``, an else branch's as ``!(CONDITION)``. White
    space is one blank; the text has no comments.
    """
    yield from _Reader(" ".join(body.split())).block(())


class _Reader:
    """Reads statements from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def block(self, around: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield the statements up to the closing brace, or the end."""
        label: tuple[str, ...] = ()
        while self._skip() < len(self._text):
            if self._text[self._at] == "}":
                self._at += 1
                return
            word = _WORD.match(self._text, self._at)
            if word and word[1] in ("case", "default"):
                label = (self._to(":"),)
            else:
                yield from self._statement((*around, *label))

    def _statement(self, around: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        self._skip()
        if self._text[self._at : self._at + 1] == "{":
            self._at += 1
            yield from self.block(around)
            return
        word = _WORD.match(self._text, self._at)
        if word is None:
            told = self._to(";")
            if told:
                yield around, told
            return
        self._at = word.end()
        condition = self._balanced()
        if word[1] != "if":
            yield from self._statement(around)
            return
        yield from self._statement((*around, condition))
        if self._text.startswith("else", self._skip()):
            self._at += len("else")
            yield from self._statement((*around, f"!({condition})"))

    def _skip(self) -> int:
        while self._text[self._at : self._at + 1] == " ":
            self._at += 1
        return self._at

    def _to(self, end: str) -> str:
        """Return the text up to ``end`` outside of parentheses and braces, and go past it."""
        start, depth = self._skip(), 0
        while self._at < len(self._text):
            sign = self._text[self._at]
            depth += (sign in "({[") - (sign in ")}]")
            if sign == end and depth <= -(end == ")"):
                break
            self._at += 1
        self._at += 1
        return self._text[start : self._at - 1].strip()

    def _balanced(self) -> str:
        """Return what stands in the parentheses that begin here; empty where none do."""
        if self._text[self._skip() : self._at + 1] != "(":
            return ""
        self._at += 1
        return self._to(")")


def conjuncts(condition: str) -> list[str]:
    """Split a condition at each ``&&`` that stands in no parentheses."""
    return _parts(condition, "&&")


def negated(condition: str) -> str:
    """Return the opposite of a condition, as simply as can be written."""
    parts = _parts(condition, "||")
    if len(parts) > 1:
        return " && ".join(negated(part) for part in parts)
    if len(_parts(condition, "&&")) > 1:
        return f"!({condition})"
    if condition.startswith("!"):
        inner = condition[1:].strip()
        return inner[1:-1] if _wrapped(inner) else inner
    return f"!{condition}"


def _wrapped(text: str) -> bool:
    """Whether one pair of parentheses stands around all of it."""
    if not text.startswith("("):
        return False
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return place == len(text) - 1
    return False


def _parts(condition: str, operator: str) -> list[str]:
    found, depth = [""], 0
    for word in re.split(rf"([()]|{re.escape(operator)})", condition):
        depth += (word == "(") - (word == ")")
        if word == operator and depth == 0:
            found.append("")
        else:
            found[-1] += word
    return [part.strip() for part in found if part.strip()]
