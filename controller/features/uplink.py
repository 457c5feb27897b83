"""br-phy: the underlay port and the node's own stack; translation of what pods send to the outside.

Two ports that carry the node's traffic need no learning switch: what the stack sends goes out, what arrives goes to the
stack. That is also where Open vSwitch's userspace tunnels begin and end (they look at what the local port is sent).
"""

from collections.abc import Iterator
from typing import Final

from controller.features.common import BridgeFlow, Maker, node_owner
from controller.openflow.actions import CopyField, Ct, Nat, Output, SetField
from controller.openflow.fields import (
    ETH_DST,
    ETH_SRC,
    IN_PORT,
    IP,
    IPV4_DST,
    IPV4_SRC,
    LOCAL,
    TCP,
    UDP,
    UDP_DST,
    Bits,
)
from controller.openflow.flow import Category
from controller.pipeline import UPLINK, UPLINK_OUTPUT, UPLINK_RETURN, UPLINK_SERVICE, Priority
from controller.registers import CT_NEIGHBOUR, CT_SERVICE, SNAT_PORTS, Zone
from kubinet.addressing import INTEGRATION_PATCH_PORT, STACK_ROUTER, UNDERLAY_PORT
from kubinet.state import ClusterState, Node, Overlay

TUNNEL_UDP_PORT: Final = {Overlay.VXLAN: 4789, Overlay.GENEVE: 6081}
"""UDP destination ports of the encapsulations (RFC 7348, RFC 8926)."""


def flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """All of br-phy but its table misses."""
    make = Maker(node_owner(node), Category.UNDERLAY)
    out, to_stack = Output(UNDERLAY_PORT), Output(LOCAL)
    from_underlay, from_stack = IN_PORT(UNDERLAY_PORT), IN_PORT(LOCAL)
    for table in (UPLINK, UPLINK_OUTPUT):
        priority = Priority.GUARD if table is UPLINK else Priority.NORMAL
        yield make(table, priority, (from_underlay,), to_stack)
        yield make(table, priority, (from_stack,), out)
    yield from _translation(state, node)
    yield from _service_clients(state, node)
    # What belongs to pods crosses the underlay inside a tunnel, or bare between the bridges; never through the stack.
    yield make(UPLINK, Priority.FALLBACK, (from_underlay, IP, IPV4_DST(state.network.pod_cidr)))
    yield make(UPLINK, Priority.OVERRIDE, (from_stack, IP, IPV4_DST(state.network.pod_cidr)))
    port = TUNNEL_UDP_PORT.get(state.network.overlay)
    if port is not None:
        # Before any Service or host port that names the node's address: the overlay must not be taken away.
        yield make(
            UPLINK, Priority.FIRST, (from_underlay, IP, UDP, IPV4_DST(node.underlay.ip), UDP_DST(port)), to_stack
        )
        return
    arriving = (from_underlay, IP, ETH_DST(node.underlay_mac), IPV4_DST(node.pod_cidr))
    yield make(UPLINK, Priority.NORMAL, arriving, Output(INTEGRATION_PATCH_PORT))
    between_pods = (IN_PORT(INTEGRATION_PATCH_PORT), IP, IPV4_SRC(node.pod_cidr), IPV4_DST(state.network.pod_cidr))
    yield make(UPLINK, Priority.SPECIAL, between_pods, out)


def to_services() -> Ct:
    """What a client outside sends to a Service: on to br-int, and remember which neighbour it came from."""
    return Ct(
        Zone.UPLINK_SERVICE,
        commit=True,
        table=UPLINK_SERVICE.number,
        marks=(CT_SERVICE(1), CopyField(Bits.whole(ETH_SRC), CT_NEIGHBOUR)),
    )


def _service_clients(_state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """The way of Services' clients that are outside: in by the flows of each Service, back by what was remembered."""
    make = Maker(node_owner(node), Category.SERVICES)
    yield make(UPLINK_SERVICE, Priority.NORMAL, (IP,), Output(INTEGRATION_PATCH_PORT))
    back = Ct(Zone.UPLINK_SERVICE, table=UPLINK_RETURN.number)
    yield make(UPLINK, Priority.NORMAL, (IN_PORT(INTEGRATION_PATCH_PORT), IP), back)
    yield make(
        UPLINK_RETURN,
        Priority.NORMAL,
        (IP, CT_SERVICE(1)),
        CopyField(CT_NEIGHBOUR, Bits.whole(ETH_DST)),
        SetField(ETH_SRC(node.underlay_mac)),
        Output(UNDERLAY_PORT),
    )


def _translation(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    make = Maker(node_owner(node), Category.EXTERNAL)
    zone = Zone.UPLINK_SNAT
    address = node.underlay.ip
    ported = Ct(zone, commit=True, table=UPLINK_OUTPUT.number, nat=Nat(source=address, ports=SNAT_PORTS))
    plain = Ct(zone, commit=True, table=UPLINK_OUTPUT.number, nat=Nat(source=address))
    back = Ct(zone, table=UPLINK_OUTPUT.number, nat=Nat())
    for inner in (IPV4_SRC(state.network.pod_cidr), IPV4_SRC(STACK_ROUTER)):
        leaving = (IN_PORT(LOCAL), IP, inner)
        yield make(UPLINK, Priority.NORMAL, (*leaving, TCP), ported)
        yield make(UPLINK, Priority.NORMAL, (*leaving, UDP), ported)
        yield make(UPLINK, Priority.POD, leaving, plain)
    yield make(UPLINK, Priority.NORMAL, (IN_PORT(UNDERLAY_PORT), IP, IPV4_DST(address)), back)
