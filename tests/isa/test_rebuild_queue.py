"""A queue of rebuilds goes on where it was broken off, and no failure stops it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from uplift.errors import UpliftError
from uplift.isa import rebuild_night
from uplift.isa.rebuild_log import Outcome, OwnTests
from uplift.isa.rebuild_queue import Item, Progress, Queue, again, from_text, joined, sources_of


@pytest.mark.parametrize(
    "text",
    [
        "score,source\n9,zstd\n5,fftw3\n4,zstd\n",
        json.dumps(["zstd", "fftw3"]),
        json.dumps([{"source": "zstd", "score": 9}, {"source": "fftw3"}]),
        json.dumps({"schema": "x/1", "candidates": [{"package": "zstd"}, {"package": "fftw3"}]}),
        "# best first\nzstd\nfftw3\n",
    ],
)
def test_a_ranking_is_read_best_first_and_each_once(text):
    assert sources_of(text, 10) == ("zstd", "fftw3")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "[1, 2]", "{", "[]"])
def test_what_is_no_ranking_is_refused(text):
    with pytest.raises(UpliftError, match="ranking"):
        sources_of(text, 10)


def _build(log: list[str]):
    def build(source: str):
        log.append(source)
        if source == "bad":
            raise UpliftError("cannot rebuild bad", "it does not compile", "look")
        if source == "worse":
            raise MemoryError
        return SimpleNamespace(tests=OwnTests(Outcome.PASSED, ""))

    return build


def test_a_failure_never_stops_the_queue(tmp_path):
    built: list[str] = []
    queue = joined(None, "x86-64-v3", ["bad", "worse", "zstd"])
    ended = rebuild_night.work_off(queue, tmp_path, _build(built), lambda *_: None)
    assert built == ["bad", "worse", "zstd"]
    assert [(i.progress.value, i.why) for i in ended.items] == [
        ("failed", "cannot rebuild bad: it does not compile"),
        ("failed", "MemoryError:"),
        ("done", ""),
    ]
    assert rebuild_night.load(tmp_path) == ended


def test_a_queue_that_was_broken_off_goes_on_with_what_it_was_at(tmp_path):
    def interrupted(source: str):
        if source == "second":
            raise KeyboardInterrupt
        return SimpleNamespace(tests=OwnTests(Outcome.PASSED, ""))

    names = ["first", "second", "third"]
    queue = joined(None, "v3", names)
    with pytest.raises(KeyboardInterrupt):
        rebuild_night.work_off(queue, tmp_path, interrupted, lambda *_: None)
    built: list[str] = []
    resumed = joined(rebuild_night.load(tmp_path), "v3", names)
    rebuild_night.work_off(resumed, tmp_path, _build(built), lambda *_: None)
    assert built == ["second", "third"]


def test_failures_wait_again_only_when_asked():
    queue = Queue("v3", (Item("a", Progress.FAILED, "why"), Item("b", Progress.DONE)))
    assert queue.next() is None
    assert again(queue).next() == Item("a")


def test_a_queue_of_another_level_is_not_taken_up():
    with pytest.raises(UpliftError, match="znver5"):
        joined(Queue("x86-64-v3", ()), "znver5", ["zstd"])


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', '{"schema": 1, "items": 2}'])
def test_a_state_that_was_not_written_here_is_refused(text):
    with pytest.raises(UpliftError, match="queue"):
        from_text(text)
