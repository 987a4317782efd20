"""No feature that KVM and QEMU pass on goes without a layer for guests."""

from __future__ import annotations

from collections.abc import Iterator

from uplift.catalog.kvm_exposure import load_exposures
from uplift.catalog.load import load_catalog
from uplift.catalog.model import Feature, Layer, Test


def passed_on() -> set[tuple[str, int]]:
    """Return the CPUID bits that QEMU has a name for and KVM or QEMU itself gives."""
    return {(e.fact, e.bit) for e in load_exposures() if e.property and (e.kvm or e.qemu_adds)}


def single_bits() -> Iterator[tuple[Feature, tuple[str, int]]]:
    for feature in load_catalog().features:
        if feature.layers and feature.layers[0].name is Layer.SILICON:
            needs = feature.layers[0].needs
            if isinstance(needs, Test) and needs.op == "bit":
                yield feature, (needs.fact, int(needs.operand))


def test_every_bit_that_guests_can_get_has_a_layer_for_guests():
    bits = passed_on()
    without = [
        feature.id
        for feature, bit in single_bits()
        if bit in bits and Layer.VIRTUALIZATION not in {layer.name for layer in feature.layers}
    ]
    assert without == []
    assert sum(bit in bits for _, bit in single_bits()) > 150
