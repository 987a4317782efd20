"""The one thing that is written into a user's repository: objects, then a new branch."""

from __future__ import annotations

from uplift.lab.git import Repository, RepositoryError, run_in
from uplift.lab.process import printable


def check_branch_name(repository: Repository, name: str) -> str:
    """Return the full name of the ref of a branch that does not exist yet.

    :raises RepositoryError: git does not allow the name, or there is such a branch.
    """
    checked = None
    if name and not name.startswith("-") and "\0" not in name:
        checked = run_in(repository, "check-ref-format", "--branch", name)
    if checked is None or not checked.ok or checked.stdout.decode().strip() != name:
        raise RepositoryError(
            f"cannot make the branch {printable(name)}",
            "git does not allow that name",
            "give another name",
        )
    ref = f"refs/heads/{name}"
    if run_in(repository, "show-ref", "--verify", "--quiet", ref).ok:
        raise _exists(name)
    return ref


def require_commit(repository: Repository, sha: str, branch: str) -> None:
    """Make sure that the repository itself has the commit on which ``branch`` shall stand.

    :raises RepositoryError: it has not.
    """
    if not run_in(repository, "cat-file", "-e", f"{sha}^{{commit}}").ok:
        raise RepositoryError(
            f"cannot make the branch {printable(branch)}",
            f"{repository.directory} does not hold {sha[:12]}, on which it stands",
            "name the repository that the plan was made for, or fetch that branch",
        )


def add_branch(repository: Repository, name: str, tip: str, pack: bytes) -> None:
    """Store the objects of ``pack`` and let a new branch point to ``tip``.

    No hook is run, no work tree is touched. When it fails, nothing points to the objects.

    :param pack: all objects that ``tip`` needs and the repository lacks.
    :raises RepositoryError: the branch exists, or the objects cannot be stored.
    """
    ref = check_branch_name(repository, name)
    stored = run_in(repository, "index-pack", "--stdin", stdin=pack)
    if not stored.ok:
        raise RepositoryError(
            f"cannot store objects in {repository.directory}",
            stored.complaint or "git index-pack failed",
            "check that it can be written and that the disk has room",
        )
    made = run_in(repository, "update-ref", "-m", "uplift backport", ref, tip, "0" * len(tip))
    if not made.ok:
        raise _exists(name, made.complaint)


def _exists(name: str, cause: str = "") -> RepositoryError:
    return RepositoryError(
        f"cannot make the branch {printable(name)}",
        cause or "there is a branch of that name",
        "give another name, or delete that branch first",
    )
