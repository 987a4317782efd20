"""KVM as the kernel offers it: whether a machine can be created, what CPUID it supports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value
from uplift.facts.parsers.cpuid_notation import REGISTERS, read_text
from uplift.facts.parsers.sysfs import SysTree

CAPTURE = "probe:kvm"
_MODULE = "tree:/sys/module/"
_MAX_TEXT = 24 << 20

_CREATED = re.compile(r"^create-vm (ok|errno (\w+))", re.MULTILINE)
_OPENED = re.compile(r"^(?:open|device) (ok|errno (\w+)|absent|denied)", re.MULTILINE)
_API = re.compile(r"^api (\d{1,9})", re.MULTILINE)
_CAPABILITY = re.compile(r"^cap (KVM_CAP_\w+) (-?\d{1,9})", re.MULTILINE)
_LEAF_0 = re.compile(r"^[ \t]*0x0{8}", re.MULTILINE)
_ACCESS = re.compile(r"^/dev/kvm (?:.* )?(\S+)$", re.MULTILINE)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    text = captures[CAPTURE].text
    if len(text) > _MAX_TEXT:
        raise ValueError(f"it is longer than {_MAX_TEXT} bytes")
    values = dict(_state(text))
    if not values:
        raise ValueError("line 1: neither 'api', 'open' nor 'create-vm' is told")
    supported, _, emulated = text.partition("emulated:")
    values.update(_registers("kvm.cpuid.", supported))
    values.update(_registers("kvm.emulated.", emulated))
    yield Reading(CAPTURE, values)


def _state(text: str) -> Iterator[tuple[str, Value]]:
    api, opened, created = (found.search(text) for found in (_API, _OPENED, _CREATED))
    if api:
        yield "kvm.api", int(api[1])
    if created:
        yield "kvm.available", created[1] == "ok"
        if created[2]:
            yield "kvm.create_error", created[2]
    if opened and opened[1] != "ok":
        yield "kvm.available", False
    for found in _CAPABILITY.finditer(text):
        yield f"kvm.capability.{found[1]}", int(found[2])


def _registers(prefix: str, text: str) -> Iterator[tuple[str, Value]]:
    if not _LEAF_0.search(text):
        return
    for (leaf, subleaf), registers in read_text(text, "cpuid-r")[0].leaves.items():
        for name, value in zip(REGISTERS, registers, strict=True):
            yield f"{prefix}{leaf:x}.{subleaf:x}.{name}", value


def _implied(name: str, values: Mapping[str, Value]) -> Value | None:
    """A leaf that KVM does not list is not offered: a guest reads zero there."""
    for prefix in ("kvm.cpuid.", "kvm.emulated."):
        if name.startswith(prefix) and name.endswith(REGISTERS):
            return 0 if f"{prefix}0.0.eax" in values else None
    return None


def _device(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Say whether /dev/kvm is there and may be opened, also where the probe was refused."""
    for name, capture in captures.items():
        if name == "probe:dev-access":
            found = _ACCESS.search(capture.text)
            state = "absent" if not found else "ok" if found[1] == "rw" else "denied"
        elif name == CAPTURE:
            state = "ok" if _API.search(capture.text) or _CREATED.search(capture.text) else "failed"
        else:
            continue
        yield Reading(name, {"kvm.device": state})
        return


def _parameters(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for name, capture in captures.items():
        module = name[len(_MODULE) :]
        tree = SysTree.of(capture)
        prefix = "kvm.parameter." if module.startswith("kvm") else "kernel.module."
        values: dict[str, Value] = {}
        for parameter in tree.names("parameters"):
            text = tree.text(f"parameters/{parameter}")
            if text is not None:
                values[f"{prefix}{module}.{parameter}"] = text
        yield Reading(name, values)


_RUN_CAPTURE = "probe:kvm-run"
_HALTED = 5  #: KVM_EXIT_HLT, include/uapi/linux/kvm.h of Linux
_RUN = re.compile(r"run (?:exit (\d+)|errno (\w+))")


def _run(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Yield ``kvm.runs``, whether a guest ran its one instruction, and ``kvm.run_failed``.

    Where nobody tried, no run failed, and whether one would is not known.
    """
    if _RUN_CAPTURE not in captures:
        yield Reading(CAPTURE, {"kvm.run_failed": False})
        return
    found = _RUN.match(captures[_RUN_CAPTURE].text)
    if not found:
        raise ValueError("line 1: neither 'run exit' nor 'run errno'")
    runs = found[1] == str(_HALTED)
    yield Reading(_RUN_CAPTURE, {"kvm.runs": runs, "kvm.run_failed": not runs})


PARSERS = (
    Parser(
        name="kvm",
        declares=(
            *("kvm.cpuid.", "kvm.emulated.", "kvm.capability."),
            *("kvm.api", "kvm.available", "kvm.create_error"),
        ),
        reads=(CAPTURE,),
        parse=_parse,
        implied=_implied,
    ),
    Parser(
        name="kvm run",
        declares=("kvm.runs", "kvm.run_failed"),
        reads=(_RUN_CAPTURE, CAPTURE),
        parse=_run,
    ),
    Parser(
        name="kvm device",
        declares=("kvm.device",),
        reads=("probe:dev-access", CAPTURE),
        parse=_device,
    ),
    Parser(
        name="module parameters",
        declares=("kernel.module.", "kvm.parameter."),
        reads=(f"{_MODULE}*",),
        parse=_parameters,
    ),
)
