#!/usr/bin/python3 -ISB
# ruff: noqa: PTH102,PTH109,PTH118,PTH119,PTH123,PTH211,S606,SIM105
"""Run a program as nobody in particular, inside namespaces of its own, in the directory it is in.

``enter_build_root.py ORDERS PROGRAM [ARGUMENT…]``, started in the root file system's directory;
ORDERS is JSON: ``uid`` (who root becomes first), ``inside`` (change into the root), ``builder``
(run as user 1000 instead of as root), ``log`` (file that takes the output), ``max_file``,
``max_processes``, ``environment``.

One user identity is mapped, so nothing outside can be owned or changed by what runs here. What
package scripts expect of a real root (owners, device nodes, other users, data flushed to the disk)
is answered with success and not done, by a filter of system calls; to the builder, others' owners
are not permitted. There is no network but a loopback device. Numbers: asm/unistd_64.h,
asm-generic/unistd.h, linux/{sched,mount,prctl,seccomp,filter,audit,if}.h.
"""

import ctypes
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import stat
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

Orders = Mapping[str, Any]

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_MOUNTS, NEW_UTS, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
NEW_GROUPS = 0x02000000
EVERYTHING = NEW_USER | NEW_MOUNTS | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS | NEW_GROUPS
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
DETACH = 2
SET_DEATH_SIGNAL, SET_DUMPABLE, SET_SECCOMP, NO_NEW_PRIVILEGES = 1, 4, 22, 38
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
BUILDER = 1000
NO_NAMESPACES = 125  #: this machine does not allow what is needed
CANNOT_RUN = 127


class Calls(NamedTuple):
    """System calls of an architecture, as audit and the filter number them.

    ``owners`` and ``modes`` are pairs: the call, and which argument is the owner or the mode.
    ``flushes`` wait for the disk.
    """

    architecture: int
    owners: tuple[tuple[int, int], ...]
    identities: tuple[int, ...]
    modes: tuple[tuple[int, int], ...]
    flushes: tuple[int, ...]


_X86 = Calls(
    0xC000003E,
    ((92, 1), (93, 1), (94, 1), (260, 2)),
    (105, 106, 113, 114, 116, 117, 119, 122, 123, 126),
    ((133, 1), (259, 2)),
    (74, 75, 162, 277, 306),
)
_GENERIC = Calls(
    0,
    ((54, 2), (55, 1)),
    (143, 144, 145, 146, 147, 149, 151, 152, 159, 91),
    ((33, 2),),
    (81, 82, 83, 84, 267),
)
CALLS = {
    "x86_64": _X86,
    "aarch64": _GENERIC._replace(architecture=0xC00000B7),
    "riscv64": _GENERIC._replace(architecture=0xC00000F3),
}
LOAD, AND, EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
ALLOW, SUCCEED, NOT_PERMITTED = 0x7FFF0000, 0x00050000, 0x00050001
UNCHANGED = 0xFFFFFFFF
CALL_NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16


def call(name: str, *words: Any) -> None:
    """Call a function of the C library, or raise OSError."""
    if getattr(LIBC, name)(*words) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def mount(source: str, place: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount, or raise OSError."""
    words = (source.encode(), place.encode(), kind.encode() or None)
    call("mount", *words, ctypes.c_ulong(flags), options.encode() or None)


def write(path: str, text: str) -> None:
    """Write a short text to a file of the kernel."""
    with open(path, "wb", buffering=0) as stream:
        stream.write(text.encode())


def become(uid: int) -> None:
    """Be nobody in particular where this was started by root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        call("prctl", SET_DUMPABLE, 1, 0, 0, 0)  # else its own /proc files belong to root


def separate(inner: int, kinds: int) -> None:
    """Enter new namespaces in which this user is ``inner`` and there is no other."""
    uid, gid = os.geteuid(), os.getegid()
    call("unshare", kinds)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{inner} {uid} 1")
    write("/proc/self/gid_map", f"{inner} {gid} 1")


def raise_loopback() -> None:
    """Let tests of network programs reach this very root."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        request = struct.pack("16sH22x", b"lo", 1)  # IFF_UP
        fcntl.ioctl(end, 0x8914, request)  # SIOCSIFFLAGS


def furnish() -> None:
    """Mount what programs expect to find below the directory that becomes the root."""
    mount(".", ".", flags=BIND | RECURSIVE)
    os.chdir(os.path.join("..", os.path.basename(os.getcwd())))  # onto the mount, not below it
    mount("proc", "proc", "proc", NO_SUID | NO_DEV | NO_EXEC)
    try:
        mount("sysfs", "sys", "sysfs", READ_ONLY | NO_SUID | NO_DEV | NO_EXEC)
    except OSError:  # a container that hides parts of it
        pass
    mount("tmpfs", "dev", "tmpfs", NO_SUID, "mode=0755,size=1m")
    for name in DEVICES:
        write("dev/" + name, "")
        mount("/dev/" + name, "dev/" + name, flags=BIND)
    for name, target in LINKS:
        os.symlink(target, "dev/" + name)
    for name in ("pts", "shm"):
        os.mkdir("dev/" + name)
    mount("devpts", "dev/pts", "devpts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=0666")
    mount("tmpfs", "dev/shm", "tmpfs", NO_SUID | NO_DEV, "mode=1777,size=1g")


def enter() -> None:
    """Make the current directory the root, and leave no way back."""
    furnish()
    call("pivot_root", b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/")


def instruction(code: int, value: int, when: int = 0, otherwise: int = 0) -> bytes:
    """One instruction of a packet filter."""
    return struct.pack("=HBBI", code, when, otherwise, value)


def guarded(architecture: int, steps: Sequence[bytes]) -> bytes:
    """A filter of this architecture's calls; what no step decides is allowed."""
    return b"".join(
        (
            instruction(LOAD, ARCHITECTURE),
            instruction(EQUAL, architecture, 1, 0),
            instruction(RETURN, ALLOW),
            instruction(LOAD, CALL_NUMBER),
            *steps,
            instruction(RETURN, ALLOW),
        )
    )


def pretending(calls: Calls) -> bytes:
    """Filter: owners and identities change with success and stay; device nodes are not made.

    Nor is the disk waited for: a root that a crash of the machine leaves is never used again.
    """
    steps = []
    done = (*(number for number, _ in calls.owners), *calls.identities, *calls.flushes)
    for number in done:
        steps += [instruction(EQUAL, number, 0, 1), instruction(RETURN, SUCCEED)]
    for number, argument in calls.modes:
        steps += [
            instruction(EQUAL, number, 0, 6),
            instruction(LOAD, ARGUMENTS + 8 * argument),
            instruction(AND, 0o170000),
            instruction(EQUAL, stat.S_IFCHR, 1, 0),
            instruction(EQUAL, stat.S_IFBLK, 0, 1),
            instruction(RETURN, SUCCEED),
            instruction(LOAD, CALL_NUMBER),
        ]
    return guarded(calls.architecture, steps)


def ordinary(calls: Calls) -> bytes:
    """Filter: others' owners are not permitted, as to any user; unmapped ones would be invalid."""
    steps = []
    for number, argument in calls.owners:
        steps.append(instruction(EQUAL, number, 0, 9))
        for place in (argument, argument + 1):
            steps += [
                instruction(LOAD, ARGUMENTS + 8 * place),
                instruction(EQUAL, UNCHANGED, 2, 0),
                instruction(EQUAL, BUILDER, 1, 0),
                instruction(RETURN, NOT_PERMITTED),
            ]
        steps.append(instruction(RETURN, ALLOW))
    return guarded(calls.architecture, steps)


def filter_calls(make: Callable[[Calls], bytes]) -> None:
    """Filter the system calls of this process and of all that it starts."""
    known = CALLS.get(platform.machine())
    if known is None:
        raise OSError(38, "no table of system calls for " + platform.machine())
    code = ctypes.create_string_buffer(make(known))
    head = struct.pack("HxxxxxxP", (len(code) - 1) // 8, ctypes.addressof(code))
    call("prctl", SET_SECCOMP, 2, ctypes.create_string_buffer(head), 0, 0)


def limit(orders: Orders) -> None:
    """Set limits that everything started from here inherits."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if orders.get("max_file"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (orders["max_file"],) * 2)
    if orders.get("max_processes"):
        resource.setrlimit(resource.RLIMIT_NPROC, (orders["max_processes"],) * 2)


def reap(child: int) -> int:
    """Be the first process: collect what ends, and return how ``child`` ended."""
    while True:
        number, status = os.wait()
        if number == child:
            ended = os.waitstatus_to_exitcode(status)
            return ended if ended >= 0 else 128 - ended


def become_program(program: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run ``program`` in this process's place; ``os.execvpe`` would import more by now."""
    for place in environment["PATH"].split(":"):
        path = os.path.join(place, program[0])
        if os.access(path, os.X_OK):
            os.execve(path, list(program), dict(environment))
    print(f"{program[0]}: not found", file=sys.stderr)
    os._exit(CANNOT_RUN)


def first_process(orders: Orders, program: Sequence[str]) -> int:
    """Set up what only a process inside of the namespaces can, and run ``program``."""
    call("prctl", SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    mount("none", "/", flags=RECURSIVE | PRIVATE)
    raise_loopback()
    if orders.get("inside"):
        enter()
    child = os.fork()
    if child:
        return reap(child)
    limit(orders)
    if orders.get("builder"):
        separate(BUILDER, NEW_USER)
    call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    filter_calls(ordinary if orders.get("builder") else pretending)
    directory = orders.get("directory")
    if directory:
        os.chdir(directory)
    become_program(program, orders["environment"])


def main(orders: Orders, program: Sequence[str]) -> int:
    """Leave everything behind, then run ``program`` and end as it does."""
    if orders.get("log"):
        log = os.open(orders["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
    try:
        become(orders["uid"])
        call("prctl", SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # with whoever started this
        separate(0, EVERYTHING)
        child = os.fork()
        if child == 0:
            os._exit(first_process(orders, program))
    except OSError as error:
        print(f"namespaces: {error}", file=sys.stderr)
        return NO_NAMESPACES
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
