"""arm64 ID registers, MIDR, and the HWCAP words that they imply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uplift.facts.hwcap_tables import Condition, arm64_rules, bit_names, implied_hwcaps
from uplift.facts.model import Capture, CaptureStatus, Facts, Missing, Snapshot
from uplift.facts.parsers import arm64, hwcap, platform_strings, riscv

GRAVITON4_MIDR = 0x410FD4F1


def _facts(**captures: bytes) -> Facts:
    names = {
        "registers": "probe:arm64-id-registers",
        "cpuinfo": "file:/proc/cpuinfo",
        "auxv": "probe:auxv",
        "uname": "probe:uname",
    }
    taken = [Capture(names[name], CaptureStatus.OK, data) for name, data in captures.items()]
    return Facts(Snapshot({c.id: c for c in taken}), (arm64.PARSER, hwcap.PARSER))


def _registers(conditions: tuple[Condition, ...]) -> dict[str, int]:
    """Return register values at which every condition just holds."""
    values: dict[str, int] = {}
    for condition in conditions:
        mask = (1 << condition.high - condition.low + 1) - 1
        field = (condition.minimum & mask) << condition.low
        values[condition.register] = values.get(condition.register, 0) | field
    return values


def _one_less(condition: Condition, registers: dict[str, int]) -> dict[str, int]:
    """Return the same registers with one field just below what is asked for."""
    mask = (1 << condition.high - condition.low + 1) - 1
    kept = registers[condition.register] & ~(mask << condition.low)
    below = (condition.minimum - 1) & mask
    return {**registers, condition.register: kept | below << condition.low}


@pytest.mark.parametrize("word", sorted(arm64_rules()))
def test_a_word_is_implied_from_its_value_on_and_not_below(word: str) -> None:
    for alternative in arm64_rules()[word]:
        at = _registers(alternative)
        assert word in implied_hwcaps(at)
        for condition in alternative:
            below = _one_less(condition, at)
            other_ways = [a for a in arm64_rules()[word] if a != alternative]
            assert word not in implied_hwcaps(below) or any(
                all(c.register in below and c.holds(below[c.register]) for c in a)
                for a in other_ways
            )


def test_every_word_of_the_kernel_has_a_rule_but_the_two_that_no_register_implies() -> None:
    named = {name for bits in bit_names("arm64").values() for name in bits.values()}
    assert named - arm64_rules().keys() == {"evtstrm", "cpuid"}
    assert arm64_rules().keys() <= named
    assert len(arm64_rules()) == 122


def test_a_signed_field_of_all_ones_means_not_implemented() -> None:
    no_fp = {"id_aa64pfr0_el1": 0xFF << 16}
    assert not implied_hwcaps(no_fp)
    assert implied_hwcaps({"id_aa64pfr0_el1": 0}) == {"fp", "asimd"}


def test_what_sve_has_counts_only_where_sve_is() -> None:
    assert "sve2" not in implied_hwcaps({"id_aa64zfr0_el1": 1, "id_aa64pfr0_el1": 0})
    assert "sve2" in implied_hwcaps({"id_aa64zfr0_el1": 1, "id_aa64pfr0_el1": 1 << 32})


def test_registers_become_facts_with_the_words_they_imply() -> None:
    facts = _facts(
        registers=b"ID_AA64PFR0_EL1 0x1100000000\nID_AA64ZFR0_EL1 0x1\nMIDR_EL1 0x410fd4f1\n"
    )
    assert facts.value("arm64.id_aa64zfr0_el1") == 1
    assert facts.value("arm64.midr") == GRAVITON4_MIDR
    assert facts.value("arm64.implied_hwcaps") == {"fp", "asimd", "sve", "sve2"}


def test_a_broken_register_line_leaves_the_facts_unknown() -> None:
    found = _facts(registers=b"ID_AA64PFR0_EL1 0x11\nID_AA64ZFR0_EL1 yes\n").get("arm64.midr")
    assert isinstance(found, Missing)
    assert "line 2" in found.why


def test_a_register_that_stands_twice_with_two_values_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        arm64.parse_registers("MIDR_EL1 0x1\nMIDR_EL1 0x2\n")


def test_registers_that_nobody_masked_are_facts_of_their_own() -> None:
    raw = Capture("probe:arm64-raw-registers", CaptureStatus.OK, b"ID_AA64ZFR0_EL1 0x1\n")
    facts = Facts(Snapshot({raw.id: raw}), (arm64.PARSER,))
    assert facts.value("arm64.raw.id_aa64zfr0_el1") == 1
    assert isinstance(facts.get("arm64.id_aa64zfr0_el1"), Missing)


def test_registers_that_nobody_recorded_are_missing() -> None:
    assert isinstance(_facts().get("arm64.midr"), Missing)


def test_midr_is_put_together_from_cpuinfo() -> None:
    text = (
        b"processor : 0\nFeatures : fp asimd sve2\nCPU implementer : 0x41\n"
        b"CPU architecture: 8\nCPU variant : 0x0\nCPU part : 0xd4f\nCPU revision : 1\n"
    )
    facts = _facts(cpuinfo=text)
    assert facts.value("arm64.midr") == GRAVITON4_MIDR
    assert facts.value("hwcap.words") == {"fp", "asimd", "sve2"}


def test_words_come_from_the_bits_of_every_entry() -> None:
    auxv = b"AT_HWCAP 0x3\nAT_HWCAP2 0x2\nAT_HWCAP3 0x8\nAT_PLATFORM aarch64\n"
    facts = _facts(auxv=auxv)
    assert facts.value("hwcap.words") == {"fp", "asimd", "sve2", "ls64"}


def test_bits_of_an_architecture_that_is_not_known_have_no_names() -> None:
    facts = _facts(auxv=b"AT_HWCAP 0x3\n")
    assert facts.value("hwcap.hwcap") == 3
    assert isinstance(facts.get("hwcap.words"), Missing)


def test_the_architecture_is_told_by_uname_before_the_platform_string() -> None:
    facts = _facts(auxv=b"AT_HWCAP 0x1105\n", uname=b"sysname Linux\nmachine riscv64\n")
    assert facts.value("hwcap.words") == {"a", "c", "i", "m"}


def test_a_platform_string_may_be_empty_as_riscv_has_it() -> None:
    auxv, uname = b"AT_HWCAP 0x1\nAT_PLATFORM \n", b"machine riscv64\n"
    assert _facts(auxv=auxv, uname=uname).value("hwcap.words") == {"a"}


def test_a_broken_entry_of_the_vector_is_refused_with_its_line() -> None:
    found = _facts(auxv=b"AT_HWCAP 0x3\nrubbish\n").get("hwcap.words")
    assert isinstance(found, Missing)
    assert "line 2" in found.why


def test_s390x_and_power_words_are_named_too() -> None:
    assert "nnpa" in bit_names("s390x")["AT_HWCAP"].values()
    assert bit_names("ppc64el")["AT_HWCAP2"][17] == "mma"


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_by_value_error_only(text: str) -> None:
    for parse in (
        arm64.parse_registers,
        arm64.parse_midrs,
        riscv.parse_hwprobe,
        riscv.parse_cpuinfo,
        platform_strings.parse_sysctl,
        lambda words: hwcap.parse_auxv(words, "aarch64"),
    ):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)
