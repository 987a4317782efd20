"""What was read from a virtual processor of KVM's."""

from __future__ import annotations

import pytest

from tests.facts.parsers.reading import RECORDINGS, facts_of, why_unknown
from uplift.facts.model import CaptureStatus
from uplift.facts.parsers import kvm_guest, read_facts
from uplift.facts.snapshot_file import load

ARM64, RISCV = kvm_guest.PARSERS


def test_the_second_processor_has_what_qemu_must_be_asked_for():
    facts = read_facts(load(RECORDINGS / "kvm-guests" / "arm64-6.1.192.jsonl"))
    words, asked = facts.value("kvm.words"), facts.value("kvm.asked_words")
    assert {"sve2", "paca", "hbc"} <= words
    assert asked - words == {"mte", "mte3"}
    assert facts.value("kvm.vcpu_features") >= {"sve", "ptrauth-address"}
    assert facts.value("kvm.register.id_aa64smfr0_el1") == 0


def test_where_kvm_has_no_memory_tags_asking_gives_no_more():
    told = "features psci-0.2\nID_AA64ISAR0_EL1 0x20\n"
    facts = facts_of(ARM64, {kvm_guest.REGISTERS: told})
    assert facts.value("kvm.words") == facts.value("kvm.asked_words") == {"aes", "pmull"}


def test_extensions_are_told_by_kvms_numbers():
    facts = facts_of(RISCV, {kvm_guest.EXTENSIONS: "0 1\n4 0\n17 1\n9999 1\n"})
    assert facts.value("kvm.isa") == {"a", "zba"}


@pytest.mark.parametrize("text", ["ID_AA64ISAR0_EL1 0x20\n", "features sve\nsve yes\n", ""])
def test_what_is_no_list_of_registers_is_refused(text: str):
    assert why_unknown(ARM64, {kvm_guest.REGISTERS: text}, "kvm.words")


def test_a_line_that_is_no_number_is_refused_with_its_place():
    why = why_unknown(RISCV, {kvm_guest.EXTENSIONS: "0 1\nzba\n"}, "kvm.isa")
    assert "line 2" in why


def test_where_kvm_was_not_asked_nothing_is_known():
    assert why_unknown(ARM64, {kvm_guest.REGISTERS: CaptureStatus.ABSENT}, "kvm.words")
