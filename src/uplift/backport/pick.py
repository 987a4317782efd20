"""Cherry-picks that happen in memory, judged by git's own merge.

A pick of commit u onto a tree is the merge of that tree with u's, over the tree of u's parent
(sequencer.c of git does the same). ``git merge-tree --write-tree`` merges two commits over their
common ancestor; so three commits are made up for each pick, and their trees are the real ones.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from uplift.backport.conflict_text import Region, regions
from uplift.backport.index_merge import merge_in_index
from uplift.backport.merge_answer import MergeAnswer, UnreadableAnswer, read_answers
from uplift.backport.merge_rules import merge_rules
from uplift.backport.model import Conflict
from uplift.lab import git as lab_git
from uplift.lab.git import MissingObject, RepositoryError, Workspace
from uplift.lab.process import printable

_STDIN_SINCE = (2, 39)  #: git merge-tree --write-tree --stdin
_WITH_BASE = ("-c", "merge.conflictStyle=diff3")
_MAX_RULES = 1 << 20  #: bytes of a .gitattributes file that are read
_NOBODY = b"uplift <uplift@localhost> 0 +0000"


@dataclass(frozen=True)
class Picked:
    """What picking one commit onto one tree gives.

    :param tree: the tree that results; with conflict markers in it where it is not clean.
    :param empty: the change was in the tree already.
    :param exact: git's own merge said so; an old git merges without knowing of renames.
    :param problem: why nothing can be said: an object is missing.
    """

    sha: str
    onto: str
    tree: str
    conflicts: tuple[Conflict, ...] = ()
    exact: bool = True
    problem: str = ""

    @property
    def clean(self) -> bool:
        """Whether the commit merges by itself."""
        return not self.conflicts and not self.problem

    @property
    def empty(self) -> bool:
        """Whether the tree stays what it was."""
        return self.clean and self.tree == self.onto


@dataclass(frozen=True)
class CommitTrees:
    """The tree of a commit, that of the parent it is compared with, and all its parents."""

    tree: str
    base: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Merge:
    """Trees to merge: the change from ``base`` to ``theirs`` onto ``ours``."""

    base: str
    ours: str
    theirs: str


class Picker:
    """Picks commits onto trees; what git writes lands in the workspace that it was given.

    Give it a quarantine (:meth:`Workspace.quarantine`), or use :func:`picking`.
    """

    def __init__(self, workspace: Workspace, *, use_index: bool = False) -> None:
        self.workspace = workspace
        self._use_index = use_index or git_version() < _STDIN_SINCE
        self._trees: dict[str, CommitTrees] = {}
        self._made: dict[tuple[str, str], str] = {}
        self._rules: dict[str, bytes] = {}
        self._picked: dict[tuple[str, str], Picked] = {}
        self._counts: dict[Picked, int] = {}
        self._clashes: dict[Merge, dict[str, tuple[Region, ...]]] = {}
        self.merges = 0  #: how many merges git was asked for

    def pick(self, onto: str, sha: str) -> Picked:
        """Pick the commit ``sha`` onto ``onto``, a commit or a tree."""
        return self.pick_all([(onto, sha)])[0]

    def pick_all(self, pairs: Sequence[tuple[str, str]]) -> tuple[Picked, ...]:
        """Pick each second onto its first, independently of each other, in one git process.

        A merge commit is picked as the change from its first parent; a commit without a parent as
        the change from nothing.

        :param pairs: (a commit or a tree, a commit); full shas.
        """
        wanted = dict.fromkeys(pairs)
        asked = [pair for pair in wanted if pair not in self._picked]
        self._picked.update(zip(asked, self._judge(asked), strict=True))
        return tuple(self._picked[pair] for pair in pairs)

    def series(self, onto: str, shas: Iterable[str]) -> Iterator[Picked]:
        """Pick commit after commit, each onto what came before; end after the first that fails."""
        for sha in shas:
            picked = self.pick(onto, sha)
            yield picked
            if not picked.clean:
                return
            onto = picked.tree

    def trees_of(self, sha: str) -> CommitTrees:
        """Return the trees of a commit and of its first parent.

        :raises RepositoryError: one of them is missing.
        """
        if sha not in self._trees:
            tree, parents = self._read_commit(sha)
            base = self._read_commit(parents[0])[0] if parents else self._empty_tree()
            self._trees[sha] = CommitTrees(tree, base, parents)
        return self._trees[sha]

    def tree_of(self, commit_or_tree: str) -> str:
        """Return the tree of a commit, or the tree itself."""
        kind, content = self.workspace.objects.read(commit_or_tree)
        return commit_or_tree if kind == "tree" else _header(content)[0]

    def regions(self, onto: str, sha: str) -> dict[str, tuple[Region, ...]]:
        """Return where a pick conflicts inside files, with the lines of all three sides."""
        return self.regions_all([(onto, sha)])[0]

    def regions_all(
        self, pairs: Sequence[tuple[str, str]]
    ) -> tuple[dict[str, tuple[Region, ...]], ...]:
        """Return what :meth:`regions` does for many picks, from one git process."""
        merges = [
            Merge(trees.base, picked.onto, trees.tree)
            for picked in self.pick_all(pairs)
            for trees in (self.trees_of(picked.sha),)
        ]
        new = [merge for merge in merges if merge not in self._clashes]
        for rules, group in self._by_rules(new).items():
            for merge, answer in zip(
                group, self._merge_trees(rules, group, _WITH_BASE), strict=True
            ):
                self._clashes[merge] = self._regions_in(merge, answer)
        return tuple(self._clashes[merge] for merge in merges)

    def _regions_in(self, merge: Merge, answer: MergeAnswer | str) -> dict[str, tuple[Region, ...]]:
        found: dict[str, tuple[Region, ...]] = {}
        if isinstance(answer, str):
            return found
        for clash in answer.clashes:
            content = self._content(answer.tree, clash.path)
            found[clash.path] = tuple(regions(content, *self._made_up(merge)))
        return found

    def _content(self, tree: str, path: str) -> bytes:
        try:
            kind, content = self.workspace.objects.read(f"{tree}:{path}")
        except RepositoryError:
            return b""
        return content if kind == "blob" else b""

    def conflict_count(self, picked: Picked) -> int:
        """Return in how many places a pick conflicts: regions of files, else whole paths."""
        if picked not in self._counts:
            self._counts[picked] = sum(self._regions_at(picked, c) for c in picked.conflicts)
        return self._counts[picked]

    def _regions_at(self, picked: Picked, conflict: Conflict) -> int:
        content = self._content(picked.tree, conflict.path)
        return max(1, sum(line.startswith(b"<<<<<<< ") for line in content.split(b"\n")))

    def _read_commit(self, sha: str) -> tuple[str, tuple[str, ...]]:
        kind, content = self.workspace.objects.read(sha)
        if kind != "commit":
            raise RepositoryError(
                f"cannot pick {printable(sha)}", f"it is a {kind}", "name a commit"
            )
        return _header(content)

    def _empty_tree(self) -> str:
        return self.workspace.write("tree", b"")

    def _judge(self, pairs: Sequence[tuple[str, str]]) -> list[Picked]:
        """Merge what can be read; a pair whose objects are missing says so."""
        merges: list[Merge | str] = [self._merge_of(*pair) for pair in pairs]
        possible = [merge for merge in merges if isinstance(merge, Merge)]
        answers = iter(self._answers(possible))
        judged = []
        for (onto, sha), merge in zip(pairs, merges, strict=True):
            answer = next(answers) if isinstance(merge, Merge) else merge
            ours = merge.ours if isinstance(merge, Merge) else onto
            judged.append(self._picked_as(sha, ours, answer))
        return judged

    def _merge_of(self, onto: str, sha: str) -> Merge | str:
        try:
            trees = self.trees_of(sha)
            return Merge(trees.base, self.tree_of(onto), trees.tree)
        except RepositoryError as error:
            return f"{error.problem}: {error.cause}"

    def _picked_as(self, sha: str, onto: str, answer: MergeAnswer | str) -> Picked:
        exact = not self._use_index
        if isinstance(answer, str):
            return Picked(sha, onto, "", exact=exact, problem=answer)
        conflicts = tuple(
            Conflict(sha, path, clash.kind, is_documentation(path))
            for clash in answer.clashes
            for path in (_LABEL.sub("", clash.path),)
        )
        if not answer.clean and not conflicts:
            conflicts = (Conflict(sha, "", "unnamed"),)
        return Picked(sha, onto, answer.tree, conflicts, exact)

    def _answers(self, merges: Sequence[Merge]) -> Iterator[MergeAnswer | str]:
        self.merges += len(merges)
        if self._use_index:
            for merge in merges:
                yield self._in_index(merge)
            return
        found: dict[Merge, MergeAnswer | str] = {}
        for rules, group in self._by_rules(merges).items():
            found.update(zip(group, self._merge_trees(rules, group), strict=True))
        for merge in merges:
            yield found[merge]

    def _in_index(self, merge: Merge) -> MergeAnswer | str:
        try:
            return merge_in_index(self.workspace, merge.base, merge.ours, merge.theirs)
        except RepositoryError as error:
            return f"{error.problem}: {error.cause}"

    def _by_rules(self, merges: Iterable[Merge]) -> dict[bytes, list[Merge]]:
        groups: dict[bytes, list[Merge]] = {}
        for merge in dict.fromkeys(merges):
            groups.setdefault(self._rules_of(merge.ours), []).append(merge)
        return groups

    def _rules_of(self, tree: str) -> bytes:
        """Return what the attributes of a tree say of merging: its own, never the machine's."""
        if tree not in self._rules:
            try:
                content = self.workspace.objects.read(f"{tree}:.gitattributes", _MAX_RULES)[1]
            except RepositoryError:
                content = b""
            self._rules[tree] = merge_rules(content)
        return self._rules[tree]

    def _merge_trees(
        self, rules: bytes, merges: Sequence[Merge], options: tuple[str, ...] = ()
    ) -> list[MergeAnswer | str]:
        lines = "".join(f"{ours} {theirs}\n" for ours, theirs in map(self._made_up, merges))
        with _rules_file(rules) as attributes:
            answer = self.workspace.attempt(
                *options,
                *attributes,
                "merge-tree",
                "--write-tree",
                "-z",
                "--stdin",
                stdin=lines.encode(),
            )
        try:
            answers: list[MergeAnswer | str] = list(read_answers(answer.stdout))
        except UnreadableAnswer as error:
            answers, cause = [], str(error)
        else:
            cause = answer.complaint or "git ended before it answered"
        if answer.ok and len(answers) == len(merges):
            return answers
        if len(merges) == 1:
            return [f"git cannot merge: {cause}"]
        return [one for merge in merges for one in self._merge_trees(rules, [merge], options)]

    def _made_up(self, merge: Merge) -> tuple[str, str]:
        base = self._made_commit(merge.base)
        return self._made_commit(merge.ours, base), self._made_commit(merge.theirs, base)

    def _made_commit(self, tree: str, parent: str = "") -> str:
        if (tree, parent) not in self._made:
            above = f"parent {parent}\n" if parent else ""
            head = f"tree {tree}\n{above}".encode()
            who = b"author %s\ncommitter %s\n\n" % (_NOBODY, _NOBODY)
            self._made[tree, parent] = self.workspace.write("commit", head + who)
        return self._made[tree, parent]


@contextmanager
def picking(workspace: Workspace) -> Iterator[Picker]:
    """Give a picker whose merged trees vanish with the block."""
    with workspace.quarantine() as view:
        yield Picker(view)


@contextmanager
def _rules_file(rules: bytes) -> Iterator[tuple[str, ...]]:
    """Give git's options that let it know the rules a tree has for merging."""
    if not rules:
        yield ()
        return
    with tempfile.NamedTemporaryFile(prefix="uplift-attributes-") as made:
        made.write(rules)
        made.flush()
        yield ("-c", f"core.attributesFile={made.name}")


@cache
def git_version() -> tuple[int, ...]:
    """Return the version of the git program, as numbers."""
    return lab_git.version()


def _header(commit: bytes) -> tuple[str, tuple[str, ...]]:
    """Return tree and parents of a commit object."""
    head = commit.partition(b"\n\n")[0].decode("ascii", "replace")
    tree = _TREE.match(head)
    if tree is None:
        raise MissingObject("a commit's tree")
    return tree[1], tuple(_PARENT.findall(head))


_LABEL = re.compile(r"~[0-9a-f]{40,64}(?:_\d+)?$")  #: what git adds where a folder has the name
_TREE = re.compile(r"tree ([0-9a-f]{40,64})$", re.M)
_PARENT = re.compile(r"^parent ([0-9a-f]{40,64})$", re.M)
_DOCUMENT = re.compile(
    r"(?:^|/)(?:docs?|documentation|man)/|(?:^|/)(?:news|changelog|changes|readme|authors|maintainers"
    r"|credits|\.mailmap|release[-_ ]?notes)[^/]*$|\.(?:rst|md|adoc|asciidoc|texi|pod|[1-8])$",
    re.I,
)


def is_documentation(path: str) -> bool:
    """Whether only people read the file at ``path``: news, change logs, manuals."""
    return _DOCUMENT.search(path) is not None and not _CODE.search(path)


_CODE = re.compile(
    r"\.(?:c|h|cc|cpp|py|sh|pl|rs|go|js|build|mk|am|yml|yaml)$|CMakeLists\.txt$", re.I
)
