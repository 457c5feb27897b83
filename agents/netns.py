"""Work inside another network namespace from one thread of this process (setns(2) is per thread)."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def of_process(pid: int) -> Path:
    """The network namespace of a process, as a path that `entered` takes."""
    return Path(f"/proc/{pid}/ns/net")


@contextmanager
def entered(namespace: Path) -> Iterator[None]:
    """Run the body in `namespace`: sockets made and programs started there belong to it.

    The thread is back in its own namespace afterwards; OSError when the namespace is gone.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(target)
        finally:
            os.close(target)
        try:
            yield
        finally:
            _setns(own)
    finally:
        os.close(own)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def write_sysctls(values: dict[str, str]) -> None:
    """Write `net.*` sysctls of the namespace that this thread is in; keys as in `ipv4/ip_forward`."""
    for key, value in values.items():
        Path("/proc/sys/net", key).write_text(value)
