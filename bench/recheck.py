"""Check the facts that this machine's report cites by other means than uplift's own.

    python -m bench.recheck

CPUID registers are compared with what the ``cpuid`` program reads, kernel options with a plain
search in ``/proc/config.gz`` or ``/boot``, flags with ``/proc/cpuinfo``, compiler options by
compiling with each of them. Prints how many facts of each kind were compared, and every difference.
"""

from __future__ import annotations

import gzip
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from uplift.cli.targets import catalog_of_user, judge, one_snapshot
from uplift.lab.targets import Options
from uplift.report.scan_json import scan_to_json

Check = Callable[[str, Any, str], "bool | None"]

_LINE = re.compile(r"0x([0-9a-f]{8}) 0x([0-9a-f]{2}): eax=(\S+) ebx=(\S+) ecx=(\S+) edx=(\S+)")
_CPUID = re.compile(r"cpuid\.([0-9a-f]+)\.([0-9a-f]+)\.(e[abcd]x)")


def run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said."""
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@cache
def registers() -> Mapping[tuple[int, int], Mapping[str, int]]:
    """Return what the cpuid program reads."""
    found = {}
    for leaf, subleaf, *values in _LINE.findall(run("cpuid", "-1", "-r").stdout):
        numbers = (int(value, 16) for value in values)
        found[int(leaf, 16), int(subleaf, 16)] = dict(
            zip(("eax", "ebx", "ecx", "edx"), numbers, strict=True)
        )
    return found


@cache
def config() -> Mapping[str, str]:
    """Return the kernel's options, by a plain search."""
    boot = Path("/boot") / f"config-{platform.release()}"
    text = (
        boot.read_text()
        if boot.exists()
        else gzip.decompress(Path("/proc/config.gz").read_bytes()).decode()
    )
    return {m[1]: m[2].strip('"') for m in re.finditer(r"^(CONFIG_\w+)=(.*)$", text, re.M)}


@cache
def flags() -> frozenset[str]:
    """Return the flags of the first processor."""
    found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return frozenset(found[1].split() if found else ())


@cache
def compiles(compiler: str, option: str) -> bool:
    """Say whether an empty program compiles with ``option``, without a warning."""
    done = run(compiler, option, "-x", "c", "-c", "-", "-o", "/dev/null", text="int x;")
    return done.returncode == 0 and "warning" not in done.stderr


def check_cpuid(fact: str, value: Any, word: str) -> bool | None:
    """Compare one register; None where the program does not print it."""
    found = _CPUID.fullmatch(fact)
    if not found:
        return None
    leaf, subleaf = int(found[1], 16), int(found[2], 16)
    highest = registers()[leaf & 0x80000000, 0]["eax"]
    row = registers().get((leaf, subleaf)) if leaf <= highest else dict.fromkeys(("eax",), 0)
    if row is None:
        return None
    return bool(row.get(found[3], 0) == value)


CHECKS: Mapping[str, Check] = {
    "cpuid.": check_cpuid,
    "kernel.config.": lambda fact, value, word: config().get(fact[14:], "n") == str(value),
    "cpuinfo.flags": lambda fact, value, word: (word in flags()) == value,
    "compiler.gcc.accepts": lambda fact, value, word: compiles("gcc", word) == value,
    "compiler.clang.accepts": lambda fact, value, word: compiles("clang", word) == value,
}


def main() -> int:
    """Scan this machine and compare; 1 when anything differs."""
    report = judge(catalog_of_user(), "local", one_snapshot(None, Options()))
    compared: Counter[str] = Counter()
    differ = []
    for feature in scan_to_json(report)["features"]:
        for layer in feature["layers"]:
            for piece in layer["evidence"]:
                kind = next((kind for kind in CHECKS if piece["fact"].startswith(kind)), "other")
                same = None
                if piece["value"] is not None and kind != "other":
                    same = CHECKS[kind](piece["fact"], piece["value"], piece["word"] or "")
                compared[kind if same is not None else f"{kind} not compared"] += 1
                if same is False:
                    differ.append((feature["id"], layer["name"], piece))
    for kind, count in sorted(compared.items()):
        print(f"{count:6} {kind}")
    for difference in differ:
        print("differs:", *difference)
    print(f"{len(differ)} differ")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
