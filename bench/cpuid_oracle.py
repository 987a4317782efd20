"""Compare the CPUID decoder with the ``cpuid`` program, field by field.

    python bench/cpuid_oracle.py PATH-OF-CPUID DIRECTORY-OF-INSTLATX64-DUMPS [--mutants 10000]

Which line of the program's output belongs to which bit is found by trying: every bit of some dumps
is flipped, and the one line that turns from false to true belongs to it. Then each dump and each
mutant is decoded by both, and every single-bit field that both name is compared: the value, and
that one line always goes with one of our names. ``--names FILE`` writes label and name side by side
for a reader; ``--coverage`` lists the set bits without a name.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from uplift.facts.cpuid_table import decode, fields_of, hypervisor_name, vendor_name
from uplift.facts.parsers.cpuid import within_range
from uplift.facts.parsers.cpuid_notation import REGISTERS, Leaf, Leaves, Registers, read, read_text

Place = tuple[int, int, int, int]  #: leaf, subleaf, register, bit
Key = tuple[str, Place]  #: vendor and place
Line = tuple[str, str, int]  #: heading, label, which of several alike
Truths = dict[Line, bool]

BATCH = 400
LISTS_OF_CACHES = {0x4, 0x8000001D}
TRIES = 2  #: dumps in which a bit is flipped before it counts as shown by no line
#: Leaves of which a flipped bit changes what the rest means: who made it, how far it goes.
ROOTS = {(0x0, 0), (0x80000000, 0), (0x40000000, 0), (0xC0000000, 0), (0x80860000, 0)}
SERVERS = re.compile(
    r"GraniteRapids|SierraForest|Clearwater|EmeraldRapids|SapphireRapids|_ICX_"
    r"|Turin|Genoa|Bergamo|Siena|Venice_0"
)


@dataclass
class Dump:
    """One kind of core of one file."""

    name: str
    leaves: dict[Leaf, Registers]


@dataclass
class Result:
    """What the comparison found."""

    compared: int = 0
    crashed: int = 0  #: dumps that the program did not survive
    differing: Counter[tuple[str, Place, Line]] = field(default_factory=Counter)
    examples: dict[tuple[str, Place, Line], str] = field(default_factory=dict)


def load(directory: Path) -> list[Dump]:
    """Read every dump's kinds of core."""
    found = []
    for path in sorted(directory.rglob("*CPUID*.txt")):
        for number, core in enumerate(read(path.read_bytes(), "instlatx64")):
            found.append(Dump(f"{path.name}#{number}", dict(core.leaves)))
    return found


def raw_text(leaves: Leaves) -> str:
    """Write registers as ``cpuid -r`` does."""
    return "".join([_raw_line(leaf, row) for leaf, row in leaves.items()])


@lru_cache(maxsize=1 << 20)
def _raw_line(leaf: Leaf, row: Registers) -> str:
    place = f"   0x{leaf[0]:08x} 0x{leaf[1]:02x}: "
    return (
        place + " ".join(f"e{n}x=0x{word:08x}" for n, word in zip("abcd", row, strict=True)) + "\n"
    )


def ask(program: str, texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the program's lines for each dump, many to a run."""
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == BATCH:
            yield from _ask_batch(program, batch)
            batch = []
    if batch:
        yield from _ask_batch(program, batch)


def _ask_batch(program: str, batch: list[str]) -> Iterator[list[str]]:
    with tempfile.NamedTemporaryFile("w", suffix=".raw") as file:
        file.write("".join(f"CPU {number}:\n{text}" for number, text in enumerate(batch)))
        file.flush()
        run = subprocess.run([program, "-f", file.name], capture_output=True, check=False)
    if run.returncode:  # some flips make the program crash: find out which, and go without
        if len(batch) == 1:
            yield []
            return
        half = len(batch) // 2
        yield from _ask_batch(program, batch[:half])
        yield from _ask_batch(program, batch[half:])
        return
    parts = re.split(r"^CPU \d+:\n", run.stdout.decode("latin-1"), flags=re.MULTILINE)[1:]
    if len(parts) != len(batch):
        raise SystemExit(f"cpuid decoded {len(parts)} of {len(batch)} dumps")
    yield from (part.splitlines() for part in parts)


def truths(lines: list[str]) -> Truths:
    """Return the lines that say true or false, each by its heading, label and number."""
    found: Truths = {}
    seen: Counter[tuple[str, str]] = Counter()
    heading = ""
    for line in lines:
        if line.endswith(("= true", "= false")):
            label = (heading, line.rpartition("=")[0].strip())
            found[value_line(label, seen[label])] = line.endswith("true")
            seen[label] += 1
        elif line.startswith("   ") and not line.startswith("    "):
            heading = line.strip()
    return found


def value_line(label: tuple[str, str], number: int) -> Line:
    """Return the key of one of several lines with the same label."""
    return label[0], label[1], number


def places(leaves: Leaves) -> Iterator[Place]:
    """Yield every bit of every leaf that can be flipped alone."""
    for leaf, sub in leaves:
        if (leaf, sub) not in ROOTS:
            for register in range(4):
                for bit in range(32):
                    yield leaf, sub, register, bit


def flipped(leaves: Leaves, flips: Iterable[Place]) -> dict[Leaf, Registers]:
    """Return a copy with some bits turned over."""
    copy = dict(leaves)
    for leaf, sub, register, bit in flips:
        row = list(copy[leaf, sub])
        row[register] ^= 1 << bit
        copy[leaf, sub] = (row[0], row[1], row[2], row[3])
    return copy


def representatives(dumps: list[Dump]) -> list[Dump]:
    """Choose few dumps that together have every leaf that any has, vendor by vendor."""
    chosen: list[Dump] = []
    covered: set[tuple[str, Leaf]] = set()
    for dump in sorted(dumps, key=lambda d: -len(d.leaves)):
        new = {(who(dump.leaves, leaf[0]), leaf) for leaf in dump.leaves} - covered
        if new:
            chosen.append(dump)
            covered |= new
    return chosen


def who(leaves: Leaves, leaf: int) -> str:
    """Return whose meaning a leaf has: the processor's vendor, or the hypervisor."""
    return hypervisor_name(leaves, leaf) if leaf >> 16 == 0x4000 else vendor_name(leaves)


def find_lines(program: str, dumps: list[Dump]) -> dict[Key, Line]:
    """Map each bit to the one line that turns with it."""
    found: dict[Key, Line] = {}
    tried: Counter[Key] = Counter()
    for number, dump in enumerate(dumps):
        keys = {place: (who(dump.leaves, place[0]), place) for place in places(dump.leaves)}
        wanted = [p for p, key in keys.items() if key not in found and tried[key] < TRIES]
        texts = (raw_text(flipped(dump.leaves, [place])) for place in wanted)
        before = truths(next(ask(program, [raw_text(dump.leaves)])))
        for place, lines in zip(wanted, ask(program, texts), strict=True):
            line = _turned(dump.leaves, place, before, truths(lines))
            tried[keys[place]] += 1
            if line is not None:
                found[keys[place]] = line
        print(f"  {number + 1}/{len(dumps)} {dump.name}: {len(found)} bits", file=sys.stderr)
    return found


def _turned(leaves: Leaves, place: Place, before: Truths, after: Truths) -> Line | None:
    """Return the line that turned, if it is one and it tells the bit's value."""
    turned = [line for line, value in after.items() if before.get(line, value) != value]
    if len(turned) != 1:
        return None
    leaf, sub, register, bit = place
    was = bool(leaves[leaf, sub][register] >> bit & 1)
    return turned[0] if before[turned[0]] == was else None


def single_bit_names(leaves: Leaves) -> dict[Place, tuple[str, bool]]:
    """Return our name and value of every single-bit field, by way of the text and the decoder."""
    (core,) = read_text(raw_text(leaves), "cpuid-r")
    set_bits = {(b.leaf, b.subleaf, b.register, b.bit): b.name for b in decode(core.leaves)}
    found = {}
    for leaf in within_range(core.leaves):  # the decoder names nothing in an echo of another leaf
        for register in range(4):
            for bit, named in enumerate(fields_of(who(leaves, leaf[0]), leaf, register)):
                if named is not None and named.low == named.high:
                    number, sub = leaf
                    name = set_bits.get((number, sub, REGISTERS[register], bit))
                    found[number, sub, register, bit] = (named.name, name == named.name)
    return found


def compare(program: str, dumps: list[Dump], lines: dict[Key, Line]) -> Result:
    """Compare the value of every single-bit field that both name."""
    result = Result()
    texts = (raw_text(dump.leaves) for dump in dumps)
    for dump, output in zip(dumps, ask(program, texts), strict=True):
        theirs = truths(output)
        result.crashed += not output
        for place, (_, value) in single_bit_names(dump.leaves).items():
            line = lines.get((who(dump.leaves, place[0]), place))
            if line is None or line not in theirs or not in_sequence(dump.leaves, place):
                continue
            result.compared += 1
            if theirs[line] != value:
                key = (who(dump.leaves, place[0]), place, line)
                result.differing[key] += 1
                result.examples.setdefault(key, dump.name)
    return result


def in_sequence(leaves: Leaves, place: Place) -> bool:
    """Whether the program's block for this subleaf has the number that it has in a real dump.

    It lists caches one after the other and leaves out those of type 0: if a flip made one of them
    so, what follows moves up, and cannot be told apart by its label.
    """
    leaf, sub = place[:2]
    if leaf not in LISTS_OF_CACHES:
        return True
    return all(leaves.get((leaf, before), (0,))[0] & 0x1F for before in range(sub + 1))


def mutants(dumps: list[Dump], count: int, seed: int) -> list[Dump]:
    """Return dumps with one or several bits flipped at random."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        dump = chance.choice(dumps)
        possible = [leaf for leaf in dump.leaves if leaf not in ROOTS]
        if not possible:
            continue
        flips = {_chosen_place(chance, possible) for _ in range(chance.choice((1, 1, 2, 4, 16)))}
        found.append(Dump(f"{dump.name} mutant {number}", flipped(dump.leaves, flips)))
    return found


def _chosen_place(chance: random.Random, leaves: list[Leaf]) -> Place:
    leaf, sub = chance.choice(leaves)
    return leaf, sub, chance.randrange(4), chance.randrange(32)


def write_names(path: Path, lines: dict[Key, Line]) -> None:
    """Write label and name side by side, one line a bit."""
    rows = defaultdict(set)
    for (vendor, place), (heading, label, _) in lines.items():
        named = fields_of(vendor, place[:2], place[2])[place[3]]
        name = "-" if named is None else named.name
        if named is not None and named.low != named.high:
            name = f"[{named.name} {named.high}:{named.low}]"
        rows[place, heading, label, name].add(vendor)
    with path.open("w", encoding="utf-8") as out:
        for (place, heading, label, name), vendors in sorted(rows.items()):
            at = f"{place[0]:x}.{place[1]:x}.{REGISTERS[place[2]]}.{place[3]}"
            print(at, name, label, heading, ",".join(sorted(vendors)), sep="\t", file=out)


def print_coverage(dumps: list[Dump]) -> None:
    """Print how many set bits have a name, and which have none."""
    unnamed: Counter[tuple[str, int, int, str, int]] = Counter()
    totals: Counter[str] = Counter()
    for dump in dumps:
        kind = "server" if SERVERS.search(dump.name) else "other"
        for bit in decode(dump.leaves):
            totals[kind] += 1
            if bit.name is None:
                totals[f"{kind} unnamed"] += 1
                maker = who(dump.leaves, bit.leaf)
                unnamed[maker, bit.leaf, bit.subleaf, bit.register, bit.bit] += 1
    for kind in ("server", "other"):
        print(f"{kind}: {totals[kind]} set bits, {totals[f'{kind} unnamed']} unnamed")
    for (vendor, leaf, sub, register, number), count in sorted(unnamed.items()):
        print(f"  {vendor} {leaf:x}.{sub:x}.{register} bit {number}: {count} dumps")


def report(title: str, result: Result) -> bool:
    """Print one comparison; whether it found a difference."""
    wrong = sum(result.differing.values())
    print(
        f"{title}: {result.compared} values compared, {wrong} differ; "
        f"the program crashed on {result.crashed}"
    )
    for (vendor, place, line), count in result.differing.most_common(60):
        at = f"{place[0]:x}.{place[1]:x}.{REGISTERS[place[2]]}.{place[3]}"
        example = result.examples[vendor, place, line]
        print(f"  {vendor} {at} {line[1]!r} in {line[0]!r}: {count}, e.g. {example}")
    return bool(wrong)


def main() -> int:
    """Run the comparison named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("program", help="the cpuid program")
    parser.add_argument("dumps", type=Path, help="directory of InstLatx64 dumps")
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--names", type=Path, help="write label and name of each bit here")
    parser.add_argument("--coverage", action="store_true", help="list the bits without a name")
    arguments = parser.parse_args()
    dumps = load(arguments.dumps)
    if arguments.coverage:
        print_coverage(dumps)
    lines = find_lines(arguments.program, representatives(dumps))
    if arguments.names:
        write_names(arguments.names, lines)
    print(f"{len(dumps)} kinds of core; {len(lines)} bits that the program shows as a line")
    wrong = report("dumps", compare(arguments.program, dumps, lines))
    altered = mutants(dumps, arguments.mutants, arguments.seed)
    wrong |= report(f"{len(altered)} mutants", compare(arguments.program, altered, lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
