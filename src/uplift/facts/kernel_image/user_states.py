"""Which XSAVE state components a kernel lets programs use, by running its own code.

The set is a constant within the kernel's code (``XFEATURE_MASK_USER_SUPPORTED``), applied at boot
to what the processor has. So that function runs in a CPU emulator, on a processor that has
everything.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from uplift.facts.kernel_image import processor
from uplift.facts.kernel_image.emulation import Machine, Program, Stuck
from uplift.facts.kernel_image.kvm_cpuid import VENDORS
from uplift.facts.kernel_image.memory import Memory
from uplift.facts.kernel_image.processor import ONES, NotRead, Registers

_SETUP = "fpu__init_system_xstate"
_RESULT = "fpu_user_cfg"
_STATES = 0xD  #: the CPUID leaf of the components
_LISTED = {0: 0, 1: 2}  #: subleaf to the register that lists them: EAX, and ECX for supervisors'
#: The kernel refuses a processor that has both of these: MPX (3 and 4), APX (19).
_EXCLUSIVE = (1 << 3 | 1 << 4, 1 << 19)
_SOME = 7  #: x87, SSE and AVX: no kernel lacks them


def user_states(kernel: Memory) -> int:
    """Return the mask of the components that programs can use.

    :raises NotRead: the code is not there, or what it leaves behind is no such mask.
    :raises NoEmulator: the emulator is not installed.
    """
    layout = processor.layout(kernel)
    if layout.state_mask is None:
        raise NotRead("the kernel's BTF does not describe struct fpu_state_config")
    program = Program(kernel, {}, ("pv_ops",), (_SETUP,))
    mask = 0
    for lacks in _EXCLUSIVE:
        world = replace(processor.world(layout, VENDORS[0]), cpuid=partial(_cpuid, lacks))
        try:
            with Machine(program, world) as machine:
                processor.describe(machine, layout, VENDORS[0], errata=False)
                setup, result = program.address(_SETUP), program.address(_RESULT)
                # What follows may clear it again, for the checks of its callees are not run.
                mask |= machine.first_stored(setup, result + layout.state_mask)
        except Stuck as error:
            raise NotRead(str(error)) from None
    if mask & _SOME != _SOME or mask >> 63:
        raise NotRead(f"{_SETUP} stored {mask:#x}, no mask of components")
    return mask


def _cpuid(lacks: int, leaf: int, subleaf: int) -> Registers:
    """Answer CPUID for a processor that has every state component but some."""
    registers = list(processor.cpuid(ONES, leaf, subleaf))
    if leaf == _STATES and subleaf in _LISTED:
        registers[_LISTED[subleaf]] &= ~lacks
    a, b, c, d = registers
    return a, b, c, d
