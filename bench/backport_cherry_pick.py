"""Compare the picks that plans are made of with real ``git cherry-pick`` in a work tree.

    python -m bench.backport_truth REPO > TRUTH.json
    python -m bench.backport_cherry_pick REPO TRUTH.json [--most 200]

Each backport's upstream commit is picked twice onto the commit that the backport was put on: in
memory, and by git in a work tree of a shared clone, as anybody would. They agree where verdict,
unmerged paths and, if clean, the trees are equal. The picks are drawn half from those that the pick
in memory finds clean, half from those that it finds in conflict, as far as there are so many.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.backport_truth import Backport, load
from uplift.backport.pick import Picked, Picker, picking
from uplift.backport.place import open_workspace
from uplift.lab.git import environment
from uplift.lab.process import Result, run

_TIMEOUT = 300.0


@dataclass(frozen=True)
class Verdict:
    """What a pick came to; the tree only where it is clean."""

    clean: bool
    unmerged: frozenset[str]
    tree: str


class Clone:
    """A work tree that borrows the objects of a repository."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self._folder = folder
        self._environment = environment()
        self._git("init", "--quiet")
        alternates = folder / ".git" / "objects" / "info" / "alternates"
        alternates.write_text(f"{(repository / 'objects').resolve()}\n")

    def _git(self, *arguments: str, fails: bool = False) -> Result:
        argv = ["git", *arguments]
        done = run(argv, timeout=_TIMEOUT, env=self._environment, cwd=self._folder)
        if not (done.ok or fails):
            raise SystemExit(f"git {arguments[0]}: {done.complaint}")
        return done

    def pick(self, onto: str, sha: str) -> Verdict:
        """Pick ``sha`` onto the commit ``onto``."""
        self._git("checkout", "--quiet", "--force", "--detach", onto)
        done = self._git("cherry-pick", "--no-commit", sha, fails=True)
        stages = self._git("ls-files", "--unmerged", "-z").stdout.split(b"\0")[:-1]
        paths = (stage.partition(b"\t")[2].decode("utf-8", "surrogateescape") for stage in stages)
        tree = self._git("write-tree").stdout.decode().strip() if done.ok else ""
        self._git("reset", "--quiet", "--hard")
        return Verdict(done.ok, frozenset(paths), tree)


def in_memory(picked: Picked) -> Verdict:
    """Return what the pick in memory came to."""
    paths = frozenset(conflict.path for conflict in picked.conflicts)
    return Verdict(picked.clean, paths, picked.tree if picked.clean else "")


def drawn(picker: Picker, backports: Sequence[Backport], most: int) -> list[tuple[str, Picked]]:
    """Draw picks, each with the commit it goes onto; half of them in conflict."""
    shuffled = random.Random(20261126).sample(list(backports), len(backports))
    onto = [one.parent for one in shuffled]
    picks = picker.pick_all([(one.parent, one.upstream) for one in shuffled])
    able = [pair for pair in zip(onto, picks, strict=True) if not pair[1].problem]
    hard = [pair for pair in able if not pair[1].clean][: most // 2]
    return hard + [pair for pair in able if pair[1].clean][: most - len(hard)]


def main() -> int:
    """Print how many agree; 1 where one does not."""
    arguments = _arguments()
    backports = load(arguments.truth).backports
    agree: Counter[str] = Counter()
    total: Counter[str] = Counter()
    with (
        open_workspace([arguments.repository]) as workspace,
        picking(workspace) as picker,
        tempfile.TemporaryDirectory(prefix="uplift-clone-") as folder,
    ):
        clone = Clone(Path(folder), arguments.repository)
        for onto, picked in drawn(picker, backports, arguments.most):
            mine, real = in_memory(picked), clone.pick(onto, picked.sha)
            verdict = "clean" if real.clean else "conflict"
            total[verdict] += 1
            agree[verdict] += mine == real
            if mine != real:
                print(f"  {picked.sha[:12]} onto {onto[:12]}: {mine}, git: {real}")
    shares = ", ".join(f"{name} {agree[name]} of {n}" for name, n in sorted(total.items()))
    print(f"{arguments.repository}: {total.total()} picks, as git says: {shares}")
    return 0 if agree == total else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--most", type=int, default=200)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
