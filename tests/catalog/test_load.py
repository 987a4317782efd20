"""The catalog's loader: what is not well formed is refused whole, with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from uplift.catalog.check import check_catalog
from uplift.catalog.load import build_catalog, load_catalog
from uplift.errors import CatalogError
from uplift.facts.parsers import all_parsers

SILICON = """
[[feature]]
id = "x86/amx-tile"
title = "AMX tiles"
arch = ["x86-64"]
area = "compute"
summary = "Tile registers."
[[feature.layer]]
name = "silicon"
needs = { fact = "cpuid.7.0.edx", bit = 24 }
source = { cited = "Intel SDM" }
"""
CHIP = """
[[chip]]
codename = "granite-rapids"
title = "Granite Rapids"
vendor = "GenuineIntel"
arch = "x86-64"
microarchitecture = "Redwood Cove"
segment = "server"
signature = [ { family = 6, model = [0xad, 0xae] } ]
source = { cited = "a list" }
"""


def catalog_in(directory: Path, features: str = SILICON, chips: str = CHIP) -> Path:
    for name, text in (("features", features), ("chips", chips)):
        (directory / name).mkdir(exist_ok=True)
        (directory / name / "test.toml").write_text(text)
    return directory


def test_a_feature_and_a_chip_are_read(tmp_path: Path) -> None:
    catalog = load_catalog(catalog_in(tmp_path))
    assert catalog.features[0].id == "x86/amx-tile"
    assert catalog.chips[0].signatures[0].fields == (("family", 6, 6), ("model", 0xAD, 0xAE))


def test_the_cache_gives_the_same_catalog(tmp_path: Path) -> None:
    data = catalog_in(tmp_path)
    read = [load_catalog(data, tmp_path / "cache") for _ in range(2)]
    assert list((tmp_path / "cache").iterdir())
    read.append(load_catalog(data))
    assert len({catalog.features for catalog in read}) == 1
    assert len({catalog.chips for catalog in read}) == 1


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    data = catalog_in(tmp_path)
    load_catalog(data, tmp_path / "cache")
    catalog_in(tmp_path, SILICON.replace("AMX tiles", "AMX tile registers"))
    assert load_catalog(data, tmp_path / "cache").features[0].title == "AMX tile registers"


def test_a_broken_cache_is_not_believed(tmp_path: Path) -> None:
    data = catalog_in(tmp_path)
    load_catalog(data, tmp_path / "cache")
    for kept in (tmp_path / "cache").iterdir():
        kept.write_text("{")
    assert load_catalog(data, tmp_path / "cache").features[0].id == "x86/amx-tile"


def test_features_listed_for_a_chip_reach_it(tmp_path: Path) -> None:
    listed = '[features."granite-rapids"]\nlist = ["x86/amx-tile"]\nsource = { derived = "xed" }\n'
    chip = load_catalog(catalog_in(tmp_path, chips=CHIP + listed)).chips[0]
    assert chip.features == {"x86/amx-tile"}
    assert chip.features_source is not None
    assert chip.features_source.text == "xed"


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        (SILICON.replace("bit = 24", "bit = 240"), "x86/amx-tile: .*from 0 to 127"),
        (SILICON.replace('name = "silicon"', 'name = "silicone"'), "silicone"),
        (SILICON.replace('title = "AMX tiles"\n', ""), "x86/amx-tile: title is missing"),
        (SILICON.replace("cited", "remembered"), "recorded, derived, cited"),
        (SILICON + SILICON, "stands twice"),
        (SILICON + "[[", "document|line"),
        (SILICON.replace("{ fact", "{ any = [], fact"), "needs a fact|list of predicates|unknown"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_its_place(
    tmp_path: Path, broken: str, cause: str
) -> None:
    with pytest.raises(CatalogError) as refused:
        load_catalog(catalog_in(tmp_path, features=broken))
    assert "test.toml" in refused.value.problem
    assert re.search(cause, refused.value.cause)


def test_layers_out_of_order_are_refused() -> None:
    layer = {"needs": {"fact": "a", "bit": 1}, "source": {"cited": "x"}}
    entry = {
        "id": "x86/a",
        "title": "a",
        "area": "compute",
        "layer": [{"name": "kernel", **layer}, {"name": "silicon", **layer}],
    }
    with pytest.raises(CatalogError) as refused:
        build_catalog({"test.toml": {"feature": [entry]}})
    assert "not in order" in refused.value.cause


def test_a_fact_no_parser_declares_is_a_problem(tmp_path: Path) -> None:
    data = catalog_in(tmp_path, SILICON.replace("cpuid.7.0.edx", "cpuidd.7.0.edx"))
    (problem,) = check_catalog(data, all_parsers())
    assert problem == "test.toml: x86/amx-tile: silicon: no parser declares the fact cpuidd.7.0.edx"


def test_a_chip_that_lists_an_unknown_feature_is_a_problem(tmp_path: Path) -> None:
    chip = CHIP.replace("source", 'features = ["x86/nonesuch"]\nsource')
    (problem,) = check_catalog(catalog_in(tmp_path, chips=chip), all_parsers())
    assert "x86/nonesuch" in problem


def test_the_shipped_catalog_has_no_problem() -> None:
    from uplift.catalog.load import DATA  # noqa: PLC0415

    assert check_catalog(DATA, all_parsers()) == []
