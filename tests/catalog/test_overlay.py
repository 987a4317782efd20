"""Overlays: what may be added, extended and replaced, what is refused, and where labels go."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.private_overlay import CHIPS, FEATURES, LABEL, MANIFEST, write_overlay
from uplift.catalog.cpuid_names import private_names
from uplift.catalog.labels import labels_of, list_labels, listed_labels
from uplift.catalog.load import DATA, load_catalog
from uplift.catalog.model import Catalog, Chip, Feature, Label, Layer, Policy, strictest_first
from uplift.errors import CatalogError

SOURCE = 'source = { cited = "a document" }\n'


def layer(name: str) -> str:
    needs = '{ fact = "cpuid.1.0.ecx", bit = 1 }'
    return f'[[feature.layer]]\nname = "{name}"\nneeds = {needs}\n{SOURCE}'


SECOND = '[[feature]]\nid = "x86/qzx-new"\nextend = true\n' + layer("firmware")


def feature_in(catalog: Catalog, name: str) -> Feature:
    return next(feature for feature in catalog.features if feature.id == name)


def chip_in(catalog: Catalog, name: str) -> Chip:
    return next(chip for chip in catalog.chips if chip.codename == name)


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return load_catalog(overlays=[write_overlay(tmp_path_factory.mktemp("overlay"))])


@pytest.fixture(scope="module")
def base() -> Catalog:
    return load_catalog()


def test_what_an_overlay_adds_is_labelled_in_every_cell(merged: Catalog) -> None:
    feature = feature_in(merged, "x86/qzx-new")
    cells = [feature, *feature.layers, *(need.source for need in feature.layers)]
    cells += [cause for need in feature.layers for cause in need.causes]
    assert all(cell.labels == {LABEL} for cell in cells)
    chip = chip_in(merged, "qzx-lake")
    assert all(part.labels == {LABEL} for part in (chip, chip.source, *chip.signatures))
    assert list_labels(chip) == {LABEL}


def test_an_added_layer_is_labelled_and_the_others_are_not(merged: Catalog) -> None:
    labels = {need.name: need.labels for need in feature_in(merged, "x86/pku").layers}
    assert labels.pop(Layer.TOOLCHAIN) == {LABEL}
    assert set(labels.values()) == {frozenset()}
    assert list(labels) == sorted(labels, key=list(Layer).index)


def test_an_added_cause_is_asked_first_and_alone_is_labelled(merged: Catalog) -> None:
    silicon = feature_in(merged, "x86/pku").layers[0]
    assert silicon.causes[0].cause == "qzx-extra-cause"
    assert [bool(cause.labels) for cause in silicon.causes] == [True] + [False] * (
        len(silicon.causes) - 1
    )


def test_a_chip_gains_signatures_and_features_that_are_told_apart(
    merged: Catalog, base: Catalog
) -> None:
    chip, before = chip_in(merged, "milan"), chip_in(base, "milan")
    assert chip.signatures[: len(before.signatures)] == before.signatures
    assert chip.signatures[-1].labels == {LABEL}
    assert chip.features - before.features == {"x86/qzx-absent"}
    assert listed_labels(chip, "x86/qzx-absent") == {LABEL}
    assert listed_labels(chip, "x86/svm") == frozenset()


def test_what_no_overlay_touches_is_as_it_was(merged: Catalog, base: Catalog) -> None:
    touched = {"x86/qzx-new", "x86/qzx-absent", "x86/pku", "x86/aes"}
    for feature in base.features:
        if feature.id not in touched:
            assert feature_in(merged, feature.id) == feature
            assert labels_of(feature) == frozenset()


def test_a_later_overlay_extends_an_earlier_one_and_the_labels_add_up(tmp_path: Path) -> None:
    first = write_overlay(tmp_path / "first")
    manifest = MANIFEST.replace("qzx-overlay", "other").replace(LABEL, "CONFIDENTIAL other")
    manifest = manifest.replace('"embargoed"', '"confidential"').replace("lifts_at", "# ")
    second = write_overlay(tmp_path / "second", manifest, SECOND, "", "")
    catalog = load_catalog(overlays=[first, second])
    assert labels_of(feature_in(catalog, "x86/qzx-new")) == {LABEL, "CONFIDENTIAL other"}
    assert [overlay.name for overlay in catalog.overlays] == ["qzx-overlay", "other"]
    assert strictest_first(labels_of(catalog))[0] == "CONFIDENTIAL other"


def test_what_replaces_a_private_entry_keeps_its_label_too(tmp_path: Path) -> None:
    first = write_overlay(tmp_path / "first")
    manifest = MANIFEST.replace("qzx-overlay", "other").replace(LABEL, "second")
    text = (
        '[[feature]]\nid = "x86/qzx-new"\nreplace = true\ntitle = "t"\narea = "memory"\n'
        'summary = "s"\n' + layer("silicon")
    )
    second = write_overlay(tmp_path / "second", manifest, text, "", "")
    catalog = load_catalog(overlays=[first, second])
    assert labels_of(feature_in(catalog, "x86/qzx-new")) == {LABEL, "second"}


def test_the_strictest_policy_comes_first() -> None:
    labels = [Label(policy.value, policy) for policy in Policy]
    assert strictest_first(labels) == ("confidential", "embargoed", "internal")


def test_a_private_feature_names_its_bit(merged: Catalog, base: Catalog) -> None:
    names = private_names(merged)
    assert names[0x80000021, 0, "ecx", 7].name == "qzx_new"
    assert names[7, 1, "edx", 31].labels == {LABEL}
    assert private_names(base) == {}


def test_an_overlay_is_read_without_and_with_a_cache_alike(tmp_path: Path) -> None:
    overlay = write_overlay(tmp_path / "overlay")
    read = [load_catalog(DATA, tmp_path / "cache", [overlay]) for _ in range(2)]
    assert read[0].features == read[1].features == load_catalog(overlays=[overlay]).features


def whole(name: str, extra: str = "") -> str:
    return (
        f'[[feature]]\nid = "{name}"\n{extra}title = "t"\narea = "memory"\nsummary = "s"\n'
        + layer("silicon")
    )


def lists(name: str, extra: str = "", listed: str = "x86/aes") -> str:
    return f'[features."{name}"]\n{extra}list = ["{listed}"]\n{SOURCE}'


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (whole("x86/pku"), "is in .*toml already"),
        (whole("x86/none-such", "extend = true\n"), "extension adds layers and causes"),
        (whole("x86/none-such", "replace = true\n"), "nothing to extend or replace"),
        (whole("x86/pku", "extend = true\nreplace = true\n"), "extend and replace"),
        (whole("x86/new", 'extend = "yes"\n'), "extend is 'yes'"),
        (whole("x86/new", 'lifts_at = "soon"\n'), "lifts_at is 'soon'"),
        (whole("x86/new", "replcae = true\n"), "replcae"),
        (whole("x86/new") + whole("x86/new"), "stands twice"),
        (whole("x86/new").replace("bit = 1", "bit = 900"), "900|is not valid"),
        (whole("x86/new").replace('"t"', '"\\u001b[31m"'), "control character"),
        ('[[feature]]\nid = "x86/pku"\nextend = true\n' + layer("silicon"), "has a layer"),
        (
            '[[feature]]\nid = "x86/pku"\nextend = true\n'
            + layer("network").replace("name", "replace = true\nname"),
            "no layer network",
        ),
        ('[[feature]]\nid = "x86/pku"\nextend = true\n', "no layer"),
        ("[[feture]]\nid = 1\n", "feture"),
        ("[[feature]\n", "line 1"),
        ("feature = 3\n", "array of tables"),
        (f"a = {'[' * 5000}", "nested too deeply"),
    ],
)
def test_features_that_are_ambiguous_or_not_well_formed_are_refused_with_their_place(
    tmp_path: Path, text: str, cause: str
) -> None:
    write_overlay(tmp_path, features=text, chips="", release="")
    with pytest.raises(CatalogError) as refused:
        load_catalog(overlays=[tmp_path])
    assert "qzx-features-file.toml" in refused.value.problem
    assert re.search(cause, refused.value.cause)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (CHIPS.replace('"qzx-lake"\ntitle', '"milan"\ntitle', 1), "stands twice|already"),
        (lists("no-such-chip"), "no chip is called"),
        (lists("milan"), "has a list of features already"),
        (lists("milan", "extend = true\n", "x86/no-such"), "which no feature file has"),
        ('[[chip]]\ncodename = "milan"\nextend = true\n' + SOURCE, "adds nothing"),
        ('[[chip]]\ncodename = "milan"\nextend = true\nfeatures = ["x86/aes"]\n', "no source"),
        ('[[chip]]\ncodename = "milan"\nextend = true\ntitle = "t"\n' + SOURCE, "title"),
    ],
)
def test_chips_that_are_ambiguous_or_not_well_formed_are_refused_with_their_place(
    tmp_path: Path, text: str, cause: str
) -> None:
    write_overlay(tmp_path, chips=text, features="", release="")
    with pytest.raises(CatalogError) as refused:
        load_catalog(overlays=[tmp_path])
    assert "qzx-chips-file.toml" in refused.value.problem
    assert re.search(cause, refused.value.cause)


def test_a_refusal_says_the_line_of_the_entry(tmp_path: Path) -> None:
    write_overlay(tmp_path, features=whole("x86/new") + "\n" + whole("x86/pku"))
    with pytest.raises(CatalogError) as refused:
        load_catalog(overlays=[tmp_path])
    assert refused.value.problem.endswith("qzx-features-file.toml:11")


@pytest.mark.parametrize(
    ("manifest", "cause"),
    [
        ("", "no overlay.toml"),
        (MANIFEST.replace("label", "lable"), "lable"),
        (MANIFEST.replace('"embargoed"', '"secret"'), "policy"),
        (MANIFEST.replace('"embargoed"', '"confidential"'), "no day lifts"),
        (MANIFEST.replace("2099-07-13\n", "soon\n"), "Invalid"),
    ],
)
def test_an_overlay_that_does_not_say_what_it_is_is_refused(
    tmp_path: Path, manifest: str, cause: str
) -> None:
    write_overlay(tmp_path, manifest)
    with pytest.raises(CatalogError) as refused:
        load_catalog(overlays=[tmp_path])
    assert re.search(cause, refused.value.cause)


def linked_file(overlay: Path) -> None:
    (overlay / "outside.txt").write_text(FEATURES)
    (overlay / "features/linked.toml").symlink_to("../outside.txt")


def linked_directory(overlay: Path) -> None:
    (overlay / "chips").rename(overlay.parent / "elsewhere")
    (overlay / "chips").symlink_to(overlay.parent / "elsewhere")


def pipe(overlay: Path) -> None:
    os.mkfifo(overlay / "features/pipe.toml")


def too_large(overlay: Path) -> None:
    (overlay / "features/large.toml").write_bytes(b"#" * (5 << 20))


def too_many(overlay: Path) -> None:
    for number in range(600):
        (overlay / f"features/f{number}.toml").touch()


def odd_name(overlay: Path) -> None:
    (overlay / "features/a\x1b[31m.toml").touch()


def misspelt_directory(overlay: Path) -> None:
    (overlay / "feature").mkdir()


def stray_file(overlay: Path) -> None:
    (overlay / "chips.toml").touch()


def no_toml(overlay: Path) -> None:
    (overlay / "features/binary.toml").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (linked_file, "links are not followed"),
        (linked_directory, "links are not followed"),
        (pipe, "no plain file"),
        (too_large, "at most 4 MiB"),
        (too_many, "more than 512"),
        (odd_name, "files called NAME.toml"),
        (misspelt_directory, "reads overlay.toml"),
        (stray_file, "reads overlay.toml"),
        (no_toml, "utf-8"),
    ],
)
def test_a_hostile_or_careless_directory_is_refused_whole(
    tmp_path: Path, spoil: Callable[[Path], None], cause: str
) -> None:
    overlay = write_overlay(tmp_path / "overlay")
    spoil(overlay)
    with pytest.raises(CatalogError) as refused:
        load_catalog(overlays=[overlay])
    assert cause in refused.value.cause
    assert refused.value.problem.isprintable()


def test_one_overlay_named_twice_is_refused(tmp_path: Path) -> None:
    overlay = write_overlay(tmp_path)
    with pytest.raises(CatalogError, match="overlays"):
        load_catalog(overlays=[overlay, overlay])
