"""What the kernel alone does here: network namespaces and veth pairs per second by raw netlink.

Run in namespaces of its own (`experiments.throwaway`): `python -m experiments.bench.netlink_rates COUNT`.
"""

import ctypes
import json
import os
import sys
import time
from typing import Final

from pyroute2 import IPRoute

_CLONE_NEWNET: Final = 0x40000000


def namespaces_per_s(count: int) -> float:
    """New network namespaces per second: unshare, keep a descriptor, come back."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    kept = []
    began = time.monotonic()
    for _ in range(count):
        _checked(libc.unshare(_CLONE_NEWNET))
        kept.append(os.open("/proc/self/ns/net", os.O_RDONLY))
    elapsed = time.monotonic() - began
    _checked(libc.setns(home, _CLONE_NEWNET))
    for descriptor in (*kept, home):
        os.close(descriptor)
    return count / elapsed


def veth_pairs_per_s(count: int) -> float:
    """New veth pairs per second, one request each."""
    with IPRoute() as netlink:
        began = time.monotonic()
        for index in range(count):
            netlink.link("add", ifname=f"a{index}", kind="veth", peer={"ifname": f"b{index}"})
        return count / (time.monotonic() - began)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    wanted = int(sys.argv[1])
    print(json.dumps({"namespaces_per_s": namespaces_per_s(wanted), "veth_pairs_per_s": veth_pairs_per_s(wanted)}))
