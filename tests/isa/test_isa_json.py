"""What `uplift isa audit|check|explain --json` print is what their documented schemas say."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.isa.elf_files import AARCH64, compiled, small
from tests.isa.test_static_library import library
from uplift.cli import main

CASES = Path(__file__).parent / "dispatch_cases"
DOCUMENT = Path(__file__).parents[2] / "docs/reference/json.md"
EXPECT = """
[[expect]]
file = "always"
functions = ["wide", "gone_*"]
reason = "sample"
"""


def closed(schema: Any) -> Any:
    """Return a schema that allows no key that it does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(part) for key, part in schema.items()}
    return {"additionalProperties": False, **made} if "properties" in schema else made


def checked(text: str) -> Any:
    """Return a document, checked against its schema: no key is missing and none is undocumented."""
    found = json.loads(text)
    name = found["schema"].replace("/", "-")
    schema = json.loads(
        files("uplift.report").joinpath(f"schema/{name}.schema.json").read_text("utf-8")
    )
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(closed(schema)).validate(found)
    assert f"`{found['schema']}`" in DOCUMENT.read_text("utf-8")
    return found


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder: code that is always reached, guarded, not linked, of arm64, and broken."""
    shutil.copy(CASES / "kernel.h", tmp_path)
    for name in ("always", "ifunc"):
        compiled(tmp_path, (CASES / f"{name}.c").read_text(), "-O2", name=name)
    (tmp_path / "arm64").write_bytes(small(b"\x02\x00\xe1\xb8\xc0\x03\x5f\xd6", AARCH64))
    (tmp_path / "broken").write_bytes(small(b"\xc3")[:100])
    library(tmp_path)
    return tmp_path


def test_an_audit_is_what_its_schema_says(programs, capsys):
    words = ["isa", "audit", str(programs), "--jobs", "1", "--json"]
    assert main([*words, "--baseline", "x86-64-v2", "--chip", "turin"]) == 2  # one is broken
    found = checked(capsys.readouterr().out)
    files_ = {Path(file["path"]).name: file for file in found["files"]}
    assert {"always", "ifunc", "arm64", "l.a(wide.o)"} <= files_.keys()
    assert files_["always"]["violations"][0]["certain"] and files_["always"]["needs"]
    assert files_["ifunc"]["sets"]["avx2"]["reach"] == "dispatched"
    assert files_["arm64"]["chip"] is None and files_["always"]["chip"]["used"]
    assert [Path(one["path"]).name for one in found["refused"]] == ["broken"]
    assert [Path(one["path"]).name for one in found["skipped"]] == ["l.a(readme)"]


def test_an_audit_of_nothing_above_the_base_has_the_same_keys(tmp_path, capsys):
    (tmp_path / "small").write_bytes(small(b"\xc3"))
    assert main(["isa", "audit", str(tmp_path / "small"), "--json"]) == 0
    (file,) = checked(capsys.readouterr().out)["files"]
    assert (file["sets"], file["functions"], file["level"]) == ({}, [], "x86-64")


def test_a_check_is_what_its_schema_says(programs, capsys):
    expect = programs / "expect.toml"
    expect.write_text(EXPECT)
    (programs / "broken").unlink()
    words = ["isa", "check", str(programs), "--baseline", "amd64", "--jobs", "1", "--json"]
    assert main([*words, "--expect", str(expect)]) == 1
    found = checked(capsys.readouterr().out)
    assert [one["reason"] for one in found["expected"]] == ["sample"]
    assert [one["function"] for one in found["stale"]] == ["gone_*"]
    assert found["levels"] == {"x86-64": "x86-64"} and not found["met"]
    assert main([*words, "--expect", str(expect), "--only-certain"]) == 0
    assert {one["fails"] for one in checked(capsys.readouterr().out)["violations"]} == {False}


@pytest.mark.parametrize(
    ("file", "function"), [("ifunc", "work"), ("ifunc", "wide"), ("ifunc", "main")]
)
def test_an_explanation_is_what_its_schema_says(programs, capsys, file, function):
    assert main(["isa", "explain", str(programs / file), function, "--json"]) == 0
    found = checked(capsys.readouterr().out)
    assert found["function"] == function
    assert found["resolver"] == (function == "work") == bool(found["variants"])
    assert (found["reach"] == "dispatched") == (function == "wide")
