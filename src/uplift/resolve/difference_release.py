"""A release as one side of a comparison: what was recorded, and above it what documents state."""

from __future__ import annotations

from collections.abc import Mapping

from uplift.catalog.releases import SelectedRelease
from uplift.facts.annotations import Annotations
from uplift.facts.model import Fact, Facts, Missing, Value
from uplift.facts.parsers import all_parsers, read_facts
from uplift.resolve.compose import release_facts
from uplift.resolve.difference_model import Side


class StatedFacts(Facts):
    """Facts of which documents state some; nothing is predicted and no chip is joined.

    :param stated: fact name to the fact; it stands above what was recorded of the same name.
    """

    def __init__(self, recorded: Facts, stated: Mapping[str, Fact]) -> None:
        super().__init__(recorded.snapshot, all_parsers())
        self._recorded = recorded
        self._stated = stated

    def _find(self, name: str) -> Fact | Missing:
        return self._stated.get(name) or self._recorded.get(name)

    def under(self, prefix: str) -> Mapping[str, Value]:
        """Return what was recorded below ``prefix``, and above it what is stated."""
        stated = {n: fact.value for n, fact in self._stated.items() if n.startswith(prefix)}
        return {**self._recorded.under(prefix), **stated}


def release_side(
    name: str, selected: SelectedRelease, annotations: Annotations | None = None
) -> Side:
    """Return a release as a side.

    :param name: as the user named it.
    """
    facts = release_facts(selected, read_facts(selected.snapshot))
    return Side(
        name,
        "release",
        StatedFacts(facts.recorded, facts.stated),
        release=selected.release.id,
        stated=facts.stated,
        annotations=annotations,
        labels=selected.labels,
    )
