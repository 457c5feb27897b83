"""Host ports: ports of a node's own address that lead to one of its pods, as the CNI plugin `portmap` does it. Pure.

They are there whoever realises Services, come before node ports, and keep the client's address: the pod is on the node
that the client asked. The node's own programs do not come by here; they have the pod's address.
"""

from collections.abc import Iterable, Iterator

from controller.features.common import BridgeFlow, Maker, pod_owner
from controller.features.endpoints import commit
from controller.features.services import DESTINATION_PORT
from controller.features.uplink import TUNNEL_UDP_PORT, to_services
from controller.openflow.fields import IN_PORT, IP, IP_PROTO, IPV4_DST, IPV4_SRC
from controller.openflow.flow import Category
from controller.pipeline import SERVICE_LB, UPLINK, Priority
from controller.registers import CT_HAIRPIN, CT_SNAT
from kubinet.addressing import UNDERLAY_PORT
from kubinet.state import HostPort, NetworkConfig, Node, Pod
from kubinet.transport import Protocol


def owned(pods: Iterable[Pod], node: Node, network: NetworkConfig) -> Iterator[tuple[Pod, HostPort]]:
    """The node's host ports and their pods; of several pods that want one, the first by name has it."""
    tunnel = (Protocol.UDP, TUNNEL_UDP_PORT.get(network.overlay, 0))
    taken = {tunnel}
    for pod in sorted(pods, key=lambda pod: pod.key):
        for port in pod.host_ports:
            if port.address in (None, node.underlay.ip) and (port.protocol, port.port) not in taken:
                taken.add((port.protocol, port.port))
                yield pod, port


def flows(pods: Iterable[Pod], node: Node, network: NetworkConfig) -> Iterator[BridgeFlow]:
    """What the node has for the host ports of its own pods."""
    for pod, port in owned(pods, node, network):
        make = Maker(pod_owner(pod), Category.PODS)
        match = (IP, IP_PROTO(port.protocol), IPV4_DST(node.underlay.ip), DESTINATION_PORT[port.protocol](port.port))
        yield make(UPLINK, Priority.OVERRIDE, (IN_PORT(UNDERLAY_PORT), *match), to_services())
        yield make(SERVICE_LB, Priority.OVERRIDE, match, commit(pod.address, port.container_port))
        itself = (*match, IPV4_SRC(pod.address))
        marks = CT_SNAT(1), CT_HAIRPIN(1)
        yield make(SERVICE_LB, Priority.FIRST, itself, commit(pod.address, port.container_port, *marks))
