"""The sizes of huge pages that a kernel is expected to offer, by architecture and page size."""

from __future__ import annotations

import pytest

from tests.resolve.plan_values import chip, release, under
from tests.resolve.test_guest_versions import hart
from tests.resolve.test_predict_arm64_guests import core, plan, recorded
from uplift.facts.model import Missing, PartialWords, Value

SIZES = "memory.hugepage_sizes"
BUILT: dict[str, Value] = {"kernel.config.CONFIG_HUGETLBFS": "y"}


@pytest.mark.parametrize(
    ("option", "sizes"),
    [
        ("4K", {"64", "2048", "32768", "1048576"}),
        ("16K", {"2048", "32768", "1048576"}),
        ("64K", {"2048", "524288", "16777216"}),
    ],
)
def test_arm64_sizes_follow_the_size_of_the_kernels_pages(option: str, sizes: set[str]):
    stated = {**BUILT, f"kernel.config.CONFIG_ARM64_{option}_PAGES": "y"}
    assert plan("arm64", core(recorded("arm64-7.2.13")), stated).value(SIZES) == sizes


def test_without_the_size_of_the_kernels_pages_nothing_is_predicted():
    found = plan("arm64", core(recorded("arm64-7.2.13")), BUILT).get(SIZES)
    assert isinstance(found, Missing)


def test_every_64_bit_hart_has_pages_of_2_mib_and_1_gib():
    told = hart("6.8.0", "9.0.0", **BUILT).value(SIZES)
    assert isinstance(told, PartialWords)
    assert {"2048", "1048576"} == told
    assert not told.open("2048")


def test_pages_of_64_kib_need_svnapot_in_the_hart_and_in_the_kernel():
    built = {**BUILT, "kernel.config.CONFIG_RISCV_ISA_SVNAPOT": "y"}
    assert "64" in (hart("6.8.0", "9.0.0", "svnapot", **built).value(SIZES) or ())
    assert "64" not in (hart("6.8.0", "9.0.0", **built).value(SIZES) or ())


def test_without_hugetlbfs_there_is_no_size():
    off: dict[str, Value] = {"kernel.config.CONFIG_HUGETLBFS": "n"}
    assert hart("6.8.0", "9.0.0", **off).value(SIZES) == frozenset()
    assert under(release(**{"kernel__config__CONFIG_HUGETLBFS": "n"}), chip()).value(SIZES) == (
        frozenset()
    )
