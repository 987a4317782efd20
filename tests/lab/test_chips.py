"""Finding the chip that a user names, with the QEMU of recorded releases."""

from __future__ import annotations

import re

import pytest

from uplift.catalog.load import load_catalog
from uplift.catalog.releases import SHIPPED, Place
from uplift.errors import UpliftError
from uplift.facts.model import PartialRegister
from uplift.lab.chips import chip_named
from uplift.resolve.chip_side import silicon_status

CATALOG = load_catalog()
FEATURES = {feature.id: feature for feature in CATALOG.features}
PLACES = (Place(SHIPPED),)


def test_a_recorded_releases_model_has_the_bits_that_its_qemu_gives_it() -> None:
    genoa = chip_named("qemu:EPYC-Genoa@trixie", CATALOG, PLACES)
    assert re.fullmatch(r"QEMU 10\.0\.\d+'s CPU model EPYC-Genoa", genoa.title)
    assert (genoa.facts.value("cpuid.family"), genoa.facts.value("cpuid.model")) == (25, 17)
    assert silicon_status(genoa, FEATURES["x86/avx512-bf16"]).holds is True
    assert silicon_status(genoa, FEATURES["x86/amx-tile"]).holds is False
    assert genoa.listed.source == "cmd:qemu-system-x86_64/qmp of trixie"


def test_an_emulated_chip_leaves_no_bit_open() -> None:
    chip = chip_named("qemu:SapphireRapids@trixie", CATALOG, PLACES)
    registers = chip.facts.under("cpuid.").values()
    assert not [value for value in registers if isinstance(value, PartialRegister)]


def test_amx_state_follows_from_the_model() -> None:
    chip = chip_named("qemu:SapphireRapids@trixie", CATALOG, PLACES)
    states = chip.facts.value("cpuid.d.0.eax")
    assert isinstance(states, int)
    assert states >> 17 & 3 == 3


def test_a_model_that_the_releases_qemu_does_not_have_tells_near_ones() -> None:
    with pytest.raises(UpliftError) as caught:
        chip_named("qemu:EPYC-Genoaa@trixie", CATALOG, PLACES)
    assert "EPYC-Genoa" in caught.value.cause


def test_devices_of_an_emulated_chip_are_unknown() -> None:
    chip = chip_named("qemu:SapphireRapids@trixie", CATALOG, PLACES)
    assert silicon_status(chip, FEATURES["device/dsa"]).holds is None
