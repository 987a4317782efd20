"""What a worker keeps between packages: no more than it may, and nothing that audits left."""

from __future__ import annotations

import weakref

from uplift.isa.archive_memory import Debris, Remembered


class Cycle:
    """An array in a cycle, as an audit leaves them."""

    def __init__(self) -> None:
        self.me = self


def test_what_hangs_in_cycles_is_gone_after_so_many_bytes_of_files():
    left = weakref.ref(Cycle())
    debris = Debris(every=100)
    assert not debris.add(99)
    assert debris.add(1)
    assert left() is None
    assert not debris.add(99)


def test_no_more_files_are_remembered_than_may_be_and_the_longest_unused_goes_first():
    kept: Remembered[list[int]] = Remembered(len, files=2, most=100)
    for name in ("a", "b"):
        kept.add(name, [1])
    assert kept.get("a") == [1]
    kept.add("c", [2])
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == ([1], None, [2])


def test_no_more_rows_are_remembered_than_may_be():
    kept: Remembered[list[int]] = Remembered(len, files=100, most=5)
    kept.add("a", [0] * 3)
    kept.add("b", [0] * 2)
    assert kept.get("a") == [0] * 3
    kept.add("c", [0] * 2)
    assert (kept.get("b"), kept.get("a"), kept.get("c")) == (None, [0] * 3, [0] * 2)
    kept.add("d", [0] * 6)
    assert [kept.get(name) for name in "abcd"] == [None] * 4
