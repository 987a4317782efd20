"""What a release's software can do on any CPU: libvirt's map, the C library, OpenBLAS."""

from __future__ import annotations

import pytest

from tests.facts.parsers.reading import facts_of, values_of
from uplift.catalog.releases import SHIPPED
from uplift.facts.model import Missing
from uplift.facts.parsers import read_facts
from uplift.facts.parsers.libvirt_cpu_map import CAPTURE, PARSER
from uplift.facts.snapshot_file import load

#: Lines as the collector writes them, of a map made for this test.
MAP = {
    "x86_features.xml": "feature fpu\nfeature avx\nfeature vmx-hlt-exit\n",
    "x86_Old.xml": "model Old\nneeds fpu\nneeds mpx removed\nneeds vmx-hlt-exit added\n",
    "x86_New-v1.xml": "model New-v1\nbase New\n",
    "x86_New.xml": "model New\nbase Old\nneeds avx\n",
    "arm_X.xml": "model ThunderX2 99xx\n",
}


def test_a_model_demands_what_the_models_that_it_builds_on_demand() -> None:
    values = values_of(PARSER, {CAPTURE: MAP})
    assert values["libvirt.map_model.New-v1"] == {"fpu", "avx"}
    assert values["libvirt.map_features"] == {"fpu", "avx", "vmx-hlt-exit"}
    assert values["libvirt.map_models"] == {"Old", "New", "New-v1", "ThunderX2 99xx"}


def test_what_came_to_a_model_or_left_it_later_is_not_demanded() -> None:
    assert values_of(PARSER, {CAPTURE: MAP})["libvirt.map_model.Old"] == {"fpu"}


@pytest.mark.parametrize(
    "lines",
    ["needs avx\n", "model A\nneeds avx gladly\n", "model \n", "what\n"],
)
def test_a_line_that_is_none_of_a_map_is_refused_with_its_place(lines: str) -> None:
    found = facts_of(PARSER, {CAPTURE: {"a.xml": lines}}).get("libvirt.map_models")
    assert isinstance(found, Missing)
    assert "a.xml: line" in found.why


def test_models_that_build_on_each_other_are_refused() -> None:
    circle = {"a.xml": "model A\nbase B\n", "b.xml": "model B\nbase A\n"}
    found = facts_of(PARSER, {CAPTURE: circle}).get("libvirt.map_models")
    assert isinstance(found, Missing)
    assert "builds on itself" in found.why


def test_the_map_of_a_recorded_release_reads() -> None:
    facts = read_facts(load(SHIPPED / "bookworm.amd64.jsonl.gz"))
    model = facts.value("libvirt.map_model.Icelake-Server")
    assert isinstance(model, frozenset)
    assert "avx512vnni" in model
    features = facts.value("libvirt.map_features")
    assert isinstance(features, frozenset)
    assert "amx-tile" in features
    assert "amx-fp16" not in features  # libvirt 9.0 has no name for it


def test_a_recorded_release_tells_what_its_libraries_can_dispatch_to() -> None:
    facts = read_facts(load(SHIPPED / "trixie.amd64.jsonl.gz"))
    kernels = facts.value("library.openblas.kernels")
    assert isinstance(kernels, frozenset)
    assert {"HASWELL", "SKYLAKEX", "SAPPHIRERAPIDS"} <= kernels
    assert facts.value("libc.hwcaps_known") == {"x86-64-v2", "x86-64-v3", "x86-64-v4"}
    assert facts.value("libc.version") == "2.41"
