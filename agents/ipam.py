"""Addresses of a node's pods: each pod holds one address of the node's pod CIDR. No input, no output."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from kubinet.addressing import gateway_address
from kubinet.errors import KubinetError


class AddressesExhaustedError(KubinetError):
    """The node's pod CIDR has no free address left."""


class AddressPool:
    """Who holds which address. Holders are pods' uids.

    Addresses are handed out in turn, so that one that was just released rests as long as possible: late packets and
    flows of its last holder do not reach the next one.
    """

    def __init__(self, pod_cidr: IPv4Network) -> None:
        self._cidr = pod_cidr
        # Network address, gateway and broadcast address are never given away.
        self._first = int(gateway_address(pod_cidr)) + 1
        self._count = max(0, pod_cidr.num_addresses - 3)
        self._next = 0
        self._holders: dict[IPv4Address, str] = {}
        self._addresses: dict[str, IPv4Address] = {}

    def holder(self, address: IPv4Address) -> str | None:
        """Who holds the address."""
        return self._holders.get(address)

    def allocate(self, uid: str) -> IPv4Address:
        """The address of the pod: the one that it holds, or a free one."""
        held = self._addresses.get(uid)
        if held is not None:
            return held
        for step in range(self._count):
            position = (self._next + step) % self._count
            address = IPv4Address(self._first + position)
            if address not in self._holders:
                self._next = (position + 1) % self._count
                self._hold(uid, address)
                return address
        raise AddressesExhaustedError(
            f"all {self._count} addresses of {self._cidr} are in use; delete pods of the node, "
            "or make the topology's network.nodeCIDRMaskSize smaller"
        )

    def adopt(self, uid: str, address: IPv4Address) -> bool:
        """Note that the pod holds this address already; False when another pod does, or it is not of this node."""
        if self._addresses.get(uid) == address:
            return True
        if uid in self._addresses or address in self._holders or not self._ours(address):
            return False
        self._hold(uid, address)
        # A new agent goes on after the addresses in use, as the old one did.
        self._next = max(self._next, (int(address) - self._first + 1) % self._count)
        return True

    def retain(self, uids: Iterable[str]) -> None:
        """Release the addresses of all other pods."""
        for uid in self._addresses.keys() - set(uids):
            self.release(uid)

    def release(self, uid: str) -> None:
        """The pod's address is free again; one without address is fine."""
        address = self._addresses.pop(uid, None)
        if address is not None:
            del self._holders[address]

    def _ours(self, address: IPv4Address) -> bool:
        return self._first <= int(address) < self._first + self._count

    def _hold(self, uid: str, address: IPv4Address) -> None:
        self._holders[address] = uid
        self._addresses[uid] = address
