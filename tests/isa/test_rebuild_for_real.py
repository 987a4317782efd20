"""A tiny source package, made here, rebuilt for real in a clean root of the machine's archive."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from uplift.errors import UpliftError
from uplift.isa.rebuild import BuildFailed, Rebuilt, Request, rebuild
from uplift.isa.rebuild_log import Outcome
from uplift.lab import apt, process, release_sources, source_package
from uplift.report.rebuild import to_json

pytestmark = pytest.mark.slow

CODE = """\
void dot(float *restrict a, const float *restrict b, int n)
{ for (int i = 0; i < n; i++) a[i] += b[i] * b[i]; }
"""
CONTROL = """\
Source: tinyvector
Section: libs
Priority: optional
Maintainer: Nobody <nobody@example.org>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2

Package: libtinyvector1
Architecture: any
Depends: ${shlibs:Depends}, ${misc:Depends}
Description: a loop that a compiler makes vectors of
 Nothing else.
"""
CHANGELOG = """\
tinyvector (1.0-1) unstable; urgency=medium

  * First.

 -- Nobody <nobody@example.org>  Mon, 02 Jan 2023 10:00:00 +0000
"""
MAKEFILE = """\
all: libtinyvector.so.1
libtinyvector.so.1: dot.c
\t$(CC) $(CFLAGS) -O3 -ffast-math -fPIC -c -o dot.o dot.c
\t$(CC) -shared -Wl,-soname,libtinyvector.so.1 $(LDFLAGS) -o $@ dot.o
test: all
\t@echo "All 1 tests passed"
\t@test "$$(id -u)" != 0 && ! test -e $(OUTSIDE)
\t@test "$$(grep -c : /proc/net/dev)" = 1
\t{test}
install:
\tinstall -D -m 644 libtinyvector.so.1 $(DESTDIR)/usr/lib/libtinyvector.so.1
"""


INSTALLED_TESTS = """\
Test-Command: test -f /usr/lib/libtinyvector.so.1

Test-Command: grep -q nothing /etc/hostname

Test-Command: mkdir "$AUTOPKGTEST_TMP/mine" "$AUTOPKGTEST_ARTIFACTS/mine"

Test-Command: mkdir "$AUTOPKGTEST_TMP/mine"

Tests: virtual
Restrictions: isolation-machine
"""


def _source(place: Path, test: str = "true") -> None:
    """Write a source package and the list that apt finds it by."""
    tree = place / "tinyvector-1.0"
    (tree / "debian/source").mkdir(parents=True)
    (tree / "debian/tests").mkdir()
    files = {
        "dot.c": CODE,
        "Makefile": MAKEFILE.replace("{test}", test).replace("$(OUTSIDE)", str(place)),
        "debian/control": CONTROL,
        "debian/changelog": CHANGELOG,
        "debian/rules": "#!/usr/bin/make -f\n%:\n\tdh $@\n",
        "debian/source/format": "3.0 (quilt)\n",
        "debian/tests/control": INSTALLED_TESTS,
    }
    for name, text in files.items():
        (tree / name).write_text(text)
    (tree / "debian/rules").chmod(0o755)
    words = ["tar", "-czf", "tinyvector_1.0.orig.tar.gz", "--exclude=debian", tree.name]
    subprocess.run(words, cwd=place, check=True)
    subprocess.run(["dpkg-source", "-b", tree.name], cwd=place, check=True, capture_output=True)
    shutil.rmtree(tree)
    listed = subprocess.run(
        ["dpkg-scansources", "."], cwd=place, check=True, capture_output=True
    ).stdout
    (place / "Sources").write_bytes(listed)
    (place / "Packages").write_bytes(b"")


_ROOM = 4 << 30  #: bytes of memory that may hold roots: two of them take 1.5 GB
_IN_MEMORY = Path("/dev/shm")


def _spacious() -> bool:
    """Say whether roots fit into memory, where nobody waits for a disk that others use, too."""
    if not _IN_MEMORY.is_dir():
        return False
    place = os.statvfs(_IN_MEMORY)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    runs = not place.f_flag & os.ST_NOEXEC
    return runs and min(free, place.f_bavail * place.f_frsize) > _ROOM


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where roots are: in memory, or on the disk."""
    if not _spacious():
        yield tmp_path_factory.mktemp("rebuild")
        return
    with tempfile.TemporaryDirectory(prefix="uplift-roots-", dir=_IN_MEMORY) as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.fixture(scope="module")
def cache(roots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clean root for all tests of this file; skips where none can be made."""
    for program in ("apt-get", "dpkg-source", "dpkg-scansources", "unshare"):
        if not shutil.which(program):
            pytest.skip(f"needs {program} (packages apt, dpkg-dev, util-linux)")
    if not process.run(["unshare", "--user", "--map-root-user", "true"], timeout=10).ok:
        pytest.skip("this machine allows no user namespaces")
    try:
        known = release_sources.machine_archives()
        suites = release_sources.machine_suites(known)
        if not suites:
            pytest.skip("apt on this machine uses no archive of Debian or Ubuntu")
        place = tmp_path_factory.mktemp("apt")
        store, _ = source_package.archive("amd64", place)
        if not store.candidate("debhelper"):
            pytest.skip("the machine's archive has no debhelper")
    except UpliftError as error:
        pytest.skip(f"the machine's archive cannot be reached: {error.cause}")
    return roots


def _request(cache: Path, at: Path, patch: pytest.MonkeyPatch, test: str, **more) -> Request:
    """Return a request for the tiny package, which stands beside the machine's archive."""
    place = at / "archive"
    place.mkdir()
    _source(place, test)
    known = release_sources.machine_archives()
    suites = release_sources.machine_suites(known)
    own = f"Types: deb deb-src\nURIs: file:{place}\nSuites: ./\nTrusted: yes\n"

    def archive(debian, where, named=(), mirror="", keyring=None, repository=""):
        entries = release_sources.sources(suites, debian, known, kinds="deb deb-src")
        text = "\n".join((entries.entries, own, repository))
        return apt.Apt(debian, where / "apt-tiny", apt.Sources(text, suites)), suites

    patch.setattr(source_package, "archive", archive)
    words = {"source": "tinyvector", "level": "x86-64-v3", "arch": "x86-64", **more}
    return Request(into=at / "into", cache=cache, jobs=1, **words)


@pytest.fixture
def request_for(cache, tmp_path, monkeypatch):
    """Return what makes a request."""
    return lambda test="true", **more: _request(cache, tmp_path, monkeypatch, test, **more)


@pytest.fixture(scope="module")
def rebuilt(cache, tmp_path_factory) -> Rebuilt:
    """The package rebuilt once, with a control: a root for each build, one for what it made."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("once")
        return rebuild(_request(cache, place, patch, "true", control=True), _quiet)


def _quiet(_: str) -> None:
    return


def test_a_rebuilt_package_uses_the_level_passed_its_tests_and_installs(rebuilt):
    result = rebuilt
    assert result.rebuilt == "1.0-1a~uplift1.v3"
    assert result.tests.status is Outcome.PASSED
    assert "All 1 tests passed" in result.tests.summaries
    assert result.flags.carrying == result.flags.compilers == 1
    [change] = result.files
    assert change.path == "/usr/lib/libtinyvector.so.1"
    assert {"avx", "fma"} <= {name for gained in change.gained for name in gained.sets}
    assert "dot" in {gained.name for gained in change.gained}
    assert (change.needs[1], change.violations) == ("x86-64-v3", ())
    assert result.installed == "yes, from the repository"
    assert [(t.name, t.ended.value) for t in result.autopkgtest] == [
        ("test", "passed"),
        ("grep", "failed"),
        ("mkdir", "passed"),
        ("mkdir", "passed"),
        ("virtual", "not-run"),
    ]
    assert sorted(p.name for p in (result.repository / "pool").iterdir()) == [
        "libtinyvector1-dbgsym_1.0-1a~uplift1.v3_amd64.deb",
        "libtinyvector1_1.0-1a~uplift1.v3_amd64.deb",
    ]


def test_a_package_whose_tests_fail_is_not_published(request_for, tmp_path):
    with pytest.raises(BuildFailed) as error:
        rebuild(request_for("false"), _quiet)
    assert error.value.tests.status is Outcome.FAILED
    assert not (tmp_path / "into/pool").exists()


def test_a_level_that_the_compiler_does_not_know_is_refused_before_the_build(request_for, cache):
    with pytest.raises(UpliftError) as error:
        rebuild(request_for(level="diamondrapids"), _quiet)
    assert "does not know -march=diamondrapids" in error.value.cause
    assert list((cache / "builds").iterdir()) == []


def test_a_variant_keeps_the_version_and_names_the_file(request_for, tmp_path):
    result = rebuild(request_for(variant="amd64v3"), _quiet)
    assert result.rebuilt == "1.0-1"
    assert (result.compared_with, result.packages[0].versions[0]) == ("the archive", "")
    names = sorted(p.name for p in (tmp_path / "into/pool").iterdir())
    assert names[-1] == "libtinyvector1_1.0-1_amd64v3.deb"
    index = tmp_path / "into/dists/uplift/main/binary-amd64v3/Packages"
    assert "Architecture: amd64\nArchitecture-Variant: amd64v3\n" in index.read_text()
    assert result.installed.startswith("yes, as files")


def test_beside_a_control_only_the_level_differs_and_every_function_was_known(rebuilt):
    [change] = rebuilt.files
    assert rebuilt.compared_with == "a build with the archive's flags"
    assert [gained.name for gained in change.proven] == ["dot"]
    assert change.needs == ("x86-64", "x86-64-v3")
    document = to_json([rebuilt])
    schema = Path(__file__).parents[2] / "src/uplift/report/schema/uplift-rebuild-1.schema.json"
    jsonschema.validate(document, json.loads(schema.read_text()))
