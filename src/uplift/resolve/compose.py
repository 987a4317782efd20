"""Join a chip and a release into facts that the resolver can judge."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from uplift.catalog.releases import ARCHITECTURES, SelectedRelease
from uplift.facts.model import Fact, Facts, ParserIndex
from uplift.facts.parsers import all_parsers
from uplift.resolve.plan_facts import CompletedFacts, PlanFacts, Predictor, Predictors, ReleaseFacts
from uplift.resolve.predict import (
    arm64,
    arm64_guests,
    kernel_state,
    riscv64,
    toolchain,
    x86_flags,
    x86_kvm_parameters,
    x86_libraries,
    x86_virt,
)

_EVERYWHERE: Mapping[str, Predictor] = {
    "kernel.": kernel_state.predict_state,
    "platform.": kernel_state.predict_platform,
    "compiler.": toolchain.predict_accepts,
    "assembler.": toolchain.predict_accepts,
}
_BY_ARCH: Mapping[str, Mapping[str, Predictor]] = {
    "x86-64": {
        "cpuinfo.": x86_flags.predict_flags,
        "kvm.": x86_virt.predict_kvm,
        "kvm.parameter.": x86_kvm_parameters.predict_parameter,
        "memory.": kernel_state.predict_memory,
        "qemu.": x86_virt.predict_qemu,
        "libvirt.map_": x86_virt.predict_libvirt,
        "libc.": x86_libraries.predict_libc,
        "library.openssl.": x86_libraries.predict_openssl,
        "python.numpy.": x86_libraries.predict_numpy,
    },
    "arm64": {
        "cpuinfo.": arm64.predict_words,
        "hwcap.": arm64.predict_words,
        "arm64.raw.": arm64.predict_raw,
        "kvm.": arm64.predict_kvm,
        "memory.": kernel_state.predict_memory,
        "qemu.host.": arm64_guests.predict_host_property,
        "libc.": arm64.predict_libc,
    },
    "riscv64": {
        "riscv.": riscv64.predict_isa,
        "kvm.": riscv64.predict_kvm,
        "memory.": kernel_state.predict_memory,
    },
}


def compose(chip: Facts, release: SelectedRelease, recorded: Facts) -> PlanFacts:
    """Return the facts of a chip under a release.

    :param chip: of a chip of the release's architecture.
    :param recorded: of ``release.snapshot``; passed in, so that many chips share what was parsed.
    """
    return PlanFacts(chip, release_facts(release, recorded), _predictors(release.arch), _index())


def release_facts(release: SelectedRelease, recorded: Facts) -> ReleaseFacts:
    """Return a release's facts, with what documents state above what was recorded."""
    stated = {
        name: Fact(name, one.value, release.capture_of(one)) for name, one in release.stated.items()
    }
    return ReleaseFacts(recorded, stated)


def completed(dump: Facts, listed: Facts) -> Facts:
    """Return what a dump shows of a chip, and what lists say of it where the dump is silent."""
    return CompletedFacts(dump, listed, _index())


@cache
def _predictors(debian_arch: str) -> Predictors:
    arch = ARCHITECTURES[debian_arch][0]
    return Predictors({**_EVERYWHERE, **_BY_ARCH.get(arch, {})})


@cache
def _index() -> ParserIndex:
    return ParserIndex(all_parsers())
