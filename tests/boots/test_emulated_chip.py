"""A chip made from QEMU's properties against the same model, booted."""

from __future__ import annotations

import pytest

from uplift.catalog.load import load_catalog
from uplift.facts.parsers import read_facts
from uplift.lab.chips import chip_named
from uplift.resolve.chip import judge_silicon, silicon_features
from uplift.resolve.scan import features_for

from .conftest import Boots

pytestmark = [pytest.mark.slow, pytest.mark.boots]
#: What the emulator lacks, as it warns, and the features that ask for it.
LACKING = {
    "pcid": "x86/pcid",
    "x2apic": "x86/x2apic",
    "tsc-deadline": "x86/tsc-deadline",
    "invpcid": "x86/invpcid",
}


@pytest.mark.parametrize("model", ["Nehalem", "Haswell-noTSX"])
def test_a_made_chip_shows_what_the_booted_model_shows_but_for_what_the_emulator_lacks(
    boots: Boots, model: str
) -> None:
    catalog = load_catalog()
    features = tuple(features_for(catalog.features, "x86-64"))
    booted = read_facts(boots.snapshot("x86_64", model))
    made = chip_named(f"qemu:{model}", catalog).facts
    shown, expected = (silicon_features(judge_silicon(f, features)) for f in (booted, made))
    compared = {name for name in expected if name in shown and name.startswith("x86/")}
    assert len(compared) > 200
    differing = {name for name in compared if shown[name] != expected[name]}
    lacking = boots.result("x86_64", model).lacking
    assert differing <= {LACKING[name] for name in lacking if name in LACKING}
