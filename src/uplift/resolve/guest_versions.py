"""Which Linux and which QEMU give guests what a release's do not, on arm64 and RISC-V."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from uplift.catalog.kvm_guests import GuestState, History, arm64_fields, riscv_extensions
from uplift.catalog.model import Predicate, Remedy, Since, Test
from uplift.catalog.predicate import tests
from uplift.catalog.since import Since as Bracket
from uplift.facts.hwcap_tables import arm64_rules
from uplift.resolve.model import Stop
from uplift.resolve.plan_facts import PlanFacts
from uplift.resolve.predicate import judge, version_key
from uplift.resolve.predict.riscv64 import holds

#: Whose QEMU it is.
OWNER = "distribution virtualization team"


class _Versions(NamedTuple):
    """The first versions that give a word; empty: the release's own is new enough."""

    linux: str
    qemu: str


class Newer(NamedTuple):
    """What gives guests words that they lack.

    :param words: which are lacking for this reason.
    :param linux: the first Linux whose KVM passes all of them on; empty: the release's does.
    :param qemu: the first QEMU that gives them to guests; empty: the release's does.
    """

    words: tuple[str, ...]
    linux: str
    qemu: str

    @property
    def since(self) -> Since:
        """Return what lifts the stop: Linux before QEMU, which cannot give what KVM withholds."""
        return Since("linux", self.linux) if self.linux else Since("qemu", self.qemu)

    def stop(self, told: Stop, facts: PlanFacts) -> Stop:
        """Return ``told`` with the cause, the owner and the remedy that the versions tell."""
        words = ", ".join(self.words)
        kernel, qemu = facts.value("kernel.release"), facts.release.value("qemu.version")
        if not self.linux:
            cause = f"QEMU {qemu} gives guests no {words}, which KVM of Linux {kernel} passes on"
            remedy = Remedy(
                "package", f"install QEMU {self.qemu} or later, which gives it to guests"
            )
            return told._replace(cause=cause, owner=OWNER, remedy=remedy)
        cause = f"KVM of Linux {kernel} passes no {words} on; that of Linux {self.linux} does"
        do = f"run the host with Linux {self.linux} or later, whose KVM passes it on"
        do += f", and QEMU {self.qemu} or later" if self.qemu else ""
        owner = "distribution kernel team"
        return told._replace(cause=cause, owner=owner, remedy=Remedy("kernel", do))


def newer_for_guests(needs: Predicate, facts: PlanFacts) -> Newer | None:
    """Return the versions that lift a stop of guests; None where it is no matter of versions.

    :param needs: what the layer asks; of its tests those that fail on a guest's words count.
    """
    found: dict[str, _Versions] = {}
    for test in tests(needs):
        versions = _versions(test, facts) if _fails(test, facts) else None
        if versions is not None:
            found[str(test.operand)] = versions
    kernels = {word: one for word, one in found.items() if one.linux}
    words = kernels or {word: one for word, one in found.items() if one.qemu}
    if not words:
        return None
    linux = _newest(one.linux for one in words.values())
    return Newer(tuple(words), linux, _newest(one.qemu for one in found.values()))


def _newest(versions: Iterable[str]) -> str:
    return max(versions, key=version_key, default="")


def _fails(test: Test, facts: PlanFacts) -> bool:
    if test.fact not in ("kvm.isa", "kvm.words") or test.op != "has":
        return False
    return judge(test, facts).holds is False


def _versions(test: Test, facts: PlanFacts) -> _Versions | None:
    """Return the versions that give a word; None where no version that was read does."""
    kernel, qemu = str(facts.value("kernel.release") or ""), facts.release.value("qemu.version")
    word = str(test.operand)
    if test.fact == "kvm.words":
        return _first(_arm64(word, kernel, str(qemu or "")))
    extension = riscv_extensions().get(word)
    state = _passing(_open(extension.history, facts), kernel) if extension else None
    if extension is None or state is None or not extension.qemu_since.version:
        return None
    return _Versions(
        _newer_linux(state.since, kernel), _newer_qemu(extension.qemu_since, str(qemu or ""))
    )


def _open(history: History, facts: PlanFacts) -> History:
    """Return the states whose conditions this hart and this kernel may meet."""
    return History(tuple(s for s in history.states if holds(s, facts, {}) is not False))


def _arm64(word: str, kernel: str, qemu: str) -> Iterator[_Versions]:
    """Yield, for each way to have a word, the versions that give it."""
    for group in arm64_rules().get(word, ()):
        histories = [arm64_fields().get((c.register, c.low)) for c in group]
        states = [_passing(history, kernel) if history else None for history in histories]
        passing = [state for state in states if state is not None]
        if len(passing) == len(states):
            linux = _newest(_newer_linux(state.since, kernel) for state in passing)
            asked = (state.qemu_since for state in passing if state.qemu == "by default")
            yield _Versions(linux, _newest(_newer_qemu(since, qemu) for since in asked))


def _first(ways: Iterable[_Versions]) -> _Versions | None:
    return min(ways, key=lambda way: tuple(map(version_key, way)), default=None)


def _passing(history: History, kernel: str) -> GuestState | None:
    """Return the state in which KVM passes it on: that of this kernel, else the first later one."""
    own = [state for state in history.possible(kernel) if state.passed]
    later = (s for s in history.states if s.passed and s.since.has(kernel) is False)
    return own[0] if own else next(later, None)


def _if_later(since: Bracket, version: str) -> str:
    return first_release(since) if since.has(version) is False else ""


def first_release(since: Bracket) -> str:
    """Return the release that a bracket ends in: ``6.18`` where 6.18.15 has what 6.17.8 lacks.

    A series takes no features after its first release: what another series lacks came with that.
    """
    same = version_key(since.without)[:2] == version_key(since.version)[:2]
    return since.version if same else ".".join(map(str, version_key(since.version)[:2]))


def _first_qemu(since: Bracket) -> str:
    """Return the QEMU release that a bracket ends in; the tree 11.0.92 becomes 11.1."""
    major, minor, micro = (*version_key(since.version), 0, 0)[:3]
    if micro < _TREE:
        return first_release(since)
    return f"{major}.{minor + 1}" if minor < _LAST_OF_YEAR else f"{major + 1}.0"


_TREE = 50  #: from here on QEMU's third number counts the way to the next release
_LAST_OF_YEAR = 2  #: QEMU's minor number; a year begins with 0


def _newer_linux(since: Bracket, version: str) -> str:
    return first_release(since) if since.has(version) is False else ""


def _newer_qemu(since: Bracket, version: str) -> str:
    return _first_qemu(since) if since.has(version) is False else ""
