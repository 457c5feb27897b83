"""IP addresses and networks in objects: form and kind."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from controller.api.status import Cause
from controller.api.validation.causes import invalid

_ADDRESS_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NETWORK_TEXT = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def parsed(text: Any) -> IPv4Address | IPv6Address | None:
    """The address; None when it is none. Leading zeros are refused: readers disagree on them (CVE-2021-29923)."""
    try:
        return ip_address(text) if isinstance(text, str) else None
    except ValueError:
        return None


def address(field: str, text: Any) -> list[Cause]:
    """An IPv4 or IPv6 address."""
    return [] if parsed(text) is not None else [invalid(field, text, _ADDRESS_TEXT)]


def network(field: str, text: str) -> list[Cause]:
    """An IPv4 address and a prefix length; host bits may be set. IPv6 is refused: it would have no effect."""
    try:
        if not text.partition("/")[2].isdigit():
            raise ValueError(text)
        found = ip_network(text, strict=False)
    except ValueError:
        return [invalid(field, text, _NETWORK_TEXT)]
    return [] if found.version == 4 else [invalid(field, text, "this cluster has IPv4 only")]


def special(field: str, text: str) -> list[Cause]:
    """Addresses that traffic to a Service or to an endpoint must not have."""
    found = parsed(text)
    if found is None:
        return [invalid(field, text, _ADDRESS_TEXT)]
    if found.is_unspecified:
        return [invalid(field, text, f"may not be unspecified ({text})")]
    if found.is_loopback:
        return [invalid(field, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")]
    if found.is_link_local:
        return [invalid(field, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")]
    local = found in _LOCAL_MULTICAST[found.version]
    if local:
        return [invalid(field, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")]
    return []


_LOCAL_MULTICAST = {4: ip_network("224.0.0.0/24"), 6: ip_network("ff02::/16")}
