"""What the server is told: its pod's resolv.conf, and the ConfigMap with kube-dns' keys. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from agents.dns.names import Key, key_from_text

UPSTREAMS: Final = "upstreamNameservers"
STUB_DOMAINS: Final = "stubDomains"
PORT: Final = 53


class SettingsError(ValueError):
    """The ConfigMap says something that cannot be followed; names key and value."""


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """Another name server."""

    address: IPv4Address
    port: int = PORT

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Who is asked for names outside of our zones."""

    upstreams: tuple[Server, ...] = ()
    stubs: tuple[tuple[Key, tuple[Server, ...]], ...] = ()
    """Zones with servers of their own."""

    def servers(self, key: Key) -> tuple[Server, ...]:
        """The servers for a name: those of the longest zone that holds it."""
        zones = [(zone, servers) for zone, servers in self.stubs if key[len(key) - len(zone) :] == zone]
        return max(zones, key=lambda entry: len(entry[0]), default=((), self.upstreams))[1]


def nameservers(resolv_conf: str) -> tuple[Server, ...]:
    """The `nameserver` lines of a resolv.conf, IPv4 ones, at most three (resolv.conf(5))."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.append(Server(IPv4Address(words[1])))
            except ValueError:
                continue  # IPv6: the cluster has none
    return tuple(found[:3])


def forwarding(data: Mapping[str, str], default: tuple[Server, ...], own: Iterable[Key]) -> Forwarding:
    """What the ConfigMap says; `default`: the upstreams when it names none; `own`: zones that we are the authority for.

    `upstreamNameservers`: a JSON list of addresses. `stubDomains`: a JSON object, zone -> list of addresses. An address
    may have a port (`10.0.0.1:5353`). Raises SettingsError.
    """
    upstreams = _servers(UPSTREAMS, _json(data, UPSTREAMS, []))
    stubs = _json(data, STUB_DOMAINS, {})
    if not isinstance(stubs, dict):
        raise SettingsError(f"{STUB_DOMAINS}: must be a JSON object, zone -> list of addresses")
    zones = tuple(own)
    found = []
    for text, servers in stubs.items():
        zone = key_from_text(text)
        if not zone or any(zone[len(zone) - len(apex) :] == apex for apex in zones):
            raise SettingsError(f"{STUB_DOMAINS}: {text!r} belongs to the cluster or is the root; name another zone")
        listed = _servers(f"{STUB_DOMAINS}.{text}", servers)
        if not listed:
            raise SettingsError(f"{STUB_DOMAINS}: {text!r} has no servers")
        found.append((zone, listed))
    return Forwarding(upstreams or default, tuple(found))


def _json(data: Mapping[str, str], key: str, default: object) -> Any:
    text = data.get(key, "").strip()
    if not text:
        return default
    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{key}: not JSON ({error})") from error


def _servers(where: str, entries: Any) -> tuple[Server, ...]:
    if not isinstance(entries, list):
        raise SettingsError(f"{where}: must be a JSON list of addresses")
    found = []
    for entry in entries:
        address, _, port = str(entry).partition(":")
        try:
            number = int(port) if port else PORT
            server = Server(IPv4Address(address), number)
        except ValueError as error:
            raise SettingsError(f"{where}: {entry!r} is no IPv4 address with or without a port") from error
        if not 0 < number < 65536:
            raise SettingsError(f"{where}: {entry!r} has no valid port")
        found.append(server)
    return tuple(found)
