"""Programs that choose code by the processor, or fail to: built, run under emulation, judged.

What a program does on a processor is shown by running it under QEMU's user emulation; what the
audit says of it must never be better than that.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from uplift.isa.audit import audit
from uplift.isa.baseline import base, level
from uplift.isa.model import FileAudit, Reach

CASES = Path(__file__).parent / "dispatch_cases"
#: For each architecture the emulator, processors without the feature, the level they have, and
#: where the C library of that architecture is.
MACHINES = {
    "x86-64": ("qemu-x86_64", ("Nehalem", "IvyBridge"), "x86-64-v2", ""),
    "aarch64": ("qemu-aarch64", ("cortex-a53",), "armv8-a", "/usr/aarch64-linux-gnu"),
}
RICH = {"x86-64": "Haswell", "aarch64": "max"}
ARGUMENTS: Sequence[tuple[str, ...]] = ((), ("x",))
_HOST = "int entry(int, char **);\nint main(int c, char **v) { return entry(c, v); }\n"
_SECONDS = 60


@dataclass(frozen=True)
class Build:
    """One way to make a program of a case.

    :param form: pie, plain (fixed addresses), static or shared.
    :param stripped: without its symbol table.
    """

    case: str
    compiler: str
    optimize: str = "-O2"
    form: str = "pie"
    flags: tuple[str, ...] = ()
    arch: str = "x86-64"
    stripped: bool = False

    def __str__(self) -> str:
        more = (*self.flags, "stripped") if self.stripped else self.flags
        return " ".join((self.case, self.compiler, self.optimize, self.form, *more))


class Told(str, Enum):
    """What the audit says of the code above a level."""

    SAFE = "safe"  #: nothing above the level runs below it
    UNKNOWN = "unknown"
    DIES = "dies"  #: some is always reached


@dataclass(frozen=True)
class Shown:
    """What was said and what was seen.

    :param dies: with some arguments it does not end well on a lesser processor.
    :param runs: it ends well on the better processor: else nothing was shown.
    """

    build: Build
    told: Told
    dies: bool
    runs: bool
    functions: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether it was taken for safe and dies."""
        return self.dies and self.told == Told.SAFE

    @property
    def agrees(self) -> bool:
        """Whether what was said is what was seen; unknown agrees with nothing that lives."""
        return self.dies != (self.told == Told.SAFE)


def missing(build: Build) -> str:
    """Return the program that is needed and not there; empty where all are."""
    programs = (build.compiler, MACHINES[build.arch][0])
    return next((name for name in programs if shutil.which(name) is None), "")


def show(build: Build, folder: Path) -> Shown:
    """Build, run and judge.

    :raises CalledProcessError: it cannot be built.
    """
    program, audited = make(build, folder)
    emulator, lesser, lowest, root = MACHINES[build.arch]
    ends = [
        _end(program, arguments, (emulator, processor, root), folder)
        for processor in lesser
        for arguments in ARGUMENTS
    ]
    runs = not any(
        _end(program, arguments, (emulator, RICH[build.arch], root), folder)
        for arguments in ARGUMENTS
    )
    found = audit(audited)
    told, functions = verdict(found, lowest)
    return Shown(build, told, any(ends), runs, functions)


def verdict(found: FileAudit, lowest: str) -> tuple[Told, tuple[str, ...]]:
    """Return what an audit says of a processor of a level, and the functions that are not safe."""
    allowed = level(found.arch, lowest) | base(found.arch)
    open_ = {
        f"{function.name} ({name} {use.reach.value})": use.reach
        for function in found.functions
        if function.name not in _OF_THE_LIBRARY
        for name, use in function.sets.items()
        if name not in allowed and use.reach != Reach.DISPATCHED
    }
    told = Told.SAFE if not open_ else Told.UNKNOWN
    if Reach.ALWAYS in open_.values():
        told = Told.DIES
    return told, tuple(open_)


#: The C library's own functions that need what only other calls or locks ask for.
_OF_THE_LIBRARY = frozenset(
    {"__lll_lock_elision", "__lll_unlock_elision", "__lll_trylock_elision",
     "__lll_clocklock_elision", "pkey_set", "pkey_get"}
)  # fmt: skip


def _end(
    program: Path, arguments: tuple[str, ...], machine: tuple[str, str, str], folder: Path
) -> int:
    emulator, processor, root = machine
    libraries = ["-L", root] if root else []
    command = [emulator, *libraries, "-cpu", processor, str(program), *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"LD_LIBRARY_PATH": str(folder), "PATH": "/usr/bin:/bin", "GOGC": "off"},
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    return done.returncode


def make(build: Build, folder: Path) -> tuple[Path, Path]:
    """Build a case; return the program to run and the file to audit."""
    source = CASES / build.case
    makers = {".rs": _rust, ".go": _go}
    maker = makers.get(source.suffix, _c)
    program, audited = maker(build, source, folder)
    if build.stripped:
        _run(["strip", str(audited)], folder)
    return program, audited


def _c(build: Build, source: Path, folder: Path) -> tuple[Path, Path]:
    objects = [
        _compiled(build, unit, flags, folder, number)
        for number, (unit, flags) in enumerate(_units(source))
    ]
    out = folder / "program"
    forms = {"pie": ["-pie"], "plain": ["-no-pie"], "static": ["-static"], "shared": ["-shared"]}
    if build.form != "shared":
        _run([build.compiler, *forms[build.form], *objects, "-o", str(out)], folder)
        return out, out
    library = folder / "libcase.so"
    _run([build.compiler, "-shared", *objects, "-o", str(library)], folder)
    (folder / "host.c").write_text(_HOST)
    plain = {"g++": "gcc", "clang++": "clang"}.get(build.compiler, build.compiler)
    _run(
        [plain, "host.c", "-o", str(out), "-L.", "-lcase", "-lstdc++"][: 6 + _is_cxx(source)],
        folder,
    )
    return out, library


def _is_cxx(source: Path) -> bool:
    return source.suffix == ".cc" or source.is_dir()


def _units(source: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the units of a case in the order in which they are linked; ``fast`` is for AVX2."""
    if not source.is_dir():
        yield source, ()
        return
    yield source / "fast.cc", ("-mavx2",)
    yield source / "main.cc", ()


def _compiled(build: Build, unit: Path, flags: tuple[str, ...], folder: Path, number: int) -> str:
    out = str(folder / f"{number}.o")
    code = {"pie": ["-fPIE"], "plain": ["-fno-pie"], "static": ["-fno-pie"]}
    position = code.get(build.form, ["-fPIC", "-Dmain=entry"])
    if build.form == "shared" and _is_cxx(unit):
        position = ["-fPIC", "-include", str(_declared(folder)), "-Dmain=entry"]
    every = [build.optimize, *position, *flags, *build.flags, "-c", str(unit), "-o", out]
    _run([build.compiler, *every], folder)
    return out


def _declared(folder: Path) -> Path:
    header = folder / "entry.h"
    header.write_text('extern "C" int entry(int, char **);\n')
    return header


def _rust(build: Build, source: Path, folder: Path) -> tuple[Path, Path]:
    out = folder / "program"
    level_of = {"-O0": "0", "-O2": "2", "-O3": "3"}[build.optimize]
    flags = ["-C", f"opt-level={level_of}", *build.flags]
    _run([build.compiler, *flags, str(source), "-o", str(out)], folder)
    return out, out


def _go(build: Build, source: Path, folder: Path) -> tuple[Path, Path]:
    out = folder / "program"
    settings = dict(flag.split("=", 1) for flag in build.flags)
    command = [build.compiler, "build", "-o", str(out), str(source)]
    _run(command, folder, {**settings, "CGO_ENABLED": "0"})
    return out, out


def _run(command: list[str], folder: Path, more: dict[str, str] | None = None) -> None:
    home = str(Path.home())
    environment = {"PATH": f"/usr/bin:/bin:{home}/.cargo/bin", "HOME": home, **(more or {})}
    subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, timeout=300
    )


def few() -> tuple[Build, ...]:
    """Return one build of each kind of evidence: what a test run can afford."""
    return tuple(
        build
        for build in every()
        if build.optimize == "-O2"
        and build.form == "pie"
        and build.compiler in ("gcc", "g++", "rustc", "go", "aarch64-linux-gnu-gcc")
        and not build.stripped
    )


def every() -> Iterator[Build]:
    """Yield the whole matrix."""
    for source in sorted(CASES.iterdir()):
        if source.name in _ARM:
            yield from _arm(source.name)
        elif source.suffix == ".c":
            yield from _native(source.name, ("gcc", "clang"))
        elif _is_cxx(source):
            yield from _native(source.name, ("g++", "clang++"))
    for case in ("guard.rs", "unguarded.rs"):
        for optimize in ("-O0", "-O2", "-O3"):
            yield Build(case, "rustc", optimize)
        yield Build(case, "rustc", "-O2", stripped=True)
    yield Build("guard.rs", "rustc", "-O3", flags=("-C", "target-cpu=haswell"))
    for level_ in ("v1", "v3"):
        yield Build("main.go", "go", flags=(f"GOAMD64={level_}",))


_ARM = frozenset({"lse_guard.c", "lse_always.c", "outline_atomics.c", "sve_ifunc.c"})


_NO_FRAMES = ("-fno-asynchronous-unwind-tables", "-fno-unwind-tables")


def _native(case: str, compilers: tuple[str, ...]) -> Iterator[Build]:
    for compiler in compilers:
        for optimize in ("-O0", "-O2", "-O3"):
            for form in ("pie", "shared"):
                yield Build(case, compiler, optimize, form)
        yield Build(case, compiler, "-O2", "plain")
        yield Build(case, compiler, "-O2", "pie", stripped=True)
        if case.endswith(".c"):
            yield Build(case, compiler, "-O2", "pie", _NO_FRAMES, stripped=True)
    yield Build(case, compilers[0], "-O2", "static")


def _arm(case: str) -> Iterator[Build]:
    for optimize in ("-O0", "-O2"):
        for form in ("pie", "static"):
            yield Build(case, "aarch64-linux-gnu-gcc", optimize, form, arch="aarch64")
