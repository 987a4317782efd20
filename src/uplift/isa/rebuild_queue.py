"""A queue of packages to rebuild: what a ranking asks for, and how far it came.

The state is one JSON file that is written whole after each package, so that a queue goes on where
it was broken off. A package that fails never stops the others.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from uplift.errors import UpliftError

MAX_RANKING = 64 << 20
_STATE = "uplift-rebuild-queue/1"
_COLUMNS = ("source", "source_package", "package", "name")


class Progress(str, Enum):
    """How far a package of the queue is."""

    WAITING = "waiting"
    STARTED = "started"  #: somebody began; if it still says so, it was broken off
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Item:
    """One package of a queue.

    :param why: of a failure: problem and cause.
    """

    source: str
    progress: Progress = Progress.WAITING
    why: str = ""
    seconds: float = 0
    tests: str = ""


@dataclass(frozen=True)
class Queue:
    """Packages in the order of their rank, for one level."""

    level: str
    items: tuple[Item, ...]

    def next(self) -> Item | None:
        """Return the package to go on with: one broken off, or the first that waits."""
        wanted = (Progress.STARTED, Progress.WAITING)
        return next((i for p in wanted for i in self.items if i.progress == p), None)

    def with_item(self, item: Item) -> Queue:
        """Return the queue with what is now known of one package."""
        items = tuple(item if each.source == item.source else each for each in self.items)
        return replace(self, items=items)

    def counts(self) -> dict[str, int]:
        """Return how many packages are how far."""
        return {p.value: sum(i.progress == p for i in self.items) for p in Progress}


def sources_of(text: str, most: int) -> tuple[str, ...]:
    """Return the source packages of a ranking, best first, each once.

    :param text: CSV with a column ``source``, ``source_package``, ``package`` or ``name``; JSON:
        a list of names or of objects with such a key, or an object with such a list in it; or one
        name a line.
    :param most: how many are wanted.
    :raises UpliftError: it is none of these.
    """
    try:
        names = list(_names(text))
    except (ValueError, csv.Error, RecursionError) as error:
        raise _bad(str(error)[:200]) from None
    found = tuple(dict.fromkeys(name for name in names if name))[:most]
    if not found:
        raise _bad("it names no package")
    return found


def _names(text: str) -> Iterator[str]:
    start = text.lstrip()[:1]
    if start in ("[", "{"):
        yield from _names_of_json(json.loads(text))
        return
    first = text.lstrip().partition("\n")[0]
    columns = [column.strip().lower() for column in first.split(",")]
    column = next((name for name in _COLUMNS if name in columns), "")
    if not column:
        if len(columns) > 1:
            raise ValueError(f"its first line has no column {', '.join(_COLUMNS)}")
        yield from (line.strip() for line in text.splitlines() if not line.startswith("#"))
        return
    rows = csv.reader(io.StringIO(text.lstrip()))
    place = columns.index(column)
    next(rows)
    yield from (row[place].strip() for row in rows if len(row) > place)


def _names_of_json(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list) and value]
        document = lists[0] if lists else []
    for row in document:
        if isinstance(row, str):
            yield row
        elif isinstance(row, dict):
            yield next((str(row[name]) for name in _COLUMNS if row.get(name)), "")
        else:
            raise ValueError("its list holds something that is no package")


def _bad(cause: str) -> UpliftError:
    return UpliftError(
        "cannot read the ranking",
        cause,
        "pass CSV or JSON with a column or key `source`, best first, or one name a line",
    )


def joined(queue: Queue | None, level: str, wanted: Sequence[str]) -> Queue:
    """Return the queue for a ranking, with what an earlier run already did of it.

    :raises UpliftError: the earlier run was for another level.
    """
    if queue is not None and queue.level != level:
        raise UpliftError(
            f"cannot go on with the queue for {level}",
            f"the one in that directory is for {queue.level}",
            "choose another directory: --into",
        )
    known: Mapping[str, Item] = {i.source: i for i in queue.items} if queue else {}
    return Queue(level, tuple(known.get(name, Item(name)) for name in wanted))


def again(queue: Queue) -> Queue:
    """Return the queue with its failures waiting once more."""
    items = (Item(i.source) if i.progress == Progress.FAILED else i for i in queue.items)
    return replace(queue, items=tuple(items))


def to_text(queue: Queue) -> str:
    """Return the queue as its file holds it."""
    document = {"schema": _STATE, "level": queue.level, "items": [asdict(i) for i in queue.items]}
    return json.dumps(document, indent=1) + "\n"


def from_text(text: str) -> Queue:
    """Read a queue's file.

    :raises UpliftError: it is none.
    """
    try:
        document = json.loads(text)
        if document["schema"] != _STATE:
            raise ValueError(f"its schema is {str(document['schema'])[:60]!r}")
        items = tuple(_item(row) for row in document["items"])
        return Queue(str(document["level"]), items)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UpliftError(
            "cannot go on with the queue",
            f"its state is not what was written: {str(error)[:200]}",
            "remove the file to start anew",
        ) from None


def _item(row: Mapping[str, Any]) -> Item:
    return Item(
        str(row["source"]),
        Progress(row["progress"]),
        str(row["why"]),
        float(row["seconds"]),
        str(row["tests"]),
    )
