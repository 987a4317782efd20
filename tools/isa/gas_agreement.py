"""Compare the arm64 and riscv64 decoders with GNU as and LLVM on binutils' own test suite.

    python -m tools.isa.gas_agreement aarch64 BINUTILS/gas/testsuite/gas/aarch64
        --prefix aarch64-linux-gnu- --llvm-mc llvm-mc

Every test of the suite that assembles gives its instructions. Where objdump and llvm-mc both decode
one, the decoder must find the same length. Then GNU as judges the sets: it must accept each
instruction's text with the set that the decoder names, and refuse it without. What differs is
listed with its reason; the exit status is 1 where a difference has none.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.isa.class_names import ClassName, classes
from uplift.isa import aarch64_fallback, riscv_fallback
from uplift.isa.range_rows import BAD, ROW

#: Names that GNU as has for sets which Linux calls otherwise; an empty one: as knows no such name.
GAS_NAMES = {
    "asimddp": "dotprod", "asimdrdm": "rdma", "fphp": "fp16", "asimdhp": "fp16",
    "fcma+asimdhp": "fp16+compnum", "fcma": "compnum", "asimdfhm": "fp16fml", "crc32": "crc",
    "lrcpc": "rcpc", "ilrcpc": "rcpc2", "lrcpc3": "rcpc3", "paca": "pauth", "pacg": "pauth",
    "mte": "memtag", "pmull": "aes", "sha1": "sha2", "sha512": "sha3", "sm3": "sm4",
    "frint": "frintts", "svei8mm": "sve+i8mm", "svebf16": "sve+bf16", "svef32mm": "sve+f32mm",
    "svef64mm": "sve+f64mm", "svepmull": "sve2+sve-aes", "sveaes": "sve2+sve-aes",
    "svesha3": "sve2+sve2-sha3", "svesm4": "sve2+sve2-sm4", "svebitperm": "sve2+sve2-bitperm",
    "sveb16b16": "sve2+sve-b16b16", "smei16i64": "sme-i16i64", "smef64f64": "sme-f64f64",
    "smef16f16": "sme-f16f16", "smeb16b16": "sme-b16b16", "f8cvt": "fp8", "f8fma": "fp8fma",
    "f8dp2": "fp8dot2", "f8dp4": "fp8dot4", "sve2+f8fma": "sve2+fp8fma", "ls64-v": "ls64",
    "sve2+f8dp2": "sve2+fp8dot2", "sve2+f8dp4": "sve2+fp8dot4", "sve2+f8cvt": "sve2+fp8",
    "sme2+f8cvt": "sme2+fp8", "smef8f16": "sme-f8f16", "smef8f32": "sme-f8f32",
    "smelutv2": "sme-lutv2", "sme2+sveb16b16": "sme2+sve-b16b16", "ls64-accdata": "ls64",
    "sme2+smei16i64": "sme2+sme-i16i64", "sme2+smef64f64": "sme2+sme-f64f64",
    "sveaes2": "sve2+sve-aes2+ssve-aes", "smesmop4": "sme-mop4", "smestmop": "sme-tmop",
    "mops+mte": "mops+memtag", "mops-go+mte": "mops-go+memtag", "f8mm4": "f8f16mm",
    "f8mm8": "f8f32mm", "sve2+f8mm4": "sve2+f8f16mm", "sve2+f8mm8": "sve2+f8f32mm",
    "svebfscale": "sve2+sve-bfscale", "sme2+svebfscale": "sme2+sve-bfscale",
    "sme2p1+smelutv2": "sme2p1+sme-lutv2", "sveb16mm": "sve-b16mm",
    "svef16f32mm": "sve2p1+sve-f16f32mm", "dcpop": "", "dcpodp": "",
}  # fmt: skip
MATRICES = {f"smes{kind}+{part}": f"sme-{kind}+{name}"
            for kind in ("mop4", "tmop")
            for part, name in (("smeb16b16", "sme-b16b16"), ("smef16f16", "sme-f16f16"),
                               ("smef64f64", "sme-f64f64"), ("smef8f16", "sme-f8f16"),
                               ("smef8f32", "sme-f8f32"), ("smei16i64", "sme-i16i64"))}  # fmt: skip

#: Why a difference is right: architecture, set, mnemonic (regular expressions), reason.
REASONS = (
    (
        "aarch64",
        r".*",
        r"mrs|msr|mrrs|msrr|esb|gcsb",
        "as names any system register without a feature, and every hint",
    ),
    ("aarch64", r"gcie|poe2", r"sysl?", "as has no name for this operation of the group"),
    ("aarch64", r"base", r"tlbi", "TLBID gives the register a meaning; without it it is ignored"),
    ("aarch64", r"mec|rme", r"dc", "as has no such extension and takes the operation as it is"),
    (
        "aarch64",
        r"d128|occmo|xs|poe2|tlbi.*",
        r"tlbip|dc|tlbi|dsb|sysp|plbi",
        "as asks for a second feature: the TLB or cache operation's own",
    ),
    ("riscv64", r"v|zvkb|.*zv.*", r"vsetv?.*|csr.*", "as names any register without its extension"),
    ("riscv64", r".*", r"csr.*", "as names any register without its extension"),
    ("riscv64", r"zbb", r"(sext|zext)\.[bh]", "as has a macro of the base set under the same name"),
    ("riscv64", r"zcb", r"c\.(zext|sext)\.[bhw]", "Zcb's extensions ask for Zba or Zbb too"),
    ("riscv64", r"zicfiss", r"c\.ss.*", "as asks for Zcmop too"),
    (
        "riscv64",
        r"x.*|zvzip",
        r"(cv|th|sf|nds|mips|vt)\..*",
        "a vendor's space: objdump names another vendor's instruction of the same bits",
    ),
    ("riscv64", r"bad", r"(cv|th|qc)\..*", "vendors' extensions of 32-bit or draft vector cores"),
    ("x86-64", r"bad", r"j\w+w", "a 16-bit branch: AMD's reading; Intel's keeps 32 bits"),
    ("x86-64", r"bad", r"rex.*", "VEX behind REX is undefined"),
    (
        "x86-64",
        r".*",
        r"bnd|notrack|data16|rex\S*|repn?z|[cdefgs]s|xacquire|xrelease|addr32",
        "the prefix: as asks for a set of it, or takes it before no such instruction",
    ),
    ("x86-64", r"sse3", r"fisttp\w+", "as has a set of FISTTP alone, which -march cannot name"),
    ("x86-64", r"padlock", r"xstore-rng", "as and LLVM spell it so"),
    ("x86-64", r"invlpgb|sev-snp", r".*", "-march has no such name"),
    ("x86-64", r"sse4\.1", r"pextrw", "as takes the shorter encoding of SSE2"),
    ("riscv64", r"bad", r"v(ab|wab|qw|fqw|fw)d?.*", "drafts: as, LLVM and the lists differ"),
)


@dataclass(frozen=True)
class Tools:
    """The programs, and how they name the architecture."""

    arch: str
    prefix: str
    llvm_mc: str

    @property
    def base(self) -> str:
        """The base set, as GNU as calls it."""
        return "armv8-a" if self.arch == "aarch64" else "rv64gc"

    def with_set(self, needs: str) -> str:
        """The base set with one more."""
        if needs == "base":
            return self.base
        if self.arch == "aarch64":
            name = GAS_NAMES.get(needs, MATRICES.get(needs, needs))
            return f"armv8-a+{name}" if name else "armv8-a"
        parts = needs.split("+")
        return "rv64gc" + "".join(p if len(p) == 1 else f"_{p}" for p in parts)


@dataclass(frozen=True)
class Instruction:
    """One instruction as the decoder and objdump see it."""

    code: bytes
    text: str  #: objdump's, empty where it decodes nothing
    found: ClassName | None  #: ours

    @property
    def mnemonic(self) -> str:
        """The first word of objdump's text."""
        return self.text.split(maxsplit=1)[0] if self.text else ""


def main() -> None:
    """Compare, print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arch", choices=("aarch64", "riscv64"))
    parser.add_argument("suite", type=Path)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--llvm-mc", default="llvm-mc")
    options = parser.parse_args()
    tools = Tools(options.arch, options.prefix, options.llvm_mc)
    with tempfile.TemporaryDirectory() as folder:
        codes = sorted(set(assembled(tools, options.suite, Path(folder))))
        listed = described(tools, codes, Path(folder))
        known = decoded_by_llvm(tools, codes)
        agreed = [i for i in listed if i.text and i.code in known]
        wrong = [i for i in agreed if i.found is None]
        print(
            f"{len(codes)} encodings, {len(agreed)} that as and LLVM decode, {len(wrong)} not ours"
        )
        unexplained = explain(tools, "length", wrong) + compare_sets(tools, agreed, Path(folder))
    sys.exit(1 if unexplained else 0)


def assembled(tools: Tools, suite: Path, folder: Path) -> Iterator[bytes]:
    """The instructions of every test that assembles."""
    for test in sorted(suite.glob("*.d")):
        settings = dict(re.findall(r"^#(\w+):[ \t]*(.*)$", test.read_text(errors="replace"), re.M))
        source = suite / (settings.get("source", "").split() or [test.stem + ".s"])[0]
        flags = settings.get("as", "").replace("rv32", "rv64").replace("ilp32", "lp64").split()
        if source.exists() and assemble(tools, source, [*flags, f"-I{suite}"], folder) == "":
            yield from split(tools.arch, (folder / "text").read_bytes())


def assemble(tools: Tools, source: Path, flags: Sequence[str], folder: Path) -> str:
    """Assemble to ``folder/text``; what as says where it fails."""
    made = folder / "object"
    ran = _run(f"{tools.prefix}as", *flags, "-o", str(made), str(source))
    if ran.returncode:
        return ran.stderr or "failed"
    only = ("-O", "binary", "--only-section=.text")
    _run(f"{tools.prefix}objcopy", *only, str(made), str(folder / "text"))
    return ""


def _run(*command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, input=text, check=False)  # noqa: S603


def split(arch: str, text: bytes) -> Iterator[bytes]:
    """Cut code into instructions by the lengths that their first bits state."""
    at = 0
    while at + 2 <= len(text):
        size = 4 if arch == "aarch64" or text[at] & 3 == 3 else 2
        if len(text) >= at + size:
            yield text[at : at + size]
        at += size


def described(tools: Tools, codes: Sequence[bytes], folder: Path) -> list[Instruction]:
    """Each instruction with objdump's text and our class."""
    machine = ["aarch64"] if tools.arch == "aarch64" else ["riscv:rv64", "-M", "no-aliases,max"]
    file = folder / "codes"
    file.write_bytes(b"".join(codes))
    command = (f"{tools.prefix}objdump", "-D", "-z", "-b", "binary", "-m", *machine, str(file))
    texts = {}
    for line in _run(*command).stdout.splitlines():
        shown = re.match(r"\s*([0-9a-f]+):\s+[0-9a-f]+\s+([a-z]\S*)\s*(.*)", line)
        if shown and "undefined" not in line:
            operands = re.sub(r"\s*(<|//|#).*" if tools.arch == "riscv64" else r"\s*(<|//).*", "",
                              shown[3])  # fmt: skip
            texts[int(shown[1], 16)] = f"{shown[2]} {operands}".strip()
    listed, at = [], 0
    for code, found in zip(codes, ours(tools.arch, codes), strict=True):
        listed.append(Instruction(code, texts.get(at, ""), found))
        at += len(code)
    return listed


def ours(arch: str, codes: Sequence[bytes]) -> Iterator[ClassName | None]:
    """The decoder's class of each instruction; None where it finds none."""
    module = aarch64_fallback if arch == "aarch64" else riscv_fallback
    names = classes(arch.removesuffix("64") if arch == "riscv64" else arch)
    ends = np.cumsum([len(code) for code in codes])
    starts = ends - [len(code) for code in codes]
    rows, bad, _ = module.classify(b"".join(codes), 0, starts, ends)
    groups = dict.fromkeys(range(len(codes)), 0)
    groups.update((int(r["range"]), int(r["class"])) for r in np.frombuffer(rows, ROW))
    groups.update((int(r["range"]), BAD) for r in np.frombuffer(bad, ROW))
    return (names.get(groups[i]) for i in range(len(codes)))


def decoded_by_llvm(tools: Tools, codes: Sequence[bytes]) -> set[bytes]:
    """What llvm-mc decodes with every feature it has for the architecture."""
    features = "+all" if tools.arch == "aarch64" else ",".join(_riscv_features(tools))
    text = "".join(" ".join(f"0x{b:02x}" for b in code) + "\n" for code in codes)
    triple = f"--triple={tools.arch}-linux-gnu"
    ran = _run(tools.llvm_mc, "--disassemble", triple, f"--mattr={features}", text=text)
    refused = re.findall(r"<stdin>:(\d+):\d+: warning: invalid", ran.stderr)
    return set(codes) - {codes[int(line) - 1] for line in refused}


def _riscv_features(tools: Tools) -> Iterator[str]:
    shown = _run(tools.llvm_mc, "--triple=riscv64", "--mattr=help", text="").stderr
    yield from ("+m", "+a", "+f", "+d", "+c", "+v", "+h", "+q")
    unfit = r"zc(mp|mt|lsd|e|f)$|z\w*inx|zilsd|rv|.*(xcv|xq|xw|xa|cheri|-y$|-p$)"
    for name in re.findall(r"^ +((?:experimental-)?(?:z|s[msv]|x)\w+) ", shown, re.M):
        if not re.match(unfit, name):
            yield f"+{name}"


def compare_sets(tools: Tools, agreed: Iterable[Instruction], folder: Path) -> int:
    """Let as judge the sets; the number of differences without a reason."""
    groups: dict[str, list[Instruction]] = defaultdict(list)
    for i in agreed:
        if i.found and (i.found.set == "base" or not i.found.benign):
            groups[i.found.set].append(i)
    unexplained = 0
    for needs, members in sorted(groups.items()):
        refused = refusals(tools, members, tools.with_set(needs), folder)
        plain = refusals(tools, members, tools.base, folder, why="")
        unexplained += explain(tools, "refused with its set", [members[n] for n in refused])
        if needs == "base":
            continue
        rest = [i for n, i in enumerate(members) if n not in plain]
        unexplained += explain(tools, "accepted without its set", rest)
    print(f"{sum(map(len, groups.values()))} instructions of {len(groups)} sets judged")
    return unexplained


def refusals(
    tools: Tools,
    members: Sequence[Instruction],
    march: str,
    folder: Path,
    why: str = "does not support|required|not supported",
) -> set[int]:
    """Which of the instructions as refuses; by default for want of a set."""
    source = folder / "members.s"
    source.write_text("".join(f"{i.text}\n" for i in members))
    said = assemble(tools, source, [f"-march={march}"], folder)
    lines = re.findall(rf":(\d+): Error: .*(?:{why})", said)
    general = [text for text in said.splitlines() if not re.search(r":\d+: ", text)]
    if re.search("unknown|unrecognized option|invalid -march", "\n".join(general)):
        return set(range(len(members)))
    return {int(line) - 1 for line in lines}


def explain(tools: Tools, what: str, members: Iterable[Instruction]) -> int:
    """Print the differences with their reasons; the number of those without one."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for i in members:
        needs = i.found.set if i.found else "bad"
        reason = next(
            (why for arch, sets, words, why in REASONS if arch == tools.arch
             and re.fullmatch(sets, needs) and re.fullmatch(words, i.mnemonic)), "")  # fmt: skip
        seen[needs, i.mnemonic, reason] += 1
    for (needs, word, reason), count in sorted(seen.items()):
        print(f"  {what}: {needs} {word} ×{count}: {reason or 'NO REASON'}")
    return sum(count for (_, _, reason), count in seen.items() if not reason)


if __name__ == "__main__":
    main()
