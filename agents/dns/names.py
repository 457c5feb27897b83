"""Names as keys: labels in lower case, leftmost first, without the root; `()` is the root."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from dns.name import Name

Key = tuple[bytes, ...]
IN_ADDR: Key = (b"in-addr", b"arpa")


def key_of(name: Name) -> Key:
    """The key of an absolute name; names that differ only in case have the same (RFC 4343)."""
    return tuple(label.lower() for label in name.labels[:-1])


def key_from_text(text: str) -> Key:
    """The key of a host name such as `web.default.svc`, with or without a final dot."""
    return tuple(label for label in text.lower().rstrip(".").encode().split(b".") if label)


def name_of(key: Key) -> Name:
    """The absolute name; dns.exception.DNSException when a label or the whole is too long (RFC 1035: 63, 255)."""
    return Name((*key, b""))


def suffixes(key: Key) -> Iterator[Key]:
    """The key and every name above it up to the root, longest first."""
    return (key[cut:] for cut in range(len(key) + 1))


def reverse_key(address: IPv4Address) -> Key:
    """The name of an address' PTR record (RFC 1035, 3.5)."""
    return (*(str(octet).encode() for octet in reversed(address.packed)), *IN_ADDR)


def reverse_zones(network: IPv4Network) -> Iterator[Key]:
    """The zones whose names are exactly the network's addresses: one, or up to 128 on the next octet's border."""
    octets = -(-network.prefixlen // 8)
    for subnet in network.subnets(new_prefix=8 * octets):
        yield reverse_key(subnet.network_address)[4 - octets :]
