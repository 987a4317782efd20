"""Plan, write, apply and build a series: does what was planned apply with git-am, and compile?

    python -m bench.backport_series_builds REPOSITORY BRANCH PROFILE --build 'COMMAND'
        [--upstream main] [--count 10] [--seed 1] [--folder FOLDER]

COUNT commits are drawn at random from those of upstream that BRANCH lacks, as long as their plan
applies and lacks no name; half of them conflict alone and need others. They are planned together,
with prerequisites and follow-ups; the series is written as mails, and plain git-am applies these
one after the other: each has to give the tree of its commit, the last one the tree that was
planned. COMMAND then builds the branch and the series, each in a fresh tree ({source} is its
folder). For rdma-core (Debian: cmake, ninja-build, libnl-3-dev, libnl-route-3-dev, libudev-dev,
pkg-config):

    --build 'cd {source} && cmake -B b -G Ninja -DNO_PYVERBS=1 -DNO_MAN_PAGES=1 && ninja -C b'
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.backport_series import SENDER, git
from uplift.backport.index import Index
from uplift.backport.mail import Envelope, patch_mails, write_mails
from uplift.backport.model import Plan, Role
from uplift.backport.pick import picking
from uplift.backport.plan import Options, plan
from uplift.backport.prerequisites import Limits
from uplift.backport.profiles import load_profile
from uplift.backport.series import SeriesOptions, Written, write_series
from uplift.backport.series_text import Links
from uplift.lab.git import Workspace

_TRIED = 400  #: commits that are looked at
_OPTIONS = Options(limits=Limits(seconds=10, total=30))
_SECONDS = 1800  #: for one build


def drawn(workspace: Workspace, index: Index, upstream: str, count: int, seed: int) -> list[str]:
    """Return commits that ``onto`` lacks and that a plan brings, half of them with others' help."""
    listed = workspace.git("rev-list", "--no-merges", "^onto", upstream, "--", "*.c", "*.h")
    shas = listed.decode().split()
    random.Random(seed).shuffle(shas)
    wanted = {True: count - count // 2, False: count // 2}  # merges alone: how many
    taken: list[str] = []
    with picking(workspace) as picker:
        for sha in shas[:_TRIED]:
            alone = picker.pick("onto", sha).clean
            if wanted[alone]:
                grown = plan(workspace, index, "onto", [*taken, sha], upstream, _OPTIONS)
                if grown.applies and not grown.symbols:
                    wanted[alone] -= 1
                    taken.append(sha)
            if not any(wanted.values()):
                break
    return taken


def applied(clone: Path, mails: Sequence[Path], made: Written) -> int:
    """Apply mails one by one with plain git-am; return after how many the tree was as written."""
    git(clone, "checkout", "--quiet", "--force", "--detach", made.onto)
    for number, (mail, commit) in enumerate(zip(mails, made.commits, strict=True)):
        git(clone, "am", "--quiet", str(mail))
        if git(clone, "rev-parse", "HEAD^{tree}") != git(
            clone, "rev-parse", f"{commit.sha}^{{tree}}"
        ):
            return number
    return len(mails)


def built(clone: Path, commit: str, command: str, folder: Path) -> tuple[bool, float]:
    """Build a commit in a fresh tree; return whether that worked, and its seconds."""
    git(clone, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    started = time.monotonic()
    shell = ["sh", "-c", command.replace("{source}", str(folder))]
    ended = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if ended.returncode:
        print("\n".join((ended.stdout + ended.stderr).splitlines()[-15:]))
    return ended.returncode == 0, time.monotonic() - started


def main() -> int:
    """Print what was compared and built; exit 1 where anything differs or fails."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="uplift-bench-", dir=arguments.folder) as name:
        return _measured(arguments, Path(name))


def _measured(arguments: argparse.Namespace, folder: Path) -> int:
    clone = folder / "clone"
    repository = arguments.repository.resolve()
    shared = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(clone)]
    subprocess.run(shared, check=True)
    git(clone, "fetch", "--quiet", "origin", f"{arguments.branch}:refs/heads/onto")
    upstream = f"{repository.name}/{arguments.upstream}"
    profile = load_profile(arguments.profile)
    with Workspace.make(folder / "workspace", [clone, repository]) as workspace:
        with Index.open(workspace) as index:
            shas = drawn(workspace, index, upstream, arguments.count, arguments.seed)
            planned = plan(workspace, index, "onto", shas, upstream, _OPTIONS)
        made = write_series(
            clone, workspace, planned, "series", SeriesOptions(profile, SENDER, Links("1"))
        )
    with Workspace.make(folder / "workspace", [clone, repository]) as workspace:
        envelope = Envelope(profile, SENDER, arguments.branch)
        texts = patch_mails(workspace, [commit.sha for commit in made.commits], envelope)
    mails = list(write_mails(folder / "mails", texts))
    return _told(arguments, planned, made, applied(clone, mails, made), clone)


def _told(
    arguments: argparse.Namespace, planned: Plan, made: Written, prefixes: int, clone: Path
) -> int:
    roles = {role: sum(one.role is role for one in planned.series) for role in Role}
    print(", ".join(f"{count} {role.value}" for role, count in roles.items()))
    names = ", ".join(symbol.name for symbol in planned.symbols)
    print(f"applies {planned.applies}, lacks {len(planned.symbols)} names {names}")
    whole = prefixes == len(made.commits)
    same = whole and git(clone, "rev-parse", "HEAD^{tree}") == planned.tree == made.tree
    print(f"git am: {prefixes} of {len(made.commits)} prefixes as written; tree as planned: {same}")
    fine = same
    for what, commit in (("branch", "onto"), ("series", made.tip)) if arguments.build else ():
        works, seconds = built(clone, commit, arguments.build, clone.parent / what)
        print(f"{what} builds: {works}, {seconds:.0f} s")
        fine &= works
    return 0 if fine else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("branch")
    parser.add_argument("profile")
    parser.add_argument("--build", default="")
    parser.add_argument("--upstream", default="main")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
