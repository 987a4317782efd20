"""The one error that a user meets: problem, cause, fix, exit code."""

from __future__ import annotations

FOUND = 1  #: the command found something that it was asked to fail on
USAGE = 2  #: wrong usage or unusable input
UNREACHABLE = 3  #: a target could not be reached


class UpliftError(Exception):
    """Something a user can act on.

    :param problem: what did not happen, one line without a final stop.
    :param cause: why, as far as it is known.
    :param fix: what the user can do about it.
    :param exit_code: what the process exits with.
    """

    def __init__(self, problem: str, cause: str, fix: str, exit_code: int = USAGE) -> None:
        super().__init__(problem)
        self.problem = problem
        self.cause = cause
        self.fix = fix
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[object, ...]:
        """Let it travel between processes whole, whatever a subclass's arguments are."""
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return f"error: {self.problem}\ncause: {self.cause}\nfix:   {self.fix}"


def _restored(
    kind: type[UpliftError], args: tuple[object, ...], state: dict[str, object]
) -> UpliftError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class RecordingError(UpliftError):
    """A recording cannot be read; raised so that one bad file never costs the others."""


class CatalogError(UpliftError):
    """The catalog is not well formed; ``cause`` names the file and the place in it."""


class TargetError(UpliftError):
    """A target could not be reached or did not answer as a collector does."""

    def __init__(self, problem: str, cause: str, fix: str) -> None:
        super().__init__(problem, cause, fix, UNREACHABLE)
