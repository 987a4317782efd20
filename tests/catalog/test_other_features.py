"""Features outside x86, and the schemas: judged on facts made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from uplift.catalog.check import SCHEMAS
from uplift.catalog.load import load_catalog
from uplift.catalog.model import Feature, Layer
from uplift.facts.model import Capture, CaptureStatus, Facts, Parser, Reading, Snapshot, Value
from uplift.facts.parsers import arm64, pci
from uplift.resolve.model import Resolution, Status
from uplift.resolve.resolve import Silicon, resolve

OURS = (
    *("arm64/", "riscv/", "s390x/", "ppc64el/", "device/", "virt/"),
    *("memory/", "power/", "security/", "net/", "gpu/", "storage/"),
)
PREFIXES = (
    *("arm64.", "hwcap.", "cpuinfo.", "riscv.", "kernel.", "pci.", "platform.", "firmware."),
    *("iommu.", "device.", "net.", "ovs.", "memory.", "topology.", "kvm.", "qemu.", "cpuid."),
    *("compiler.", "libc.", "perf.", "dev.", "gpu.", "container.", "power.", "idle.", "resctrl."),
    "isa.",
)


@lru_cache(maxsize=1)
def features() -> Mapping[str, Feature]:
    return {feature.id: feature for feature in load_catalog().features}


def judged(feature_id: str, silicon: Silicon | None = None, **facts: Value) -> Resolution:
    """Resolve one feature; ``__`` in a name stands for a dot."""
    told = {name.replace("__", "."): value for name, value in facts.items()}
    return resolve(features()[feature_id], facts_of(told), silicon)


def facts_of(told: Mapping[str, Value]) -> Facts:
    parser = Parser("by hand", PREFIXES, ("probe:hand",), lambda _: [Reading("probe:hand", told)])
    capture = Capture("probe:hand", CaptureStatus.OK)
    return Facts(Snapshot({capture.id: capture}), (parser,))


def status(resolution: Resolution, layer: Layer) -> Status:
    return next(v.status for v in resolution.verdicts if v.layer is layer)


def words(*names: str) -> frozenset[str]:
    return frozenset(names)


# The schemas


def validator(kind: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


LAYER = {
    "name": "silicon",
    "needs": {"fact": "cpuid.7.0.edx", "bit": 24},
    "source": {"cited": "a document"},
}
FEATURE = {
    "id": "x86/amx-tile",
    "title": "AMX tiles",
    "area": "compute",
    "summary": "Tile registers.",
    "layer": [LAYER],
}
CHIP = {
    "codename": "granite-rapids",
    "title": "Granite Rapids",
    "vendor": "GenuineIntel",
    "arch": "x86-64",
    "signature": [{"family": 6, "model": [0xAD, 0xAE]}],
    "source": {"cited": "a list"},
}


def with_layer(**changes: Any) -> dict[str, Any]:
    return {"feature": [{**FEATURE, "layer": [{**LAYER, **changes}]}]}


def test_a_feature_and_a_chip_of_the_form_pass_the_schema() -> None:
    assert validator("feature").is_valid({"feature": [FEATURE]})
    assert validator("chip").is_valid({"chip": [CHIP]})
    listed = {"granite-rapids": {"list": ["x86/amx-tile"], "source": {"derived": "xed"}}}
    assert validator("chip").is_valid({"features": listed})


@pytest.mark.parametrize(
    "needs",
    [
        {"fact": "a.b", "bits": [0, 3], "at-least": 1},
        {"fact": "a.b", "bits": [16, 19], "at-least": 0, "signed": True},
        {"fact": "a.b", "has": "word"},
        {"fact": "a.b", "equals": False},
        {"fact": "a.b", "at-least": "6.12"},
        {"not": {"any": [{"fact": "a.b", "bit": 1}, {"all": [{"fact": "c.d", "bit": 2}]}]}},
    ],
)
def test_every_predicate_of_the_closed_set_passes(needs: dict[str, Any]) -> None:
    assert validator("feature").is_valid(with_layer(needs=needs))


@pytest.mark.parametrize(
    "changes",
    [
        {"needs": {"fact": "a.b"}},
        {"needs": {"fact": "a.b", "bit": 128}},
        {"needs": {"fact": "a.b", "bit": 1, "has": "x"}},
        {"needs": {"fact": "a.b", "bits": [0], "at-least": 1}},
        {"needs": {"any": []}},
        {"needs": {"fact": "a.b", "python": "os.system"}},
        {"name": "silicone"},
        {"source": {}},
        {"source": {"cited": "x", "derived": "y"}},
        {"source": {"remembered": "x"}},
        {"since": {"project": "linux", "version": "v5.16"}},
        {"remedy": {"kind": "prayer", "do": "hope"}},
        {"cause": [{"when": {"fact": "a.b", "bit": 1}, "cause": "x", "kind": "unknown"}]},
        {"comment": "not a key"},
    ],
)
def test_what_is_not_of_the_form_fails_the_schema(changes: dict[str, Any]) -> None:
    assert not validator("feature").is_valid(with_layer(**changes))


@pytest.mark.parametrize("missing", ["id", "title", "area", "summary", "layer"])
def test_a_feature_needs_its_keys(missing: str) -> None:
    kept = {key: value for key, value in FEATURE.items() if key != missing}
    assert not validator("feature").is_valid({"feature": [kept]})


def test_a_layer_without_a_source_fails() -> None:
    bare = {key: value for key, value in LAYER.items() if key != "source"}
    assert not validator("feature").is_valid({"feature": [{**FEATURE, "layer": [bare]}]})


def test_a_thing_that_stands_twice_fails() -> None:
    assert not validator("feature").is_valid({"feature": [FEATURE, FEATURE]})
    twice = {**CHIP, "features": ["x86/amx-tile", "x86/amx-tile"]}
    assert not validator("chip").is_valid({"chip": [twice]})


def test_a_signature_mixes_no_architectures() -> None:
    mixed = {**CHIP, "signature": [{"family": 6, "implementer": 0x41, "part": 1}]}
    assert not validator("chip").is_valid({"chip": [mixed]})


# The data


def ours() -> list[Feature]:
    return [f for name, f in features().items() if name.startswith(OURS)]


def test_there_are_at_least_110_features_outside_x86() -> None:
    assert len(ours()) >= 110


def test_a_cause_that_stops_says_what_lifts_it() -> None:
    for feature in ours():
        for layer in feature.layers:
            for cause in layer.causes:
                lifted = cause.remedy or layer.remedy or cause.status == "absent"
                assert lifted, f"{feature.id}: {layer.name.value}: {cause.cause}"


def test_a_layer_above_silicon_names_a_remedy_or_its_causes() -> None:
    for feature in ours():
        for layer in feature.layers:
            if layer.name is not Layer.SILICON and layer.applies != layer.needs:
                assert layer.remedy or layer.causes, f"{feature.id}: {layer.name.value}"


# arm64: what the kernel hides is not absent


def test_a_word_that_an_old_core_lacks_is_absent() -> None:
    found = judged("arm64/dotprod", arm64__words=words("fp"), hwcap__words=words("fp"))
    assert status(found, Layer.SILICON) is Status.ABSENT


def test_sve_that_this_kernel_was_not_built_for_is_unknown_in_silicon_and_stops_at_the_build() -> (
    None
):
    found = judged("arm64/sve", arm64__words=words("fp"), kernel__config__CONFIG_ARM64_SVE="n")
    assert status(found, Layer.SILICON) is Status.UNKNOWN
    assert found.stop is not None
    assert found.stop.layer is Layer.KERNEL_BUILD


def test_sve_that_the_kernel_would_show_is_absent_where_it_does_not() -> None:
    found = judged(
        "arm64/sve",
        arm64__words=words("fp"),
        kernel__config__CONFIG_ARM64_SVE="y",
        kernel__cmdline_words=words("quiet"),
    )
    assert status(found, Layer.SILICON) is Status.ABSENT


def test_nosve_on_the_command_line_is_the_stop() -> None:
    found = judged(
        "arm64/sve",
        arm64__words=words("fp"),
        arm64__raw__id_aa64pfr0_el1=1 << 32,
        hwcap__words=words("fp"),
        cpuinfo__flags=words("fp"),
        kernel__config__CONFIG_ARM64_SVE="y",
        kernel__cmdline_words=words("arm64.nosve"),
    )
    assert status(found, Layer.SILICON) is Status.OFFERED
    assert found.stop is not None
    assert (found.stop.layer, found.stop.kind) == (Layer.KERNEL, "command-line")


def test_a_kernel_too_old_to_show_a_field_leaves_silicon_unknown() -> None:
    told: dict[str, Value] = {
        "arm64__words": words("fp"),
        "hwcap__words": words("fp"),
        "cpuinfo__flags": words("fp"),
        "kernel__cmdline_words": words(),
    }
    old = judged("arm64/mops", **told, kernel__release="5.15.0-91-generic")
    new = judged("arm64/mops", **told, kernel__release="6.17.0-5-generic")
    assert status(old, Layer.SILICON) is Status.UNKNOWN
    assert status(new, Layer.SILICON) is Status.ABSENT


def test_a_field_that_user_space_never_sees_is_unknown_not_absent() -> None:
    found = judged("arm64/e0pd", arm64__id_aa64mmfr2_el1=0, kernel__log=words("booted"))
    assert status(found, Layer.SILICON) is Status.UNKNOWN


def test_the_kernel_log_proves_what_user_space_never_sees() -> None:
    log = words("CPU features: detected: E0PD")
    assert status(judged("arm64/e0pd", kernel__log=log), Layer.SILICON) is Status.OFFERED


def test_ssbs_that_an_erratum_hides_is_the_workarounds_stop() -> None:
    found = judged(
        "arm64/ssbs",
        arm64__words=words("fp"),
        arm64__raw__id_aa64pfr1_el1=2 << 4,
        hwcap__words=words("fp"),
        cpuinfo__flags=words("fp"),
        arm64__midr=0x413FD0C1,
        kernel__log=words(),
        kernel__config__CONFIG_ARM64_ERRATUM_3194386="y",
    )
    assert found.stop is not None
    assert found.stop.kind == "mitigation"


def test_statistical_profiling_names_page_table_isolation() -> None:
    found = judged(
        "arm64/spe",
        perf__pmus=words("armv8_pmuv3_0"),
        arm64__raw__id_aa64dfr0_el1=1 << 32,
        kernel__config__CONFIG_ARM_SPE_PMU="m",
        kernel__modules=words("arm_spe_pmu"),
        platform__guest=False,
        kernel__vulnerability__meltdown="Mitigation: PTI",
        kernel__log=words(),
        kernel__cmdline_words=words(),
    )
    assert found.stop is not None
    assert found.stop.kind == "mitigation"
    assert found.stop.remedy is not None
    assert "kpti=off" in found.stop.remedy.do


CPUINFO = b"processor\t: 0\nFeatures\t: fp asimd atomics\nCPU implementer\t: 0x41\n"


def recorded(**captures: bytes) -> Facts:
    names = {"cpuinfo": "file:/proc/cpuinfo", "registers": "probe:arm64-id-registers"}
    taken = [Capture(names[name], CaptureStatus.OK, data) for name, data in captures.items()]
    return Facts(Snapshot({c.id: c for c in taken}), (arm64.PARSER,))


def test_cpuinfo_alone_tells_the_words() -> None:
    assert recorded(cpuinfo=CPUINFO).value("arm64.words") == words("fp", "asimd", "atomics")


def test_registers_alone_tell_the_words() -> None:
    told = recorded(registers=b"ID_AA64ISAR0_EL1 0x200000\n").value("arm64.words")
    assert isinstance(told, frozenset)
    assert "atomics" in told


def test_cpuinfo_of_another_architecture_tells_no_words() -> None:
    assert recorded(cpuinfo=b"features\t: esan3 zarch\n").value("arm64.words") is None


# RISC-V, s390x, POWER


def test_riscv_vectors_are_absent_where_firmware_and_kernel_say_so() -> None:
    found = judged(
        "riscv/v",
        riscv__isa=words("i", "m", "a"),
        kernel__config__CONFIG_RISCV_ISA_V="y",
        kernel__release="6.14.0",
    )
    assert status(found, Layer.SILICON) is Status.ABSENT


def test_riscv_vectors_behind_a_kernel_without_them_stop_at_the_build() -> None:
    found = judged(
        "riscv/v",
        riscv__isa=words("i"),
        riscv__firmware_isa=words("i", "v"),
        kernel__config__CONFIG_RISCV_ISA_V="n",
        kernel__release="6.14.0",
    )
    assert status(found, Layer.SILICON) is Status.OFFERED
    assert found.stop is not None
    assert found.stop.layer is Layer.KERNEL_BUILD


def test_a_profile_needs_each_of_its_extensions() -> None:
    rva22 = words(
        *["zba", "zbb", "zbs", "zicboz", "zicbom", "zicbop", "zihintpause", "zfhmin", "zkt"]
    )
    held = judged("riscv/rva22u64", riscv__isa=rva22)
    lacking = judged("riscv/rva22u64", riscv__isa=rva22 - {"zbs"})
    assert status(held, Layer.SILICON) is Status.OFFERED
    assert status(lacking, Layer.SILICON) is Status.ABSENT


def test_an_s390x_facility_number_is_enough() -> None:
    found = judged("s390x/nnpa", cpuinfo__facilities="0 1 129 165", hwcap__words=words())
    assert status(found, Layer.SILICON) is Status.OFFERED


# Devices: the reasons are told apart


def qat(**facts: Value) -> Resolution:
    common: dict[str, Value] = {
        "pci__ids": words("8086:4940"),
        "pci__unbound": words("8086:4940"),
        "pci__drivers": words(),
        "pci__devices": 9,
        "kernel__config__CONFIG_CRYPTO_DEV_QAT_4XXX": "m",
        "kernel__cmdline_words": words(),
        "kernel__firmware_missing": words(),
        "kernel__modules": words(),
        "platform__guest": False,
    }
    return judged("device/qat-4xxx", **{**common, **facts})


def kind(resolution: Resolution) -> str:
    stop = resolution.stop
    assert stop is not None
    return stop.kind


def test_a_bound_driver_offers_the_device() -> None:
    assert qat(pci__drivers=words("8086:4940=4xxx")).stop is None


def test_why_a_device_has_no_driver_is_told_apart() -> None:
    loaded = words("qat_4xxx")
    assert kind(qat()) == "module"
    assert kind(qat(kernel__modules=loaded)) == "not-upstream"
    missing = words("qat_4xxx.bin")
    assert kind(qat(kernel__modules=loaded, kernel__firmware_missing=missing)) == "not-installed"
    assert kind(qat(pci__drivers=words("8086:4940=vfio-pci"))) == "policy"
    blacklist = words("module_blacklist=qat_4xxx")
    assert kind(qat(kernel__cmdline_words=blacklist)) == "command-line"


def test_a_kernel_without_the_driver_stops_at_the_build() -> None:
    found = qat(kernel__config__CONFIG_CRYPTO_DEV_QAT_4XXX="n")
    assert found.stop is not None
    assert found.stop.layer is Layer.KERNEL_BUILD


def test_a_device_that_a_guest_has_not_is_absent_not_masked() -> None:
    found = resolve(
        features()["device/qat-4xxx"],
        facts_of({"pci.ids": words("1af4:1041"), "pci.devices": 3}),
        Silicon(title="Sapphire Rapids", masked_by="kvm"),
    )
    assert found.verdicts[0].status is Status.ABSENT


def test_work_queues_that_nobody_set_up_are_a_tunable() -> None:
    found = judged(
        "device/dsa",
        pci__ids=words("8086:0b25"),
        pci__drivers=words("8086:0b25=idxd"),
        kernel__config__CONFIG_INTEL_IDXD="m",
        kernel__config__CONFIG_INTEL_IOMMU_DEFAULT_ON="y",
        kernel__config__CONFIG_INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON="y",
        kernel__cmdline_words=words(),
        device__dsa__queues_enabled=0,
        device__dsa__enabled=0,
    )
    assert kind(found) == "tunable"


def test_a_flow_offload_that_is_off_on_every_interface_is_a_tunable() -> None:
    found = judged(
        "net/tc-flower-offload",
        net__offloads_able=words("hw-tc-offload"),
        net__offloads_on=words("tx-tcp-segmentation"),
        kernel__config__CONFIG_NET_CLS_FLOWER="m",
        kernel__config__CONFIG_NET_ACT_CT="m",
        kernel__config__CONFIG_NET_SWITCHDEV="y",
    )
    assert kind(found) == "tunable"


def test_the_avx512_datapath_that_open_vswitch_removed_is_not_upstream() -> None:
    found = judged(
        "net/ovs-avx512-dpif",
        cpuid__7__0__ebx=1 << 16 | 1 << 30,
        ovs__dpif=words("dpif_scalar"),
        ovs__version="3.8.0",
        ovs__dpdk_initialized=True,
    )
    assert kind(found) == "not-upstream"


def test_dev_kvm_that_the_user_may_not_open_is_a_permission() -> None:
    found = judged(
        "virt/kvm",
        kernel__config__CONFIG_KVM="m",
        kvm__device="denied",
        kvm__available=False,
        dev__nodes=words("kvm"),
    )
    assert kind(found) == "permission"


def pci_facts(**links: dict[str, str]) -> Facts:
    tree = {f"{slot}/{name}": text for slot, files in links.items() for name, text in files.items()}
    capture = Capture(pci.TREE, CaptureStatus.OK, json.dumps(tree).encode())
    return Facts(Snapshot({capture.id: capture}), (pci.PARSER,))


def test_pci_devices_are_told_by_maker_and_class_too() -> None:
    gpu = {"vendor": "0x10de\n", "device": "0x2330\n", "class": "0x030200\n"}
    facts = pci_facts(**{"0000:01:00.0": gpu})
    assert facts.value("pci.vendor_classes") == words("10de:0302")
    assert facts.value("pci.vendor_drivers") == words()
    assert facts.value("pci.degraded_count") == 0
