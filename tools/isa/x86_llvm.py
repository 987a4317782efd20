"""Encodings of x86-64 as LLVM's TableGen records describe them.

``llvm-tblgen --dump-json -I llvm/include -I llvm/lib/Target/X86 X86.td`` writes the records.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.isa import x86_forms as forms
from tools.isa import x86_sets
from tools.isa.x86_forms import Form, Operands, Use

_MAPS = {
    "OB": 0, "TB": 1, "T8": 2, "TA": 3, "T_MAP4": 4, "T_MAP5": 5, "T_MAP6": 6, "T_MAP7": 7,
    "XOP8": 0, "XOP9": 1, "XOPA": 2, "ThreeDNow": 0,
}  # fmt: skip
_KINDS = {"EncNormal": "legacy", "EncVEX": "vex", "EncXOP": "xop", "EncEVEX": "evex"}
_PREFIXES = {"PS": 0, "PD": 1, "XS": 2, "XD": 3}
_IMMEDIATES = {
    "Imm8": 1, "Imm8PCRel": 1, "Imm8Reg": 1, "Imm16": 2, "Imm32": 4, "Imm32S": 4,
    "Imm32PCRel": 4, "Imm64": 8, "Imm16PCRel": 2,
}  # fmt: skip
#: Sets that the records lack: of MSRs named by an immediate.
_SETS = {"wrmsrns": "msr-imm", "rdmsr": "msr-imm"}
_SKIPPED = {"Pseudo", "PrefixByte"}


@dataclass(frozen=True)
class _Record:
    """One record's encoding, and the roles that its set is taken from others for."""

    form: Form
    no_flags: bool  #: APX's NF
    rounds: bool  #: EVEX b with a register: its length says how to round

    @property
    def name(self) -> tuple[Any, ...]:
        """What it shares with the records that differ in these roles."""
        f = self.form
        return (f.kind, f.map, f.opcode, f.prefixes, f.widths, f.mnemonic)


def read(path: Path) -> Iterator[Form]:
    """Return every encoding of 64-bit mode beyond the first legacy map."""
    known = [made for record in _records(path) for made in _forms(record)]
    sets = {r.name: r.form.needs for r in known if not (r.no_flags or r.rounds)}
    known = [replace(r, form=replace(r.form, needs=sets.get(r.name, r.form.needs)))
             if r.no_flags else r for r in known]  # fmt: skip
    rounding = {r.name for r in known if r.rounds}
    plain = [r for r in known if not r.rounds]
    wide = {r.name for r in plain if 2 in r.form.lengths}
    yield from _merged(
        made for r in plain for made in _with_rounding(r.form, r.name in rounding, r.name in wide)
    )


def _with_rounding(form: Form, rounds: bool, is_vector: bool) -> Iterator[Form]:
    """The decoder looks an instruction that rounds up as one of 512 bits."""
    able = replace(form, operands=replace(form.operands, rounding=True))
    if not rounds:
        yield form
    elif 2 in form.lengths:
        yield able
    else:
        yield form
        if not is_vector:
            yield replace(able, lengths=frozenset((2,))).within(forms.B, forms.B)


def _merged(listed: Iterable[Form]) -> Iterator[Form]:
    """Join the encodings that differ in what EVEX bits mean, or in register and memory."""
    seen: dict[Form, list[bool]] = defaultdict(lambda: [False, False])
    variants: dict[Form, Operands] = {}
    for form in listed:
        key = _without_flags(form)
        sides = (False, True)
        if form.mask & forms.IS_REGISTER:
            sides = (bool(form.value & forms.IS_REGISTER),)
        for side in sides:
            seen[key][side] = True
        before = variants.get(key)
        variants[key] = _union(before, form.operands) if before else form.operands
    for key, (memory, register) in seen.items():
        one = replace(key, operands=variants[key], use=_use(key, memory))
        if memory and register:
            yield one
        else:
            yield one.within(forms.IS_REGISTER, forms.IS_REGISTER * register)


def _use(form: Form, memory: bool) -> Use:
    return Use.LOAD if memory and form.operands.modrm else Use.PLAIN


def _without_flags(form: Form) -> Form:
    o, anything = form.operands, ~forms.IS_REGISTER
    plain = Operands(o.modrm, o.immediate, no_vvvv=o.no_vvvv)
    return replace(form, operands=plain, mask=form.mask & anything, value=form.value & anything)


def _union(a: Operands, b: Operands) -> Operands:
    return replace(
        a, broadcast=a.broadcast or b.broadcast, rounding=a.rounding or b.rounding,
        masked=a.masked or b.masked, zeroed=a.zeroed or b.zeroed,
    )  # fmt: skip


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    table = json.loads(path.read_bytes())
    for name in table["!instanceof"]["X86Inst"]:
        record = table[name]
        form = _name(record["Form"])
        shown = not record["isCodeGenOnly"] or record["ForceDisassemble"]
        if shown and form not in _SKIPPED and not record["isPseudo"]:
            predicates = [_name(p) for p in record["Predicates"]]
            if "Not64BitMode" not in predicates and "In32BitMode" not in predicates:
                yield record


def _name(value: Any) -> str:
    return str(value["def"]) if isinstance(value, dict) else ""


def _forms(record: Mapping[str, Any]) -> Iterator[_Record]:
    kind, form = _KINDS[_name(record["OpEnc"])], _name(record["Form"])
    map_ = _name(record["OpMap"])
    if kind == "legacy" and map_ not in ("TB", "T8", "TA"):
        return
    opcode = sum(bit << n for n, bit in enumerate(record["Opcode"]) if isinstance(bit, int))
    is_apx, rounds = map_ == "T_MAP4", _rounds(record, form)
    promoted = kind == "evex" and (is_apx or _is_promoted(record))
    mnemonic = _mnemonic(record["AsmString"])
    mask, value = _pattern(form, record, promoted)
    needs = x86_sets.from_llvm(_name(p) for p in record["Predicates"])
    if promoted:
        needs = "+".join(sorted({"apx-f", *filter(None, needs.split("+"))}))
    if mnemonic in _SETS:
        needs = _SETS[mnemonic] + ("+apx-f" if promoted else "")
    if kind == "legacy" and not needs:
        return
    if kind == "legacy" and record["hasREX_W"]:
        mask, value = mask | forms.W, value | forms.W
    benign = kind == "legacy" and x86_sets.harmless(mnemonic)
    width = frozenset((0, 1)) if record["IgnoresW"] else frozenset((int(record["hasREX_W"]),))
    for step in range(_opcodes(form)):
        made = Form(
            kind, _MAPS[map_], opcode + step, _prefixes(record, kind), mask, value,
            _operands(record, form, promoted), needs, mnemonic, benign, Use.PLAIN, width,
            _lengths(record), rank=-200 + bin(mask).count("1"),
        )  # fmt: skip
        yield _Record(made, bool(record["hasEVEX_NF"]), rounds and not is_apx)


def _prefixes(record: Mapping[str, Any], kind: str) -> frozenset[int]:
    prefix, size = _name(record["OpPrefix"]), _name(record["OpSize"])
    if kind != "legacy" or prefix != "NoPrfx":
        return frozenset((_PREFIXES.get(prefix, 0),))
    return frozenset((1,)) if size == "OpSize16" else frozenset((0, 1, 2, 3))


def _rounds(record: Mapping[str, Any], form: str) -> bool:
    return bool(record["hasEVEX_B"] and re.search("Reg|r$", form))


def _is_promoted(record: Mapping[str, Any]) -> bool:
    """Whether a VEX instruction of general, mask or tile registers got an EVEX encoding."""
    return bool(record["hasEVEX_NF"]) or any(_name(p) == "HasEGPR" for p in record["Predicates"])


def _mnemonic(text: str) -> str:
    word = re.split(r"[\s]", text, maxsplit=1)[0]
    word = re.sub(r"\$\{cond\}|\$cond", "cc", word)
    return re.sub(r"\{[^}]*\}", "", word).lower()


def _opcodes(form: str) -> int:
    return 16 if form.endswith("CC") or form == "AddCCFrm" else 8 if form == "AddRegFrm" else 1


def _lengths(record: Mapping[str, Any]) -> frozenset[int]:
    if record["ignoresVEX_L"]:
        return frozenset(range(4))
    return frozenset((2 if record["hasEVEX_L2"] else int(record["hasVEX_L"]),))


def _pattern(form: str, record: Mapping[str, Any], promoted: bool) -> tuple[int, int]:
    """Return what ModRM and, of instructions that APX brought, the bits ND and NF must be."""
    mask = value = 0
    if promoted and not record["hasTwoConditionalOps"]:
        mask = forms.B | forms.NF
        value = forms.B * record["hasEVEX_B"] | forms.NF * record["hasEVEX_NF"]
    if fixed := re.fullmatch(r"MRM_([0-9A-F]{2})", form):
        low = int(fixed[1], 16)
        return mask | 0x7F, value | low & 0x3F | forms.IS_REGISTER
    if group := re.fullmatch(r"MRM([0-7])([mrX])", form):
        mask, value = mask | forms.REG, value | int(group[1]) << 3
    if form == "MRMr0":
        return mask | forms.RM | forms.IS_REGISTER, value | forms.IS_REGISTER
    if re.fullmatch(r"MRM([0-7X]r|[0-7]X|XrCC|(Src|Dest)Reg.*)", form):
        mask, value = mask | forms.IS_REGISTER, value | forms.IS_REGISTER
    elif form.startswith("MRM"):
        mask |= forms.IS_REGISTER
    if form.endswith("FSIB"):
        mask, value = mask | forms.RM, value | 4
    return mask, value


def _operands(record: Mapping[str, Any], form: str, promoted: bool) -> Operands:
    has_vvvv = record["hasVEX_4V"] or record["hasTwoConditionalOps"] or "4VOp3" in form
    is_evex = _name(record["OpEnc"]) == "EncEVEX"
    return Operands(
        form.startswith("MRM"),
        _IMMEDIATES.get(_name(record["ImmT"]), 0),
        no_vvvv=not has_vvvv and _name(record["OpEnc"]) != "EncNormal",
        broadcast=is_evex and bool(record["hasEVEX_B"]) and not _rounds(record, form),
        masked=bool(record["hasEVEX_K"]) or promoted,
        zeroed=bool(record["hasEVEX_Z"]),
    )
