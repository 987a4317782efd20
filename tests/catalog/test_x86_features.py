"""The x86-64 features: bits that upstream names, and reasons told apart by evidence."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import uplift.facts
from uplift.catalog.load import load_catalog
from uplift.catalog.model import Feature, Layer, LayerNeed, Predicate, Test
from uplift.catalog.predicate import tests as questions
from uplift.facts.model import (
    Capture,
    CaptureStatus,
    Facts,
    Parser,
    Reading,
    Snapshot,
    Value,
)
from uplift.resolve.model import Status, Verdict
from uplift.resolve.resolve import resolve

FEATURES: Mapping[str, Feature] = {
    feature.id: feature for feature in load_catalog().features if feature.id.startswith("x86/")
}
TABLE = Path(uplift.facts.__file__).parent / "data" / "cpuid-bits.csv"
ROOTS = [
    "assembler",
    "compiler",
    "cpuid",
    "cpuinfo",
    "dev",
    "firmware",
    "idle",
    "iommu",
    "isa",
    "kernel",
    "kvm",
    "libc",
    "library",
    "libvirt",
    "memory",
    "pci",
    "perf",
    "platform",
    "power",
    "python",
    "qemu",
    "resctrl",
]

Given = dict[str, Value]

BARE: Given = {
    "platform.guest": False,
    "kernel.cmdline_words": frozenset(),
    "kernel.log": frozenset(),
}


def facts_of(values: Mapping[str, Value], not_there: tuple[str, ...] = ()) -> Facts:
    """Facts with ``values``; CPUID, options and parameters that they lack read as zero."""

    def parser(root: str) -> Parser:
        mine = {name: value for name, value in values.items() if name.split(".")[0] == root}
        return Parser(
            root,
            (f"{root}.",),
            (root,),
            lambda _: [Reading(root, mine)] if mine else [],
            implied,
        )

    captures = {
        root: Capture(root, CaptureStatus.OK, b"recorded")
        for root in {name.split(".")[0] for name in values}
    }
    captures |= {root: Capture(root, CaptureStatus.ABSENT) for root in not_there}
    return Facts(Snapshot(captures), [parser(root) for root in ROOTS])


def implied(name: str, _: Mapping[str, Value]) -> Value | None:
    if name.startswith(("cpuid.", "kvm.cpuid.")) and name.endswith("x"):
        return 0
    if name.startswith("kernel.config."):
        return "n"
    return "" if name.startswith("kernel.cmdline.") else None


def verdict(
    feature: str, layer: Layer, values: Mapping[str, Value], not_there: tuple[str, ...] = ()
) -> Verdict:
    resolution = resolve(FEATURES[f"x86/{feature}"], facts_of({**BARE, **values}, not_there))
    return next(verdict for verdict in resolution.verdicts if verdict.layer is layer)


def kind(told: Verdict) -> str:
    return told.stop.kind if told.stop else told.status.value


def layer(feature: Feature, name: Layer) -> LayerNeed | None:
    return next((need for need in feature.layers if need.name is name), None)


def bits(predicate: Predicate, prefix: str) -> Iterator[tuple[str, int]]:
    for test in questions(predicate):
        if test.op == "bit" and test.fact.startswith(prefix):
            yield test.fact[len(prefix) :], int(test.operand)


def named_bits() -> set[tuple[str, int]]:
    named = set()
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        subleaf = row["subleaf"] if row["subleaf"].isdigit() else "0"
        fact = f"{int(row['leaf'], 16):x}.{int(subleaf):x}.{row['register']}"
        if row["low"] == row["high"]:
            named.add((fact, int(row["low"])))
    return named


def every_test() -> Iterator[tuple[Feature, Test]]:
    for feature in FEATURES.values():
        for need in feature.layers:
            predicates = [need.needs, need.used, need.applies, *(c.when for c in need.causes)]
            for predicate in predicates:
                for test in questions(predicate) if predicate else ():
                    yield feature, test


def test_there_are_features_for_every_file() -> None:
    assert len(FEATURES) >= 120
    assert len({feature.origin for feature in FEATURES.values()}) == 13


def test_each_silicon_bit_is_one_that_upstream_names() -> None:
    named = named_bits()
    unnamed = [
        (feature.id, bit)
        for feature in FEATURES.values()
        for bit in bits(feature.layers[0].needs, "cpuid.")
        if bit not in named
    ]
    assert unnamed == []


def test_kvm_is_asked_for_the_bit_that_silicon_has() -> None:
    for feature in FEATURES.values():
        need = layer(feature, Layer.VIRTUALIZATION)
        if need is not None:
            silicon = set(bits(feature.layers[0].needs, "cpuid."))
            assert set(bits(need.needs, "kvm.cpuid.")) <= silicon, feature.id


@pytest.mark.parametrize(
    ("feature", "fact", "bit"),
    [
        ("amx-tile", "cpuid.7.0.edx", 24),
        ("amx-int8", "cpuid.7.0.edx", 25),
        ("amx-bf16", "cpuid.7.0.edx", 22),
        ("amx-fp16", "cpuid.7.1.eax", 21),
        ("amx-complex", "cpuid.7.1.edx", 8),
        ("amx-fp8", "cpuid.1e.1.eax", 4),
        ("avx512-vnni", "cpuid.7.0.ecx", 11),
        ("avx512-bf16", "cpuid.7.1.eax", 5),
        ("avx512-fp16", "cpuid.7.0.edx", 23),
        ("avx512-vp2intersect", "cpuid.7.0.edx", 8),
        ("apx-f", "cpuid.7.1.edx", 21),
        ("avx-ifma", "cpuid.7.1.eax", 23),
        ("avx-vnni-int8", "cpuid.7.1.edx", 4),
        ("cmpccxadd", "cpuid.7.1.eax", 7),
        ("sha512", "cpuid.7.1.eax", 0),
        ("uintr", "cpuid.7.0.edx", 5),
        ("fred", "cpuid.7.1.eax", 17),
        ("lam", "cpuid.7.1.eax", 26),
        ("lass", "cpuid.7.1.eax", 6),
        ("cet-shadow-stack", "cpuid.7.0.ecx", 7),
        ("cet-ibt", "cpuid.7.0.edx", 20),
        ("sgx", "cpuid.7.0.ebx", 2),
        ("enqcmd", "cpuid.7.0.ecx", 29),
        ("la57", "cpuid.7.0.ecx", 16),
        ("fsrm", "cpuid.7.0.edx", 4),
        ("sev", "cpuid.8000001f.0.eax", 1),
        ("sev-es", "cpuid.8000001f.0.eax", 3),
        ("sev-snp", "cpuid.8000001f.0.eax", 4),
        ("auto-ibrs", "cpuid.80000021.0.eax", 8),
        ("vnmi", "cpuid.8000000a.0.edx", 25),
        ("x2avic", "cpuid.8000000a.0.edx", 18),
        ("invlpgb", "cpuid.80000008.0.ebx", 3),
        ("cppc", "cpuid.80000008.0.ebx", 27),
        ("perfmon-v2", "cpuid.80000022.0.eax", 0),
        ("ibs", "cpuid.80000001.0.ecx", 10),
        ("tce", "cpuid.80000001.0.ecx", 17),
        ("qos-bmec", "cpuid.80000020.0.ebx", 3),
        ("hfi", "cpuid.6.0.eax", 19),
    ],
)
def test_the_bit_of(feature: str, fact: str, bit: int) -> None:
    assert FEATURES[f"x86/{feature}"].layers[0].needs == Test(fact, "bit", bit)


HIDDEN = {"amx_fp16", "avx_ifma", "cmpccxadd", "fsrs", "fzrm", "sgx1", "sgx2", "smba", "bmec"}
HIDDEN |= {"lkgs", "invlpgb", "apx", "movrs", "autoibrs", "per_thread_mba", "arch_perfmon_ext"}


def test_no_kernel_layer_asks_cpuinfo_for_what_it_hides() -> None:
    asked = {str(test.operand) for _, test in every_test() if test.fact == "cpuinfo.flags"}
    assert asked & HIDDEN == set()


def test_what_a_boot_parameter_stops_a_boot_parameter_lifts() -> None:
    for feature in FEATURES.values():
        for cause in (cause for need in feature.layers for cause in need.causes):
            if cause.kind == "command-line":
                assert cause.remedy and cause.remedy.kind == "boot-parameter", feature.id
                assert cause.remedy.reversible, feature.id


def test_amx_wants_the_kernel_to_offer_tile_data() -> None:
    silicon: Given = {"cpuid.7.0.edx": 1 << 24}
    kernel: Given = {"cpuinfo.flags": frozenset({"amx_tile"}), "kernel.xcr0": 7 << 5 | 7}
    told = verdict("amx-tile", Layer.KERNEL, {**silicon, **kernel, "kernel.xcomp_supported": 0x2E7})
    assert told.stop is not None
    assert told.stop.remedy is not None
    assert "5.16" in told.stop.remedy.do


def test_amx_is_offered_with_tile_data_in_xcr0() -> None:
    told = verdict(
        "amx-tile",
        Layer.KERNEL,
        {
            "cpuid.7.0.edx": 1 << 24,
            "cpuinfo.flags": frozenset({"amx_tile"}),
            "kernel.xcr0": 0x602E7,
            "kernel.xcomp_supported": 0x602E7,
        },
    )
    assert told.status is Status.OFFERED


AVX2: Given = {"cpuid.7.0.ebx": 1 << 5, "cpuinfo.flags": frozenset({"sse2"}), "kernel.xcr0": 3}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"kernel.cmdline_words": frozenset({"clearcpuid=avx2"})}, "command-line"),
        ({"kernel.cmdline_words": frozenset({"clearcpuid=avx"})}, "command-line"),
        ({"kernel.cmdline_words": frozenset({"noxsave"})}, "command-line"),
        (
            {
                "kernel.vulnerability.gather_data_sampling": (
                    "Mitigation: AVX disabled, no microcode"
                )
            },
            "mitigation",
        ),
        ({}, "hypervisor"),
    ],
)
def test_why_the_kernel_keeps_avx2_back(values: Mapping[str, Value], expected: str) -> None:
    assert kind(verdict("avx2", Layer.KERNEL, {**AVX2, **values})) == expected


INTEL: Given = {"cpuid.vendor": "GenuineIntel", "cpuid.family": 6, "cpuid.7.0.edx": 0}


def test_tsx_off_by_the_kernels_build_is_a_policy() -> None:
    values: Given = {
        **INTEL,
        "cpuid.model": 0x8F,
        "kernel.config.CONFIG_X86_INTEL_TSX_MODE_OFF": "y",
    }
    told = verdict("rtm", Layer.SILICON, values)
    assert told.status is Status.STOPPED
    assert kind(told) == "policy"


def test_tsx_withdrawn_by_microcode_is_not_the_kernels_doing() -> None:
    values: Given = {**INTEL, "cpuid.model": 0x8E, "cpuid.7.0.edx": 1 << 11}
    assert kind(verdict("rtm", Layer.SILICON, values)) == "microcode"


def test_a_processor_that_never_had_tsx_lacks_it() -> None:
    values: Given = {
        "cpuid.vendor": "AuthenticAMD",
        "cpuid.family": 0x19,
        "cpuid.model": 1,
        "cpuinfo.bugs": frozenset(),
        "firmware.msr.10a": 0,
        "kernel.vulnerability.tsx_async_abort": "Not affected",
        "kernel.config.CONFIG_X86_INTEL_TSX_MODE_OFF": "y",
    }
    assert verdict("rtm", Layer.SILICON, values).status is Status.ABSENT


SGX: Given = {"cpuid.7.0.ebx": 1 << 2, "cpuinfo.flags": frozenset({"sgx_lc"})}


@pytest.mark.parametrize(
    ("layer", "values", "expected"),
    [
        (Layer.FIRMWARE, {"firmware.msr.3a": 0x5}, "firmware"),
        (Layer.KERNEL, {"kernel.cmdline_words": frozenset({"nosgx"})}, "command-line"),
        (Layer.KERNEL_BUILD, {"kernel.config.CONFIG_X86_SGX": "n"}, "not-passed-on"),
    ],
)
def test_why_sgx_is_off(layer: Layer, values: Mapping[str, Value], expected: str) -> None:
    assert kind(verdict("sgx", layer, {**SGX, **values})) == expected


def test_vmx_locked_off_is_the_firmwares_stop() -> None:
    values: Given = {"cpuid.1.0.ecx": 1 << 5, "cpuinfo.flags": frozenset(), "firmware.msr.3a": 1}
    assert kind(verdict("vmx", Layer.FIRMWARE, values)) == "firmware"


def test_kvm_denied_is_a_permission() -> None:
    values: Given = {"cpuid.1.0.ecx": 1 << 5, "kvm.available": False, "kvm.device": "denied"}
    assert kind(verdict("vmx", Layer.VIRTUALIZATION, values)) == "permission"


def test_lam_is_compiled_out_where_mitigations_are_compiled_in() -> None:
    values: Given = {"cpuid.7.1.eax": 1 << 26, "kernel.config.CONFIG_X86_DISABLED_FEATURE_LAM": "y"}
    assert kind(verdict("lam", Layer.KERNEL_BUILD, values)) == "policy"


def test_fred_built_in_and_not_on_is_a_policy_of_the_kernel() -> None:
    values: Given = {
        "cpuid.7.1.eax": 1 << 17,
        "cpuinfo.flags": frozenset(),
        "kernel.config.CONFIG_X86_FRED": "y",
    }
    told = verdict("fred", Layer.KERNEL, values)
    assert told.stop is not None
    assert told.stop.remedy is not None
    assert (told.stop.kind, told.stop.remedy.do) == ("policy", "fred=on")


def test_user_interrupts_were_never_taken_upstream() -> None:
    told = verdict("uintr", Layer.KERNEL, {"cpuid.7.0.edx": 1 << 5, "cpuinfo.flags": frozenset()})
    assert told.stop is not None
    assert (told.stop.kind, told.stop.owner) == ("not-upstream", "upstream kernel")


FP16: Given = {"cpuid.7.1.eax": 1 << 21, "kvm.available": True, "kvm.cpuid.7.1.eax": 1 << 21}


def test_a_guest_gets_what_both_kvm_and_qemu_pass_on() -> None:
    values: Given = {**FP16, "qemu.host.amx-fp16": True}
    assert verdict("amx-fp16", Layer.VIRTUALIZATION, values).status.passes


def test_qemu_older_than_its_property_is_the_packages_stop() -> None:
    values: Given = {**FP16, "qemu.host.amx-fp16": False, "qemu.version": "7.2.0"}
    told = verdict("amx-fp16", Layer.VIRTUALIZATION, values)
    assert told.stop is not None
    assert told.stop.remedy is not None
    assert told.stop.remedy.do == "install QEMU 8.1 or later"


def test_without_qemu_kvm_alone_decides() -> None:
    told = verdict("amx-fp16", Layer.VIRTUALIZATION, FP16, not_there=("qemu",))
    assert told.status.passes


def test_a_kvm_without_it_is_the_kernels_stop() -> None:
    values: Given = {**FP16, "kvm.cpuid.7.1.eax": 0, "qemu.host.amx-fp16": False}
    assert kind(verdict("amx-fp16", Layer.VIRTUALIZATION, values)) == "hypervisor"


def test_what_the_hardware_lacks_no_guest_layer_is_blamed_for() -> None:
    values: Given = {"cpuid.7.1.eax": 0, "kvm.available": True, "kvm.cpuid.7.1.eax": 0}
    told = verdict("amx-fp16", Layer.VIRTUALIZATION, values, not_there=("qemu",))
    assert told.status is Status.NOT_APPLICABLE


def test_tunables_that_mask_avx2_are_told_from_an_old_glibc() -> None:
    masked: Given = {
        "cpuid.7.0.ebx": 1 << 5,
        "libc.active": frozenset(),
        "libc.present": frozenset({"avx2"}),
        "libc.tunables": "glibc.cpu.hwcaps=-AVX2",
    }
    unknown: Given = {**masked, "libc.present": frozenset(), "libc.tunables": ""}
    assert kind(verdict("avx2", Layer.LIBC, masked)) == "tunable"
    assert kind(verdict("avx2", Layer.LIBC, unknown)) == "library-version"


def test_openssl_told_to_leave_vaes_is_a_tunable() -> None:
    values: Given = {
        "cpuid.7.0.ecx": 1 << 9,
        "library.openssl.uses": frozenset(),
        "library.openssl.cap_set": ":~0x20000000000",
    }
    assert kind(verdict("vaes", Layer.LIBRARY, values)) == "tunable"


def test_snp_is_ruled_out_by_a_passthrough_iommu() -> None:
    values: Given = {
        "cpuid.8000001f.0.eax": 1 << 4,
        "cpuinfo.flags": frozenset(),
        "kernel.cmdline_words": frozenset({"iommu=pt"}),
    }
    assert kind(verdict("sev-snp", Layer.KERNEL, values)) == "command-line"


def test_tdx_and_hibernation_exclude_each_other() -> None:
    values: Given = {
        "cpuid.vendor": "GenuineIntel",
        "cpuinfo.flags": frozenset({"tdx_host_platform"}),
        "kvm.parameter.kvm_intel.tdx": "N",
        "kernel.config.CONFIG_HIBERNATION": "y",
    }
    told = verdict("tdx-host", Layer.VIRTUALIZATION, values)
    assert told.stop is not None
    assert told.stop.remedy is not None
    assert told.stop.remedy.do == "nohibernate kvm_intel.tdx=1"
