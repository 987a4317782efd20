"""What compilers and assemblers are expected to accept, where only their versions are told."""

from __future__ import annotations

from uplift.facts.model import Fact, Missing
from uplift.resolve.plan_facts import PlanFacts, Prediction
from uplift.resolve.predict.versions import by_version

_ARCH = {"x86_64": "x86-64", "aarch64": "arm64", "riscv64": "riscv64"}
#: Fact to the fact of its program's version, the project, and the kind of word.
_ACCEPTS = {
    "compiler.gcc.accepts": ("compiler.gcc.version", "gcc", "option"),
    "compiler.clang.accepts": ("compiler.clang.version", "llvm", "option"),
    "assembler.accepts": ("assembler.version", "binutils", "as"),
}


def predict_accepts(facts: PlanFacts, name: str) -> Prediction | Missing | None:
    """Predict what a program accepts from its version; None where it was recorded."""
    if name not in _ACCEPTS or isinstance(facts.release.get(name), Fact):
        return None
    told, project, kind = _ACCEPTS[name]
    arch = _ARCH.get(facts.snapshot.arch, facts.snapshot.arch)
    return by_version(facts, project, kind, arch, told)
