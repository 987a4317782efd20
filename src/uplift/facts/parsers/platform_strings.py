"""What macOS's ``sysctl`` says of the processor: its kernel has no /proc and shows no CPUID."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

CAPTURE = "cmd:sysctl/machdep.cpu"
_MAX_LINES = 4096
_NUMBERS = ("family", "model", "stepping")
_FLAGS = ("features", "leaf7_features", "extfeatures")
_INTEL_FAMILY = 6


def parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    """Read the ``machdep.cpu`` and ``hw.optional`` lines."""
    yield Reading(CAPTURE, parse_sysctl(captures[CAPTURE].text))


def parse_sysctl(text: str) -> dict[str, Value]:
    """Read ``name: value`` lines.

    :raises ValueError: a line has no colon.
    """
    fields: dict[str, str] = {}
    for number, line in enumerate(text.splitlines()[:_MAX_LINES], 1):
        name, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise ValueError(f"line {number}: {line[:60]!r} is no 'name: value'")
        fields[name.strip()] = value.strip()
    return dict(_values(fields))


def _values(fields: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    cpu = {n.partition("machdep.cpu.")[2]: v for n, v in fields.items() if "machdep.cpu." in n}
    for name in ("vendor", "brand_string"):
        if cpu.get(name):
            yield f"darwin.{name}", cpu[name]
    numbers = {n: int(cpu[n]) for n in _NUMBERS if cpu.get(n, "").isdecimal() and len(cpu[n]) < 6}
    if cpu.get("vendor") == "GenuineIntel" and "model" in numbers:
        # Some recordings leave the family out; every Intel processor of a Mac is of family 6.
        numbers.setdefault("family", _INTEL_FAMILY)
    for name, number in numbers.items():
        yield f"darwin.{name}", number
    flags = {word.lower() for name in _FLAGS for word in cpu.get(name, "").split()}
    optional = {
        n.rpartition(".")[2].lower()
        for n, v in fields.items()
        if n.startswith("hw.optional.") and v not in ("", "0")
    }
    if flags or optional:
        yield "darwin.flags", frozenset(flags | optional)


PARSER = Parser(
    name="platform-strings",
    declares=("darwin.",),
    reads=(CAPTURE,),
    parse=parse,
)
