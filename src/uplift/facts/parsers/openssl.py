"""OpenSSL: its version, and the CPU capabilities that it found and uses.

``library.openssl.cap`` is the vector as OpenSSL prints it; ``library.openssl.uses`` names its bits
on x86 as ``cpuid.7.0.ebx.5``: OPENSSL_ia32cap(3) says which register each word is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_VERSION_CAPTURE = "cmd:openssl/version"
_CPUID = "cmd:openssl/cpuid"
_VERSION = re.compile(r"^(?:OpenSSL|LibreSSL|BoringSSL) (\d+(?:\.\d+)*[a-z]*)", re.MULTILINE)
_LIBRARY = re.compile(r"\(Library: \w+ (\d+(?:\.\d+)*[a-z]*)")
_VECTOR = re.compile(r"OPENSSL_(ia32cap|armcap|ppccap|riscvcap|s390xcap)=(\S+)(?: env:(\S+))?")

#: OPENSSL_ia32cap: 64-bit words, low half first; 3.5 and later print four more registers.
_WORDS = (
    *("cpuid.1.0.edx", "cpuid.1.0.ecx", "cpuid.7.0.ebx", "cpuid.7.0.ecx"),
    *("cpuid.7.0.edx", "cpuid.7.1.eax", "cpuid.7.1.edx", "cpuid.7.1.ebx"),
    *("cpuid.7.1.ecx", "cpuid.24.0.ebx"),
)


def _parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    if _VERSION_CAPTURE in captures:
        text = captures[_VERSION_CAPTURE].text
        found = _LIBRARY.search(text) or _VERSION.search(text)
        if not found:
            raise ValueError(f"{_VERSION_CAPTURE}: line 1 states no version")
        values = {"library.openssl.version": found[1], **_vector(text)}
        yield Reading(_VERSION_CAPTURE, values)
    if _CPUID in captures:
        values = _vector(captures[_CPUID].text)
        if not values and "N/A" not in captures[_CPUID].text:
            raise ValueError(f"{_CPUID}: no line OPENSSL_…cap=…")
        yield Reading(_CPUID, values)


def _vector(text: str) -> dict[str, Value]:
    found = _VECTOR.search(text)
    if not found:
        return {}
    values: dict[str, Value] = {
        "library.openssl.cap": f"OPENSSL_{found[1]}={found[2]}",
        "library.openssl.cap_set": found[3] or "",
    }
    if found[1] == "ia32cap":
        values["library.openssl.uses"] = frozenset(_bits(found[2]))
    return values


def _bits(vector: str) -> Iterator[str]:
    for index, text in enumerate(vector.split(":")):
        if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
            raise ValueError(f"word {index + 1} of the vector is {text[:40]!r}")
        word = int(text, 16)
        for bit in range(64):
            place = 2 * index + bit // 32
            if word >> bit & 1 and place < len(_WORDS):
                yield f"{_WORDS[place]}.{bit % 32}"


PARSER = Parser(
    name="openssl",
    declares=("library.openssl.",),
    reads=(_VERSION_CAPTURE, _CPUID),
    parse=_parse,
)
