"""A random sample of this machine's own suite: what scanning costs beside unpacking, and resuming.

Run: ``python -m bench.isa_archive [PACKAGES] [SEED]``. Packages are fetched first, so that both
sides read the same files from the same disk. CPU seconds are those of one process of its own:
``scan`` unpacks and audits, ``unpack`` is ``dpkg-deb`` alone, ``python_unpack`` the unpacker that
the scan uses, alone. Memory is what a worker holds at that moment, over two turns of the sample.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import distributed

from uplift.isa import archive, archive_work
from uplift.isa.archive_query import opened
from uplift.isa.archive_results import TABLES, held
from uplift.isa.archive_work import Selection, Work
from uplift.lab import apt, apt_lists, packages

_SCAN = (
    "import sys, resource; from uplift.cli import main\n"
    "code = main(sys.argv[1:]); own = resource.getrusage(resource.RUSAGE_SELF)\n"
    "kids = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    "print('RSS', own.ru_maxrss, kids.ru_maxrss); sys.exit(code)"
)
_WORK = (
    "import sys, time, json, resource; from pathlib import Path\n"
    "from uplift.isa import archive_work as w\n"
    "first = time.process_time(); works = w.of_files([sys.argv[1]], w.Selection())\n"
    "files, seconds, growth = 0, 0, []\n"
    "def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) >> 8\n"
    "for turn in range(2):\n"
    "    for number, one in enumerate(works):\n"
    "        found = len(w.do(one).files)\n"
    "        files += found if not turn else 0\n"
    "        if number % 25 == 24: growth.append(resident())\n"
    "    seconds = seconds or time.process_time() - first\n"
    "    w._known = w.Remembered(lambda found: 0)\n"
    "print(json.dumps([seconds, files, growth, resource.getrusage(0).ru_maxrss >> 10]))"
)


def fetched(count: int, seed: int, to: Path) -> None:
    """Fetch a sample of the packages of apt's own configuration."""
    place = packages.default_cache() / "archive" / "amd64"
    lists = apt_lists.package_lists(apt.Apt("amd64", place).index_targets())
    for work in archive_work.listed(lists, Selection(sample=count, seed=seed)):
        apt_lists.fetch(work.place, work.sha256, to / f"{work.key[:16]}.deb")


def unpack_cpu(debs: list[Path]) -> float:
    """Return CPU seconds of ``dpkg-deb --fsys-tarfile`` into nothing, over all packages."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for deb in debs:
        subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.DEVNULL, check=True
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def python_unpack_cpu(debs: list[Path]) -> float:
    """Return CPU seconds of reading every package's files in Python, without an audit."""
    program = (
        "import sys, time; from uplift.lab import package_stream as p\n"
        "first = time.process_time()\n"
        "for path in sys.argv[1:]:\n"
        "    with open(path, 'rb') as raw:\n"
        "        for name, size in p.deb_members(raw):\n"
        "            if name.startswith('data.tar'):\n"
        "                stream = p.Unpacking(raw, size, name.rpartition('.')[2])\n"
        "                while stream.read(1 << 20): pass\n"
        "print(time.process_time() - first)"
    )
    words = [sys.executable, "-c", program, *map(str, debs)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def rows(directory: Path) -> dict[str, list[str]]:
    """Return all results, in an order of their own."""
    with opened(directory) as found:
        return {name: sorted(map(str, found.sql(f"FROM {name}", 10**7).rows)) for name in TABLES}


def interrupted(debs: Path, into: Path, chance: random.Random) -> int:
    """Kill a scan at random until one ends by itself; return how often it was killed."""
    program = "from uplift.isa import archive; archive.PER_PART = 8\n" + _SCAN
    words = ["isa", "archive", str(debs), "--into", str(into)]
    kills = 0
    while True:
        child = subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.DEVNULL)
        try:
            child.wait(timeout=chance.uniform(2, 9) + 2 * kills)
            return kills
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1
            time.sleep(0.5)


def with_dask(work: list[Work], into: Path) -> None:
    """Scan on a cluster of two workers, one of which is killed."""
    cluster: Any = distributed.LocalCluster
    client_of: Any = distributed.Client
    with (
        cluster(2, threads_per_worker=1, dashboard_address=None) as two,
        client_of(two) as client,
        held(into) as results,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        threading.Timer(3, os.kill, (victim, signal.SIGKILL)).start()

        def executor() -> Executor:
            found: Executor = client.get_executor()
            return found

        archive.run(work, results, executor, 2)


def main() -> None:
    """Measure, and print one JSON document."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory(prefix="uplift-bench-") as name:
        at = Path(name)
        (at / "debs").mkdir()
        fetched(count, seed, at / "debs")
        debs = sorted((at / "debs").iterdir())
        unpack, reading = unpack_cpu(debs), python_unpack_cpu(debs)
        scan = subprocess.run(
            [sys.executable, "-c", _WORK, str(at / "debs")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds, files, growth, most = json.loads(scan.stdout)
        words = ["isa", "archive", str(at / "debs"), "--into", str(at / "whole")]
        run = subprocess.run(
            [sys.executable, "-c", _SCAN, *words], capture_output=True, text=True, check=True
        )
        whole = rows(at / "whole")
        kills = interrupted(at / "debs", at / "killed", random.Random(seed))
        with_dask(archive_work.of_files([str(at / "debs")], Selection()), at / "dask")
        print(json.dumps({
            "packages": len(debs), "seed": seed,
            "megabytes": round(sum(deb.stat().st_size for deb in debs) / 1e6, 1),
            "files": files,
            "unpack_cpu_s": round(unpack, 2), "scan_cpu_s": round(seconds, 2),
            "python_unpack_cpu_s": round(reading, 2),
            "scan_to_unpack": round(seconds / unpack, 2),
            "audit_to_unpack": round((seconds - reading) / unpack, 2),
            "worker_rss_mib_every_25_packages_twice": growth, "worker_max_rss_mib": most,
            "rss_kib": run.stdout.rpartition("RSS ")[2].split(),
            "kills": kills, "same_after_kills": rows(at / "killed") == whole,
            "same_after_a_dask_worker_was_killed": rows(at / "dask") == whole,
        }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
