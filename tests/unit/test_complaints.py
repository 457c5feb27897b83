"""What Services' owners are told when something of a Service cannot be in force."""

from dataclasses import replace
from ipaddress import IPv4Address

from controller.complaints import complaints
from kubinet.state import Algorithm, ClusterState, Datapath, Endpoint, NetworkConfig, Service, ServicePort, ServiceProxy
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
