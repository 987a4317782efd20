"""What a KVM passes on, told by running it: here a KVM and a kernel of a few lines each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facts.kernel_image.building import btf, compiled, linked_kernel
from uplift.facts.kernel_image import emulation, memory, reader
from uplift.facts.kernel_image.emulation import Machine, Program, Stuck, World
from uplift.facts.kernel_image.kvm_cpuid import REGISTERS, VENDORS, kvm_cpuid
from uplift.facts.kernel_image.memory import Memory
from uplift.facts.kernel_image.processor import NotRead
from uplift.facts.kernel_image.user_states import user_states

pytest.importorskip("unicorn", reason="running KVM's code needs python3-unicorn")
INTEL, AMD = VENDORS

TYPES = btf(
    {
        "cpuinfo_x86": {"x86": 0, "x86_vendor": 1, "x86_capability": 8, "x86_power": 24},
        "fpu_state_config": {"max_features": 8},
    },
    {"native_read_msr_safe": 4},
)
KERNEL = """
struct { unsigned char family, vendor, pad[6]; unsigned features[3], errata, power; }
    boot_cpu_data = { .pad = { 1 } };
const char *const x86_cap_flags[96] = { "fpu", "vme" };
const char *const x86_bug_flags[32] = { "f00f" };
volatile struct { unsigned long other, max_features; } fpu_user_cfg = { 1, 0 };
void native_cpuid(unsigned *a, unsigned *b, unsigned *c, unsigned *d);
void (*const pv_ops[2])(unsigned *, unsigned *, unsigned *, unsigned *) = { native_cpuid };
int after_pv_ops = 1;
asm(".globl _stext, _etext, _sinittext, _einittext\\n.text\\n_stext: .fill 16, 1, 0x90");
void native_cpuid(unsigned *a, unsigned *b, unsigned *c, unsigned *d)
{ asm volatile("cpuid" : "+a"(*a), "=b"(*b), "+c"(*c), "=d"(*d)); }
void *vzalloc(unsigned long size) { for (;;); }
void *memcpy(void *to, const void *from, unsigned long size) { for (;;); }
int misc_register(void *device) { for (;;); }
void fpu__init_system_xstate(void)
{
    unsigned a = 0xd, b, c = 0, d;
    native_cpuid(&a, &b, &c, &d);
    fpu_user_cfg.max_features = a & 0x602ff;
    fpu_user_cfg.max_features = 0;
}
void last(void) { }
asm(".text\\n_etext: _sinittext: .byte 0x90\\n_einittext: .byte 0x90");
"""
KVM = """
extern struct { unsigned char family, vendor, pad[6]; unsigned features[3], errata, power; }
    boot_cpu_data;
struct entry { unsigned function, index, flags, eax, ebx, ecx, edx, padding[3]; };
unsigned kvm_cpu_caps[64];
extern void (*const pv_ops[2])(unsigned *, unsigned *, unsigned *, unsigned *);
extern void *vzalloc(unsigned long), *memcpy(void *, const void *, unsigned long);
extern int misc_register(void *);
static unsigned raw(unsigned leaf, int wanted)
{
    unsigned r[4] = { leaf, 0, 0, 0 };
    pv_ops[0](&r[0], &r[1], &r[2], &r[3]);
    return r[wanted];
}
void kvm_set_cpu_caps(void)
{
    kvm_cpu_caps[0] = (boot_cpu_data.features[0] & 0x0f000f00 & raw(1, 2)) | 1u << 31;
    if (!boot_cpu_data.errata) kvm_cpu_caps[0] |= 1 << 4;
    else kvm_cpu_caps[0] |= 1 << 5;
}
int init_module(void) { return misc_register(kvm_cpu_caps); }
int kvm_dev_ioctl_get_cpuid(unsigned *request, void *user, unsigned type)
{
    struct entry *entries = vzalloc(4096);
    struct entry made[4] = {
        { .function = 0, .eax = raw(0, 0) < 0x24 ? raw(0, 0) : 0x24, .ebx = raw(0, 1) },
        { .function = 1, .ebx = 7, .ecx = kvm_cpu_caps[0], .edx = raw(1, 3) & 0xff00 },
        { .function = 3 },
        { .function = 0x40000000, .eax = 0x40000001 },
    };
    if (type != 0xc008ae05) return -22;
    memcpy(entries, made, sizeof made);
    *request = 4;
    return 0;
}
"""
VENDOR = """
extern struct { unsigned char family, vendor, pad[6]; unsigned features[3]; } boot_cpu_data;
extern unsigned kvm_cpu_caps[];
extern void kvm_set_cpu_caps(void);
int init_module(void)
{
    if (boot_cpu_data.vendor != WANTED) return -95;
    kvm_set_cpu_caps();
    SET
    return 0;
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernel")


@pytest.fixture(scope="module")
def kernel(place: Path) -> Memory:
    return linked_kernel(place, KERNEL, TYPES)


@pytest.fixture(scope="module")
def modules(place: Path) -> dict[str, bytes]:
    def vendor(name: str, number: int, more: str) -> bytes:
        return compiled(place, name, VENDOR.replace("WANTED", str(number)).replace("SET", more))

    return {
        "kvm": compiled(place, "kvm", KVM),
        "kvm_intel": vendor("kvm_intel", 0, "kvm_cpu_caps[0] |= 0x20000;"),
        "kvm_amd": vendor("kvm_amd", 2, "kvm_cpu_caps[0] &= ~0xf00;"),
    }


def named(masks: dict[tuple[int, int, int], int]) -> dict[str, int]:
    return {f"{leaf:x}.{sub:x}.{REGISTERS[r]}": mask for (leaf, sub, r), mask in masks.items()}


def test_each_vendors_module_changes_what_kvm_passes_on(
    kernel: Memory, modules: dict[str, bytes]
) -> None:
    # Bits 4 and 5 each come with only one of "every erratum" and "no erratum"; 31 KVM adds itself.
    assert named(kvm_cpuid(kernel, modules, INTEL))["1.0.ecx"] == 0x8F020F30
    assert named(kvm_cpuid(kernel, modules, AMD))["1.0.ecx"] == 0x8F000030


def test_a_register_that_kvm_passes_on_as_it_is_has_those_bits(
    kernel: Memory, modules: dict[str, bytes]
) -> None:
    found = named(kvm_cpuid(kernel, modules, INTEL))
    assert found["1.0.edx"] == 0xFF00
    assert found["0.0.ebx"] == 0xFFFFFFFF


def test_a_number_of_kvms_own_is_left_out_and_so_is_the_lower_of_two(
    kernel: Memory, modules: dict[str, bytes]
) -> None:
    found = named(kvm_cpuid(kernel, modules, INTEL))
    assert "1.0.ebx" not in found
    assert "0.0.eax" not in found


def test_a_leaf_of_zeros_and_kvms_own_leaves_are_left_out(
    kernel: Memory, modules: dict[str, bytes]
) -> None:
    found = named(kvm_cpuid(kernel, modules, INTEL))
    assert {name.partition(".")[0] for name in found} == {"0", "1"}


def test_a_module_that_refuses_to_load_tells_no_masks(
    kernel: Memory, modules: dict[str, bytes]
) -> None:
    swapped = {**modules, "kvm_amd": modules["kvm_intel"]}
    with pytest.raises(NotRead, match="kvm_amd: loading kvm_amd returned -95"):
        kvm_cpuid(kernel, swapped, AMD)


def test_without_the_module_or_without_types_it_is_not_read(
    kernel: Memory, modules: dict[str, bytes]
) -> None:
    with pytest.raises(NotRead, match="the file of module kvm_amd is not among those given"):
        kvm_cpuid(kernel, {**modules, "kvm_amd": b""}, AMD)
    bare = Memory(kernel.data.replace(b".BTF", b".XXX"), kernel.parts, kernel.symbols)
    with pytest.raises(NotRead, match="has no BTF"):
        kvm_cpuid(bare, modules, AMD)


def test_the_mask_of_states_is_what_the_setup_code_stores_first(kernel: Memory) -> None:
    assert user_states(kernel) == 0x602FF


def test_code_without_an_end_is_stopped(
    place: Path, kernel: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulation, "MAX_MICROSECONDS", 200_000)
    endless = compiled(place, "endless", 'int init_module(void) { for (;;) asm(""); }')
    program = Program(kernel, {"endless": endless}, ())
    world = World(lambda leaf, subleaf: (0, 0, 0, 0), lambda number: 0)
    with Machine(program, world) as machine, pytest.raises(Stuck, match="in init_module"):
        machine.call(program.address("init_module"))


def test_what_the_processor_is_asked_by_instruction_is_answered_too(
    place: Path, kernel: Memory
) -> None:
    asking = compiled(
        place,
        "asking",
        """int init_module(void)
        {
            unsigned a = 7, b, c = 1, d, low, high;
            asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
            asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x480));
            asm volatile("ud2");  /* a warning of the kernel: it goes on */
            return b + d + low + high;
        }""",
    )
    program = Program(kernel, {"asking": asking}, ())
    world = World(lambda leaf, subleaf: (0, leaf, 0, subleaf), lambda number: number << 32 | 100)
    with Machine(program, world) as machine:
        assert machine.call(program.address("init_module")) == 7 + 1 + 100 + 0x480


def test_the_reader_says_which_vendor_it_could_not_read(
    kernel: Memory, modules: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "of", lambda data: kernel)
    found = {
        capture.id.rpartition("/")[2]: capture
        for capture in reader.read_kernel_image(b"", {**modules, "kvm_amd": b""}, "x86_64")
    }
    assert "intel 1 0 ecx 0x8f020f30\n" in found["kvm-cpuid"].text
    assert "amd" not in found["kvm-cpuid"].text
    assert found["kvm-cpuid"].detail == "amd: the file of module kvm_amd is not among those given"
