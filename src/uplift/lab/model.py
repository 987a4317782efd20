"""What can be recorded, and how: targets and the collection's options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Union

import uplift.facts

COLLECTOR = Path(uplift.facts.__file__).with_name("collector.py")
QUICK_SECONDS = 60.0
DEEP_SECONDS = 600.0
_GRACE = 15.0  #: the collector keeps its own budget; this is for one that does not


@dataclass(frozen=True)
class Options:
    """How to collect.

    :param deep: also what takes longer than a second.
    :param redact: leave out serials, UUIDs, addresses, host and user names.
    :param budget: seconds after which the collector stops; None: its own.
    :param collector: the program to run there.
    :param ssh_config: read this file instead of the user's own OpenSSH configuration.
    """

    deep: bool = False
    redact: bool = False
    budget: float | None = None
    collector: Path = COLLECTOR
    ssh_config: Path | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The collector's command line."""
        budget = () if self.budget is None else ("--budget", f"{self.budget:g}")
        return (*(["--deep"] * self.deep), *(["--redact"] * self.redact), *budget)

    @property
    def timeout(self) -> float:
        """Seconds after which the collector is killed."""
        default = DEEP_SECONDS if self.deep else QUICK_SECONDS
        return (default if self.budget is None else self.budget) + _GRACE


@dataclass(frozen=True)
class Local:
    """This machine."""

    def __str__(self) -> str:
        return "this machine"


@dataclass(frozen=True)
class Ssh:
    """A machine over ssh.

    :param user: empty: what the OpenSSH configuration says.
    :param port: None: what the OpenSSH configuration says.
    """

    host: str
    user: str = ""
    port: int | None = None

    @property
    def address(self) -> str:
        """The name as the ``ssh`` program takes it."""
        return f"{self.user}@{self.host}" if self.user else self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"ssh:{user}{host}" + (f":{self.port}" if self.port else "")


@dataclass(frozen=True)
class Recording:
    """A snapshot file, or anybody's recording."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


Target = Union[Local, Ssh, Recording]
