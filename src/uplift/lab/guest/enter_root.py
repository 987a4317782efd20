#!/usr/bin/python3 -ISB
# ruff: noqa: PTH103,PTH118,PTH123,S108,S606
"""Change into another root file system and run a program there, inside namespaces of our own.

Started by ``unshare`` as root of a user namespace. The root gets a few device nodes and a private
``/tmp``, and neither /proc nor /sys: what a program says there is its own, not this machine's.
``enter_root.py ROOT REGISTRATION PROGRAM [ARGUMENT…]``, where REGISTRATION is a line for
``binfmt_misc`` (Linux 6.7 and later have one for each user namespace) or empty.
"""

import ctypes
import errno
import os
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
MS_BIND = 4096
DEVICES = ("null", "zero", "full", "random", "urandom")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
}
CANNOT_RUN = 126  #: as a shell's: the program is there, and this machine cannot run it


def mount(source: str, place: str, kind: str = "", flags: int = 0) -> None:
    """Mount, or raise OSError."""
    if LIBC.mount(source.encode(), place.encode(), kind.encode() or None, flags, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), place)


def give_devices(root: str) -> None:
    """Bind the devices that every program may expect."""
    os.makedirs(os.path.join(root, "dev"), exist_ok=True)
    for name in DEVICES:
        place = os.path.join(root, "dev", name)
        with open(place, "ab"):
            pass
        mount("/dev/" + name, place, flags=MS_BIND)


def register(root: str, line: str) -> None:
    """Let the kernel run another architecture's programs in this user namespace."""
    place = os.path.join(root, "run", "binfmt")
    os.makedirs(place, exist_ok=True)
    try:
        mount("binfmt_misc", place, "binfmt_misc")
        with open(os.path.join(place, "register"), "w", encoding="ascii") as stream:
            stream.write(line)
    except OSError as error:  # the machine's own registration may do as well
        print(f"binfmt_misc: {error}", file=sys.stderr)


def main(root: str, registration: str, program: list[str]) -> int:
    """Set the root up and become ``program``."""
    give_devices(root)
    mount("tmpfs", os.path.join(root, "tmp"), "tmpfs")
    if registration:
        register(root, registration)
    os.chroot(root)
    os.chdir("/")
    try:
        os.execve(program[0], program, ENVIRONMENT)
    except OSError as error:
        print(f"{program[0]}: {error}", file=sys.stderr)
        return CANNOT_RUN if error.errno == errno.ENOEXEC else 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
