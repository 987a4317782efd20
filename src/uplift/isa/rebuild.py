"""Rebuild a source package for a level, and say what that changed.

The stages: fetch, a clean root, what the build needs, build and test, audit before and after, a
repository. Each leaves its log; the root is removed at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from uplift.errors import UpliftError
from uplift.isa import rebuild_autopkgtest, rebuild_repository, rebuild_variant
from uplift.isa.rebuild_audit import PackageChange, compared, debug_files
from uplift.isa.rebuild_autopkgtest import Ended, Test, TestEnd
from uplift.isa.rebuild_compare import FileChange
from uplift.isa.rebuild_levels import (
    DEBIAN_ARCH,
    Level,
    environment,
    find,
    plain_environment,
    refused,
    sets_of,
    variant_of,
)
from uplift.isa.rebuild_log import FlagUse, Outcome, OwnTests, flag_use, own_tests, why_failed
from uplift.isa.rebuild_version import rebuilt_version, with_entry
from uplift.lab import apt, build_root, build_root_debs, process, source_package
from uplift.lab.build_root import BuildRoot, Limits, Step
from uplift.lab.source_package import SourcePackage

Say = Callable[[str], None]
HOW = "own namespaces of an unprivileged user, one identity, no network"
_TREE = f"/{build_root.BUILD_PLACE}/tree"
_PROBE_SECONDS = 60
_UNPACK_SECONDS = 600
_MAX_CHANGELOG = 16 << 20
_MAX_CONTROL = 1 << 20
_TEST_SECONDS = 2 * 3600
_MAX_LOG = 64 << 20
_LINE = "Rebuilt for {}: {}."


@dataclass(frozen=True)
class Request:
    """What to rebuild, and how.

    :param arch: ``x86-64``, ``aarch64``, ``riscv64``: this machine's.
    :param into: the repository; made where it is not there.
    :param cache: where clean roots and apt's lists are kept.
    :param suites: empty: those of the machine's own apt configuration.
    :param jobs: how many compilers at once.
    :param refresh: make the clean root anew.
    :param control: build the package with the archive's own flags, too, and compare with that.
    """

    source: str
    level: str
    arch: str
    into: Path
    cache: Path
    variant: str = ""
    tests: bool = True
    suites: tuple[str, ...] = ()
    mirror: str = ""
    keyring: Path | None = None
    limits: Limits = field(default_factory=Limits)
    jobs: int = 1
    refresh: bool = False
    control: bool = False


@dataclass(frozen=True)
class Compiler:
    """The build root's compiler.

    :param macros: what it predefines at the level.
    :param lacking: instruction sets of the level that this machine does not have.
    :param meant: what ``native`` stands for on this machine.
    """

    name: str
    allowed: frozenset[str]
    lacking: tuple[str, ...]
    meant: str = ""


@dataclass(frozen=True)
class Rebuilt:
    """What came of it.

    :param how: what isolated the build.
    :param compared_with: what was before: the archive's packages, or a control's.
    :param installed: whether the packages went into a fresh root; if not, why.
    :param autopkgtest: the package's tests of itself as installed there.
    :param seconds: of each stage.
    """

    source: str
    version: str
    rebuilt: str
    level: Level
    variant: str
    compiler: Compiler
    how: str
    environment: Mapping[str, str]
    suites: tuple[str, ...]
    tests: OwnTests
    flags: FlagUse
    packages: tuple[PackageChange, ...]
    files: tuple[FileChange, ...]
    compared_with: str
    repository: Path
    installed: str
    autopkgtest: tuple[TestEnd, ...]
    log: Path
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()


class BuildFailed(UpliftError):
    """The package did not build, or its tests failed."""

    def __init__(self, problem: str, cause: str, fix: str, tests: OwnTests) -> None:
        super().__init__(problem, cause, fix, 1)
        self.tests = tests


def rebuild(request: Request, say: Say) -> Rebuilt:
    """Rebuild a source package for a level.

    :raises UpliftError: the level is not known here, or a stage failed; its log is named.
    :raises BuildFailed: the package did not build, or its tests failed: nothing is published.
    """
    level = find(request.level, request.arch)
    variant_of(level, request.variant)
    _sweep(request.cache / "builds")
    work = _Work(request, level, say)
    request.into.mkdir(parents=True, exist_ok=True)
    try:
        return work.done()
    finally:
        work.clean()


def _sweep(builds: Path) -> None:
    """Remove what builds left behind that were killed."""
    for place in builds.glob("*.*"):
        number = place.name.rpartition(".")[2]
        if number.isdigit() and not Path(f"/proc/{number}").exists():
            build_root.remove(place)


class _Work:
    """One package on its way through the stages."""

    def __init__(self, request: Request, level: Level, say: Say) -> None:
        self.request, self.level, self.say = request, level, say
        self.debian = DEBIAN_ARCH[request.arch]
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = []
        self.lacking: tuple[str, ...] = ()
        self.place = request.cache / "builds" / f"{_plain(request.source)}.{os.getpid()}"
        self.log = request.into / "logs" / f"{_plain(request.source)}.{level.suffix}.log"

    def clean(self) -> None:
        build_root.remove(self.place)

    @contextmanager
    def _stage(self, name: str, text: str) -> Iterator[None]:
        self.say(text)
        started = time.monotonic()
        yield
        spent = self.seconds.get(name, 0) + time.monotonic() - started
        self.seconds[name] = round(spent, 2)

    def done(self) -> Rebuilt:
        request = self.request
        self.place.mkdir(parents=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        self.log.touch(mode=0o600)
        with self._stage("fetch", "asking apt for the source package"):
            given = (request.suites, request.mirror, request.keyring)
            store, suites = source_package.archive(self.debian, self.place, *given)
            source = source_package.find(store, request.source, self.debian)
            published = source_package.published(store, source)
            (self.place / "source").mkdir()
            exact = f"{source.name}={source.version}"
            description = store.download_source(exact, self.place / "source")
        root = self._root(store, suites)
        with self._stage("root", "asking the root's compiler"):
            compiler = _compiler(root, self.level, request.arch)
        self.lacking = compiler.lacking
        tests = request.tests and not compiler.lacking
        self._prepare(store, root, description, tests)
        version = self._version(root, source, published)
        told = environment(self.level, tests, request.jobs, self._native_variant(root))
        step = self._build(root, told)
        result, flags = self._read_log(step, tests, compiler)
        built = self._collect(root)
        build_root.remove(root.place)
        control = self._control(store, suites, description) if request.control else {}
        packages, files = self._compared(store, built, control, compiler)
        repository = self._publish(built)
        installed, ends = self._installed(packages, description)
        self._note(compiler, flags, packages)
        return Rebuilt(
            source=source.name,
            version=source.version,
            rebuilt=version,
            level=self.level,
            variant=request.variant,
            compiler=compiler,
            how=HOW,
            environment=told,
            suites=suites,
            tests=result,
            flags=flags,
            packages=packages,
            files=files,
            compared_with="a build with the archive's flags" if request.control else "the archive",
            repository=repository,
            installed=installed,
            autopkgtest=ends,
            log=self.log,
            seconds=dict(self.seconds),
            notes=tuple(self.notes),
        )

    def _root(self, store: apt.Apt, suites: Sequence[str], name: str = "build") -> BuildRoot:
        with self._stage("root", "looking for a clean root"):
            store.take_as_installed(b"")
            cache, refresh = self.request.cache, self.request.refresh
            archive = build_root.base(store, cache, self._key(suites), self.say, refresh)
            self.say("unpacking a clean root")
            return build_root.fresh(archive, self.place / name)

    def _prepare(self, store: apt.Apt, root: BuildRoot, description: Path, tests: bool) -> None:
        with self._stage("dependencies", "fetching what the build needs"):
            wanted = source_package.build_dependencies(store, description, root.status, tests)
            place = self.place / "needed" / root.place.name
            fetched = source_package.fetch(store, wanted, place)
            self.say(f"installing {len(fetched)} packages that the build needs")
            root.add(fetched, self.log)
            self._unpack(root, description)

    def _unpack(self, root: BuildRoot, description: Path) -> None:
        inside = root.path / build_root.BUILD_PLACE
        for path in sorted(description.parent.iterdir()):
            build_root.give(path, inside / path.name)
        step = root.run(
            ["dpkg-source", "--no-check", "-x", description.name, _TREE],
            builder=True,
            directory=f"/{build_root.BUILD_PLACE}",
            limits=replace(self.request.limits, seconds=_UNPACK_SECONDS),
            log=self.log,
        )
        self._check(step, "cannot unpack the source package")

    def _version(self, root: BuildRoot, source: SourcePackage, published: Mapping[str, str]) -> str:
        """Give the packages their version; a variant's have the archive's own."""
        if self.request.variant:
            return source.version
        newest = rebuilt_version(source.version, published.values(), self.level.suffix)
        name = f"{_TREE}/debian/changelog"
        old = root.run(["head", "-c", str(_MAX_CHANGELOG), name], builder=True)
        reason = _LINE.format(self.level.name, self.level.march)
        text = with_entry(old.output.decode("utf-8", "replace"), newest, reason)
        words = ["dd", "status=none", f"of={name}"]
        step = root.run(words, builder=True, stdin=text.encode())
        self._check(step, "cannot give the rebuilt package a version")
        return newest

    def _native_variant(self, root: BuildRoot) -> str:
        """Return the variant where the root's own dpkg makes packages of it."""
        if not self.request.variant:
            return ""
        step = root.run(["dpkg-buildpackage", "--help"], limits=Limits(seconds=_PROBE_SECONDS))
        return self.request.variant if b"host-arch-variant" in step.output else ""

    def _build(self, root: BuildRoot, told: Mapping[str, str]) -> Step:
        with self._stage("build", f"building for {self.level.name}"):
            return self._run_build(root, told, self.log)

    def _run_build(self, root: BuildRoot, told: Mapping[str, str], log: Path) -> Step:
        return root.run(
            ["dpkg-buildpackage", "-us", "-uc", "-B", "-rfakeroot"],
            builder=True,
            directory=_TREE,
            environment=told,
            limits=self.request.limits,
            log=log,
        )

    def _read_log(self, step: Step, tests: bool, compiler: Compiler) -> tuple[OwnTests, FlagUse]:
        with self.log.open("rb") as stream:
            text = stream.read(_MAX_LOG).decode("utf-8", "replace")
        reason = "--no-tests"
        if compiler.lacking:
            reason = f"this machine lacks {', '.join(compiler.lacking[:6])}"
        result = own_tests(text, step.ok, tests, reason)
        if not step.ok:
            what = "its tests failed" if result.status == Outcome.FAILED else "it did not build"
            raise BuildFailed(
                f"cannot rebuild {self.request.source} for {self.level.name}: {what}",
                step.over or self._why(text) or f"exit {step.returncode}",
                f"the whole story is in {self.log}",
                result,
            )
        return result, flag_use(text, self.level.march)

    def _why(self, log: str) -> str:
        return process.printable(why_failed(log), 300) or build_root.last_words(self.log)

    def _check(self, step: Step, problem: str) -> None:
        build_root.check(step, problem, self.log)

    def _collect(self, root: BuildRoot) -> list[Path]:
        made = build_root_debs.collect(root.path / build_root.BUILD_PLACE, self.place / "made")
        if not made:
            raise UpliftError(
                "the build made no packages",
                "it ended well and left none",
                f"the whole story is in {self.log}",
            )
        variant = self.request.variant
        if not variant:
            return made
        return [_marked(path, self.debian, variant) for path in made]

    def _control(self, store: apt.Apt, suites: Sequence[str], description: Path) -> dict[str, Path]:
        """Build the package as the archive did, without its tests; return name to package."""
        root = self._root(store, suites, "control")
        self._prepare(store, root, description, tests=False)
        log = self.log.with_suffix(".control.log")
        with self._stage("control", "building with the archive's flags"):
            step = self._run_build(root, plain_environment(self.request.jobs), log)
        build_root.check(step, "cannot build the control", log)
        inside = root.path / build_root.BUILD_PLACE
        made = build_root_debs.collect(inside, self.place / "control-made")
        build_root.remove(root.place)
        return {path.name.partition("_")[0]: path for path in made}

    def _compared(
        self,
        store: apt.Apt,
        built: Sequence[Path],
        control: Mapping[str, Path],
        compiler: Compiler,
    ) -> tuple[tuple[PackageChange, ...], tuple[FileChange, ...]]:
        def before(name: str) -> Path | None:
            self.say(f"comparing {name}")
            return control.get(name) if self.request.control else self._archived(store, name)

        with self._stage("compare", "auditing"):
            store.take_as_installed(b"")
            debug = debug_files([*built, *control.values()], self.place / "debug")
            rows = list(compared(built, before, debug, compiler.allowed))
        packages = tuple(package for package, _ in rows)
        return packages, tuple(change for _, changes in rows for change in changes)

    def _archived(self, store: apt.Apt, name: str) -> Path | None:
        version = store.candidate(name)
        if not version:
            return None
        place = self.place / "archive" / name
        return source_package.fetch(store, [(name, version)], place)[0]

    def _publish(self, built: Iterable[Path]) -> Path:
        with self._stage("publish", "writing the repository"):
            pool = self.request.into / "pool"
            pool.mkdir(exist_ok=True)
            for path in built:
                target = pool / path.name
                part = target.with_name(f".{target.name}.part")
                part.write_bytes(path.read_bytes())
                part.replace(target)
            write_indexes(self.request.into, self.debian, self.request.variant, self.level.name)
        return self.request.into

    def _installed(
        self, packages: Sequence[PackageChange], description: Path
    ) -> tuple[str, tuple[TestEnd, ...]]:
        """Install the packages in a fresh root, as a machine would; run their tests there.

        A variant's packages are given as files: the apt of this machine may not know variants.
        """
        with self._stage("install", "installing the packages in a fresh root"):
            store, suites = self._with_repository()
            archive = build_root.base(store, self.request.cache, self._key(suites), self.say)
            root = build_root.fresh(archive, self.place / "install")
            store.take_as_installed(root.status)
            try:
                self._install(store, root, packages)
            except UpliftError as error:
                return process.printable(f"no: {error.problem}: {error.cause}", 600), ()
        said = _found_installed(root.status, packages, self.request.variant)
        with self._stage("autopkgtest", "running the tests of the installed packages"):
            return said, tuple(self._as_installed(store, root, packages, description))

    def _as_installed(
        self,
        store: apt.Apt,
        root: BuildRoot,
        packages: Sequence[PackageChange],
        description: Path,
    ) -> Iterator[TestEnd]:
        self._unpack(root, description)
        control = root.run(["head", "-c", str(_MAX_CONTROL), f"{_TREE}/debian/tests/control"])
        text = control.output.decode("utf-8", "replace") if control.ok else ""
        names = [each.name for each in packages]
        for number, test in enumerate(rebuild_autopkgtest.listed(source_package.stanzas(text))):
            obstacle = test.obstacle or self._obstacle()
            if obstacle:
                yield TestEnd(test.name, Ended.NOT_RUN, obstacle)
                continue
            try:
                self._satisfy(store, root, rebuild_autopkgtest.wanted(test, names), number)
            except UpliftError as error:
                yield TestEnd(test.name, Ended.NOT_RUN, process.printable(error.cause))
                continue
            yield self._one_test(root, test, number)

    def _obstacle(self) -> str:
        if not self.request.tests:
            return "--no-tests"
        return f"this machine lacks {', '.join(self.lacking[:6])}" if self.lacking else ""

    def _satisfy(self, store: apt.Apt, root: BuildRoot, wanted: Sequence[str], number: int) -> None:
        if wanted:
            store.take_as_installed(root.status)
            words = ["satisfy", "--no-install-recommends", "--", *wanted]
            place = self.place / f"test-{number}"
            root.add(source_package.fetch(store, store.simulate(words), place), self.log)

    def _one_test(self, root: BuildRoot, test: Test, number: int) -> TestEnd:
        """Run a test; it finds its directories as autopkgtest gives them: its own, and empty."""
        place, artifacts = f"/tmp/test-{number}", f"/tmp/artifacts-{number}"  # noqa: S108
        root.run(["mkdir", place, artifacts], builder=True)
        program = f"{_TREE}/{test.directory}/{test.name}"
        step = root.run(
            ["bash", "-c", test.command] if test.command else [program],
            builder="needs-root" not in test.restrictions,
            directory=_TREE,
            environment={
                "AUTOPKGTEST_TMP": place,
                "AUTOPKGTEST_ARTIFACTS": artifacts,
                "HOME": "/tmp",  # noqa: S108 - the root's
            },
            limits=replace(self.request.limits, seconds=_TEST_SECONDS),
        )
        return rebuild_autopkgtest.end_of(test, step.returncode, step.complaint, step.over)

    def _with_repository(self) -> tuple[apt.Apt, tuple[str, ...]]:
        request = self.request
        entry = rebuild_repository.sources_text(request.into, self.debian, "")
        return source_package.archive(
            self.debian,
            self.place,
            request.suites,
            request.mirror,
            request.keyring,
            "" if request.variant else entry,
        )

    def _install(self, store: apt.Apt, root: BuildRoot, packages: Sequence[PackageChange]) -> None:
        pool = self.request.into.resolve() / "pool"
        own = {each.name: each for each in packages}
        named = [f"{each.name}={each.versions[1]}" for each in packages]
        files = [str(pool / each.file) for each in packages]
        wanted = files if self.request.variant else named
        chosen = store.simulate(["install", "--no-install-recommends", "--", *wanted])
        others = [pair for pair in chosen if pair[0] not in own]
        fetched = source_package.fetch(store, others, self.place / "others")
        root.add([*fetched, *(pool / each.file for each in packages)], self.log)

    def _key(self, suites: Sequence[str]) -> str:
        return "+".join((self.debian, *suites))

    def _note(self, compiler: Compiler, flags: FlagUse, packages: Iterable[PackageChange]) -> None:
        if compiler.lacking:
            self.notes.append(
                "programs that the build made and ran would have ended it, had they used "
                f"{', '.join(compiler.lacking[:6])}: this machine lacks them"
            )
        if flags.compilers and flags.carrying < flags.compilers:
            self.notes.append(
                f"{flags.compilers - flags.carrying} of {flags.compilers} compiler lines in the "
                f"log do not carry {self.level.march}"
            )
        if not flags.compilers:
            self.notes.append(
                "the log shows no compiler lines: whether the flag came through "
                "shows only in the files"
            )
        gone = [each.name for each in packages if not each.versions[0]]
        if gone:
            self.notes.append(f"not in the archive, so nothing to compare with: {', '.join(gone)}")


def _found_installed(status: bytes, packages: Iterable[PackageChange], variant: str) -> str:
    """Say whether dpkg lists the packages as installed, in the version that was built."""
    found = {
        fields.get("package", ""): fields
        for fields in source_package.stanzas(status.decode("utf-8", "replace"))
        if fields.get("status") == "install ok installed"
    }
    wrong = [p.name for p in packages if found.get(p.name, {}).get("version") != p.versions[1]]
    if wrong:
        return f"no: dpkg does not list {', '.join(wrong)}"
    if not variant:
        return "yes, from the repository"
    field_ = rebuild_variant.FIELD.lower()
    kept = all(found[p.name].get(field_) == variant for p in packages)
    said = "keeps" if kept else "drops"
    return f"yes, as files; dpkg there {said} the field {rebuild_variant.FIELD}"


def write_indexes(repository: Path, debian: str, variant: str, label: str) -> None:
    """Write the indexes of a repository anew, for all packages that lie in its pool."""
    pool = sorted((repository / "pool").glob("*.*deb"))
    entries = [
        rebuild_repository.entry(build_root_debs.control_text(path), path, repository)
        for path in pool
        if not path.name.startswith(".")
    ]
    files = rebuild_repository.indexes(entries, debian, variant)
    archs = [debian, variant] if variant else [debian]
    now = datetime.now(timezone.utc)
    top = repository / "dists" / rebuild_repository.SUITE
    release = rebuild_repository.release_text(files, archs, f"uplift {label}", now)
    for name, content in {**files, "Release": release.encode()}.items():
        place = top / name
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name}.part")
        part.write_bytes(content)
        part.replace(place)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "+.-" else "_" for c in name)[:100].lstrip(".")


def _compiler(root: BuildRoot, level: Level, arch: str) -> Compiler:
    """Ask the root's compiler what the level is; one that does not know it ends here."""
    version = _probe(root, ["gcc", "-dumpfullversion"]).output.decode("ascii", "replace").strip()
    name = f"gcc {process.printable(version)}"
    asked = _probe(root, ["gcc", level.march, "-E", "-dM", "-x", "c", "/dev/null"])
    if not asked.ok:
        raise refused(level, name, asked.complaint)
    allowed = sets_of(arch, asked.output.decode("utf-8", "replace"))
    own = "-mcpu=native" if arch == "aarch64" else "-march=native"
    here = _probe(root, ["gcc", own, "-E", "-dM", "-x", "c", "/dev/null"])
    has = sets_of(arch, here.output.decode("utf-8", "replace")) if here.ok else allowed
    lacking = tuple(sorted(set_ for set_ in allowed - has if "+" not in set_))
    return Compiler(name, allowed, lacking, _meant(root, level) if level.name == "native" else "")


def _meant(root: BuildRoot, level: Level) -> str:
    """Return what ``native`` stands for, as the compiler tells it."""
    step = _probe(root, ["gcc", level.march, "-Q", "--help=target"])
    for line in step.output.decode("utf-8", "replace").splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in ("-march=", "-mcpu="):
            return process.printable(words[1], 80)
    return ""


def _probe(root: BuildRoot, words: Sequence[str]) -> Step:
    return root.run(words, builder=True, limits=Limits(seconds=_PROBE_SECONDS))


def _marked(package: Path, debian: str, variant: str) -> Path:
    """Return the package as one of a variant, unless its own dpkg made it one."""
    if build_root_debs.control(package).get(rebuild_variant.FIELD.lower()) == variant:
        return package
    to = package.with_name(rebuild_variant.variant_name(package.name, debian, variant))
    rebuild_variant.mark(package, to, variant)
    package.unlink()
    return to
