"""Releases as they are listed and shown: what is known, and where it is from."""

from __future__ import annotations

import json
from importlib.resources import files
from io import StringIO
from typing import Any

from jsonschema import Draft202012Validator
from rich.console import Console

from uplift.catalog.releases import SHIPPED, Place, load_release
from uplift.report import release as shown

PLACES = (Place(SHIPPED),)


def checked(document: dict[str, Any]) -> dict[str, Any]:
    text = files("uplift.report").joinpath("schema/uplift-release-1.schema.json").read_text("utf-8")
    Draft202012Validator(json.loads(text)).validate(document)
    return document


def test_the_list_says_of_each_set_what_it_stands_on() -> None:
    document = checked(shown.list_to_json(shown.listed(PLACES)))
    by_id = {release["id"]: release for release in document["releases"]}
    amd64 = next(a for a in by_id["bookworm"]["architectures"] if a["arch"] == "amd64")
    assert {(s["name"], s["basis"]) for s in amd64["sets"]} == {
        ("base", "recorded"),
        ("cloud", "recorded"),
    }
    arm64 = next(a for a in by_id["noble"]["architectures"] if a["arch"] == "arm64")
    assert ("64k", "cited") in {(s["name"], s["basis"]) for s in arm64["sets"]}


def test_each_component_is_shown_with_the_capture_or_the_document_that_tells_it() -> None:
    recorded = load_release("bookworm", "amd64", PLACES)
    document = checked(shown.show_to_json([recorded]))
    found = {c["title"]: c for c in document["release"]["architectures"][0]["components"]}
    assert found["gcc"]["value"] == "12.2.0"
    assert found["gcc"]["source"] == "recorded: cmd:gcc/version"
    assert found["glibc"]["value"] == "2.36"
    cited = {c.title: c for c in shown.components(load_release("noble", "amd64", PLACES))}
    assert cited["glibc"].source.startswith("cited: ")


def test_a_releases_set_is_shown_in_place_of_the_bases_component() -> None:
    kernels = {
        name: load_release(name, "amd64", PLACES).snapshot.captures["probe:kernel-image/packages"]
        for name in ("trixie", "trixie+cloud")
    }
    assert "cloud" in kernels["trixie+cloud"].text
    assert "cloud" not in kernels["trixie"].text


def test_the_terminal_shows_every_architecture() -> None:
    console = Console(file=StringIO(), width=200)
    shown.print_release([load_release("noble", a, PLACES) for a in ("amd64", "arm64")], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "noble amd64" in text
    assert "noble arm64" in text
    assert "Ubuntu 24.04 LTS" in text
