"""The guest kernel: run a command under a kernel that has what the host's may lack.

`run_in_guest` boots a virtual machine with Debian's stock kernel (QEMU) or Debian's user-mode Linux on the host's own
files, without root, runs one command there as the guest's root and hands back its output. See docs/guest.md.
"""

from topologies.guest.run import GuestError, GuestResult, GuestStalledError, choose_kernel, run_in_guest
from topologies.guest.spec import DEFAULT_MODULES, Kernel

__all__ = [
    "DEFAULT_MODULES",
    "GuestError",
    "GuestResult",
    "GuestStalledError",
    "Kernel",
    "choose_kernel",
    "run_in_guest",
]
