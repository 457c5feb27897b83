"""Address blocks without their exceptions, as networks that a flow can match."""

from collections.abc import Iterable
from ipaddress import IPv4Network, collapse_addresses

from kubinet.policies import BlockPeer


def networks(blocks: Iterable[BlockPeer]) -> frozenset[IPv4Network]:
    """The fewest networks that hold exactly the blocks' addresses, of all blocks together."""
    return frozenset(collapse_addresses(part for block in blocks for part in _without(block)))


def _without(block: BlockPeer) -> list[IPv4Network]:
    parts = [block.cidr]
    for exception in block.exceptions:
        left: list[IPv4Network] = []
        for part in parts:
            if part.subnet_of(exception):
                continue
            left += part.address_exclude(exception) if exception.subnet_of(part) else [part]
        parts = left
    return parts
