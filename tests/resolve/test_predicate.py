"""Three-valued predicates."""

from __future__ import annotations

import pytest

from uplift.catalog.predicate import parse_predicate, words
from uplift.facts.model import (
    Capture,
    CaptureStatus,
    Facts,
    Parser,
    Reading,
    Snapshot,
    Value,
)
from uplift.resolve.predicate import judge, version_key

YES = {"fact": "a.yes", "equals": 1}
NO = {"fact": "a.no", "equals": 1}
UNASKED = {"fact": "b.unasked", "equals": 1}
NOT_INSTALLED = {"fact": "c.not-installed", "equals": 1}


def holds(table: object, **values: Value) -> bool | None:
    known: dict[str, Value] = {"a.yes": 1, "a.no": 0}
    known.update({f"a.{name}": value for name, value in values.items()})
    captures = {
        "a": Capture("a", CaptureStatus.OK, b"x"),
        "c": Capture("c", CaptureStatus.ABSENT),
    }
    parsers = [
        Parser("a", ("a.",), ("a",), lambda found: [Reading("a", known)]),
        Parser("b", ("b.",), ("b",), lambda found: []),
        Parser("c", ("c.",), ("c",), lambda found: []),
    ]
    return judge(parse_predicate(table), Facts(Snapshot(captures), parsers)).holds


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"any": [NO, YES]}, True),
        ({"any": [NO, UNASKED]}, None),
        ({"any": [UNASKED, YES]}, True),
        ({"any": [NO, NOT_INSTALLED]}, False),
        ({"any": [NOT_INSTALLED, NOT_INSTALLED]}, None),
        ({"all": [YES, YES]}, True),
        ({"all": [UNASKED, NO]}, False),
        ({"all": [YES, UNASKED]}, None),
        ({"not": YES}, False),
        ({"not": UNASKED}, None),
    ],
)
def test_parts_combine_in_three_values(table: object, expected: bool | None) -> None:
    assert holds(table) is expected


@pytest.mark.parametrize(
    ("value", "test", "expected"),
    [
        (1 << 24, {"bit": 24}, True),
        (1 << 24, {"bit": 25}, False),
        ("text", {"bit": 25}, None),
        (0x21 << 32, {"bits": [32, 35], "at-least": 1}, True),
        (0xF << 16, {"bits": [16, 19], "at-least": 0, "signed": True}, False),
        (0xF << 16, {"bits": [16, 19], "at-least": 0}, True),
        (0x2 << 4, {"bits": [4, 7], "equals": 2}, True),
        (frozenset({"amx"}), {"has": "amx"}, True),
        ("a b", {"has": "b"}, True),
        ("ab", {"has": "b"}, False),
        ("6.1.192-2", {"at-least": "6.1.9"}, True),
        ("5.15.0", {"at-least": "5.16"}, False),
        ("7.2.0", {"at-least": "7.2"}, True),
    ],
)
def test_a_test_asks_one_question(
    value: Value, test: dict[str, object], expected: bool | None
) -> None:
    assert holds({"fact": "a.value", **test}, value=value) is expected


@pytest.mark.parametrize(
    "table",
    [
        {},
        [],
        {"fact": "x"},
        {"fact": "x", "bit": 200},
        {"fact": "x", "bit": "2"},
        {"fact": "x", "bit": 1, "has": "y"},
        {"fact": "x", "bits": [4, 1], "equals": 1},
        {"fact": "x", "bits": [0, 3]},
        {"fact": "x", "equals": 1, "typo": 2},
        {"any": []},
        {"any": [{}]},
        {"not": {}},
    ],
)
def test_what_is_no_predicate_is_refused(table: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_predicate(table)


def test_a_predicate_reads_as_words() -> None:
    table = {"any": [{"fact": "a", "bit": 3}, {"all": [{"fact": "b", "has": "c"}, {"not": YES}]}]}
    assert words(parse_predicate(table)) == "a bit 3 or (b has c and not (a.yes = 1))"


def test_versions_compare_by_their_numeric_parts() -> None:
    assert version_key("1:7.2+dfsg") == (1,)
    assert version_key("10.2.1") > version_key("9.9")
