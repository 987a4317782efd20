"""What upstream's sources say of single cells of the matrix on x86, chip by release."""

from __future__ import annotations

import pytest

from tests.resolve.test_real_cases import cell
from uplift.resolve.matrix import Answer, Use


def said(chip: str, release: str, feature: str, use: Use) -> str:
    return cell(chip, release, f"x86/{feature}").uses[use].answer.value


@pytest.mark.parametrize(
    ("chip", "release", "feature", "answer"),
    [
        ("granite-rapids", "trixie", "pebs", "usable"),
        ("granite-rapids", "jammy", "pebs", "stopped"),
        ("granite-rapids", "trixie", "arat", "usable"),
        ("granite-rapids", "trixie", "kernel-aes", "usable"),
        ("granite-rapids", "trixie", "monitor-mwait", "stopped"),
        ("granite-rapids", "sid", "uintr", "stopped"),
        ("turin", "trixie", "mca", "usable"),
        ("turin", "noble", "svm-vmcb-clean", "usable"),
        ("turin", "jammy", "svm-vmcb-clean", "stopped"),
        ("turin", "bookworm", "svm-flush-by-asid", "stopped"),
        ("turin", "noble", "succor", "stopped"),
        ("turin", "trixie", "succor", "usable"),
    ],
)
def test_a_guest_gets_what_kvm_or_qemu_passes_on(chip, release, feature, answer):
    assert said(chip, release, feature, Use.GUEST) == answer


@pytest.mark.parametrize(
    ("chip", "feature", "without", "having"),
    [
        ("turin", "snp-rmpread", "jammy", "resolute"),
        ("turin", "snp-secure-tsc", "noble", "sid"),
        ("turin", "bus-lock-threshold", "trixie", "questing"),
        ("turin", "idle-hlt-intercept", "trixie", "questing"),
        ("turin", "gmet", "resolute", "sid"),
        ("turin", "user-cpuid-faulting", "trixie", "questing"),
        ("turin", "eraps", "questing", "resolute"),
        ("diamond-rapids", "lkgs", "bookworm", "trixie"),
        ("diamond-rapids", "wrmsrns", "trixie", "questing"),
    ],
)
def test_a_kernel_uses_it_from_the_version_that_has_its_code(chip, feature, without, having):
    assert said(chip, without, feature, Use.HOST) == "stopped"
    assert said(chip, having, feature, Use.HOST) == "usable"


def test_what_no_linux_uses_for_itself_is_stopped_upstream():
    stop = cell("granite-rapids", "sid", "x86/intel-psfd").uses[Use.HOST].stop
    assert stop is not None and stop.kind == "not-upstream"


def test_a_mitigation_that_a_stable_series_took_is_there():
    assert said("granite-rapids", "bookworm", "bhi-ctrl", Use.HOST) == "usable"
    assert said("turin", "bookworm", "sbpb", Use.HOST) == "usable"


def test_assigned_counters_hide_their_event_configuration():
    host = cell("turin", "sid", "x86/qos-bmec").uses[Use.HOST]
    assert host.answer is Answer.STOPPED and host.stop is not None
    assert host.stop.remedy is not None and "mbm_assign_mode" in host.stop.remedy.do
    assert said("turin", "trixie", "qos-bmec", Use.HOST) == "usable"


def test_tsx_is_on_from_ice_lake_on_where_the_kernel_decides_by_taa():
    assert said("granite-rapids", "trixie-backports+cloud", "rtm", Use.HOST) == "usable"
    assert said("granite-rapids", "trixie", "rtm", Use.HOST) == "stopped"


def test_a_model_that_demands_tsx_is_whole_only_where_the_kernel_leaves_tsx_on():
    guest = cell("granite-rapids", "trixie", "x86/qemu-model-granite-rapids").uses[Use.GUEST]
    assert guest.stop is not None and guest.stop.remedy is not None
    assert guest.stop.remedy.do.startswith("-cpu GraniteRapids,-hle,-rtm")
    on = "trixie-backports+cloud"
    assert said("granite-rapids", on, "qemu-model-granite-rapids", Use.GUEST) == "usable"


def test_kvm_passes_on_the_version_of_avx10_and_caps_it():
    assert said("granite-rapids", "trixie", "avx10.1", Use.GUEST) == "usable"
    assert said("diamond-rapids", "trixie", "avx10.2", Use.GUEST) == "stopped"
    assert said("diamond-rapids", "sid", "avx10.1", Use.GUEST) == "usable"


def test_what_rests_on_an_unread_configuration_is_unknown_to_guests_as_to_the_host():
    assert said("turin", "stonking", "pku", Use.HOST) == "unknown"
    assert said("turin", "stonking", "pku", Use.GUEST) == "unknown"
