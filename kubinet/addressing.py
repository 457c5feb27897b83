"""Every name, address and number that several parts derive on their own: one function each.

MAC addresses, OpenFlow ports and interface names are functions of the objects they belong to, so the controller
can compile flows for a pod as soon as the pod has an address, without asking the switch.
"""

import hashlib
from ipaddress import IPv4Address, IPv4Network
from typing import Final

INTEGRATION_BRIDGE: Final = "br-int"
"""The bridge with the pods' ports, the tunnel and the gateway."""

UPLINK_BRIDGE: Final = "br-phy"
"""The bridge with the node's underlay interface; its local port holds the node's address."""

GATEWAY_INTERFACE: Final = "gw0"
"""Internal port of br-int: the node's own stack, at the first address of the node's pod CIDR."""

UNDERLAY_INTERFACE: Final = "eth0"
"""Role name of the node's underlay interface (Mininet's real name is `<node>-eth0`)."""

# OpenFlow ports of br-int.
TUNNEL_PORT: Final = 1
GATEWAY_PORT: Final = 2
UPLINK_PATCH_PORT: Final = 4
FIRST_POD_PORT: Final = 100

# OpenFlow ports of br-phy.
UNDERLAY_PORT: Final = 1
INTEGRATION_PATCH_PORT: Final = 2

STACK_ROUTER: Final = IPv4Address("169.254.1.1")
"""What the node's kernel believes to be the router to all other nodes' pods: one neighbour that is always known,
instead of an ARP request and an entry of the machine's neighbour table for each pod. It is also the source address of
Service connections that go into the node's own stack, so that their replies come back to br-int."""

REJECT_ADDRESS: Final = IPv4Address("169.254.1.2")
REJECT_PORT: Final = 1
"""Connections to Services without endpoints go to this address of the node's own stack, where nothing listens: the
kernel refuses them as it refuses any (TCP reset, ICMP port unreachable), and no packet needs the controller."""

MAIN_ZONE: Final = 1
"""br-int's connection tracking: every connection, and the translation of Services' destinations."""
SERVICE_MARK_BIT: Final = 4
"""The bit of ct_mark that a connection in MAIN_ZONE has when its destination was translated."""
SNAT_ZONE: Final = 2
"""br-int's connection tracking of connections whose source is translated."""

FIRST_NODE_PORT: Final = 30000
LAST_NODE_PORT: Final = 32767
"""The ports of type NodePort (Kubernetes' `--service-node-port-range`), both included."""

VIRTUAL_MAC: Final = "aa:bb:cc:dd:ee:ff"
"""What every pod believes to be its neighbours' and its router's MAC address; OVS answers ARP with it."""

INTERFACE_NAME_LIMIT: Final = 15
"""IFNAMSIZ - 1 (linux/if.h)."""


def pod_mac(address: IPv4Address) -> str:
    """The MAC address of the pod or gateway at this address: `0a:58` and the four address bytes."""
    return ":".join(f"{byte:02x}" for byte in b"\x0a\x58" + address.packed)


def gateway_address(pod_cidr: IPv4Network) -> IPv4Address:
    """The address of the node's own stack in its pod CIDR: the first one."""
    return pod_cidr.network_address + 1


def pod_port(address: IPv4Address, pod_cidr: IPv4Network) -> int:
    """The OpenFlow port of br-int for the pod at `address` (>= `FIRST_POD_PORT`)."""
    return FIRST_POD_PORT + int(address) - int(pod_cidr.network_address)


def pod_interface(namespace: str, name: str) -> str:
    """The name of a pod's interface on the node's side: `p-` and ten hexadecimal digits of its name's hash."""
    return f"p-{hashlib.sha256(f'{namespace}/{name}'.encode()).hexdigest()[:10]}"


def datapath_id(node_index: int, bridge: str) -> int:
    """OpenFlow datapath id: 1 (br-int) or 2 (br-phy) in the upper 32 bits, the node's index in the lower."""
    return ({INTEGRATION_BRIDGE: 1, UPLINK_BRIDGE: 2}[bridge] << 32) | node_index


def node_index_and_bridge(dpid: int) -> tuple[int, str]:
    """The inverse of `datapath_id`."""
    return dpid & 0xFFFFFFFF, {1: INTEGRATION_BRIDGE, 2: UPLINK_BRIDGE}[dpid >> 32]
