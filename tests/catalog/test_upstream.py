"""Patches for other projects: what they lack is added in their own form, and nothing private."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.private_overlay import CANARY, LABEL, write_overlay
from uplift.catalog.load import load_catalog
from uplift.catalog.model import Catalog
from uplift.catalog.since import Since
from uplift.catalog.upstream import archspec, checkbox, cpuid_csv
from uplift.catalog.upstream.model import Subject, UpstreamPatch, render
from uplift.cli import main
from uplift.errors import UpliftError
from uplift.facts.cpuid_table import table
from uplift.facts.imports import load_path
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers import read_facts

RECORDINGS = Path(__file__).parent.parent / "recordings"
MILAN = RECORDINGS / "own/firecracker-milan.jsonl.gz"

CHECKBOX = """#!/usr/bin/env python3


def name_of(cpuid):
    # fmt: off
    CPUIDS = {
        # AMD
        "AMD EPYC":         ['0x800f12'],                                # 2017
        "AMD Milan":        ['0xa00f10'],                                # 2021

        # Intel
        "Penryn":            ['0x1067a'],                                # 2007
        "Skylake":           ['0x406e3', '0x506e3', '0x50654',           # 2015
                              '0x50652'],
        "Clearwater Forest": ['0xd06d1']                                 # 2026
    }
    for key in CPUIDS.keys():
        for value in CPUIDS[key]:
            if value.lower() in cpuid.lower():
                return key
    raise ValueError(cpuid)
"""
KCPUID = """# SPDX-License-Identifier: CC0-1.0

# Leaf 1H
# Signature and features

       0x1,         0,  eax,     3:0,    stepping               , Stepping ID

# Leaf 7H
# Extended CPU features enumeration

       0x7,         0,  edx,      22,    amx_bf16               , Tile bfloat16 support
       0x7,         1,  eax,       4,    avx_vnni               , AVX-VNNI instructions
       0x7,         1,  eax,      31,    other_name             , Named already, otherwise
       0x7,         2,  edx,       0,    intel_psfd             , Predictive store forward disable

# Leaf 10H
# Resource director

      0x10,         0,  ebx,       1,    cat_l3                 , L3 cache allocation
"""
SAPPHIRE_RAPIDS = ["mmx", "avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16"]
ARCHSPEC: dict[str, Any] = {
    "microarchitectures": {
        "x86_64": {"from": [], "vendor": "generic", "features": []},
        "icelake": {
            "from": ["x86_64"],
            "vendor": "GenuineIntel",
            "features": ["mmx", "avx2", "avx512f", "avx512_vnni"],
        },
        "sapphirerapids": {
            "from": ["icelake"],
            "vendor": "GenuineIntel",
            "features": SAPPHIRE_RAPIDS,
        },
        "zen4": {"from": ["x86_64"], "vendor": "AuthenticAMD", "features": ["avx512f", "sha512"]},
    },
    "feature_aliases": {},
}
BITS = {
    "flags": [
        {
            "description": "leaf 7",
            "input": {"eax": 7, "ecx": 1},
            "bits": [{"name": "avx_vnni", "register": "eax", "bit": 4}],
        }
    ],
    "extension-flags": [],
}


def text_of(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def subject(catalog: Catalog, codename: str) -> Subject:
    return Subject(next(chip for chip in catalog.chips if chip.codename == codename))


def applied(patch: UpstreamPatch, tree: Path) -> dict[str, str]:
    """Write the files as they were, apply the patch, and return them as they are then."""
    subprocess.run(["git", "init", "-q", tree], check=True)
    for path, (before, _) in patch.changes.items():
        if before:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(before)
    text = render(patch)
    for arguments in (["--check", "-"], ["-"]):
        subprocess.run(["git", "apply", *arguments], input=text, text=True, cwd=tree, check=True)
    return {path: (tree / path).read_text() for path in patch.changes}


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@needs_git
def test_checkbox_names_a_chip_it_lacked_and_every_other_as_before(
    catalog: Catalog, tmp_path: Path
) -> None:
    subjects = [subject(catalog, name) for name in ("diamond-rapids", "venice", "cascade-lake")]
    patch = checkbox.teach(CHECKBOX, subjects, catalog.chips)
    text = applied(patch, tmp_path)[checkbox.PATH]
    namespace: dict[str, Any] = {}
    exec(compile(text, "cpuid.py", "exec"), namespace)
    named = {number: namespace["name_of"](number) for number in ("0x400f10", "0xb50f01", "0x50657")}
    assert named == {
        "0x400f10": "Diamond Rapids",
        "0xb50f01": "AMD Venice",
        "0x50657": "Cascade Lake-SP",
    }
    for number, name in (("0xd06d1", "Clearwater Forest"), ("0x50654", "Skylake")):
        assert namespace["name_of"](number) == name
    lines = text.splitlines()
    assert next(n for n, line in enumerate(lines) if "AMD Venice" in line) < lines.index(
        "        # Intel"
    )


@needs_git
def test_a_recording_teaches_checkbox_one_more_stepping_of_a_chip_it_names(
    catalog: Catalog, tmp_path: Path
) -> None:
    chip = subject(catalog, "milan").chip
    patch = checkbox.teach(
        CHECKBOX, [Subject(chip, read_facts(load_path(MILAN)), "a dump")], catalog.chips
    )
    line = next(
        line for line in applied(patch, tmp_path)[checkbox.PATH].splitlines() if "Milan" in line
    )
    assert line == (
        "        \"AMD Milan\":        ['0xa00f10', '0xa00f11'],                    # 2021"
    )


def test_checkbox_gets_no_number_that_names_another_chip_or_that_it_has(catalog: Catalog) -> None:
    names = ("clearwater-forest", "barcelona", "clovertown", "neoverse-v2")
    patch = checkbox.teach(CHECKBOX, [subject(catalog, n) for n in names], catalog.chips)
    assert patch.added == ()
    assert render(patch) == ""
    assert set(patch.skipped) == set(names)


@pytest.mark.parametrize("text", ["", "CPUIDS = 3", "def (", "CPUIDS = {'a': 'b'}", "(" * 5000])
def test_what_is_not_checkboxs_list_is_refused(text: str, catalog: Catalog) -> None:
    with pytest.raises(UpliftError, match="checkbox"):
        checkbox.teach(text, [subject(catalog, "diamond-rapids")], catalog.chips)


@needs_git
def test_kcpuid_gets_rows_in_its_columns_and_order(catalog: Catalog, tmp_path: Path) -> None:
    patch = cpuid_csv.teach(KCPUID, table(), catalog)
    text = applied(patch, tmp_path)[cpuid_csv.PATH]
    rows = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(len(row.split(",", 5)) == 6 for row in rows)
    assert all(row[37:41] == "    " for row in rows)
    keys = [cpuid_csv_key(row) for row in rows]
    assert keys == sorted(keys)
    assert len(keys) == len(set(keys))
    assert set(KCPUID.splitlines()) <= set(text.splitlines())
    assert (
        "       0x7,         1,  eax,       0,    sha512                 , SHA-512 instructions"
        in rows
    )
    assert "\n\n# Leaf 24H\n# Intel AVX10 converged vector ISA\n\n      0x24," in text
    assert text.endswith("\n") and not text.endswith("\n\n")


def cpuid_csv_key(row: str) -> tuple[int, int, int, int]:
    leaf, subleaves, register, bits = (cell.strip() for cell in row.split(",")[:4])
    first = subleaves.rpartition(":")[2]
    return int(leaf, 16), int(first), "abcd".index(register[1]), int(bits.rpartition(":")[2])


def test_a_bit_that_kcpuid_names_otherwise_is_left_alone(catalog: Catalog) -> None:
    added = [addition.name for addition in cpuid_csv.teach(KCPUID, table(), catalog).added]
    assert not any(name.startswith("movrs ") for name in added)
    assert not any(name.startswith("kvm_") for name in added)


def test_kcpuid_gets_only_the_bits_of_the_chip_that_was_named(catalog: Catalog) -> None:
    chip = subject(catalog, "diamond-rapids").chip
    assert chip is not None
    wanted = cpuid_csv.places_of(catalog, chip.features)
    added = {
        a.name.partition(" ")[0] for a in cpuid_csv.teach(KCPUID, table(), catalog, wanted).added
    }
    assert {"amx_fp8", "avx_vnni_int16"} <= added
    assert "psn_low" not in added


def test_kcpuids_first_notation_is_kept(catalog: Catalog) -> None:
    old = KCPUID.replace("       0x7,", "         7,").replace("       0x1,", "         1,")
    text = cpuid_csv.teach(old, table(), catalog).changes[cpuid_csv.PATH][1]
    assert "         7,         1,  eax,       0,    sha512" in text


@pytest.mark.parametrize("text", ["", "a,b\n", "0x1, 0, eex, 1, a, b\n"])
def test_what_is_not_kcpuids_table_is_refused(text: str, catalog: Catalog) -> None:
    with pytest.raises(UpliftError, match="kcpuid"):
        cpuid_csv.teach(text, table(), catalog)


@needs_git
def test_archspec_gets_a_target_with_parent_words_and_compilers(
    catalog: Catalog, tmp_path: Path
) -> None:
    options = {
        "gcc": {"-march=diamondrapids": Since("15.2", "16.1", series=1)},
        "llvm": {"-march=diamondrapids": Since("19.1.7", "21.1.8")},
        "linux": {"cmpccxadd": Since("6.1", "6.17")},
    }
    texts = {archspec.TARGETS: text_of(ARCHSPEC), archspec.CPUID: text_of(BITS)}
    patch = archspec.teach(texts, [subject(catalog, "diamond-rapids")], catalog, options)
    files = applied(patch, tmp_path)
    document = json.loads(files[archspec.TARGETS])
    assert files[archspec.TARGETS] == text_of(document)
    made = document["microarchitectures"].pop("diamondrapids")
    assert document == ARCHSPEC
    assert made == {
        "from": ["sapphirerapids"],
        "vendor": "GenuineIntel",
        "features": [*SAPPHIRE_RAPIDS, "cmpccxadd", "sha512"],
        "compilers": {
            "gcc": [{"versions": "16.0:", "flags": "-march={name} -mtune={name}"}],
            "clang": [{"versions": "21.1.8:", "flags": "-march={name} -mtune={name}"}],
        },
    }
    bits = json.loads(files[archspec.CPUID])["flags"][0]["bits"]
    assert {"name": "sha512", "register": "eax", "bit": 0} in bits


def test_archspec_gets_no_word_that_neither_it_nor_linux_is_seen_to_use(catalog: Catalog) -> None:
    texts = {archspec.TARGETS: text_of(ARCHSPEC)}
    patch = archspec.teach(texts, [subject(catalog, "diamond-rapids")], catalog, {})
    made = json.loads(patch.changes[archspec.TARGETS][1])["microarchitectures"]["diamondrapids"]
    assert made["features"] == [*SAPPHIRE_RAPIDS, "sha512"]
    assert "compilers" not in made


def test_a_chip_that_looks_like_its_parents_takes_no_name_away(catalog: Catalog) -> None:
    names = ("emerald-rapids", "sapphire-rapids", "z17", "venice")
    texts = {archspec.TARGETS: text_of(ARCHSPEC)}
    patch = archspec.teach(texts, [subject(catalog, n) for n in names], catalog, {})
    assert patch.added == ()
    assert set(patch.skipped) == set(names)


def test_a_recordings_cpuinfo_decides_and_becomes_archspecs_test(catalog: Catalog) -> None:
    words = " ".join([*SAPPHIRE_RAPIDS, "sha512", "hypervisor"])
    cpuinfo = f"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: {words}\n\nprocessor\t: 1\n"
    capture = Capture("file:/proc/cpuinfo", CaptureStatus.OK, cpuinfo.encode())
    facts = read_facts(Snapshot({capture.id: capture}, arch="x86_64"))
    chip = subject(catalog, "diamond-rapids").chip
    texts = {archspec.TARGETS: text_of(ARCHSPEC)}
    patch = archspec.teach(texts, [Subject(chip, facts, "a dump")], catalog, {})
    made = json.loads(patch.changes[archspec.TARGETS][1])["microarchitectures"]["diamondrapids"]
    assert made["features"] == [*SAPPHIRE_RAPIDS, "sha512"]
    recorded = patch.changes[f"{archspec.RECORDINGS}/linux-unknown-diamondrapids"]
    assert recorded == ("", cpuinfo.partition("\n\n")[0] + "\n")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"microarchitectures": {"a": 1}}', "[" * 9999])
def test_what_is_not_archspecs_file_is_refused(text: str, catalog: Catalog) -> None:
    with pytest.raises(UpliftError, match="archspec"):
        archspec.teach({archspec.TARGETS: text}, [], catalog, {})


def test_a_message_states_sources_and_is_signed_off_by_nobody(catalog: Catalog) -> None:
    patch = checkbox.teach(CHECKBOX, [subject(catalog, "diamond-rapids")], catalog.chips)
    text = render(patch)
    assert "linux 7.1.8\n   arch/x86/include/asm/intel-family.h" in text.partition("---")[0]
    assert "Signed-off-by" not in text


@pytest.fixture
def trees(tmp_path: Path) -> dict[str, str]:
    files = {
        "archspec": (archspec.TARGETS, text_of(ARCHSPEC)),
        "checkbox": (checkbox.PATH, CHECKBOX),
        "cpuid-csv": (cpuid_csv.PATH, KCPUID),
    }
    for project, (path, text) in files.items():
        file = tmp_path / "trees" / project / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return {project: str(tmp_path / "trees" / project) for project in files}


PRIVATE_CHIP = """
[[chip]]
codename = "qzx-lake"
title = "qzx-lake-title"
vendor = "GenuineIntel"
arch = "x86-64"
segment = "server"
signature = [{ family = 0x13, model = 0x21 }]
source = { cited = "qzx-lake-source" }

[features."qzx-lake"]
list = ["x86/qzx-new", "x86/avx2", "x86/avx512f", "x86/avx512-vnni", "x86/sha512"]
source = { cited = "qzx-lake-list-source" }
"""


@pytest.mark.parametrize("project", ["archspec", "checkbox", "cpuid-csv"])
def test_nothing_private_is_sent_unless_it_is_allowed_and_then_it_is_labelled(
    project: str, trees: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overlay = write_overlay(tmp_path / "overlay", chips=PRIVATE_CHIP)
    command = ["catalog", "upstream", "--to", project, "--tree", trees[project]]
    private = [*command, "--overlay", str(overlay)]
    assert main(command) == 0
    plain = capfd.readouterr()
    assert plain.out
    assert main(private) == 0
    assert capfd.readouterr() == plain
    assert main([*command, "qzx-lake"]) == 2
    assert LABEL not in capfd.readouterr().err
    assert main([*private, "qzx-lake"]) == 2
    assert "--allow" in capfd.readouterr().err
    assert main([*private, "qzx-lake", "--allow", "qzx-lake", "x86/qzx-new"]) == 0
    allowed = capfd.readouterr()
    assert CANARY in allowed.out
    for text in allowed:
        assert f"NOT FOR PUBLICATION: {LABEL}" in text


def test_a_private_feature_of_an_allowed_chip_stays_out(
    trees: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overlay = write_overlay(tmp_path / "overlay", chips=PRIVATE_CHIP)
    command = ["catalog", "upstream", "--to", "cpuid-csv", "--tree", trees["cpuid-csv"]]
    assert main([*command, "qzx-lake", "--overlay", str(overlay), "--allow", "qzx-lake"]) == 0
    assert "qzx_new" not in capfd.readouterr().out


def test_a_name_that_is_nothing_is_refused(
    trees: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["catalog", "upstream", "--to", "checkbox", "--tree", trees["checkbox"]]
    assert main([*command, "no-such-chip"]) == 2
    assert main([*command, "--allow", "no-such-chip"]) == 2
    assert main([*command[:-1], str(Path(trees["checkbox"]).parent)]) == 2
    assert "fix:" in capfd.readouterr().err
