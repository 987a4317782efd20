"""Releases: component sets, what replaces what, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.catalog.releases import Place, load_release, release_names
from uplift.errors import CatalogError, UpliftError
from uplift.facts import snapshot_file
from uplift.facts.model import Capture, CaptureStatus, Snapshot

CITED = """
[release]
id = "noble"
title = "Ubuntu 24.04"

[[set]]
name = "base"
kind = "base"
arch = ["amd64", "arm64"]
[[set.fact]]
name = "kernel.release"
value = "6.8.0"
source = { cited = "release notes" }
[[set.fact]]
name = "kernel.config.CONFIG_X"
value = "y"
source = { cited = "annotations" }
[[set.fact]]
name = "qemu.version"
value = "8.2.2"
source = { cited = "package" }

[[set]]
name = "hwe-6.17"
kind = "track"
arch = ["amd64"]
[[set.fact]]
name = "kernel.release"
value = "6.17.0"
since = "2026-02-12"
source = { cited = "kernel cycle" }

[[set]]
name = "64k"
kind = "flavour"
arch = ["arm64"]
[[set.fact]]
name = "kernel.config.CONFIG_X"
value = "n"
source = { cited = "annotations, generic-64k" }
"""


@pytest.fixture
def shipped(tmp_path: Path) -> Place:
    (tmp_path / "noble.toml").write_text(CITED)
    return Place(tmp_path)


def save(place: Place, name: str, captures: dict[str, str], day: str) -> None:
    held = {n: Capture(n, CaptureStatus.OK, text.encode()) for n, text in captures.items()}
    snapshot = Snapshot(held, "release", "test", f"{day}T00:00:00Z", "x86_64")
    snapshot_file.save(snapshot, place.directory / name)


def stated(selected) -> dict[str, object]:
    return {name: fact.value for name, fact in selected.stated.items()}


def test_a_track_replaces_the_whole_components_that_it_provides(shipped: Place):
    assert stated(load_release("noble+hwe-6.17", "amd64", [shipped])) == {
        "kernel.release": "6.17.0",
        "qemu.version": "8.2.2",
    }


def test_a_cited_flavour_changes_single_facts(shipped: Place):
    assert stated(load_release("noble+64k", "arm64", [shipped])) == {
        "kernel.release": "6.8.0",
        "kernel.config.CONFIG_X": "n",
        "qemu.version": "8.2.2",
    }


def test_what_was_recorded_replaces_what_was_cited_component_by_component(shipped: Place):
    save(shipped, "noble.amd64.jsonl.gz", {"cmd:qemu-system-x86_64/version": "v"}, "2026-11-01")
    selected = load_release("noble", "amd64", [shipped])
    assert "qemu.version" not in selected.stated
    assert "kernel.release" in selected.stated
    assert "cmd:qemu-system-x86_64/version" in selected.snapshot.captures


def test_a_later_place_wins_over_an_earlier_one(shipped: Place, tmp_path: Path):
    own = Place(tmp_path / "own")
    own.directory.mkdir()
    save(shipped, "noble.amd64.jsonl.gz", {"cmd:gcc/version": "old"}, "2026-11-01")
    save(own, "noble.amd64.jsonl.gz", {"cmd:gcc/version": "new"}, "2026-11-02")
    captures = load_release("noble", "amd64", [shipped, own]).snapshot.captures
    assert captures["cmd:gcc/version"].text == "new"


def test_as_of_takes_the_newest_recording_that_is_not_younger(shipped: Place):
    save(shipped, "noble.amd64@2026-06-01.jsonl.gz", {"cmd:gcc/version": "june"}, "2026-06-01")
    save(shipped, "noble.amd64.jsonl.gz", {"cmd:gcc/version": "now"}, "2026-11-01")
    now = load_release("noble", "amd64", [shipped]).snapshot.captures
    july = load_release("noble", "amd64", [shipped], as_of="2026-07-01").snapshot.captures
    assert now["cmd:gcc/version"].text == "now"
    assert july["cmd:gcc/version"].text == "june"


def test_as_of_leaves_out_what_held_only_later(shipped: Place):
    assert load_release("noble+hwe-6.17", "amd64", [shipped], as_of="2026-03-01")
    with pytest.raises(UpliftError):
        load_release("noble+hwe-6.17", "amd64", [shipped], as_of="2026-01-01")


def test_every_stated_fact_has_a_capture_that_names_its_document(shipped: Place):
    selected = load_release("noble", "amd64", [shipped])
    capture = selected.snapshot.captures["cited:noble/qemu.version"]
    assert (capture.text, capture.how) == ("8.2.2", "cited: package")


def test_releases_are_listed_with_their_sets_base_first(shipped: Place):
    assert release_names([shipped]) == {
        "noble": {"amd64": ("base", "hwe-6.17"), "arm64": ("base", "64k")}
    }


@pytest.mark.parametrize(
    ("name", "arch", "cause"),
    [
        ("nobel", "amd64", "near: noble"),
        ("noble+hwe-6.11", "amd64", "no component set called hwe-6.11"),
        ("noble", "s390x", "known on amd64, arm64 only"),
        ("../noble", "amd64", "lower case with dashes"),
    ],
)
def test_an_unknown_release_is_refused_with_what_there_is(
    shipped: Place, name: str, arch: str, cause: str
):
    with pytest.raises(UpliftError) as refused:
        load_release(name, arch, [shipped])
    assert cause in refused.value.cause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[release", "at end of document"),
        ("x = 1", "no [release] with an id"),
        ('[release]\nid = "noble"\n[[set]]\nkind = "base"\n', "a [[set]] has no name"),
        (CITED.replace('value = "y"\n', ""), "a fact without 'value'"),
        (CITED.replace('{ cited = "package" }', '"package"'), "base: qemu.version: the source"),
    ],
)
def test_a_broken_profile_is_refused_with_the_place(shipped: Place, text: str, cause: str):
    (shipped.directory / "noble.toml").write_text(text)
    with pytest.raises(CatalogError) as refused:
        load_release("noble", "amd64", [shipped])
    assert cause in refused.value.cause
