"""What a KVM guest on arm64 or RISC-V is expected to get, against what KVM really gave."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.catalog.model import Source
from uplift.catalog.releases import BASE, ComponentSet, Release, SelectedRelease, Stated
from uplift.facts.hwcap_tables import bit_names
from uplift.facts.model import Capture, CaptureStatus, Facts, Missing, PartialWords, Snapshot, Value
from uplift.facts.parsers import read_facts
from uplift.facts.snapshot_file import load
from uplift.resolve.compose import compose
from uplift.resolve.plan_facts import PlanFacts

RECORDINGS = Path(__file__).parents[1] / "recordings" / "kvm-guests"
EL0, RAW = "probe:arm64-id-registers", "probe:arm64-raw-registers"
OPTIONS = ("SVE", "SME", "GCS", "BTI", "PTR_AUTH", "MTE", "POE")
#: Of Debian's kernels, all but what came later.
ARM64: dict[str, Value] = {
    **{f"kernel.config.CONFIG_ARM64_{option}": "y" for option in OPTIONS},
    "kernel.config.CONFIG_KVM": "y",
    "image.hwcaps": frozenset(n for bits in bit_names("arm64").values() for n in bits.values()),
    "qemu.version": "11.1.3",
}
RISCV: dict[str, Value] = {
    "kernel.config.CONFIG_KVM": "m",
    **{f"kernel.config.CONFIG_RISCV_ISA_{o}": "y" for o in ("V", "V_DEFAULT_ENABLE", "SUPM")},
    # what the kernel itself uses: it reports the extensions either way
    **{f"kernel.config.CONFIG_RISCV_ISA_{o}": "n" for o in ("ZICBOM", "ZICBOP", "ZICBOZ")},
    "kernel.config.CONFIG_RISCV_USER_CFI": "y",
    "qemu.version": "11.1.3",
}


def recorded(name: str) -> Facts:
    return read_facts(load(RECORDINGS / f"{name}.jsonl"))


def plan(debian: str, chip: Facts, stated: dict[str, Value]) -> PlanFacts:
    nothing = Snapshot({}, kind="release", arch=chip.snapshot.arch)
    base = ComponentSet(BASE, BASE, nothing)
    told = {n: Stated(n, v, Source("cited", "a document")) for n, v in stated.items()}
    made = SelectedRelease("some", debian, Release("some", "Some"), (base,), nothing, told)
    return compose(chip, made, read_facts(nothing))


def core(machine: Facts) -> Facts:
    """Return the emulated core: registers that no kernel masked, else as programs see them."""
    raw, el0 = (machine.snapshot.captures[name].text.splitlines() for name in (RAW, EL0))
    have = {line.split()[0] for line in raw}
    text = "\n".join((*raw, *(line for line in el0 if line.split()[0] not in have)))
    capture = Capture(RAW, CaptureStatus.OK, text.encode())
    return read_facts(Snapshot({RAW: capture}, kind="chip", arch="aarch64"))


def words(kernel: str, machine: Facts | None = None, **changed: Value) -> PartialWords:
    facts = {"kernel.release": kernel, **ARM64}
    facts |= {name.replace("__", "."): value for name, value in changed.items()}
    found = plan("arm64", core(machine or recorded("arm64-7.2.13")), facts).get("kvm.words")
    assert not isinstance(found, Missing), found
    assert isinstance(found.value, PartialWords)
    return found.value


@pytest.mark.parametrize("kernel", ["6.1.192", "6.12.117", "7.2.13"])
@pytest.mark.parametrize("fact", ["kvm.words", "kvm.asked_words"])
def test_every_word_of_a_guest_on_arm64_is_predicted_and_no_other(kernel: str, fact: str):
    machine = recorded(f"arm64-{kernel}")
    told = plan("arm64", core(machine), {"kernel.release": kernel, **ARM64}).value(fact)
    assert isinstance(told, PartialWords)
    assert not told.why
    assert told == machine.value(fact)


@pytest.mark.parametrize("kernel", ["6.12.117", "7.2.13"])
def test_every_extension_of_a_guest_on_riscv_is_predicted_and_no_other(kernel: str):
    machine = recorded(f"riscv64-{kernel}")
    host = machine.value("riscv.isa")
    assert isinstance(host, frozenset)
    lines = "".join(f"{word} yes\n" for word in sorted(host)).encode()
    listed = Capture("probe:riscv-isa-list", CaptureStatus.OK, lines)
    chip = read_facts(Snapshot({listed.id: listed}, kind="chip", arch="riscv64"))
    stated = {"kernel.release": kernel, "image.riscv_isa": host, **RISCV}
    facts = plan("riscv64", chip, stated)
    assert facts.value("kvm.available") is True
    told = facts.value("kvm.isa")
    assert isinstance(told, PartialWords)
    assert not told.why
    given = machine.value("kvm.isa")
    assert isinstance(given, frozenset)
    # KVM gives these two as well, and this QEMU writes them into no device tree
    assert given - told == ({"zaamo", "zalrsc"} if kernel == "7.2.13" else set())
    assert told <= given


def test_a_guest_can_have_a_word_that_its_hosts_kernel_does_not_know():
    told = words("6.1.192", image__hwcaps=ARM64["image.hwcaps"] - {"hbc"})  # type: ignore[operator]
    assert "hbc" in told


def test_sme_reaches_no_guest():
    assert not {word for word in words("7.2.13") if word.startswith("sme")}


def test_a_field_that_kvm_hid_between_two_versions_read_is_open_there():
    assert "mops" not in words("6.5.13").why
    assert "mops" not in words("6.5.13")
    assert "between Linux 6.5.13 and 6.8.0" in words("6.6.0").open("mops")
    assert "mops" in words("6.8.12")


def test_the_qemu_of_22_04_does_not_ask_kvm_for_pointer_authentication():
    told = words("6.8.12", qemu__version="6.2.0")
    assert "paca" not in told
    assert not told.open("paca")
    assert "paca" in words("6.8.12", qemu__version="8.2.2")


def test_a_property_of_qemus_is_on_where_kvm_gives_the_words():
    stated = {"kernel.release": "6.8.12", **ARM64}
    chip = core(recorded("arm64-7.2.13"))
    assert plan("arm64", chip, stated).value("qemu.host.pauth") is True
    old = plan("arm64", chip, {**stated, "qemu.version": "6.2.0"})
    assert old.value("qemu.host.pauth") is False
    assert old.value("qemu.host.sve") is True


def test_without_sve_in_the_hosts_kernel_no_guest_has_it():
    told = words("7.2.13", kernel__config__CONFIG_ARM64_SVE="n")
    assert not told & {"sve", "sve2", "sve2p1"}
    assert "bf16" in told


def test_memory_tags_need_to_be_asked_for():
    stated = {"kernel.release": "7.2.13", **ARM64}
    facts = plan("arm64", core(recorded("arm64-7.2.13")), stated)
    unasked, asked = facts.value("kvm.words"), facts.value("kvm.asked_words")
    assert isinstance(unasked, frozenset)
    assert isinstance(asked, frozenset)
    assert asked - unasked == {"mte", "mte3", "mtefar", "mtestoreonly"}


def test_without_a_kernel_nothing_is_predicted():
    found = plan("arm64", core(recorded("arm64-7.2.13")), {}).get("kvm.words")
    assert isinstance(found, Missing)
    assert found.why == "neither the kernel's image nor its version is known"
