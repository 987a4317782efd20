"""Rules about the kernel's configuration: apart from code, and not forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator

from uplift.backport.lint.context import Context, finding
from uplift.backport.lint.model import Finding, SeriesCommit, Severity
from uplift.backport.patches import changed_lines
from uplift.backport.series import is_apart

ERROR, WARNING = Severity.ERROR, Severity.WARNING
_KCONFIG = re.compile(rb"(?:^|/)Kconfig[^/]*$")
_NEW_OPTION = re.compile(r"\+\s*(?:menu)?config\s+(\w+)\s*$")
_OLD_OPTION = re.compile(r"-\s*(?:menu)?config\s+(\w+)\s*$")


def mixed(context: Context, commit: SeriesCommit) -> Iterator[Finding]:
    """Find code and configuration in one commit."""
    patterns = context.profile.split.paths
    apart = [path for path in commit.paths if is_apart(path, patterns)]
    if not apart or len(apart) == len(commit.paths):
        return
    kconfig = any(_KCONFIG.search(path) for path in commit.paths)
    what = "a Kconfig file" if kconfig else "code"
    config = context.profile.subject.config.strip()
    yield finding(
        "config-mixed",
        ERROR,
        commit,
        f"it changes {what} and the annotations at once",
        f'split it: the annotations go into a commit "{config} …"',
        detail=[path.decode("utf-8", "replace") for path in apart[:10]],
    )


def missing(context: Context) -> Iterator[Finding]:
    """Find new options of Kconfig that no annotation of the series sets."""
    patterns = context.profile.split.paths
    if not patterns or not _has_annotations(context):
        return
    made = [c for c in context.commits if c.sha]
    lines = changed_lines(context.view, [c.sha for c in made if _touches(c, patterns)])
    annotated = "\n".join(
        line for c in made for line in lines.get(c.sha, ()) if _sets_config(c, patterns)
    )
    for commit in made:
        new = _new_options(lines.get(commit.sha, ())) if _touches(commit, ()) else []
        left = [name for name in new if not re.search(rf"CONFIG_{name}\b", annotated)]
        if left:
            names = ", ".join(f"CONFIG_{name}" for name in left[:8])
            fix = f'add a commit "{context.profile.subject.config.strip()} …" that sets them'
            problem = f"new options without an annotation: {names}"
            yield finding("config-missing", WARNING, commit, problem, fix)


def _touches(commit: SeriesCommit, patterns: tuple[str, ...]) -> bool:
    return any(_KCONFIG.search(path) for path in commit.paths) or _sets_config(commit, patterns)


def _sets_config(commit: SeriesCommit, patterns: tuple[str, ...]) -> bool:
    return any(is_apart(path, patterns) for path in commit.paths)


def _new_options(lines: tuple[str, ...]) -> list[str]:
    gone = {match[1] for line in lines if (match := _OLD_OPTION.match(line))}
    new = (match[1] for line in lines if (match := _NEW_OPTION.match(line)))
    return [name for name in dict.fromkeys(new) if name not in gone]


def _has_annotations(context: Context) -> bool:
    listed = context.view.attempt("ls-tree", "--name-only", context.submission.base)
    names = listed.stdout.decode("utf-8", "replace").split("\n")
    return any(name == "debian" or name.startswith("debian.") for name in names)
