"""Compare facts with what ``lscpu`` prints, on util-linux's dumps of /proc and /sys.

    python -m bench.lscpu_dumps DUMPS EXPECTED

``DUMPS`` is util-linux's ``tests/ts/lscpu/dumps``, ``EXPECTED`` its ``tests/expected/lscpu`` (GPL,
so neither is in this repository). Each field of the printed report is computed again from facts
alone and compared. The tables of ``lscpu --parse`` below it number each CPU's core and cache and
are not compared: those numbers are lscpu's own, counted while printing, and no fact.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from uplift.errors import RecordingError
from uplift.facts.imports import lscpu_dump, tree_reader
from uplift.facts.model import Facts, Snapshot, Value
from uplift.facts.parsers import cpuinfo, lscpu_output, platform, power, sysfs, topology
from uplift.facts.parsers.sysfs import SysTree

PARSERS = (cpuinfo.PARSER, topology.PARSER, platform.PARSER, power.PARSER)
VULNERABILITIES = "tree:/sys/devices/system/cpu/vulnerabilities"

Row = tuple[str, str]


def expected(path: Path) -> list[Row]:
    """Return the report's fields: the lines above the first empty one."""
    report = path.read_text(encoding="utf-8").partition("\n\n")[0]
    rows = (line.partition(":") for line in report.split("\n"))
    return [(name, value.strip()) for name, _, value in rows]


class Report:
    """What lscpu would print, from facts alone."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.facts = Facts(snapshot, PARSERS)

    def rows(self) -> Iterator[Row]:
        """Yield every field that is known."""
        yield from self._whole()
        for kind in range(cast(int, self._fact("topology.kinds") or 1)):
            yield from self._kind(kind)
        yield from self._platform()
        yield from self._caches()
        yield from self._nodes()
        yield from self._vulnerabilities()

    def _fact(self, name: str) -> Value | None:
        return self.facts.value(name)

    def _whole(self) -> Iterator[Row]:
        modes = self._fact("cpuinfo.op_modes")
        if modes:
            yield "CPU op-mode(s)", ", ".join(sorted(cast("frozenset[str]", modes)))
        bits = (self._fact("cpuinfo.physical_bits"), self._fact("cpuinfo.virtual_bits"))
        if bits[0]:
            yield "Address sizes", f"{bits[0]} bits physical, {bits[1]} bits virtual"
        order = self._fact("topology.byte_order")
        if order:
            yield "Byte Order", f"{str(order).title()} Endian"
        yield "CPU(s)", str(self._fact("topology.cpus"))
        yield "On-line CPU(s) list", str(self._fact("topology.online"))
        if self._fact("topology.offline"):
            yield "Off-line CPU(s) list", str(self._fact("topology.offline"))
        yield from self._texts({"Vendor ID": "cpuinfo.vendor"})

    def _texts(self, names: dict[str, str]) -> Iterator[Row]:
        for name, fact in names.items():
            value = self._fact(fact)
            if value is not None:
                yield name, str(value)

    def _kind(self, number: int) -> Iterator[Row]:
        info, counts = f"cpuinfo.kind{number}.", f"topology.kind{number}."
        yield "Model name", str(self._fact(info + "model_name") or "-")
        yield from self._texts(
            {
                "Machine type": "platform.machine_type",
                "CPU family": info + "family_name",
                "Thread(s) per core": counts + "threads_per_core",
                "Core(s) per socket": counts + "cores_per_socket",
            }
        )
        yield from self._model(info)
        yield from self._sockets(counts)
        yield from self._frequencies(info, counts)
        yield from self._words(info)

    def _model(self, info: str) -> Iterator[Row]:
        model = (self._fact(info + name) for name in ("revision_text", "model"))
        chosen = next((str(value) for value in model if value is not None), None)
        mimpid = self._fact(info + "mimpid")
        if chosen is None and mimpid is not None:
            chosen = f"{mimpid:#x}"
        if chosen is not None:
            yield "Model", chosen
        marchid = self._fact(info + "marchid")
        if marchid is not None:
            yield "CPU family", f"{marchid:#x}"
        variant, revision = self._fact(info + "variant"), self._fact(info + "revision")
        if variant is not None:
            yield "Stepping", f"r{variant}p{revision}"
        yield from self._texts({"Stepping": info + "stepping"})

    def _sockets(self, counts: str) -> Iterator[Row]:
        names = {"Socket(s)": "sockets"}
        if self._fact(counts + "books") is not None:
            names = {"Socket(s) per book": "sockets_per_book", "Book(s)": "books"}
        if self._fact(counts + "drawers") is not None:
            names = {
                "Socket(s) per book": "sockets_per_book",
                "Book(s) per drawer": "books_per_drawer",
                "Drawer(s)": "drawers",
            }
        yield from self._texts({name: counts + fact for name, fact in names.items()})

    def _frequencies(self, info: str, counts: str) -> Iterator[Row]:
        microcode = self._fact("cpuinfo.microcode")
        if microcode is not None:
            yield "Microcode version", f"{microcode:#x}"
        boost = self._fact("power.boost")
        if boost is not None:
            yield "Frequency boost", "enabled" if boost else "disabled"
        for name, fact, form in (
            ("CPU dynamic MHz", info + "mhz_dynamic", "{:.0f}"),
            ("CPU static MHz", info + "mhz_static", "{:.0f}"),
            ("CPU(s) scaling MHz", counts + "mhz_scaling", "{}%"),
            ("CPU max MHz", counts + "mhz_max", "{:.4f}"),
            ("CPU min MHz", counts + "mhz_min", "{:.4f}"),
            ("BogoMIPS", info + "bogomips", "{:.2f}"),
            ("Dispatching mode", "topology.dispatching", "{}"),
        ):
            value = self._fact(fact)
            if value is not None:
                yield name, form.format(value)

    def _words(self, info: str) -> Iterator[Row]:
        isa = self._fact(info + "isa")
        if isa is not None and str(isa).startswith("rv"):
            yield "ISA", str(isa).replace("_", " ")
            yield from self._texts({"MMU": info + "mmu"})
            return
        flags = self._fact(info + "flags")
        if flags is not None:
            yield "Flags", " ".join(cast("frozenset[str]", flags))

    def _platform(self) -> Iterator[Row]:
        flags = cast("frozenset[str]", self._fact("cpuinfo.flags") or frozenset())
        for flag, name in (("svm", "AMD-V"), ("vmx", "VT-x")):
            if flag in flags:
                yield "Virtualization", name
        vendors = {"kvm": "KVM", "virtualbox": "Oracle", "phyp": "pHyp", "pr/sm": "IBM"}
        hypervisor = self._fact("platform.hypervisor")
        if hypervisor:
            yield "Hypervisor vendor", {**vendors, "z/vm": "IBM"}.get(str(hypervisor), "?")
            yield "Hypervisor", str(self._fact("platform.hypervisor_text"))
        yield from self._texts({"Virtualization type": "platform.virtualization_type"})

    def _caches(self) -> Iterator[Row]:
        for name, fact in ((n, n.lower()) for n in ("L1d", "L1i", "L2", "L2d", "L2i", "L3", "L4")):
            size = self._fact(f"cache.{fact}")
            if size is None:
                continue
            instances = self._fact(f"cache.{fact}.instances")
            plural = "" if instances == 1 else "s"
            count = "" if instances is None else f" ({instances} instance{plural})"
            yield f"{name} cache", _human(cast(int, size)) + count

    def _nodes(self) -> Iterator[Row]:
        yield from self._texts({"NUMA node(s)": "topology.numa_nodes"})
        for name, value in self.facts.under("numa.").items():
            if name.endswith(".cpus"):
                yield f"NUMA {name.split('.')[1]} CPU(s)", str(value)

    def _vulnerabilities(self) -> Iterator[Row]:
        capture = self.snapshot.captures.get(VULNERABILITIES)
        if capture is None:
            return
        tree = SysTree.of(capture)
        for name in tree.names():
            text = tree.text(name) or ""
            if text.startswith("Mitigation"):  # lscpu drops the colons
                text = text.replace("Mitigation:", "Mitigation;").replace(":", "")
            yield f"Vulnerability {name.replace('_', ' ').capitalize()}", text


def _human(size: int) -> str:
    """Write bytes as lscpu does: one decimal where there is one, and not rounded up."""
    unit = next(u for u in (30, 20, 10, 0) if size >= 1 << u)
    text = f"{size / (1 << unit):.1f}".removesuffix(".0")
    return f"{text} { {30: 'GiB', 20: 'MiB', 10: 'KiB', 0: 'B'}[unit] }"


def _same_list(ours: str, theirs: str) -> bool:
    return sysfs.cpu_list(ours) == lscpu_output.cpu_list(theirs)


#: How a field is compared where the texts may differ and mean the same.
_SAME: dict[str, Callable[[str, str], bool]] = {
    "Flags": lambda ours, theirs: set(ours.split()) == set(theirs.split()),
}


#: Fields that the facts may know where lscpu prints none, and why.
ONLY_OURS = {
    "Frequency boost": "lscpu prints it for the first kind of core, and not for intel_pstate",
    "Hypervisor": "the words that gave it away; lscpu prints those of s390x only",
    "Flags": "'altivec supported' in ppc64's name of the core is read as a flag",
}


def _same(name: str, ours: str, theirs: str) -> bool:
    if name.endswith("list") or (name.endswith("CPU(s)") and name != "CPU(s)"):
        return _same_list(ours, theirs)
    return _SAME.get(name, str.__eq__)(ours, theirs)


def differences(ours: list[Row], theirs: list[Row]) -> Iterator[str]:
    """Yield where the two differ: fields in lscpu's order, then what only the facts say."""
    left = list(ours)
    for name, value in theirs:
        known = [row for row in left if row[0] == name]
        if known and _same(name, known[0][1], value):
            left.remove(known[0])
        elif known:
            left.remove(known[0])
            yield f"{name}: {known[0][1]!r}, lscpu prints {value!r}"
        else:
            yield f"{name}: not known, lscpu prints {value!r}"
    for name, value in left:
        if name not in ONLY_OURS:
            yield f"{name}: {value!r}, lscpu prints nothing"


def main(arguments: list[str]) -> int:
    """Compare every dump; return 1 where one differs."""
    if len(arguments) != 2:
        print(__doc__)
        return 2
    dumps, reports = (Path(argument) for argument in arguments)
    same = total = fields = 0
    for dump in sorted(dumps.glob("*.tar.gz")):
        name = dump.name.removesuffix(".tar.gz")
        total += 1
        try:
            tree = tree_reader.read(dump, lscpu_dump.wanted)
            ours = list(Report(lscpu_dump.load_tree(name, tree)).rows())
        except RecordingError as error:
            print(f"{name}: {error}")
            continue
        theirs = expected(reports / f"lscpu-{name}")
        found = list(differences(ours, theirs))
        fields += len(theirs)
        same += not found
        for line in found:
            print(f"{name}: {line}")
    print(f"{same}/{total} dumps agree with lscpu, {fields} fields compared")
    return 0 if same == total else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
