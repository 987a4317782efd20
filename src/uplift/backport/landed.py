"""The criterion "these commits landed": all of them are present on a branch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from uplift.backport.model import Presence, State


@dataclass(frozen=True)
class Landed:
    """Whether commits landed, and what stands against it.

    :param lacking: absent, partly there or taken back.
    :param undetermined: nobody can tell: objects are missing.
    """

    lacking: tuple[Presence, ...]
    undetermined: tuple[Presence, ...]

    @property
    def met(self) -> bool:
        """Whether all are present for sure."""
        return not (self.lacking or self.undetermined)


def landed(commits: Iterable[Presence]) -> Landed:
    """Judge the criterion from where its commits stand."""
    others = [found for found in commits if found.state is not State.PRESENT]
    unsure = tuple(found for found in others if found.state is State.UNDETERMINED)
    return Landed(tuple(found for found in others if found not in unsure), unsure)
