"""Offloads of interfaces, by ioctl(SIOCETHTOOL) instead of a process per interface.

Open vSwitch's userspace datapath neither completes nor trusts unfinished checksums and drops packets larger than the
MTU, so everything that a sender leaves to the "hardware" must be off wherever packets enter it.
"""

import array
import fcntl
import socket
import struct
from errno import EOPNOTSUPP
from typing import Final

_SIOCETHTOOL: Final = 0x8946
_SIOCGIFINDEX: Final = 0x8933
# linux/ethtool.h: set tx-checksumming, tcp-segmentation, generic segmentation, generic receive offload
_COMMANDS: Final = {"tx": 0x17, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}
_GET: Final = {"tx": 0x16, "tso": 0x1E, "gso": 0x23, "gro": 0x2B}


def disable_offloads(control: socket.socket, interface: str) -> None:
    """Turn off tx checksums, TSO, GSO and GRO; `control` is any socket of the interface's network namespace."""
    for command in _COMMANDS.values():
        try:
            _ethtool(control, interface, command, 0)
        except OSError as error:
            if error.errno != EOPNOTSUPP:  # a device without the feature has nothing to turn off
                raise


def offloads(control: socket.socket, interface: str) -> dict[str, bool]:
    """Which of the offloads that `disable_offloads` turns off are on."""
    return {name: bool(_ethtool(control, interface, command, 0)) for name, command in _GET.items()}


def interface_index(control: socket.socket, interface: str) -> int:
    """The interface's index in the namespace of `control`; OSError ENODEV when there is none."""
    request = bytearray(struct.pack("16s24x", interface.encode()))
    fcntl.ioctl(control, _SIOCGIFINDEX, request)
    index: int = struct.unpack_from("i", request, 16)[0]
    return index


def _ethtool(control: socket.socket, interface: str, command: int, value: int) -> int:
    data = array.array("B", struct.pack("II", command, value))
    fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), data.buffer_info()[0]))
    result: int = struct.unpack_from("II", data)[1]
    return result
