"""The object `ConnectionCount/cluster`: open Service connections by endpoint, from the nodes' agents to the controller.

It holds endpoints of Services with the algorithm `least-connections` that have a connection at all. The numbers rise at
once and fall slowly (`agents.services.open_connections.smoothed`).
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any, Final, TypeAlias

KIND: Final = "ConnectionCount"
API_VERSION: Final = "kubinet.dev/v1"
NAME: Final = "cluster"
"""The name of the one object."""

Counts: TypeAlias = Mapping[tuple[IPv4Address, int], int]
"""Endpoint (address, port) -> open connections over all nodes."""


def counts_to_wire(counts: Counts) -> dict[str, int]:
    """The form of `status.endpoints`: "10.244.1.2:8080" -> 12, in the order of addresses."""
    return {f"{address}:{port}": counts[address, port] for address, port in sorted(counts)}


def counts_from_object(obj: Mapping[str, Any] | None) -> Counts:
    """What the object says; nothing where there is none. Entries that are no endpoint with a number are left out."""
    status = (obj or {}).get("status") or {}
    return dict(_entries(status.get("endpoints") or {}))


def _entries(endpoints: Mapping[str, Any]) -> Iterator[tuple[tuple[IPv4Address, int], int]]:
    for text, number in endpoints.items():
        address, _, port = text.rpartition(":")
        # Agents alone write it, but the API takes anything: a wrong entry must not stop the data plane.
        with suppress(ValueError, TypeError):
            yield (IPv4Address(address), int(port)), max(0, int(number))


class ConnectionCache:
    """Gives the same mapping again while nothing changed: compilation compares by identity."""

    def __init__(self) -> None:
        self._object: Mapping[str, Any] | None = None
        self._counts: Counts = {}

    def counts(self, obj: Mapping[str, Any] | None) -> Counts:
        """What the object says, as `counts_from_object`."""
        if obj is not self._object:
            counts = counts_from_object(obj)
            self._object = obj
            if counts != self._counts:
                self._counts = counts
        return self._counts
