"""Encodings of x86-64 that neither iced-x86 nor LLVM lists.

Sources: Intel Architecture Instruction Set Extensions reference (AMX-TF32, AMX-TRANSPOSE, which
binutils 2.47 still knows); Intel APX architecture specification (JMPABS, IMUL with ZU and NF);
Intel SDM (UDB); binutils 2.47 (SM2 of Zhaoxin).
"""

from __future__ import annotations

from collections.abc import Iterator

from tools.isa import x86_forms as forms
from tools.isa.x86_forms import Form, Operands, Use

#: Map, prefix, opcode, mnemonic, sets beside AMX-TRANSPOSE: three tiles, or two where vvvv is none.
_THREE_TILES = (
    (0, 0x48, "ttmmultf32ps", "amx-tf32"), (0, 0x6B, "tconjtcmmimfp16ps", "amx-complex"),
    (2, 0x6B, "ttcmmrlfp16ps", "amx-complex"), (3, 0x6B, "ttcmmimfp16ps", "amx-complex"),
    (2, 0x6C, "ttdpbf16ps", "amx-bf16"), (3, 0x6C, "ttdpfp16ps", "amx-fp16"),
)  # fmt: skip
_TWO_TILES = ((1, 0x6B, "tconjtfp16", "amx-complex"), (2, 0x5F, "ttransposed", ""))
_LOADS = (
    (2, 0, 0x6E, "t2rpntlvwz0"), (2, 0, 0x6F, "t2rpntlvwz0t1"), (2, 1, 0x6E, "t2rpntlvwz1"),
    (2, 1, 0x6F, "t2rpntlvwz1t1"), (5, 0, 0xF8, "t2rpntlvwz0rs"), (5, 0, 0xF9, "t2rpntlvwz0rst1"),
    (5, 1, 0xF8, "t2rpntlvwz1rs"), (5, 1, 0xF9, "t2rpntlvwz1rst1"),
)  # fmt: skip
_RANK = -500


def read() -> Iterator[Form]:
    """Return them all; any other source that knows one of them decides."""
    yield _tiles(1, 0x48, "tmmultf32ps", "amx-tf32", has_vvvv=True)
    for prefix, opcode, mnemonic, needs in _THREE_TILES:
        yield _tiles(prefix, opcode, mnemonic, f"{needs}+amx-transpose", has_vvvv=True)
    for prefix, opcode, mnemonic, needs in _TWO_TILES:
        yield _tiles(prefix, opcode, mnemonic, f"{needs}+amx-transpose".strip("+"), has_vvvv=False)
    for map_, prefix, opcode, mnemonic in _LOADS:
        needs = "amx-movrs+amx-transpose" if map_ == 5 else "amx-transpose"
        yield Form(
            "vex", map_, opcode, frozenset((prefix,)), forms.IS_REGISTER | forms.RM, 4,
            Operands(True, 0, no_vvvv=True), needs, mnemonic, False, Use.LOAD,
            frozenset((0,)), frozenset((0,)), _RANK,
        )  # fmt: skip
    yield from _multiplications()
    yield Form(
        "rex2", 0, 0xA1, frozenset((0,)), forms.W, 0, Operands(False, 8), "apx-f", "jmpabs", False,
        Use.JUMP_ABSOLUTE,
    )  # fmt: skip
    yield Form(
        "legacy", 0, 0xD6, frozenset(range(4)), 0, 0, Operands(False, 0), "", "udb", False, Use.END,
        rank=_RANK,
    )  # fmt: skip
    yield Form(
        "legacy", 1, 0xA6, frozenset((3,)), 0x7F, forms.IS_REGISTER, Operands(True, 0),
        "padlock-gmi", "sm2", False, Use.PLAIN, rank=99,
    )  # fmt: skip


def _tiles(prefix: int, opcode: int, mnemonic: str, needs: str, has_vvvv: bool) -> Form:
    return Form(
        "vex", 2, opcode, frozenset((prefix,)), forms.IS_REGISTER, forms.IS_REGISTER,
        Operands(True, 0, no_vvvv=not has_vvvv), needs, mnemonic, False, Use.PLAIN,
        frozenset((0,)), frozenset((0,)), _RANK,
    )  # fmt: skip


def _multiplications() -> Iterator[Form]:
    both = forms.B | forms.NF
    for opcode, prefix in ((0x69, 0), (0x69, 1), (0x6B, 0), (0x6B, 1)):
        size = 1 if opcode == 0x6B else (4, 2)[prefix]
        yield Form(
            "evex", 4, opcode, frozenset((prefix,)), both, both, Operands(True, size, no_vvvv=True),
            "apx-f", "imulzu", False, Use.LOAD, frozenset((0,) if prefix else (0, 1)),
            frozenset((0,)), _RANK,
        )  # fmt: skip
