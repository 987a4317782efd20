"""Upstream's news of a branch, and the suspects of a regression: for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uplift.backport.suspects import Suspect
from uplift.backport.watch import News, NewsKind, by_carried
from uplift.report.terminal import safe

WATCH_SCHEMA = "uplift-backport-watch/1"
SUSPECTS_SCHEMA = "uplift-backport-suspects/1"
_SHORT = 12
_REASONS = 3
_STYLES = {
    NewsKind.FIX: "bold red",
    NewsKind.REVERT: "bold magenta",
    NewsKind.MENTION: "yellow",
    NewsKind.NOW_UPSTREAM: "cyan",
    NewsKind.NEW_SHA: "cyan",
}


def watch_to_json(branch: str, upstream: str, news: Sequence[News]) -> dict[str, Any]:
    """Return the news in the order in which they matter: fixes and reverts first."""
    return {
        "schema": WATCH_SCHEMA,
        "branch": branch,
        "upstream": upstream,
        "news": [
            {
                "kind": item.kind.value,
                "carried": item.carried or None,
                "upstream": item.upstream,
                "subject": item.subject,
                "reason": item.reason,
            }
            for item in news
        ],
    }


def print_watch(branch: str, upstream: str, news: Sequence[News], console: Console) -> None:
    """Print the news, grouped by the commit of the branch that they are about."""
    told = f"{len(news)} things to act on" if news else "nothing new"
    head = Text.assemble((safe(branch), "bold"), f" against {safe(upstream)}: {told}")
    console.print(head)
    for carried, items in by_carried(news).items():
        console.print(Text(f"  {carried[:_SHORT] or 'by another fix'}"))
        table = Table.grid(padding=(0, 2))
        for item in items:
            table.add_row(
                "   ",
                Text(item.kind.value, _STYLES[item.kind]),
                item.upstream[:_SHORT],
                Text(safe(item.subject), overflow="ellipsis", no_wrap=True),
                Text(safe(item.reason), "dim"),
            )
        console.print(table)


def suspects_to_json(base: str, tip: str, found: Sequence[Suspect]) -> dict[str, Any]:
    """Return the commits, the likeliest first."""
    return {
        "schema": SUSPECTS_SCHEMA,
        "base": base,
        "tip": tip,
        "suspects": [
            {
                "sha": one.sha,
                "subject": one.subject,
                "score": one.score,
                "reasons": list(one.reasons),
            }
            for one in found
        ],
    }


def print_suspects(found: Sequence[Suspect], most: int, console: Console) -> None:
    """Print the likeliest commits with their reasons."""
    spoken = sum(one.score > 0 for one in found)
    console.print(f"{len(found)} commits, of which {spoken} touch what was named")
    table = Table.grid(padding=(0, 2))
    for one in found[:most]:
        reasons = "; ".join(one.reasons[:_REASONS])
        if len(one.reasons) > _REASONS:
            reasons += f"; and {len(one.reasons) - _REASONS} more"
        table.add_row(
            f"{one.score:g}",
            one.sha[:_SHORT],
            Text(safe(one.subject), overflow="ellipsis", no_wrap=True),
            Text(safe(reasons) or "nothing speaks of it", "dim"),
        )
    console.print(table)
    if len(found) > most:
        console.print(Text(f"and {len(found) - most} more (--most, --json)", "dim"))
