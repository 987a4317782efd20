"""What KVM, QEMU and libvirt say that a guest can get."""

from __future__ import annotations

import json

import pytest

from tests.facts.parsers.reading import RECORDINGS, facts_of, why_unknown
from uplift.facts.model import Capture, CaptureStatus, Facts, Missing, Snapshot
from uplift.facts.parsers import kvm, libvirt_host, qemu, read_facts
from uplift.facts.snapshot_file import load

PROBE, _RUN, DEVICE, PARAMETERS = kvm.PARSERS
CPUID = "   0x00000000 0x00: eax=0x0000000d ebx=0x0 ecx=0x0 edx=0x0\n"
TOLD = """\
api 12
create-vm ok
cap KVM_CAP_ARM_SVE 0
CPU 0:
   0x00000000 0x00: eax=0x00000007 ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65
   0x00000007 0x00: eax=0x00000000 ebx=0x219c07ab ecx=0x00400600 edx=0x01000000
emulated:
CPU 0:
   0x00000000 0x00: eax=0x00000007 ebx=0x00000000 ecx=0x00000000 edx=0x00000000
   0x00000001 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00400000 edx=0x00000000
"""


@pytest.fixture(scope="module")
def milan():
    return load(RECORDINGS / "software" / "milan.jsonl.gz")


def test_kvms_supported_and_emulated_cpuid_are_kept_apart():
    facts = facts_of(PROBE, {"probe:kvm": TOLD})
    assert facts.value("kvm.cpuid.7.0.edx") == 1 << 24
    assert facts.value("kvm.emulated.1.0.ecx") == 1 << 22
    assert facts.value("kvm.capability.KVM_CAP_ARM_SVE") == 0
    assert facts.value("kvm.available") is True


def test_a_leaf_that_kvm_does_not_list_is_not_offered_to_a_guest():
    facts = facts_of(PROBE, {"probe:kvm": TOLD})
    assert facts.value("kvm.cpuid.1e.1.eax") == 0
    assert facts.value("kvm.cpuid.1.0.ecx") == 0


def test_without_kvms_cpuid_a_leaf_is_unknown_though_a_machine_was_refused():
    facts = facts_of(PROBE, {"probe:kvm": "api 12\ncreate-vm errno EPERM\n"})
    assert facts.value("kvm.available") is False
    assert facts.value("kvm.create_error") == "EPERM"
    assert isinstance(facts.get("kvm.cpuid.7.0.edx"), Missing)


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("/dev/kvm crw-rw---- 0 107 rw", "ok"),
        ("/dev/kvm crw-rw---- 0 107 --", "denied"),
        ("/dev/kmsg crw-r--r-- 0 0 rw", "absent"),
    ],
)
def test_the_device_is_there_or_denied_though_the_probe_itself_told_nothing(line, state):
    captures = {"probe:dev-access": f"{line}\n", "probe:kvm": CaptureStatus.DENIED}
    assert facts_of(DEVICE, captures).value("kvm.device") == state


def test_parameters_of_kvms_modules_and_of_others_have_names_of_their_own():
    captures = {
        "tree:/sys/module/kvm_intel": {"parameters/nested": "Y\n"},
        "tree:/sys/module/cpuidle": {"parameters/off": "0\n"},
    }
    facts = facts_of(PARAMETERS, captures)
    assert facts.value("kvm.parameter.kvm_intel.nested") == "Y"
    assert facts.value("kernel.module.cpuidle.off") == "0"


@pytest.mark.parametrize("broken", ["", "nonsense\n", "api 12\n   0x00000000 0x00: eax=0x1\n"])
def test_a_broken_answer_of_kvm_is_unknown(broken):
    assert why_unknown(PROBE, {"probe:kvm": broken}, "kvm.cpuid.7.0.edx")


QMP = {
    "version": {"qemu": {"major": 9, "minor": 2, "micro": 1}, "package": ""},
    "kvm": {"enabled": True, "present": True},
    "cpu-definitions": [
        {"name": "host", "unavailable-features": []},
        {"name": "GraniteRapids-v1", "unavailable-features": ["amx-fp16", "xfd"]},
    ],
    "expansion-host": {"model": {"name": "base", "props": {"amx-tile": True, "sse4_1": True}}},
    "expansion-max": {"error": {"class": "GenericError", "desc": "…"}},
}
ANSWERS = "cmd:qemu-system-x86_64/qmp"


def _qemu(document: object) -> Facts:
    return facts_of(qemu.PARSER, {ANSWERS: json.dumps(document)})


def test_the_host_models_properties_are_told_with_dashes():
    facts = _qemu(QMP)
    assert facts.value("qemu.host.amx-tile") is True
    assert facts.value("qemu.host.sse4-1") is True
    assert facts.value("qemu.host.sse4_1") is True
    assert facts.value("qemu.version") == "9.2.1"
    assert facts.value("qemu.kvm") is True


def test_a_property_that_this_qemu_does_not_have_is_not_offered():
    assert _qemu(QMP).value("qemu.host.avx10-512") is False


def test_a_model_that_could_not_be_expanded_is_unknown():
    assert isinstance(_qemu(QMP).get("qemu.max.amx-tile"), Missing)


def test_what_a_model_lacks_here_is_told_per_model():
    facts = _qemu(QMP)
    assert facts.value("qemu.unavailable.GraniteRapids-v1") == {"amx-fp16", "xfd"}
    assert facts.value("qemu.models") == {"host", "GraniteRapids-v1"}


def test_of_several_emulators_the_one_that_can_use_kvm_answers():
    other = {"kvm": {"enabled": False}, "expansion-max": {"model": {"props": {"sve": True}}}}
    captures = {ANSWERS: json.dumps(QMP), "cmd:qemu-system-aarch64/qmp": json.dumps(other)}
    facts = facts_of(qemu.PARSER, captures)
    assert facts.value("qemu.host.amx-tile") is True
    assert facts.value("qemu.targets") == {"x86_64", "aarch64"}
    assert isinstance(facts.get("qemu.max.sve"), Missing)


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"a":' * 2000, "9" * 5000])
def test_broken_json_of_qemu_is_unknown(broken):
    assert why_unknown(qemu.PARSER, {ANSWERS: broken}, "qemu.host.amx-tile")


def test_a_real_qemu_and_kvm_are_read(milan):
    facts = Facts(milan, (qemu.PARSER, *kvm.PARSERS))
    assert facts.value("qemu.version").startswith("7.2")
    assert facts.value("qemu.host.clflushopt") is True
    assert facts.value("qemu.host.avx2") is False  # this host's KVM passes little on
    assert facts.value("kvm.device") == "ok"
    assert not facts.value("kvm.cpuid.7.0.ebx") >> 5 & 1
    assert facts.value("kvm.cpuid.7.0.ebx") >> 23 & 1
    assert "EPYC-Milan" in facts.value("qemu.models")


DOMAIN = """<domainCapabilities><cpu>
<mode name='host-model' supported='yes'><model fallback='forbid'>SapphireRapids</model>
<feature policy='require' name='amx-tile'/><feature policy='disable' name='hle'/></mode>
<mode name='custom' supported='yes'><model usable='yes'>Haswell</model>
<model usable='no'>GraniteRapids</model></mode></cpu>
<features><sev supported='no'/><sgx supported='yes'/></features></domainCapabilities>"""
DOMAIN_CAPTURE = "cmd:virsh/domcapabilities"


def test_libvirts_host_model_is_its_name_its_features_and_the_usable_models():
    facts = facts_of(libvirt_host.PARSER, {DOMAIN_CAPTURE: DOMAIN, "cmd:virsh/version": "9.0.0\n"})
    assert facts.value("libvirt.host_model") == "SapphireRapids"
    assert facts.value("libvirt.features") == {"amx-tile"}
    assert facts.value("libvirt.disabled") == {"hle"}
    assert facts.value("libvirt.usable_models") == {"Haswell"}
    assert facts.value("libvirt.sgx") is True
    assert facts.value("libvirt.sev") is False
    assert facts.value("libvirt.version") == "9.0.0"


@pytest.mark.parametrize(
    "broken",
    ["<a", "", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"],
)
def test_broken_or_hostile_xml_of_libvirt_is_unknown(broken):
    why = why_unknown(libvirt_host.PARSER, {DOMAIN_CAPTURE: broken}, "libvirt.features")
    assert "is no XML" in why


def test_a_machine_without_libvirt_says_so():
    facts = facts_of(libvirt_host.PARSER, {DOMAIN_CAPTURE: CaptureStatus.ABSENT})
    assert facts.get("libvirt.features").why == "cmd:virsh/domcapabilities was absent"


@pytest.mark.parametrize(
    ("text", "runs"),
    [("run exit 5\n", True), ("run exit 17\n", False), ("run errno EINTR\n", False)],
)
def test_a_guest_runs_only_when_it_halted(text: str, runs: bool) -> None:
    captures = {"probe:kvm-run": Capture("probe:kvm-run", CaptureStatus.OK, text.encode())}
    facts = read_facts(Snapshot(captures))
    assert (facts.value("kvm.runs"), facts.value("kvm.run_failed")) == (runs, not runs)


def test_a_guest_that_nobody_tried_failed_no_run() -> None:
    captures = {"probe:kvm": Capture("probe:kvm", CaptureStatus.OK, b"api 12\ncreate-vm ok\n")}
    facts = read_facts(Snapshot(captures))
    assert (facts.value("kvm.runs"), facts.value("kvm.run_failed")) == (None, False)
