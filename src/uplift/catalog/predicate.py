"""Predicates: from the TOML form to the model, and back to words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from uplift.catalog.model import All, Any, Feature, Layer, Not, Predicate, Test

_OPERATORS = ("bit", "bits", "has", "equals", "at-least")
_DEPTH = 8


def parse_predicate(table: object, depth: int = 0) -> Predicate:
    """Read one predicate of the closed set.

    :param table: as TOML gives it: ``{fact, bit}``, ``{fact, bits, at-least|equals}``,
        ``{fact, has}``, ``{fact, equals}``, ``{fact, at-least}``, ``{any}``, ``{all}``, ``{not}``.
    :raises ValueError: it is none of these; the message quotes it.
    """
    if not isinstance(table, Mapping) or depth > _DEPTH:
        raise ValueError(f"{table!r} is not a predicate")
    keys = set(table)
    if keys in ({"any"}, {"all"}):
        (key,) = keys
        parts = table[key]
        if not isinstance(parts, list) or not parts:
            raise ValueError(f"{key} needs a list of predicates, not {parts!r}")
        read = tuple(parse_predicate(part, depth + 1) for part in parts)
        return All(read) if key == "all" else Any(read)
    if keys == {"not"}:
        return Not(parse_predicate(table["not"], depth + 1))
    return _parse_test(table)


def _parse_test(table: Mapping[str, object]) -> Test:
    fact = table.get("fact")
    operators = [key for key in _OPERATORS if key in table]
    if not isinstance(fact, str) or not operators:
        raise ValueError(f"{dict(table)!r} needs a fact and one of {', '.join(_OPERATORS)}")
    unknown = set(table) - set(_OPERATORS) - {"fact", "signed"}
    if unknown:
        raise ValueError(f"{dict(table)!r} has unknown keys: {', '.join(sorted(unknown))}")
    if "bits" in table:
        return _parse_field(fact, table)
    if len(operators) != 1:
        raise ValueError(f"{dict(table)!r} asks several questions at once; use all = […]")
    operand = table[operators[0]]
    if not isinstance(operand, (int, float, str)):
        raise ValueError(f"{dict(table)!r}: {operand!r} is neither a number nor text")
    if operators[0] == "bit" and (not isinstance(operand, int) or not 0 <= operand < 128):
        raise ValueError(f"{dict(table)!r}: a bit is a number from 0 to 127")
    return Test(fact, operators[0], operand)


def _parse_field(fact: str, table: Mapping[str, object]) -> Test:
    bits = table["bits"]
    compare = [key for key in ("equals", "at-least") if key in table]
    if not isinstance(bits, list) or len(bits) != 2 or len(compare) != 1:
        raise ValueError(f"{dict(table)!r}: bits = [low, high] goes with equals or at-least")
    low, high = bits
    operand = table[compare[0]]
    if not (isinstance(low, int) and isinstance(high, int) and 0 <= low <= high < 128):
        raise ValueError(f"{dict(table)!r}: bits are [lowest, highest], from 0 to 127")
    if not isinstance(operand, int):
        raise ValueError(f"{dict(table)!r}: a field is compared with a whole number")
    return Test(fact, f"bits-{compare[0]}", operand, low, high, bool(table.get("signed", False)))


def tests(predicate: Predicate) -> Iterator[Test]:
    """Yield every test of ``predicate``, left to right."""
    if isinstance(predicate, Test):
        yield predicate
    elif isinstance(predicate, Not):
        yield from tests(predicate.part)
    else:
        for part in predicate.parts:
            yield from tests(part)


def shown_by_cpuid(feature: Feature) -> bool:
    """Say whether CPUID alone shows that the silicon has ``feature``."""
    if not feature.layers or feature.layers[0].name is not Layer.SILICON:
        return False
    return all(test.fact.startswith("cpuid.") for test in tests(feature.layers[0].needs))


def words(predicate: Predicate) -> str:
    """Say ``predicate`` in plain words."""
    if isinstance(predicate, Not):
        return f"not ({words(predicate.part)})"
    if isinstance(predicate, (All, Any)):
        joint = " and " if isinstance(predicate, All) else " or "
        return joint.join(
            f"({words(part)})" if isinstance(part, (All, Any)) else words(part)
            for part in predicate.parts
        )
    return _test_words(predicate)


def _test_words(test: Test) -> str:
    if test.op == "bit":
        return f"{test.fact} bit {test.operand}"
    if test.op.startswith("bits-"):
        sign = "=" if test.op == "bits-equals" else "≥"
        return f"{test.fact}[{test.high}:{test.low}] {sign} {test.operand}"
    if test.op == "has":
        return f"{test.fact} has {test.operand}"
    return f"{test.fact} {'=' if test.op == 'equals' else '≥'} {test.operand}"
