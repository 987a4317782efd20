"""What a kernel image knows, as :mod:`uplift.facts.kernel_image` read it out of its package."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_CAPTURES = "probe:kernel-image/"
_RELEASE = re.compile(r"[0-9][\w.+~-]{0,99}\Z", re.ASCII)
_FLAG = re.compile(r"(\d{1,3}) (\d{1,2}) ([\w.-]{1,64})\Z", re.ASCII)
_USER_MASK = re.compile(r"user-mask 0x([0-9a-f]{1,16})\Z")
_STATE = re.compile(r"(\d{1,2}) [ -~]{1,128}\Z", re.ASCII)
_KVM = re.compile(r"(intel|amd) ([0-9a-f]{1,8}) ([0-9a-f]{1,8}) (e[a-d]x) (0x[0-9a-f]{1,8})\Z")
_REGISTER = re.compile(
    r"image\.kvm\.(?P<vendor>\w+)\.(?P<leaf>[0-9a-f]{1,8})\.(?P<subleaf>[0-9a-f]{1,8})\.e[a-d]x\Z"
)
_KVMS_OWN = "400000"  #: leaves that a hypervisor makes up: no capture tells them
_WORD = re.compile(r"([\w.-]{1,64})\Z", re.ASCII)
_MODULE = re.compile(r"([\w.-]{1,128}) (module|builtin)\Z", re.ASCII)


def _release(text: str) -> Iterator[tuple[str, Value]]:
    found = _matched(text, _RELEASE)
    if len(found) != 1:
        raise ValueError(f"line 1: there are {len(found)} lines where one names the release")
    yield "image.release", found[0][0]


def _flags(text: str) -> Iterator[tuple[str, Value]]:
    places = {found[3]: f"{found[1]}:{found[2]}" for found in _matched(text, _FLAG)}
    yield "image.flags", frozenset(places)
    for name, place in places.items():
        yield f"image.flag.{name}", place


def _xfeatures(text: str) -> Iterator[tuple[str, Value]]:
    """Yield the components that a program can use, or all that have a name where none says more."""
    mask = 0
    usable: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        told, named = _USER_MASK.match(line), _STATE.match(line)
        if told:
            usable = int(told[1], 16)
        elif named and int(named[1]) < 64:
            mask |= 1 << int(named[1])
        else:
            raise ValueError(f"line {number}: {line[:60]!r} is no state component")
    yield "image.xfeatures", mask if usable is None else usable


def _kvm(text: str) -> Iterator[tuple[str, Value]]:
    for found in _matched(text, _KVM):
        vendor, leaf, subleaf, register, mask = found.groups()
        yield f"image.kvm.{vendor}.{leaf}.{subleaf}.{register}", int(mask, 16)


def _words(fact: str) -> Callable[[str], Iterator[tuple[str, Value]]]:
    def read(text: str) -> Iterator[tuple[str, Value]]:
        yield fact, frozenset(found[1] for found in _matched(text, _WORD))

    return read


def _modules(text: str) -> Iterator[tuple[str, Value]]:
    kinds = [(found[1], found[2]) for found in _matched(text, _MODULE)]
    yield "image.modules", frozenset(name for name, kind in kinds if kind == "module")
    yield "image.builtin", frozenset(name for name, kind in kinds if kind == "builtin")


def _matched(text: str, line_form: re.Pattern[str]) -> list[re.Match[str]]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = line_form.match(line)
        if match is None:
            raise ValueError(f"line {number}: {line[:60]!r} is not of the form {line_form.pattern}")
        found.append(match)
    return found


def _implied_kvm(name: str, values: Mapping[str, Value]) -> Value | None:
    """A leaf that is not listed for a vendor is one that its KVM passes nothing of on.

    A register that is not listed of a leaf that is, is not known: it holds a number of KVM's own.
    """
    found = _REGISTER.match(name)
    if not found or found["leaf"].startswith(_KVMS_OWN):
        return None
    vendor, leaf = f"image.kvm.{found['vendor']}.", f"{found['leaf']}.{found['subleaf']}."
    known = any(read.startswith(vendor) for read in values)
    listed = any(read.startswith(vendor + leaf) for read in values)
    return 0 if known and not listed else None


def _parser(
    name: str,
    declares: tuple[str, ...],
    read: Callable[[str], Iterator[tuple[str, Value]]],
    implied: Callable[[str, Mapping[str, Value]], Value | None] | None = None,
) -> Parser:
    capture = _CAPTURES + name

    def parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
        yield Reading(capture, dict(read(captures[capture].text)))

    return Parser(f"kernel image {name}", declares, (capture,), parse, implied)


PARSERS = (
    _parser("release", ("image.release",), _release),
    _parser("x86-flags", ("image.flags", "image.flag."), _flags),
    _parser("xfeatures", ("image.xfeatures",), _xfeatures),
    _parser("kvm-cpuid", ("image.kvm.",), _kvm, _implied_kvm),
    _parser("arm64-hwcaps", ("image.hwcaps",), _words("image.hwcaps")),
    _parser("riscv-isa", ("image.riscv_isa",), _words("image.riscv_isa")),
    _parser("modules", ("image.modules", "image.builtin"), _modules),
)
