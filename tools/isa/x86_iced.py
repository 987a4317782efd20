"""Encodings of x86-64 as iced-x86 describes them (PyPI, MIT; only this generator needs it)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import iced_x86 as iced

from tools.isa import x86_forms as forms
from tools.isa import x86_sets
from tools.isa.x86_forms import Form, Operands, Use


def _names(enum: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enum).items() if isinstance(number, int)}


_FEATURES, _MNEMONICS = _names(iced.CpuidFeature), _names(iced.Mnemonic)
_OPERANDS, _FLOWS = _names(iced.OpCodeOperandKind), _names(iced.FlowControl)
_KINDS = {0: "legacy", 1: "vex", 2: "evex", 3: "xop", 4: "3dnow"}
_MAPS = {0: 0, 1: 1, 2: 2, 3: 3, 4: 5, 5: 6, 6: 0, 7: 1, 8: 2}
_IMMEDIATES = {
    "IMM4_M2Z": 0, "IMM8": 1, "IMM8SEX16": 1, "IMM8SEX32": 1, "IMM8SEX64": 1, "IMM16": 2,
    "IMM32": 4, "IMM32SEX64": 4, "IMM64": 8, "BR64_1": 1, "BR64_4": 4, "XBEGIN_2": 2,
    "XBEGIN_4": 4, "MEM_OFFS": 8, "XMM_IS4": 1, "YMM_IS4": 1, "XMM_IS5": 1, "YMM_IS5": 1,
}  # fmt: skip
_OPTIONS = frozenset((0, int(iced.DecoderOptions.MPX), int(iced.DecoderOptions.FORCE_RESERVED_NOP)))
_LAHF = {"LAHF", "SAHF"}
_ENDS = {"HLT", "INT3", "INT1", "UD0", "UD1", "UD2", "IRETD", "IRETQ", "IRETW"}
_INFO = iced.InstructionInfoFactory()
_WRITES = {iced.OpAccess.WRITE, iced.OpAccess.COND_WRITE, iced.OpAccess.READ_WRITE,
           iced.OpAccess.READ_COND_WRITE}  # fmt: skip
_READS = {iced.OpAccess.READ, iced.OpAccess.COND_READ}


def read() -> Iterator[Form]:
    """Return every encoding of 64-bit mode; KNC's and other makers' dead ends are left out."""
    for code, name in _names(iced.Code).items():
        info = iced.OpCodeInfo(code)
        wanted = info.mode64 and (info.intel_decoder64 or info.amd_decoder64)
        if not (wanted and info.is_instruction and info.encoding in _KINDS):
            continue
        if info.decoder_option in _OPTIONS and "XGATHER" not in name:
            yield from _forms(code, info)


def _forms(code: int, info: Any) -> Iterator[Form]:
    operands = [_OPERANDS[kind] for kind in info.op_kinds()]
    if any(o in ("BR16_2", "BR16_1", "BR32_4", "FARBR2_2") for o in operands):
        return
    instruction = iced.Instruction()
    instruction.code = code
    mnemonic = _MNEMONICS[info.mnemonic].lower()
    needs = x86_sets.from_iced(_FEATURES[f] for f in instruction.cpuid_features())
    needs = "lahf" if mnemonic.upper() in _LAHF else needs
    opcode, mask, value = info.op_code, 0, 0
    if info.op_code_len == 2:
        opcode, low = info.op_code >> 8, info.op_code & 0xFF
        if info.encoding != iced.EncodingKind.D3NOW:
            mask, value = 0x7F, low & 0x3F | (low >= 0xC0) << 6
    if info.is_group:
        mask, value = mask | forms.REG, value | info.group_index << 3
    if info.is_rm_group:
        mask, value = mask | forms.RM, value | info.rm_group_index
    mask, value = _register_or_memory(operands, mask, value)
    if info.operand_size == 64 and not (info.default_op_size64 or info.force_op_size64):
        mask, value = mask | forms.W, value | forms.W
    form = Form(
        _KINDS[info.encoding], 0 if info.encoding == 4 else _MAPS[info.table], opcode,
        _prefixes(info), mask, value, _shape(info, operands, mask), needs, mnemonic,
        info.encoding == 0 and x86_sets.harmless(mnemonic), _use(instruction, info, operands),
        frozenset((0, 1)) if info.is_wig else frozenset((info.w,)),
        frozenset(range(4)) if info.is_lig else frozenset((info.l,)),
        rank=_rank(info, mask),
    )  # fmt: skip
    for low in range(8 if any(o.endswith("_OPCODE") for o in operands) else 1):
        if _in_modrm(info, operands):
            yield form.within(forms.RM, low)
        else:
            yield replace(form, opcode=opcode + low)


def _in_modrm(info: Any, operands: list[str]) -> bool:
    """x87 names a stack register in what would be ModRM."""
    return "STI_OPCODE" in operands


def _rank(info: Any, mask: int) -> int:
    rank = bin(mask).count("1") + 16 * (info.mandatory_prefix > 1)
    return rank - 1000 * bool(info.is_reserved_nop)


def _prefixes(info: Any) -> frozenset[int]:
    if info.encoding or info.mandatory_prefix:
        return frozenset((max(info.mandatory_prefix - 1, 0),))
    if info.operand_size == 16:
        return frozenset((1,))
    if info.force_op_size64 or info.intel_force_op_size64:
        return frozenset((0, 1, 2, 3))
    if info.operand_size and not info.table:
        return frozenset((0, 2, 3))
    return frozenset((0, 1, 2, 3))


def _register_or_memory(operands: list[str], mask: int, value: int) -> tuple[int, int]:
    if any((o.startswith("MEM") and o != "MEM_OFFS") or o == "SIBMEM" for o in operands):
        mask |= forms.IS_REGISTER
        if "SIBMEM" in operands:
            mask, value = mask | forms.RM, value | 4
    elif any(o.endswith("_RM") for o in operands) and not any(
        o in ("CR_REG", "DR_REG", "TR_REG") for o in operands
    ):
        mask, value = mask | forms.IS_REGISTER, value | forms.IS_REGISTER
    return mask, value


def _shape(info: Any, operands: list[str], mask: int) -> Operands:
    if info.ignores_mod_bits:
        return Operands(False, 1)  # MOV of control and debug registers: ModRM names two registers
    has_modrm = bool(mask & 0x7F) or any(
        o.endswith(("_REG", "_RM", "_OR_MEM", "_MEM", "_MPX", "STI_OPCODE", "KP1_REG"))
        or (o.startswith("MEM") and o != "MEM_OFFS") for o in operands
    )  # fmt: skip
    has_modrm = has_modrm or "reservednop" in _MNEMONICS[info.mnemonic].lower()
    size = sum(_IMMEDIATES.get(o, 0) for o in operands)
    return Operands(
        has_modrm,
        4 if "IMM64" in operands else size,
        wide_immediate=_is_wide_move(info),
        no_vvvv=info.encoding in (1, 2, 3) and not any("VVVV" in o for o in operands),
        broadcast=info.can_broadcast,
        rounding=info.can_use_rounding_control or info.can_suppress_all_exceptions,
        masked=info.can_use_op_mask_register and not info.require_op_mask_register,
        zeroed=info.can_use_zeroing_masking or info.require_op_mask_register,
    )


def _is_wide_move(info: Any) -> bool:
    return info.op_code == 0xB8 and not info.table and not info.encoding and info.operand_size > 16


_FLOW_USES = {
    "CALL": Use.CALL, "UNCONDITIONAL_BRANCH": Use.JUMP, "CONDITIONAL_BRANCH": Use.BRANCH,
    "XBEGIN_XABORT_XEND": Use.PLAIN, "RETURN": Use.END, "INDIRECT_BRANCH": Use.JUMP_AT,
    "INDIRECT_CALL": Use.CALL_AT,
}  # fmt: skip


def _use(instruction: Any, info: Any, operands: list[str]) -> Use:
    name = _MNEMONICS[info.mnemonic]
    if name in ("CPUID", "XGETBV"):
        return Use.IDENTITY
    if name in _ENDS:
        return Use.END
    if name == "LEA":
        return Use.ADDRESS
    if name == "XBEGIN":
        return Use.BRANCH
    flow = _FLOW_USES.get(_FLOWS[instruction.flow_control], Use.PLAIN)
    if name in ("CALL", "JMP", "SYSCALL") or flow in (Use.BRANCH, Use.END):
        return Use.PLAIN if name == "SYSCALL" else flow
    return _memory_use(instruction, name, operands)


def _memory_use(instruction: Any, name: str, operands: list[str]) -> Use:
    access = _INFO.info(instruction)
    for n, operand in enumerate(operands):
        if "MEM" not in operand or operand in ("MEM_OFFS", "R32_REG_MEM", "R64_REG_MEM"):
            continue
        how = access.op_access(n)
        if name in ("CMP", "TEST", "BT") and operands[-1].startswith("IMM"):
            return Use.TEST
        if how in _WRITES:
            return Use.STORE
        if how in _READS:
            return Use.LOAD
    return Use.PLAIN
