"""What the maintainers of stable branches did, as ground truth for plans.

    python -m bench.backport_truth REPO [--upstream main] [--branch B…] [--each N] > TRUTH.json

For each backport (a commit of a branch that names one upstream commit, or has the author, the date
and the subject of exactly one): is the upstream commit clean on the backport's own parent, and is
it on the commit where the branch left upstream? Where it conflicts there and is clean at the
parent, the backports in between contain what it needs: they are replayed and left out one by one,
until each that stays is needed. Nothing of the package is used but the merge itself, which
``tests/backport/test_pick.py`` holds against ``git cherry-pick``.
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from uplift.backport.pick import Picker, picking
from uplift.lab.git import RepositoryError, Workspace

_NAMED = re.compile(
    r"(?:picked|ported|picked up|applied)[ \t]+from[ \t]+(?:upstream |master )?"
    r"commit:?\s+([0-9a-f]{7,40})\b"
    r"|^\[?\s*(?:upstream|master|mainline)[ -]commit:?\s+([0-9a-f]{7,40})\b"
    r"|^commit ([0-9a-f]{12,40}) upstream"
    r"|^\(cherry picked from ([0-9a-f]{7,40})\)",
    re.I | re.M,
)
_LOG = "--format=%H%x01%ae%x01%at%x01%P%x01%B%x00"
_MOST_BETWEEN = 80  #: backports in between that are replayed
MOST_NEEDED = 40


@dataclass(frozen=True)
class Backport:
    """One commit of a branch and the upstream commit it brought.

    :param parent: where it was put.
    :param fork: where the branch left upstream.
    """

    branch: str
    sha: str
    upstream: str
    parent: str
    fork: str


@dataclass(frozen=True)
class Case:
    """A backport that conflicts on the fork and is clean at its parent.

    :param needed: upstream commits that make it clean on the fork, none of which can be left out.
    """

    backport: Backport
    needed: tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """What was found in one repository.

    :param undetermined: conflicts on the fork that the replayed backports do not lift.
    """

    upstream: str
    backports: tuple[Backport, ...]
    clean_at_parent: int
    clean_at_fork: int
    cases: tuple[Case, ...]
    undetermined: int


@dataclass(frozen=True)
class _Logged:
    sha: str
    email: str
    time: str
    parents: tuple[str, ...]
    message: str

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0].strip()


def _log(workspace: Workspace, *range_: str) -> Iterator[_Logged]:
    text = workspace.git("log", _LOG, "--no-merges", *range_).decode("utf-8", "replace")
    for record in text.split("\0"):
        fields = record.strip("\n").split("\1")
        if len(fields) == 5:
            yield _Logged(fields[0], fields[1], fields[2], tuple(fields[3].split()), fields[4])


class Upstream:
    """Commits of upstream, by a prefix of their sha and by who wrote what when."""

    def __init__(self, workspace: Workspace, tip: str) -> None:
        logged = list(_log(workspace, tip))
        self.order = {commit.sha: number for number, commit in enumerate(reversed(logged))}
        self._shas = sorted(self.order)
        self._written: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for commit in logged:
            self._written[commit.email, commit.time, commit.subject].append(commit.sha)

    def of(self, commit: _Logged) -> str:
        named = {sha for match in _NAMED.finditer(commit.message) for sha in match.groups() if sha}
        if len(named) > 1:
            return ""
        if named:
            return self._named(named.pop().lower())
        written = self._written.get((commit.email, commit.time, commit.subject), [])
        return written[0] if len(written) == 1 else ""

    def _named(self, prefix: str) -> str:
        at = bisect.bisect_left(self._shas, prefix)
        found = [sha for sha in self._shas[at : at + 2] if sha.startswith(prefix)]
        return found[0] if len(found) == 1 else ""


def upstream_name(workspace: Workspace) -> str:
    """Return the branch that others are taken from: main or master."""
    heads = workspace.refs()
    for name in ("main", "master"):
        if f"refs/heads/{name}" in heads:
            return name
    raise RepositoryError("cannot tell upstream", "no branch main or master", "give --upstream")


def branches(workspace: Workspace, upstream: str) -> list[str]:
    """Return the branches that left upstream, by name."""
    heads = (name.removeprefix("refs/heads/") for name in workspace.refs() if "/heads/" in name)
    return sorted(name for name in heads if name != upstream)


def backports_of(workspace: Workspace, known: Upstream, tip: str, branch: str) -> list[Backport]:
    """Return a branch's backports, oldest first."""
    fork = workspace.attempt("merge-base", tip, branch)
    if not fork.ok:
        return []
    at = fork.stdout.decode().split()[0]
    found: list[Backport] = []
    for commit in _log(workspace, "--first-parent", "--reverse", f"{at}..{branch}", "--not", tip):
        origin = known.of(commit)
        if origin and len(commit.parents) == 1:
            found.append(Backport(branch, commit.sha, origin, commit.parents[0], at))
    return found


def sample(backports: Iterable[Backport], each: int) -> list[Backport]:
    """Choose ``each`` of a branch, the same ones every time, whatever their order."""
    by_branch: dict[str, list[Backport]] = defaultdict(list)
    for backport in backports:
        by_branch[backport.branch].append(backport)
    chosen = []
    for group in by_branch.values():
        group.sort(key=lambda b: hashlib.sha256(b.sha.encode()).digest())
        chosen += group[:each]
    return chosen


def build(workspace: Workspace, upstream: str, names: Sequence[str], each: int) -> Truth:
    """Find the truth of one repository."""
    known = Upstream(workspace, upstream)
    whole = {name: backports_of(workspace, known, upstream, name) for name in names}
    whole = {name: found for name, found in whole.items() if len(found) >= 10}
    chosen = sample((b for found in whole.values() for b in found), each)
    with picking(workspace) as picker:
        at_parent = picker.pick_all([(b.parent, b.upstream) for b in chosen])
        clean = [b for b, p in zip(chosen, at_parent, strict=True) if p.clean and not p.empty]
        at_fork = picker.pick_all([(b.fork, b.upstream) for b in clean])
        hard = [b for b, p in zip(clean, at_fork, strict=True) if p.conflicts]
        cases, undetermined = [], 0
        for number, backport in enumerate(hard):
            if sys.stderr.isatty():
                print(f"\r{number}/{len(hard)}", end="", file=sys.stderr, flush=True)
            needed = _needed(picker, known, whole[backport.branch], backport)
            if needed is None:
                undetermined += 1
            else:
                cases.append(Case(backport, needed))
        fork_clean = len(clean) - len(hard)
    return Truth(upstream, tuple(chosen), len(clean), fork_clean, tuple(cases), undetermined)


def _needed(
    picker: Picker, known: Upstream, whole: Sequence[Backport], backport: Backport
) -> tuple[str, ...] | None:
    """Replay what was picked before, then leave out whatever can be."""
    before = []
    for other in whole:
        if other.sha == backport.sha:
            break
        before.append(other.upstream)
    near = _near(
        picker, [sha for sha in dict.fromkeys(before) if sha != backport.upstream], backport
    )
    near.sort(key=lambda sha: known.order[sha])
    kept = _that_apply(picker, backport, near)
    if not _enough(picker, backport, kept):
        return None
    return tuple(_without_needless(picker, backport, kept))


def _near(picker: Picker, before: Sequence[str], backport: Backport) -> list[str]:
    """Those that touch files of the backport, or of one that does, newest first and capped."""
    files = {sha: _files(picker, sha) for sha in [*before, backport.upstream]}
    wanted = set(files[backport.upstream])
    found: list[str] = []
    for _ in range(3):
        more = [sha for sha in before if sha not in found and wanted & files[sha]]
        found += more
        for sha in more:
            wanted |= files[sha] if len(files[sha]) <= 12 else set()
        if len(found) > _MOST_BETWEEN:
            break
    return sorted(found, key=before.index)[-_MOST_BETWEEN:]


_FILES: dict[str, frozenset[str]] = {}


def _files(picker: Picker, sha: str) -> frozenset[str]:
    if sha not in _FILES:
        trees = picker.trees_of(sha)
        named = picker.workspace.git("diff-tree", "-r", "-z", "--name-only", trees.base, trees.tree)
        _FILES[sha] = frozenset(named.decode("utf-8", "surrogateescape").split("\0")[:-1])
    return _FILES[sha]


def _that_apply(picker: Picker, backport: Backport, shas: Sequence[str]) -> list[str]:
    onto, kept = backport.fork, []
    for sha in shas:
        picked = picker.pick(onto, sha)
        if picked.clean and not picked.empty:
            kept.append(sha)
            onto = picked.tree
    return kept


def _enough(picker: Picker, backport: Backport, shas: Sequence[str]) -> bool:
    onto = backport.fork
    for sha in [*shas, backport.upstream]:
        picked = picker.pick(onto, sha)
        if not picked.clean:
            return False
        onto = picked.tree
    return True


def _without_needless(picker: Picker, backport: Backport, kept: list[str]) -> list[str]:
    """Leave out runs of commits, shorter and shorter, until no single one can be left out."""
    size = max(1, len(kept) // 2)
    while kept:
        changed = False
        at = len(kept)
        while at > 0:
            fewer = kept[: max(0, at - size)] + kept[at:]
            if len(fewer) < len(kept) and _enough(picker, backport, fewer):
                kept, changed = fewer, True
            at -= size
        if size == 1 and not changed:
            break
        size = max(1, size // 2) if not changed else min(size, max(1, len(kept) // 2))
    return kept


def load(path: Path) -> Truth:
    """Read a truth that was written before."""
    held = json.loads(path.read_text())
    cases = tuple(Case(Backport(**c["backport"]), tuple(c["needed"])) for c in held.pop("cases"))
    backports = tuple(Backport(**b) for b in held.pop("backports"))
    return Truth(cases=cases, backports=backports, **held)


def main() -> int:
    """Build the truth of a repository and write it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("--upstream", default="")
    parser.add_argument("--branch", action="append", default=[])
    parser.add_argument("--each", type=int, default=100, help="backports of a branch, at most")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="uplift-truth-") as folder,
        Workspace.make(Path(folder) / "git", [given.repository]) as workspace,
    ):
        upstream = given.upstream or upstream_name(workspace)
        names = given.branch or branches(workspace, upstream)
        truth = build(workspace, upstream, names, given.each)
    json.dump(asdict(truth), sys.stdout, indent=1)
    found = [len(case.needed) for case in truth.cases]
    print(
        f"\n{len(truth.backports)} backports, {truth.clean_at_parent} clean at the parent, "
        f"{truth.clean_at_fork} at the fork, {len(found)} need {sum(found)} others, "
        f"{truth.undetermined} undetermined",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
