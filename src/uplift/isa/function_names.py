"""Which function of a file a name means, and which names are near one that is none."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from uplift.isa.model import FunctionAudit
from uplift.isa.symbols import Names

_MOST = 4  #: near names of each kind
_MAX_COMPARED = 20_000  #: names that are compared letter by letter
_ENDS = 2  #: letters that a near name shares at its beginning or its end


@dataclass(frozen=True)
class Called:
    """The functions of a name, by address.

    :param meant: what the name means: one, or several that nothing tells apart.
    :param others: what is called so, too.
    """

    meant: tuple[int, ...]
    others: tuple[int, ...] = ()


def called(
    wanted: str, names: Names, above: Sequence[FunctionAudit], resolvers: frozenset[int]
) -> Called:
    """Return the functions that a name means.

    Of several, a resolver is what the dynamic linker takes for the name, so it goes before
    functions that are above the base, and these before others.

    :param wanted: a name, or a pattern of names of functions above the base.
    :param above: the functions that hold instructions above the base.
    """
    exact = {at for _, at, _ in names.named(frozenset({wanted.encode()}))}
    exact |= {function.address for function in above if function.name == wanted}
    if not exact:
        return Called(tuple(f.address for f in above if fnmatch.fnmatchcase(f.name, wanted)))
    choosing, held = exact & resolvers, exact & {function.address for function in above}
    best = choosing or held or exact
    return Called(tuple(sorted(best)), tuple(sorted(exact - best)))


def near(wanted: str, names: Names) -> tuple[str, ...]:
    """Return names of functions that may have been meant, the likeliest first."""
    known = dict.fromkeys(names.text(row) for row in names.functions.tolist())
    alike = list(_alike(wanted, known))[:_MAX_COMPARED]
    found = difflib.get_close_matches(wanted, alike, _MOST, 0.6)
    inside = [name for name in known if len(wanted) > 2 and wanted in name]
    return tuple(dict.fromkeys([*found, *sorted(inside, key=len)[:_MOST]]))


def _alike(wanted: str, known: Iterable[str]) -> Iterator[str]:
    """Yield names about as long that begin or end alike: comparing all letters costs too much."""
    most = max(2, len(wanted) // 3)
    for name in known:
        if abs(len(name) - len(wanted)) <= most and (
            name[:_ENDS] == wanted[:_ENDS] or name[-_ENDS:] == wanted[-_ENDS:]
        ):
            yield name
