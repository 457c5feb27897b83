"""Which tracked connections lead to endpoints that serve no more: pure. The rules are kube-proxy's.

A UDP client that goes on sending from one port keeps its connection entry, and with it its endpoint, for ever. So an
entry whose original destination is a Service's address is removed when its replies come from an address that is no
serving endpoint any more. As long as a Service has no endpoint at all its entries stay. Traffic policies and hints are
no reason: what they keep new connections from still serves old ones. TCP and SCTP end by themselves, except when the
pod is gone: nobody would answer.
"""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from kubinet.addressing import MAIN_ZONE, REJECT_ADDRESS, REJECT_PORT
from kubinet.state import Endpoint, Service
from kubinet.transport import Protocol

Target: TypeAlias = tuple[IPv4Address, int]
"""Address and port that an entry's replies come from."""
REFUSED: Final[Target] = (REJECT_ADDRESS, REJECT_PORT)
"""Where connections of Services without endpoints lead; stale as soon as there is an endpoint."""


@dataclass(frozen=True, slots=True)
class Front:
    """What a UDP client sends to; address None stands for the node's own one (a node port)."""

    address: IPv4Address | None
    port: int


@dataclass(frozen=True, slots=True)
class Stale:
    """Connections through a front whose replies come from the target are to be forgotten."""

    front: Front
    target: Target


Known: TypeAlias = Mapping[Front, frozenset[Target]]
"""Where connections through each front may lead."""


def step(known: Known, before: Mapping[str, Service], after: Mapping[str, Service]) -> tuple[Known, frozenset[Stale]]:
    """What is known after a change of Services, and what became stale by it. Unchanged Services are the same values."""
    result = dict(known)
    found: set[Stale] = set()
    for key, service in after.items():
        if before.get(key) is service:
            continue
        for front, targets in _fronts(service):
            old = known.get(front, frozenset())
            if targets:
                found.update(Stale(front, target) for target in old - targets)
                if not old & targets:
                    # The controller may have seen a moment without endpoints that we did not.
                    found.add(Stale(front, REFUSED))
                result[front] = targets
            else:
                result[front] = old | {REFUSED}
    return result, frozenset(found)


def _fronts(service: Service) -> Iterator[tuple[Front, frozenset[Target]]]:
    for port in service.ports:
        if port.protocol is not Protocol.UDP:
            continue
        targets = frozenset((one.address, one.port) for one in port.endpoints if _serves(one))
        for address in (service.cluster_ip, *service.external):
            yield Front(address, port.port), targets
        if port.node_port is not None:
            yield Front(None, port.node_port), targets


def _serves(endpoint: Endpoint) -> bool:
    """Ready without serving is an endpoint of a Service with publishNotReadyAddresses: connections go there."""
    return endpoint.serving or endpoint.ready


@dataclass(frozen=True, slots=True)
class Entry:
    """A tracked UDP connection: the original direction, and where its replies come from."""

    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    target: Target


def stale_entries(entries: Iterator[Entry], known: Known, own: IPv4Address) -> Iterator[Entry]:
    """The entries that lead where `known` says that their front does not; `own` is the node's address."""
    for entry in entries:
        address = None if entry.destination == own else entry.destination
        targets = known.get(Front(address, entry.destination_port)) or known.get(
            Front(entry.destination, entry.destination_port)
        )
        if targets and REFUSED not in targets and entry.target not in targets:
            yield entry


def matching_entries(entries: Iterator[Entry], stale: Set[Stale], own: IPv4Address) -> Iterator[Entry]:
    """The entries that are among `stale`; `own` is the node's address, where node ports are."""
    for entry in entries:
        addresses = (entry.destination, None) if entry.destination == own else (entry.destination,)
        if any(Stale(Front(address, entry.destination_port), entry.target) in stale for address in addresses):
            yield entry


# Open vSwitch's words (ovs-dpctl(8), flush-conntrack): an original tuple and a reply tuple, both may be partial.


def flush_stale(stale: Stale, own: IPv4Address) -> tuple[str, ...]:
    """Arguments of `dpctl/flush-conntrack` on a node with this address."""
    address, (target, port) = stale.front.address or own, stale.target
    return (
        f"zone={MAIN_ZONE}",
        f"ct_nw_dst={address},ct_nw_proto={Protocol.UDP:d},ct_tp_dst={stale.front.port}",
        f"ct_nw_src={target},ct_nw_proto={Protocol.UDP:d},ct_tp_src={port}",
    )


def flush_entry(entry: Entry) -> tuple[str, ...]:
    """Arguments of `dpctl/flush-conntrack` for one entry."""
    source = f"ct_nw_src={entry.source},ct_tp_src={entry.source_port}"
    destination = f"ct_nw_dst={entry.destination},ct_tp_dst={entry.destination_port}"
    return (f"zone={MAIN_ZONE}", f"{source},{destination},ct_nw_proto={Protocol.UDP:d}")


def flush_pod(address: IPv4Address) -> tuple[str, ...]:
    """Arguments of `dpctl/flush-conntrack` for connections of every protocol that a pod answered, which is gone."""
    return (f"zone={MAIN_ZONE}", "", f"ct_nw_src={address}")


_ENTRY: Final = re.compile(
    r"udp,orig=\(src=([\d.]+),dst=([\d.]+),sport=(\d+),dport=(\d+)\),"
    rf"reply=\(src=([\d.]+),dst=[\d.]+,sport=(\d+),dport=\d+\),zone={MAIN_ZONE}(?:,|$)"
)


def read_entries(dump: str) -> Iterator[Entry]:
    """The UDP entries of what `dpctl/dump-conntrack` prints."""
    for line in dump.splitlines():
        match = _ENTRY.match(line)
        if match:
            source, destination, sport, dport, target, port = match.groups()
            yield Entry(
                IPv4Address(source), int(sport), IPv4Address(destination), int(dport), (IPv4Address(target), int(port))
            )
