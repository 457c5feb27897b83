"""Linux capabilities of containers: Kubernetes' usual default set and what a spec adds."""

from collections.abc import Iterable
from typing import Final

from kubinet.crilink import ContainerRuntimeError

NAMES: Final = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
)
"""In the order of their numbers (linux/capability.h)."""

DEFAULT: Final = frozenset(
    {
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    }
)
"""What container engines grant when a pod asks for nothing."""


def dropped(added: Iterable[str], last: int) -> tuple[int, ...]:
    """The numbers to drop on a kernel whose last capability is `last`; `added` may say `CAP_` and `ALL`."""
    wanted = {name.upper().removeprefix("CAP_") for name in added}
    unknown = wanted - set(NAMES) - {"ALL"}
    if unknown:
        raise ContainerRuntimeError(f"capability {sorted(unknown)[0]!r} is unknown; see capabilities(7)")
    if "ALL" in wanted:
        return ()
    kept = {NAMES.index(name) for name in DEFAULT | wanted}
    return tuple(number for number in range(last + 1) if number not in kept)
