"""Blocks of addresses as Kubernetes' objects write them: `10.0.0.0/8`, `2001:db8::/32`.

Two readings, as upstream has: the older one, for NetworkPolicy's `ipBlock` (apimachinery's ParseCIDRSloppy), and the
strict one of CEL's `isCIDR` (Go's netip.ParsePrefix), for the cluster-wide policies' `networks`. Both take host bits
that are set. Python's `ip_network` alone would also take `10.0.0.0/255.0.0.0` and refuse `010.0.0.0/8`.
"""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

_LENGTH: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_STRICT_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_LEADING_ZEROS: Final = re.compile(r"(?<![0-9])0+(?=[0-9])")


def legacy_cidr(text: str) -> Network:
    """The block without its host bits; leading zeros do not make octets octal. ValueError where it is none."""
    address, length = _parts(text, _LENGTH)
    if ":" not in address:
        address = _LEADING_ZEROS.sub("", address)
    return ip_network(f"{address}/{length}", strict=False)


def strict_cidr(text: str) -> Network:
    """The block without its host bits; ValueError for leading zeros, IPv4-mapped IPv6 and what is no block."""
    address, length = _parts(text, _STRICT_LENGTH)
    found = ip_network(f"{address}/{length}", strict=False)
    if isinstance(found, IPv6Network) and IPv6Address(address).ipv4_mapped is not None:
        raise ValueError(f"{text!r} is an IPv4-mapped IPv6 block")
    return found


def has_host_bits(text: str) -> bool:
    """Whether the address of a block that can be read has bits beyond the prefix length."""
    found, (address, _) = legacy_cidr(text), _parts(text, _LENGTH)
    return legacy_cidr(f"{address}/{found.max_prefixlen}").network_address != found.network_address


def _parts(text: str, length: re.Pattern[str]) -> tuple[str, str]:
    address, slash, bits = text.partition("/")
    # An address with a zone ("fe80::1%eth0") names no block.
    if not slash or "%" in address or not length.fullmatch(bits):
        raise ValueError(f"{text!r} is not an address and a prefix length")
    return address, bits
