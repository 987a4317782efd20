"""Names that a branch is said to lack, against what maintainers accepted.

    python -m bench.backport_truth REPO > TRUTH.json
    python -m bench.backport_symbols REPO TRUTH.json [--most 150] [--upstream main]

*At the parent*: backports whose tree is that of the plain pick. The maintainers took the commit as
it is, so a name said to be missing there is a false one, or a commit that did not compile: each is
printed. *At the fork*: the same commits where the branch left upstream; of those that lack a name
there, how often the branch had taken the commit that is said to bring it before the backport.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.backport_truth import Backport, load
from uplift.backport.index import Index
from uplift.backport.model import MissingSymbol, State
from uplift.backport.pick import picking
from uplift.backport.place import open_workspace
from uplift.backport.presence import presences
from uplift.backport.symbols import lacking
from uplift.lab.git import Workspace


def taken_as_they_are(workspace: Workspace, backports: Sequence[Backport]) -> Iterator[Backport]:
    """Yield the backports whose tree is the one that a plain pick gives."""
    with picking(workspace) as picker:
        for backport in backports:
            picked = picker.pick(backport.parent, backport.upstream)
            if picked.clean and picked.tree == picker.tree_of(backport.sha):
                yield backport


def names_lacking(workspace: Workspace, onto: str, sha: str) -> tuple[MissingSymbol, ...]:
    """Return what ``onto`` lacks for one commit."""
    return lacking(workspace, onto, [sha], lambda used_by: f"{used_by}^")


def had_before(workspace: Workspace, index: Index, backport: Backport, sha: str, tip: str) -> bool:
    """Whether the branch had taken ``sha`` when the backport came."""
    (found,) = presences(workspace, index, backport.parent, [sha], workspace.resolve(tip))
    return found.state in (State.PRESENT, State.PARTIAL)


def main() -> int:
    """Print the counts; 1 where more than one commit in a hundred lacks a name at its parent."""
    arguments = _arguments()
    backports = list(load(arguments.truth).backports)
    random.Random(1).shuffle(backports)
    seconds: list[float] = []
    wrong = at_fork = named = confirmed = 0
    with open_workspace([arguments.repository]) as workspace, Index.open(workspace) as index:
        chosen = []
        for backport in taken_as_they_are(workspace, backports):
            began = time.perf_counter()
            told = names_lacking(workspace, backport.parent, backport.upstream)
            seconds.append(time.perf_counter() - began)
            wrong += bool(told)
            _show("parent", backport, told)
            chosen.append(backport)
            if len(chosen) == arguments.most:
                break
        for backport in chosen:
            told = names_lacking(workspace, backport.fork, backport.upstream)
            at_fork += bool(told)
            _show("fork", backport, told)
            for origin in {symbol.brought_by for symbol in told if symbol.brought_by}:
                named += 1
                confirmed += had_before(workspace, index, backport, origin, arguments.upstream)
    seconds.sort()
    print(f"{arguments.repository}: {len(chosen)} backports taken as they are")
    print(f"  at the parent {wrong} lack a name, by what is told ({wrong / len(chosen):.1%})")
    print(f"  at the fork {at_fork}; of {named} commits that bring one, {confirmed} had been taken")
    p95 = seconds[int(len(seconds) * 0.95)]
    print(f"  p50 {statistics.median(seconds):.2f} s, p95 {p95:.2f} s a commit")
    return 1 if wrong > len(chosen) / 100 else 0


def _show(where: str, backport: Backport, told: Sequence[MissingSymbol]) -> None:
    if told:
        names = ", ".join(f"{s.name} ({s.kind}, {s.brought_by[:12] or '?'})" for s in told[:4])
        print(f"  {where:6} {backport.branch} {backport.upstream[:12]} {names}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--upstream", default="HEAD")
    parser.add_argument("--most", type=int, default=150)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
