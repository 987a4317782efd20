"""Make the riscv64 decoder's data from the RISC-V opcode lists.

Run by hand: ``python -m tools.isa.riscv_tables LISTS RISCV.json --source "riscv-opcodes COMMIT,
LLVM 23.1.1"``, where the first argument is a checkout of github.com/riscv/riscv-opcodes and the
second comes from ``llvm-tblgen --dump-json llvm/lib/Target/RISCV/RISCV.td``, for vendors'
extensions. It writes ``src/uplift/isa/data/riscv-classes.csv``, ``data/riscv-tables.npz`` and
``native/riscv_tables.h``.

Only facts are taken: which bits an encoding fixes, its mnemonic, its extension. What the lists
leave to prose (hints, reserved values) is stated here, from the RISC-V ISA manual, volume I.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from tools.isa.decision_table import BAD, BASE, Part, Pattern, build, by_priority
from tools.isa.decoder_data import Instruction, number_classes, write_data

#: What Linux distributions for riscv64 require: RV64GC with the privileged instructions.
BASE_FILES = frozenset(
    ("i", "m", "a", "f", "d", "c", "c_d", "zicsr", "zifencei", "zicntr", "system", "s", "sdext")
)

#: Extensions under another name than their file's.
RENAMED = {
    "f_zfa": "zfa", "d_zfa": "zfa", "zfh_zfa": "zfh+zfa", "q_zfa": "q+zfa", "d_zfhmin": "zfhmin",
    "q_zfhmin": "q+zfhmin", "svinval_h": "svinval", "zabha_zacas": "zabha+zacas",
    "c_zicfiss": "zicfiss", "c_zihintntl": "zihintntl",
}  # fmt: skip

#: Not for RV64GC: Zcmp and Zcmt use the encodings of C.FSDSP, which the D extension has.
LEFT_OUT = frozenset(("zcmp", "zcmt"))

#: Drafts that assemblers know already, under the names of their drafts.
DRAFTS = ("rv_zalasr", "rv_zibi", "rv_zvzip", "rv_zvdot4a", "rv_zvfbdota32f", "rv_zvfofp8min",
          "rv_zvfofp4min", "rv_zvqwdota8i", "rv_zvqwbdota8i", "rv_zvfqwdota8f", "rv_zvfqwbdota8f",
          "rv_zvfwdota16bf", "rv_zvfwbdota16bf")  # fmt: skip

#: Mnemonics of a finer or another extension than their file's.
FINER = (
    (r"cbo\.zero", "zicboz"), (r"cbo\.", "zicbom"), (r"prefetch\.", "zicbop"),
    (r"(vandn|vrol|vror)\.v|(vbrev8|vrev8)\.v", "zvkb"),
)  # fmt: skip

#: Pseudo-instructions that are a class of their own; the benign ones are hints of the base set.
NAMED_PSEUDO = re.compile(r"prefetch|lpad|(c\.)?ntl\.|pause|(c\.)?ss|zext\.h$|sspush")
HINTS = re.compile(r"prefetch|lpad|(c\.)?ntl\.|pause")

#: LLVM's groups of vendors' encodings for RV64; the first that claims an encoding keeps it.
VENDORS = ("XTHead", "XVentana", "XSfvector", "XSfsystem", "XSfcease", "XSMT", "XMIPS")

#: Control and status registers that come with an extension.
REGISTERS = {
    0x008: "v", 0x009: "v", 0x00A: "v", 0x00F: "v", 0xC20: "v", 0xC21: "v", 0xC22: "v",
    0x011: "zicfiss", 0x015: "zkr", 0x14D: "sstc",
}  # fmt: skip

#: Compressed words that are reserved though the bits of an encoding fit: an immediate of zero, or
#: a destination x0 that is not a hint.
RESERVED_COMPACT = (
    (0xFFE3, 0x0000), (0xEF83, 0x4002), (0xEF83, 0x6002), (0xEF83, 0x2001), (0xF07F, 0x6001),
    (0xFFFF, 0x8002),
)  # fmt: skip

#: What indexes the root: the lower half of a word, be it of two or of four bytes.
ROOT_KEY = 0xFFFF


def instructions(root: Path, facts: dict[str, Any]) -> Iterator[Instruction]:
    """Every encoding of RV64 in the lists, then what the manual says in prose."""
    ratified = sorted((root / "extensions").glob("rv_*")) + sorted(
        (root / "extensions").glob("rv64_*")
    )
    drafts = [root / "extensions" / "unratified" / name for name in DRAFTS]
    seen: set[tuple[int, int]] = set()
    standard = (found for path in ratified + drafts for found in of_file(path))
    for found in chain(standard, of_vendors(facts)):
        if (found.mask, found.value) not in seen:
            seen.add((found.mask, found.value))
            yield found
            yield from reserved(found)
    yield from in_prose()


def of_vendors(facts: dict[str, Any]) -> Iterator[Instruction]:
    """The encodings that vendors chose in the space that is theirs."""
    records = [facts[name] for name in facts["!instanceof"]["Instruction"]]
    for vendor in VENDORS:
        for record in records:
            if record.get("DecoderNamespace") == vendor and not record.get("isPseudo"):
                yield of_vendor(record)


def of_vendor(record: dict[str, Any]) -> Instruction:
    """One of LLVM's records as an instruction; its set is the vendor's extension."""
    fixed = [(i, bit) for i, bit in enumerate(record["Inst"]) if isinstance(bit, int)]
    named = [re.match(r"HasVendor(X\w+?)(And|Any|Or|$)", p["def"]) for p in record["Predicates"]]
    needs = next((found[1].lower() for found in named if found), "vendor")
    return Instruction(
        sum(1 << i for i, _ in fixed), sum(bit << i for i, bit in fixed), needs,
        record["AsmString"].split("\t")[0].lower(), False,
    )  # fmt: skip


def of_file(path: Path) -> Iterator[Instruction]:
    """The encodings that one list defines."""
    name = re.sub(r"^rv(64)?_", "", path.name)
    if name in LEFT_OUT:
        return
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words and words[0] == "$pseudo_op":
            words = words[2:]
            if not NAMED_PSEUDO.match(words[0]):
                continue
        if words and not words[0].startswith("$"):
            yield encoding(name, words[0], words[1:])


def encoding(file: str, word: str, fields: list[str]) -> Instruction:
    """One line of a list as an instruction; its operands stay free."""
    mask = value = 0
    for field in fields:
        fixed = re.fullmatch(r"(\d+)(?:\.\.(\d+))?=(\w+)", field)
        if fixed:
            high, low = int(fixed[1]), int(fixed[2] or fixed[1])
            mask |= (1 << high + 1) - (1 << low)
            value |= int(fixed[3], 0) << low
    needs = "" if file in BASE_FILES else RENAMED.get(file, file)
    needs = next((fine for pattern, fine in FINER if re.match(pattern, word)), needs)
    needs = "zihintpause" if word == "pause" else needs
    even = any(f in ("rd_e", "rs2_e") for f in fields) or word == "amocas.q"
    return Instruction(mask, value, needs, word, bool(HINTS.match(word)), 0, ("rm" in fields, even))


def reserved(found: Instruction) -> Iterator[Instruction]:
    """Rounding modes 5 and 6, odd registers of a pair."""
    rounded, paired = found.limits
    if rounded:
        yield _bad(found, 7 << 12, 5 << 12)
        yield _bad(found, 7 << 12, 6 << 12)
    if paired:
        yield _bad(found, 1 << 7, 1 << 7)
        yield _bad(found, 1 << 20, 1 << 20)


def _bad(found: Instruction, mask: int, value: int) -> Instruction:
    whole = found.mask | mask
    return Instruction(whole, found.value & ~mask | value, None, "", False, found.mask)


def in_prose() -> Iterator[Instruction]:
    """Registers of an extension, reserved compressed words, the two defined illegal words."""
    for number, needs in REGISTERS.items():
        for function in (1, 2, 3):
            value = number << 20 | function << 12 | 0x73
            yield Instruction(0xFFF0307F, value, needs, "csr", False)
    for mask, value in RESERVED_COMPACT:
        yield Instruction(mask, value, None, "", False)
    yield Instruction(0xFFFF, 0, "", "c.unimp", False)
    yield Instruction(0xFFFFFFFF, 0xC0001073, "", "unimp", False)


def main() -> None:
    """Read the lists, write the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("json", type=Path)
    parser.add_argument("--source", required=True, help="name and commit, for the headers")
    options = parser.parse_args()
    listed = list(instructions(options.root, json.loads(options.json.read_text())))
    classes = number_classes(listed)
    ordered = by_priority(
        Pattern(i.mask, i.value & i.mask, _group(i, classes), i.pattern_rank) for i in listed
    )
    table = build([Part(ordered, range(ROOT_KEY + 1), ROOT_KEY)])
    write_data("riscv", options.source, classes, table)


def _group(i: Instruction, classes: dict[tuple[str, str, bool], int]) -> int:
    return BAD if i.needs is None else classes[i.key] if i.needs else BASE


if __name__ == "__main__":
    main()
