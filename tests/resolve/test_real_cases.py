"""The verdicts that real enablement cases turned on, on the releases that are shipped."""

from __future__ import annotations

from functools import cache

from uplift.catalog.load import load_catalog
from uplift.catalog.model import Layer
from uplift.catalog.releases import load_release
from uplift.facts.parsers import read_facts
from uplift.resolve.chip_side import chip_side
from uplift.resolve.matrix import Answer, Cell, ReleaseSide, Use, plan
from uplift.resolve.model import Status

catalog = cache(load_catalog)


@cache
def cell(chip: str, release: str, feature: str, as_of: str = "") -> Cell:
    found = next(c for c in catalog().chips if c.codename == chip)
    selected = load_release(release, "amd64", as_of=as_of)
    side = ReleaseSide(selected, read_facts(selected.snapshot))
    (made,) = plan(chip_side(found, catalog()), side, catalog(), [feature])
    return made


def status(made: Cell, layer: Layer) -> Status:
    return next(v.status for v in made.resolution.verdicts if v.layer is layer)


def test_avx10_is_unknown_to_the_qemu_of_24_04():
    made = cell("granite-rapids", "noble", "x86/avx10.1")
    guest = made.uses[Use.GUEST]
    assert guest.answer is Answer.STOPPED
    assert guest.stop is not None and guest.stop.layer is Layer.VIRTUALIZATION
    assert made.uses[Use.HOST].answer is Answer.USABLE
    assert made.basis == "cited"


def test_amx_on_22_04_needs_its_backport():
    before = cell("sapphire-rapids", "jammy", "x86/amx-tile", as_of="2022-05-01")
    after = cell("sapphire-rapids", "jammy", "x86/amx-tile")
    assert before.uses[Use.HOST].answer is Answer.STOPPED
    assert after.uses[Use.HOST].answer is Answer.USABLE
    assert before.since is not None and before.since.version == "5.16"


def test_the_backport_of_amx_to_22_04_did_not_bring_it_to_guests():
    guest = cell("sapphire-rapids", "jammy", "x86/amx-tile").uses[Use.GUEST]
    assert guest.answer is Answer.STOPPED


def test_the_sapphire_rapids_model_demands_bits_that_libvirt_of_22_04_does_not_know():
    before = cell("sapphire-rapids", "jammy", "x86/libvirt-model-sapphire-rapids", "2023-01-01")
    assert before.uses[Use.GUEST].answer is Answer.STOPPED
    newer = cell("sapphire-rapids", "noble", "x86/libvirt-model-sapphire-rapids")
    assert newer.uses[Use.GUEST].answer is Answer.USABLE


def test_lam_is_compiled_out_while_the_version_is_new_enough():
    made = cell("panther-lake", "noble+hwe-6.17", "x86/lam")
    stop = made.uses[Use.HOST].stop
    assert stop is not None and stop.layer is Layer.KERNEL_BUILD
    assert made.uses[Use.HOST].answer is Answer.STOPPED


def test_glibc_of_24_04_predates_the_detection_of_clearwater_forest():
    old = cell("clearwater-forest", "noble", "x86/glibc-tunes-clearwater-forest")
    new = cell("clearwater-forest", "questing", "x86/glibc-tunes-clearwater-forest")
    assert old.uses[Use.PACKAGES].answer is Answer.STOPPED
    assert new.uses[Use.PACKAGES].answer is Answer.USABLE
    assert old.since is not None and old.since.version == "2.42"


def test_a_stop_in_kvm_names_the_linux_that_offers_it_not_the_qemu():
    made = cell("granite-rapids", "noble", "x86/avx10.1")
    assert made.since is not None and made.since.project == "linux"
    assert made.stop is not None and made.stop.remedy is not None
    assert "QEMU 9.2" in made.stop.remedy.do


def test_what_guests_lack_stops_no_package_on_the_host():
    packages = cell("granite-rapids", "noble", "x86/avx10.1").uses[Use.PACKAGES]
    assert packages.answer is Answer.USABLE


def test_an_option_that_this_linux_lacks_is_no_matter_of_configuration():
    stop = cell("granite-rapids", "bookworm", "x86/cet-shadow-stack").uses[Use.HOST].stop
    assert stop is not None and stop.remedy is not None and stop.remedy.kind == "kernel"
