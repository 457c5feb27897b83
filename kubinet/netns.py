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
from functools import cache
from pathlib import Path

from pyroute2 import IPRoute

from kubinet.syscalls import CLONE_NEWNET, setns

_SIOCETHTOOL = 0x8946
_ETHTOOL_GSTRINGS, _ETHTOOL_GSSET_INFO, _ETHTOOL_SFEATURES = 0x1B, 0x37, 0x3B
_ETH_SS_FEATURES = 4
_STRING_SIZE = 32
_OFFLOADS = ("tx-scatter-gather", "tx-checksum-", "tx-tcp", "tx-generic-segmentation", "rx-gro")
"""Features, or their names' beginnings, that `ethtool -K sg tx tso gso gro off` means."""
_NOT_OFFLOADS = ("rx-gro-hw", "rx-gro-list")


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
    One call per interface: each change is told to all who listen, and Open vSwitch looks at all its ports then.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name in names:
            with suppress(OSError):  # a driver without features, or none that can be changed
                _ethtool(control, name, _all_off())


@cache
def _all_off() -> bytes:
    """The request for ETHTOOL_SFEATURES (linux/ethtool.h): which features to change, by the kernel's numbers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        ask = struct.pack("=IIQI", _ETHTOOL_GSSET_INFO, 0, 1 << _ETH_SS_FEATURES, 0)
        count = struct.unpack_from("=I", _ethtool(control, "lo", ask), 16)[0]
        ask = struct.pack("=III", _ETHTOOL_GSTRINGS, _ETH_SS_FEATURES, count)
        table = _ethtool(control, "lo", ask + bytes(count * _STRING_SIZE))[len(ask) :]
    blocks = [0] * ((count + 31) // 32)
    for bit in range(count):
        name = table[bit * _STRING_SIZE : (bit + 1) * _STRING_SIZE].rstrip(b"\0").decode()
        if name.startswith(_OFFLOADS) and name not in _NOT_OFFLOADS:
            blocks[bit // 32] |= 1 << bit % 32
    changes = b"".join(struct.pack("=II", mask, 0) for mask in blocks)
    return struct.pack("=II", _ETHTOOL_SFEATURES, len(blocks)) + changes


def _ethtool(control: socket.socket, name: str, data: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(data, len(data))
    fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP", name.encode(), ctypes.addressof(buffer)))
    return buffer.raw
