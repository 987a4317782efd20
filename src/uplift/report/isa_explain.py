"""The verdict on one function with its evidence, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from uplift.catalog.model import Catalog
from uplift.isa.disassembly import Line
from uplift.isa.model import Identity
from uplift.isa.set_features import SetFeature, features_of
from uplift.isa.ways_in import Evidence, Explanation, Guard, Site
from uplift.report.isa import address
from uplift.report.isa_json import use_to_json
from uplift.report.isa_terminal import STYLE
from uplift.report.terminal import safe

SCHEMA = "uplift-isa-explain/1"
_SITES = 12
_NAME = 48  #: columns for a variant's name
_TESTS = 3  #: shown of one guard
_BYTES = 30  #: columns for an instruction's bytes

Json = dict[str, Any]


def asked(found: Explanation, catalog: Catalog) -> Mapping[str, SetFeature]:
    """Return by which feature's bit a processor has each set that is shown."""
    own = [each.set for each in found.sets]
    sets = {*own, *(name for variant in found.variants for name in variant.sets)}
    return features_of(sets, found.audit.arch, catalog)


def explanation_to_json(found: Explanation, bits: Mapping[str, SetFeature]) -> Json:
    """Return the explanation; keys are only ever added within one schema version."""
    verdict, about = found.verdict, found.audit.identity
    return {
        "schema": SCHEMA,
        "path": found.audit.path,
        "arch": found.audit.arch,
        "kind": about.kind,
        "package": dict(about.package),
        "properties": list(about.properties),
        "function": found.name,
        "address": address(found.address),
        "exported": found.exported,
        "size": verdict.size if verdict else None,
        "confidence": verdict.confidence.value if verdict else None,
        "reach": verdict.reach.value if verdict else None,
        "evidence": list(verdict.evidence) if verdict else [],
        "sets": {
            each.set: {**use_to_json(each.use), "lines": _lines(each.lines)} for each in found.sets
        },
        "features": {name: vars(feature) for name, feature in bits.items()},
        "resolver": found.resolver,
        "variants": [
            {"function": v.name, "address": address(v.address), "sets": list(v.sets)}
            for v in found.variants
        ],
        "others": [address(other) for other in found.others],
        "guards": [_guard(guard) for guard in found.guards],
        "led_to_by": [_site(site) for site in found.sites],
        "more_sites": found.more_sites,
        "worded_by": found.words_by,
    }


def _guard(guard: Guard) -> Json:
    return {
        "function": guard.name,
        "address": address(guard.address),
        "resolver": guard.resolver,
        "cited": guard.cited,
        "tests": [
            {"what": test.what, "address": address(test.address), "lines": _lines(test.lines)}
            for test in guard.tests
        ],
        "more": guard.more,
    }


def _site(site: Site) -> Json:
    return {
        "how": site.how,
        "address": address(site.address),
        "where": site.function or None,
        "lines": _lines(site.lines),
    }


def _lines(lines: Iterable[Line]) -> list[Json]:
    return [
        {
            "address": address(line.address),
            "bytes": line.raw.hex(" "),
            "text": line.text or None,
            "sets": line.sets.split("+") if line.counts else [],
        }
        for line in lines
    ]


def print_explanation(found: Explanation, bits: Mapping[str, SetFeature], console: Console) -> None:
    """Print the verdict, the instructions, the guards, and what leads to the function.

    :param bits: by which bit a processor says that it has each set.
    """
    for line in _text(found, bits):
        console.print(line, soft_wrap=True)


def _text(found: Explanation, bits: Mapping[str, SetFeature]) -> Iterator[Text]:
    yield from _head(found)
    for _, group in groupby(found.sets, key=lambda each: each.use.first):
        yield Text()
        yield from _evidence(list(group), bits)
    if found.resolver:
        yield Text()
        yield from _variants(found, bits)
    if found.verdict is not None or found.resolver:
        yield Text()
        yield from _guards(found)
    if found.verdict is not None:
        yield Text()
        yield from _sites(found)
    yield Text()
    yield Text(f"instructions worded by {found.words_by}", style="dim")


def _head(found: Explanation) -> Iterator[Text]:
    verdict = found.verdict
    yield Text.assemble(
        (safe(found.name), "bold"), f" at {address(found.address)} of {safe(found.audit.path)}"
    )
    yield from _file(found.audit.identity)
    if found.others:
        places = ", ".join(address(other) for other in found.others[:_SITES])
        yield Text.assemble(("  others      ", "dim"), f"functions called so, too: {places}")
    if found.resolver:
        told = "a resolver (IFUNC): the dynamic linker calls it, and takes the function it answers"
        yield Text.assemble(("  it is       ", "dim"), told)
    if verdict is None:
        yield Text("  it holds no instruction above the base: nothing in it asks for a level")
        return
    yield Text.assemble(
        ("  reach       ", "dim"),
        (verdict.reach.value, STYLE[verdict.reach]),
        _why(verdict.evidence),
    )
    known = {"fde": "call-frame information", "reached": "a symbol or a path of calls and jumps"}
    by = known.get(verdict.confidence.value, "decoding alone: it may be data")
    yield Text.assemble(("  is code by  ", "dim"), f"{by}; {verdict.size} bytes")


def _file(about: Identity) -> Iterator[Text]:
    """Say what the file says of itself."""
    if about.package:
        told = ", ".join(f"{key} {value}" for key, value in about.package.items())
        yield Text.assemble(("  package     ", "dim"), safe(told))
    if about.properties:
        yield Text.assemble(("  properties  ", "dim"), safe(", ".join(about.properties)))


def _why(evidence: Iterable[str]) -> str:
    told = "; ".join(evidence)
    return f": {safe(told)}" if told else ""


def _evidence(together: Sequence[Evidence], bits: Mapping[str, SetFeature]) -> Iterator[Text]:
    """Show the instruction that is the first of one set, or of several."""
    for each in together:
        use = each.use
        yield Text.assemble(
            (f"  {each.set}", "bold"),
            f"  {_counted(use.count)}, ",
            (use.reach.value, STYLE[use.reach]),
            f", the first at {address(use.first)}",
        )
        if each.set in bits:
            yield Text(f"    a processor has it by {_bit(bits[each.set])}", style="dim")
    yield from _instructions(together[0].lines, together[0].use.first)


def _bit(feature: SetFeature) -> str:
    return f"{safe(feature.feature)}: {safe(feature.test)}"


def _variants(found: Explanation, bits: Mapping[str, SetFeature]) -> Iterator[Text]:
    """Show what a resolver may answer, and what the code of each needs."""
    if not found.variants:
        yield Text("  variants: it takes the address of no function: it reads them from a table")
        return
    yield Text(f"  chooses from {len(found.variants)} variants, by what their code needs", "bold")
    width = max(len(variant.name) for variant in found.variants)
    for variant in found.variants:
        sets = ", ".join(variant.sets) or "the base only"
        name = f"{safe(variant.name):<{min(width, _NAME)}}"
        yield Text(f"    {name}  {address(variant.address)}  {sets}")
    for name in sorted({name for variant in found.variants for name in variant.sets}):
        if name in bits:
            yield Text(f"    {name:<12} is {_bit(bits[name])}", style="dim")


def _counted(count: int) -> str:
    return "1 instruction" if count == 1 else f"{count} instructions"


def _instructions(lines: Iterable[Line], marked: int) -> Iterator[Text]:
    for line in lines:
        here = line.address == marked
        sets = f"  ; {line.sets.replace('+', ' and ')}" if line.counts else ""
        text = line.text or ("(no name)" if line.sets else "(no instruction)")
        row = f"  {'>' if here else ' '} {address(line.address):>10}  {line.raw.hex(' '):<{_BYTES}}"
        yield Text(f"{row}  {safe(text)}{sets}", style="bold" if here else "")


def _guards(found: Explanation) -> Iterator[Text]:
    if not found.guards:
        yield Text("  guards: no test of the processor was found in it, nor in what leads to it")
        return
    for guard in found.guards:
        what = "resolver" if guard.resolver else "guard"
        cited = ", which the verdict names" if guard.cited else ""
        own = " (itself)" if guard.address == found.address else ""
        yield Text(f"  {what} {safe(guard.name)}{own} at {address(guard.address)}{cited}", "bold")
        for test in guard.tests[:_TESTS]:
            yield Text(f"    asks {safe(test.what)} at {address(test.address)}")
            yield from _instructions(test.lines, test.address)
        if not guard.tests:
            yield Text("    no test was found in it: it is told what others asked", style="dim")
        more = len(guard.tests[_TESTS:]) + guard.more
        if more:
            yield Text(f"    and {more} more tests", style="dim")


def _sites(found: Explanation) -> Iterator[Text]:
    outside = "other files may call it by its name" if found.exported else ""
    if not found.sites:
        yield Text(f"  nothing in the file leads to it; {outside or 'no name leads to it either'}")
        return
    yield Text(f"  led to by{'; ' if outside else ''}{outside}", style="bold")
    groups = _grouped(found.sites)
    for (where, how), sites in groups[:_SITES]:
        times = f", {len(sites)} times, first there" if len(sites) > 1 else ""
        place = safe(where) or "data"
        yield Text(f"    {place} at {address(sites[0].address)} {how}{times}")
        yield from _instructions(sites[0].lines, sites[0].address)
    more = sum(len(sites) for _, sites in groups[_SITES:]) + found.more_sites
    if more > 0:
        yield Text(f"    and {more} more (--json names them)", style="dim")


def _grouped(sites: Iterable[Site]) -> list[tuple[tuple[str, str], list[Site]]]:
    """Return sites by where they stand and what they do."""
    groups: dict[tuple[str, str], list[Site]] = {}
    for site in sites:
        groups.setdefault((site.function, site.how), []).append(site)
    return list(groups.items())
