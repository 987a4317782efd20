"""Read an emulated arm64 core's ID registers from QEMU itself, masked by no kernel.

QEMU's GDB stub tells system registers by name (the feature org.qemu.gdb.arm.sys.regs). It reads its
packets from standard input one after the other, so that they can all be sent at once. Registers
that QEMU computes when they are read (ID_AA64PFR0_EL1) are not among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from uplift.errors import TargetError
from uplift.facts.model import Capture, CaptureStatus
from uplift.lab import process

RAW = "probe:arm64-raw-registers"
_PROGRAM = "qemu-system-aarch64"
_FILE = "system-registers.xml"
_STEP = 0x7F0  #: QEMU sends at most half a packet of 0x1000 at once (gdbstub.c, MAX_PACKET_LENGTH)
_PARTS = 64
_MAX_OUTPUT = 4 << 20
_SECONDS = 30
_REGISTER = re.compile(r'<reg name="((?:ID_AA64\w+|MIDR)_EL1)" bitsize="\d+" regnum="(\d{1,5})"')
_PACKET = re.compile(rb"\$([^#]*)#[0-9a-fA-F]{2}")
_VALUE = re.compile(rb"(?:[0-9a-f]{2}){4,8}")


def raw_registers(cpu_model: str, machine: str = "virt") -> Capture:
    """Return ``probe:arm64-raw-registers`` of a CPU model: lines ``NAME 0x…``.

    :param cpu_model: as QEMU's ``-cpu``.
    :raises TargetError: QEMU is not installed, knows no such model, or tells no registers.
    """
    argv = _command(cpu_model, machine)
    parts = (f"qXfer:features:read:{_FILE}:{part * _STEP:x},{_STEP:x}" for part in range(_PARTS))
    found = _REGISTER.findall(_joined(_asked(argv, list(parts), cpu_model)))
    if not found:
        raise _refused(cpu_model, "its GDB stub tells no system registers")
    numbers = ["qXfer:features:read:target.xml:0,ff", *(f"p{int(n):x}" for _, n in found)]
    values = _asked(argv, numbers, cpu_model)[1:]
    lines = [
        f"{name} {int.from_bytes(bytes.fromhex(value.decode()), 'little'):#x}"
        for (name, _), value in zip(found, values, strict=False)
        if _VALUE.fullmatch(value)
    ]
    text = "".join(f"{line}\n" for line in lines).encode()
    return Capture(RAW, CaptureStatus.OK, text, how=f"{' '.join(argv)}, over its GDB stub")


def _command(cpu_model: str, machine: str) -> list[str]:
    return [
        *(_PROGRAM, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", machine, "-cpu", cpu_model, "-S", "-gdb", "stdio"),
    ]


def _asked(argv: Sequence[str], packets: Sequence[str], cpu_model: str) -> list[bytes]:
    """Send every packet at once, then ``k``; return the answers in order."""
    sent = ("qSupported:xmlRegisters=i386", *packets, "k")
    stdin = b"".join(b"+" + _packet(text) for text in sent)
    try:
        ended = process.run(argv, stdin=stdin, timeout=_SECONDS, max_stdout=_MAX_OUTPUT)
    except OSError as error:
        raise TargetError(
            "cannot read an emulated core", f"{_PROGRAM}: {error}", "install qemu-system-arm"
        ) from error
    answers = _PACKET.findall(ended.stdout)[1:]
    if not answers:
        raise _refused(cpu_model, ended.complaint or "it gave no answer")
    return answers


def _packet(text: str) -> bytes:
    data = text.encode()
    return b"$" + data + b"#%02x" % (sum(data) % 256)


def _joined(answers: Sequence[bytes]) -> str:
    """Put the parts of a file together, as far as the one that is marked as the last."""
    return b"".join(_parts(answers)).decode("utf-8", "replace")


def _parts(answers: Sequence[bytes]) -> Iterator[bytes]:
    for answer in answers:
        if answer[:1] not in (b"m", b"l"):
            return
        yield re.sub(rb"\}(.)", lambda match: bytes([match[1][0] ^ 0x20]), answer[1:])
        if answer[:1] == b"l":
            return


def _refused(cpu_model: str, why: str) -> TargetError:
    return TargetError(
        f"cannot read the registers of {cpu_model!r}",
        why,
        f"choose a model that `{_PROGRAM} -machine virt -cpu help` lists",
    )
