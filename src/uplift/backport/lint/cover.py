"""Rules about the cover letter and the size of a series."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from uplift.backport.lint.context import Context, about_series
from uplift.backport.lint.model import CoverLetter, Finding, Severity
from uplift.backport.lint.target import leading_tags

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
_ALIASES: Mapping[str, str] = {
    "test case": "test plan",
    "testcase": "test plan",
    "test": "test plan",
    "testing": "test plan",
    "regression potential": "where problems could occur",
    "regression risk": "where problems could occur",
    "where problems could happen": "where problems could occur",
    "where things could go wrong": "where problems could occur",
    "other": "other info",
    "others": "other info",
}
_SECTION = re.compile(r"(?m)^\s{0,4}\[\s*([A-Za-z][A-Za-z /-]{2,60}?)\s*\]\s*:?[ \t]*(.*)$")
_NOTHING = re.compile(
    r"(?i)^(?:the\s+|any\s+|overall\s+)*(?:regression\s+|risks?\s+|potential\s+|impact\s+)*"
    r"(?:of\s+regressions?\s+)?(?:(?:is|are|can\s+be|should\s+be|considered|as|to\s+be)\s+)*[:-]?\s*"
    r"(?:very|quite|extremely|fairly|rather)?\s*"
    r"(?:none|nothing|no|low|minimal|nil|zero|negligible|n/?a|small|unlikely)\b"
)


def cover(context: Context) -> Iterator[Finding]:
    """Find a missing cover letter, and what is missing in one."""
    rules, letter = context.profile.cover, context.submission.cover
    if letter is None:
        if rules.required and context.submission.mailed:
            fix = "send the patches in reply to one, even a single patch"
            yield about_series("cover-missing", ERROR, "no cover letter", fix)
        return
    for found in (*_sections(context, letter), *_bug(context, letter)):
        yield replace(found, place=letter.place)


def _sections(context: Context, letter: CoverLetter) -> Iterator[Finding]:
    rules = context.profile.cover
    written = sections(letter.body)
    for name in rules.sections:
        text = written.get(name.lower())
        if text is None and name not in rules.optional:
            fix = f"add the part [ {name} ]"
            yield about_series("cover-section", ERROR, f"the part [ {name} ] is missing", fix)
        elif text is not None and (not text.strip() or "TO WRITE:" in text):
            problem = f"the part [ {name} ] is not written"
            yield about_series("cover-section", ERROR, problem, "write it")
    yield from _risk(written.get(rules.risk.lower(), ""), rules.risk)


def _risk(text: str, name: str) -> Iterator[Finding]:
    plain = " ".join(text.split()).strip(" *-.\"'")
    if not plain or not _NOTHING.match(plain):
        return
    short = len(plain.split()) <= 12
    problem = f"[ {name} ] says “{plain[:60]}”"
    fix = "say what would break, and how one would see it, if the change were wrong"
    yield about_series("cover-risk", ERROR if short else WARNING, problem, fix)


def sections(text: str) -> dict[str, str]:
    """Return the parts of an SRU text, by their titles in lower case; older titles are known."""
    found: dict[str, str] = {}
    matches = list(_SECTION.finditer(text))
    ends = [*(match.start() for match in matches[1:]), len(text)]
    for match, end in zip(matches, ends, strict=False):
        name = " ".join(match[1].lower().split())
        content = f"{match[2]}\n{text[match.end() : end]}"
        found.setdefault(_ALIASES.get(name, name), _before_statistics(content))
    return found


def _before_statistics(text: str) -> str:
    """Cut off the list of commits and files that git puts below a cover letter."""
    found = re.search(r"(?m)^[^\n]{2,60} \(\d+\):$|^ \S[^\n]* \| +\d+|^-- $", text)
    return text[: found.start()] if found else text


def _bug(context: Context, letter: CoverLetter) -> Iterator[Finding]:
    rules = context.profile.bug
    if not rules.required or context.profile.provenance.place == "dep3":
        return
    addresses = re.findall(rf"(?im)^\s*{re.escape(rules.key)}\s*:\s*(\S+)", letter.body)
    if rules.instead and re.search(rules.instead, letter.subject):
        return
    if not addresses:
        fix = f"add {rules.line.format(bug='NUMBER')}"
        yield about_series("bug-missing", ERROR, f"no {rules.key} in the cover letter", fix)
    elif not all(re.fullmatch(rules.form, address) for address in addresses):
        fix = f"write {rules.line.format(bug='NUMBER')}"
        yield about_series("bug-form", ERROR, "the bug's address is not of the short form", fix)


def size(context: Context) -> Iterator[Finding]:
    """Find a series that is too long to be mailed."""
    most, count = context.profile.series.pull_beyond, len(context.commits)
    if not most or count <= most or not context.submission.mailed:
        return
    letter = context.submission.cover
    if letter and any(tag.upper().startswith("PULL") for tag in leading_tags(letter.subject)):
        return
    problem = f"{count} commits are mailed; beyond {most} a pull request is wanted"
    fix = "push the branch and send one mail with [PULL] and what git request-pull prints"
    yield about_series("pull", WARNING, problem, fix)
