"""Connections of pods that are gone: which addresses lost their pod, and how a node forgets what it tracked of them.

Addresses are used again. Without this, a new pod would inherit the old one's connections on every node that talked to
it: an entry that says "established", or a translation to an address that is somebody else's now.
"""

import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address
from typing import Final

_ADDRESS: Final = re.compile(r"\b(?:src|dst)=([0-9.]+)")


class Holders:
    """Which pods have which address, and whose connections belong to nobody any more after a change of that."""

    def __init__(self) -> None:
        self._addresses: dict[str, IPv4Address] = {}
        self._holders: dict[IPv4Address, set[str]] = {}

    def address(self, uid: str) -> IPv4Address | None:
        """The pod's address."""
        return self._addresses.get(uid)

    def change(self, addresses: Mapping[str, IPv4Address | None]) -> frozenset[IPv4Address]:
        """Take in what changed together: addresses by pod uid, None for no (more) address; returns the departed ones.

        An address that changes hands is one when the new pod appears, before that pod's containers run, and not again
        when the old pod's object goes: by then the connections may be the new pod's.
        """
        moved = {uid: address for uid, address in addresses.items() if self._addresses.get(uid) != address}
        inherited = {address for address in moved.values() if address in self._holders}
        left = set()
        for uid in moved:
            address = self._addresses.pop(uid, None)
            if address is not None:
                left.add(address)
                self._holders[address].discard(uid)
                if not self._holders[address]:
                    del self._holders[address]
        for uid, address in moved.items():
            if address is not None:
                self._addresses[uid] = address
                self._holders.setdefault(address, set()).add(uid)
        return frozenset(inherited | {address for address in left if address not in self._holders})


def forget(appctl: Callable[..., str], addresses: Collection[IPv4Address]) -> None:
    """Remove the entries of a node's ovs-vswitchd that name one of the addresses; OvsError when it does not answer.

    One look tells which addresses have entries, because most have none and each removal walks through all entries.
    """
    if not addresses:
        return
    tracked = set(_ADDRESS.findall(appctl("dpctl/dump-conntrack")))
    for address in sorted(addresses):
        if str(address) in tracked:
            appctl("dpctl/flush-conntrack", f"ct_nw_src={address}")
            appctl("dpctl/flush-conntrack", f"ct_nw_dst={address}")
            # Behind a translation the pod is in the reply only (ovs-dpctl(8): original tuple, reply tuple).
            appctl("dpctl/flush-conntrack", "", f"ct_nw_src={address}")
