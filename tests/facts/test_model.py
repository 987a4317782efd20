"""Captures, snapshots and facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from uplift.facts.model import (
    Capture,
    CaptureStatus,
    Fact,
    Facts,
    Missing,
    Parser,
    Reading,
    Snapshot,
)
from uplift.facts.parsers import all_parsers


def words(captures: Mapping[str, Capture]) -> Iterable[Reading]:
    for name, capture in captures.items():
        if not capture.data.isascii():
            raise ValueError("line 1: not ASCII")
        yield Reading(name, {f"word.{word}": True for word in capture.text.split()})


WORDS = Parser("words", ("word.",), ("file:/w", "tree:/w/*"), words)


def facts(*captures: Capture, parser: Parser = WORDS) -> Facts:
    return Facts(Snapshot({capture.id: capture for capture in captures}), [parser])


def why(found: Fact | Missing) -> str:
    assert isinstance(found, Missing)
    return found.why


def test_a_fact_keeps_its_captures_name() -> None:
    found = facts(Capture("file:/w", CaptureStatus.OK, b"one two")).get("word.two")
    assert found == Fact("word.two", True, "file:/w")


def test_a_parser_is_asked_only_once() -> None:
    calls = []

    def count(captures: Mapping[str, Capture]) -> Iterable[Reading]:
        calls.append(1)
        return words(captures)

    counting = Parser("words", ("word.",), ("file:/w",), count)
    found = facts(Capture("file:/w", CaptureStatus.OK, b"one"), parser=counting)
    assert (found.value("word.one"), found.value("word.two")) == (True, None)
    assert len(calls) == 1


def test_nothing_is_parsed_before_it_is_asked_for() -> None:
    def never(captures: Mapping[str, Capture]) -> Iterable[Reading]:
        raise AssertionError

    facts(Capture("file:/w", CaptureStatus.OK, b""), parser=Parser("w", ("word.",), ("*",), never))


@pytest.mark.parametrize("status", [s for s in CaptureStatus if s.value not in ("ok", "truncated")])
def test_a_capture_that_failed_says_how(status: CaptureStatus) -> None:
    assert why(facts(Capture("file:/w", status)).get("word.x")) == f"file:/w was {status.value}"


def test_what_was_never_collected_says_so() -> None:
    assert why(facts().get("word.x")) == "file:/w or tree:/w/* was not collected"


def test_bytes_that_do_not_parse_give_no_facts_and_say_where() -> None:
    found = facts(Capture("file:/w", CaptureStatus.OK, b"\xff")).get("word.x")
    assert why(found) == "file:/w could not be read: line 1: not ASCII"


def test_only_what_is_absent_counts_as_not_there() -> None:
    def missing(status: CaptureStatus) -> bool:
        found = facts(Capture("file:/w", status)).get("word.x")
        assert isinstance(found, Missing)
        return found.not_there

    assert missing(CaptureStatus.ABSENT)
    assert not missing(CaptureStatus.DENIED)


def test_an_implied_value_needs_a_capture_that_was_read() -> None:
    parser = Parser("words", ("word.",), ("file:/w",), words, lambda name, values: False)
    assert facts(Capture("file:/w", CaptureStatus.OK, b"a"), parser=parser).value("word.b") is False
    assert facts(parser=parser).value("word.b") is None


def test_the_longest_declared_prefix_owns_a_name() -> None:
    short = Parser("short", ("a.",), ("x",), words)
    long = Parser("long", ("a.b.",), ("y",), words)
    assert Facts(Snapshot({}), [short, long]).parser_of("a.b.c").name == "long"
    assert Facts(Snapshot({}), [short, long]).parser_of("a.c").name == "short"


def test_a_name_nobody_declares_is_an_error() -> None:
    with pytest.raises(KeyError):
        facts().get("nonesuch.x")


def test_a_snapshot_is_named_by_its_content_not_by_its_order() -> None:
    a, b = Capture("a", CaptureStatus.OK, b"1"), Capture("b", CaptureStatus.DENIED)
    assert Snapshot({"a": a, "b": b}).digest == Snapshot({"b": b, "a": a}).digest
    changed = Capture("b", CaptureStatus.ABSENT)
    assert Snapshot({"a": a, "b": b}).digest != Snapshot({"a": a, "b": changed}).digest


def test_no_two_parsers_declare_the_same_name() -> None:
    declared = [name for parser in all_parsers() for name in parser.declares]
    assert len(declared) == len(set(declared))


def test_parsers_have_different_names() -> None:
    names = [parser.name for parser in all_parsers()]
    assert len(names) == len(set(names))
