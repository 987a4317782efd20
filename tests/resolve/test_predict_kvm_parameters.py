"""What KVM's modules are loaded with by default, by version of Linux and by chip."""

from __future__ import annotations

import pytest

from tests.resolve.plan_values import chip, release, under, value
from tests.resolve.test_real_cases import cell
from uplift.facts.model import Missing
from uplift.resolve.matrix import Answer, Use

#: Zen 5: family 0x1a, model 2; SVM with AVIC (bit 13), x2AVIC (18) and vNMI (25).
ZEN5 = chip(
    leaf_0_0=(0x10, 0x68747541, 0x444D4163, 0x69746E65),
    leaf_1_0=(0x00B00F21, 0, 0, 0),
    leaf_8000000a_0=(1, 0x8000, 0, 0x1 | 1 << 13 | 1 << 18 | 1 << 25),
)
#: Zen 3: family 0x19, model 1, with AVIC and without x2AVIC.
ZEN3 = chip(
    leaf_0_0=(0x10, 0x68747541, 0x444D4163, 0x69746E65),
    leaf_1_0=(0x00A00F11, 0, 0, 0),
    leaf_8000000a_0=(1, 0x8000, 0, 0x1 | 1 << 13),
)


def default(parameter: str, linux: str, silicon=None) -> str:
    facts = under(release(kernel__release=linux), silicon)
    return str(value(facts, f"kvm.parameter.{parameter}"))


def test_intels_defaults_are_on_and_what_came_later_has_no_parameter():
    assert default("kvm_intel.ept", "5.15.0") == "Y"
    assert default("kvm_intel.nested", "6.8.0") == "Y"
    assert default("kvm_intel.enable_ipiv", "5.15.0") == "none"
    assert default("kvm_intel.enable_ipiv", "6.12.38") == "Y"
    assert default("kvm_intel.enable_mediated_pmu", "6.12.38") == "none"
    assert default("kvm_intel.enable_mediated_pmu", "7.2.6") == "N"


@pytest.mark.parametrize(
    ("linux", "zen3", "zen5"), [("6.8.0", "N", "N"), ("6.17.8", "N", "N"), ("7.0.0", "N", "Y")]
)
def test_avic_is_on_by_default_from_zen_4_and_linux_6_18_on(linux: str, zen3: str, zen5: str):
    assert default("kvm_amd.avic", linux, ZEN3) == zen3
    assert default("kvm_amd.avic", linux, ZEN5) == zen5


def test_a_parameter_is_off_where_the_chip_lacks_its_bit():
    assert default("kvm_amd.vnmi", "6.12.38", ZEN5) == "Y"
    assert default("kvm_amd.vnmi", "6.12.38", ZEN3) == "N"


def test_the_module_of_another_vendor_is_not_loaded():
    assert default("kvm_intel.ept", "6.12.38", ZEN5) == "none"
    assert default("kvm_amd.nested", "6.12.38") == "none"


def test_what_rests_on_firmware_no_table_tells():
    found = under(release(kernel__release="6.12.38"), ZEN5).get("kvm.parameter.kvm_amd.sev")
    assert isinstance(found, Missing) and "only a machine" in found.why


def test_guests_nest_by_default_and_a_mediated_pmu_must_be_asked_for():
    assert cell("granite-rapids", "jammy", "x86/nested-vmx").uses[Use.GUEST].answer is Answer.USABLE
    assert cell("turin", "trixie", "virt/nested").uses[Use.HOST].answer is Answer.USABLE
    for name, kind in (("trixie", "kernel"), ("sid", "module")):
        guest = cell("granite-rapids", name, "x86/mediated-pmu").uses[Use.GUEST]
        assert guest.stop is not None and guest.stop.remedy is not None
        assert guest.stop.remedy.kind == kind
