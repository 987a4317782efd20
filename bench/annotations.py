"""Read a kernel's annotations, beside a plain reading of the same lines with ast.literal_eval.

    python -m bench.annotations [FILE] [--upstream DIRECTORY]

Without FILE, 16,000 policies over six architectures are made up. DIRECTORY is
debian/scripts/misc of an Ubuntu kernel tree: its own reader is then timed on the same file.
Prints the best of five for each, and fails when one of them disagrees on an option.
"""

from __future__ import annotations

import argparse
import importlib
import random
import re
import sys
import tempfile
import time
from ast import literal_eval
from collections.abc import Callable, Mapping
from pathlib import Path

from uplift.facts.annotations import read_annotations

ARCHS = ("amd64", "arm64", "armhf", "ppc64el", "riscv64", "s390x")
POLICIES = 16_000
BOUND_S = 1.0  #: for 16,000 policies over six architectures

Policies = Mapping[str, Mapping[str, str]]


def made_up(policies: int = POLICIES) -> str:
    """Return a file of the size of a distribution's, the same one each time."""
    chance = random.Random(1)
    flavours = " ".join(f"{arch}-generic" for arch in ARCHS)
    lines = ["# FORMAT: 4", f"# ARCH: {' '.join(ARCHS)}", f"# FLAVOUR: {flavours}", ""]
    for number in range(policies):
        policy = {arch: chance.choice(("y", "m", "n", "-", str(number))) for arch in ARCHS}
        lines.append(f"CONFIG_OPTION_{number:<32} policy<{policy}>")
        if number % 60 == 0:
            lines.append(f"CONFIG_OPTION_{number:<32} note<'LP: #{number}'>\n")
    return "\n".join(lines)


def plainly(text: str) -> Policies:
    """Read the policies as they are Python's dictionaries, line by line."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        match = re.match(r"(CONFIG_\w+) +policy<(.*?)>", line)
        if match:
            found.setdefault(match[1], {}).update(literal_eval(match[2]))
    return found


def upstream(directory: Path, path: Path) -> Callable[[], Policies]:
    """Return Ubuntu's own reader of ``path``."""
    sys.path.insert(0, str(directory))
    module = importlib.import_module("kconfig.annotations")

    def read() -> Policies:
        config = module.Annotation(str(path)).config
        return {option: entry["policy"] for option, entry in config.items()}

    return read


def best(read: Callable[[], Policies]) -> tuple[float, Policies]:
    """Return the shortest of five readings in seconds, and what was read."""
    shortest = float("inf")
    found: Policies = {}
    for _ in range(5):
        began = time.perf_counter()
        found = read()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest, found


def main() -> int:
    """Time each reader; 1 when they disagree or the bound is not met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--upstream", type=Path, metavar="DIRECTORY")
    args = parser.parse_args()
    text = args.file.read_text("utf-8") if args.file else made_up()
    readers = {"uplift": lambda: read_annotations(text).policies}
    with tempfile.NamedTemporaryFile("w", suffix=".annotations") as kept:
        kept.write(text)
        kept.flush()
        readers["ast.literal_eval"] = lambda: plainly(text)
        if args.upstream:
            readers["upstream"] = upstream(args.upstream, Path(kept.name))
        results = {name: best(read) for name, read in readers.items()}
    seconds, ours = results["uplift"]
    agree = all(found == ours for _, found in results.values())
    for name, (taken, found) in results.items():
        print(f"{name:<18}{taken:8.3f} s  {len(found)} options  {taken / seconds:5.1f} x")
    print("they agree" if agree else "they do not agree")
    return 0 if agree and (args.file or seconds <= BOUND_S) else 1


if __name__ == "__main__":
    sys.exit(main())
