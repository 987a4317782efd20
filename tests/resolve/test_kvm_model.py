"""What a guest is predicted to get of the silicon, from CPUID and versions alone."""

from __future__ import annotations

from uplift.catalog.kvm_exposure import load_exposures
from uplift.facts.model import Capture, CaptureStatus, Facts, Snapshot
from uplift.facts.parsers import read_facts
from uplift.resolve.kvm_model import predict_guest

INTEL = (0x756E6547, 0x6C65746E, 0x49656E69)
AMD = (0x68747541, 0x444D4163, 0x69746E65)
SAPPHIRE_RAPIDS, SKYLAKE, MILAN = 0x000806F8, 0x00050654, 0x00A00F11


def _facts(vendor: tuple[int, int, int], signature: int, *rows: str, **captures: str) -> Facts:
    ebx, ecx, edx = vendor
    text = (
        f"CPU 0:\n   0x00000000 0x00: eax=0x00000020 ebx={ebx:#010x} "
        f"ecx={ecx:#010x} edx={edx:#010x}\n"
        f"   0x80000000 0x00: eax=0x80000021 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n"
        + "".join(f"   {row}\n" for row in rows)
    )
    if not any(row.startswith("0x00000001") for row in rows):
        text += f"   0x00000001 0x00: eax={signature:#010x} ebx=0x00000000 ecx=0x00000020 edx=0x0\n"
        text = text.replace("edx=0x0\n", "edx=0x00000000\n")
    probe = Capture("probe:cpuid", CaptureStatus.OK, text.encode(), format="cpuid-r")
    more = {name: Capture(name, CaptureStatus.OK, data.encode()) for name, data in captures.items()}
    return read_facts(Snapshot({"probe:cpuid": probe, **more}))


def _leaf7(ebx: int = 0, ecx: int = 0, edx: int = 0) -> str:
    return f"0x00000007 0x00: eax=0x00000000 ebx={ebx:#010x} ecx={ecx:#010x} edx={edx:#010x}"


def _predict(facts: Facts, **versions: object):
    return predict_guest(facts, load_exposures(), **versions)  # type: ignore[arg-type]


AMX = "cpuid.7.0.edx.24"


def test_what_kvm_and_qemu_know_is_offered():
    assert _predict(_facts(INTEL, SAPPHIRE_RAPIDS, _leaf7(edx=1 << 24)))[AMX].offered


def test_a_kernel_that_is_older_than_the_feature_stops_it():
    facts = _facts(INTEL, SAPPHIRE_RAPIDS, _leaf7(edx=1 << 24))
    prediction = _predict(facts, kernel="5.10", qemu="10.0")[AMX]
    assert not prediction.offered
    assert prediction.why == "KVM of Linux 5.10 does not expose it; 6.1.4 does"


def test_a_qemu_that_is_older_than_the_property_stops_it():
    facts = _facts(INTEL, SAPPHIRE_RAPIDS, _leaf7(edx=1 << 24))
    assert "QEMU 5.2 has no property" in _predict(facts, kernel="6.8", qemu="5.2")[AMX].why


def test_between_two_versions_that_were_read_no_stop_is_claimed():
    facts = _facts(INTEL, SAPPHIRE_RAPIDS, _leaf7(edx=1 << 24))
    assert _predict(facts, kernel="5.17", qemu="7.0")[AMX].offered


def test_a_mitigation_is_offered_whatever_the_version_says():
    facts = _facts(INTEL, SKYLAKE, _leaf7(edx=1 << 26))
    assert _predict(facts, kernel="4.4", qemu="2.5")["cpuid.7.0.edx.26"].offered


def test_nested_virtualization_follows_the_parameter_before_the_versions_default():
    facts = _facts(INTEL, SKYLAKE)
    assert not _predict(facts, kernel="4.15")["cpuid.1.0.ecx.5"].offered
    assert _predict(facts, kernel="4.15", nested=True)["cpuid.1.0.ecx.5"].offered
    assert _predict(facts, kernel="6.8")["cpuid.1.0.ecx.5"].offered
    tree = {"tree:/sys/module/kvm_intel": '{"parameters/nested": "N\\n"}'}
    recorded = _facts(INTEL, SKYLAKE, **tree)
    assert not _predict(recorded, kernel="6.8")["cpuid.1.0.ecx.5"].offered


def test_svms_parts_go_with_nested_virtualization():
    rows = (
        "0x80000001 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000004 edx=0x00000000",
        "0x8000000a 0x00: eax=0x00000001 ebx=0x00008000 ecx=0x00000000 edx=0x00000001",
    )
    npt = "cpuid.8000000a.0.edx.0"
    assert _predict(_facts(AMD, MILAN, *rows))[npt].offered
    without = _predict(_facts(AMD, MILAN, *rows), nested=False)[npt]
    assert not without.offered
    assert without.why == "nested virtualization is off here"


def test_what_depends_on_a_stopped_feature_goes_with_it():
    row = "0x00000014 0x00: eax=0x00000001 ebx=0x00000000 ecx=0x80000000 edx=0x00000000"
    predicted = _predict(_facts(INTEL, SAPPHIRE_RAPIDS, row, _leaf7(ebx=1 << 25)))
    assert "pt_mode=1" in predicted["cpuid.7.0.ebx.25"].why
    assert not predicted["cpuid.14.0.ecx.31"].offered


def test_protection_keys_need_the_hosts_kernel_to_use_them():
    pku = "cpuid.7.0.ecx.3"
    assert not _predict(_facts(INTEL, SKYLAKE, _leaf7(ecx=1 << 3)))[pku].offered
    assert _predict(_facts(INTEL, SKYLAKE, _leaf7(ecx=3 << 3)))[pku].offered


def test_a_bit_that_one_vendors_module_clears_is_stopped_there_only():
    bus_lock = _leaf7(ecx=1 << 24)
    assert _predict(_facts(INTEL, SAPPHIRE_RAPIDS, bus_lock))["cpuid.7.0.ecx.24"].offered
    assert not _predict(_facts(AMD, MILAN, bus_lock))["cpuid.7.0.ecx.24"].offered


def test_what_cannot_be_migrated_and_what_the_guest_sets_itself_is_stopped():
    row = "0x80000007 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000100"
    predicted = _predict(_facts(INTEL, SKYLAKE, row, _leaf7(ecx=1 << 4)))
    assert "migrated" in predicted["cpuid.80000007.0.edx.8"].why
    assert not predicted["cpuid.7.0.ecx.4"].offered


def test_only_bits_that_the_silicon_has_are_predicted():
    assert AMX not in _predict(_facts(INTEL, SKYLAKE, _leaf7()))


def test_without_cpuid_nothing_is_predicted():
    assert _predict(read_facts(Snapshot({}))) == {}


def test_the_table_knows_each_bit_once_and_where_it_came_from():
    places = [(exposure.fact, exposure.bit) for exposure in load_exposures()]
    assert len(places) == len(set(places)) > 280
    assert all(exposure.kvm or exposure.property for exposure in load_exposures())
