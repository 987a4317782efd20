"""Running a part of a kernel in a CPU emulator: its modules' code, with the kernel around it faked.

Only module code runs. The kernel's data is there as the image holds it; of its functions a few
stand in as code of a few bytes or as Python, and every other one returns 0 at once. So nothing
that runs can reach out: the emulator (Unicorn) has memory and a processor, and no devices.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from uplift.facts.kernel_image.linking import Linked, link
from uplift.facts.kernel_image.memory import Memory

PACKAGE = "python3-unicorn"
MAX_MICROSECONDS = 20_000_000  #: of one call; setting KVM up takes some milliseconds
_PAGE = 4096
_KERNEL, _KERNEL_END = 0xFFFFFFFF80000000, 0xFFFFFFFFC0000000  #: where x86-64 links its kernel
_MODULES = _KERNEL_END
_MISSING = 0xFFFFFFFFFE000000  #: names that the kernel does not list
_STACK, _STACK_SIZE = 0xFFFF900000000000, 256 << 10
_HEAP, _HEAP_SIZE = 0xFFFF910000000000, 64 << 20
_PER_CPU = 0xFFFF920000000000
_END = 0xFFFF930000000000  #: where a call returns to
_MOST_PAGES = 4096  #: mapped because something was read or written there
_MOST_TRAPS = 256  #: times that a warning of the kernel may go off

_RETURN = b"\xc3"
_ZERO = b"\x31\xc0\xc3"  # xor eax, eax; ret
_ONES = b"\x48\xc7\xc0\xff\xff\xff\xff\xc3"  # mov rax, -1; ret
_SECOND = b"\x48\x89\xf0\xc3"  # mov rax, rsi; ret
_COPY = b"\x48\x89\xf8\x48\x89\xd1\xf3\xa4\xc3"  # rax = rdi; rcx = rdx; rep movsb; ret
_FILL = b"\x49\x89\xf8\x89\xf0\x48\x89\xd1\xf3\xaa\x4c\x89\xc0\xc3"  # rep stosb of sil; rax = rdi
_COUNT = b"\xf3\x48\x0f\xb8\xc7\xc3"  # popcnt rax, rdi; ret
#: The kernel's functions that are more than "return 0", by name; the first match holds.
_CODE = (
    (re.compile(r"__fentry__|\w*return_thunk\w*"), _RETURN),
    (re.compile(r"(__)?mem(cpy|move)"), _COPY),
    (re.compile(r"(__)?memset"), _FILL),
    (re.compile(r"__sw_hweight(32|64)"), _COUNT),
    (re.compile(r"_find_\w+"), _SECOND),  # nothing found: the size of the bitmap
    (re.compile(r"cpumask_next\w*|xstate_get_guest_group_perm"), _ONES),
)
_ALLOCATES = re.compile(r"\w*(alloc|kmem_cache_create|get_free_page|get_zeroed_page)\w*")
_SETS_POINTER = re.compile(r"z?alloc_cpumask_var(_node)?")
_THUNK = re.compile(r"__x86_indirect_(?:\w+_)?thunk_(r\w+)")
_REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
_RDMSR, _WRMSR, _XGETBV, _UD2 = b"\x0f\x32", b"\x0f\x30", b"\x0f\x01\xd0", b"\x0f\x0b"


class NoEmulator(Exception):
    """The emulator is not installed."""


class Stuck(Exception):
    """The code did not come to its end; says where it was."""


@dataclass
class World:
    """What the emulated processor answers.

    :param cpuid: (leaf, subleaf) to EAX, EBX, ECX, EDX.
    :param msr: what RDMSR gives for a number.
    :param functions: the kernel's functions, by name, that the caller plays itself: each gets the
        machine and returns RAX.
    """

    cpuid: Callable[[int, int], Sequence[int]]
    msr: Callable[[int], int]
    functions: Mapping[str, Callable[[Machine], int]] = field(default_factory=dict)


class Program:
    """A kernel and some of its modules, linked and ready to run.

    :param modules: name to the file, unpacked; each may use those before it.
    :param tables: of function pointers in the kernel's data, by symbol: what they lead to is known.
    :param own: functions of the kernel, by symbol, that run as they are.
    :raises ValueError: a module cannot be linked.
    """

    def __init__(
        self,
        kernel: Memory,
        modules: Mapping[str, bytes],
        tables: Sequence[str],
        own: Sequence[str] = (),
    ) -> None:
        self.kernel = kernel
        self.functions: dict[int, str] = {}
        self.missing: dict[str, int] = {}
        self.symbols: dict[str, int] = {}
        self.text = tuple(_text_ranges(kernel))
        self.linked: dict[str, Linked] = {}
        address = _MODULES
        for name, file in modules.items():
            linked = link(file, address, self._resolve)
            self.linked[name] = linked
            self.symbols.update(linked.symbols)
            address = _page_end(address + len(linked.data)) + _PAGE
        self._name_targets(tables)
        self.own = {name: self._extent(name) for name in own if name in kernel.symbols}
        if self.own:
            self._name_all()

    def code(self) -> Iterator[tuple[int, bytes]]:
        """Yield (address, bytes) of all code that runs as it is."""
        for linked in self.linked.values():
            for start, end in linked.text:
                yield start, linked.data[start - linked.address : end - linked.address]
        for start, end in self.own.values():
            yield start, self.kernel.bytes_at(start, end - start)

    def _resolve(self, name: str) -> int:
        if name in self.symbols:
            return self.symbols[name]
        address = self.kernel.symbols.get(name)
        if address is None:
            address = self.missing.setdefault(name, _MISSING + _PAGE * len(self.missing))
        if name in self.missing or self.is_text(address):
            self.functions[address] = name
        return address

    def is_text(self, address: int) -> bool:
        """Say whether the kernel has code there."""
        return any(start <= address < end for start, end in self.text)

    def address(self, name: str) -> int:
        """Return where a symbol of a module or of the kernel lies.

        :raises Stuck: there is none of that name.
        """
        found = self.symbols.get(name, self.kernel.symbols.get(name))
        if found is None:
            raise Stuck(f"neither the kernel nor its modules list {name}")
        return found

    def _name_targets(self, tables: Sequence[str]) -> None:
        wanted = {target for table in tables for target in self._targets(table)}
        for address, name in self.kernel.listing:
            if address in wanted:
                self.functions.setdefault(address, name)

    def _name_all(self) -> None:
        """Name every function of the kernel: its own ones call them without a relocation."""
        inside = [range(*extent) for extent in self.own.values()]
        for address, name in self.kernel.listing:
            if self.is_text(address) and not any(address in part for part in inside):
                self.functions.setdefault(address, name)

    def _targets(self, table: str) -> list[int]:
        start = self.kernel.symbols.get(table)
        if start is None:
            return []
        _, end = self._extent(table)
        pointers = (self.kernel.pointer(place) for place in range(start, end - 7, 8))
        return [pointer for pointer in pointers if self.is_text(pointer)]

    def _extent(self, symbol: str) -> tuple[int, int]:
        """Return where a symbol of the kernel starts and the next one does, a few pages at most."""
        start = self.kernel.symbols[symbol]
        places = self.kernel.sorted_addresses
        after = bisect_right(places, start)
        return start, min(places[after] if after < len(places) else start, start + 8 * _PAGE)


def _text_ranges(kernel: Memory) -> list[tuple[int, int]]:
    bounds = (("_stext", "_etext"), ("_sinittext", "_einittext"))
    found = [(kernel.symbols.get(a, 0), kernel.symbols.get(b, 0)) for a, b in bounds]
    return [(start, end) for start, end in found if 0 < start < end]


def _page_end(address: int) -> int:
    return (address + _PAGE - 1) // _PAGE * _PAGE


class Machine:
    """A processor in kernel mode with a program in its memory; a context that frees it.

    :raises NoEmulator: Unicorn is not installed.
    """

    SLOT = 64 << 10  #: bytes that every allocation gets

    def __init__(self, program: Program, world: World) -> None:
        try:
            self._lib: Any = import_module("unicorn")  # an optional extra
            self._x86: Any = import_module("unicorn.x86_const")
        except ImportError:
            raise NoEmulator(
                f"this takes running its code in an emulator: install {PACKAGE}"
            ) from None
        self.program, self.world = program, world
        self._heap = _HEAP
        self._pages = self._traps = 0
        self._failure: Exception | None = None
        self._uc: Any = self._lib.Uc(self._lib.UC_ARCH_X86, self._lib.UC_MODE_64)
        if hasattr(self._uc, "ctl_set_tlb_mode"):  # from 2.1 on physical addresses end at 52 bits
            self._uc.ctl_set_tlb_mode(self._lib.UC_TLB_VIRTUAL)
        try:
            self._load()
            self._hook()
        except self._lib.UcError as error:
            raise Stuck(f"it cannot be laid into memory: {error}") from None

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self._uc = None  # its hooks hold this object: without this only a collection frees 100 MiB

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of memory.

        :raises Stuck: there is no memory.
        """
        try:
            return bytes(self._uc.mem_read(address, size))
        except self._lib.UcError as error:
            raise Stuck(f"{error} at {address:#x}") from None

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into memory.

        :raises Stuck: there is no memory.
        """
        try:
            self._uc.mem_write(address, data)
        except self._lib.UcError as error:
            raise Stuck(f"{error} at {address:#x}") from None

    def argument(self, index: int) -> int:
        """Return an argument of the function that is being called."""
        return self._register(("rdi", "rsi", "rdx", "rcx", "r8", "r9")[index])

    @property
    def next_allocation(self) -> int:
        """Where the next allocation will lie."""
        return self._heap

    def allocate(self) -> int:
        """Return the address of fresh memory, 64 KiB of zeros.

        :raises Stuck: there is none left.
        """
        place, self._heap = self._heap, self._heap + self.SLOT
        if self._heap > _HEAP + _HEAP_SIZE:
            raise Stuck("it allocates without end")
        return place

    def first_stored(self, function: int, address: int) -> int:
        """Run a function until it stores something other than 0 at ``address``, and return that.

        :raises Stuck: it does not come to that.
        """
        stored: list[int] = []

        def on_write(_: object, __: int, ___: int, size: int, value: int, ____: object) -> None:
            if value and not stored:
                stored.append(value & (1 << 8 * size) - 1)
                self._uc.emu_stop()

        self._uc.hook_add(self._lib.UC_HOOK_MEM_WRITE, on_write, None, address, address)
        try:
            self.call(function)
        except Stuck:
            if not stored:
                raise
        return stored[0] if stored else 0

    def call(self, function: int, *arguments: int) -> int:
        """Run the function at an address to its end and return EAX, as a signed number.

        :raises Stuck: it does not come to its end.
        """
        top = _STACK + _STACK_SIZE - _PAGE
        self.write(top, _END.to_bytes(8, "little"))
        self._set("rsp", top)
        for register, value in zip(("rdi", "rsi", "rdx", "rcx"), arguments, strict=False):
            self._set(register, value)
        self._failure = None
        self._run(function)
        if self._failure:
            raise self._failure
        if self._register("rip") != _END:
            raise Stuck(
                f"it had not ended after {MAX_MICROSECONDS // 1_000_000} s in {self._where()}"
            )
        value = self._register("eax")
        return value - (1 << 32) if value >> 31 else value

    def _run(self, start: int) -> None:
        """Run until the end or a failure; Unicorn up to 2.0 stops after each warning."""
        traps = -1
        try:
            while traps != self._traps and start != _END and not self._failure:
                traps = self._traps
                self._uc.emu_start(start, _END, timeout=MAX_MICROSECONDS)
                start = self._register("rip")
        except self._lib.UcError as error:
            self._failure = self._failure or Stuck(f"{error} in {self._where()}")

    def _where(self) -> str:
        place = self._register("rip")
        names = {**self.program.symbols, **{n: a for a, n in self.program.functions.items()}}
        before = [(address, name) for name, address in names.items() if address <= place]
        address, name = max(before, default=(0, "?"))
        return f"{name}+{place - address:#x}"

    def _load(self) -> None:
        kernel = self.program.kernel
        inside = [p for p in kernel.parts if _KERNEL <= p.address < _KERNEL_END]
        last = max((a for a in kernel.symbols.values() if a < _KERNEL_END), default=_KERNEL)
        end = max([last, *(p.address + p.end - p.start for p in inside)])
        start = min((p.address for p in inside), default=_KERNEL) // _PAGE * _PAGE
        self._uc.mem_map(start, _page_end(min(end, _KERNEL_END - _PAGE)) - start + _PAGE)
        for part in inside:
            self.write(part.address, kernel.data[part.start : part.end])
        for first, after in self.program.text:
            self.write(first, self._stand_ins(first, after))
        for linked in self.program.linked.values():
            self._uc.mem_map(linked.address, _page_end(len(linked.data)))
            self.write(linked.address, linked.data)
        for place, size in ((_STACK, _STACK_SIZE), (_HEAP, _HEAP_SIZE), (_END, _PAGE)):
            self._uc.mem_map(place, size)
        if self.program.missing:
            self._uc.mem_map(_MISSING, _PAGE * len(self.program.missing))
        self._load_per_cpu()
        for start, end in self.program.own.values():
            self.write(start, kernel.bytes_at(start, end - start))
        for name, address in self.program.missing.items():
            self.write(address, self._stand_in(name))

    def _stand_ins(self, start: int, end: int) -> bytes:
        """Return what stands in for the kernel's functions from ``start`` to ``end``."""
        code = bytearray(_RETURN * (end - start))
        for address, name in self.program.functions.items():
            if start <= address < end:
                made = self._stand_in(name)
                code[address - start : address - start + len(made)] = made
        return bytes(code[: end - start])

    def _stand_in(self, name: str) -> bytes:
        return _RETURN if self._is_played(name) else _code(name)

    def _is_played(self, name: str) -> bool:
        return name in self.world.functions or _ALLOCATES.fullmatch(name) is not None

    def per_cpu(self, name: str) -> list[int]:
        """Return where a per-CPU variable lies: by GS, and by the kernel's table of offsets."""
        address = self.program.kernel.symbols.get(name)
        if address is None:
            return []
        if address >= _KERNEL:
            return [address]
        loaded = self.program.kernel.symbols.get("__per_cpu_load", 0)
        return [_PER_CPU + address, *([loaded + address] if loaded else [])]

    def _load_per_cpu(self) -> None:
        """Put the first processor's variables where GS leads: older kernels link them at 0."""
        for part in self.program.kernel.parts:
            if part.address == 0:
                data = self.program.kernel.data[part.start : part.end]
                self._uc.mem_map(_PER_CPU, _page_end(len(data)))
                self.write(_PER_CPU, data)
                self._set("gs_base", _PER_CPU)

    def _hook(self) -> None:
        lib, add = self._lib, self._uc.hook_add
        add(lib.UC_HOOK_INSN, self._on_cpuid, None, 1, 0, self._x86.UC_X86_INS_CPUID)
        add(lib.UC_HOOK_INSN_INVALID, self._on_invalid)
        unmapped = lib.UC_HOOK_MEM_READ_UNMAPPED | lib.UC_HOOK_MEM_WRITE_UNMAPPED
        add(unmapped, self._on_unmapped)
        for address, name in self.program.functions.items():
            if self._is_played(name):
                add(lib.UC_HOOK_CODE, self._on_function, None, address, address)
        hooks = ((_RDMSR, self._on_rdmsr), (_WRMSR, self._on_wrmsr), (_XGETBV, self._on_xgetbv))
        for start, code in self.program.code():
            for instruction, hook in hooks:
                for place in _places(start, code, instruction):
                    add(lib.UC_HOOK_CODE, hook, None, place, place)

    def _on_cpuid(self, *_: object) -> int:
        answer = self.world.cpuid(self._register("eax"), self._register("ecx"))
        for register, value in zip(("eax", "ebx", "ecx", "edx"), answer, strict=True):
            self._set(register, value)
        return 1

    def _on_rdmsr(self, *_: object) -> None:
        value = self.world.msr(self._register("ecx"))
        self._set("rax", value & 0xFFFFFFFF)
        self._set("rdx", value >> 32)
        self._skip(len(_RDMSR))

    def _on_wrmsr(self, *_: object) -> None:
        self._skip(len(_WRMSR))

    def _on_xgetbv(self, *_: object) -> None:
        self._set("rax", 0xFFFFFFFF)
        self._set("rdx", 0xFFFFFFFF)
        self._skip(len(_XGETBV))

    def _on_invalid(self, *_: object) -> bool:
        """Go on after a warning (UD2); anything else that is invalid ends the run."""
        self._traps += 1
        if self._traps > _MOST_TRAPS or self.read(self._register("rip"), 2) != _UD2:
            return False
        self._skip(len(_UD2))
        return True

    def _on_unmapped(self, _: object, __: int, address: int, size: int, *___: object) -> bool:
        self._pages += 1
        if self._pages > _MOST_PAGES:
            return False
        for page in {address // _PAGE, (address + size - 1) // _PAGE}:
            try:
                self._uc.mem_map(page * _PAGE, _PAGE)
            except self._lib.UcError:
                continue  # the first of two pages may be there
        return True

    def _on_function(self, _: object, address: int, *__: object) -> None:
        name = self.program.functions[address]
        play = self.world.functions.get(name)
        try:
            self._set("rax", play(self) if play else self._allocated(name))
        except (Stuck, self._lib.UcError) as error:
            self._failure = Stuck(f"{error} in {name}")
            self._uc.emu_stop()

    def _allocated(self, name: str) -> int:
        """Return what an allocating function does: the memory, or that its pointer was set."""
        place = self.allocate()
        if not _SETS_POINTER.fullmatch(name):
            return place
        self.write(self.argument(0), place.to_bytes(8, "little"))
        return 1

    def _skip(self, size: int) -> None:
        self._set("rip", self._register("rip") + size)

    def _register(self, name: str) -> int:
        return int(self._uc.reg_read(getattr(self._x86, f"UC_X86_REG_{name.upper()}")))

    def _set(self, name: str, value: int) -> None:
        self._uc.reg_write(getattr(self._x86, f"UC_X86_REG_{name.upper()}"), value)


@cache
def _code(name: str) -> bytes:
    """Return what stands at the start of one of the kernel's functions."""
    thunk = _THUNK.fullmatch(name)
    if thunk:
        return _jump(thunk[1])
    for pattern, code in _CODE:
        if pattern.fullmatch(name):
            return code
    return _ZERO


def _jump(register: str) -> bytes:
    """Return a jump through a register: ``jmp *%rax``."""
    if register in _REGISTERS:
        return b"\xff" + bytes([0xE0 + _REGISTERS.index(register)])
    return b"\x41\xff" + bytes([0xE0 + int(register[1:]) - 8])


def _places(start: int, code: bytes, instruction: bytes) -> list[int]:
    """Return where the bytes of an instruction stand in code that lies at ``start``.

    Some of them are the middle of another instruction: no instruction starts there, so what is
    hooked there never runs.
    """
    return [start + found.start() for found in re.finditer(re.escape(instruction), code)]
