#!/usr/bin/python3 -ISB
# ruff: noqa: PTH103,PTH112,PTH123,PTH208,S108
"""The first process of an emulated machine: mount, load modules, run the collector, power off.

What the collector prints leaves through a channel of its own, so that nothing the kernel writes to
its console can mix with it: a virtio-serial port, or else a second serial line. The machine has no
shell, no network and no disk. Emulation is slow, so as few modules are imported as will do.
"""

import ctypes
import os
import sys
import time

HOME = "/uplift"
PORT = "uplift.snapshot"
PORTS = "/sys/class/virtio-ports"
#: Number of finit_module: arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h (Linux 3.8).
FINIT_MODULE = {"x86_64": 313, "s390x": 344, "ppc64le": 353}
GENERIC_FINIT_MODULE = 273
COMPRESSED_FILE = 4  # MODULE_INIT_COMPRESSED_FILE, linux/module.h (Linux 5.17)
POWER_OFF = 0x4321FEDC  # LINUX_REBOOT_CMD_POWER_OFF, linux/reboot.h

LIBC = ctypes.CDLL(None, use_errno=True)


def say(text: str) -> None:
    """Write a line to the console."""
    os.write(2, f"uplift-init: {text}\n".encode())


def mount(kind: str, place: str) -> None:
    """Mount a file system that has no device."""
    os.makedirs(place, exist_ok=True)
    if LIBC.mount(kind.encode(), place.encode(), kind.encode(), 0, None):
        say(f"mount {place}: {os.strerror(ctypes.get_errno())}")


def load_modules() -> None:
    """Load the modules that came along, in the order of their names (01-…, 02-…)."""
    number = FINIT_MODULE.get(os.uname().machine, GENERIC_FINIT_MODULE)
    for name in sorted(os.listdir(f"{HOME}/modules")):
        descriptor = os.open(f"{HOME}/modules/{name}", os.O_RDONLY)
        flags = 0 if name.endswith(".ko") else COMPRESSED_FILE
        if LIBC.syscall(number, descriptor, b"", flags):
            say(f"{name}: {os.strerror(ctypes.get_errno())}")
        os.close(descriptor)


def read(path: str) -> str:
    """Return a small file's text."""
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def virtio_port(seconds: float) -> str:
    """Return the device of the port named PORT, waiting for the bus to announce it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in os.listdir(PORTS) if os.path.isdir(PORTS) else ():
            try:
                named = read(f"{PORTS}/{name}/name").strip()
            except OSError:  # the port is announced before its name
                continue
            if named == PORT and os.access(f"/dev/{name}", os.W_OK):
                return f"/dev/{name}"
        time.sleep(0.05)
    return ""


def open_channel(fallback: str) -> int:
    """Return a descriptor that leads out of this machine."""
    has_driver = os.path.isdir("/sys/bus/virtio/drivers/virtio_console")
    path = virtio_port(10) if has_driver else ""
    if path:
        return os.open(path, os.O_WRONLY)
    import tty  # noqa: PLC0415 - rarely needed

    say(f"no virtio port, so through /dev/{fallback}")
    line = os.open(f"/dev/{fallback}", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    return line


def collect(collector: str, arguments: list, channel: int) -> int:  # type: ignore[type-arg]
    """Run the collector with its output into ``channel``; return how it ended."""
    command = [sys.executable, "-I", "-S", "-B", f"{HOME}/{collector}", *arguments]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C"}
    actions = [(os.POSIX_SPAWN_DUP2, channel, 1)]
    child = os.posix_spawn(sys.executable, command, environment, file_actions=actions)
    return os.waitpid(child, 0)[1]


def main() -> None:
    """Collect once; power off whatever happens."""
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")):
        mount(kind, place)
    mount("tmpfs", "/tmp")
    load_modules()
    fallback, collector, *arguments = read(f"{HOME}/arguments").splitlines()
    channel = open_channel(fallback)
    say(f"collecting at {time.monotonic():.1f} s")
    ended = collect(collector, arguments, channel)
    say(f"collected at {time.monotonic():.1f} s, status {ended}")
    if os.isatty(channel):
        LIBC.tcdrain(channel)
    os.close(channel)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        say(f"{type(error).__name__}: {error}")
    finally:
        os.sync()
        LIBC.reboot(ctypes.c_int(POWER_OFF))
        time.sleep(60)
