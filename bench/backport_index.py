"""Time the index of repositories, its update, and the status of 1,000 commits, beside plain git.

    python -m bench.backport_index REPO… [--branch B] [--upstream U]
    python -m bench.backport_index --synthetic 1400000

Each step runs in a process of its own, so that its memory is its own: ``rss`` is the largest
resident set of that process and ``git`` that of the largest git it started. Nothing is written into
the repositories: the index lies in a temporary folder, and the 100 new commits are the newest ones
of a branch that a temporary repository over the same objects gets afterwards. The synthetic
repository is made by git fast-import: so many commits, three paths each out of some thousands.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

INDEX = """
import json, resource, sys, time
from pathlib import Path
from uplift.backport.index import Index
from uplift.backport.place import open_workspace
began = time.perf_counter()
with open_workspace([Path(name) for name in sys.argv[1:]]) as workspace:
    with Index.open(workspace) as index:
        new = index.new
    size = (workspace.directory / "index.sqlite").stat().st_size
peak = [resource.getrusage(who).ru_maxrss >> 10 for who in
        (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"new": new, "seconds": time.perf_counter() - began, "rss": peak[0],
    "git": peak[1], "bytes": size, "cpu": cpu.ru_utime + cpu.ru_stime}))
"""
STATUS = """
import json, random, resource, sys, time
from pathlib import Path
from uplift.backport.index import Index
from uplift.backport.place import open_workspace
from uplift.backport.presence import presences
from uplift.backport.reachable import listed
branch, upstream, *paths = sys.argv[1:]
with open_workspace([Path(name) for name in paths]) as workspace, Index.open(workspace) as index:
    shas = listed(workspace, [workspace.resolve(upstream)], [workspace.resolve(branch)])
    shas = sorted(random.Random(1).sample(shas, min(1000, len(shas))))
    began = time.perf_counter()
    states = {}
    for found in presences(workspace, index, branch, shas, upstream):
        states[found.state.value] = states.get(found.state.value, 0) + 1
    seconds = time.perf_counter() - began
    own = listed(workspace, [workspace.resolve(branch)], [workspace.resolve(upstream)])
peak = [resource.getrusage(who).ru_maxrss >> 10 for who in
        (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"asked": len(shas), "seconds": seconds, "states": states, "rss": peak[0],
    "git": peak[1], "shas": shas, "own": own}))
"""
_FIRST = 1_100_000_000


def child(script: str, arguments: Sequence[str], cache: Path) -> dict[str, Any]:
    """Run one step in a process of its own and return what it tells."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def git(path: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git and return what it wrote."""
    done = subprocess.run(
        ["git", "-C", str(path), *arguments], input=stdin, stdout=subprocess.PIPE, check=True
    )
    return done.stdout


def plain_log(paths: Sequence[Path]) -> float:
    """Return what git takes to go through the same commits and trees once, writing to nowhere."""
    options = ("log", "--branches", "--tags", "--remotes", "--raw", "--no-renames", "--format=raw")
    began = time.perf_counter()
    for path in paths:
        subprocess.run(["git", "-C", str(path), *options], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def plain_patch_ids(paths: Sequence[Path], shas: Sequence[str]) -> float:
    """Return what git takes for the patch-ids of ``shas``, its two programs joined."""
    began = time.perf_counter()
    for path in paths:
        here = [sha for sha in shas if _has(path, sha)] if len(paths) > 1 else shas
        command = f"git -C {path} diff-tree --stdin -p -r --root | git patch-id --stable"
        lines = "".join(f"{sha}\n" for sha in here).encode()
        subprocess.run(["sh", "-c", command], input=lines, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _has(path: Path, sha: str) -> bool:
    done = subprocess.run(["git", "-C", str(path), "cat-file", "-e", sha], check=False)
    return done.returncode == 0


def borrowing(path: Path, folder: Path, tip: str) -> Path:
    """Make a repository over the objects of ``path`` with one branch at ``tip``."""
    made = folder / "borrowing"
    subprocess.run(["git", "init", "--quiet", "--bare", str(made)], check=True)
    objects = git(path, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    (made / "objects/info/alternates").write_bytes(objects)
    git(made, "update-ref", "refs/heads/main", tip)
    return made


def update(path: Path, upstream: str, folder: Path) -> None:
    """Index a branch that ends before its newest commits, then bring it up to date."""
    before = git(path, "rev-parse", f"{upstream}~100").decode().strip()
    made = borrowing(path, folder, before)
    child(INDEX, [str(made)], folder / "cache-update")
    git(made, "update-ref", "refs/heads/main", git(path, "rev-parse", upstream).decode().strip())
    show(f"update of {upstream}", child(INDEX, [str(made)], folder / "cache-update"))
    show("nothing new", child(INDEX, [str(made)], folder / "cache-update"))


def show(name: str, told: dict[str, Any]) -> None:
    """Print one measurement."""
    new = told["new"]
    each = (
        f"{told['seconds'] / new * 1e6:5.0f} us each  {told['bytes'] / new:4.0f} B" if new else ""
    )
    print(
        f"{name:24} {new:8} commits {told['seconds']:8.2f} s  rss {told['rss']} MiB"
        f"  git {told['git']} MiB  {each if new > 1000 else ''}",
        flush=True,
    )


def measure(paths: Sequence[Path], branch: str, upstream: str, folder: Path) -> None:
    """Index, update and status of real repositories."""
    names = [str(path) for path in paths]
    told = child(INDEX, names, folder / "cache")
    show("index", told)
    plain = plain_log(paths)
    print(
        f"{'git log --raw':24} {plain:26.2f} s  the index takes {told['seconds'] / plain:.1f} times"
    )
    update(paths[0], upstream, folder)
    if not branch:
        return
    for turn in ("cold", "warm"):
        told = child(STATUS, [branch, upstream, *names], folder / "cache")
        print(
            f"{'status, ' + turn:24} {told['asked']:8} commits {told['seconds']:8.2f} s"
            f"  rss {told['rss']} MiB  git {told['git']} MiB  {told['states']}"
        )
    shas = [*told["shas"], *told["own"]]
    plain = plain_patch_ids(paths, shas)
    print(f"{'git patch-id':24} {len(shas):8} commits {plain:8.2f} s, of the same and the branch's")


def synthetic(count: int, folder: Path) -> None:
    """Make a repository of ``count`` commits, index it, and add 100."""
    path = folder / "synthetic"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    began = time.perf_counter()
    fast_import(path, stream(count, 0))
    print(f"{'made':24} {count:8} commits {time.perf_counter() - began:8.2f} s", flush=True)
    told = child(INDEX, [str(path)], folder / "cache")
    show("index", told)
    plain = plain_log([path])
    print(
        f"{'git log --raw':24} {plain:26.2f} s  the index takes {told['seconds'] / plain:.1f} times"
    )
    fast_import(path, stream(100, count))
    show("update", child(INDEX, [str(path)], folder / "cache"))
    show("nothing new", child(INDEX, [str(path)], folder / "cache"))


def fast_import(path: Path, commits: Iterator[bytes]) -> None:
    """Feed git fast-import."""
    options = ("fast-import", "--quiet", "--force", "--depth=4")
    with subprocess.Popen(["git", "-C", str(path), *options], stdin=subprocess.PIPE) as importer:
        assert importer.stdin is not None
        for commit in commits:
            importer.stdin.write(commit)
        importer.stdin.close()
        if importer.wait():
            raise SystemExit("git fast-import failed")


def stream(count: int, before: int) -> Iterator[bytes]:
    """Yield commits in fast-import's language; their messages are as long as Linux's."""
    chance = random.Random(before)
    words = [f"word{n}" for n in range(2000)]
    pool = [" ".join(chance.choices(words, k=9)) for _ in range(5000)]
    for number in range(before, before + count):
        title = f"subsystem{number % 97}: {chance.choice(pool)[:40]} {number}"
        lines = "\n".join(chance.choices(pool, k=6))
        body = f"{title}\n\n{lines}\n\n"
        if number % 4 == 0:
            body += f'Fixes: {chance.getrandbits(48):012x} ("{title}")\n'
        message = f"{body}Signed-off-by: Author {number % 5000} <a{number % 5000}@example.org>\n"
        yield _commit(message.encode(), number, before, chance)


def _commit(message: bytes, number: int, before: int, chance: random.Random) -> bytes:
    who = b"Author <a%d@example.org> %d +0000" % (number % 5000, _FIRST + 400 * number)
    head = b"commit refs/heads/main\nauthor %s\ncommitter %s\n" % (who, who)
    parent = b"from refs/heads/main^0\n" if number == before and before else b""
    paths = {chance.randrange(40 * 40 * 8) for _ in range(3)}
    files = b"".join(
        b"M 100644 inline d%d/s%d/f%d.c\ndata %d\n%d\n"
        % (n % 40, n // 40 % 40, n // 1600, len(str(number)) + 1, number)
        for n in paths
    )
    return head + b"data %d\n%s\n" % (len(message), message) + parent + files + b"\n"


def main() -> int:
    """Measure real repositories or a made one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repo", type=Path, nargs="*")
    parser.add_argument("--branch", default="", help="whose status is asked, of the first one")
    parser.add_argument("--upstream", default="main")
    parser.add_argument("--synthetic", type=int, default=0, metavar="COMMITS")
    options = parser.parse_args()
    if bool(options.repo) == bool(options.synthetic):
        parser.error("give repositories, or --synthetic")
    with tempfile.TemporaryDirectory(prefix="uplift-bench-") as name:
        folder = Path(name)
        if options.synthetic:
            synthetic(options.synthetic, folder)
        else:
            measure(options.repo, options.branch, options.upstream, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
