"""Names that a series uses, and neither the branch nor the series defines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from uplift.backport.lint.context import Context, finding
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.model import MissingSymbol
from uplift.backport.symbols import lacking as lacking_symbols


def lacking(context: Context) -> Iterator[Finding]:
    """Find uses of what is defined upstream only."""
    made = {commit.sha: commit for commit in context.commits if commit.sha}
    if not context.upstream or not made:
        return
    base = context.submission.base
    found = lacking_symbols(context.view, base, list(made), lambda _: context.upstream)
    by_commit: dict[str, list[MissingSymbol]] = defaultdict(list)
    for symbol in found:
        by_commit[symbol.commit].append(symbol)
    for sha, symbols in by_commit.items():
        yield _finding(context, made[sha], symbols)


def _finding(context: Context, commit: SeriesCommit, symbols: Sequence[MissingSymbol]) -> Finding:
    more = f", and {len(symbols) - 1} more names" if len(symbols) > 1 else ""
    problem = f"{symbols[0].name} is used, and only upstream defines it{more}"
    origin = _origin(context, symbols[0].brought_by)
    fix = f"put {origin} before it" if origin else "take the commit that defines it, or do without"
    detail = [f"{symbol.name}: {symbol.defined_in}" for symbol in symbols]
    return finding("symbol-missing", Severity.ERROR, commit, problem, fix, detail=detail)


def _origin(context: Context, sha: str) -> str:
    brought = context.commit(sha) if sha else None
    return f"{sha} (“{brought.subject}”)" if brought else ""
