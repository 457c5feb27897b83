"""Registers, marks of connections, and zones of connection tracking: what the pipeline's tables tell each other.

One page with `controller.pipeline`, which has the tables.
"""

from enum import IntEnum
from typing import Final

from controller.openflow.fields import (
    CT_LABEL,
    CT_MARK,
    REG0,
    REG1,
    REG2,
    REG3,
    REG4,
    REG5,
    REG6,
    REG7,
    REG8,
    REG9,
    REG15,
    Bits,
)
from kubinet.addressing import MAIN_ZONE, SERVICE_MARK_BIT, SNAT_ZONE

SOURCE: Final = Bits(REG0, 0, 4)
"""Where the packet came from: a `Place`."""
DESTINATION: Final = Bits(REG0, 4, 4)
"""Where the packet goes: a `Place`."""
MASQUERADE: Final = Bits(REG0, 8, 1)
"""The connection's source is to be translated, because its replies must come back through this node."""
OUTPUT_PORT: Final = Bits.whole(REG1)
"""The OpenFlow port that Output sends the packet to."""
SCRATCH: Final = REG2
"""Free for use within one flow (the ARP responder swaps addresses through it)."""
SLOT: Final = Bits(REG2, 0, 16)
"""Between ServiceLB and EndpointSlot: the slot that the packet's hash chose."""
ENDPOINT_ADDRESS: Final = Bits.whole(REG3)
ENDPOINT_PORT: Final = Bits(REG4, 0, 16)
CHOSEN: Final = Bits(REG4, 16, 1)
"""The controller has chosen the endpoint and sent the packet again."""
EGRESS_RULE: Final = Bits.whole(REG5)
"""The rule that decided on egress: its conjunction, or the number of the set of policies that isolates the pod."""
SENDER: Final = Bits.whole(REG8)
"""The OpenFlow port of the local pod whose egress policies are asked."""
INGRESS_RULE: Final = Bits.whole(REG6)
"""The same for ingress."""
EPOCH: Final = Bits.whole(REG9)
"""Another number when a node's policy flows change. No flow matches on it: see controller/policy/epochs.py."""
BACKENDS: Final = Bits.whole(REG7)
"""The id of a set of endpoints: of a Service's port, and whether all of them or the node's own; also its group's."""
NEVER: Final = REG15
"""Written by no flow: canary flows match on it and so never match."""

REGISTERS: Final = {
    "SOURCE": SOURCE,
    "DESTINATION": DESTINATION,
    "OUTPUT_PORT": OUTPUT_PORT,
    "MASQUERADE": MASQUERADE,
    "SCRATCH": Bits.whole(SCRATCH),
    "SLOT": SLOT,
    "ENDPOINT_ADDRESS": ENDPOINT_ADDRESS,
    "ENDPOINT_PORT": ENDPOINT_PORT,
    "CHOSEN": CHOSEN,
    "EGRESS_RULE": EGRESS_RULE,
    "INGRESS_RULE": INGRESS_RULE,
    "SENDER": SENDER,
    "EPOCH": EPOCH,
    "BACKENDS": BACKENDS,
}


class Place(IntEnum):
    """Classes of ports, in `SOURCE` and `DESTINATION`."""

    TUNNEL = 1
    GATEWAY = 2
    POD = 3
    UPLINK = 4
    """The patch to br-phy, for other nodes' pods without encapsulation."""
    OUTSIDE = 5
    """The patch to br-phy, for clients of Services that are outside of the cluster."""


# --- conntrack --------------------------------------------------------------------------------------------------------


class Zone(IntEnum):
    """Connection tracking zones; the same on all nodes, because every node has a connection table of its own."""

    MAIN = MAIN_ZONE
    """br-int: every connection; translates Services' destinations."""
    SNAT = SNAT_ZONE
    """br-int: connections whose source is translated."""
    UPLINK_SNAT = 3
    """br-phy: what pods send to the outside."""
    UPLINK_SERVICE = 4
    """br-phy: what clients outside send to Services; remembers the neighbour that it came from."""


CT_SOURCE: Final = Bits(CT_MARK, 0, 4)
"""The `Place` that the connection's first packet came from."""
CT_SERVICE: Final = Bits(CT_MARK, SERVICE_MARK_BIT, 1)
"""The connection's destination was translated."""
CT_SNAT: Final = Bits(CT_MARK, 5, 1)
"""The connection's source is translated too."""
CT_HAIRPIN: Final = Bits(CT_MARK, 6, 1)
"""The endpoint is the client itself."""
CT_BLOCKED: Final = Bits(CT_MARK, 8, 1)
"""A policy denies the connection: its replies are dropped too."""
CT_BACKENDS: Final = Bits(CT_LABEL, 64, 32)
"""`BACKENDS` of the connection's first packet."""
CT_NEIGHBOUR: Final = Bits(CT_LABEL, 0, 48)
"""br-phy, zone UPLINK_SERVICE: the MAC address that the client's packets come from."""

CT_BITS: Final = {
    "CT_SOURCE": CT_SOURCE,
    "CT_SERVICE": CT_SERVICE,
    "CT_SNAT": CT_SNAT,
    "CT_HAIRPIN": CT_HAIRPIN,
    "CT_BLOCKED": CT_BLOCKED,
    "CT_BACKENDS": CT_BACKENDS,
    "CT_NEIGHBOUR": CT_NEIGHBOUR,
}

LEARNED_COOKIE: Final = 0xFFFF << 48
"""Upper bits of learned flows' cookies: no round of the controller's sweeps them."""

SNAT_PORTS: Final = (49152, 65535)
"""Ports that translated connections use (RFC 6335's dynamic range); the node's own sockets must stay below."""
