"""What a walk says of a node's own kernel."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from clusters import node

from controller.walk.packet import Packet, WalkError
from controller.walk.stack import Turn, receives, source_of
from kubinet.state import ClusterState, Endpoint, NetworkConfig, Service, ServicePort, ServiceProxy
from kubinet.transport import Protocol

ENDPOINT = Endpoint(IPv4Address("10.244.1.2"), 8080, "n1")
WEB = Service("shop", "web", IPv4Address("10.96.0.9"), (ServicePort("", Protocol.TCP, 80, None, (ENDPOINT,)),))


def _ask(address: str, port: int, proxy: ServiceProxy) -> Turn:
    macs = "02:00:00:00:00:01", "02:00:00:00:00:02"
    packet = Packet(*macs, IPv4Address("10.244.1.3"), IPv4Address(address), Protocol.TCP, 40000, port)
    state = ClusterState(NetworkConfig(services=proxy), {"n1": node(1)}, {}, {WEB.key: WEB})
    return receives(state, node(1), packet, "gw0")


@pytest.mark.parametrize(
    ("address", "port", "words"),
    [
        ("10.96.0.9", 80, "chooses an endpoint of Service shop/web"),
        ("10.96.0.9", 81, "it refuses ports that a cluster IP's Service has not"),
        ("10.96.7.7", 80, "drops what is sent to cluster IPs of no Service"),
    ],
)
def test_what_nftables_rules_decide_is_not_guessed(address: str, port: int, words: str) -> None:
    """No flow shows it: the question is refused, with what the rules do."""
    with pytest.raises(WalkError, match=words):
        _ask(address, port, ServiceProxy.NFTABLES)


@pytest.mark.parametrize(
    ("destination", "port", "source"),
    [
        ("10.244.2.9", 80, "10.244.1.1"),
        ("10.96.0.9", 80, "10.244.1.1"),
        ("172.31.0.5", 80, "172.18.0.2"),
        ("203.0.113.7", 80, "172.18.0.2"),
        ("172.18.0.2", 30080, "10.244.1.1"),
        ("172.18.0.2", 22, "172.18.0.2"),
        ("192.0.2.9", 80, "172.18.0.2"),
    ],
)
def test_a_nodes_own_source_address(destination: str, port: int, source: str) -> None:
    """Its gateway's to pods, cluster IPs and its own node ports; else its own, to Services' external addresses too."""
    service = replace(WEB, external_ips=(IPv4Address("203.0.113.7"),))
    state = ClusterState(NetworkConfig(), {"n1": node(1)}, {}, {WEB.key: service})
    assert str(source_of(state, node(1), IPv4Address(destination), port)) == source


def test_other_addresses_are_routed() -> None:
    """Whoever realises Services: a pod's address goes to gw0."""
    assert {_ask("10.244.1.9", 80, proxy).device for proxy in ServiceProxy} == {"gw0"}
