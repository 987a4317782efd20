"""The audit of a system's files, as a capture tells it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from uplift.facts.model import Capture, CaptureStatus, Missing, ProvenWords, Snapshot, Value
from uplift.facts.parsers import read_facts
from uplift.facts.parsers.isa_audit import CAPTURE, SCHEMA


def use(function: str, reach: str) -> dict[str, Any]:
    return {
        "function": function,
        "reach": reach,
        "address": "0x10",
        "code": "c5 fe",
        "functions": 1,
    }


FILES = [
    {
        "path": "/usr/lib/liba.so",
        "sets": {"avx2": use("slow", "unknown"), "sha": use("s", "unknown")},
    },
    {"path": "/usr/lib/libb.so", "sets": {"avx2": use("fast", "dispatched")}},
    {"path": "/usr/lib/libc.so", "sets": {"avx2": use("it", "always")}},
]


def fact(name: str, document: Any) -> Value | Missing:
    capture = Capture(CAPTURE, CaptureStatus.OK, json.dumps(document).encode())
    found = read_facts(Snapshot({CAPTURE: capture})).get(name)
    return found if isinstance(found, Missing) else found.value


def told(name: str) -> ProvenWords:
    value = fact(name, {"schema": SCHEMA, "files": FILES})
    assert isinstance(value, ProvenWords)
    return value


def test_a_set_is_held_where_a_file_has_code_of_it_and_used_where_code_is_seen_to_run() -> None:
    assert told("isa.held") == {"avx2", "sha"}
    assert told("isa.used") == {"avx2"}


def test_the_function_that_shows_most_is_named_and_the_other_files_are_counted() -> None:
    assert told("isa.held").shown("avx2") == "libb.so: fast (dispatched; c5 fe at 0x10); 2 more"
    assert told("isa.used").shown("avx2") == "libb.so: fast (dispatched; c5 fe at 0x10); 1 more"
    assert told("isa.held").shown("sha") == "liba.so: s (unknown; c5 fe at 0x10)"


def test_of_a_set_that_is_not_in_it_is_said_how_many_files_were_looked_at() -> None:
    assert told("isa.held").shown("amx-tile") == "none of 3 files has code of it"
    assert told("isa.used").shown("sha") == "no function of 3 files is seen to run it"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "uplift-isa-use/1"),
        ({"schema": "uplift-isa-use/2", "files": []}, "uplift-isa-use/1"),
        ({"schema": SCHEMA, "files": {}}, "files is no list"),
        ({"schema": SCHEMA, "files": [1]}, "files[0] is no object"),
        ({"schema": SCHEMA, "files": [{"path": "/a", "sets": []}]}, "files[0].sets is no object"),
        ({"schema": SCHEMA, "files": [{"path": 1, "sets": {}}]}, "files[0].path is no text"),
        (
            {"schema": SCHEMA, "files": [{"path": "/a", "sets": {"a b": {}}}]},
            "files[0].sets has no",
        ),
        ({"schema": SCHEMA, "files": [{"path": "/a", "sets": {"a": {}}}]}, "files[0].sets.a.reach"),
    ],
)
def test_a_document_of_another_form_is_refused_with_the_place(document: Any, place: str) -> None:
    found = fact("isa.held", document)
    assert isinstance(found, Missing)
    assert place in found.why
