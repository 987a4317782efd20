"""The first lines of a report: what machine this is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from uplift.facts.model import Facts, Snapshot


def headline(facts: Facts) -> Mapping[str, str]:
    """Return what is known of the machine, in reading order; what is unknown is left out."""
    lines: dict[str, str] = {}
    for name, say in _LINES.items():
        text = say(facts)
        if text:
            lines[name] = text
    return lines


def _platform(facts: Facts) -> str:
    hypervisor = facts.value("platform.hypervisor") or facts.value("cpuid.hypervisor")
    if hypervisor:
        return f"guest of {hypervisor}"
    if facts.value("platform.guest") is True:
        return "guest"
    if facts.value("platform.guest") is False:
        vendor = _text(facts, "firmware.dmi.sys_vendor")
        product = _text(facts, "firmware.dmi.product_name")
        return " ".join(word for word in ("bare metal", vendor, product) if word)
    return ""


def _processors(facts: Facts) -> str:
    cpus = facts.value("topology.cpus")
    if not cpus:
        return ""
    parts = [f"{cpus} CPUs"]
    for name, unit in (("sockets", "socket"), ("numa_nodes", "NUMA node")):
        count = facts.value(f"topology.{name}")
        if isinstance(count, int) and count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return ", ".join(parts)


def _software(facts: Facts) -> str:
    named = (
        ("Linux", "kernel.release"),
        ("glibc", "libc.version"),
        ("gcc", "compiler.gcc.version"),
        ("clang", "compiler.clang.version"),
        ("QEMU", "qemu.version"),
        ("OpenSSL", "library.openssl.version"),
    )
    return ", ".join(f"{label} {_text(facts, fact)}" for label, fact in named if _text(facts, fact))


def _text(facts: Facts, name: str) -> str:
    value = facts.value(name)
    return str(value).strip() if value not in (None, "", False) else ""


def _recorded(facts: Facts) -> str:
    snapshot: Snapshot = facts.snapshot
    words = [snapshot.origin, snapshot.collected_at]
    if not snapshot.complete:
        words.append("incomplete: the recording ends early")
    return ", ".join(word for word in words if word)


_LINES: Mapping[str, Callable[[Facts], str]] = {
    "model": lambda facts: _text(facts, "cpuid.brand") or _text(facts, "cpuinfo.model_name"),
    "platform": _platform,
    "processors": _processors,
    "software": _software,
    "recorded": _recorded,
}
