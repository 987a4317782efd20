"""Write a real series and apply its mails with plain git-am: is the tree the one that was planned?

    python -m bench.backport_series REPOSITORY BRANCH PROFILE [--upstream main] [--count 20]
        [--skip 0]

Taken are the first COUNT upstream commits after SKIP that BRANCH lacks and that pick cleanly in
their order. The branch is written into a clone that shares the repository's objects.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from uplift.backport.mail import Envelope, patch_mails, write_mails
from uplift.backport.model import Person, Plan, PlannedCommit, Role
from uplift.backport.pick import picking
from uplift.backport.profiles import load_profile
from uplift.backport.series import SeriesOptions, Written, write_series
from uplift.backport.series_text import Links
from uplift.lab.git import Workspace

SENDER = Person("Uplift Bench", "bench@example.org", 1_700_000_000, "+0000")


def choose(workspace: Workspace, branch: str, upstream: str, count: int, skip: int) -> Plan:
    """Return a plan of upstream commits that pick cleanly one after the other."""
    onto = workspace.resolve(branch)
    options = ("--no-merges", "--reverse", "--topo-order")
    listed = workspace.git("rev-list", *options, f"^{onto}", upstream, "--").decode().split()
    taken: list[str] = []
    with picking(workspace) as picker:
        tree = picker.tree_of(onto)
        for sha in listed[skip:]:
            picked = picker.pick(tree, sha)
            if picked.clean and not picked.empty:
                taken.append(sha)
                tree = picked.tree
            if len(taken) == count:
                break
    series = tuple(PlannedCommit(sha, "", Role.REQUESTED, "measured") for sha in taken)
    return Plan(onto, series, (), True, tree)


def git(repository: Path, *arguments: str) -> str:
    """Run git as a user does."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ["git", "-C", str(repository), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def applied(clone: Path, mails: list[Path], onto: str) -> str:
    """Return the tree that plain git-am makes of the mails."""
    git(clone, "checkout", "--quiet", "--force", "--detach", onto)
    git(clone, "am", "--quiet", *map(str, mails))
    return git(clone, "rev-parse", "HEAD^{tree}")


def main() -> int:
    """Print what was compared; exit 1 where trees differ."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="uplift-bench-") as folder:
        clone = Path(folder) / "clone"
        repository = str(arguments.repository.resolve())
        shared = ["git", "clone", "--quiet", "--shared", "--no-checkout", repository, str(clone)]
        subprocess.run(shared, check=True)
        git(clone, "fetch", "--quiet", "origin", f"{arguments.branch}:refs/heads/onto")
        with Workspace.make(Path(folder) / "workspace", [clone, arguments.repository]) as workspace:
            upstream = f"{arguments.repository.name}/{arguments.upstream}"
            plan = choose(workspace, "onto", upstream, arguments.count, arguments.skip)
            made, seconds = _written(clone, workspace, plan, arguments.profile)
        with Workspace.make(Path(folder) / "workspace", [clone, arguments.repository]) as workspace:
            envelope = Envelope(load_profile(arguments.profile), SENDER, arguments.branch)
            mails = patch_mails(workspace, [commit.sha for commit in made.commits], envelope)
        tree = applied(clone, list(write_mails(Path(folder) / "mails", mails)), plan.onto)
    print(f"{len(made.commits)} commits written in {seconds:.2f} s")
    same = tree == plan.tree == made.tree
    print(f"planned {plan.tree[:12]}, branch {made.tree[:12]}, git am {tree[:12]}: {same}")
    return 0 if same else 1


def _written(clone: Path, workspace: Workspace, plan: Plan, profile: str) -> tuple[Written, float]:
    options = SeriesOptions(load_profile(profile), SENDER, Links("1"))
    started = time.perf_counter()
    made = write_series(clone, workspace, plan, "series", options)
    return made, time.perf_counter() - started


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("branch")
    parser.add_argument("profile")
    parser.add_argument("--upstream", default="main")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--skip", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
