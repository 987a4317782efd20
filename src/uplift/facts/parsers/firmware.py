"""EFI, Secure Boot, TPM and the microcode that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers import cpuinfo
from uplift.facts.parsers.sysfs import SysTree

EFI = "list:/sys/firmware/efi"
FIRMWARE = "list:/sys/firmware"
VARIABLES = "file:/sys/firmware/efi/efivars/"
BOOT_MANAGER = "cmd:efibootmgr/text"
MOKUTIL = "cmd:mokutil/sb-state"
TPM = "tree:/sys/class/tpm"
CPU_TREE = "tree:/sys/devices/system/cpu"

#: A variable is four bytes of attributes and its value, one byte for these.
_VARIABLES = {"SecureBoot": "firmware.secure_boot", "SetupMode": "firmware.setup_mode"}


def _efi(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """A list of what EFI offers proves it; a list of the firmwares without it disproves it."""
    if EFI in captures:
        yield Reading(EFI, {"firmware.efi": True})
    elif FIRMWARE in captures:
        yield Reading(FIRMWARE, {"firmware.efi": "efi" in captures[FIRMWARE].text.split()})
    elif BOOT_MANAGER in captures:
        text = captures[BOOT_MANAGER].text
        if "BootOrder" in text or "BootCurrent" in text or "not supported" in text:
            yield Reading(BOOT_MANAGER, {"firmware.efi": "not supported" not in text})


def _secure_boot(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    found = False
    for name, capture in captures.items():
        if not name.startswith(VARIABLES):
            continue
        fact = _VARIABLES.get(name[len(VARIABLES) :].partition("-")[0])
        if fact:
            yield Reading(name, {fact: _flag(capture)})
            found = found or fact == "firmware.secure_boot"
    if not found and MOKUTIL in captures:
        said = re.search(r"SecureBoot (enabled|disabled)", captures[MOKUTIL].text)
        if said:
            yield Reading(MOKUTIL, {"firmware.secure_boot": said[1] == "enabled"})


def _flag(capture: Capture) -> bool:
    if len(capture.data) != 5 or capture.data[4] > 1:
        raise ValueError(f"{capture.id} is not four bytes of attributes and a 0 or 1")
    return capture.data[4] == 1


def _tpm(tree: SysTree) -> dict[str, Value]:
    chips = tree.numbered("tpm")
    if not chips:
        return {"firmware.tpm": ""}
    major = tree.text(f"tpm{chips[0]}/tpm_version_major")
    return {"firmware.tpm": {"1": "1.2", "2": "2.0"}.get(major or "", "unknown version")}


def _microcode(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read the lowest revision that any CPU runs; sysfs may be recorded for few CPUs only."""
    if cpuinfo.CAPTURE in captures:
        version = cpuinfo.microcode(captures[cpuinfo.CAPTURE].text)
        if version is not None:
            yield Reading(cpuinfo.CAPTURE, {"firmware.microcode": version})
            return
    if CPU_TREE in captures:
        tree = SysTree.of(captures[CPU_TREE])
        paths = (f"cpu{cpu}/microcode/version" for cpu in tree.numbered("cpu"))
        versions = [int(text, 16) for path in paths if (text := tree.text(path))]
        if versions:
            yield Reading(CPU_TREE, {"firmware.microcode": min(versions)})


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    yield from _efi(captures)
    yield from _secure_boot(captures)
    if TPM in captures:
        yield Reading(TPM, _tpm(SysTree.of(captures[TPM])))
    yield from _microcode(captures)


PARSER = Parser(
    name="firmware",
    declares=(
        "firmware.efi",
        "firmware.secure_boot",
        "firmware.setup_mode",
        "firmware.tpm",
        "firmware.microcode",
    ),
    reads=(EFI, FIRMWARE, VARIABLES + "*", BOOT_MANAGER, MOKUTIL, TPM, CPU_TREE, cpuinfo.CAPTURE),
    parse=_parse,
)
