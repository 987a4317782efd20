"""GCC and clang: versions, the options each accepts, what ``-march=native`` switches on.

Facts without a number speak of the newest compiler of its kind: what a user can have on this
machine. ``compiler.gcc.default_version`` is that of the program called ``gcc``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from uplift.facts.model import Capture, Parser, Reading, Value

_PROGRAM = re.compile(r"cmd:((?:gcc|clang)(?:-\d+)?)/(.+)")
_FOUND = "probe:compilers"  #: lines 'name path target'
_TOPICS = ("version", "march-native", "target-help", "accepts")
_GCC_VERSION = re.compile(r"^[^\s]*gcc[^\s]* \(.*\) (\d+(?:\.\d+)*)|^gcc version (\d+[.\d]*)", re.M)
_CLANG_VERSION = re.compile(r"clang version (\d+(?:\.\d+)*)")
_BARE_VERSION = re.compile(r"\s*(\d+(?:\.\d+)*)\s*$")

#: ``  -mavx2     [enabled]``, ``  -march=    znver3``; gcc/opts.cc prints so since GCC 4.3.
_OPTION = re.compile(r"^ {1,4}(-m[\w.+-]+=?)(?:<[^>\n]*>|[\w|]*)?[ \t]*(.*)$", re.M)
#: A heading's continuation: the words that an option with a value knows (GCC 9 and later).
_KNOWN = re.compile(
    r"(?:Known valid arguments for|for use with the) (-m\w+=)[^\n]*\n((?: {4}.*\n?)+)"
)
_CPU_NAME = re.compile(r"^\t([\w.-]+)$", re.M)
_CC1_FEATURE = re.compile(r'"-target-feature" "\+([\w.-]+)"')
_CC1_CPU = re.compile(r'"-target-cpu" "([\w.-]+)"')
_ANSWER = re.compile(r"^(-\S+) (yes|no)[ \t\r]*$", re.M)


def _reader(kind: str) -> Callable[[Mapping[str, Capture]], Iterator[Reading]]:
    def parse(captures: Mapping[str, Capture]) -> Iterator[Reading]:
        programs: dict[str, dict[str, Capture]] = {}
        for name, capture in captures.items():
            found = _PROGRAM.fullmatch(name)
            if found and found[2] in _TOPICS:
                programs.setdefault(found[1], {})[found[2]] = capture
        if programs or _FOUND not in captures:
            return _readings(kind, programs)
        return _not_installed(kind, captures[_FOUND].text)

    return parse


def _not_installed(kind: str, found: str) -> Iterator[Reading]:
    """Where another compiler is there, this one accepts nothing; where none is, nobody can say."""
    values: dict[str, Value] = {f"compiler.{kind}.installed": False}
    if found.strip():
        values[f"compiler.{kind}.accepts"] = frozenset()
    yield Reading(_FOUND, values)


def _readings(kind: str, programs: Mapping[str, Mapping[str, Capture]]) -> Iterator[Reading]:
    versions = {
        program: version_of(topics["version"])
        for program, topics in programs.items()
        if "version" in topics
    }
    newest = max(programs, key=lambda program: _key(versions.get(program, "")), default="")
    prefix = f"compiler.{kind}."
    if newest:
        yield Reading(next(iter(programs[newest].values())).id, {f"{prefix}installed": True})
    for program, version in versions.items():
        values: dict[str, Value] = {f"{prefix}version_of.{program}": version}
        if program == kind:
            values[f"{prefix}default_version"] = version
        if program == newest:
            values[f"{prefix}version"] = version
        yield Reading(f"cmd:{program}/version", values)
    if newest:
        yield from _options(prefix, programs[newest])


def _key(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def version_of(capture: Capture) -> str:
    """Return the version that ``--version`` states.

    :raises ValueError: no line states one.
    """
    text = capture.text[:4000]
    for pattern in (_CLANG_VERSION, _GCC_VERSION, _BARE_VERSION):
        found = pattern.search(text)
        if found:
            return next(group for group in found.groups() if group)
    raise ValueError(f"{capture.id}: no line states a version")


def _options(prefix: str, topics: Mapping[str, Capture]) -> Iterator[Reading]:
    accepted: set[str] = set()
    if "target-help" in topics:
        accepted |= known_options(topics["target-help"])
    if "accepts" in topics:
        answers = _ANSWER.findall(topics["accepts"].text)
        if not answers:
            raise ValueError(f"{topics['accepts'].id}: line 1 is no answer '-m… yes'")
        accepted |= {option for option, answer in answers if answer == "yes"}
        accepted -= {option for option, answer in answers if answer == "no"}
    told = topics.get("accepts") or topics.get("target-help")
    if told:
        yield Reading(told.id, {f"{prefix}accepts": frozenset(accepted)})
    if "march-native" in topics:
        capture = topics["march-native"]
        yield Reading(capture.id, dict(_native(prefix, capture)))


def known_options(capture: Capture) -> frozenset[str]:
    """Return the options that ``--target-help`` or ``-Q --help=target`` lists, with known values.

    :raises ValueError: it lists none.
    """
    text = capture.text
    _, cpus, names = text.partition("Available CPUs for this target:")
    if cpus:
        return frozenset(f"-march={name}" for name in _CPU_NAME.findall(names))
    found = {option for option, _ in _OPTION.findall(text) if not option.endswith("=")}
    for option, words in _KNOWN.findall(text):
        found |= {option + word for word in words.split()}
    if not found:
        raise ValueError(f"{capture.id}: no line lists an option")
    return frozenset(found)


def _native(prefix: str, capture: Capture) -> Iterator[tuple[str, Value]]:
    text = capture.text
    if '"-cc1"' in text:
        yield f"{prefix}native", frozenset(f"-m{name}" for name in _CC1_FEATURE.findall(text))
        yield from _native_cpu(prefix, _CC1_CPU.findall(text))
        return
    options = _OPTION.findall(text)
    if not options:
        yield from _native_of_words(prefix, capture, text.split())
        return
    enabled = frozenset(option for option, state in options if state.strip() == "[enabled]")
    yield f"{prefix}native", enabled
    yield from _native_cpu(
        prefix, [state.strip() for option, state in options if option == "-march="]
    )


def _native_of_words(
    prefix: str, capture: Capture, words: list[str]
) -> Iterator[tuple[str, Value]]:
    """Read a command line of the compiler proper: ``-march=znver3 -mavx2 -mno-sgx …``."""
    found = [word.strip("'\"") for word in words if word.strip("'\"").startswith("-m")]
    if not found:
        raise ValueError(f"{capture.id}: no option -m… is told")
    on = (word for word in found if "=" not in word and not word.startswith("-mno-"))
    yield f"{prefix}native", frozenset(on)
    yield from _native_cpu(prefix, [w.partition("=")[2] for w in found if w.startswith("-march=")])


def _native_cpu(prefix: str, names: Iterable[str]) -> Iterator[tuple[str, Value]]:
    for name in names:
        if name:
            yield f"{prefix}native_march", name


#: Two parsers, so that a compiler which is not installed leaves the answer to the other.
PARSERS = tuple(
    Parser(
        name=kind,
        declares=(f"compiler.{kind}.",),
        reads=(f"cmd:{kind}/*", f"cmd:{kind}-*", _FOUND),
        parse=_reader(kind),
    )
    for kind in ("gcc", "clang")
)
