"""What is found in code without call-frame information, and whether anything found is bogus.

    python -m bench.isa_recall [FILE...]

* Recall: a library is audited with its call-frame information and without it (``objcopy -R
  .eh_frame``); the share of instructions above the base that is found as reached code without it.
* Bogus sets: each set told for a function is looked for in what ``objdump -d`` shows for the
  function's addresses: an instruction that starts at the first place told must have a mnemonic
  that is not one of the base. Places where objdump shows no instruction are named too.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from uplift.isa.audit import audit
from uplift.isa.model import Confidence, FileAudit

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
USUAL = ("libcrypto.so.3", "libc.so.6", "openblas-pthread/libopenblas.so.0")
LINE = re.compile(r"^ *([0-9a-f]+):\t(?:[0-9a-f]{2} )+ *\t(.*)$")
PREFIX = re.compile(r"^(?:(?:lock|repz?|repnz|bnd|notrack|data16|cs|ds|es|fs|gs|ss|\{\w+\}) +)*")
BASE = re.compile(
    r"^(\(bad\)|\.byte|nop\w*|mov|movabs|lea|add|sub|cmp|test|and|or|xor|not|neg|inc|dec|push|pop|"
    r"call|jmp|ret|leave|j\w+|set\w+|cmov\w+|sh[lr]d?|sa[lr]|ro[lr]|mul|imul|div|idiv|xchg|bswap|"
    r"bt[src]?|cltq|cqto|cpuid|rdtsc|hlt|int3?|mov[sz]\w\w?)[bwlq]?$"
)


def main() -> int:
    """Print shares; exit code 1 where a set is bogus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=[str(LIBRARIES / name) for name in USUAL])
    bogus = 0
    for path in map(Path, parser.parse_args().files):
        whole = audit(path)
        with tempfile.TemporaryDirectory() as folder:
            _without_frames(path, whole, Path(folder) / "bare")
        bogus += _beside_objdump(path, whole)
    return int(bogus > 0)


def _without_frames(path: Path, whole: FileAudit, bare: Path) -> None:
    command = ["objcopy", "-R", ".eh_frame", "-R", ".eh_frame_hdr", str(path), str(bare)]
    subprocess.run(command, check=True, capture_output=True)
    left = audit(bare)
    known = _counts(whole, Confidence.FDE)
    found = _counts(left, Confidence.REACHED) + _counts(left, Confidence.FDE)
    hit = sum(min(count, found[name]) for name, count in known.items())
    total = sum(known.values())
    print(f"{path.name}: without frames {hit} of {total} = {100 * hit / max(total, 1):.2f} %")
    missed = {name: count - found[name] for name, count in known.items() if count > found[name]}
    print(f"   missed: {missed}")
    print(f"   sets that only the audit without frames tells: {sorted(set(found) - _sets(whole))}")


def _sets(result: FileAudit) -> set[str]:
    sure = (f for f in result.functions if f.confidence != Confidence.UNREACHED)
    return {name for function in sure for name in function.sets}


def _counts(result: FileAudit, confidence: Confidence) -> Counter[str]:
    total: Counter[str] = Counter()
    for function in result.functions:
        if function.confidence == confidence:
            for name, use in function.sets.items():
                total[name] += use.count
    return total


def _beside_objdump(path: Path, whole: FileAudit) -> int:
    """How many of the first places told for a set objdump shows otherwise."""
    sure = [f for f in whole.functions if f.confidence != Confidence.UNREACHED]
    firsts = {use.first: (name, f) for f in sure for name, use in f.sets.items()}
    shown = _mnemonics(path, set(firsts))
    wrong = 0
    for place, (name, function) in sorted(firsts.items()):
        text = shown.get(place, "no instruction starts here")
        if place not in shown or BASE.match(text):
            wrong += 1
            print(f"   {name} at {place:#x} in {function.name or 'no name'}: objdump: {text}")
    print(f"   {len(firsts)} first places, {wrong} that objdump shows otherwise")
    return wrong


def _mnemonics(path: Path, places: set[int]) -> dict[int, str]:
    command = ["objdump", "-d", "-w", str(path)]
    found = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            match = LINE.match(line)
            if match and int(match[1], 16) in places:
                rest = PREFIX.sub("", match[2]).split()
                found[int(match[1], 16)] = rest[0] if rest else "prefix"
    return found


if __name__ == "__main__":
    raise SystemExit(main())
