"""Which XSAVE state components a kernel lets programs use, by running its own code.

The set is a constant within the kernel's code (``XFEATURE_MASK_USER_SUPPORTED``), applied at boot
to what the processor has. So that function runs in a CPU emulator, on a processor that has
everything.
"""

from __future__ import annotations

from uplift.facts.kernel_image import processor
from uplift.facts.kernel_image.emulation import Machine, Program, Stuck
from uplift.facts.kernel_image.kvm_cpuid import VENDORS
from uplift.facts.kernel_image.memory import Memory
from uplift.facts.kernel_image.processor import NotRead

_SETUP = "fpu__init_system_xstate"
_RESULT = "fpu_user_cfg"
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
    for vendor in VENDORS:
        machine = Machine(program, processor.world(layout, vendor))
        processor.describe(machine, layout, vendor, errata=False)
        try:
            setup, result = program.address(_SETUP), program.address(_RESULT)
            # What follows may clear it again, for the checks of its callees are not run.
            mask |= machine.first_stored(setup, result + layout.state_mask)
        except Stuck as error:
            raise NotRead(str(error)) from None
    if mask & _SOME != _SOME or mask >> 63:
        raise NotRead(f"{_SETUP} stored {mask:#x}, no mask of components")
    return mask
