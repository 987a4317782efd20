"""A real OpenSSH server on loopback, with keys, configuration and known hosts of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))

#: Keys that make the server run something else than what was asked.
FORCED = {
    "no-python": "python3-is-not-here",
    "old-python": "echo 'SyntaxError: invalid syntax' >&2; exit 1",
    "junk": "cat > /dev/null; printf 'Welcome!\\033[31m\\n'",
    "flood": "yes",
    "slow": "exec sleep 30",
    "chatty": "echo 'Last login: today'; eval \"$SSH_ORIGINAL_COMMAND\"",
    "half": 'eval "$SSH_ORIGINAL_COMMAND" | head -c 300',
}


@dataclass(frozen=True)
class Server:
    """A running server; ``config`` makes ``ssh`` use nothing of the user's own."""

    port: int
    config: Path
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text().strip()


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"sshd did not start: {log.read_text()}")


def write_server_config(root: Path, port: int) -> Path:
    authorized = [make_key(root / "key")]
    for name, command in FORCED.items():
        escaped = command.replace('"', '\\"')
        authorized.append(f'command="{escaped}" {make_key(root / name)}')
    (root / "authorized_keys").write_text("\n".join(authorized) + "\n")
    make_key(root / "stranger")
    make_key(root / "host_key")
    path = root / "sshd_config"
    path.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {root}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nMaxStartups 100\nMaxSessions 100\n"
    )
    return path


def host(name: str, root: Path, port: int, key: str = "key", known: str = "known_hosts") -> str:
    return (
        f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {root}/{key}\n"
        f"  UserKnownHostsFile {root}/{known}\n"
    )


def write_client_config(root: Path, port: int) -> Path:
    key = " ".join((root / "host_key.pub").read_text().split()[:2])
    wrong = " ".join(make_key(root / "other_host_key").split()[:2])
    (root / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")
    (root / "changed_hosts").write_text(f"[127.0.0.1]:{port} {wrong}\n")
    hosts = [
        host("good", root, port),
        host("refused", root, free_port()),
        host("stranger", root, port, key="stranger"),
        host("changed", root, port, known="changed_hosts"),
        host("unknown", root, port, known="no_hosts"),
        host("behind", root, port) + "  ProxyJump good\n",
        host("with-command", root, port) + "  RemoteCommand echo no\n  RequestTTY yes\n",
        *(host(name, root, port, key=name) for name in FORCED),
        f"Host 127.0.0.1\n  IdentityFile {root}/key\n  UserKnownHostsFile {root}/known_hosts\n",
        f"Host *\n  User {getpass.getuser()}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking ask\n",
    ]
    path = root / "ssh_config"
    path.write_text("".join(hosts))
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("install openssh-server and openssh-client")
    if os.geteuid() == 0:  # sshd separates privileges there when it runs as root
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    root = tmp_path_factory.mktemp("sshd")
    port, log = free_port(), root / "log"
    config = write_server_config(root, port)
    client = write_client_config(root, port)
    running = subprocess.Popen([SSHD, "-D", "-f", config, "-E", log])
    try:
        wait_for(port, running, log)
        yield Server(port, client, log)
    finally:
        running.terminate()
        running.wait()
