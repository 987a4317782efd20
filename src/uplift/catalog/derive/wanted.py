"""Which names of upstream projects the catalog's features ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.catalog.derive.upstream import Key
from uplift.catalog.model import Catalog, Feature, LayerNeed, Predicate, Test
from uplift.catalog.predicate import tests

#: What the tables call an architecture of the catalog.
ARCHES = {"x86-64": "x86"}
_WORDS = {
    "compiler.gcc.accepts": ("gcc", "option"),
    "compiler.clang.accepts": ("llvm", "option"),
    "assembler.accepts": ("binutils", "as"),
    "libc.active": ("glibc", "cpu-feature"),
    "qemu.models": ("qemu", "cpu-model"),
    "riscv.isa": ("linux", "riscv-isa"),
}
#: The forms of options that the compilers' modules read.
_READABLE = re.compile(r"-m[\w.-]+|-m(?:arch|cpu)=\S+")
_FLAGS = {"x86-64": "x86-flag", "arm64": "arm64-hwcap"}
_PROPERTIES = ("qemu.host.", "qemu.max.")
_OPTION = "kernel.config."


def names_of_test(test: Test, arch: str) -> Iterator[tuple[str, Key]]:
    """Yield the project, and the name of it, that a test on one architecture asks for."""
    short = ARCHES.get(arch, arch)
    if test.fact in _WORDS and test.op == "has":
        project, kind = _WORDS[test.fact]
        if kind != "option" or _READABLE.fullmatch(str(test.operand)):
            yield project, (kind, short, str(test.operand))
    elif test.fact == "cpuinfo.flags" and arch in _FLAGS:
        yield "linux", (_FLAGS[arch], short, str(test.operand))
    elif test.fact.startswith(_PROPERTIES):
        yield "qemu", ("property", short, test.fact.split(".", 2)[2])
    elif test.fact.startswith(_OPTION):
        yield "linux", ("kconfig", "", symbol_of(test.fact))


def symbol_of(fact: str) -> str:
    """Return ``CONFIG_X86_SGX`` of ``kernel.config.CONFIG_X86_SGX``."""
    return fact.removeprefix(_OPTION)


def wanted(catalog: Catalog) -> dict[str, frozenset[Key]]:
    """Return, per project, every name that a layer of a feature asks for."""
    found: dict[str, set[Key]] = {}
    for feature in catalog.features:
        for layer in feature.layers:
            for predicate in _predicates(layer):
                for project, key in names_in(predicate, feature):
                    found.setdefault(project, set()).add(key)
    return {project: frozenset(keys) for project, keys in found.items()}


def names_in(predicate: Predicate, feature: Feature) -> Iterator[tuple[str, Key]]:
    """Yield the names that a predicate of a feature asks for, on each of its architectures."""
    for test in tests(predicate):
        for arch in feature.arch or ("",):
            yield from names_of_test(test, arch)


def _predicates(layer: LayerNeed) -> Iterator[Predicate]:
    yield layer.needs
    yield from filter(None, (layer.used, layer.applies))
    yield from (cause.when for cause in layer.causes)
