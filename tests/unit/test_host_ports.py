"""Host ports: who has which, and what a Pod object says about them."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from controller.compile import Compiler
from controller.features.hostports import flows, owned
from kubinet.addressing import INTEGRATION_BRIDGE, UPLINK_BRIDGE
from kubinet.kubernetes import pod_from_object
from kubinet.state import ClusterState, HostPort, NetworkConfig, Node, Overlay, Pod
from kubinet.transport import Protocol

OWN = IPv4Address("172.18.0.1")
NODE = Node("n1", 1, IPv4Interface(f"{OWN}/24"), "06:00:00:00:00:01", IPv4Network("10.244.1.0/24"))


def _pod(name: str, *ports: HostPort, host: int = 5) -> Pod:
    return Pod("default", name, "n1", IPv4Address(f"10.244.1.{host}"), host_ports=ports)


def _owners(*pods: Pod, overlay: Overlay = Overlay.VXLAN) -> list[tuple[str, int]]:
    return [(pod.name, port.port) for pod, port in owned(pods, NODE, NetworkConfig(overlay=overlay))]


def test_the_first_by_name_has_a_port_that_several_want() -> None:
    """Whatever their order; the same number of another protocol is another port."""
    a, b = _pod("a", HostPort(80, 8080)), _pod("b", HostPort(80, 8080), HostPort(80, 8080, Protocol.UDP))
    assert _owners(b, a) == [("a", 80), ("b", 80)]
    assert [port.protocol for _, port in owned((b, a), NODE, NetworkConfig())] == [Protocol.TCP, Protocol.UDP]


@pytest.mark.parametrize(("address", "there"), [(None, True), (OWN, True), (IPv4Address("127.0.0.1"), False)])
def test_another_address_than_the_nodes_leads_nowhere(address: IPv4Address | None, there: bool) -> None:
    """hostIP: none, the node's own, another one."""
    assert bool(_owners(_pod("a", HostPort(80, 8080, address=address)))) is there


@pytest.mark.parametrize(("overlay", "there"), [(Overlay.VXLAN, False), (Overlay.GENEVE, True), (Overlay.DIRECT, True)])
def test_no_pod_takes_the_tunnels_port(overlay: Overlay, there: bool) -> None:
    """UDP port 4789 carries the overlay VXLAN."""
    assert bool(_owners(_pod("a", HostPort(4789, 53, Protocol.UDP)), overlay=overlay)) is there


def test_a_host_port_is_three_flows() -> None:
    """One on br-phy, two on br-int, all the pod's; pods without host ports have none."""
    made = list(flows([_pod("a", HostPort(80, 8080)), _pod("b", host=6)], NODE, NetworkConfig()))
    assert [one.bridge for one in made] == [UPLINK_BRIDGE, INTEGRATION_BRIDGE, INTEGRATION_BRIDGE]
    assert {str(one.flow.owner) for one in made} == {"Pod/default/a"}


def test_two_pods_with_one_port_do_not_break_their_node() -> None:
    """The node's program is made, and goes back to what it was when one of them goes."""
    one, two = _pod("a", HostPort(80, 8080)), _pod("b", HostPort(80, 8080), host=6)
    compiler = Compiler()

    def count(*pods: Pod) -> list[int]:
        state = ClusterState(NetworkConfig(), {"n1": NODE}, {pod.key: pod for pod in pods})
        made = compiler.compile(state)["n1"]
        assert not isinstance(made, Exception)
        return [made[bridge].flow_count for bridge in (INTEGRATION_BRIDGE, UPLINK_BRIDGE)]

    none = count()
    assert count(one, two) == [none[0] + 7 + 7 + 2, none[1] + 1]
    assert count(two) == [none[0] + 7 + 2, none[1] + 1]
    assert count() == none


def test_host_ports_of_a_pod_object() -> None:
    """Ports with hostPort of all containers; 0.0.0.0 means every address, IPv6 is left out."""
    ports = [
        {"containerPort": 8080, "hostPort": 80, "hostIP": "0.0.0.0"},
        {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": str(OWN)},
        {"containerPort": 9, "hostPort": 9, "hostIP": "::1"},
        {"containerPort": 8081},
    ]
    obj = {
        "metadata": {"namespace": "default", "name": "a"},
        "spec": {"nodeName": "n1", "containers": [{"ports": ports[:1]}, {"ports": ports[1:]}]},
        "status": {"podIP": "10.244.1.5"},
    }
    pod = pod_from_object(obj)
    assert pod is not None
    assert pod.host_ports == (HostPort(80, 8080), HostPort(53, 53, Protocol.UDP, OWN))
