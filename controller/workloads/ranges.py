"""Who holds which number of a finite range: addresses and ports that Services are given.

Nothing here is stored: the holders are what the stored Services say, so a restart rebuilds them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Final

NODE_PORTS: Final = range(30000, 32768)
"""kube-apiserver's default of `--service-node-port-range`."""
_STATIC_ADDRESSES: Final = (16, 256)
_STATIC_PORTS: Final = (16, 128)


@dataclass(slots=True)
class Pool:
    """Numbers that are given one by one, ascending and around, so that a released one is not used again at once.

    `first` is where dynamic numbers begin: those below are left to users who choose, and used last, as upstream.
    """

    numbers: range
    first: int = 0
    reserved: frozenset[int] = frozenset()
    """Given only to who asks for them by name."""
    _holders: dict[int, set[str]] = field(default_factory=dict)
    _next: int = 0

    def holder(self, number: int, asker: str) -> str | None:
        """Another holder than `asker`, or None."""
        return min((name for name in self._holders.get(number, ()) if name != asker), default=None)

    def hold(self, number: int, holder: str) -> None:
        """Note a holder; a number may have several when objects were made before this rule."""
        self._holders.setdefault(number, set()).add(holder)

    def release(self, number: int, holder: str) -> None:
        """Forget a holder."""
        holders = self._holders.get(number)
        if holders is not None:
            holders.discard(holder)
            if not holders:
                del self._holders[number]

    def choose(self, taken: Iterable[int] = ()) -> int | None:
        """A number that nobody holds and that is not in `taken`; None when the range is used up. Holds nothing."""
        avoided = {*taken, *self.reserved}
        upper = range(max(self.first, self.numbers.start), self.numbers.stop)
        start = self._next if self._next in upper else upper.start
        for band in (range(start, upper.stop), range(upper.start, start), range(self.numbers.start, upper.start)):
            for number in band:
                if number not in self._holders and number not in avoided:
                    self._next = number + 1
                    return number
        return None

    @property
    def held(self) -> dict[int, frozenset[str]]:
        """All numbers that somebody holds."""
        return {number: frozenset(holders) for number, holders in self._holders.items()}


def static_band(size: int, bounds: tuple[int, int], divisor: int) -> int:
    """How many numbers at the start are left to users who choose (KEP-3070, KEP-3668)."""
    low, high = bounds
    return 0 if size <= low else min(max(low, size // divisor), high)


def addresses(network: IPv4Network, *, reserved: Iterable[int] = ()) -> Pool:
    """ClusterIPs of a service network: all but its first and last address; `reserved` are offsets."""
    base = int(network.network_address)
    usable = range(base + 1, base + network.num_addresses - 1)
    first = base + static_band(network.num_addresses, _STATIC_ADDRESSES, 16)
    kept = frozenset(base + offset for offset in reserved if base + offset in usable)
    return Pool(usable, max(first, usable.start) if usable else 0, kept)


def hosts(network: IPv4Network) -> Pool:
    """A pool for LoadBalancers: every host address, no band."""
    base, size = int(network.network_address), network.num_addresses
    return Pool(range(base, base + size) if size <= 2 else range(base + 1, base + size - 1))


def node_ports(numbers: range = NODE_PORTS) -> Pool:
    """NodePorts."""
    return Pool(numbers, numbers.start + static_band(len(numbers), _STATIC_PORTS, 32))


def address_text(number: int) -> str:
    """A pool's number as an address."""
    return str(IPv4Address(number))
