"""Findings as text: for a terminal, and as a reply to a mail. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from uplift.backport.lint.model import Finding, Severity

_WIDTH = 78
_MAIL_WIDTH = 72


def visible(text: str) -> str:
    """Return ``text`` on one line, with every character that could steer a terminal spelt out."""
    return "".join(letter if letter.isprintable() else _spelt(letter) for letter in text)


def _spelt(letter: str) -> str:
    if letter == "\t":
        return " "
    number = ord(letter)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def summary(findings: Iterable[Finding]) -> str:
    """Return one line that counts them."""
    found = Counter(finding.severity for finding in findings)
    told = [_count(found[severity], severity.value) for severity in Severity if found[severity]]
    return ", ".join(told) if told else "nothing found"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def as_text(findings: Sequence[Finding], *, details: bool = True) -> str:
    """Return findings for a terminal, grouped by commit, the worst first."""
    blocks = []
    for place in dict.fromkeys(finding.place for finding in findings):
        group = [finding for finding in findings if finding.place == place]
        title = next((finding.title for finding in group if finding.title), "")
        blocks.append(visible(f"{place}  {title}".rstrip()))
        blocks += [_block(finding, details) for finding in group]
    return "\n".join([*blocks, summary(findings)]) + "\n"


def _block(finding: Finding, details: bool) -> str:
    where = f" line {finding.line}" if finding.line else ""
    lines = [f"  {finding.severity.value}: {visible(finding.problem)}  [{finding.rule}]{where}"]
    if finding.quote:
        lines.append(f"      | {visible(finding.quote)}")
    lines.append(f"      why: {visible(finding.why)}")
    lines.append(f"      fix: {visible(finding.fix)}")
    if details:
        lines += [f"      : {visible(line)}" for line in finding.detail]
    return "\n".join(lines)


def as_mail(findings: Sequence[Finding], *, notes: bool = False) -> str:
    """Return findings as the text of a reply: what is meant is quoted, lines are short.

    :param notes: whether notes are told, too.
    """
    told = [item for item in findings if notes or item.severity is not Severity.NOTE]
    blocks = [_reply(finding) for finding in told]
    return "\n\n".join([*blocks, summary(told)]) + "\n"


def _reply(finding: Finding) -> str:
    quoted = [f"{finding.place}: {finding.title}".rstrip(": ")]
    if finding.quote and finding.quote != finding.title:
        quoted.append(finding.quote)
    lines = [f"> {visible(line)}" for line in quoted]
    text = f"{_sentence(f'{finding.problem} ({finding.rule})')} {_sentence(finding.why)}"
    lines += ["", *_wrapped(text), *_wrapped(f"Please: {finding.fix}.")]
    lines += [f"    {visible(line)}" for line in finding.detail]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(visible(text), _MAIL_WIDTH, break_long_words=False, break_on_hyphens=False)
