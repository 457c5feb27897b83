"""How a declared link is realised: shaping by the kernel's queues, delay by netem or by a userspace wire."""
