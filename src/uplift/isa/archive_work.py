"""What an audit of an archive has to do: one piece of work for each package, and how one is done.

A piece of work travels to whichever process does it, so it holds names and no open files.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path

from uplift.errors import TargetError, UpliftError
from uplift.isa import control, sources
from uplift.isa.archive_memory import Debris, Remembered
from uplift.isa.audit import audit
from uplift.isa.contents import Contents, Found, Package, printable
from uplift.isa.file_list import machine
from uplift.isa.model import FileAudit, FunctionAudit
from uplift.isa.tally import code, tallies
from uplift.lab import apt_lists

_MAX_TEXT = 500
Row = dict[str, object]


@dataclass(frozen=True)
class Work:
    """One package to audit.

    :param key: what tells it from every other: a digest of its bytes or of where it is.
    :param kind: fetch, file or installed.
    :param place: a URI, a path, or the root of an installed system.
    :param listed: what its list says of it; None: it says so itself.
    """

    key: str
    kind: str
    place: str
    sha256: str = ""
    suite: str = ""
    component: str = ""
    size: int = 0
    listed: Package | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """What one package gave: rows of the tables ``packages``, ``files``, ``sets``, ``functions``.

    :param audits: rows of sets and functions for each audit that ``files`` name.
    :param unreached: it could not be fetched, which says nothing of the package.
    """

    key: str
    package: Row
    files: tuple[Row, ...] = ()
    audits: Mapping[str, tuple[tuple[Row, ...], tuple[Row, ...]]] = field(default_factory=dict)
    unreached: bool = False


@dataclass(frozen=True)
class Selection:
    """Which packages of an archive are wanted.

    :param names: patterns as of a shell; nothing: all.
    :param sample: so many of them by chance; 0: all.
    """

    components: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    sample: int = 0
    seed: int = 0

    def wants(self, name: str, component: str) -> bool:
        """Say whether a package is among them, before any sampling."""
        if self.components and component not in self.components:
            return False
        return not self.names or any(fnmatchcase(name, pattern) for pattern in self.names)

    def chosen(self, every: list[Work]) -> list[Work]:
        """Return the sample; the same seed chooses the same, in whatever order they came."""
        ordered = sorted(every, key=lambda work: work.key)
        if not self.sample or self.sample >= len(ordered):
            return ordered
        return random.Random(self.seed).sample(ordered, self.sample)  # noqa: S311 - a sample


def listed(lists: Iterable[apt_lists.PackageList], selection: Selection) -> list[Work]:
    """Return the packages of apt's lists, each once, with how many others depend on it."""
    wanted: dict[str, Work] = {}
    needed: Counter[str] = Counter()
    seen: set[str] = set()
    for one in lists:
        for fields in control.stanzas(apt_lists.lines(one)):
            package = control.package(fields)
            if package.name not in seen:
                seen.add(package.name)
                needed.update(package.depends)
            digest = fields.get("SHA256", "")
            component = one.component.rpartition("/")[2]
            if digest not in wanted and selection.wants(package.name, component):
                wanted[digest] = Work(
                    key=digest,
                    kind="fetch",
                    place=one.uri.rstrip("/") + "/" + fields.get("Filename", "").lstrip("/"),
                    sha256=digest,
                    suite=one.suite,
                    component=component,
                    size=int(fields.get("Size", "0")) if fields.get("Size", "").isdigit() else 0,
                    listed=replace(package, depends=()),
                )
    every = [replace(work, listed=_counted(work.listed, needed)) for work in wanted.values()]
    return selection.chosen(every)


def _counted(package: Package | None, needed: Counter[str]) -> Package | None:
    return replace(package, reverse=needed[package.name]) if package else None


def of_files(paths: Iterable[str], selection: Selection) -> list[Work]:
    """Return the packages among files and in directories."""
    found = {}
    for path in sources.packages_in(paths):
        if not selection.names or selection.wants(path.name.partition("_")[0], ""):
            status = path.stat()
            place = str(path.resolve())
            text = f"{place}\0{status.st_size}\0{status.st_mtime_ns}"
            key = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
            found[key] = Work(key, "file", place, size=status.st_size)
    return selection.chosen(list(found.values()))


def of_installed(root: Path, selection: Selection) -> list[Work]:
    """Return the packages that are installed in a root, with how many depend on each."""
    every = list(sources.installed(root))
    needed = Counter(name for one in every for name in one.package.depends)
    found = []
    for one in every:
        if selection.names and not selection.wants(one.package.name, ""):
            continue
        about = one.package
        text = f"{root.resolve()}\0{about.name}\0{about.version}\0{about.arch}"
        package = _counted(replace(about, depends=()), needed)
        key = sha256(text.encode()).hexdigest()
        place = str(root.resolve())
        found.append(Work(key, "installed", place, listed=package, files=one.files))
    return selection.chosen(found)


def do(work: Work) -> Done:
    """Audit one package; what is wrong with it is an answer, too."""
    try:
        with _opened(work) as contents:
            files, audits = _audited(contents.files)
            about = work.listed or contents.package
            row = _package(work, about, contents.notes, len(files))
            return Done(work.key, row, tuple(files), audits)
    except TargetError as error:
        return replace(refused(work, error.problem, error.cause), unreached=True)
    except UpliftError as error:
        return refused(work, error.problem, error.cause)
    except MemoryError:
        return refused(work, "cannot audit the package", "there is not enough memory")


def refused(work: Work, problem: str, cause: str) -> Done:
    """Return the answer that a package could not be audited."""
    about = work.listed or Package(work.kind, Path(work.place).name)
    row = _package(work, about, [], 0)
    error = f"{printable(problem)[:_MAX_TEXT]}: {printable(cause)[:_MAX_TEXT]}"
    return Done(work.key, {**row, "error": error})


def _opened(work: Work) -> AbstractContextManager[Contents]:
    if work.kind == "fetch":
        return _fetched(work)
    if work.kind == "installed":
        assert work.listed is not None
        return sources.opened_installed(
            Path(work.place), sources.Installed(work.listed, work.files)
        )
    return sources.opened(Path(work.place))


@contextmanager
def _fetched(work: Work) -> Iterator[Contents]:
    """Fetch a package, and let go of it when it is read."""
    with tempfile.TemporaryDirectory(prefix="uplift-") as directory:
        place = Path(directory) / "package.deb"
        apt_lists.fetch(work.place, work.sha256, place)
        with sources.opened(place) as contents:
            yield contents


def _package(work: Work, about: Package, notes: list[str], files: int) -> Row:
    return {
        "package": work.key,
        "kind": about.kind,
        "name": printable(about.name),
        "version": printable(about.version),
        "arch": printable(about.arch),
        "source": printable(about.source),
        "suite": printable(work.suite),
        "component": printable(work.component),
        "reverse": about.reverse,
        "size": work.size,
        "files": files,
        "notes": "; ".join(printable(note) for note in notes[:20]),
        "error": "",
    }


_Tables = tuple[tuple[Row, ...], tuple[Row, ...]]
_Known = tuple[Row, _Tables]
_debris = Debris()
_known: Remembered[_Known] = Remembered(lambda found: sum(map(len, found[1])))


def _audited(found: Iterable[Found]) -> tuple[list[Row], dict[str, _Tables]]:
    files: list[Row] = []
    audits: dict[str, _Tables] = {}
    for file in found:
        row, tables = _file(file)
        where = {"package": "", "path": printable(file.name), "sha256": file.sha256}
        files.append({**where, "size": len(memoryview(file.data)), **row})
        if row["audit"]:
            audits[str(row["audit"])] = tables
    return files, audits


def _file(file: Found) -> _Known:
    """Return what a file holds; the same bytes are audited once in a process.

    The path matters where the dynamic linker takes a directory's files only on some processors.
    """
    place = file.name.partition("/glibc-hwcaps/")[2].partition("/")[0]
    identity = f"{file.sha256}/{place}" if place else file.sha256
    found = _known.get(identity)
    if found is None:
        found = _judged(file, identity)
        _debris.add(len(memoryview(file.data)))
        _known.add(identity, found)
    return found


def _judged(file: Found, identity: str) -> _Known:
    if machine(bytes(memoryview(file.data)[:20])) == "":
        return _no_audit("it is not of 64 bits for x86-64, aarch64 or riscv64"), ((), ())
    try:
        result = audit(file.data, path=file.name)
    except UpliftError as error:
        return _no_audit(printable(f"{error.problem}: {error.cause}")[:_MAX_TEXT]), ((), ())
    functions = tuple(row for f in code(result) for row in _function(identity, f))
    return _about(result, identity), (_sets(result, identity), functions)


def _no_audit(why: str) -> Row:
    return {"audit": "", "arch": "", "kind": "", "soname": "", "level": "", "needs": "",
            "functions": 0, "instructions": 0, "undecodable": 0, "note": why}  # fmt: skip


def _about(result: FileAudit, identity: str) -> Row:
    return {
        "audit": identity,
        "arch": result.arch,
        "kind": printable(result.identity.kind),
        "soname": printable(result.identity.soname)[:_MAX_TEXT],
        "level": result.level,
        "needs": result.needs,
        "functions": result.function_count,
        "instructions": result.instructions,
        "undecodable": result.undecodable,
        "note": printable("; ".join(result.notes))[:_MAX_TEXT],
    }


def _sets(result: FileAudit, identity: str) -> tuple[Row, ...]:
    return tuple(
        {
            "audit": identity,
            "set": name,
            "count": tally.count,
            "confidence": tally.confidence.value,
            "reach": tally.reach.value,
            **{reach.value: count for reach, count in tally.functions.items()},
        }
        for name, tally in tallies(code(result)).items()
    )


def _function(identity: str, function: FunctionAudit) -> Iterator[Row]:
    for name, use in function.sets.items():
        yield {
            "audit": identity,
            "function": printable(function.name)[:_MAX_TEXT],
            "address": f"{function.address & 0xFFFFFFFFFFFFFFFF:#x}",
            "size": function.size,
            "set": name,
            "count": use.count,
            "confidence": use.confidence.value,
            "reach": use.reach.value,
            "evidence": printable("; ".join(function.evidence))[:_MAX_TEXT],
        }


Worker = Callable[[Work], Done]
