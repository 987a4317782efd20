"""Kinds of machine that code is judged on: what they have, weakest first.

A guard that asks for less than it guards shows only on a machine that has what is asked for and
lacks the rest; so levels alone do not do. Sources: psABIs; "Intel Architecture Instruction Set
Extensions Programming Reference", table of CPUID by product; Arm ARM, features by version.
"""

from __future__ import annotations

from dataclasses import dataclass

from uplift.isa import baseline
from uplift.isa.feature_words import Features, plain

#: Beyond x86-64-v2, what Intel's third Core generation has: AVX, and neither AVX2, BMI nor FMA.
_IVY_BRIDGE = ("aes", "avx", "f16c", "fsgsbase", "pclmul", "rdrnd", "xsave", "xsaveopt")


@dataclass(frozen=True)
class Machine:
    """One kind of machine.

    :param sets: the instruction sets it has, by the decoder's names.
    """

    name: str
    sets: frozenset[str]

    @property
    def features(self) -> Features:
        """What tests of features are answered by."""
        return frozenset(plain(name) for name in self.sets)


def machines(arch: str) -> tuple[Machine, ...]:
    """Return the machines of an architecture that code is judged on: the base first."""
    lowest = Machine(baseline.lowest(arch), baseline.base(arch))
    if arch != "x86-64":
        return (lowest,)
    second = baseline.level(arch, "x86-64-v2")
    named = [Machine(name, baseline.level(arch, name)) for name in baseline.ladder(arch)[1:]]
    ivy_bridge = Machine("Ivy Bridge", second | frozenset(_IVY_BRIDGE))
    return (lowest, named[0], ivy_bridge, *named[1:])
