"""The public part of an overlay applies to the catalog, and holds no byte of the rest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.private_overlay import CANARY, CHIPS, FEATURES, MANIFEST, write_overlay
from uplift.catalog.load import DATA, catalog_texts, load_catalog
from uplift.catalog.model import Catalog, Chip, Feature
from uplift.catalog.overlay_files import read_overlay
from uplift.catalog.public_patch import PREFIX, PublicPatch, public_patch
from uplift.cli import main
from uplift.errors import UpliftError

#: What may go public, in plain words; every other text of the overlay is a canary.
PUBLIC_FEATURES = """
# qzx-comment-before-a-public-entry
[[feature]]
id = "x86/open-bit"
public = true
title = "An open \\"bit\\""
arch = ["x86-64"]
area = "security"
summary = "It is known to everybody."
[[feature.layer]]
name = "silicon"
needs = { all = [
  { fact = "cpuid.7.1.edx", bit = 30 },
  { not = { fact = "cpuid.1.0.ecx", bit = 30 } },
] }
source = { cited = "A public manual" }
[[feature.layer]]
name = "kernel"
needs = { fact = "cpuinfo.flags", has = "open_bit" }
since = { project = "linux", version = "7.5", commit = "0123456789ab" }
source = { cited = "A public manual" }
[[feature.layer.cause]]
when = { fact = "kernel.cmdline_words", has = "nobit" }
cause = "switched off"
kind = "command-line"
remedy = { kind = "boot-parameter", do = "remove it", reversible = true }

[[feature]]
id = "x86/avx"
lifts_at = 2027-03-01
extend = true
[[feature.layer]]
name = "firmware"
needs = { fact = "cpuinfo.flags", has = "avx" }
source = { cited = "A public manual" }
[[feature.layer]]
name = "silicon"
extend = true
[[feature.layer.cause]]
when = { fact = "cpuid.1.0.ecx", bit = 31 }
cause = "a public cause"
kind = "firmware"
"""
PUBLIC_CHIPS = """
[[chip]]
codename = "open-lake"
public = true
title = "Open Lake"
vendor = "GenuineIntel"
arch = "x86-64"
microarchitecture = "Open Cove"
segment = "server"
signature = [{ family = 6, model = 0xfe }]
source = { cited = "A public manual" }

[features."open-lake"]
public = true
list = ["x86/aes", "x86/open-bit", "x86/qzx-new"]
source = { cited = "A public manual" }

[[chip]]
codename = "turin"
public = true
extend = true
signature = [{ family = 0x1a, model = 0xee }]
features = ["x86/open-bit", "x86/qzx-absent"]
source = { cited = "Another public manual" }
"""


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    return write_overlay(
        tmp_path / "qzx-overlay", MANIFEST, FEATURES + PUBLIC_FEATURES, CHIPS + PUBLIC_CHIPS
    )


def patch_of(overlay: Path, *allow: str, as_of: str = "") -> PublicPatch:
    return public_patch(catalog_texts(), [read_overlay(overlay)], frozenset(allow), as_of)


def patched(patch: str, tree: Path, *program: str) -> Catalog:
    """Apply ``patch`` to a copy of the catalog's files and load what it gives."""
    data = tree / PREFIX
    shutil.copytree(DATA, data)
    subprocess.run(program, input=patch, text=True, cwd=tree, check=True, capture_output=True)
    return load_catalog(data)


def feature_in(catalog: Catalog, name: str) -> Feature:
    return next(feature for feature in catalog.features if feature.id == name)


def chip_in(catalog: Catalog, name: str) -> Chip:
    return next(chip for chip in catalog.chips if chip.codename == name)


@pytest.mark.parametrize("program", [("git", "apply", "-"), ("patch", "-p1")])
def test_the_patch_applies_and_gives_what_the_overlay_says(
    overlay: Path, tmp_path: Path, program: tuple[str, ...]
) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    catalog = patched(patch_of(overlay, as_of="2027-03-01").text, tmp_path / "tree", *program)
    private = load_catalog(overlays=[overlay])
    new, told = (feature_in(c, "x86/open-bit") for c in (catalog, private))
    assert new.title == told.title == 'An open "bit"'
    assert [need.needs for need in new.layers] == [need.needs for need in told.layers]
    assert [layer.name.value for layer in feature_in(catalog, "x86/avx").layers][:2] == [
        "silicon",
        "firmware",
    ]
    assert feature_in(catalog, "x86/avx").layers[0].causes[0].cause == "a public cause"
    assert chip_in(catalog, "open-lake").features == {"x86/aes", "x86/open-bit"}
    turin = chip_in(catalog, "turin")
    assert turin.signatures[:-1] == chip_in(load_catalog(), "turin").signatures
    assert "x86/open-bit" in turin.features
    assert "Another public manual" in turin.source.text


def test_no_byte_of_what_is_not_public_is_in_the_patch(
    overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["catalog", "public-patch", "--overlay", str(overlay), "--as-of", "2027-03-01"]
    assert main(command) == 0
    printed = capfd.readouterr()
    assert "x86/open-bit" in printed.out
    for text in printed:
        assert CANARY not in text.lower()
        assert "EMBARGOED" not in text
        assert "2099" not in text
    assert "in the patch: 2 features, 2 chips, 1 lists" in printed.err
    assert (
        "left out, not public: 4 features, 2 chips, 1 lists of features, 1 releases, "
        "1 component sets" in printed.err
    )


def test_without_a_day_only_what_is_marked_public_is_in_the_patch(overlay: Path) -> None:
    text = patch_of(overlay).text
    assert "x86/open-bit" in text
    assert "a public cause" not in text


def test_the_overlays_own_day_lifts_all_of_it(overlay: Path, tmp_path: Path) -> None:
    patch = patch_of(overlay, as_of="2099-07-13")
    assert patch.left_out == {}
    catalog = patched(patch.text, tmp_path / "tree", "git", "apply", "-")
    private = load_catalog(overlays=[overlay])
    assert {f.id for f in catalog.features} == {f.id for f in private.features}
    assert chip_in(catalog, "qzx-lake").features == chip_in(private, "qzx-lake").features
    assert "qzx-comment" not in patch.text
    assert "qzx-label" not in patch.text


def test_no_day_lifts_what_is_confidential(overlay: Path) -> None:
    manifest = MANIFEST.replace('"embargoed"', '"confidential"').replace("lifts_at", "# ")
    (overlay / "overlay.toml").write_text(manifest)
    assert "a public cause" not in patch_of(overlay, as_of="2999-01-01").text


def test_a_name_that_is_allowed_goes_with_its_features(overlay: Path) -> None:
    text = patch_of(overlay, "qzx-lake").text
    assert 'codename = "qzx-lake"' in text
    assert "x86/qzx-new" not in text


def test_a_public_entry_that_speaks_of_a_private_one_is_refused_without_naming_it(
    overlay: Path,
) -> None:
    file = overlay / "features/qzx-features-file.toml"
    file.write_text(file.read_text().replace("known to everybody", "part of qzx-lake"))
    with pytest.raises(UpliftError) as refused:
        patch_of(overlay)
    assert CANARY not in str(refused.value)


def test_a_file_of_the_overlay_may_be_called_like_a_public_entry(overlay: Path) -> None:
    (overlay / "features/qzx-features-file.toml").rename(overlay / "features/open-bit.toml")
    (overlay / "chips/qzx-chips-file.toml").rename(overlay / "chips/intel.toml")
    assert "x86/open-bit" in patch_of(overlay).text


def test_a_name_to_allow_that_is_unknown_is_refused(overlay: Path) -> None:
    with pytest.raises(UpliftError, match="no-such"):
        patch_of(overlay, "x86/no-such")


def test_an_overlay_with_nothing_public_gives_an_empty_patch(tmp_path: Path) -> None:
    patch = patch_of(write_overlay(tmp_path))
    assert patch.text == ""
    assert patch.left_out["feature"] == 4
