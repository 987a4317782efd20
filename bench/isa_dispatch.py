"""What the audit says of programs that choose code by the processor, beside what they do.

    python -m bench.isa_dispatch [--only TEXT] [--open]

Builds the matrix of ``tests/isa/dispatch_cases`` (GCC, Clang, Rust, Go; three optimization levels;
position-independent, fixed, static, shared, stripped), runs each program under QEMU's user
emulation on a processor with the feature and on one without, each with and without an argument,
and audits it. Exit code 1 where something was taken for safe that dies.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from tests.isa.dispatch_matrix import Shown, every, missing, show


def main() -> int:
    """Show agreement; name what disagrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="builds whose description holds this text")
    parser.add_argument("--open", action="store_true", help="list what lives and was not safe")
    options = parser.parse_args()
    found: list[Shown] = []
    left: Counter[str] = Counter()
    for build in every():
        if options.only not in str(build):
            continue
        if lacking := missing(build):
            left[f"{lacking} is not here"] += 1
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                shown = show(build, Path(folder))
            except subprocess.CalledProcessError as error:
                text = error.stderr.decode("utf-8", "replace").splitlines()
                left[f"cannot build {build}: {next((t for t in text if 'error' in t), '')}"] += 1
                continue
        found.append(shown)
        if shown.is_wrong or (options.open and not shown.agrees):
            print(
                f"{'WRONG' if shown.is_wrong else 'open'}: {build}: {shown.functions[:3]}",
                flush=True,
            )
    _print(found, left)
    return int(any(shown.is_wrong for shown in found))


def _print(found: list[Shown], left: Counter[str]) -> None:
    for text, count in left.items():
        print(f"left out, {count}: {text}")
    table = Counter((shown.told.value, shown.dies) for shown in found)
    print(f"{len(found)} programs; {sum(not s.runs for s in found)} do not end well elsewhere")
    for told in ("safe", "unknown", "dies"):
        print(f"  told {told:8} lives {table[told, False]:4}  dies {table[told, True]:4}")
    agreed = sum(shown.agrees for shown in found)
    print(f"agreement {agreed}/{len(found)} = {100 * agreed / max(len(found), 1):.1f} %")
    print(f"taken for safe and dies: {sum(shown.is_wrong for shown in found)}")


if __name__ == "__main__":
    raise SystemExit(main())
