"""Find the chip that a user names: a code name, somebody's recording, or an emulator's model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from uplift.catalog.model import Catalog
from uplift.catalog.releases import Place, load_release, release_names
from uplift.errors import TargetError, UpliftError
from uplift.facts.imports import load_path
from uplift.facts.model import Capture, Snapshot
from uplift.facts.parsers import read_facts
from uplift.facts.parsers.qemu import read_json
from uplift.lab.cpu_models import x86_expansion
from uplift.lab.qemu_registers import raw_registers
from uplift.resolve.chip_side import ChipSide, chip_side, recorded_chip
from uplift.resolve.emulated_chip import Told, arm64_model, x86_model

QEMU = "qemu:"
_QMP = "cmd:qemu-system-x86_64/qmp"
_SUFFIXES = (".jsonl.gz", ".jsonl", ".txt", ".test", ".xml", ".json", ".tar.gz", ".tar.xz", ".gz")


def chip_named(text: str, catalog: Catalog, places: Sequence[Place] = ()) -> ChipSide:
    """Return the chip that ``text`` names.

    :param text: a code name of the catalog; the path of any recording that can be imported; or
        ``qemu:MODEL``, ``qemu:MODEL@RELEASE`` for the model as that release's QEMU has it.
    :param places: where recorded releases lie, whose QEMU may have told of its models.
    :raises UpliftError: there is no such chip, recording or model; near names are told.
    """
    if text.startswith(QEMU):
        return _emulated(text.removeprefix(QEMU), catalog, places)
    chip = next((chip for chip in catalog.chips if chip.codename == text), None)
    if chip is not None:
        return chip_side(chip, catalog)
    path = Path(text)
    if path.exists():
        return recorded_chip(_stem(path), load_path(path), catalog)
    raise _unknown(text, catalog)


def _stem(path: Path) -> str:
    name = path.name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name or path.resolve().name


def _unknown(text: str, catalog: Catalog) -> UpliftError:
    names = [chip.codename for chip in catalog.chips]
    near = get_close_matches(text.lower().replace(" ", "-"), names, 4, 0.5)
    near += [name for name in names if text.lower() in name and name not in near][:4]
    told = f"; near: {', '.join(near[:6])}" if near else ""
    return UpliftError(
        f"cannot find the chip {text[:80]!r}",
        f"no chip of the catalog is called so, and no file is{told}",
        "name one that `uplift chip list` shows, a recording's path, or qemu:MODEL",
    )


def _emulated(wanted: str, catalog: Catalog, places: Sequence[Place]) -> ChipSide:
    model, _, release = wanted.partition("@")
    if not model.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UpliftError(
            f"cannot ask QEMU for {model[:60]!r}",
            "a model's name has letters, digits, dashes, dots and underscores",
            "write for example qemu:EPYC-Genoa or qemu:neoverse-v1",
        )
    if release:
        return _recorded(model, release, catalog, places)
    answer = _local_x86(model)
    if answer is not None:
        return _x86(wanted, answer, catalog)
    for name in _with_models(places):
        found = _answer_of(name, places)
        if found is not None and model in _expanded(found):
            return _x86(f"{model}@{name}", found, catalog)
    try:
        return arm64_model(Told(QEMU + model, model, "", raw_registers(model)))
    except TargetError:
        raise _no_model(model, places) from None


def _local_x86(model: str) -> Capture | None:
    """Return this machine's QEMU's answer, None where it has no such model or is not here."""
    try:
        answer = x86_expansion(model)
    except TargetError:
        return None
    return answer if model in _expanded(answer) else None


def _recorded(model: str, release: str, catalog: Catalog, places: Sequence[Place]) -> ChipSide:
    answer = _answer_of(release, places)
    known = sorted(_expanded(answer)) if answer else []
    if answer is not None and model in known:
        return _x86(f"{model}@{release}", answer, catalog)
    near = get_close_matches(model, known, 4) or known[:4]
    raise UpliftError(
        f"cannot find the model {model!r} in {release}",
        f"its QEMU was recorded with {', '.join(near)}, …"
        if known
        else "what its QEMU says of CPU models was not recorded",
        f"name another model, or record it with `uplift release record {release}`",
    )


def _x86(wanted: str, answer: Capture, catalog: Catalog) -> ChipSide:
    model = wanted.partition("@")[0]
    told = Told(QEMU + wanted, model, _version(answer), answer)
    return x86_model(told, _expanded(answer)[model], catalog)


def _version(answer: Capture) -> str:
    facts = read_facts(Snapshot({answer.id: answer}))
    return str(facts.value("qemu.version") or "")


def _answer_of(release: str, places: Sequence[Place]) -> Capture | None:
    snapshot = load_release(release, "amd64", places).snapshot
    capture = snapshot.captures.get(_QMP)
    return capture if capture is not None and capture.usable else None


def _with_models(places: Sequence[Place]) -> Iterator[str]:
    """Yield the releases on amd64, those with a newer QEMU of their own set included."""
    for release, archs in release_names(places).items() if places else ():
        for name in archs.get("amd64", ()):
            yield release if name == "base" else f"{release}+{name}"


def _expanded(answer: Capture) -> dict[str, Mapping[str, Any]]:
    document = read_json(answer.data)
    found: dict[str, Mapping[str, Any]] = {}
    for tag, reply in document.items() if isinstance(document, Mapping) else ():
        model = reply.get("model") if isinstance(reply, Mapping) else None
        props = model.get("props") if isinstance(model, Mapping) else None
        if tag.startswith("expansion-") and isinstance(props, Mapping):
            found[tag.removeprefix("expansion-")] = props
    return found


def _no_model(model: str, places: Sequence[Place]) -> UpliftError:
    recorded = " and no recorded release's has" if places else ""
    return UpliftError(
        f"cannot find the CPU model {model!r}",
        f"this machine's QEMU has no such model{recorded}",
        "choose one that `qemu-system-x86_64 -cpu help` or `qemu-system-aarch64 -machine virt "
        "-cpu help` lists, or name a recorded release: qemu:MODEL@RELEASE",
    )
