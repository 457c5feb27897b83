"""What the words of `kubinet trace` mean."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from controller.walk.question import FromNode, FromOutside, FromPod, Sender
from kubinet.cli.clusterview import View
from kubinet.cli.traceplaces import Aim, aim_of, endpoint_of, other_endpoints, sender_of
from kubinet.errors import UsageError
from kubinet.state import Algorithm, ClusterState, Endpoint, NetworkConfig, Node, Pod, Service, ServicePort
from kubinet.transport import Protocol

TCP, UDP = Protocol.TCP, Protocol.UDP
N1 = Node(
    "n1", 1, IPv4Interface("172.18.1.2/24"), "02:00:00:00:00:01", IPv4Network("10.244.1.0/24"),
)  # fmt: skip
WEB = Pod("shop", "web", "n1", IPv4Address("10.244.1.2"))
A = Pod("default", "a", "n1", IPv4Address("10.244.1.3"))
ENDS = (Endpoint(WEB.address, 8080, "n1"), Endpoint(A.address, 8080, "n1"))
API = Service(
    "shop", "api", IPv4Address("10.96.0.10"),
    (ServicePort("http", TCP, 80, 30080, ENDS), ServicePort("dns", UDP, 53, None, ENDS[:1])),
)  # fmt: skip
STATE = ClusterState(
    NetworkConfig(), {"n1": N1}, {pod.key: pod for pod in (WEB, A)}, services={API.key: API}
)  # fmt: skip
VIEW = View(STATE, {"kube-system/proxy": "n1"}, {"h1": IPv4Address("192.0.2.9")})
H1 = FromOutside(IPv4Address("192.0.2.9"), "h1")


@pytest.mark.parametrize(
    ("word", "namespace", "sender"),
    [
        ("web", "shop", FromPod(WEB)),
        ("shop/web", "default", FromPod(WEB)),
        ("pod/a", "default", FromPod(A)),
        ("pod/shop/web", "default", FromPod(WEB)),
        ("kube-system/proxy", "default", FromNode(N1)),
        ("node/n1", "default", FromNode(N1)),
        ("outside/h1", "default", H1),
        ("10.244.1.2", "default", FromPod(WEB)),
        ("10.244.1.1", "default", FromNode(N1)),
        ("172.18.1.2", "default", FromNode(N1)),
        ("192.0.2.9", "default", H1),
        ("192.0.2.10", "default", FromOutside(IPv4Address("192.0.2.10"))),
    ],
)
def test_a_source_is_a_pod_a_node_an_outside_host_or_an_address(word: str, namespace: str, sender: Sender) -> None:
    """Pods of the host network are their node."""
    assert sender_of(word, namespace, VIEW) == sender


@pytest.mark.parametrize(
    ("word", "aim"),
    [
        ("shop/web:8080", Aim(WEB.address, TCP, 8080)),
        ("web:8080/UDP", Aim(WEB.address, UDP, 8080)),
        ("web", Aim(WEB.address, None)),
        ("web:icmp", Aim(WEB.address, None)),
        ("pod/web:5/sctp", Aim(WEB.address, Protocol.SCTP, 5)),
        ("node/n1:22", Aim(N1.underlay.ip, TCP, 22)),
        ("kube-system/proxy:10256", Aim(N1.underlay.ip, TCP, 10256)),
        ("outside/h1:443", Aim(IPv4Address("192.0.2.9"), TCP, 443)),
        ("8.8.8.8:53/udp", Aim(IPv4Address("8.8.8.8"), UDP, 53)),
        ("svc/api", Aim(API.cluster_ip, TCP, 80, API)),
        ("svc/shop/api:dns", Aim(API.cluster_ip, UDP, 53, API)),
        ("svc/api:53/udp", Aim(API.cluster_ip, UDP, 53, API)),
    ],
)
def test_a_destination_has_a_port_and_a_protocol(word: str, aim: Aim) -> None:
    """Without a port: ICMP, or the Service's first port; a Service's port may be named."""
    assert aim_of(word, "shop", VIEW, FromPod(WEB)) == aim


def test_a_service_is_reached_from_outside_by_its_outer_addresses() -> None:
    """A load balancer's address where it has one, else a node's port."""
    assert aim_of("svc/api", "shop", VIEW, H1) == Aim(N1.underlay.ip, TCP, 30080, API)
    balanced = replace(API, load_balancer_ips=(IPv4Address("172.31.0.5"),))
    view = View(replace(STATE, services={API.key: balanced}))
    assert aim_of("svc/api", "shop", view, H1) == Aim(IPv4Address("172.31.0.5"), TCP, 80, balanced)


@pytest.mark.parametrize(
    ("source", "destination", "words"),
    [
        ("svc/api", "web", "a Service sends nothing"),
        ("b", "web", "pod 'shop/b' is not there or has no address; namespace shop has shop/web"),
        ("10.244.7.7", "web", "no pod has this address"),
        ("node/n9", "web", "node 'n9' is not in the cluster; there are n1"),
        ("outside/h9", "web", "outside host 'h9' is not there; there are h1"),
        ("web", "web:", "is not PLACE"),
        ("web", "web:0", "port '0' is not a number from 1 to 65535"),
        ("web", "web:http", "port 'http' is not a number"),
        ("web", "web:80/quic", "protocol 'quic' is unknown; there are tcp, udp, sctp"),
        ("web", "svc/gone", "Service 'shop/gone' is not there, or left to another service proxy; there are shop/api"),
        ("web", "svc/api:81", "Service shop/api has no such port; it has 80/tcp (http), 53/udp (dns)"),
        ("web", "svc/api:http/udp", "has no such port"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_with_what_there_is(source: str, destination: str, words: str) -> None:
    """Exit status 2."""
    with pytest.raises(UsageError) as refused:
        aim_of(destination, "shop", VIEW, sender_of(source, "shop", VIEW))
    assert words in str(refused.value)


def test_an_endpoint_may_be_named() -> None:
    """As a pod or an address; one that is none of the Service's is refused."""
    aim = aim_of("svc/api", "shop", VIEW, FromPod(WEB))
    assert endpoint_of("web", "shop", VIEW, aim) == (WEB.address, 8080)
    assert endpoint_of("10.244.1.3:8080", "shop", VIEW, aim) == (A.address, 8080)
    with pytest.raises(UsageError, match="no endpoint"):
        endpoint_of("web:81", "shop", VIEW, aim)


def test_other_endpoints_are_those_that_the_client_might_get() -> None:
    """None where the client's address decides."""
    aim = aim_of("svc/api", "shop", VIEW, FromPod(WEB))
    assert other_endpoints(aim, (WEB.address, 8080)) == [(A.address, 8080)]
    for fixed in (replace(API, algorithm=Algorithm.SOURCE_HASH), replace(API, affinity_seconds=60)):
        assert other_endpoints(replace(aim, service=fixed), (WEB.address, 8080)) == []
