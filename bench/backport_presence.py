"""Measure presence on real stable branches, beside patch-ids alone and trailers alone.

    python -m bench.backport_presence REPO [--upstream main] [--branch 'stable-*']… [--limit N]

The truth is what the maintainers wrote: a commit of the branch names an upstream one, and the
title, the author and second, or git's patch-id agrees (*verified*). Asked is every upstream commit
that the branch does not reach (or ``--limit`` of those without a link, by chance). A link to
another upstream commit than the maintainers named is *wrong*. The same commits are asked with
trailers believed, with trailers hidden, by patch-id alone (as ``git cherry`` does), by trailer
search alone, and by the union of patch-id, author and second, and title without any judgement.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from uplift.backport.index import Index, Indexed
from uplift.backport.model import Presence, ReferenceKind, State
from uplift.backport.place import open_workspace
from uplift.backport.presence import Options, presences
from uplift.backport.reachable import listed
from uplift.lab.git import Workspace

_NO_ORIGIN = {ReferenceKind.FIXES, ReferenceKind.REVERTS, ReferenceKind.DEPENDENCY}
_HERE = {State.PRESENT, State.PARTIAL, State.REVERTED}
_REVERT = re.compile(r"[Rr]everts commit ([0-9a-f]{40})")
_TRAILER = re.compile(
    r"(?:cherry[ -]picked from commit|upstream commit|master commit:|commit)\s+([0-9a-f]{12,40})",
    re.IGNORECASE,
)

Links = dict[str, set[str]]


@dataclass
class Truth:
    """What the maintainers of one branch say.

    :param carriers: of each upstream commit, the commits of the branch that are it.
    :param origins: of each commit of the branch, the upstream commits that it is.
    :param unverified: links by trailer that nothing else bears out.
    :param reverted: upstream commits whose every carrier a later commit reverts by its sha.
    """

    carriers: Links = field(default_factory=lambda: defaultdict(set))
    origins: Links = field(default_factory=lambda: defaultdict(set))
    unverified: Links = field(default_factory=lambda: defaultdict(set))
    reverted: set[str] = field(default_factory=set)


@dataclass
class Score:
    """What one method said of the commits of one or more branches."""

    links: int = 0
    found: int = 0
    wrong: int = 0
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    misses: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        self.links += other.links
        self.found += other.found
        self.wrong += other.wrong
        self.seconds += other.seconds
        self.misses += other.misses
        self.mistakes += other.mistakes
        self.doubts += other.doubts
        for state, count in other.states.items():
            self.states[state] += count

    def line(self, name: str) -> str:
        recall = self.found / self.links if self.links else 0.0
        states = " ".join(f"{state}={count}" for state, count in sorted(self.states.items()))
        return (
            f"  {name:16} recall {recall:8.3%} ({self.found}/{self.links})  wrong {self.wrong:4}"
            f"  {self.seconds:7.2f} s  {states}"
        )


class Branch:
    """One branch against its upstream."""

    def __init__(self, workspace: Workspace, index: Index, name: str, upstream: str) -> None:
        self.workspace, self.index, self.name, self.upstream = workspace, index, name, upstream
        tip, base = workspace.resolve(name), workspace.resolve(upstream)
        self.own = listed(workspace, [tip], [base])
        self.beyond = listed(workspace, [base], [tip])
        self.known = index.known([*self.own, *self.beyond])
        self.truth = self._truth()

    def _truth(self) -> Truth:
        truth, beyond = Truth(), set(self.beyond)
        named = self.index.references(self.own)
        pairs = {
            (sha, commit)
            for commit in self.own
            for reference in named.get(commit, ())
            if reference.kind not in _NO_ORIGIN
            and (sha := self.index.expand(reference.named)) in beyond
        }
        patch = self.index.patch_ids({sha for pair in pairs for sha in pair})
        for sha, commit in sorted(pairs):
            same_patch = patch.get(sha) is not None and patch.get(sha) == patch.get(commit)
            if _agree(self.known[sha], self.known[commit]) or same_patch:
                truth.carriers[sha].add(commit)
                truth.origins[commit].add(sha)
            else:
                truth.unverified[sha].add(commit)
        self._add_squashed(truth, pairs)
        truth.reverted = self._reverted(truth.carriers)
        return truth

    @staticmethod
    def _add_squashed(truth: Truth, pairs: set[tuple[str, str]]) -> None:
        """A commit that names several and bears out one of them is taken at its word."""
        for sha, commit in pairs:
            if truth.origins.get(commit):
                truth.origins[commit].add(sha)

    def _reverted(self, carriers: Mapping[str, set[str]]) -> set[str]:
        """Return what a later commit takes back by sha and nothing brings back."""
        standing: dict[str, str] = {}
        for commit in self.own:  # the newest first: a revert that was reverted has no effect
            text = self.index.commit(commit)
            found = _REVERT.search(text.body) if text else None
            if found and commit not in standing:
                standing[found[1]] = commit
        return {sha for sha, commits in carriers.items() if commits <= set(standing)}

    def score(self, claims: Mapping[str, str]) -> Score:
        """Compare links, upstream commit to commit of the branch, with the truth."""
        made = Score(links=len(self.truth.carriers))
        for sha, commits in self.truth.carriers.items():
            if sha in claims:
                made.found += 1
            else:
                made.misses.append(f"{self.name} {sha[:12]} is {min(commits)[:12]}")
        for sha, commit in claims.items():
            origins = self.truth.origins.get(commit)
            if origins and sha not in origins:
                made.wrong += 1
                made.mistakes.append(
                    f"{self.name} {sha[:12]} is not {commit[:12]}, which is {min(origins)[:12]}"
                )
        return made

    def ours(self, asked: Sequence[str], trailers: bool) -> tuple[Score, tuple[Presence, ...]]:
        options = Options(trailers=trailers, differences=False)
        began = time.perf_counter()
        answers = presences(self.workspace, self.index, self.name, asked, self.upstream, options)
        seconds = time.perf_counter() - began
        claims = {a.sha: _carrier(a) for a in answers if a.state in _HERE and a.evidence}
        made = self.score(claims)
        made.seconds = seconds
        for answer in answers:
            if answer.sha in self.truth.carriers:
                made.states[answer.state.value] += 1
        return made, answers

    def by_patch_id(self, asked: Sequence[str]) -> Score:
        began = time.perf_counter()
        ids = self.index.patch_ids([*self.own, *asked])
        own = {ids[sha]: sha for sha in self.own if sha in ids}
        claims = {sha: own[ids[sha]] for sha in asked if ids.get(sha) in own}
        made = self.score(claims)
        made.seconds = time.perf_counter() - began
        return made

    def by_trailer(self, asked: Sequence[str]) -> Score:
        """Search the messages for the usual words and a sha, and believe them."""
        began = time.perf_counter()
        claims: dict[str, str] = {}
        wanted = set(asked)
        for commit in self.own:
            text = self.index.commit(commit)
            for named in _TRAILER.findall(text.body if text else ""):
                if (sha := self.index.expand(named)) in wanted:
                    claims.setdefault(sha, commit)
        made = self.score(claims)
        made.seconds = time.perf_counter() - began
        return made

    def by_union(self, asked: Sequence[str]) -> Score:
        ids = self.index.patch_ids([*self.own, *asked])
        keys: dict[object, str] = {}
        for commit in self.own:
            known = self.known[commit]
            for key in (known.title, (known.email, known.authored), ids.get(commit)):
                if key:
                    keys.setdefault(key, commit)
        claims: dict[str, str] = {}
        for sha in asked:
            known = self.known[sha]
            for key in (ids.get(sha), (known.email, known.authored), known.title):
                if key and key in keys:
                    claims.setdefault(sha, keys[key])
        return self.score(claims)


def _agree(mine: Indexed, theirs: Indexed) -> bool:
    authored = (mine.email, mine.authored) == (theirs.email, theirs.authored)
    return authored or mine.title == theirs.title


def _carrier(answer: Presence) -> str:
    return next((item.commit for item in answer.evidence if item.commit), "")


def chosen(names: Iterable[str], wanted: Sequence[str], without: Sequence[str]) -> list[str]:
    """Return the branches to measure."""
    heads = [name.removeprefix("refs/heads/") for name in names if name.startswith("refs/heads/")]
    heads = [name for name in heads if not wanted or _fits(name, wanted)]
    return [name for name in heads if not _fits(name, without)]


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def git_patch_id_seconds(workspace: Workspace, shas: Sequence[str]) -> float:
    """Return what git itself takes for the patch-ids of ``shas``: its own two programs, joined."""
    began = time.perf_counter()
    lines = "".join(f"{sha}\n" for sha in shas).encode()
    diff = subprocess.Popen(
        ["git", "-C", str(workspace.directory), "diff-tree", "--stdin", "-p", "-r", "--no-renames"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    ids = subprocess.Popen(
        ["git", "patch-id", "--stable"], stdin=diff.stdout, stdout=subprocess.DEVNULL
    )
    diff.communicate(lines)
    ids.wait()
    return time.perf_counter() - began


def main() -> int:
    """Measure every chosen branch and print a table; return 1 where nothing could be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repo", type=Path)
    parser.add_argument("--upstream", default="", help="default: main or master")
    parser.add_argument("--branch", action="append", default=[], help="a pattern (repeatable)")
    parser.add_argument("--without", action="append", default=[], help="a pattern (repeatable)")
    parser.add_argument("--least", type=int, default=20, help="links that a branch must have")
    parser.add_argument("--limit", type=int, default=0, help="commits without a link, by chance")
    parser.add_argument("--show", type=int, default=5, help="misses and wrong links to print")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    totals: dict[str, Score] = defaultdict(Score)
    reverts = [0, 0, 0]
    unverified: dict[str, int] = defaultdict(int)
    with open_workspace([options.repo]) as workspace, Index.open(workspace) as index:
        refs = workspace.refs()
        upstream = options.upstream or ("main" if "refs/heads/main" in refs else "master")
        for name in chosen(refs, options.branch, [upstream, *options.without]):
            branch = Branch(workspace, index, name, upstream)
            if len(branch.truth.carriers) < options.least:
                continue
            measure(branch, options, totals, reverts, unverified)
    if not totals:
        print("no branch names upstream commits often enough", file=sys.stderr)
        return 1
    show("all branches", totals, options)
    print(f"  reverted by sha: {reverts[0]} expected, {reverts[1]} found, {reverts[2]} more")
    print(f"  trailers that nothing bears out: {dict(unverified)}")
    return 0


def measure(
    branch: Branch,
    options: argparse.Namespace,
    totals: dict[str, Score],
    reverts: list[int],
    unverified: dict[str, int],
) -> None:
    """Measure one branch and add it to the totals."""
    linked = sorted({*branch.truth.carriers, *branch.truth.unverified})
    rest = [sha for sha in branch.beyond if sha not in set(linked)]
    if options.limit:
        rest = random.Random(branch.name).sample(rest, min(options.limit, len(rest)))
    asked = [*linked, *rest]
    believed, answers = branch.ours(asked, trailers=True)
    scores = {
        "ours": believed,
        "ours, hidden": branch.ours(asked, trailers=False)[0],
        "patch-id alone": branch.by_patch_id(asked),
        "trailers alone": branch.by_trailer(asked),
        "union, unjudged": branch.by_union(asked),
    }
    said = {answer.sha: answer.state for answer in answers}
    reverts[0] += len(branch.truth.reverted)
    reverts[1] += sum(said[sha] is State.REVERTED for sha in branch.truth.reverted)
    more = {sha for sha in branch.truth.carriers if said[sha] is State.REVERTED}
    reverts[2] += len(more - branch.truth.reverted)
    for sha in branch.truth.unverified:
        if sha not in branch.truth.carriers:
            unverified[said[sha].value] += 1
            if said[sha] is State.ABSENT:
                commit = min(branch.truth.unverified[sha])
                believed.doubts.append(f"{branch.name} {sha[:12]} in {commit[:12]}")
    print(f"{branch.name}: {len(branch.own)} commits of its own, {len(asked)} asked", flush=True)
    if not options.json:
        show("", scores, options)
        for sha in sorted(more - branch.truth.reverted)[: options.show]:
            print(f"    also reverted: {sha[:12]}")
        for sha in sorted(branch.truth.reverted):
            if said[sha] is not State.REVERTED:
                print(f"    reverted by its sha, and {said[sha].value}: {sha[:12]}")
        partial = sorted(sha for sha in branch.truth.carriers if said[sha] is State.PARTIAL)
        for sha in partial[: options.show]:
            print(f"    partial: {sha[:12]}")
    for name, score in scores.items():
        totals[name].add(score)


def show(title: str, scores: Mapping[str, Score], options: argparse.Namespace) -> None:
    """Print one table."""
    if title:
        print(title)
    if options.json:
        table = {
            name: {"links": s.links, "found": s.found, "wrong": s.wrong, "seconds": s.seconds}
            for name, s in scores.items()
        }
        print(json.dumps(table))
        return
    for name, score in scores.items():
        print(score.line(name))
    for name in ("ours", "ours, hidden"):
        for text in (*scores[name].misses[: options.show], *scores[name].mistakes[: options.show]):
            print(f"    {name}: {text}")
    for text in scores["ours"].doubts[: options.show]:
        print(f"    named there, and not believed: {text}")


if __name__ == "__main__":
    sys.exit(main())
