"""The message of a commit that is carried to another branch. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from uplift.backport.model import Commit, Conflict, Person
from uplift.backport.profiles import Profile

TO_WRITE = "TO WRITE:"
CONFLICT = "CONFLICT: "


class Form(str, Enum):
    """How a commit relates to the upstream commit that it carries."""

    PICKED = "picked"  #: the same change
    BACKPORTED = "backported"  #: another change to the same end
    CONFLICT = "conflict"  #: unfinished: a person has to resolve it
    CONFIG = "config"  #: the part that changes the configuration


@dataclass(frozen=True)
class Origin:
    """Where a commit comes from and what happened to it.

    :param tree: the name of the tree, empty for mainline.
    :param note: what was changed; empty: a person has to write it.
    """

    commit: Commit
    form: Form
    tree: str = ""
    note: str = ""
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True)
class Links:
    """What is known of the reason: the number of a bug, names of CVEs."""

    bug: str = ""
    cves: tuple[str, ...] = field(default=())


def message(origin: Origin, profile: Profile, sender: Person, links: Links = Links()) -> str:
    """Return the message, ending with a line break, as the profile's team wants it.

    The upstream message is kept. Lines that ``git am`` would take for the end of the message or
    for a header are moved one space to the right.
    """
    commit, rules = origin.commit, profile.provenance
    above = [_bug_line(origin.commit, profile, links)]
    if rules.place == "top":
        above.append(_provenance(origin, profile))
    below = list(_closing(origin, profile, sender, links))
    body = harmless(_without(commit.body.strip("\n"), profile))
    parts = [title(origin, profile), *filter(None, above), _joined(body, below)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _without(body: str, profile: Profile) -> str:
    patterns = profile.provenance.drop
    lines = (
        line
        for line in body.split("\n")
        if not any(re.fullmatch(p, line.strip()) for p in patterns)
    )
    return "\n".join(lines)


def title(origin: Origin, profile: Profile) -> str:
    """Return the first line."""
    text = origin.commit.subject or "(no subject)"
    if origin.form is Form.CONFLICT:
        return CONFLICT + text
    if origin.form is Form.CONFIG:
        return profile.subject.config + text
    return text


def _provenance(origin: Origin, profile: Profile) -> str:
    rules = profile.provenance
    form = rules.picked if origin.form is Form.PICKED else rules.backported
    tree = f" {origin.tree}" if origin.tree and rules.name_tree else ""
    return form.format(sha=origin.commit.sha, tree=tree) if form else ""


def _bug_line(commit: Commit, profile: Profile, links: Links) -> str:
    if not links.bug or not profile.bug.line or profile.provenance.place == "dep3":
        return ""
    line = profile.bug.line.format(bug=links.bug)
    return "" if line in commit.body.split("\n") else line


def _closing(origin: Origin, profile: Profile, sender: Person, links: Links) -> Sequence[str]:
    rules = profile.provenance
    lines = []
    if rules.place in ("before-signoff", "any"):
        lines.append(_provenance(origin, profile))
    if origin.form in (Form.BACKPORTED, Form.CONFIG, Form.CONFLICT) and rules.changed != "free":
        what = origin.note or f"{TO_WRITE} what was changed and why"
        lines.append(rules.note.format(name=sender.name, what=what))
    lines += [f"{TO_WRITE} resolve {_shown(conflict)}" for conflict in origin.conflicts]
    lines += links.cves
    if profile.signoff.by == "sender":
        lines.append(f"Signed-off-by: {sender.name} <{sender.email}>")
    return [line for line in lines if line]


def _shown(conflict: Conflict) -> str:
    path = conflict.path.encode("utf-8", "backslashreplace").decode()
    return f"{path} ({conflict.kind})".replace("\n", "\\n")


_TRAILER = re.compile(r"[A-Za-z][A-Za-z0-9-]*: \S|[(\[].*(?:commit|:).*[)\]]$|CVE-\d")


def _joined(body: str, closing: Sequence[str]) -> str:
    """Put lines under a body: at its trailers where it ends with some, else apart."""
    if not closing:
        return body
    last = body.rpartition("\n")[2]
    gap = "" if not body else "\n" if _TRAILER.match(last) else "\n\n"
    return body + gap + "\n".join(closing)


_HAZARD = re.compile(r"(?m)^(?=diff -|Index: |---(?:\s|$)|From .*\d)")
_HEADER = re.compile(r"(?i)(?:from|subject|date|author)\s*:")


def harmless(body: str) -> str:
    """Indent the lines of a body that git-mailinfo(1) takes for a patch, a header or a new mail."""
    safe = _HAZARD.sub(" ", body)
    return f" {safe}" if _HEADER.match(safe) else safe
