"""The guest kernel: run a command under User-Mode Linux, which has the kernel parts that the host may lack.

`run_in_guest` boots Debian's `user-mode-linux` on the host's own files in two to ten seconds, without KVM and without
root, runs one command there as the guest's root and hands back its output. See docs/guest.md.
"""

from topologies.guest.run import GuestError, GuestResult, run_in_guest
from topologies.guest.spec import DEFAULT_MODULES

__all__ = ["DEFAULT_MODULES", "GuestError", "GuestResult", "run_in_guest"]
