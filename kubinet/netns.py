"""Working in other network namespaces: enter one, set sysctls and offloads.

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

from kubinet.syscalls import CLONE_NEWNET, setns

_SIOCETHTOOL = 0x8946
# ETHTOOL_SSG, STSO, SGSO, SGRO, STXCSUM (linux/ethtool.h); scatter-gather first, as others depend on it.
_OFFLOADS = (0x1F, 0x24, 0x2C, 0x19, 0x17)


@contextmanager
def namespace(path: str | Path) -> Iterator[None]:
    """Run the block in the network namespace at `path` (such as `/proc/<pid>/ns/net`); for this thread only."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(target, CLONE_NEWNET)
        finally:
            os.close(target)
        try:
            yield
        finally:
            setns(own, CLONE_NEWNET)
    finally:
        os.close(own)


def of_process(pid: int) -> str:
    """The path of a process's network namespace."""
    return f"/proc/{pid}/ns/net"


@contextmanager
def netlink(path: str | Path) -> Iterator[IPRoute]:
    """pyroute2's own connection in the namespace at `path`, for reading; `kubinet.netlink` is for changes."""
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
        setting = os.open(f"/proc/sys/{name.replace('.', '/')}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(setting, value.encode())
        finally:
            os.close(setting)


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
