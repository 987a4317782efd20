"""Which newer Linux and QEMU give a guest what it lacks: values of the tables."""

from __future__ import annotations

import pytest

from tests.resolve.test_predict_arm64_guests import ARM64, RISCV, core, plan, recorded
from uplift.catalog.model import All, Layer, Since, Test
from uplift.catalog.since import Since as Bracket
from uplift.facts.model import Capture, CaptureStatus, Snapshot, Value
from uplift.facts.parsers import read_facts
from uplift.resolve.guest_versions import Newer, first_release, newer_for_guests
from uplift.resolve.model import Stop
from uplift.resolve.plan_facts import PlanFacts

HART = ["imafdchv", "zicbop", "zicboz", "zkt", "zvbb", "zicond", "zfa"]


def hart(kernel: str, qemu: str, *more: str, **stated_too: Value) -> PlanFacts:
    lines = "".join(f"{word} yes\n" for word in [*HART[0], *HART[1:], *more]).encode()
    listed = Capture("probe:riscv-isa-list", CaptureStatus.OK, lines)
    chip = read_facts(Snapshot({listed.id: listed}, kind="chip", arch="riscv64"))
    stated = {**RISCV, "kernel.release": kernel, "qemu.version": qemu, **stated_too}
    return plan("riscv64", chip, stated)


def newer(facts: PlanFacts, *words: str, fact: str = "kvm.isa") -> Newer | None:
    return newer_for_guests(All(tuple(Test(fact, "has", word) for word in words)), facts)


@pytest.mark.parametrize("word", ["zkt", "zicond", "zfa", "zvbb", "v"])
def test_where_the_kernel_passes_an_extension_on_an_old_qemu_is_the_stop(word: str):
    assert newer(hart("6.8.0", "8.2.2"), word) == ((word,), "", "9.0")


def test_where_the_kernel_withholds_it_linux_comes_first_and_qemu_is_named_too():
    found = newer(hart("6.17.8", "10.0.13"), "zicbop")
    assert found == (("zicbop",), "6.18", "11.1")
    assert found.since == Since("linux", "6.18")


def test_a_profile_needs_the_newest_of_what_its_extensions_need():
    assert newer(hart("6.17.8", "8.2.2"), "zkt", "zicbop", "zicboz") == (
        ("zicbop",),
        "6.18",
        "11.1",
    )
    assert newer(hart("7.0.0", "8.2.2"), "zkt", "zicbop", "zicboz") == (
        ("zkt", "zicbop"),
        "",
        "11.1",
    )


def test_no_version_gives_what_this_hart_does_not_meet_the_condition_for():
    facts = hart("6.8.0", "10.0.13", "sscofpmf")
    assert newer(facts, "sscofpmf") is None
    with_aia = hart("6.8.0", "10.0.13", "sscofpmf", "ssaia")
    assert newer(with_aia, "sscofpmf") == (("sscofpmf",), "6.11", "")


def test_what_guests_have_needs_nothing_newer():
    assert newer(hart("6.8.0", "9.0.0"), "zkt", "zicboz") is None


def test_the_stop_of_an_old_qemu_belongs_to_who_ships_it():
    facts = hart("6.8.0", "8.2.2")
    found = newer(facts, "zkt")
    assert found
    told = Stop(Layer.VIRTUALIZATION, "kvm.isa lacks zkt", "not-passed-on", "anybody", None)
    stop = found.stop(told, facts)
    assert (stop.owner, stop.remedy and stop.remedy.kind) == (
        "distribution virtualization team",
        "package",
    )
    assert "QEMU 8.2.2" in stop.cause
    assert stop.remedy and "QEMU 9.0 or later" in stop.remedy.do


def arm64(kernel: str, qemu: str = "11.1.3") -> PlanFacts:
    stated = {**ARM64, "kernel.release": kernel, "qemu.version": qemu}
    return plan("arm64", core(recorded("arm64-7.2.13")), stated)


def test_a_field_that_kvm_hides_in_this_linux_is_passed_by_the_first_that_does():
    assert newer(arm64("6.5.0"), "mops", fact="kvm.words") == (("mops",), "6.8", "")


def test_a_feature_that_qemu_did_not_ask_kvm_for_is_a_matter_of_qemu():
    assert newer(arm64("5.19.17", "6.2.0"), "paca", fact="kvm.words") == (("paca",), "", "7.0")


def test_what_no_linux_passes_on_has_no_version():
    assert newer(arm64("6.12.117"), "gcs", fact="kvm.words") is None


@pytest.mark.parametrize(
    ("without", "version", "release"),
    [
        ("6.17.8", "6.18.15", "6.18"),
        ("5.15.0", "5.15.200", "5.15.200"),
        ("6.12.38", "6.12.117", "6.12.117"),
        ("6.12.117", "6.13.7", "6.13"),
    ],
)
def test_what_another_series_lacks_came_with_the_first_release_of_this_one(
    without: str, version: str, release: str
):
    assert first_release(Bracket(without, version)) == release
