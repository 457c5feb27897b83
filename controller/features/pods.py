"""A node's own pods: classification, spoof guards, ARP, delivery. Seven flows per pod, none on other nodes."""

from collections.abc import Iterator

from controller.features.common import TOPOLOGY, BridgeFlow, Maker, pod_owner
from controller.openflow.actions import BOUNCE, Action, SetField, copy, load
from controller.openflow.fields import (
    ARP,
    ARP_OP,
    ARP_SHA,
    ARP_SPA,
    ARP_THA,
    ARP_TPA,
    ETH_DST,
    ETH_SRC,
    IN_PORT,
    IP,
    IPV4_DST,
    IPV4_SRC,
)
from controller.openflow.flow import Category
from controller.pipeline import (
    ARP_RESPONDER,
    ARP_SPOOF_GUARD,
    CLASSIFIER,
    L3_DEC_TTL,
    L3_FORWARD,
    SPOOF_GUARD,
    UNSNAT,
    Priority,
    goto,
)
from controller.registers import DESTINATION, OUTPUT_PORT, SCRATCH, SOURCE, Place
from kubinet.addressing import VIRTUAL_MAC
from kubinet.state import ClusterState, Node, Pod

_REQUEST = 1
_REPLY = 2


def shared_flows(state: ClusterState, node: Node) -> Iterator[BridgeFlow]:
    """The ARP responder, and drops for pod addresses that nobody has."""
    make = Maker(TOPOLOGY, Category.PODS)
    yield make(CLASSIFIER, Priority.NORMAL, (ARP,), goto(ARP_SPOOF_GUARD))
    yield make(
        ARP_RESPONDER,
        Priority.NORMAL,
        (ARP, ARP_OP(_REQUEST), ARP_TPA(node.pod_cidr)),
        *arp_answer(),
    )
    # Pod and service addresses never leave through the gateway: an address without a pod is a counted drop.
    yield make(L3_FORWARD, Priority.FALLBACK, (IP, IPV4_DST(state.network.pod_cidr)))
    yield make(L3_FORWARD, Priority.FALLBACK, (IP, IPV4_DST(state.network.service_cidr)))


def arp_answer() -> tuple[Action, ...]:
    """Turn an ARP request into its answer by the virtual MAC, and send it back."""
    return (
        copy(ARP_TPA, SCRATCH),
        copy(ETH_SRC, ETH_DST),
        SetField(ETH_SRC(VIRTUAL_MAC)),
        SetField(ARP_OP(_REPLY)),
        copy(ARP_SHA, ARP_THA),
        SetField(ARP_SHA(VIRTUAL_MAC)),
        copy(ARP_SPA, ARP_TPA),
        copy(SCRATCH, ARP_SPA),
        BOUNCE,
    )


def pod_flows(pod: Pod, node: Node) -> Iterator[BridgeFlow]:
    """The flows that exist for one pod, on its own node."""
    make = Maker(pod_owner(pod), Category.PODS)
    port = IN_PORT(pod.port(node))
    yield make(CLASSIFIER, Priority.POD, (port, IP), load(SOURCE, Place.POD), goto(SPOOF_GUARD))
    yield make(SPOOF_GUARD, Priority.NORMAL, (port, IP, ETH_SRC(pod.mac), IPV4_SRC(pod.address)), goto(UNSNAT))
    yield make(SPOOF_GUARD, Priority.GUARD, (port,))
    yield make(
        ARP_SPOOF_GUARD,
        Priority.NORMAL,
        (port, ARP, ARP_SPA(pod.address), ARP_SHA(pod.mac)),
        goto(ARP_RESPONDER),
    )
    yield make(ARP_SPOOF_GUARD, Priority.GUARD, (port,))
    # A pod that asks for its own address checks for duplicates (RFC 5227): silence says that it is alone.
    yield make(ARP_RESPONDER, Priority.SPECIAL, (port, ARP, ARP_TPA(pod.address)))
    yield make(
        L3_FORWARD,
        Priority.SPECIAL,
        (IP, IPV4_DST(pod.address)),
        SetField(ETH_SRC(VIRTUAL_MAC)),
        SetField(ETH_DST(pod.mac)),
        load(DESTINATION, Place.POD),
        load(OUTPUT_PORT, pod.port(node)),
        goto(L3_DEC_TTL),
    )
