"""Which commits a question is about: named, of a range, a word, a path, a bug or a feature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from uplift.backport.index import Index
from uplift.backport.message_links import meant
from uplift.backport.reachable import reachable
from uplift.catalog.model import Feature
from uplift.errors import UpliftError
from uplift.lab.git import RepositoryError, Workspace
from uplift.lab.process import printable

_MOST = 200_000  #: commits of one question


@dataclass(frozen=True)
class Selection:
    """What a user asked for.

    :param range: ``A..B``, a whole release against another for instance.
    :param grep: words of the message, compared as they are; :param path: a file or a folder.
    :param function: a name; commits that change a function called so count.
    :param bugs: bugs, or addresses, that the message links to; a commit of one of them counts.
    :param upstream: where all these are looked for when no range is given.
    """

    names: tuple[str, ...] = ()
    range: str = ""
    grep: str = ""
    path: str = ""
    upstream: str = ""
    bugs: tuple[str, ...] = ()
    function: str = ""

    @property
    def narrowed(self) -> bool:
        """Whether what is in a range has to fit something else, too."""
        return bool(self.grep or self.path or self.function)


@dataclass(frozen=True)
class Selected:
    """Full shas, oldest first where git listed them, and what to say beside."""

    shas: tuple[str, ...]
    notes: tuple[str, ...] = ()


def select(
    workspace: Workspace, index: Index, asked: Selection, features: Sequence[Feature] = ()
) -> Selected:
    """Return the commits that are asked for, each once.

    Of a range, a word, a path, a function and bugs a commit has to fit all that are given. A sha
    that the repository does not hold stays as it was written: its state is undetermined.

    :raises UpliftError: a name is no commit, nothing was selected, or far too much.
    """
    notes: list[str] = []
    found = [_named(workspace, name) for name in asked.names]
    if asked.bugs:
        found += _linking(workspace, index, asked, notes)
    elif asked.range or asked.narrowed:
        found += _fitting(workspace, index, asked, notes)
    for feature in features:
        found += _of_feature(workspace, feature, notes)
    if not found:
        raise UpliftError(
            "no commit is selected",
            "; ".join(notes) or "nothing matches",
            "name commits, or give --range, --grep, --path, --function, --of-bug, another feature",
        )
    return Selected(tuple(dict.fromkeys(found)), tuple(notes))


def _named(workspace: Workspace, name: str) -> str:
    try:
        return workspace.resolve(name)
    except RepositoryError:
        if len(name) in (40, 64) and all(letter in "0123456789abcdef" for letter in name):
            return name
        raise


def _linking(workspace: Workspace, index: Index, asked: Selection, notes: list[str]) -> list[str]:
    """Return the commits of bugs, the oldest first."""
    linking = dict.fromkeys(sha for written in asked.bugs for sha in _of_bug(index, written, notes))
    single = [sha for sha, known in index.known(linking).items() if known.parents < 2]
    last, *first = _ends(workspace, asked.range or asked.upstream or "HEAD")
    there = reachable(workspace, single, last)
    for end in first:
        there -= reachable(workspace, there, end.removeprefix("^"))
    if outside := len(single) - len(there):
        notes.append(f"{outside} more link to it outside {asked.range or asked.upstream or 'HEAD'}")
    if asked.narrowed:
        there &= frozenset(_fitting(workspace, index, asked, notes))
    return [sha for sha in linking if sha in there]


def _of_bug(index: Index, written: str, notes: list[str]) -> list[str]:
    bug = meant(written)
    if bug is None:
        raise UpliftError(
            f"no bug is called {printable(written)}",
            "it is no number, no tracker's name for one, and no address",
            "write 1234567, LP#1234567, RHEL-1234 or the bug's address",
        )
    linking = index.linking(bug)
    trackers = sorted({link.meant.tracker or "no tracker named" for _, link in linking})
    if len(trackers) > 1:
        notes.append(f"bug {printable(written)} is of several trackers: {', '.join(trackers)}")
    if not linking:
        notes.append(f"no message links to {printable(written)}")
    return [sha for sha, _ in linking]


def _fitting(workspace: Workspace, index: Index, asked: Selection, notes: list[str]) -> list[str]:
    """Return the commits of a range that fit, the oldest first; read their functions if asked."""
    listed = _logged(workspace, asked)
    if not asked.function:
        return listed
    index.read_functions(listed)
    if unread := index.unread_functions(listed):
        notes.append(f"of {unread} commits objects are missing that would tell what they change")
    changing = index.changing(asked.function)
    return [sha for sha in listed if sha in changing]


def _logged(workspace: Workspace, asked: Selection) -> list[str]:
    options = ["--no-merges", "--topo-order", "--reverse", f"--max-count={_MOST + 1}"]
    if asked.grep:
        options += ["--fixed-strings", "--regexp-ignore-case", f"--grep={asked.grep}"]
    paths = ["--", f":(literal){asked.path}"] if asked.path else ["--"]
    ends = _ends(workspace, asked.range or asked.upstream or "HEAD")
    listed = workspace.git("rev-list", *options, *ends, *paths).decode("ascii").split()
    if len(listed) > _MOST:
        raise UpliftError(
            "too many commits are selected", f"more than {_MOST} match", "give a smaller range"
        )
    return listed


def _ends(workspace: Workspace, text: str) -> list[str]:
    first, dots, last = text.partition("..")
    if not dots:
        return [workspace.resolve(text)]
    return [workspace.resolve(last or "HEAD"), f"^{workspace.resolve(first or 'HEAD')}"]


def _of_feature(workspace: Workspace, feature: Feature, notes: list[str]) -> list[str]:
    """Return the commits since which layers pass the feature on, as far as they are here."""
    found: list[str] = []
    for project, commit in _since(feature):
        try:
            found.append(workspace.resolve(commit))
        except RepositoryError:
            notes.append(f"{feature.id}: {commit} is of {project}, which is not in this repository")
    if not found and not notes:
        notes.append(f"{feature.id}: the catalog names no commit that brought it")
    return found


def _since(feature: Feature) -> Iterable[tuple[str, str]]:
    named = ((layer.since.project, layer.since.commit) for layer in feature.layers if layer.since)
    return dict.fromkeys((project, commit) for project, commit in named if commit)
