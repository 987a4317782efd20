"""What is known by version alone: for releases of which only versions are told."""

from __future__ import annotations

from functools import lru_cache

from uplift.catalog.releases import AtLeast
from uplift.catalog.since import Since, load_since
from uplift.facts.model import Fact, Missing, PartialWords
from uplift.resolve.plan_facts import PlanFacts, Prediction

#: How a prediction names a table among its inputs: it rests on versions, not on what was recorded.
TABLE = "table:"
_IN_TABLES = {"x86-64": "x86"}  #: what the tables call an architecture


#: Kinds of which the tables list some names only: of another one nothing is known.
_SOME = frozenset({"option"})
_UNLISTED = "no source read here says since when it is accepted"


def table_of(project: str, kind: str) -> str:
    """Return the input that stands for the table of one kind of word of a project."""
    return f"{TABLE}{project} {kind}"


def between(project: str, since: Since, version: str) -> str:
    """Say why nobody knows whether ``version`` has it."""
    lacks = f"{project} {since.without} lacks it, " if since.without else ""
    has = f"{since.version} has it, " if since.version else ""
    return f"{lacks}{has}and nobody read {project} {version}"


@lru_cache(maxsize=256)
def words_of(project: str, kind: str, arch: str, version: str) -> PartialWords:
    """Return what ``version`` of a project has of one kind; what nobody listed is not in it."""
    tables = load_since()
    named = _IN_TABLES.get(arch, arch)
    table = {**tables.get((project, kind, ""), {}), **tables.get((project, kind, named), {})}
    if not table:
        return PartialWords((), otherwise=f"nobody read what {project} {version} has")
    answers = {name: since.has(version) for name, since in table.items()}
    there = (name for name, answer in answers.items() if answer)
    unsure = (name for name, answer in answers.items() if answer is None)
    why = {name: between(project, table[name], version) for name in unsure}
    lacking = (name for name, answer in answers.items() if answer is False)
    return PartialWords(there, why, "", lacking)


def by_version(
    facts: PlanFacts, project: str, kind: str, arch: str, told: str, adjusted: str = ""
) -> Prediction | Missing:
    """Predict words from the version that the fact ``told`` states.

    :param adjusted: documents state what a distribution added or took out as
        ``<adjusted>_added`` and ``<adjusted>_removed``.
    """
    version = facts.get(told)
    if isinstance(version, Missing):
        return Missing(told, f"{told} is not known")
    words = words_of(project, kind, arch, str(version.value))
    inputs = [version.capture, table_of(project, kind)]
    changes: dict[str, frozenset[str]] = {}
    for change in ("added", "removed") if adjusted else ():
        found = facts.release.get(f"{adjusted}_{change}")
        if isinstance(found, Fact) and isinstance(found.value, frozenset):
            changes[change] = found.value
            inputs.append(found.capture)
    there = (words | changes.get("added", frozenset())) - changes.get("removed", frozenset())
    why = {word: reason for word, reason in words.why.items() if word not in there}
    otherwise = words.otherwise or (_UNLISTED if kind in _SOME else "")
    lacking = (words.settled | changes.get("removed", frozenset())) - there
    if isinstance(version.value, AtLeast):
        otherwise, lacking = version.value.why, changes.get("removed", frozenset()) - there
    value = PartialWords(there, why, otherwise, lacking)
    return Prediction(value, tuple(inputs), f"what {project} {version.value} has")
