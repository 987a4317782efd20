"""How labels of overlays are shown: a banner over the document, a mark at each thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from uplift.catalog.labels import labels_of
from uplift.catalog.model import Labels, strictest_first

STYLE = "bold red"
_SIGNS = ("‡", "!")


class Marks:
    """Short signs for the labels that one document uses, explained by its banner.

    :param labels: of the whole document.
    """

    def __init__(self, labels: Iterable[str], unicode: bool = True) -> None:
        sign = _SIGNS[not unicode]
        ordered = strictest_first(labels)
        several = len(ordered) > 1
        self.signs: Mapping[str, str] = {
            label: f"{sign}{number if several else ''}" for number, label in enumerate(ordered, 1)
        }

    def of(self, thing: Any) -> str:
        """Return the signs of what ``thing`` was made from, after a blank; empty for none."""
        return self.on(labels_of(thing))

    def on(self, labels: Labels) -> str:
        """Return the signs of ``labels``, after a blank; empty for none."""
        shown = "".join(sign for label, sign in self.signs.items() if label in labels)
        return f" {shown}" if shown else ""

    def banner(self) -> list[str]:
        """Return one line a label: its sign and its words."""
        return [f"{sign} {label}" for label, sign in self.signs.items()]


def print_banner(marks: Marks, console: Console) -> None:
    """Print which labels the document uses; nothing where it uses none."""
    for line in marks.banner():
        console.print(Text(line, style=f"{STYLE} reverse"))


def in_words(labels: Labels) -> str:
    """Return ``labels`` in brackets, after a blank; empty for none."""
    return f" [{'; '.join(strictest_first(labels))}]" if labels else ""


def label_list(labels: Labels) -> list[str]:
    """Return ``labels`` for JSON, the strictest first."""
    return [str(label) for label in strictest_first(labels)]


def with_labels(document: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """Return a part of a JSON document with its labels, where it has any."""
    return {**document, "labels": label_list(labels)} if labels else document
