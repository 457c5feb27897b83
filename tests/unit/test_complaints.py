"""What Services' owners are told when something of a Service cannot be in force."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from clusters import node

from controller.complaints import complaints
from kubinet.services import Clash
from kubinet.state import (
    Algorithm,
    ClusterState,
    Datapath,
    Endpoint,
    HostPort,
    NetworkConfig,
    Pod,
    Service,
    ServicePort,
    ServiceProxy,
)
from kubinet.transport import Protocol


def _state(service: Service, network: NetworkConfig) -> ClusterState:
    return ClusterState(network, {}, {}, {service.key: service})


def _told(state: ClusterState) -> list[tuple[str, str]]:
    return [(one.owner, one.reason) for one in complaints(state, (), {})]


PLAIN = Service("shop", "web", IPv4Address("10.96.0.9"), (ServicePort("http", Protocol.TCP, 80),))


def test_an_algorithm_that_nftables_has_not_is_told() -> None:
    """nftables chooses at random: a Service that wants Maglev is warned there, and only there."""
    maglev = replace(PLAIN, algorithm=Algorithm.MAGLEV)
    assert _told(_state(maglev, NetworkConfig(services=ServiceProxy.NFTABLES))) == [
        ("Service/shop/web", "LoadBalancerIgnored")
    ]
    assert _told(_state(maglev, NetworkConfig())) == []
    assert _told(_state(PLAIN, NetworkConfig(services=ServiceProxy.NFTABLES))) == []


def test_sctp_ports_that_cannot_be_translated_are_told() -> None:
    """The userspace datapath keeps SCTP ports: endpoints on another port are warned of, unless the datapath can."""
    endpoint = Endpoint(IPv4Address("10.244.0.2"), 8080, "n1")
    service = replace(PLAIN, ports=(ServicePort("s", Protocol.SCTP, 80, None, (endpoint,)),))
    assert _told(_state(service, NetworkConfig(datapath=Datapath.NETDEV))) == [
        ("Service/shop/web", "SCTPPortNotTranslated")
    ]
    assert _told(_state(service, NetworkConfig(datapath=Datapath.SYSTEM))) == []
    equal = replace(service, ports=(ServicePort("s", Protocol.SCTP, 8080, None, (endpoint,)),))
    assert _told(_state(equal, NetworkConfig(datapath=Datapath.NETDEV))) == []
    outside = replace(service, ports=(ServicePort("s", Protocol.SCTP, 8080, 30080, (endpoint,)),))
    assert _told(_state(outside, NetworkConfig(datapath=Datapath.NETDEV))) == [
        ("Service/shop/web", "SCTPPortNotTranslated")
    ]


def test_a_service_without_flows_is_told_why() -> None:
    """A Service whose flows could not be made has a complaint with the reason."""
    found = list(complaints(_state(PLAIN, NetworkConfig()), (), {"shop/web": "no room"}))
    assert [(one.reason, one.message) for one in found] == [("ServiceNotRealised", "no flow serves it: no room")]


@pytest.mark.parametrize("proxy", list(ServiceProxy))
def test_host_ports_that_outgoing_connections_may_get_are_told(proxy: ServiceProxy) -> None:
    """From 49152 on, TCP and UDP: the pod has them, but a pod's connection that gets one has no answers."""
    ports = (*map(HostPort, (49151, 49152, 65535), (80, 80, 80)), HostPort(50000, 80, Protocol.SCTP))
    pod = Pod("shop", "front", "n1", IPv4Address("10.244.1.2"), host_ports=ports)
    state = ClusterState(NetworkConfig(services=proxy), {"n1": node(1)}, {pod.key: pod})
    told = list(complaints(state, (), {}))
    assert {(one.owner, one.reason) for one in told} == {("Pod/shop/front", "PortUsedForTranslation")}
    assert [one.message.partition(":")[0] for one in told] == ["host port 49152", "host port 65535"]


def test_external_ports_of_a_node_that_outgoing_connections_may_get_are_told() -> None:
    """Only where the external address is a node's own."""
    port = ServicePort("http", Protocol.TCP, 60000)
    for address, expected in (
        (node(1).underlay.ip, [("Service/shop/web", "PortUsedForTranslation")]),
        (IPv4Address("198.51.100.1"), []),
    ):
        one = replace(PLAIN, ports=(port,), external_ips=(address,))
        assert _told(ClusterState(NetworkConfig(), {"n1": node(1)}, {}, {one.key: one})) == expected


@pytest.mark.parametrize("proxy", list(ServiceProxy))
def test_an_address_that_another_service_has_is_told(proxy: ServiceProxy) -> None:
    """Whoever realises Services."""
    clash = Clash("shop/api", "shop/web", IPv4Address("198.51.100.1"), 80, Protocol.TCP)
    told = list(complaints(_state(PLAIN, NetworkConfig(services=proxy)), (clash,), {}))
    assert [(one.owner, one.reason) for one in told] == [("Service/shop/web", "AddressInUse")]


@pytest.mark.parametrize("proxy", list(ServiceProxy))
def test_external_addresses_of_the_clusters_own_networks_are_told(proxy: ServiceProxy) -> None:
    """Pods' addresses and cluster IPs, unless it is the Service's own; an address outside of both is none."""
    own = replace(PLAIN, external_ips=(PLAIN.cluster_ip, IPv4Address("198.51.100.1"), IPv4Address("172.31.0.3")))
    assert _told(_state(own, NetworkConfig(services=proxy))) == []
    taken = replace(PLAIN, external_ips=(IPv4Address("10.244.1.2"), IPv4Address("10.96.7.7")))
    told = list(complaints(_state(taken, NetworkConfig(services=proxy)), (), {}))
    assert {(one.owner, one.reason) for one in told} == {("Service/shop/web", "AddressRefused")}
    assert [one.message.partition(" ")[0] for one in told] == ["10.244.1.2", "10.96.7.7"]


@pytest.mark.parametrize("proxy", list(ServiceProxy))
def test_endpoints_at_addresses_of_the_cluster_that_nobody_has_are_told(proxy: ServiceProxy) -> None:
    """A cluster IP, a pod's address without a pod; not a pod, a node's gateway, a host, or what names its node."""
    pod = Pod("shop", "front", "n1", IPv4Address("10.244.1.2"))
    addresses = ("10.96.0.9", "10.244.1.9", "10.244.1.2", str(node(1).pod_gateway), "198.51.100.7")
    by_hand = [Endpoint(IPv4Address(address), 8080) for address in addresses]
    of_a_pod_on_its_way_out = Endpoint(IPv4Address("10.244.1.3"), 8080, node="n1")
    port = ServicePort("http", Protocol.TCP, 80, endpoints=(*by_hand, of_a_pod_on_its_way_out))
    one = replace(PLAIN, ports=(port,), algorithm=Algorithm.RANDOM)
    state = ClusterState(NetworkConfig(services=proxy), {"n1": node(1)}, {pod.key: pod}, {one.key: one})
    told = list(complaints(state, (), {}))
    assert {(one.owner, one.reason) for one in told} == {("Service/shop/web", "EndpointUnreachable")}
    assert [one.message.partition(" is")[0] for one in told] == [
        "port 80: endpoint 10.96.0.9",
        "port 80: endpoint 10.244.1.9",
    ]
