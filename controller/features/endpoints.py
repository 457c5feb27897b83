"""Endpoints: one flow each that commits a connection to it, however many Services name it."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from controller.features.common import TOPOLOGY, BridgeFlow, Maker
from controller.openflow.actions import CopyField, Ct, Nat
from controller.openflow.fields import IP, IP_PROTO, IPV4_SRC, Term
from controller.openflow.flow import Category, Owner
from controller.pipeline import EGRESS_ENTRY, ENDPOINT_DNAT, Priority
from controller.registers import (
    BACKENDS,
    CT_BACKENDS,
    CT_HAIRPIN,
    CT_SERVICE,
    CT_SNAT,
    CT_SOURCE,
    ENDPOINT_ADDRESS,
    ENDPOINT_PORT,
    MASQUERADE,
    SOURCE,
    Place,
    Zone,
)
from kubinet.addressing import REJECT_ADDRESS, REJECT_PORT
from kubinet.transport import Protocol


def _matches(address: IPv4Address, port: int, protocol: Protocol) -> tuple[Term, ...]:
    return IP, IP_PROTO(protocol), ENDPOINT_ADDRESS(int(address)), ENDPOINT_PORT(port)


def commit(address: IPv4Address, port: int, *marks: Term | CopyField) -> Ct:
    """Make the connection one to this address and port, and remember where it came from."""
    known = (CT_SERVICE(1), CopyField(SOURCE, CT_SOURCE), CopyField(BACKENDS, CT_BACKENDS))
    translation = Nat(destination=address, ports=(port, port))
    return Ct(Zone.MAIN, commit=True, table=EGRESS_ENTRY.number, nat=translation, marks=(*known, *marks))


def flows(address: IPv4Address, port: int, protocol: Protocol, owner: Owner, *, pod: bool) -> Iterator[BridgeFlow]:
    """What every node has for an endpoint. `pod`: the address is of the pod network, so replies come back to br-int."""
    make = Maker(owner, Category.SERVICES)
    match = _matches(address, port, protocol)
    asked = commit(address, port, CopyField(MASQUERADE, CT_SNAT))
    yield make(ENDPOINT_DNAT, Priority.NORMAL, match, asked)
    if not pod:
        # Reached through the node's own stack: only as the stack's router does br-int see the replies.
        for place in (Place.GATEWAY, Place.OUTSIDE):
            yield make(ENDPOINT_DNAT, Priority.SPECIAL, (*match, SOURCE(place)), commit(address, port, CT_SNAT(1)))


def hairpin_flows(address: IPv4Address, port: int, protocol: Protocol, owner: Owner) -> Iterator[BridgeFlow]:
    """On the endpoint's own node: a pod that reaches itself through its Service sees the gateway as its client."""
    make = Maker(owner, Category.SERVICES)
    match = (*_matches(address, port, protocol), IPV4_SRC(address))
    yield make(ENDPOINT_DNAT, Priority.OVERRIDE, match, commit(address, port, CT_SNAT(1), CT_HAIRPIN(1)))


def refusal_flows() -> Iterator[BridgeFlow]:
    """The endpoint that refuses: where connections to Services without endpoints go."""
    for protocol in Protocol:
        yield from flows(REJECT_ADDRESS, REJECT_PORT, protocol, TOPOLOGY, pod=False)
