"""Record a machine over ssh: the collector goes in on standard input, the snapshot comes back.

The system's OpenSSH client does the connecting, so keys, agents, configuration and jump hosts are
as the user has them. Nothing is written on the other machine. What comes back is not trusted: it
is capped, searched for a snapshot and read as one.
"""

from __future__ import annotations

import re
import shlex
import threading
from dataclasses import dataclass

from uplift.errors import RecordingError, TargetError
from uplift.facts import snapshot_file
from uplift.facts.model import Snapshot
from uplift.lab import process
from uplift.lab.model import COLLECTOR, Options, Ssh

CONNECT_SECONDS = 10
MAX_SNAPSHOT = 64 << 20
_HEADER = b'{"schema":"uplift-snapshot/'
_CONNECTION_LOST = 255  #: ssh's own exit code, and the only one that is not the remote command's

#: No prompt, no terminal, nothing forwarded, no command of the configuration's; notice a dead line.
_OPTIONS = (
    "-T",
    "-a",
    "-x",
    *("-o", "BatchMode=yes"),
    *("-o", f"ConnectTimeout={CONNECT_SECONDS}"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
    *("-o", "LogLevel=ERROR"),
    *("-o", "ServerAliveInterval=5"),
    *("-o", "ServerAliveCountMax=3"),
)

#: The name in known_hosts, which an alias of the configuration hides.
_CHANGED_KEY = re.compile(r"Host key for (\S+) has changed")


@dataclass(frozen=True)
class _Symptom:
    """What ssh writes when it cannot connect, and what helps."""

    text: str
    fix: str


#: In this order: a changed key is also reported as a failed verification.
_SYMPTOMS = (
    _Symptom(
        "IDENTIFICATION HAS CHANGED",
        "find out why the host key changed; if that is right, `ssh-keygen -R {host}`",
    ),
    _Symptom("Host key verification failed", "connect once by hand to accept the host key"),
    _Symptom("host key is known for", "connect once by hand to accept the host key"),
    _Symptom("Permission denied", "give this user a key there: `ssh-copy-id {address}`"),
    _Symptom("Too many authentication failures", "name one key for this host in ~/.ssh/config"),
    _Symptom("Could not resolve hostname", "check the name"),
    _Symptom("Connection refused", "check the port, and that an ssh server listens there"),
    _Symptom("timed out", "check that the machine is up and reachable from here"),
    _Symptom("No route to host", "check that the machine is up and reachable from here"),
    _Symptom("Network is unreachable", "check this machine's network"),
)


def snapshot(
    target: Ssh, options: Options | None = None, stop: threading.Event | None = None
) -> Snapshot:
    """Record the machine ``target``.

    :param stop: set from another thread, it ends the connection.
    :raises TargetError: it cannot be reached, has no usable Python, or did not answer with a
        snapshot.
    """
    options = options or Options()
    try:
        ended = process.run(
            command(target, options),
            stdin=options.collector.read_bytes(),
            timeout=options.timeout + CONNECT_SECONDS,
            max_stdout=MAX_SNAPSHOT,
            stop=stop,
        )
    except OSError as error:
        raise TargetError(
            f"cannot record {target}", f"ssh did not start: {error}", "install openssh-client"
        ) from error
    if not ended.ok:
        raise _failure(target, ended, options)
    return _snapshot_in(ended, target)


def command(target: Ssh, options: Options) -> list[str]:
    """Return the argument vector of ``ssh``."""
    config = ("-F", str(options.ssh_config)) if options.ssh_config else ()
    port = ("-p", str(target.port)) if target.port else ()
    remote = shlex.join(["python3", "-I", "-S", "-", *options.arguments])
    return ["ssh", *config, *_OPTIONS, *port, "--", target.address, remote]


def _snapshot_in(ended: process.Result, target: Ssh) -> Snapshot:
    """Read the answer; a login script may have written something before it."""
    begin = ended.stdout.find(_HEADER)
    if begin < 0:
        said = process.printable(ended.stdout[:200].decode("utf-8", "replace"))
        raise TargetError(
            f"cannot record {target}",
            f"what came back is no snapshot: {said or 'nothing'}",
            f"run `{shlex.join(ended.argv[: ended.argv.index('--') + 2])} true` by hand; "
            "it should print nothing",
        )
    try:
        return snapshot_file.read_bytes(ended.stdout[begin:], str(target))
    except RecordingError as error:
        raise TargetError(error.problem, error.cause, error.fix) from error


def _failure(target: Ssh, ended: process.Result, options: Options) -> TargetError:
    problem = f"cannot record {target}"
    if ended.timed_out:
        return TargetError(
            problem,
            f"no answer within {options.timeout + CONNECT_SECONDS:g} s",
            "try again, or give it more time with --budget",
        )
    if ended.truncated:
        return TargetError(
            problem,
            f"more than {MAX_SNAPSHOT >> 20} MiB came back",
            "run the collector there by hand and look at what it prints",
        )
    if ended.returncode == _CONNECTION_LOST:
        return TargetError(problem, _said(ended), _connection_fix(target, ended))
    return TargetError(problem, *_remote_failure(target, ended))


def _said(ended: process.Result) -> str:
    return f"ssh exited {ended.returncode}: {ended.complaint or 'it said nothing'}"


def _connection_fix(target: Ssh, ended: process.Result) -> str:
    text = ended.stderr.decode("utf-8", "replace")
    fix = next(
        (symptom.fix for symptom in _SYMPTOMS if symptom.text in text),
        "run `ssh {address} true` by hand and follow what it says",
    )
    known_as = _CHANGED_KEY.search(text)
    host = known_as[1] if known_as else target.host
    return fix.format(host=shlex.quote(host), address=target.address)


def _remote_failure(target: Ssh, ended: process.Result) -> tuple[str, str]:
    """Return cause and fix of what went wrong on the other machine."""
    text = ended.stderr.decode("utf-8", "replace")
    if ended.returncode == 127:
        return (
            f"there is no python3 on it ({_said(ended)})",
            f"install python3 on {target.host}, or pass a recording made there",
        )
    if "SyntaxError" in text:
        return (
            "its python3 is older than 3.6",
            f"install a newer python3 on {target.host}, or pass a recording made there",
        )
    return (
        f"the collector exited {ended.returncode}: {ended.complaint or 'it said nothing'}",
        f"run it by hand: ssh {target.address} python3 - < {COLLECTOR}",
    )
