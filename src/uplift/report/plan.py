"""A plan of remedies, for a terminal and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from uplift.catalog.labels import labels_of
from uplift.report.labels import Marks, label_list, print_banner, with_labels
from uplift.report.scan_json import remedy_to_json
from uplift.report.terminal import safe
from uplift.resolve.plan import Action, Plan

SCHEMA = "uplift-plan/1"


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan; ``actions`` is in the order in which they have to happen."""
    return {
        "schema": SCHEMA,
        "labels": label_list(labels_of(plan)),
        "feature": plan.resolution.feature.id,
        "possible": plan.possible,
        "actions": [_action(action) for action in plan.actions],
        "unknown": [
            with_labels({"layer": v.layer.value, "why": v.why}, labels_of(v)) for v in plan.unknown
        ],
    }


def _action(action: Action) -> dict[str, Any]:
    document = {
        "layer": action.layer.value,
        "owner": action.owner,
        "remedy": remedy_to_json(action.remedy),
        "reason": action.reason,
    }
    return with_labels(document, labels_of(action))


def print_plan(plan: Plan, console: Console) -> None:
    """Print the plan; nothing in it has been carried out."""
    feature = plan.resolution.feature
    marks = Marks(labels_of(plan))
    print_banner(marks, console)
    console.print(Text.assemble((feature.id, "bold"), f"  {feature.title}{marks.of(feature)}"))
    if not plan.possible:
        console.print(Text("  the hardware lacks it: no change to software or settings helps"))
    elif not plan.actions:
        console.print(Text("  nothing that was looked at stops it: nothing to do"))
    for number, action in enumerate(plan.actions, 1):
        do = f"{action.remedy.kind}: {action.remedy.do}" if action.remedy else "nothing known"
        undo = " (reversible)" if action.remedy and action.remedy.reversible else ""
        console.print(Text.assemble((f"  {number}. {safe(do)}{undo}{marks.of(action)}", "bold")))
        console.print(Text(f"     owner   {safe(action.owner)}"))
        console.print(Text(f"     because {action.layer.value}: {safe(action.reason)}"))
    for verdict in plan.unknown:
        why = f"{safe(verdict.why)}{marks.of(verdict)}"
        console.print(Text(f"  ?  {verdict.layer.value}: {why}", style="yellow"))
    if plan.actions:
        console.print(Text("  this is a plan: nothing was changed", style="dim"))
