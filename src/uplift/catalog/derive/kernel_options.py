"""Derive which kernel options each version of Linux offers on which architecture.

``python -m uplift.catalog.derive.kernel_options TREE…`` reads the Kconfig files of unpacked source
trees and writes ``catalog/data/kernel-options.csv``. An option is on offer where something can
switch it on: its prompt, its default or another option's ``select``, with all that it depends on.
``COMPILE_TEST``, ``BROKEN`` and ``UML`` are off, as in every distribution's kernel; what a compiler
is asked may come to either answer.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uplift.catalog.derive.kvm_exposure import linux_version

TABLE = Path(__file__).parents[1] / "data" / "kernel-options.csv"
#: The catalog's name of an architecture: Kconfig's SRCARCH and ARCH.
ARCHITECTURES = {
    "x86-64": ("x86", "x86_64"),
    "arm64": ("arm64", "arm64"),
    "riscv64": ("riscv", "riscv"),
    "s390x": ("s390", "s390"),
    "ppc64el": ("powerpc", "powerpc"),
}
NEVER = frozenset({"COMPILE_TEST", "BROKEN", "UML", "n"})
ASKED = "__asked__"  #: stands for what a compiler or a shell command answers
EVERYWHERE = "all"
NOWHERE = "none"

_MAX_DEPTH = 64  #: of files that source each other
_TOKEN = re.compile(r'\s*(&&|\|\||!=|<=|>=|[=<>!()]|"[^"]*"|\'[^\']*\'|[\w.-]+)')
_IF = re.compile(r"(?<![\w.-])if(?![\w.-])")
_WORD = re.compile(r"[A-Za-z_]+")
_CONSTANT = re.compile(r"[ymn]|-?\d+|0x[0-9a-fA-F]+")
_MACRO = re.compile(r"[\w-]+\s*[:+]?=")
_TYPES = ("bool", "tristate", "int", "hex", "string")

Expression = tuple[
    Any, ...
]  # ("sym", name) | ("const", text) | ("not", e) | ("and"|"or", e, e) | ("cmp", …)
TRUE: Expression = ("const", "y")


@dataclass
class Definition:
    """One ``config`` entry.

    :param depends: all that has to hold, menus and ``if`` around it included.
    :param prompts: when a person may set it.
    :param defaults: value and when it applies.
    """

    name: str
    depends: list[Expression] = field(default_factory=list)
    prompts: list[Expression] = field(default_factory=list)
    defaults: list[tuple[Expression, Expression]] = field(default_factory=list)
    selects: list[tuple[str, Expression]] = field(default_factory=list)
    valued: bool = False


class Reader:
    """Reads the Kconfig files of one tree for one architecture."""

    def __init__(self, tree: Path, srcarch: str, arch: str) -> None:
        self.definitions: list[Definition] = []
        self._tree = tree
        self._variables = {"SRCARCH": srcarch, "ARCH": arch}
        self._around: list[list[Expression]] = [[]]
        self._current: Definition | list[Expression] | None = None

    def read(self, path: str = "Kconfig", depth: int = 0) -> None:
        """Read one file and what it sources; one that is not there is another architecture's."""
        file = self._tree / path
        if depth > _MAX_DEPTH or not file.is_file():
            return
        for line in _lines(file.read_text("utf-8", "replace")):
            self._line(line, depth)

    def _line(self, line: str, depth: int) -> None:
        if _MACRO.match(line):
            return
        word = (_WORD.match(line) or [""])[0]
        rest = line[len(word) :].strip()
        if word in ("source", "rsource", "osource", "orsource"):
            self._current = None
            self.read(self._expanded(rest.strip("\"'")), depth + 1)
        elif word in ("config", "menuconfig"):
            self._current = Definition(rest, [e for level in self._around for e in level])
            self.definitions.append(self._current)
        elif word in ("menu", "if", "choice"):
            self._around.append([self._parsed(rest)] if word == "if" else [])
            self._current = self._around[-1] if word != "if" else None
        elif word in ("endmenu", "endif", "endchoice"):
            self._around.pop()
            self._current = None
        elif word in ("comment", "mainmenu"):
            self._current = []
        elif self._current is not None:
            self._attribute(word, rest)

    def _attribute(self, word: str, rest: str) -> None:
        current = self._current
        if word == "depends" and current is not None:
            held = current.depends if isinstance(current, Definition) else current
            held.append(self._parsed(rest.removeprefix("on")))
        if not isinstance(current, Definition):
            return
        value, condition = self._split(rest)
        if word in _TYPES:
            current.valued = current.valued or word in ("int", "hex", "string")
        if word == "prompt" or (word in _TYPES and rest):
            current.prompts.append(condition)
        elif word in ("default", "def_bool", "def_tristate"):
            current.defaults.append((self._parsed(value), condition))
        elif word in ("select", "imply"):
            current.selects.append((value, condition))

    def _split(self, rest: str) -> tuple[str, Expression]:
        """Split ``value if condition``; an ``if`` in quotes is text."""
        bare = re.sub(r'"[^"]*"|\'[^\']*\'', lambda m: "\0" * len(m[0]), rest)
        found = _IF.search(bare)
        if not found:
            return rest.strip(), TRUE
        return rest[: found.start()].strip(), self._parsed(rest[found.end() :])

    def _expanded(self, text: str) -> str:
        """Expand variables; what a compiler would be asked may be yes and may be no."""
        for name, value in self._variables.items():
            text = text.replace(f"$({name})", value)
        while (start := text.find("$(")) >= 0:
            text = text[:start] + ASKED + text[_closing(text, start + 1) + 1 :]
        return text

    def _parsed(self, text: str) -> Expression:
        tokens = _TOKEN.findall(self._expanded(text))
        found, left = _or(tokens)
        return found if not left else TRUE


def _closing(text: str, start: int) -> int:
    level = 0
    for place in range(start, len(text)):
        level += {"(": 1, ")": -1}.get(text[place], 0)
        if level == 0:
            return place
    return len(text)


def _lines(text: str) -> Iterator[str]:
    """Yield statements without comments, blank lines and help texts."""
    help_indent: int | None = None
    for line in text.replace("\\\n", " ").expandtabs().split("\n"):
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        if help_indent is not None:
            if not bare:
                continue
            if help_indent == 0:
                help_indent = indent or -1
            if indent >= help_indent > 0:
                continue
            help_indent = None
        if bare in ("help", "---help---"):
            help_indent = 0
        elif bare and not bare.startswith("#"):
            yield re.sub(r"\s#[^\"']*$", "", bare)


def _or(tokens: list[str]) -> tuple[Expression, list[str]]:
    return _chain(tokens, "||", "or", lambda t: _chain(t, "&&", "and", _not))


def _chain(
    tokens: list[str],
    operator: str,
    name: str,
    part: Callable[[list[str]], tuple[Expression, list[str]]],
) -> tuple[Expression, list[str]]:
    found, tokens = part(tokens)
    while tokens and tokens[0] == operator:
        right, tokens = part(tokens[1:])
        found = (name, found, right)
    return found, tokens


def _not(tokens: list[str]) -> tuple[Expression, list[str]]:
    if not tokens:
        return TRUE, []
    if tokens[0] == "!":
        inner, left = _not(tokens[1:])
        return ("not", inner), left
    if tokens[0] == "(":
        inner, left = _or(tokens[1:])
        return inner, left[1:]
    operand, left = _operand(tokens[0]), tokens[1:]
    if left and left[0] in ("=", "!=", "<", ">", "<=", ">=") and len(left) > 1:
        return ("cmp", operand, left[0], _operand(left[1])), left[2:]
    return operand, left


def _operand(token: str) -> Expression:
    if token[0] in "\"'":
        return ("const", token[1:-1])
    return ("const" if _CONSTANT.fullmatch(token) else "sym", token)


class Offer:
    """What the options of one tree can be on one architecture: a least fixed point."""

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self.by_name: dict[str, list[Definition]] = {}
        for definition in definitions:
            self.by_name.setdefault(definition.name, []).append(definition)
        self._selected_by: dict[str, list[tuple[Definition, Expression]]] = {}
        for definition in definitions:
            for name, condition in definition.selects:
                self._selected_by.setdefault(name, []).append((definition, condition))
        self.always: set[str] = set()
        self.can: set[str] = {ASKED}

    def solve(self) -> frozenset[str]:
        """Return the options that something can switch on."""
        self._grow(self.always, self._is_always)
        self._grow(self.can, self._is_possible)
        return frozenset(self.can - {ASKED})

    def _grow(self, found: set[str], holds: Callable[[str], bool]) -> None:
        left = set(self.by_name) - found
        while new := {name for name in left if holds(name)}:
            found |= new
            left -= new

    def _is_always(self, name: str) -> bool:
        """Nobody is asked, and its default is yes whatever else is set."""
        return name not in NEVER and any(
            not d.prompts
            and all(self._must(e) for e in d.depends)
            and any(self._must(value) and self._must(when) for value, when in d.defaults)
            for d in self.by_name[name]
        )

    def _is_possible(self, name: str) -> bool:
        if name in NEVER:
            return False
        if any(self._offered(definition) for definition in self.by_name[name]):
            return True
        return any(
            selecting.name in self.can and self._may(condition)
            for selecting, condition in self._selected_by.get(name, ())
        )

    def _offered(self, definition: Definition) -> bool:
        if not all(self._may(condition) for condition in definition.depends):
            return False
        if any(self._may(condition) for condition in definition.prompts):
            return True
        return any(
            self._may(when) and (definition.valued or self._may(value))
            for value, when in definition.defaults
        )

    def _must(self, e: Expression) -> bool:
        if e[0] == "const":
            return e[1] not in ("n", "", "0")
        if e[0] == "sym":
            return e[1] in self.always
        if e[0] == "not":
            return False
        if e[0] == "cmp":
            return e[1][0] == e[3][0] == "const" and _compared(e[1][1], e[2], e[3][1])
        return (all if e[0] == "and" else any)(self._must(part) for part in e[1:])

    def _may(self, e: Expression) -> bool:
        if e[0] == "const":
            return e[1] not in ("n", "")
        if e[0] == "sym":
            return e[1] in self.can
        if e[0] == "not":
            return self._may_not(e[1])
        if e[0] == "cmp":
            return self._may_compare(*e[1:])
        return (all if e[0] == "and" else any)(self._may(part) for part in e[1:])

    def _may_not(self, e: Expression) -> bool:
        if e[0] == "const":
            return e[1] in ("n", "")
        if e[0] == "sym":
            return e[1] not in self.always
        if e[0] == "not":
            return self._may(e[1])
        if e[0] == "cmp":
            return not (e[1][0] == e[3][0] == "const") or not _compared(e[1][1], e[2], e[3][1])
        return (any if e[0] == "and" else all)(self._may_not(part) for part in e[1:])

    def _may_compare(self, left: Expression, operator: str, right: Expression) -> bool:
        if left[0] == right[0] == "const":
            return _compared(left[1], operator, right[1])
        if operator == "=" and ("const", "y") in (left, right):
            return all(self._may(side) for side in (left, right))
        return True


def _compared(left: str, operator: str, right: str) -> bool:
    if operator in ("=", "!="):
        return (left == right) == (operator == "=")
    return True


@dataclass
class Offered:
    """What one version of Linux offers: option to architectures, and who is asked for what.

    An option that only another architecture's files define is not named.
    """

    archs: dict[str, set[str]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)


def offered(tree: Path) -> Offered:
    """Read one version of Linux for each architecture."""
    found = Offered()
    for name, (srcarch, arch) in ARCHITECTURES.items():
        reader = Reader(tree, srcarch, arch)
        reader.read()
        offer = Offer(reader.definitions)
        can = offer.solve()
        for option in offer.by_name:
            found.archs.setdefault(option, set()).update({name} if option in can else ())
        found.asked |= {d.name for d in reader.definitions if d.prompts}
    return found


def cell(archs: set[str] | None) -> str:
    """Return one cell of the table: empty where the version does not know the option."""
    if archs is None:
        return ""
    if not archs:
        return NOWHERE
    return EVERYWHERE if len(archs) == len(ARCHITECTURES) else " ".join(sorted(archs))


def main(*trees: str) -> None:
    """Derive the table from unpacked trees; the order does not matter."""
    read = {linux_version(Path(tree)): offered(Path(tree)) for tree in trees}
    versions = sorted(read, key=lambda v: [int(part) for part in v.split(".")])
    short = [".".join(version.split(".")[:2]) for version in versions]
    options = sorted(set().union(*(found.archs for found in read.values())))
    rows = [
        [
            option,
            "asked" if any(option in found.asked for found in read.values()) else "",
            *(cell(read[version].archs.get(option)) for version in versions),
        ]
        for option in options
    ]
    _write(rows, short, versions)
    print(f"{TABLE.name}: {len(rows)} options of Linux {', '.join(versions)}")


def _write(rows: Sequence[Sequence[str]], columns: Sequence[str], versions: Sequence[str]) -> None:
    with TABLE.open("w", newline="", encoding="utf-8") as stream:
        stream.write(f"# derived: linux {', '.join(versions)}: every Kconfig file\n")
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["option", "asked", *columns])
        table.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
