"""What a platform does unless it is told otherwise: which settings a user meets, what decides them.

Also which kernel options nobody meets.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from uplift.catalog.kernel_options import KernelOptions, load_kernel_options
from uplift.catalog.model import Source
from uplift.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULTS = Path(__file__).parent / "data" / "defaults.toml"


@dataclass(frozen=True)
class Setting:
    """One thing that a platform does by default.

    :param arch: where it exists; empty for everywhere.
    :param choices: kernel option to what the setting is when the option is ``y``.
    :param options: of a switch, number or text: the option's names over time.
    :param form: ``choices``, ``switch``, ``number`` or ``text``; empty where only a running
        machine tells.
    :param otherwise: what it is where none of its options is ``y``.
    :param running: the fact that a running machine tells it by; ``offered``: its possible values.
    :param asks: the option without which there is nothing to ask.
    :param element: of a text that is a list: the option that an element needs, ``{}`` its name.
    :param words: raw value to word.
    :param most: architecture to the highest number that its kernel can be built with.
    :param boot: value to boot parameter; the value ``*`` stands for any, ``{value}`` for it.
    :param boot_needs: the option without which the boot parameter does nothing.
    :param bound: its values are an architecture's own.
    :param follows: why it is what it is, where nobody sets it.
    """

    id: str
    title: str
    area: str
    worth: int
    source: Source
    arch: tuple[str, ...] = ()
    form: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    otherwise: str = ""
    running: str = ""
    offered: str = ""
    asks: str = ""
    element: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    boot: Mapping[str, str] = field(default_factory=dict)
    boot_needs: str = ""
    sysctl: Mapping[str, str] = field(default_factory=dict)
    command: Mapping[str, str] = field(default_factory=dict)
    command_needs: str = ""
    bound: bool = False
    follows: str = ""

    @property
    def decided_by(self) -> tuple[str, ...]:
        """Every kernel option that it can depend on."""
        return (*self.choices, *self.options)


@dataclass(frozen=True)
class Vocabulary:
    """A set of words that a component knows.

    :param matching: which words of the fact count; its group is what is shown.
    :param version: the fact that the words come with.
    :param package: what brings a newer one.
    :param of_processor: the processor decides, too; otherwise one version knows the same words.
    """

    id: str
    title: str
    fact: str
    worth: int
    arch: tuple[str, ...] = ()
    matching: str = ""
    version: str = ""
    package: str = ""
    of_processor: bool = False


@dataclass(frozen=True)
class Versioned:
    """A component whose version decides much; the first fact that is known counts.

    :param matching: what of the fact is the version; its group.
    """

    title: str
    facts: tuple[str, ...]
    matching: str = "(.*)"


@dataclass(frozen=True)
class Reason:
    """Why an option or a setting is as it is on some system: somebody wrote it down.

    :param name: the setting's id, or the option without ``CONFIG_``.
    :param value: what it then is: the setting's word, or the option's value.
    :param system: ``os.id`` of the system; ``linux``: since which of its kernels.
    :param arch: where; empty for everywhere.
    """

    name: str
    value: str
    why: str
    source: Source
    system: str
    linux: tuple[int, ...] = ()
    arch: tuple[str, ...] = ()

    def holds(self, value: str, system: str, linux: tuple[int, ...], arch: str) -> bool:
        """Say whether it explains that a platform has ``value``."""
        here = self.value == value and self.system == system
        return here and linux >= self.linux and (not self.arch or arch in self.arch)


@dataclass(frozen=True)
class Defaults:
    """All of it.

    :param noise: kind of option that no user meets (``build``, ``selected``) to its pattern.
    :param kernel: which kernel offers which option.
    """

    settings: tuple[Setting, ...]
    vocabularies: tuple[Vocabulary, ...]
    versions: tuple[Versioned, ...]
    reasons: tuple[Reason, ...]
    noise: Mapping[str, re.Pattern[str]]
    kernel: KernelOptions

    def reason(
        self, name: str, value: str, system: str, linux: tuple[int, ...], arch: str
    ) -> Reason | None:
        """Return what somebody wrote down of a setting or option that has ``value``."""
        named = (reason for reason in self.reasons if reason.name == name)
        return next((reason for reason in named if reason.holds(value, system, linux, arch)), None)

    def noise_of(self, option: str) -> str:
        """Return why nobody meets ``option`` (without ``CONFIG_``); empty where somebody may."""
        found = next((kind for kind, names in self.noise.items() if names.fullmatch(option)), "")
        return found or ("" if self.kernel.is_asked(option) else "selected")


@lru_cache(maxsize=4)
def load_defaults(path: Path = DEFAULTS) -> Defaults:
    """Read the data.

    :raises CatalogError: it is not of its form; names the entry.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"cannot read {path.name}", str(error), "correct the TOML") from None
    return Defaults(
        settings=tuple(_entry(_setting, entry, path) for entry in table.get("setting", ())),
        vocabularies=tuple(
            _entry(_vocabulary, entry, path) for entry in table.get("vocabulary", ())
        ),
        versions=tuple(
            Versioned(entry["title"], tuple(entry["facts"]), entry.get("matching", "(.*)"))
            for entry in table.get("version", ())
        ),
        reasons=tuple(_entry(_reason, entry, path) for entry in table.get("reason", ())),
        noise={kind: _pattern(names) for kind, names in table.get("noise", {}).items()},
        kernel=load_kernel_options(),
    )


def _entry(build: Any, entry: Mapping[str, Any], path: Path) -> Any:
    try:
        return build(entry)
    except (KeyError, ValueError, TypeError) as error:
        name = entry.get("id", entry.get("option", "an entry"))
        raise CatalogError(
            f"cannot read {path.name}", f"{name}: {error!r}", "see the head of the file"
        ) from None


_FORMS = ("choices", "switch", "number", "text")


def _setting(entry: Mapping[str, Any]) -> Setting:
    forms = [form for form in _FORMS if form in entry]
    if len(forms) > 1 or not (forms or "running" in entry):
        raise ValueError("it has one of choices, switch, number, text, or running")
    form = forms[0] if forms else ""
    named = entry[form] if form and form != "choices" else ()
    return Setting(
        id=entry["id"],
        title=entry["title"],
        area=entry["area"],
        worth=entry["worth"],
        source=_source(entry),
        arch=tuple(entry.get("arch", ())),
        form=form,
        choices=entry.get("choices", {}),
        options=(named,) if isinstance(named, str) else tuple(named),
        otherwise=entry.get("otherwise", ""),
        running=entry.get("running", ""),
        offered=entry.get("offered", ""),
        asks=entry.get("asks", ""),
        element=entry.get("element", ""),
        words=entry.get("words", {}),
        most=entry.get("most", {}),
        boot=_by_value(entry.get("boot", {})),
        boot_needs=entry.get("boot_needs", ""),
        sysctl=_by_value(entry.get("sysctl", {})),
        command=_by_value(entry.get("command", {})),
        command_needs=entry.get("command_needs", ""),
        bound=entry.get("bound", False),
        follows=entry.get("follows", ""),
    )


def _by_value(told: str | Mapping[str, str]) -> Mapping[str, str]:
    return {"*": told} if isinstance(told, str) else told


def _vocabulary(entry: Mapping[str, Any]) -> Vocabulary:
    return Vocabulary(**{**entry, "arch": tuple(entry.get("arch", ()))})


def _reason(entry: Mapping[str, Any]) -> Reason:
    return Reason(
        name=entry["option"] if "option" in entry else entry["setting"],
        value=entry["value"],
        why=entry["why"],
        source=_source(entry),
        system=entry["system"],
        linux=tuple(int(part) for part in entry.get("linux", "0").split(".")),
        arch=tuple(entry.get("arch", ())),
    )


def _source(entry: Mapping[str, Any]) -> Source:
    ((kind, text),) = entry["source"].items()
    return Source(kind, text)


def _pattern(names: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(names), re.ASCII)
