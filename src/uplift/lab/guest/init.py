#!/usr/bin/python3 -ISB
# ruff: noqa: PTH103,PTH112,PTH123,PTH208
"""The first process of an emulated machine: mount, load modules, run the collector, power off.

What the collector prints leaves through a channel of its own, so that nothing the kernel writes to
its console can mix with it: a virtio-serial port, or else a second serial line. The machine has no
shell, no network and no disk.

Emulation is slow, and most of what a start of Python costs is code that runs once. So there is one
interpreter, the collector's byte code runs in it, its options were parsed outside, and what it
imports and compiles is left until it is used, which most of it never is.
"""

import ctypes
import marshal
import os
import sys
import time

HOME = "/uplift"
PORT = "uplift.snapshot"
PORTS = "/sys/class/virtio-ports"
#: Number of finit_module: arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h (Linux 3.8).
FINIT_MODULE = {"x86_64": 313, "s390x": 344, "ppc64le": 353}
GENERIC_FINIT_MODULE = 273
POWER_OFF = 0x4321FEDC  # LINUX_REBOOT_CMD_POWER_OFF, linux/reboot.h
BYTE_CODE_HEAD = 16  # bytes before the code in a .pyc (PEP 552)
PORT_SECONDS = 10

LIBC = ctypes.CDLL(None, use_errno=True)
Module = type(sys)


class Later(Module):  # type: ignore[misc,valid-type]
    """Stands for a module until somebody wants something of it."""

    def __getattr__(self, name):  # type: ignore[no-untyped-def]
        return getattr(imported(self.__name__), name)


class LaterRe(Later):
    """``re``, for which every pattern is compiled when it is first used."""

    A = ASCII = 256  #: the flags' numbers: CPython, Lib/re/_constants.py
    I = IGNORECASE = 2  # noqa: E741
    M = MULTILINE = 8
    S = DOTALL = 16
    X = VERBOSE = 64

    def compile(self, *words):  # type: ignore[no-untyped-def]
        """Return what compiles the pattern later."""
        return Pattern(words)


class Pattern:
    """Stands for a compiled pattern until it is used."""

    def __init__(self, words: tuple) -> None:  # type: ignore[type-arg]
        self.words = words

    def __getattr__(self, name):  # type: ignore[no-untyped-def]
        self.__dict__.update(pattern=imported("re").compile(*self.words))
        value = self.__dict__[name] = getattr(self.__dict__["pattern"], name)
        return value


def imported(name: str):  # type: ignore[no-untyped-def]
    """Import a module for real."""
    if isinstance(sys.modules.get(name), Later):
        del sys.modules[name]
    return __import__(name)


def import_later(names: list) -> None:  # type: ignore[type-arg]
    """Let importing ``names`` cost nothing until they are used."""
    for name in [*names, "platform"]:
        if name not in sys.modules:
            sys.modules[name] = LaterRe(name) if name == "re" else Later(name)


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
        if LIBC.syscall(number, descriptor, b"", 0):
            say(f"{name}: {os.strerror(ctypes.get_errno())}")
        os.close(descriptor)


def read(path: str) -> bytes:
    """Return a small file."""
    with open(path, "rb") as stream:
        return stream.read()


def virtio_port(seconds: float) -> str:
    """Return the device of the port named PORT, waiting for the bus to announce it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in os.listdir(PORTS) if os.path.isdir(PORTS) else ():
            try:
                named = read(f"{PORTS}/{name}/name").strip().decode()
            except OSError:  # the port is announced before its name
                continue
            if named == PORT and os.access(f"/dev/{name}", os.W_OK):
                return f"/dev/{name}"
        time.sleep(0.02)
    return ""


def open_channel(fallback: str) -> int:
    """Return a descriptor that leads out of this machine."""
    has_driver = os.path.isdir("/sys/bus/virtio/drivers/virtio_console")
    path = virtio_port(PORT_SECONDS) if has_driver else ""
    if path:
        return os.open(path, os.O_WRONLY)
    import tty  # noqa: PLC0415 - rarely needed

    say(f"no virtio port, so through /dev/{fallback}")
    line = os.open(f"/dev/{fallback}", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    return line


def load(path: str):  # type: ignore[no-untyped-def]
    """Return the module of which ``path`` holds the byte code, or the source."""
    text = read(path)
    code = (
        marshal.loads(text[BYTE_CODE_HEAD:])  # noqa: S302 - made by who made this file
        if path.endswith(".pyc")
        else compile(text, path, "exec")
    )
    module = Module("collector")
    sys.modules["collector"] = module
    exec(code, module.__dict__)  # noqa: S102
    return module


def collect(orders: dict, channel: int) -> None:  # type: ignore[type-arg]
    """Run the collector with its answer into ``channel``."""
    os.environ.clear()
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/", LC_ALL="C")
    import_later(orders["later"])
    # the module asks for much more before it tells the same
    sys.modules["platform"].__dict__["machine"] = lambda: os.uname().machine
    collector = load(f"{HOME}/{orders['collector']}")
    options = Module("options")
    options.__dict__.update(orders["options"])
    captures = collector.collect(options)
    with os.fdopen(os.dup(channel), "wb") as stream:
        collector.write_snapshot(stream, captures, os.uname().machine, options.redact)


def main() -> None:
    """Collect once; power off whatever happens."""
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")):
        mount(kind, place)
    mount("tmpfs", "/tmp")  # noqa: S108 - the machine is ours alone
    load_modules()
    orders = marshal.loads(read(f"{HOME}/orders"))  # noqa: S302 - made by who made this file
    channel = open_channel(orders["line"])
    say(f"collecting at {time.monotonic():.1f} s")
    collect(orders, channel)
    say(f"collected at {time.monotonic():.1f} s")
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
