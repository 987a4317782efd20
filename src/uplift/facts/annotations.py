"""Ubuntu's kernel configuration policy: the file ``debian.<kernel>/config/annotations``.

One statement a line: ``CONFIG_X policy<{'amd64': 'y', 'arm64-generic-64k': 'n'}>`` says what an
option has to be on an architecture or on one of its flavours, ``CONFIG_X note<'LP: #n'>`` says why.
``-`` stands for an option that the configuration must not name. A derivative includes the file of
the kernel that it derives from and states what differs.

The form and the order of precedence are those of ``debian/scripts/misc/kconfig/annotations.py`` in
Ubuntu's kernels (formats 3 and 4).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MAX_BYTES = 16 << 20  #: of one file; the largest seen has 1.8 MB
MAX_FILES = 32  #: one file with all that it includes
FORMATS = ("3", "4")
ABSENT = "-"  #: what a policy says of an option that the configuration must not name
#: The flavour that is meant where none is named.
GENERIC = "generic"
#: What differs with every build machine: upstream's check leaves it out, too.
_OF_THE_BUILD = re.compile(
    r"CONFIG_(?:VERSION_SIGNATURE|\w+_VERSION_TEXT|(?:GCC|CLANG|AS|LD|LLD|PAHOLE|RUSTC"
    r"|RUSTC_LLVM|BINDGEN)_VERSION)"
)

Include = Callable[[str], str]


@dataclass(frozen=True)
class Annotations:
    """The policy of one kernel, with all that its file includes.

    :param policies: option to value, by architecture (``arm64``) or architecture and flavour
        (``arm64-generic-64k``).
    :param notes: why an option is what it is.
    :param flavours: with their architecture, as the header names them.
    :param derived: flavour to the flavour whose policies it takes over (``FLAVOUR_DEP``).
    """

    policies: Mapping[str, Mapping[str, str]]
    notes: Mapping[str, str]
    archs: tuple[str, ...] = ()
    flavours: tuple[str, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)

    def value(self, option: str, arch: str, flavour: str = GENERIC) -> str | None:
        """Return what ``option`` has to be; None where no policy speaks of it.

        The flavour's own policy comes first, then that of the flavour it derives from, then the
        architecture's.
        """
        policy = self.policies.get(option)
        return _first(policy, self._keys(arch, flavour)) if policy else None

    def of(self, arch: str, flavour: str = GENERIC) -> Mapping[str, str]:
        """Return option to value for every option that some policy speaks of."""
        keys = self._keys(arch, flavour)
        found = ((option, _first(policy, keys)) for option, policy in self.policies.items())
        return {option: value for option, value in found if value is not None}

    def note(self, option: str) -> str:
        """Return why ``option`` is what it is, empty where nobody noted it."""
        return self.notes.get(option, "")

    def _keys(self, arch: str, flavour: str) -> tuple[str, ...]:
        own = f"{arch}-{flavour}"
        base = self.derived.get(own, own)
        return (own, arch) if base == own else (own, base, arch)


@dataclass(frozen=True)
class Mismatch:
    """An option that is not what the policy says.

    :param expected: ``-`` for an option that must not stand there; None where no policy speaks
        of an option that does.
    :param found: ``-`` where the configuration does not name it.
    """

    option: str
    expected: str | None
    found: str
    note: str


def check_config(
    annotations: Annotations, config: Mapping[str, str], arch: str, flavour: str = GENERIC
) -> tuple[Mismatch, ...]:
    """Compare a configuration with the policy; what differs with the build machine is left out.

    :param config: option to value as :func:`uplift.facts.config_text.read_config` gives it.
    """
    policy = annotations.of(arch, flavour)
    return tuple(
        Mismatch(option, policy.get(option), config.get(option, ABSENT), annotations.note(option))
        for option in sorted(policy.keys() | config.keys())
        if config.get(option, ABSENT) != policy.get(option) and not _OF_THE_BUILD.fullmatch(option)
    )


def read_annotations(
    text: str, include: Include | None = None, path: str = "annotations"
) -> Annotations:
    """Read an annotations file and what it includes.

    :param include: returns the text of a file, given its path below the root of the tree.
    :param path: this file's own path below that root: includes are relative to it.
    :raises ValueError: a line is malformed, an include leads out of the tree or in a circle;
        begins with ``path:line:column``.
    """
    reader = _Reader(include)
    header = reader.read(text, path)
    return Annotations(reader.policies, reader.notes, header.archs, header.flavours, header.derived)


_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ITEM = re.compile(rf"\s*({_STRING})\s*:\s*({_STRING})\s*(?:,|$)")
_STATEMENT = re.compile(
    rf"(CONFIG_\w+)\s+(?:policy<\{{((?:[^'\"}}]|{_STRING})*)\}}>\s*)?(?:note<(.*)>)?\s*$", re.ASCII
)
_INCLUDE = re.compile(r'include\s+(?:"([^"]*)"|([^"\s]+))\s*$')
_ESCAPE = re.compile(r"\\(.)")
_PLAIN = {"n": "\n", "t": "\t"}


@dataclass(frozen=True)
class _Header:
    archs: tuple[str, ...] = ()
    flavours: tuple[str, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)


class _Reader:
    """Collects the statements of a file and of what it includes, in the order of reading."""

    def __init__(self, include: Include | None) -> None:
        self.policies: dict[str, Mapping[str, str]] = {}
        self.notes: dict[str, str] = {}
        self._include = include
        self._open: list[str] = []
        self._files = 0
        self._included_flavours: set[str] = set()
        self._bodies: dict[str, Mapping[str, str]] = {}
        self._archs: frozenset[str] = frozenset()

    def read(self, text: str, path: str) -> _Header:
        """Read the file that a kernel is built from; its header counts, not that of an include."""
        header = _header(text, path)
        if not header.archs or not header.flavours:
            missing = "FLAVOUR" if header.archs else "ARCH"
            raise ValueError(f"{path}:1:1: the header has no line '# {missing}: …'")
        self._archs = frozenset(header.archs)
        self._statements(text, path)
        unknown = sorted(set(header.derived.values()) - self._included_flavours)
        if unknown:
            line = _line_of(text, "# FLAVOUR_DEP:")
            raise ValueError(f"{path}:{line}:1: no included file has the flavour {unknown[0]}")
        return header

    def _statements(self, text: str, path: str) -> None:
        if len(text) > MAX_BYTES:
            raise ValueError(f"{path}:1:1: it has more than {MAX_BYTES} bytes")
        self._open.append(path)
        for number, line in enumerate(text.split("\n"), 1):
            found = _STATEMENT.match(line)
            if found and (found[2] is not None or found[3] is not None):
                self._state(found, path, number)
            elif line.strip() and not line.lstrip().startswith("#"):
                self._other(line, path, number)
        self._open.pop()

    def _state(self, found: re.Match[str], path: str, number: int) -> None:
        option, body, note = found.groups()
        if body is not None:
            policy = self._bodies.get(body)
            if policy is None:
                place = f"{path}:{number}"
                policy = self._bodies[body] = _pairs(body, place, found.start(2) + 1)
            known = self.policies.get(option)
            self.policies[option] = self._laid_over(known, policy) if known else policy
        if note is not None:
            self.notes[option] = _note(note)

    def _laid_over(self, known: Mapping[str, str], new: Mapping[str, str]) -> Mapping[str, str]:
        """A policy for a whole architecture ends what stood for its flavours."""
        merged = dict(known)
        for key, value in new.items():
            if key in self._archs:
                for flavour in [name for name in merged if name.startswith(f"{key}-")]:
                    del merged[flavour]
            merged[key] = value
        return merged

    def _other(self, line: str, path: str, number: int) -> None:
        found = _INCLUDE.match(line.strip())
        if not found:
            raise ValueError(f"{path}:{number}:{_column(line)}: {_expected(line)}")
        place = f"{path}:{number}:{line.index('include') + 1}"
        self._included(found[1] or found[2], place)

    def _included(self, named: str, place: str) -> None:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self._open[-1]), named))
        if path.startswith(("../", "/")) or path == "..":
            raise ValueError(f"{place}: {named} leads out of the tree")
        if path in self._open:
            raise ValueError(f"{place}: {named} includes itself: {' > '.join([*self._open, path])}")
        self._files += 1
        if self._files > MAX_FILES:
            raise ValueError(f"{place}: more than {MAX_FILES} files are included")
        if self._include is None:
            raise ValueError(f"{place}: {named} cannot be read here")
        text = self._include(path)
        self._included_flavours.update(_header(text, path).flavours)
        self._statements(text, path)


def _first(policy: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        if key in policy:
            return policy[key]
    return None


def _header(text: str, path: str) -> _Header:
    """Read the comments that a file begins with."""
    words: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("#"):
            break
        name, colon, rest = line[1:].partition(":")
        if colon:
            words[name.strip()], lines[name.strip()] = rest.strip(), number
    form = words.get("FORMAT", FORMATS[-1])
    if form not in FORMATS:
        raise ValueError(f"{path}:{lines['FORMAT']}:1: format {form[:20]} is none of 3 and 4")
    return _Header(
        tuple(words.get("ARCH", "").split()),
        tuple(words.get("FLAVOUR", "").split()),
        _derived(words.get("FLAVOUR_DEP", "{}"), f"{path}:{lines.get('FLAVOUR_DEP', 1)}"),
    )


def _derived(text: str, place: str) -> Mapping[str, str]:
    if not (text.startswith("{") and text.endswith("}")):
        raise ValueError(f"{place}:1: FLAVOUR_DEP is no {{'flavour': 'flavour', …}}")
    return _pairs(text[1:-1], place, len("# FLAVOUR_DEP: {") + 1)


def _pairs(body: str, place: str, column: int) -> Mapping[str, str]:
    """Read ``'key': 'value', …``; ``column`` is that of the body's first character."""
    found: dict[str, str] = {}
    at, end = 0, len(body.rstrip())
    while at < end:
        item = _ITEM.match(body, at, end)
        if not item:
            raise ValueError(f"{place}:{column + at}: here stands no 'key': 'value'")
        found[_unquoted(item[1])] = _unquoted(item[2])
        at = item.end()
    return found


def _unquoted(string: str) -> str:
    inner = string[1:-1]
    return _ESCAPE.sub(lambda m: _PLAIN.get(m[1], m[1]), inner) if "\\" in inner else inner


def _note(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _column(line: str) -> int:
    """Return where a line stops to be what it seems to be."""
    found = re.match(r"\s*CONFIG_\w+\s+(?:policy<\{)?", line, re.ASCII)
    return (found.end() if found else len(line) - len(line.lstrip())) + 1


def _expected(line: str) -> str:
    if line.lstrip().startswith("include"):
        return 'an include reads: include "path"'
    return "neither policy<{'arch': 'value'}>, note<'text'>, include nor comment"


def _line_of(text: str, start: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), 1) if line.startswith(start))
