"""Compare the x86-64 decoder with GNU as and LLVM on binutils' own test suite.

    python -m tools.isa.x86_gas_agreement BINUTILS/gas/testsuite/gas/i386
        --prefix x86_64-linux-gnu- --llvm-mc llvm-mc

Every test of the suite that assembles for 64 bits gives its instructions, as objdump reads them.
Where llvm-mc takes the same bytes for one instruction too, the decoder must find that length, and
the mnemonic of one of the two. Then GNU as judges the sets: it must accept each instruction's text
with the set that the decoder names, and refuse it without. What differs is listed with its
reason; the exit status is 1 where a difference has none.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.isa.class_names import ClassName, classes
from tools.isa import gas_agreement as gas
from tools.isa.gas_agreement import Instruction, Tools
from uplift.isa import decoder
from uplift.isa.range_rows import BAD, ROW

#: An instruction that ends a piece of llvm-mc's output: nobody tests this number.
MARK = bytes.fromhex("49bb88796a5b4c3d2e1f")
MARK_TEXT = "1f2e3d4c5b6a7988"
PADDING = 15  #: NOPs behind each instruction: what reads on ends inside them
#: LLVM's features that say how to generate code or change what bytes mean.
UNFIT = re.compile(
    r"(16|32|64)bit-mode|soft-float|(tuning|prefer|slow|fast|false|retpoline|lvi|sls|harden|idiv|"
    r"use-|inline|pad|avoid|branch|macro|no-|ermsb|fsrm|allow).*"
)
#: Names that GNU as has for sets which Linux or GCC call otherwise.
GAS_NAMES = {
    "vmx": "vmx+vmfunc", "invept": "ept", "invvpid": "ept", "tse": "pbndkb", "msr-imm": "msr_imm",
    "bmi1": "bmi", "3dnowp": "3dnowa", "apx-f": "apx_f+apx_nci_ndd_nf", "svm": "svme",
    "pku": "ospke", "sgx": "se1",
    "sev-es": "sev_es", "sev-snp": "snp", "raoint": "rao_int", "usermsr": "user_msr",
    "avxvnni": "avx_vnni", "avxifma": "avx_ifma", "avxneconvert": "avx_ne_convert",
    "avxvnniint8": "avx_vnni_int8", "avxvnniint16": "avx_vnni_int16", "prfchw": "prfchw",
    "padlock-gmi": "gmism2+gmiccs", "avx512bmm": "avx512_bmm", "avx5124fmaps": "avx512_4fmaps",
    "avx5124vnniw": "avx512_4vnniw", "lahf": "lahf_sahf",
    "padlock": "padlock+padlockrng2+padlockphe2+padlockxmodx",
}  # fmt: skip
GAS_NAMES |= {
    f"avx512{name}": f"avx512_{name}"
    for name in ("bf16", "bitalg", "fp16", "vbmi2", "vnni", "vp2intersect", "vpopcntdq")
}
PREFIXES = re.compile(
    r"^((\{\w+\}|lock|rep[nz]*|data16|addr32|rex\S*|[cdefgs]s|notrack|bnd|xacquire|xrelease)\s+)*"
)


class X86Tools(Tools):
    """The programs, and how they name x86-64's sets."""

    @property
    def base(self) -> str:
        """The base set, as GNU as calls it."""
        return "generic64"

    def with_set(self, needs: str) -> str:
        """The base set with others."""
        parts = [GAS_NAMES.get(part, part.replace("-", "_")) for part in needs.split("+")]
        return "+".join(["generic64", *(part for part in parts if part not in ("", "base"))])


def main() -> None:
    """Compare, print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--llvm-mc", default="llvm-mc")
    options = parser.parse_args()
    tools = X86Tools("x86-64", options.prefix, options.llvm_mc)
    with tempfile.TemporaryDirectory() as folder:
        texts = assembled(tools, options.suite, Path(folder))
        codes = sorted(texts)
        known = decoded_by_llvm(tools, codes)
        listed = [
            Instruction(code, texts[code], found)
            for code, found in zip(codes, ours(codes), strict=True)
        ]
        agreed = [i for i in listed if i.code in known]
        wrong = [i for i in agreed if i.found is None]
        misnamed = [i for i in agreed if i.found and not same_name(i, known[i.code])]
        print(
            f"{len(codes)} encodings, {len(agreed)} that as and LLVM decode, {len(wrong)} not "
            f"ours, {len(misnamed)} with another mnemonic"
        )
        unexplained = gas.explain(tools, "length", wrong)
        unexplained += gas.explain(tools, "mnemonic", misnamed)
        unexplained += gas.compare_sets(tools, agreed, Path(folder))
    sys.exit(1 if unexplained else 0)


def assembled(tools: Tools, suite: Path, folder: Path) -> dict[bytes, str]:
    """The instructions of every test that assembles, with objdump's text."""
    found: dict[bytes, str] = {}
    with ThreadPoolExecutor(2) as pool:
        tests = sorted(suite.glob("*.d"))
        for texts in pool.map(lambda test: _one_test(tools, test, folder), tests):
            found.update(texts)
    return found


def _one_test(tools: Tools, test: Path, folder: Path) -> dict[bytes, str]:
    settings = dict(re.findall(r"^#(\w+):[ \t]*(.*)$", test.read_text(errors="replace"), re.M))
    source = test.parent / (settings.get("source", "").split() or [test.stem + ".s"])[0]
    flags = [f for f in settings.get("as", "").split() if f not in ("--32", "--x32", "--64")]
    made = folder / f"{test.stem}.o"
    if source.suffix != ".s" or not source.exists():
        return {}
    command = (f"{tools.prefix}as", "--64", *flags, f"-I{test.parent}", "-o", str(made))
    if _run(*command, str(source)).returncode:
        return {}
    shown = _run(f"{tools.prefix}objdump", "-dwz", "-j", ".text", str(made)).stdout
    lines = re.findall(r"^\s*[0-9a-f]+:\t((?:[0-9a-f]{2} )+)\s*\t(.*)$", shown, re.M)
    return {
        bytes.fromhex(code): re.sub(r"\s*(<|#).*", "", text).strip()
        for code, text in lines if "(bad)" not in text
    }  # fmt: skip


def _run(*command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, input=text, check=False, errors="replace"
    )


def ours(codes: Sequence[bytes]) -> Iterator[ClassName | None]:
    """The decoder's class of each instruction; None where it finds another length."""
    ends = np.cumsum([len(code) for code in codes])
    starts = ends - [len(code) for code in codes]
    rows, bad, _ = decoder.classify("x86-64", b"".join(codes), 0, starts, ends)
    groups = dict.fromkeys(range(len(codes)), 0)
    groups.update((int(r["range"]), int(r["class"])) for r in np.frombuffer(rows, ROW))
    groups.update((int(r["range"]), BAD) for r in np.frombuffer(bad, ROW))
    names = classes("x86")
    for n, code in enumerate(codes):
        whole = decoder.lengths("x86-64", code)[:1] == bytes((len(code),))
        yield names.get(groups[n]) if whole else None


def decoded_by_llvm(tools: Tools, codes: Sequence[bytes]) -> dict[bytes, str]:
    """What llvm-mc takes for one instruction, with its text."""
    pieces = [code + b"\x90" * PADDING + MARK for code in codes]
    text = "".join(" ".join(f"0x{byte:02x}" for byte in piece) + "\n" for piece in pieces)
    features = ",".join(f"+{name}" for name in _features(tools))
    ran = _run(
        tools.llvm_mc, "--disassemble", "--triple=x86_64-linux-gnu", f"--mattr={features}",
        text=text,
    )  # fmt: skip
    refused = {int(line) - 1 for line in re.findall(r"<stdin>:(\d+):\d+: warning", ran.stderr)}
    shown = _by_mark(ran.stdout)
    if len(shown) != len(codes):
        sys.exit(f"llvm-mc shows {len(shown)} of {len(codes)} encodings")
    return {
        code: lines[0]
        for n, (code, lines) in enumerate(zip(codes, shown, strict=True))
        if n not in refused and lines[1:] == ["nop"] * PADDING
    }


def _by_mark(text: str) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    for line in text.splitlines():
        if MARK_TEXT in line.lower():
            pieces.append([])
        elif line.strip() and not line.startswith("\t."):
            pieces[-1].append(line.strip())
    return pieces[:-1]


def _features(tools: Tools) -> Iterator[str]:
    shown = _run(tools.llvm_mc, "--triple=x86_64", "--mattr=help", text="").stderr
    for name in re.findall(r"^ +(\S+) +- ", shown.split("Available features")[1], re.M):
        if not UNFIT.fullmatch(name):
            yield name


def same_name(instruction: Instruction, llvm: str) -> bool:
    """Whether the class is called as objdump or llvm-mc call it, but for suffix and condition."""
    name = instruction.found.instruction if instruction.found else ""
    shown = [_plain(text) for text in (instruction.text, llvm)]
    stem = re.sub(r"cc$", "", re.sub(r"^(v?p?cmp|v?pcom|v?pclmul).*", r"\1", name))
    start = stem if stem != name else ""
    return not name or any(
        text.rstrip("bwlqxyz") == name.rstrip("bwlqxyz") or (start and text.startswith(start))
        for text in shown
    )


def _plain(text: str) -> str:
    return PREFIXES.sub("", text).split(maxsplit=1)[0] if PREFIXES.sub("", text) else ""


if __name__ == "__main__":
    main()
