"""A plan becomes commits on a new branch of the user's repository, or nothing at all.

All objects are made in a quarantine. Only when the last one is there, a pack of them is copied and
one new ref is written. The work tree, the index and existing branches are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from uplift.backport.commit_text import read_commit
from uplift.backport.model import Commit, Conflict, Person, Plan
from uplift.backport.patches import changed_lines
from uplift.backport.pick import Picked, Picker
from uplift.backport.profiles import Profile
from uplift.backport.series_text import Form, Links, Origin, message
from uplift.backport.tree_edit import changed_paths, with_files, with_paths_of
from uplift.backport.tree_names import TreeNames, tree_names
from uplift.lab.git import Repository, RepositoryError, Workspace, open_repository
from uplift.lab.git_branch import add_branch, check_branch_name, require_commit

_MAX_PACK = 1 << 30  #: bytes


@dataclass(frozen=True)
class SeriesOptions:
    """Who makes a series, for whom and why.

    :param committer: becomes the committer of each commit, and its sender.
    :param mainline: a branch or commit; what lies in it needs no tree's name.
    """

    profile: Profile
    committer: Person
    links: Links = field(default_factory=Links)
    mainline: str = ""


@dataclass(frozen=True)
class WrittenCommit:
    """One commit of the branch and the upstream commit that it carries."""

    sha: str
    upstream: str
    title: str
    form: Form
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True)
class Written:
    """A branch that was written, or (``branch`` empty) a series that only lies in a quarantine.

    :param left_out: upstream commits whose change was there already.
    """

    branch: str
    onto: str
    tip: str
    tree: str
    commits: tuple[WrittenCommit, ...]
    left_out: tuple[str, ...] = ()

    @property
    def unfinished(self) -> tuple[WrittenCommit, ...]:
        """The commits that a person has to finish."""
        return tuple(commit for commit in self.commits if commit.form is Form.CONFLICT)


def write_series(
    path: Path, workspace: Workspace, plan: Plan, branch: str, options: SeriesOptions
) -> Written:
    """Write the series of ``plan`` on the new branch ``branch`` of the repository at ``path``.

    :raises RepositoryError: the branch exists or cannot be named so, an object is missing, or the
        repository lacks the commit that the series stands on. Nothing was written then.
    """
    repository = open_repository(path)
    check_branch_name(repository, branch)
    require_commit(repository, plan.onto, branch)
    with workspace.quarantine() as view:
        made = make_series(view, plan, options)
        publish(view, repository, branch, made)
    return replace(made, branch=branch)


def make_series(view: Workspace, plan: Plan, options: SeriesOptions) -> Written:
    """Make the commits of ``plan`` inside ``view``, a quarantine."""
    shas = [planned.sha for planned in plan.series]
    mainline = view.resolve(options.mainline) if options.mainline else ""
    names = tree_names(view, shas, mainline) if shas else TreeNames({})
    return _Making(view, Picker(view), options, names, plan.onto).run(shas)


def publish(view: Workspace, repository: Repository, branch: str, made: Written) -> None:
    """Copy a series out of its quarantine: a pack of its objects, then one new ref."""
    wanted = f"{made.tip}\n^{made.onto}\n".encode()
    options = ("--revs", "--stdout", "-q", "--delta-base-offset")
    pack = view.git("pack-objects", *options, stdin=wanted, max_stdout=_MAX_PACK)
    add_branch(repository, branch, made.tip, pack)


class _Making:
    """Commit after commit, each on the one before."""

    def __init__(
        self, view: Workspace, picker: Picker, options: SeriesOptions, names: TreeNames, onto: str
    ) -> None:
        self.view, self.picker, self.options, self.names = view, picker, options, names
        self.onto = self.tip = onto
        self.tree = picker.tree_of(onto)
        self.made: list[WrittenCommit] = []
        self.left_out: list[str] = []

    def run(self, shas: Sequence[str]) -> Written:
        for sha in shas:
            self._carry(sha)
        made, left_out = tuple(self.made), tuple(self.left_out)
        return Written("", self.onto, self.tip, self.tree, made, left_out)

    def _carry(self, sha: str) -> None:
        picked = self.picker.pick(self.tree, sha)
        if picked.problem:
            raise RepositoryError(
                f"cannot carry {sha[:12]}", picked.problem, "give a full clone of its repository"
            )
        if picked.empty:
            self.left_out.append(sha)
            return
        raw = self.view.objects.read(sha)[1]
        commit = read_commit(sha, raw)
        if picked.conflicts:
            tree = _labelled(self.view, picked, commit)
            self._commit(commit, tree, Form.CONFLICT, picked.conflicts)
            return
        for tree, form in self._parts(picked.tree):
            self._commit(commit, tree, form or self._form(sha, tree))

    def _parts(self, tree: str) -> Iterator[tuple[str, Form | None]]:
        """Give the tree without the configuration, then the whole one."""
        patterns = self.options.profile.split.paths
        paths = changed_paths(self.view, self.tree, tree) if patterns else ()
        apart = [path for path in paths if is_apart(path, patterns)]
        if not apart or len(apart) == len(paths):
            yield tree, (Form.CONFIG if apart else None)
            return
        yield with_paths_of(self.view, tree, self.tree, apart), Form.BACKPORTED
        yield tree, Form.CONFIG

    def _form(self, sha: str, tree: str) -> Form:
        """The same lines came and went: picked. Others: backported."""
        who = "x <x> 0 +0000"
        head = f"tree {tree}\nparent {self.tip}\nauthor {who}\ncommitter {who}\n\n"
        probe = self.view.write("commit", head.encode())
        lines = changed_lines(self.view, [sha, probe])
        same = sha in lines and lines[sha] == lines.get(probe)
        return Form.PICKED if same else Form.BACKPORTED

    def _commit(
        self, commit: Commit, tree: str, form: Form, conflicts: tuple[Conflict, ...] = ()
    ) -> None:
        options = self.options
        origin = Origin(commit, form, self._tree_name(commit.sha), conflicts=conflicts)
        text = message(origin, options.profile, options.committer, options.links)
        raw = commit_object(tree, self.tip, commit.author, options.committer, text)
        self.tip, self.tree = self.view.write("commit", raw), tree
        first = text.partition("\n")[0]
        self.made.append(WrittenCommit(self.tip, commit.sha, first, form, conflicts))

    def _tree_name(self, sha: str) -> str:
        name = self.names.of(sha)
        if name is None:
            return "TO-WRITE:tree" if self.options.mainline else ""
        return name


def is_apart(path: bytes, patterns: Sequence[str]) -> bool:
    """Whether a change of ``path`` belongs into a commit of its own."""
    text = path.decode("utf-8", "surrogateescape")
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def commit_object(tree: str, parent: str, author: Person, committer: Person, text: str) -> bytes:
    """Return the bytes of a commit object (``git help commit-tree``), in UTF-8."""
    lines = (
        f"tree {tree}",
        f"parent {parent}",
        f"author {_ident(author)}",
        f"committer {_ident(committer)}",
        "",
        text,
    )
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _ident(person: Person) -> str:
    name = " ".join(re.sub(r"[<>\x00-\x1f]", " ", person.name).split()) or "unknown"
    email = re.sub(r"[<>\s\x00-\x1f]", "", person.email)
    return f"{name} <{email}> {max(0, person.time)} {person.zone}"


_MARKER = re.compile(rb"^(<{7,}|>{7,}|\|{7,}) [0-9a-f]{40,64}((?::[^\r\n]*)?)(?=\r?$)", re.M)


def _labelled(view: Workspace, picked: Picked, commit: Commit) -> str:
    """Return the tree of a conflict with sides that a person can tell apart."""
    theirs = f"{commit.sha[:12]} ({commit.subject[:60]})".encode()
    sides = {b"<": b"the branch", b">": theirs, b"|": b"before " + commit.sha[:12].encode()}
    files = {}
    for conflict in picked.conflicts:
        path = conflict.path.encode("utf-8", "surrogateescape")
        content = _blob(view, picked.tree, path)
        marked = _MARKER.sub(lambda m: m[1] + b" " + sides[m[1][:1]] + m[2], content)
        if marked != content:
            files[path] = marked
    return with_files(view, picked.tree, files)


def _blob(view: Workspace, tree: str, path: bytes) -> bytes:
    name = f"{tree}:{path.decode('utf-8', 'surrogateescape')}"
    try:
        kind, content = view.objects.read(name)
    except RepositoryError:
        return b""
    return content if kind == "blob" else b""
