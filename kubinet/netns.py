"""Working in other network namespaces: enter one, talk netlink there, set sysctls and offloads.

Setns(2) moves only the calling thread, and a netlink socket stays in the namespace in which it was opened.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pyroute2 import IPRoute

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL = 0x8946
# ETHTOOL_SSG, STSO, SGSO, SGRO, STXCSUM (linux/ethtool.h); scatter-gather first, as others depend on it.
_OFFLOADS = (0x1F, 0x24, 0x2C, 0x19, 0x17)
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def namespace(path: str | Path) -> Iterator[None]:
    """Run the block in the network namespace at `path` (such as `/proc/<pid>/ns/net`); for this thread only."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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


def of_process(pid: int) -> str:
    """The path of a process's network namespace."""
    return f"/proc/{pid}/ns/net"


@contextmanager
def netlink(path: str | Path) -> Iterator[IPRoute]:
    """A netlink connection in the namespace at `path`; the calling thread itself stays where it is."""
    with namespace(path):
        connection = IPRoute()
    try:
        yield connection
    finally:
        connection.close()


def interface_indexes(connection: IPRoute) -> dict[str, int]:
    """Interface names and indexes in the connection's namespace."""
    return {link.get_attr("IFLA_IFNAME"): link["index"] for link in connection.get_links()}


def set_sysctls(values: Mapping[str, str]) -> None:
    """Write sysctls (`net.ipv4.ip_forward`) of the thread's present network namespace."""
    for name, value in values.items():
        Path("/proc/sys", *name.split(".")).write_text(value)


def disable_offloads(names: Iterable[str]) -> None:
    """Turn checksum, segmentation and receive offloads off on interfaces of the thread's present network namespace.

    The userspace datapath neither computes nor trusts missing checksums, and drops segments larger than the MTU.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name in names:
            for command in _OFFLOADS:
                value = ctypes.create_string_buffer(struct.pack("II", command, 0))
                request = struct.pack("16sP", name.encode(), ctypes.addressof(value))
                with suppress(OSError):  # an offload that the driver does not know is off
                    fcntl.ioctl(control, _SIOCETHTOOL, request)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
