"""Make the arm64 decoder's data from LLVM's description of the instruction set.

Run by hand: ``python -m tools.isa.aarch64_tables AArch64.json --source "LLVM 23.1.1"``, where the
JSON comes from ``llvm-tblgen --dump-json llvm/lib/Target/AArch64/AArch64.td``. It writes
``src/uplift/isa/data/aarch64-classes.csv``, ``data/aarch64-tables.npz`` and
``native/aarch64_tables.h``. Only facts are taken: which bits an encoding fixes, its mnemonic, the
features it needs. What LLVM's description leaves to code (hints, operands that are not allowed,
system registers by name) is stated here, from the Arm Architecture Reference Manual (DDI 0487).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tools.isa.decision_table import BAD, BASE, Part, Pattern, build, by_priority
from tools.isa.decoder_data import Instruction, number_classes, write_data

Record = dict[str, Any]

#: What each of LLVM's predicates asks for, under the names of /proc/cpuinfo where Linux has one;
#: an empty name is ARMv8.0-A with floating point and Advanced SIMD.
SETS = {
    "HasFPARMv8": "", "HasNEON": "", "HasNEONandIsStreamingSafe": "", "HasEL3": "",
    "HasNEONandIsFPRCVTStreamingSafe": "",
    "HasAES": "aes", "HasAltNZCV": "flagm2", "HasBF16": "bf16", "HasCMPBR": "cmpbr",
    "HasCPA": "cpa", "HasCRC": "crc32", "HasCSSC": "cssc", "HasComplxNum": "fcma",
    "HasDotProd": "asimddp", "HasF16F32DOT": "f16f32dot", "HasF16F32MM": "f16f32mm",
    "HasF16MM": "f16mm", "HasF8F16MM": "f8mm4", "HasF8F32MM": "f8mm8", "HasFAMINMAX": "faminmax",
    "HasFP16FML": "asimdfhm", "HasFP8": "f8cvt", "HasFP8DOT2": "f8dp2", "HasFP8DOT4": "f8dp4",
    "HasFP8FMA": "f8fma", "HasFPRCVT": "fprcvt", "HasFRInt3264": "frint", "HasFlagM": "flagm",
    "HasFullFP16": "fphp", "HasGCS": "gcs", "HasHBC": "hbc", "HasHINTE": "hinte", "HasJS": "jscvt",
    "HasLOR": "lor", "HasLS64": "ls64", "HasLSCP": "lscp", "HasLSE": "lse", "HasLSE128": "lse128",
    "HasLSFE": "lsfe", "HasLSUI": "lsui", "HasLUT": "lut", "HasMOPS": "mops",
    "HasMOPS_GO": "mops-go", "HasMTE": "mte", "HasMatMulFP32": "svef32mm",
    "HasMatMulFP64": "svef64mm", "HasMatMulInt8": "i8mm", "HasPAuth": "paca",
    "HasPAuthLR": "pauth-lr", "HasRCPC": "lrcpc", "HasRCPC3": "lrcpc3", "HasRCPC_IMMO": "ilrcpc",
    "HasRDM": "asimdrdm", "HasS1POE2": "poe2", "HasSB": "sb", "HasSHA2": "sha2",
    "HasSHA3": "sha3", "HasSM4": "sm4", "HasSME": "sme", "HasSME2": "sme2",
    "HasSME2andIsNonStreamingSafe": "sme2", "HasSME2p1": "sme2p1", "HasSME2p2": "sme2p2",
    "HasSME2p3": "sme2p3", "HasSMEB16B16": "smeb16b16", "HasSMEF16F16": "smef16f16",
    "HasSMEF16F16_or_SMEF8F16": "smef16f16", "HasSMEF64F64": "smef64f64",
    "HasSMEF8F16": "smef8f16", "HasSMEF8F32": "smef8f32", "HasSMEI16I64": "smei16i64",
    "HasSME_LUTv2": "smelutv2", "HasSME_MOP4": "smesmop4", "HasSME_TMOP": "smestmop",
    "HasSMEandIsNonStreamingSafe": "sme", "HasSVE": "sve", "HasSVE_or_SME": "sve",
    "HasSVE2": "sve2", "HasSVE2_or_SME": "sve2", "HasSVE2p1": "sve2p1",
    "HasSVE2p1_or_SME": "sve2p1", "HasSVE2p1_or_SME2": "sve2p1", "HasSVE2p1_or_SME2p1": "sve2p1",
    "HasSVE2p1_or_StreamingSME2": "sve2p1", "HasSVE2p2": "sve2p2",
    "HasSVE2p2_or_SME2p2": "sve2p2", "HasNonStreamingSVE2p2_or_SME2p2": "sve2p2",
    "HasSVE2p3": "sve2p3", "HasSVE2p3_or_SME2p3": "sve2p3", "HasSVEAES": "sveaes",
    "HasSVEAES2": "sveaes2", "HasSVEB16B16": "sveb16b16", "HasSVEBFSCALE": "svebfscale",
    "HasSVEBitPerm": "svebitperm", "HasSVESHA3": "svesha3", "HasSVESM4": "svesm4",
    "HasSVE_B16MM": "sveb16mm", "HasSVE_F16F32MM": "svef16f32mm", "HasTEV": "tev",
    "HasTHE": "the", "HasD128": "d128", "HasWFxT": "wfxt", "HasXS": "xs",
    "HasNonStreamingSVE2_or_SME2": "sve2", "HasNonStreamingSVE_or_SME2": "",
    "HasNonStreamingSVE_or_SME2p1": "", "HasNonStreamingSVE_or_SME2p2": "sve",
    "HasNonStreamingSVE_or_SSVE_AES": "", "HasNonStreamingSVE_or_SSVE_BitPerm": "",
    "HasNonStreamingSVE_or_SSVE_FEXPA": "sve", "HasSSVE_FP8DOT2": "sve2+f8dp2",
    "HasSSVE_FP8DOT4": "sve2+f8dp4", "HasSSVE_FP8FMA": "sve2+f8fma",
}  # fmt: skip

#: Needs of two predicates for which Linux has one name.
JOINT = {
    "bf16+sve": "svebf16", "sve+i8mm": "svei8mm", "sve+svef32mm": "svef32mm",
    "sve+svef64mm": "svef64mm", "sve+cpa": "sve+cpa", "lrcpc3": "lrcpc3",
    "smesmop4+smei16i64": "smesmop4+smei16i64",
}  # fmt: skip

#: Mnemonics that belong to a finer set than their predicate says.
FINER = (
    ("sha2", r"sha1", "sha1"), ("sha3", r"sha512", "sha512"), ("sm4", r"sm3", "sm3"),
    ("aes", r"pmull", "pmull"), ("sveaes", r"pmull", "svepmull"), ("paca", r"pacga", "pacg"),
    ("ls64", r"st64bv0", "ls64-accdata"), ("ls64", r"st64bv$", "ls64-v"),
    ("sve", r"compact", "sve"), ("", r"(mrrs|msrr|sysp)$", "d128"), ("gcs", r"$^", "gcs"),
)  # fmt: skip

#: The hint space: executes as a no-operation where the set is missing. Number of the hint.
HINTS = {
    6: ("dgh", "dgh"), 7: ("paca", "xpaclri"), 8: ("paca", "pacia1716"), 10: ("paca", "pacib1716"),
    12: ("paca", "autia1716"), 14: ("paca", "autib1716"), 16: ("ras", "esb"), 17: ("spe", "psb"),
    18: ("trf", "tsb"), 19: ("gcs", "gcsb"), 22: ("clrbhb", "clrbhb"), 24: ("paca", "paciaz"),
    25: ("paca", "paciasp"), 26: ("paca", "pacibz"), 27: ("paca", "pacibsp"),
    28: ("paca", "autiaz"), 29: ("paca", "autiasp"), 30: ("paca", "autibz"),
    31: ("paca", "autibsp"), 32: ("bti", "bti"), 34: ("bti", "bti"), 36: ("bti", "bti"),
    38: ("bti", "bti"), 39: ("pauth-lr", "pacm"), 40: ("chk", "chkfeat"),
    48: ("pcdphint", "stshh"), 49: ("pcdphint", "stshh"), 50: ("pcdphint", "shuh"),
    51: ("pcdphint", "shuh"), 52: ("pcdphint", "stcph"),
}  # fmt: skip

#: LLVM's features behind system registers and system instructions.
FEATURES = {
    "AM": "amu", "AMVS": "amu", "BRBE": "brbe", "CCPP": "dcpop", "CacheDeepPersist": "dcpodp",
    "CCIDX": "ccidx", "DIT": "dit", "EnhancedCounterVirtualization": "ecv", "ETE": "ete",
    "FineGrainedTraps": "fgt", "ITE": "ite", "LOR": "lor", "LS64": "ls64-accdata", "MEC": "mec",
    "MPAM": "mpam", "MTE": "mte", "MTETC": "mtetc", "NMI": "nmi", "NV": "nv", "OCCMO": "occmo",
    "PAN": "pan", "PAN_RWV": "pan2", "PAuth": "paca", "PoPS": "pops", "PsUAO": "uao", "RAS": "ras",
    "RASv2": "rasv2", "RME": "rme", "RandGen": "rng", "SEL2": "sel2", "SME": "sme", "SPE": "spe",
    "SPE_EEF": "spe", "SSBS": "ssbs", "SVE": "sve", "SpecRestrict": "csv2-2", "THE": "the",
    "TRACEV8_4": "trf", "TRBE": "trbe", "VH": "vhe", "CONTEXTIDREL2": "vhe",
}  # fmt: skip

#: System registers whose feature LLVM does not name.
REGISTERS = (
    (r"FPMR$", "fpmr"), (r"GCS", "gcs"), (r"POR_|S2POR_", "poe"), (r"PIRE?0?_|S2PIR_", "pie"),
    (r"(T|S)CTLR2|TCR2_", "tcr2"), (r"MAIR2|AMAIR2", "aie"), (r"RCW", "the"), (r"ICC_NMIAR", "nmi"),
)  # fmt: skip

#: Withdrawn by Arm, known to assemblers: the transactional memory extension.
TRANSACTIONS = (
    (0xFFFFFFE0, 0xD5233060, "tstart"), (0xFFFFFFE0, 0xD5233160, "ttest"),
    (0xFFFFFFFF, 0xD503307F, "tcommit"), (0xFFE0001F, 0xD4600000, "tcancel"),
)  # fmt: skip

#: Prediction restriction: SYS #3, C7, C3, #op2.
RESTRICTIONS = {4: ("predres", "cfp"), 5: ("predres", "dvp"), 6: ("predres2", "cosp"),
                7: ("predres", "cpp")}  # fmt: skip


#: The root of the table is indexed by bits 31 to 21 and 15 to 10: between them lie registers.
ROOT_KEY = 0xFFE0FC00


def encodings(facts: Record) -> list[tuple[str, Record, int, int]]:
    """All real 32-bit instructions: name, record, the fixed bits and their values."""
    found = []
    for name in facts["!instanceof"]["Instruction"]:
        record = facts[name]
        real = record.get("Namespace") == "AArch64" and not record.get("isPseudo")
        if real and record.get("Size") == 4 and "Inst" in record:
            found.append((name, record, *fixed_bits(record["Inst"], record["SoftFail"])))
    return found


def fixed_bits(inst: list[Any], should_be: list[Any]) -> tuple[int, int]:
    """The mask and the value of the bits that an encoding fixes.

    Bits that only *should be* so do not make another instruction where they are not.
    """
    fixed = [(i, bit) for i, bit in enumerate(inst) if isinstance(bit, int) and should_be[i] != 1]
    return sum(1 << i for i, _ in fixed), sum(bit << i for i, bit in fixed)


def mnemonic(record: Record) -> str:
    """The first word of the assembly text, without its operands' arrangement."""
    text = re.split(r"[\s{]", record["AsmString"].strip(), maxsplit=1)[0]
    return re.sub(r"\.?\$\w+", "", text).lower()


def set_of(record: Record) -> str:
    """The set of instructions that a record belongs to; joined by + where it needs several."""
    names: list[str] = []
    for predicate in record["Predicates"]:
        name = SETS[predicate["def"]]
        if name and name not in names:
            names.append(name)
    needs = JOINT.get("+".join(names), "+".join(names))
    if needs == "fphp" and any(p["def"].startswith("HasNEON") for p in record["Predicates"]):
        needs = "asimdhp"
    for coarse, word, fine in FINER:
        if needs == coarse and re.match(word, mnemonic(record)):
            return fine
    return _without_implied(needs)


def _without_implied(needs: str) -> str:
    """Drop what another part of a joint need implies."""
    parts = needs.split("+")
    if "asimdhp" not in parts and "fphp" in parts and "fcma" in parts:
        parts.remove("fphp")
        parts.append("asimdhp")
    if "sme2" in parts and any(p in parts for p in ("sme2p1", "sme2p2", "sme2p3")):
        parts.remove("sme2")
    return "+".join(parts)


def instructions(facts: Record) -> Iterator[Instruction]:
    """Every encoding with its class; what is stated here goes before what LLVM says of it."""
    ours = list(stated(facts))
    taken = {(i.mask, i.value) for i in ours}
    for _name, record, mask, value in encodings(facts):
        word = mnemonic(record)
        if (mask, value) not in taken:
            yield Instruction(mask, value, set_of(record), word, word == "rprfm")
        yield from refused(record, mask, value)
    yield from ours


def stated(facts: Record) -> Iterator[Instruction]:
    """The classes that LLVM states elsewhere, or that this file does."""
    yield from hints()
    yield from system_registers(facts)
    yield from system_operations(facts)
    yield from pstate_fields(facts)
    for mask, value, word in TRANSACTIONS:
        yield Instruction(mask, value, "tme", word, False)


def refused(record: Record, mask: int, value: int) -> Iterator[Instruction]:
    """The words that an encoding's bits allow and its operands do not."""
    for operand, name in operands(record):
        place = field_of(record, name)
        if place is None:
            continue
        shift, width = place
        for low_mask, low_value in _refused_values(operand, width):
            yield _bad(mask, low_mask << shift, value | low_value << shift)
    for extra_mask, extra_value in _refused_by_decoder(record, value):
        yield _bad(mask, extra_mask, value | extra_value)


def _bad(mask: int, extra: int, value: int) -> Instruction:
    return Instruction(mask | extra, value, None, "", False, refines=mask)


def operands(record: Record) -> list[tuple[str, str]]:
    """Class and name of every operand."""
    listed = record["InOperandList"]["args"] + record["OutOperandList"]["args"]
    return [(str(kind.get("def")), str(name)) for kind, name in listed if isinstance(kind, dict)]


def field_of(record: Record, name: str) -> tuple[int, int] | None:
    """Where an operand's bits lie: shift and width; None where it has none."""
    places = [
        i for i, bit in enumerate(record["Inst"]) if isinstance(bit, dict) and bit["var"] == name
    ]
    return (places[0], len(places)) if places else None


def _refused_values(operand: str, width: int) -> Iterator[tuple[int, int]]:
    """Patterns of an operand's own bits that stand for no operand."""
    if operand.startswith(("GPR64NoXZR", "GPR64common")) and width == 5:
        yield 31, 31
    if re.match(r"[WX]SeqPair|MrrsMssrPair", operand):
        yield 1, 1
    if operand == "GPR64x8":  # eight registers from an even one up to X22
        yield 1, 1
        yield 0b11000, 0b11000


def _refused_by_decoder(record: Record, value: int) -> Iterator[tuple[int, int]]:
    """Patterns that LLVM refuses in code: shifts, extensions, bit masks, wide immediates."""
    method, wide = record["DecoderMethod"], value >> 31 & 1
    if method == "DecodeThreeAddrSRegInstruction":
        if not wide:
            yield 1 << 15, 1 << 15  # a shift of 32 or more
        if value >> 24 & 0x1F == 0b01011:
            yield 3 << 22, 3 << 22  # add and subtract do not rotate
    if method == "DecodeAddSubERegInstruction":
        yield 7 << 10, 5 << 10
        yield 6 << 10, 6 << 10
    if method == "DecodeAddSubImmShift":
        yield 1 << 23, 1 << 23
    if method == "DecodeMoveImmInstruction" and not wide:
        yield 1 << 22, 1 << 22
    if method == "DecodeLogicalImmInstruction":
        yield from _no_bit_mask(10, wide)
    if method == "DecodeSVELogicalImmInstruction":
        yield from _no_bit_mask(5, 1)
    if any(operand in ("cpy_imm8_opt_lsl_i8", "addsub_imm8_opt_lsl_i8")
           for operand, _ in operands(record)):  # fmt: skip
        yield 1 << 13, 1 << 13


def _no_bit_mask(shift: int, wide: int) -> Iterator[tuple[int, int]]:
    """The values of N:immr:imms, at ``shift``, that encode no bit mask."""
    ones = 1 << 12
    if not wide:
        yield ones << shift, ones << shift
    yield (ones | 0b111111) << shift, (ones | 0b111111) << shift
    for size in range(1, 6):  # elements of 2 to 32 bits: NOT(imms) starts with zeros
        top = (0b111111 << size + 1) & 0b111111
        yield (ones | 0b111111) << shift, (top | (1 << size) - 1) << shift
    yield (ones | 0b111110) << shift, 0b111110 << shift


def hints() -> Iterator[Instruction]:
    """The named hints."""
    for number, (needs, word) in HINTS.items():
        yield Instruction(0xFFFFFFFF, 0xD503201F | number << 5, needs, word, True)


def system_registers(facts: Record) -> Iterator[Instruction]:
    """MRS and MSR of the registers that come with a feature."""
    for name in facts["!instanceof"]["SysReg"]:
        record = facts[name]
        needs = _needs(record) or _register_set(record["Name"])
        place = (_number(record["Encoding"]) & 0x7FFF) << 5
        if needs and record["Readable"]:
            yield Instruction(0xFFFFFFE0, 0xD5300000 | place, needs, "mrs", False)
        if needs and record["Writeable"]:
            yield Instruction(0xFFFFFFE0, 0xD5100000 | place, needs, "msr", False)


def _register_set(name: str) -> str:
    return next((needs for pattern, needs in REGISTERS if re.match(pattern, name)), "")


def _needs(record: Record) -> str:
    """The set behind a record's feature; nothing where it is not one of ours."""
    features = re.findall(r"Feature(\w+)", record.get("Requires") or "")
    return next((FEATURES[f] for f in features if f in FEATURES), "")


def _number(bits: list[int]) -> int:
    return sum(bit << i for i, bit in enumerate(bits))


def system_operations(facts: Record) -> Iterator[Instruction]:
    """Cache maintenance and address translation that come with a feature."""
    for kind in ("DC", "AT"):
        for name in facts["!instanceof"][kind]:
            needs = _needs(facts[name])
            if needs:
                place = _number(facts[name]["Encoding"]) << 5
                yield Instruction(0xFFFFFFE0, 0xD5080000 | place, needs, kind.lower(), False)
    for op2, (needs, word) in RESTRICTIONS.items():
        yield Instruction(0xFFFFFFE0, 0xD50B7300 | op2 << 5, needs, word, False)
    for op2 in (4, 5):
        yield Instruction(0xFFFFFFE0, 0xD5097200 | op2 << 5, "brbe", "brb", False)
    yield Instruction(0xFFFFFFE0, 0xD50B72E0, "ite", "trcit", False)
    yield Instruction(0xFFF8F000, 0xD508C000, "gcie", "gic", False)
    yield Instruction(0xFFF8F000, 0xD528C000, "gcie", "gic", False)
    yield Instruction(0xFFF8F000, 0xD508A000, "poe2", "plbi", False)
    yield from translation_operations()


def translation_operations() -> Iterator[Instruction]:
    """TLBI: not limited by XS (CRn 9), outer shareable, ranges."""
    yield Instruction(0xFFF8F000, 0xD5089000, "xs", "tlbi", False)
    for crm, needs in ((1, "tlbios"), (2, "tlbirange"), (5, "tlbirange"), (6, "tlbirange")):
        yield Instruction(0xFFF8FF00, 0xD5088000 | crm << 8, needs, "tlbi", False)
    for op2 in (2, 6):
        yield Instruction(0xFFFFFFE0, 0xD50C8000 | op2 << 5, "tlbirange", "tlbi", False)
    for op2, needs in ((0, "tlbios"), (2, "tlbirange"), (3, "tlbirange"), (4, "tlbios"),
                       (6, "tlbirange"), (7, "tlbirange")):  # fmt: skip
        yield Instruction(0xFFFFFFE0, 0xD50C8400 | op2 << 5, needs, "tlbi", False)
    for crm, op2 in ((2, 2), (5, 2), (6, 3)):
        place = crm << 8 | op2 << 5
        yield Instruction(0xFFFFFFE0, 0xD50C8000 | place, "tlbiw", "tlbi", False)


def pstate_fields(facts: Record) -> Iterator[Instruction]:
    """MSR of a process state field from an immediate."""
    fields = facts["!instanceof"]
    for name in fields["PStateImm0_15"]:
        code, needs = _number(facts[name]["Encoding"]), _needs(facts[name])
        if needs:
            place = (code >> 3) << 16 | (code & 7) << 5
            yield Instruction(0xFFFFF0FF, 0xD500401F | place, needs, "msr", False)
    for name in fields["PStateImm0_1"]:
        code, needs = _number(facts[name]["Encoding"]), _needs(facts[name])
        place = (code >> 6) << 9 | (code >> 3 & 7) << 16 | (code & 7) << 5
        yield Instruction(0xFFFFFEFF, 0xD500401F | place, needs or "ebep", "msr", False)
    for code in (1, 2, 3):
        yield Instruction(0xFFFFFEFF, 0xD503407F | code << 9, "sme", "msr", False)


def patterns(
    listed: Iterable[Instruction], classes: dict[tuple[str, str, bool], int]
) -> list[Pattern]:
    """The encodings as patterns, in the order in which they decide."""
    found = set()
    for i in listed:
        group = BAD if i.needs is None else BASE if not i.needs else classes[i.key]
        found.add(Pattern(i.mask, i.value & i.mask, group, i.pattern_rank))
    return by_priority(found)


def main() -> None:
    """Read the JSON, write the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("--source", required=True, help="name and version, for the headers")
    options = parser.parse_args()
    facts = json.loads(options.json.read_text())
    listed = list(instructions(facts))
    classes = number_classes(listed)
    keys = [(high << 21) | (low << 10) for high in range(1 << 11) for low in range(1 << 6)]
    table = build([Part(patterns(listed, classes), keys, ROOT_KEY)])
    write_data("aarch64", options.source, classes, table)


if __name__ == "__main__":
    main()
