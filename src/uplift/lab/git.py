"""The git program on repositories that nobody vouches for: nothing of theirs is run or written.

A repository's own configuration can name programs (merge drivers, text converters, file system
monitors, upload-pack). So git works in a directory of ours, a *workspace*, which borrows only the
objects (gitrepository-layout(5), ``objects/info/alternates``) and copies the names of commits.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from uplift.errors import UpliftError
from uplift.lab import process

MAX_OBJECT = 64 << 20  #: bytes of one object that are read into memory
MAX_OUTPUT = 256 << 20
_TIMEOUT = 3600.0
_HEADER = 4096  #: bytes of the longest answer line of cat-file

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.pager": "cat",
    "core.quotePath": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "safe.directory": "*",
    "advice.graftFileDeprecated": "false",
    "user.name": "uplift",
    "user.email": "uplift@localhost",
}


class RepositoryError(UpliftError):
    """A git repository cannot be read, or does not hold what was asked of it."""


class MissingObject(RepositoryError):
    """An object is not there: the clone is partial or shallow, or the repository is damaged."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"cannot read object {name}",
            "the repository does not hold it",
            "give a full clone: git clone without --depth and --filter",
        )


@dataclass(frozen=True)
class Repository:
    """A git repository as it lies on disk.

    :param directory: its common git directory.
    :param objects: where its objects lie.
    :param shallow: its history is cut off: commits without their parents.
    :param partial: objects were left out when it was cloned.
    """

    directory: Path
    objects: Path
    object_format: str
    bare: bool
    shallow: bool
    partial: bool


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which git reads nobody's settings, asks and fetches nothing."""
    made = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
    }
    for number, (key, value) in enumerate(_SETTINGS.items()):
        made[f"GIT_CONFIG_KEY_{number}"] = key
        made[f"GIT_CONFIG_VALUE_{number}"] = value
    return made | dict(extra or {})


def version() -> tuple[int, ...]:
    """Return the version of the git program as numbers: ``(2, 39, 5)``."""
    told = _run(["version"], cwd=Path.cwd()).stdout.decode("utf-8", "replace")
    found = re.search(r"\d+(?:\.\d+)+", told)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def open_repository(path: Path) -> Repository:
    """Find the repository at ``path``: a work tree, a linked one, or a bare directory.

    :raises RepositoryError: there is none, or git cannot read it.
    """
    if not path.is_dir():
        raise _unusable(path, "it is no directory", "name a directory that holds a repository")
    asked = (
        "--git-common-dir",
        "--is-bare-repository",
        "--is-shallow-repository",
        "--show-object-format",
        "--git-path",
        "objects",
    )
    ceiling = {"GIT_CEILING_DIRECTORIES": str(path.resolve().parent)}
    answer = _run(["rev-parse", *asked], cwd=path, extra=ceiling)
    if not answer.ok:
        raise _unusable(path, answer.complaint or "git does not read it", "check it: git fsck")
    directory, bare, shallow, object_format, objects = answer.stdout.decode().splitlines()[:5]
    common = (path / directory).resolve()
    return Repository(
        directory=common,
        objects=(path / objects).resolve(),
        object_format=object_format,
        bare=bare == "true",
        shallow=shallow == "true",
        partial=_is_partial(common),
    )


def _is_partial(directory: Path) -> bool:
    """Whether packs say that their missing objects were promised by a remote."""
    packs = directory / "objects" / "pack"
    return packs.is_dir() and any(packs.glob("*.promisor"))


def _unusable(path: Path, cause: str, fix: str) -> RepositoryError:
    return RepositoryError(f"cannot read the git repository {path}", cause, fix)


def _run(
    arguments: Sequence[str],
    cwd: Path,
    stdin: bytes = b"",
    extra: Mapping[str, str] | None = None,
    max_stdout: int = MAX_OUTPUT,
) -> process.Result:
    try:
        return process.run(
            ["git", *arguments],
            stdin=stdin,
            timeout=_TIMEOUT,
            max_stdout=max_stdout,
            env=environment(extra),
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise RepositoryError(
            "cannot run git", "the program is not installed", "apt install git"
        ) from error


def run_in(repository: Repository, *arguments: str, stdin: bytes = b"") -> process.Result:
    """Run git in a repository itself, to its end, without its hooks; for what is written there."""
    return _run(arguments, repository.directory, stdin, {"GIT_DIR": str(repository.directory)})


class Workspace:
    """A git directory of ours over the objects of one or more repositories.

    The refs of the first repository keep their names; those of a further one are found as
    ``NAME/branch``, NAME being the name of its folder. What git writes here (trees of merges)
    stays here. Use it as a context manager: it holds running git processes.
    """

    def __init__(self, directory: Path, repositories: Sequence[Repository]) -> None:
        self.directory = directory
        self.repositories = tuple(repositories)
        self._extra: dict[str, str] = {"GIT_DIR": str(directory)}
        self._reader: ObjectReader | None = None

    @classmethod
    def make(cls, directory: Path, paths: Sequence[Path]) -> Workspace:
        """Make, or bring up to date, the workspace in ``directory`` over ``paths``.

        :raises RepositoryError: a repository cannot be read, or two differ in object format.
        """
        found = [open_repository(path) for path in paths]
        formats = {repository.object_format for repository in found}
        if len(formats) != 1:
            raise RepositoryError(
                "cannot join these repositories",
                f"they name objects in different ways: {', '.join(sorted(formats))}",
                "give repositories of one object format",
            )
        made = cls(directory, found)
        made._prepare(formats.pop())
        return made

    def _prepare(self, object_format: str) -> None:
        if not (self.directory / "config").exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            options = ["--bare", "--quiet", "--template=", f"--object-format={object_format}"]
            answer = _run(["init", *options, "."], cwd=self.directory)
            if not answer.ok:
                raise _unusable(self.directory, answer.complaint, "check that it can be written")
        stores = "".join(_alternate(repository.objects) for repository in self.repositories)
        (self.directory / "objects" / "info").mkdir(exist_ok=True)
        _replace(self.directory / "objects" / "info" / "alternates", stores.encode())
        cut = _cut_commits(self.repositories)
        if cut:
            _replace(self.directory / "shallow", cut)
        else:
            (self.directory / "shallow").unlink(missing_ok=True)
        self._copy_refs()

    def _copy_refs(self) -> None:
        names: dict[str, str] = {}
        for number, repository in enumerate(self.repositories):
            for sha, name in _refs_of(repository):
                names.setdefault(_further(name, repository) if number else name, sha)
        packed = "".join(f"{sha} {name}\n" for name, sha in sorted(names.items()))
        _replace(self.directory / "packed-refs", packed.encode("utf-8", "surrogateescape"))
        _replace(self.directory / "HEAD", _head_of(self.repositories[0]))

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the git processes that this workspace holds."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def git(self, *arguments: str, stdin: bytes = b"", max_stdout: int = MAX_OUTPUT) -> bytes:
        """Run git here to its end and return what it wrote.

        :raises RepositoryError: git did not succeed, or wrote more than ``max_stdout`` bytes.
        """
        answer = self.attempt(*arguments, stdin=stdin, max_stdout=max_stdout)
        if not answer.ok:
            cause = "it wrote too much" if answer.truncated else answer.complaint
            raise RepositoryError(
                f"git {arguments[0]} failed",
                cause or f"exit status {answer.returncode}",
                f"check the repository: git -C {self.repositories[0].directory} fsck",
            )
        return answer.stdout

    def attempt(
        self, *arguments: str, stdin: bytes = b"", max_stdout: int = MAX_OUTPUT
    ) -> process.Result:
        """Run git here to its end, whatever its exit status."""
        return _run(arguments, self.directory, stdin, self._extra, max_stdout)

    @contextmanager
    def stream(
        self, *arguments: str, feed: Iterable[bytes] | None = None
    ) -> Iterator[process.Pipe]:
        """Run git here and read it piece by piece; ``feed`` is written from another thread."""
        with process.pipe(
            ["git", *arguments],
            timeout=_TIMEOUT,
            env=environment(self._extra),
            cwd=self.directory,
        ) as running:
            if feed is not None:
                running.feed(feed)
            yield running

    def refs(self) -> dict[str, str]:
        """Return the full name and object of every branch and tag."""
        listed = self.git("for-each-ref", "--format=%(objectname) %(refname)")
        lines = listed.decode("utf-8", "surrogateescape").splitlines()
        return {name: sha for sha, name in (line.split(" ", 1) for line in lines)}

    def resolve(self, name: str) -> str:
        """Return the full sha of the commit that ``name`` (sha, branch, tag) stands for.

        :raises RepositoryError: no commit has that name, or several have.
        """
        answer = None
        if name and not name.startswith("-") and "\0" not in name and "\n" not in name:
            answer = self.attempt("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        if answer is None or not answer.ok:
            shown = process.printable(name)
            raise RepositoryError(
                f"no commit is called {shown}",
                _why_unresolved(answer),
                "give a branch, a tag or a full sha of this repository",
            )
        return answer.stdout.decode().strip()

    @property
    def objects(self) -> ObjectReader:
        """The reader of objects, started when first asked."""
        if self._reader is None:
            self._reader = ObjectReader(self.directory, self._extra)
        return self._reader

    def with_index(self, path: Path) -> Workspace:
        """Return a view of this workspace whose index is the file ``path``."""
        view = Workspace(self.directory, self.repositories)
        view._extra |= self._extra | {"GIT_INDEX_FILE": str(path)}
        return view

    @contextmanager
    def quarantine(self) -> Iterator[Workspace]:
        """Give a view of this workspace whose new objects vanish with the block."""
        with tempfile.TemporaryDirectory(prefix="uplift-objects-") as folder:
            view = Workspace(self.directory, self.repositories)
            view._extra |= {
                "GIT_OBJECT_DIRECTORY": folder,
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.directory / "objects"),
            }
            try:
                yield view
            finally:
                view.close()

    @property
    def object_directory(self) -> Path:
        """Where git writes new objects here."""
        return Path(self._extra.get("GIT_OBJECT_DIRECTORY", self.directory / "objects"))

    def write(self, kind: str, content: bytes) -> str:
        """Write one loose object here and return its sha (gitformat-pack(5), loose objects)."""
        whole = b"%s %d\0%s" % (kind.encode(), len(content), content)
        sha = hashlib.new(self.repositories[0].object_format, whole).hexdigest()
        path = self.object_directory / sha[:2] / sha[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            _replace(path, zlib.compress(whole, 1))
        return sha


class ObjectReader:
    """One ``git cat-file --batch`` that answers for many objects; started anew when it died."""

    def __init__(self, directory: Path, extra: Mapping[str, str]) -> None:
        self._directory = directory
        self._extra = extra
        self._start()

    def _start(self) -> None:
        self._context = process.pipe(
            ["git", "cat-file", "--batch"],
            timeout=24 * _TIMEOUT,
            env=environment(self._extra),
            cwd=self._directory,
        )
        self._pipe = self._context.__enter__()

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._context.__exit__(None, None, None)

    def _ask(self, name: str) -> list[bytes]:
        """Return the words of the answer's first line; git dies of some damaged objects."""
        with suppress(BrokenPipeError):
            self._pipe.stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
            self._pipe.stdin.flush()
            if header := self._pipe.stdout.readline(_HEADER + len(name)):
                return header.split()
        cause = self._pipe.complaint
        self.close()
        self._start()
        raise RepositoryError(
            f"cannot read object {process.printable(name)}",
            cause or "git ended while reading it",
            "check the repository: git fsck",
        )

    def read(self, name: str, limit: int = MAX_OBJECT) -> tuple[str, bytes]:
        """Return the type and the bytes of the object ``name`` (a sha, or ``SHA:path``).

        :raises MissingObject: it is not there.
        :raises RepositoryError: it is larger than ``limit`` bytes.
        """
        if "\n" in name or "\0" in name:
            raise MissingObject(process.printable(name))
        header = self._ask(name)
        if len(header) != 3 or not header[2].isdigit():
            raise MissingObject(process.printable(name))
        size = int(header[2])
        kept = self._pipe.stdout.read(min(size, limit))
        self._skip(size - len(kept) + 1)
        if size > limit:
            raise RepositoryError(
                f"cannot read object {process.printable(name)}",
                f"it has {size} bytes; at most {limit} are read",
                "leave out the commit that holds it",
            )
        return header[1].decode(), kept

    def _skip(self, count: int) -> None:
        while count > 0:
            piece = self._pipe.stdout.read(min(count, 1 << 20))
            if not piece:
                return
            count -= len(piece)


def _refs_of(repository: Repository) -> Iterator[tuple[str, str]]:
    listed = _run(
        [
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            "refs/heads",
            "refs/tags",
            "refs/remotes",
        ],
        cwd=repository.directory,
        extra={"GIT_DIR": str(repository.directory)},
    )
    if not listed.ok:
        raise _unusable(repository.directory, listed.complaint, "check it: git fsck")
    for line in listed.stdout.decode("utf-8", "surrogateescape").splitlines():
        sha, _, name = line.partition(" ")
        if _SHA.fullmatch(sha) and name:
            yield sha, name


_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def _head_of(repository: Repository) -> bytes:
    """Return what HEAD is, as the file of that name has it."""
    extra = {"GIT_DIR": str(repository.directory)}
    named = _run(["symbolic-ref", "--quiet", "HEAD"], cwd=repository.directory, extra=extra)
    if named.ok:
        return b"ref: " + named.stdout
    at = _run(["rev-parse", "--verify", "--quiet", "HEAD"], cwd=repository.directory, extra=extra)
    return at.stdout if at.ok else b"ref: refs/heads/none\n"


def _why_unresolved(answer: process.Result | None) -> str:
    """Say why git found no commit; of a name that nothing has it says only what it needed."""
    if answer is None:
        return "it is no name git allows"
    if not answer.complaint or "Needed a single revision" in answer.complaint:
        return "no branch, tag or commit of the repository has this name"
    return answer.complaint


def _further(name: str, repository: Repository) -> str:
    """Return what a ref of a second or later repository is called; tags keep their names."""
    if name.startswith("refs/tags/"):
        return name
    branch = name.removeprefix("refs/heads/").removeprefix("refs/remotes/")
    return f"refs/remotes/{_folder_name(repository.directory)}/{branch}"


def _cut_commits(repositories: Iterable[Repository]) -> bytes:
    """Return where shallow clones were cut, as git's file ``shallow`` lists it."""
    lines: set[str] = set()
    for repository in repositories:
        if repository.shallow:
            with suppress(OSError):
                text = (repository.directory / "shallow").read_text("ascii", "replace")
                lines.update(line for line in text.split() if _SHA.fullmatch(line))
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


def _alternate(objects: Path) -> str:
    path = str(objects)
    if "\n" in path:
        raise _unusable(objects, "its path has a line break", "move it")
    return f"{path}\n"


def _folder_name(directory: Path) -> str:
    name = directory.parent.name if directory.name == ".git" else directory.name
    return re.sub(r"[^A-Za-z0-9_+-]", "-", name.removesuffix(".git")) or "repository"


def _replace(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as made:
        made.write(content)
    os.replace(made.name, path)  # noqa: PTH105
