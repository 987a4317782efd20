"""What a release's software can do on any CPU, as the collector's ``--software`` tells.

``libc.known_features`` are the CPU features that the C library's headers name,
``libc.hwcaps_known`` the subdirectories that its loader can search, ``library.openblas.kernels``
the CPUs that OpenBLAS has code for. Which of them a machine uses is another question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_WORDS = {
    "cmd:ld.so/known-features": "libc.known_features",
    "cmd:ld.so/subdirectories": "libc.hwcaps_known",
    "cmd:ld.so/tunable-names": "libc.tunable_names",
}
_KERNELS = "probe:openblas-kernels"
_PACKAGES = "probe:kernel-image/packages"
_WORD = re.compile(r"[\w.+-]{1,80}")


def _parse_words(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    for name, fact in _WORDS.items():
        if name in captures:
            yield Reading(name, {fact: frozenset(_words(captures[name]))})


def _words(capture: Capture) -> Iterator[str]:
    for number, line in enumerate(capture.text.splitlines(), 1):
        if not _WORD.fullmatch(line):
            raise ValueError(f"{capture.id}: line {number} is no word")
        yield line


def _parse_kernels(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    yield Reading(_KERNELS, {"library.openblas.kernels": frozenset(_seconds(captures[_KERNELS]))})


def _parse_packages(captures: Mapping[str, Capture]) -> Iterator[Reading]:
    capture = captures[_PACKAGES]
    versions = list(_seconds(capture))
    values: dict[str, Value] = {"image.package_version": versions[0]} if versions else {}
    values["image.packages"] = tuple(line.partition(" ")[0] for line in capture.text.splitlines())
    yield Reading(_PACKAGES, values)


def _seconds(capture: Capture) -> Iterator[str]:
    for number, line in enumerate(capture.text.splitlines(), 1):
        words = line.split(" ")
        if len(words) != 2 or not all(words):
            raise ValueError(f"{capture.id}: line {number} is not two words")
        yield words[1]


PARSERS = (
    Parser("C library's words", tuple(_WORDS.values()), tuple(_WORDS), _parse_words),
    Parser("OpenBLAS kernels", ("library.openblas.kernels",), (_KERNELS,), _parse_kernels),
    Parser(
        "kernel packages",
        ("image.packages", "image.package_version"),
        (_PACKAGES,),
        _parse_packages,
    ),
)
