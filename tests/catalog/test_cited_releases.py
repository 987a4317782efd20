"""The cited profiles of Ubuntu releases: well formed, sourced, right where the truth is known."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from uplift.catalog.check import SCHEMAS
from uplift.catalog.load import read_tables
from uplift.catalog.releases import SHIPPED, AtLeast, load_release, release_names
from uplift.facts.model import Facts, Snapshot, Value
from uplift.facts.parsers import all_parsers

UBUNTU = ("jammy", "noble", "questing", "resolute", "stonking")
FILES = {name: SHIPPED / f"{name}.toml" for name in UBUNTU}
CITED = {name: next(iter(read_tables([file]).values())) for name, file in FILES.items()}
#: Facts that no parser reads from a release's own packages: what an image has, what was backported.
OF_AN_IMAGE = re.compile(
    r"image\.(release|flags|flag\.\w+|xfeatures|hwcaps|riscv_isa|modules|builtin"
    r"|kvm\.(intel|amd)\.[0-9a-f]+\.[0-9a-f]+\.e[abcd]x)"
)
BACKPORTED = re.compile(
    r"(image\.(flags|xfeatures)|qemu\.(properties|models)|libvirt\.map_(features|models))"
    r"_(added|removed)"
)
AMX = 1 << 22 | 1 << 24 | 1 << 25  #: of CPUID leaf 7, edx


def sets() -> Iterator[tuple[str, dict[str, Any]]]:
    for release, document in CITED.items():
        for table in document["set"]:
            yield f"{release}+{table['name']}", table


def said(release: str, fact: str, arch: str = "amd64", as_of: str = "") -> Value | None:
    stated = load_release(release, arch, as_of=as_of).stated.get(fact)
    return stated.value if stated else None


def words(release: str, fact: str, as_of: str = "") -> frozenset[str]:
    value = said(release, fact, as_of=as_of)
    assert isinstance(value, frozenset)
    return value


def amx_for_guests(release: str) -> int:
    mask = said(release, "image.kvm.intel.7.0.edx")
    assert isinstance(mask, int)
    return mask & AMX


def option(release: str, name: str, arch: str = "amd64", as_of: str = "") -> Value | None:
    return said(release, f"kernel.config.CONFIG_{name}", arch, as_of)


@pytest.mark.parametrize("release", UBUNTU)
def test_a_cited_release_has_the_form_of_its_schema_and_the_name_of_its_file(release: str) -> None:
    schema = json.loads((SCHEMAS / "release.schema.json").read_text("utf-8"))
    errors = Draft202012Validator(schema).iter_errors(CITED[release])
    assert [f"{list(e.absolute_path)}: {e.message}" for e in errors] == []
    assert CITED[release]["release"]["id"] == release


def test_every_stated_fact_is_one_that_a_parser_declares_or_a_backport() -> None:
    declared = Facts(Snapshot({}), all_parsers())
    strangers = set()
    for _, table in sets():
        for fact in table["fact"]:
            name = fact["name"]
            try:
                declared.parser_of(name)
            except KeyError:
                if not (OF_AN_IMAGE.fullmatch(name) or BACKPORTED.fullmatch(name)):
                    strangers.add(name)
    assert strangers == set()


def test_no_fact_is_stated_twice_for_one_architecture_and_day() -> None:
    for where, table in sets():
        stated = Counter(
            (fact["name"], arch, fact.get("since", ""))
            for fact in table["fact"]
            for arch in fact.get("arch", table["arch"])
        )
        assert [one for one, times in stated.items() if times > 1] == [], where


def test_what_changed_is_stated_in_the_order_of_its_days() -> None:
    for where, table in sets():
        days: dict[tuple[str, str], str] = {}
        for fact in table["fact"]:
            for arch in fact.get("arch", table["arch"]):
                day, earlier = fact.get("since", ""), days.get((fact["name"], arch), "")
                assert day >= earlier, f"{where}: {fact['name']}: {day} after {earlier}"
                days[fact["name"], arch] = day


def test_a_fact_speaks_of_architectures_that_its_set_has() -> None:
    for where, table in sets():
        for fact in table["fact"]:
            assert set(fact.get("arch", ())) <= set(table["arch"]), f"{where}: {fact['name']}"


def test_every_set_of_a_release_stands_beside_a_base_on_its_architecture() -> None:
    known = release_names()
    for release in UBUNTU:
        for arch, names in known[release].items():
            assert names[0] == "base", f"{release} on {arch}"


def test_every_kernel_set_names_its_version_and_where_each_option_was_read() -> None:
    for where, table in sets():
        options = [f for f in table["fact"] if f["name"].startswith("kernel.config.")]
        if table["kind"] != "flavour" and options:
            assert any(f["name"] == "kernel.release" for f in table["fact"]), where
        for fact in options:
            (kind,) = fact["source"]
            assert kind == "derived", f"{where}: {fact['name']} is not read from a source tree"


@pytest.mark.parametrize(
    ("release", "fact", "value"),
    [
        ("jammy", "kernel.release", "5.15.0"),
        ("jammy", "compiler.gcc.version", "11.4.0"),
        ("jammy", "assembler.version", "2.38"),
        ("jammy", "libc.version", "2.35"),
        ("jammy", "qemu.version", "6.2.0"),
        ("jammy", "libvirt.version", "8.0.0"),
        ("noble", "kernel.release", "6.8.0"),
        ("noble", "assembler.version", "2.42"),
        ("noble", "libc.version", "2.39"),
        ("noble", "qemu.version", "8.2.2"),
        ("noble", "libvirt.version", "10.0.0"),
        ("questing", "kernel.release", "6.17.0"),
        ("questing", "libc.version", "2.42"),
        ("questing", "qemu.version", "10.1.0"),
        ("resolute", "kernel.release", "7.0.0"),
        ("resolute", "compiler.gcc.version", "15.2.0"),
        ("resolute", "libc.version", "2.43"),
        ("resolute", "library.openssl.version", "3.5.5"),
    ],
)
def test_a_release_has_the_versions_that_its_packages_have(
    release: str, fact: str, value: str
) -> None:
    assert said(release, fact) == value


def test_the_packages_win_over_the_release_notes_on_the_default_compiler_of_noble() -> None:
    assert said("noble", "compiler.gcc.default_version") == "13.3.0"
    assert said("noble", "compiler.gcc.default_version", as_of="2024-06-01") == "13.2.0"
    assert said("noble", "compiler.gcc.version_of.gcc-14") == "14.2.0"


def test_amx_reached_the_kernel_of_jammy_two_weeks_after_its_release_and_never_its_guests() -> None:
    assert said("jammy", "image.xfeatures_added", as_of="2022-05-04") is None
    assert words("jammy", "image.xfeatures_added", as_of="2022-05-05") == {"17", "18"}
    assert {"amx_bf16", "amx_int8", "amx_tile"} <= words("jammy", "image.flags_added")
    stated = load_release("jammy", "amd64").stated["image.xfeatures_added"]
    assert "LP 1967750" in stated.source.text
    assert said("jammy", "image.xfeatures_added", "arm64") is None
    assert amx_for_guests("jammy") == 0
    assert amx_for_guests("jammy+hwe-5.19") == amx_for_guests("noble") == AMX


def test_an_hwe_kernel_does_not_inherit_what_was_backported_to_the_base() -> None:
    assert said("jammy+hwe-6.5", "image.flags_added") is None
    assert said("jammy+hwe-6.5", "libc.version") == "2.35"


def test_lam_was_compiled_into_noble_until_an_update_and_is_out_of_every_kernel_since() -> None:
    assert option("noble", "ADDRESS_MASKING", as_of="2025-03-13") == "y"
    assert option("jammy+hwe-6.5", "ADDRESS_MASKING") == "y"
    for release in ("noble", "jammy+hwe-6.8", "noble+hwe-6.11", "noble+hwe-6.14", "noble+hwe-6.17"):
        assert option(release, "ADDRESS_MASKING") == "n", release
    for release in ("questing", "resolute", "noble+hwe-6.17", "noble+hwe-7.0"):
        assert option(release, "X86_DISABLED_FEATURE_LAM") == "y", release
        assert option(release, "ADDRESS_MASKING") == "n", release


def test_sme_left_the_kernels_of_2025_and_came_back_with_gcs_and_mpam_behind_it() -> None:
    assert option("noble", "ARM64_SME", "arm64", as_of="2025-03-13") == "y"
    assert option("noble", "ARM64_SME", "arm64") == "n"
    assert option("noble+hwe-6.14", "ARM64_SME", "arm64") == "n"
    assert option("questing", "ARM64_SME", "arm64") == "y"
    assert option("questing", "ARM64_GCS", "arm64") == "n"
    assert option("resolute", "ARM64_GCS", "arm64") == "y"
    assert option("resolute", "ARM64_MPAM", "arm64") == "y"


def test_tdx_hosts_begin_with_the_kernel_of_questing() -> None:
    assert option("noble", "KVM_INTEL_TDX") == "n"
    assert option("noble+hwe-6.14", "KVM_INTEL_TDX") == "n"
    assert option("noble+hwe-6.17", "KVM_INTEL_TDX") == "y"
    assert option("questing", "INTEL_TDX_HOST") == "y"


def test_the_riscv_kernel_of_an_hwe_track_does_not_exist() -> None:
    assert release_names()["noble"]["riscv64"] == ("base",)
    assert option("noble", "RISCV_ISA_V", "riscv64") == "y"


@pytest.mark.parametrize("release", ["noble", "questing"])
def test_programs_on_a_riscv_kernel_get_vectors_unasked(release: str) -> None:
    assert option(release, "RISCV_ISA_V_DEFAULT_ENABLE", "riscv64") == "y"


def test_pages_of_riscv_have_memory_types_from_questing_on() -> None:
    assert option("noble", "RISCV_ISA_SVPBMT", "riscv64") == "n"
    assert option("questing", "RISCV_ISA_SVPBMT", "riscv64") == "y"
    assert option("questing", "RISCV_ISA_FALLBACK", "riscv64") == "n"


def test_a_64k_kernel_changes_the_page_size_and_keeps_the_rest() -> None:
    assert option("noble+64k", "ARM64_64K_PAGES", "arm64") == "y"
    assert option("noble+64k", "ARM64_4K_PAGES", "arm64") == "n"
    assert option("noble+hwe-6.17+64k", "ARM64_SVE", "arm64") == "y"
    assert said("noble+64k", "kernel.release", "arm64") == "6.8.0"


def test_the_partner_kernel_differs_in_governor_iommu_and_preemption() -> None:
    assert option("noble+hwe-6.17", "IOMMU_DEFAULT_DMA_STRICT", "arm64") == "y"
    assert option("noble+nvidia-6.17", "IOMMU_DEFAULT_DMA_LAZY", "arm64") == "y"
    assert option("noble+nvidia-6.17", "CPU_FREQ_DEFAULT_GOV_PERFORMANCE", "arm64") == "y"
    assert option("noble+nvidia-6.17", "PREEMPT_NONE", "arm64") == "y"
    assert option("noble+nvidia-6.17", "CORESIGHT_TRBE", "arm64") == "m"


def test_the_virtualization_stack_is_replaced_on_its_own() -> None:
    both = load_release("resolute+virt-hwe", "amd64").stated
    assert "qemu-hwe" in both["qemu.version"].source.text
    assert both["kernel.release"].value == "7.0.0"


def test_what_nobody_published_of_the_coming_release_is_not_stated() -> None:
    assert said("stonking", "kernel.release") == "7.3.0"
    assert said("stonking", "libc.version") == "2.43"
    assert said("stonking", "kernel.config.CONFIG_KVM") is None


def test_the_coming_release_has_at_least_what_its_predecessor_has() -> None:
    bound = said("stonking", "qemu.version")
    assert bound == said("resolute", "qemu.version") and isinstance(bound, AtLeast)
    assert not isinstance(said("stonking", "kernel.release"), AtLeast)


def test_the_kernel_of_resolute_preempts_lazily_where_earlier_ones_did_so_voluntarily() -> None:
    assert option("noble", "PREEMPT_VOLUNTARY") == "y"
    assert option("resolute", "PREEMPT_LAZY") == "y"
    assert option("resolute", "PREEMPT_VOLUNTARY") == "n"


def test_the_kernel_of_lunar_in_jammy_has_the_options_of_arm64_and_amd64() -> None:
    assert option("jammy+hwe-6.2", "ARM64_BTI", "arm64") == "y"
    assert option("jammy+hwe-6.2", "ARM64_LPA2", "arm64") == "n"
    assert option("jammy+hwe-6.2", "NR_CPUS", "arm64") == "256"
    assert option("jammy+hwe-6.2", "NR_CPUS") == "8192"
    assert option("jammy+hwe-6.2", "X86_KERNEL_IBT") == "n"
    assert option("jammy+hwe-6.2", "INTEL_IFS") == "m"
