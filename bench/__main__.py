"""Run the measurements that need nothing but this checkout, and name the others.

python -m bench
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = str(ROOT / "tests/recordings")

#: Measurement to its arguments; each says in its own file what it compares with.
ALONE = {
    "recheck": (),
    "scan_time": (),
    "resolve_throughput": (RECORDINGS,),
    "plan_boots": (),
    "matrix_time": (),
    "annotations": (),
}


def main() -> int:
    """Run each in a process of its own; the worst exit code counts."""
    worst = 0
    for name, arguments in ALONE.items():
        print(f"== {name}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name}", *arguments], cwd=ROOT, check=False
        )
        worst = max(worst, done.returncode)
    print("== need recordings, trees or programs as arguments (see the head of each file)")
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        if path.stem not in ALONE:
            print(f"   python -m bench.{path.stem}")
    return worst


if __name__ == "__main__":
    sys.exit(main())
