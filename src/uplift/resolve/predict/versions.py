"""What is known by version alone: for releases of which only versions are told."""

from __future__ import annotations

from functools import lru_cache

from uplift.catalog.since import Since, load_since
from uplift.facts.model import PartialWords

#: How a prediction names a table among its inputs: it rests on versions, not on what was recorded.
TABLE = "table:"
_IN_TABLES = {"x86-64": "x86"}  #: what the tables call an architecture


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
    return PartialWords(there, {name: between(project, table[name], version) for name in unsure})
