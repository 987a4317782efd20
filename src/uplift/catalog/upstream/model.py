"""What is sent upstream: whom it is about, what is added, and the patch with its message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from textwrap import wrap

from uplift.catalog.labels import labels_of, union
from uplift.catalog.model import UNLABELLED, Catalog, Chip, Labels, strictest_first
from uplift.catalog.patch_text import git_patch
from uplift.facts.model import Facts

_WIDTH = 75  #: of a commit message


@dataclass(frozen=True)
class Subject:
    """A chip to teach, or what was recorded of one.

    :param chip: None where the recording's chip is in no catalog.
    :param facts: of the recording; None where only the catalog speaks.
    :param origin: the recording's name; empty without.
    """

    chip: Chip | None
    facts: Facts | None = None
    origin: str = ""


@dataclass(frozen=True)
class Addition:
    """One thing that the patch adds.

    :param source: where it is known from.
    """

    name: str
    source: str
    labels: Labels = UNLABELLED


@dataclass(frozen=True)
class UpstreamPatch:
    """One commit for another project.

    :param changes: path in that project to its text before and after.
    :param added: what the change adds, each with its source.
    :param skipped: what was asked for and is not in it, with the reason.
    """

    subject: str
    body: str
    changes: Mapping[str, tuple[str, str]]
    added: tuple[Addition, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """The labels of the overlays that any of it was made from."""
        return union(*(addition.labels for addition in self.added))


def message(patch: UpstreamPatch) -> str:
    """Return the commit's message: a template, which nobody has signed off."""
    paragraphs = [f"Subject: [PATCH] {patch.subject}"]
    for label in strictest_first(patch.labels):
        paragraphs.append("\n".join(wrap(f"NOT FOR PUBLICATION: {label}", _WIDTH)))
    paragraphs.append("\n".join(wrap(patch.body, _WIDTH)))
    lines = [_addition(addition) for addition in patch.added]
    paragraphs.append("Sources:\n" + "\n".join(dict.fromkeys(lines)))
    return "\n\n".join(paragraphs) + "\n"


def _addition(addition: Addition) -> str:
    text = f"{addition.name}: {addition.source}"
    return "\n".join(
        wrap(text, _WIDTH, initial_indent=" - ", subsequent_indent="   ", break_on_hyphens=False)
    )


def render(patch: UpstreamPatch) -> str:
    """Return message and change; empty where there is nothing to teach."""
    if not patch.added:
        return ""
    return f"{message(patch)}---\n{git_patch(patch.changes)}"


def public_view(base: Catalog, merged: Catalog, allow: frozenset[str]) -> Catalog:
    """Return the catalog of which anything may be said upstream.

    :param base: without overlays.
    :param merged: with them.
    :param allow: ids and code names that somebody allowed.
    """
    features = {feature.id: feature for feature in base.features}
    features |= {feature.id: feature for feature in merged.features if feature.id in allow}
    chips = {chip.codename: chip for chip in base.chips}
    for chip in merged.chips:
        if chip.codename in allow:
            known = chip.features & features.keys()
            chips[chip.codename] = replace(chip, features=known)
    return Catalog(tuple(features.values()), tuple(chips.values()), merged.overlays)


def chip_source(chip: Chip) -> str:
    """Return where the chip and its list of features are known from."""
    texts = [f"{chip.source.kind}: {chip.source.text}"]
    if chip.features_source:
        texts.append(f"features {chip.features_source.kind}: {chip.features_source.text}")
    texts.extend(f"{one.source.kind}: {one.source.text}" for one in chip.added)
    return "; ".join(texts)


def subject_labels(subject: Subject) -> Labels:
    """Return the labels of what is known of the chip."""
    return labels_of(subject.chip) if subject.chip else UNLABELLED
