"""The first process around the guest kernel on the host: a wall that makes the host's files read-only, and its end.

Run by path as `python -I -S wall.py SPEC` in fresh namespaces (`kubinet.sandbox.launch`); it needs only the standard
library. It gives the kernel a memory file system of its own on /dev/shm, makes every other mount read-only, except the
folders that the specification calls writable, starts the kernel, and ends with it or with the process that asked for
it; being the first process of its pid namespace it takes every process of the guest with it.
"""

import ctypes
import json
import os
import select
import struct
import sys
from pathlib import Path

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 1
_MS_BIND = 4096
_SYS_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _read_only(path: str, *, recursive: bool, value: bool) -> None:
    # struct mount_attr: attr_set, attr_clr, propagation, userns_fd (mount_setattr(2)).
    attributes = struct.pack("4Q", _MOUNT_ATTR_RDONLY if value else 0, 0 if value else _MOUNT_ATTR_RDONLY, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    result = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, attributes, len(attributes))
    _check(result, f"mount_setattr {path}")


def build_wall(writable: list[str], memory_bytes: int) -> None:
    """Make this mount namespace read-only except `writable` and a fresh /dev/shm that holds the guest's memory."""
    for folder in writable:
        _check(_libc.mount(folder.encode(), folder.encode(), None, _MS_BIND, None), f"bind {folder}")
    _read_only("/", recursive=True, value=True)
    for folder in writable:
        _read_only(folder, recursive=False, value=False)
    # User-mode Linux adds some hundred megabytes to its sparse memory file for gaps of its own.
    size = f"size={memory_bytes + (1 << 30)},mode=0700".encode()
    _check(_libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, size), "mount /dev/shm")
    Path("/dev/shm/uml").mkdir()  # noqa: S108


def main(spec_file: str) -> int:
    """Run the kernel of the specification; its exit status."""
    spec = json.loads(Path(spec_file).read_text())
    os.dup2(spec["console_fd"], 1)
    os.dup2(spec["console_fd"], 2)
    build_wall([share["folder"] for share in spec["shares"]], spec["memory_bytes"])
    keep = [spec["stdout_fd"], spec["stderr_fd"], spec["control_fd"], spec["console_fd"]]
    kernel = os.posix_spawn(
        spec["kernel"][0],
        spec["kernel"],
        spec["kernel_environment"],
        file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd) for fd in keep],
        setsid=True,
    )
    poll = select.poll()
    poll.register(os.pidfd_open(kernel), select.POLLIN)
    poll.register(spec["lifeline_fd"], select.POLLIN)
    poll.poll()
    ended, status = os.waitpid(kernel, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) & 0xFF if ended else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
