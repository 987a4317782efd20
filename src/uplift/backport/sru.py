"""The cover letter of a series: what is known is filled in, the rest is marked to be written."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from uplift.backport.commit_text import read_commit
from uplift.backport.model import Commit, Plan, PlannedCommit, Role
from uplift.backport.profiles import Profile
from uplift.backport.series import Written, WrittenCommit
from uplift.backport.series_text import TO_WRITE, Form, Links
from uplift.lab.git import Workspace

_SHOWN = 12  #: paths or names that are listed
_WIDTH = 74


@dataclass(frozen=True)
class CoverText:
    """A cover letter without its headers.

    :param pull: it asks to fetch the commits.
    """

    subject: str
    text: str
    pull: bool


@dataclass(frozen=True)
class Known:
    """Everything that the text is made from; nothing else is said.

    :param paths: every touched path and how many commits touch it.
    :param upstream: the upstream commits by sha.
    """

    plan: Plan
    written: Written
    links: Links
    upstream: Mapping[str, Commit]
    paths: Counter[str] = field(default_factory=Counter)

    @property
    def carried(self) -> tuple[tuple[WrittenCommit, PlannedCommit], ...]:
        """The commits that were written, each with its place in the plan; not the split parts."""
        planned = {commit.sha: commit for commit in self.plan.series}
        pairs = ((commit, planned.get(commit.upstream)) for commit in self.written.commits)
        return tuple((c, p) for c, p in pairs if p is not None and c.form is not Form.CONFIG)


def cover_text(
    view: Workspace,
    profile: Profile,
    plan: Plan,
    written: Written,
    links: Links,
    subject: str = "",
) -> CoverText:
    """Write the cover letter of a series that lies in ``view`` or in its repositories."""
    known = read_known(view, plan, written, links)
    most = profile.series.pull_beyond
    pull = bool(most) and len(written.commits) > most
    parts = [*_opening(profile, links), justification(profile, known)]
    if pull:
        parts.append(_request(view, written))
    parts += [_shortlog(view, written), _statistics(view, written)]
    title = subject or _subject(known)
    return CoverText(title, "\n\n".join(part for part in parts if part) + "\n", pull)


def read_known(view: Workspace, plan: Plan, written: Written, links: Links) -> Known:
    """Read what the text is made from."""
    shas = dict.fromkeys(commit.upstream for commit in written.commits)
    upstream = {sha: read_commit(sha, view.objects.read(sha)[1]) for sha in shas}
    paths: Counter[str] = Counter()
    for commit in written.commits:
        options = ("-r", "-z", "--name-only", "--no-commit-id", "--root")
        listed = view.git("diff-tree", *options, commit.sha).split(b"\0")[:-1]
        paths.update(path.decode("utf-8", "backslashreplace") for path in listed)
    return Known(plan, written, links, upstream, paths)


def _subject(known: Known) -> str:
    asked = [planned for _, planned in known.carried if planned.role is Role.REQUESTED]
    commits = asked or [planned for _, planned in known.carried]
    if not commits:
        return f"{TO_WRITE} subject"
    first = known.upstream[commits[0].sha].subject
    return first if len(commits) == 1 else f"{TO_WRITE} subject ({first}, and more)"


def _opening(profile: Profile, links: Links) -> Iterator[str]:
    if profile.bug.line and profile.provenance.place != "dep3":
        if links.bug:
            yield profile.bug.line.format(bug=links.bug)
        elif profile.bug.required and not links.cves:
            yield f"{TO_WRITE} {profile.bug.line.format(bug='NUMBER')}"
    if links.cves:
        yield "\n".join(links.cves)
    if profile.cover.heading:
        yield profile.cover.heading


def justification(profile: Profile, known: Known) -> str:
    """Return the parts that the profile's team wants, in their order."""
    write = {
        "impact": _impact,
        "fix": _fix,
        "test plan": _test_plan,
        "where problems could occur": _problems,
        "other info": _other,
    }
    if not profile.cover.sections:
        return _fix(known)
    names = profile.cover.sections
    folded = {name.lower() for name in names}
    texts = {name: write[name.lower()](known) if name.lower() in write else "" for name in names}
    if "fix" not in folded and "Impact" in texts:
        texts["Impact"] += f"\n\n{_fix(known)}"
    return "\n\n".join(
        f"[ {name} ]\n\n{text or f'{TO_WRITE} {name}'}" for name, text in texts.items()
    )


def _impact(known: Known) -> str:
    asked = [planned for _, planned in known.carried if planned.role is Role.REQUESTED]
    lines = [f"  {known.upstream[planned.sha].subject}" for planned in asked]
    return "\n".join([f"{TO_WRITE} who is affected, and how, as long as this is missing:", *lines])


def _fix(known: Known) -> str:
    lines = []
    for commit, planned in known.carried:
        how = {Form.PICKED: "cherry picked", Form.BACKPORTED: "backported"}
        told = how.get(commit.form, "to be resolved")
        why = "" if planned.role is Role.REQUESTED else f"; {planned.role.value}: {planned.reason}"
        title = known.upstream[planned.sha].subject
        lines.append(f'{planned.sha[:12]} ("{title}"), {told}{why}')
    return "Upstream commits:\n\n" + "\n".join(_listed(lines))


def _test_plan(known: Known) -> str:
    return (
        f"{TO_WRITE} steps by which somebody who does not know the code sees that it works, and\n"
        "on which hardware"
    )


def _problems(known: Known) -> str:
    """Say which code is touched; what would go wrong there only a person can say."""
    folders = Counter[str]()
    for path, number in known.paths.items():
        folders[path.rpartition("/")[0] or "the top folder"] += number
    lines = ["The series changes:", "", *_listed(name for name, _ in folders.most_common(_SHOWN))]
    adapted = [c for c, _ in known.carried if c.form in (Form.BACKPORTED, Form.CONFLICT)]
    if adapted:
        lines += ["", "Not as upstream has them, so worth a closer look:", ""]
        lines += _listed(commit.title for commit in adapted)
    lines += ["", f"{TO_WRITE} what would break there, and how one would see it, if it were wrong"]
    return "\n".join(lines)


def _other(known: Known) -> str:
    plan, lines = known.plan, []
    for presence in plan.present:
        lines.append(f"{presence.sha[:12]} ({presence.subject}) is on the branch already.")
    lines += [
        f"{sha[:12]} changes nothing here and was left out." for sha in known.written.left_out
    ]
    lines += [f"{name} is used and not defined on the branch." for name in plan.symbols[:_SHOWN]]
    lines += list(plan.notes)
    if not lines:
        return f"{TO_WRITE} anything else that a reviewer would ask"
    return "\n".join(_listed(lines))


def _listed(lines: Iterable[str]) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line,
            _WIDTH,
            initial_indent=" * ",
            subsequent_indent="   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def _request(view: Workspace, written: Written) -> str:
    """Return what git request-pull prints; where the branch can be fetched a person knows."""
    base = read_commit(written.onto, view.objects.read(written.onto)[1])
    name = written.branch or f"{TO_WRITE} branch"
    return "\n".join(
        (
            f"The following changes since commit {written.onto}:",
            "",
            f"  {base.subject}",
            "",
            "are available in the Git repository at:",
            "",
            f"  {TO_WRITE} address {name}",
            "",
            f"for you to fetch changes up to {written.tip}",
        )
    )


def _shortlog(view: Workspace, written: Written) -> str:
    by_author: dict[str, list[str]] = {}
    for commit in written.commits:
        author = read_commit(commit.sha, view.objects.read(commit.sha)[1]).author.name
        by_author.setdefault(author, []).append(f"  {commit.title}")
    blocks: Sequence[str] = [
        "\n".join([f"{name} ({len(titles)}):", *titles]) for name, titles in by_author.items()
    ]
    return "\n\n".join(blocks)


def _statistics(view: Workspace, written: Written) -> str:
    options = ("--stat=78", "--summary", "-M", "--no-ext-diff", "--no-textconv", "--no-color")
    told = view.git("diff-tree", "-r", *options, written.onto, written.tip)
    return told.decode("utf-8", "replace").rstrip("\n")
