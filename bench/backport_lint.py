"""Check commits that a stable branch's maintainers accepted: what is found there is suspect.

    python -m bench.backport_lint REPOSITORY BRANCH PROFILE [--upstream main] [--count 200]
        [--skip 0] [--other REPOSITORY] [--all]

The last COUNT commits of BRANCH (after SKIP newer ones) are checked as one series, against upstream
as it was when the last of them was made. Printed are the findings by rule, each one in short, and
the share of commits with an error or a warning. Which of them are false, a person has to say; of
missing fixes it is told how many the branch took later or upstream marked for stable branches.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from pathlib import Path

from uplift.backport.index import Index
from uplift.backport.lint.model import Finding, Severity
from uplift.backport.lint.run import Against, lint_range
from uplift.backport.lint.show import as_text, visible
from uplift.backport.model import State
from uplift.backport.place import open_workspace
from uplift.backport.presence import presences
from uplift.backport.profiles import load_profile
from uplift.lab.git import Workspace


def window(
    workspace: Workspace, branch: str, upstream: str, count: int, skip: int
) -> tuple[str, str, int]:
    """Return the base and the tip of at most ``count`` commits that only the branch has."""
    options = ("--first-parent", "--no-merges", f"--max-count={count}", f"--skip={skip}")
    listed = workspace.git("rev-list", *options, branch, f"^{upstream}", "--")
    shas = listed.decode().split()
    return workspace.resolve(f"{shas[-1]}^"), shas[0], len(shas)


def upstream_then(workspace: Workspace, upstream: str, tip: str) -> str:
    """Return upstream's tip as it was when ``tip`` was committed."""
    when = workspace.git("log", "-1", "--format=%ct", tip, "--").decode().strip()
    options = ("-1", "--first-parent", f"--before={when}")
    return workspace.git("rev-list", *options, upstream, "--").decode().strip()


_SHA = re.compile(r"\b[0-9a-f]{12}\b")


def taken_later(
    workspace: Workspace,
    index: Index,
    findings: tuple[Finding, ...],
    arguments: argparse.Namespace,
) -> str:
    """Say of how many missing fixes the maintainers, or upstream, thought as the finding does."""
    named = [_SHA.search(item.problem) for item in findings if item.rule == "fix-missing"]
    shas = list(dict.fromkeys(workspace.resolve(match[0]) for match in named if match))
    options = (workspace, index, arguments.branch, shas, arguments.upstream)
    there = {p.sha for p in presences(*options) if p.state is not State.ABSENT} if shas else set()
    for sha in shas:
        body = workspace.git("log", "-1", "--format=%b", sha, "--").decode("utf-8", "replace")
        if re.search(r"(?im)^cc:.*\bstable\b", body):
            there.add(sha)
    return f"{len(there)} of {len(shas)}"


def main() -> int:
    """Print the findings."""
    arguments = _arguments()
    started = time.perf_counter()
    with open_workspace([arguments.repository, *arguments.other]) as workspace:
        base, tip, arguments.count = window(
            workspace, arguments.branch, arguments.upstream, arguments.count, arguments.skip
        )
        upstream = upstream_then(workspace, arguments.upstream, tip)
        with Index.open(workspace) as index:
            opened = time.perf_counter()
            profile = load_profile(arguments.profile)
            against = Against(upstream=upstream)
            findings = lint_range(workspace, index, base, tip, profile, against)
            seconds = time.perf_counter() - opened
            later = taken_later(workspace, index, findings, arguments)
    _print(findings, arguments)
    print(f"missing fixes that the branch took later, or upstream marked for stable: {later}")
    print(f"index {opened - started:.1f} s, checks {seconds:.1f} s")
    return 0


def _print(findings: tuple[Finding, ...], arguments: argparse.Namespace) -> None:
    counted = Counter((item.severity.value, item.rule) for item in findings)
    for (severity, rule), number in sorted(counted.items()):
        print(f"{severity:8} {rule:22} {number}")
    told = [item for item in findings if item.severity is not Severity.NOTE]
    if arguments.all:
        print(as_text(told))
    else:
        for item in told:
            print(f"  {item.rule:20} {item.place} {visible(item.title)[:50]} | ", end="")
            print(visible(item.problem)[:140])
    commits = {item.place for item in told}
    share = 100 * len(commits) / arguments.count
    print(f"{arguments.repository.parent.name} {arguments.branch} {arguments.profile}: ", end="")
    print(f"{len(told)} findings in {len(commits)} of {arguments.count} commits ({share:.1f} %)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("branch")
    parser.add_argument("profile")
    parser.add_argument("--upstream", default="main")
    parser.add_argument("--other", type=Path, action="append", default=[])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="whole findings, with what shows them")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
