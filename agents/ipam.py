"""Addresses of a node's pods: in turn, so that a released one rests as long as can be. Pure bookkeeping.

What the cluster still knows of a deleted pod (connections, names, caches) is then not taken for the next one's.
"""

from ipaddress import IPv4Address, IPv4Network
from itertools import chain

from kubinet.errors import KubinetError


class AddressesExhaustedError(KubinetError):
    """Every address of the node's pod CIDR is taken."""


class AddressPool:
    """The addresses of one node's pod CIDR; the first (gateway) and the broadcast address are nobody's."""

    def __init__(self, pod_cidr: IPv4Network) -> None:
        self._cidr = pod_cidr
        self._first = int(pod_cidr.network_address) + 2
        self._last = int(pod_cidr.broadcast_address) - 1
        self._owner: dict[int, str] = {}
        self._next = self._first
        """Where the search for a free one begins: behind the one that was given last."""

    def allocate(self, uid: str) -> IPv4Address:
        """The pod's address: the one it has, or the next free one. AddressesExhaustedError when none is left."""
        held = self.address_of(uid)
        if held is not None:
            return held
        for candidate in chain(range(self._next, self._last + 1), range(self._first, self._next)):
            if candidate not in self._owner:
                self._owner[candidate] = uid
                self._next = candidate + 1
                return IPv4Address(candidate)
        raise AddressesExhaustedError(
            f"no free address in {self._cidr}: {len(self._owner)} pods hold all of them; delete pods of this node, "
            "or give the nodes larger pod CIDRs in the topology's network section (nodeCIDRMaskSize)"
        )

    def claim(self, uid: str, address: IPv4Address) -> bool:
        """Take an address that the pod already had, after a restart; False when it cannot be the pod's."""
        number = int(address)
        if not self._first <= number <= self._last or self._owner.get(number, uid) != uid:
            return False
        self._owner[number] = uid
        self._next = max(self._next, number + 1)
        return True

    def release(self, uid: str) -> None:
        """Free the pod's address, once nothing of the pod is left that could still use it."""
        for number in [number for number, owner in self._owner.items() if owner == uid]:
            del self._owner[number]

    def address_of(self, uid: str) -> IPv4Address | None:
        """The pod's address; None when it has none."""
        return next((IPv4Address(number) for number, owner in self._owner.items() if owner == uid), None)

    def __len__(self) -> int:
        return len(self._owner)
