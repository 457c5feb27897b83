"""Which endpoints serve which traffic: kube-proxy's rules (KEP-1669, KEP-2086, KEP-4444, "Virtual IPs")."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from kubinet.services import (
    Choice,
    Clash,
    Frontend,
    FrontendKind,
    NoEndpoint,
    clashes,
    cluster_choice,
    external_addresses,
    frontends,
    has_endpoints,
    healthy,
    local_choice,
    same_everywhere,
)
from kubinet.state import Endpoint, Node, Service, ServicePort
from kubinet.transport import Protocol

REJECT, DROP = NoEndpoint.REJECT, NoEndpoint.DROP
HERE = Node("n1", 1, IPv4Interface("172.18.1.2/24"), "02:00:00:00:00:01", IPv4Network("10.244.1.0/24"), zone="east")
NOWHERE = replace(HERE, zone="")


def end(name: str, host: int, condition: str = "ready", **options: object) -> Endpoint:
    """An endpoint on a node; `ready`, `starting`, `draining` (terminating, still serving) or `failed` (not serving)."""
    ready, serving, terminating = {
        "ready": (True, True, False),
        "starting": (False, False, False),
        "draining": (False, True, True),
        "failed": (False, False, True),
    }[condition]
    return Endpoint(IPv4Address(f"10.244.0.{host}"), 80, name, ready, serving, terminating, **options)  # type: ignore[arg-type]


def port(*endpoints: Endpoint, **options: object) -> ServicePort:
    return ServicePort("p", Protocol.TCP, 80, endpoints=endpoints, **options)  # type: ignore[arg-type]


def hosts(choice: Choice) -> list[int]:
    """Last bytes of the chosen endpoints' addresses."""
    return [int(one.address) & 0xFF for one in choice.endpoints]


# Endpoints as (node, host, condition); hosts of the cluster-wide choice, of the node's own, and what happens without.
_CASES: dict[str, tuple[list[tuple[str, int, str]], list[int], list[int], NoEndpoint]] = {
    "none at all": ([], [], [], REJECT),
    "ready ones": ([("n1", 1, "ready"), ("n2", 2, "ready")], [1, 2], [1], DROP),
    "ready before draining": ([("n1", 1, "draining"), ("n2", 2, "ready")], [2], [1], DROP),
    "draining when none is ready": ([("n1", 1, "draining"), ("n2", 2, "draining")], [1, 2], [1], DROP),
    "starting ones never": ([("n1", 1, "starting"), ("n2", 2, "ready")], [2], [], DROP),
    "nobody serves": ([("n1", 1, "starting"), ("n2", 2, "failed")], [], [], REJECT),
    "all elsewhere": ([("n2", 2, "ready"), ("n3", 3, "draining")], [2], [], DROP),
    "only draining elsewhere": ([("n2", 2, "draining"), ("n1", 1, "failed")], [2], [], DROP),
    "own ready before own draining": ([("n1", 1, "draining"), ("n1", 2, "ready")], [2], [2], DROP),
    "endpoints on no node": ([("", 9, "ready")], [9], [], DROP),
}


@pytest.mark.parametrize("name", _CASES)
def test_ready_then_draining_endpoints_serve(name: str) -> None:
    """Cluster-wide and per node, each on its own; dropped where others serve elsewhere, refused where nobody does."""
    given, cluster, local, otherwise = _CASES[name]
    some = port(*(end(*one) for one in given))
    everywhere, own = cluster_choice(some, HERE), local_choice(some, HERE)
    assert (hosts(everywhere), everywhere.otherwise, everywhere.local) == (cluster, REJECT, False)
    assert (hosts(own), own.otherwise, own.local) == (local, otherwise, True)
    assert has_endpoints(some) is (otherwise is DROP)


def hinted(host: int, zones: str = "", nodes: str = "", condition: str = "ready") -> Endpoint:
    return end("n2", host, condition, zones=frozenset(zones.split()), nodes=frozenset(nodes.split()))


_HINTS: dict[str, tuple[list[Endpoint], list[int]]] = {
    "the zone's own": ([hinted(1, "east"), hinted(2, "west")], [1]),
    "several zones": ([hinted(1, "east west"), hinted(2, "west"), hinted(3, "east")], [1, 3]),
    "one without a hint: all": ([hinted(1, "east"), hinted(2)], [1, 2]),
    "none for this zone: all": ([hinted(1, "west"), hinted(2, "north")], [1, 2]),
    "unready ones need no hint": ([hinted(1, "east"), hinted(2, condition="starting")], [1]),
    "unready ones give no hint": ([hinted(1, "east", condition="starting"), hinted(2, "west")], [2]),
    "the node before the zone": ([hinted(1, "east", "n9"), hinted(2, "west", "n1")], [2]),
    "the zone where no node fits": ([hinted(1, "east", "n8"), hinted(2, "west", "n9")], [1]),
    "the zone where a node hint is missing": ([hinted(1, "east"), hinted(2, "west", "n1")], [1]),
    "draining ones without regard to hints": (
        [hinted(1, "east", condition="draining"), hinted(2, "west", condition="draining")],
        [1, 2],
    ),
}


@pytest.mark.parametrize("name", _HINTS)
def test_hints_count_all_or_nothing(name: str) -> None:
    """Only when every ready endpoint has one and one is for the node (PreferSameNode) or its zone (PreferSameZone)."""
    given, chosen = _HINTS[name]
    assert hosts(cluster_choice(port(*given), HERE)) == chosen


def test_a_node_without_a_zone_uses_all_endpoints() -> None:
    """Zone hints mean nothing there, not even an empty one."""
    assert hosts(cluster_choice(port(hinted(1, "east"), hinted(2, "west")), NOWHERE)) == [1, 2]


def test_local_policies_win_over_hints() -> None:
    """The node's own endpoint serves although its hint names another zone."""
    one = end("n1", 1, zones=frozenset({"west"}))
    assert hosts(local_choice(port(one, hinted(2, "east")), HERE)) == [1]


def service(**options: object) -> Service:
    options.setdefault("ports", (port(end("n1", 1), end("n2", 2), node_port=30080),))
    return Service("default", "web", IPv4Address("10.96.0.10"), **options)  # type: ignore[arg-type]


BALANCED = {"load_balancer_ips": (IPv4Address("172.31.0.5"),), "external_ips": (IPv4Address("198.51.100.7"),)}
_PLACES = [
    (FrontendKind.CLUSTER_IP, "10.96.0.10", 80),
    (FrontendKind.NODE_PORT, "172.18.1.2", 30080),
    (FrontendKind.LOAD_BALANCER, "172.31.0.5", 80),
    (FrontendKind.EXTERNAL_IP, "198.51.100.7", 80),
]


def all_frontends(one: Service) -> list[Frontend]:
    return [frontend for some in one.ports for frontend in frontends(one, some, HERE)]


def test_clients_connect_to_cluster_ip_node_port_load_balancer_and_external_ips() -> None:
    """With the Service's port; at the node's own underlay address with the node port."""
    found = all_frontends(service(**BALANCED))
    assert [(one.kind, str(one.address), one.port) for one in found] == _PLACES
    assert {one.protocol for one in found} == {Protocol.TCP}


def test_policy_cluster_sends_everybody_everywhere_and_masquerades_the_outside() -> None:
    """The cluster IP is not for the outside, so nothing is masqueraded there."""
    for one in all_frontends(service(**BALANCED)):
        assert (hosts(one.internal), hosts(one.external)) == ([1, 2], [1, 2])
        assert one.masquerade is (one.kind is not FrontendKind.CLUSTER_IP)


def test_external_policy_local_keeps_the_outside_on_the_node_and_its_address() -> None:
    """Pods and the node itself still reach the whole cluster through the same addresses (kube-proxy's shortcut)."""
    for one in all_frontends(service(external_local=True, **BALANCED)):
        inside_only = one.kind is FrontendKind.CLUSTER_IP
        assert (hosts(one.internal), hosts(one.external)) == ([1, 2], [1, 2] if inside_only else [1])
        assert not one.masquerade


def test_internal_policy_local_concerns_the_cluster_ip_alone() -> None:
    """Clients outside and those that use external addresses reach all endpoints."""
    for one in all_frontends(service(internal_local=True, **BALANCED)):
        assert hosts(one.internal) == ([1] if one.kind is FrontendKind.CLUSTER_IP else [1, 2])


def test_an_address_that_a_service_names_twice_is_one_way_in() -> None:
    """The load balancer's address as an external IP too, its own cluster IP, and the node's address and node port."""
    one = service(
        load_balancer_ips=(IPv4Address("172.31.0.5"),),
        external_ips=tuple(IPv4Address(text) for text in ("172.31.0.5", "10.96.0.10", "198.51.100.7", "198.51.100.7")),
    )
    assert [(found.kind, str(found.address), found.port) for found in all_frontends(one)] == _PLACES
    here = service(ports=(port(node_port=80),), external_ips=(HERE.underlay.ip,))
    assert [found.kind for found in all_frontends(here)] == [FrontendKind.CLUSTER_IP, FrontendKind.EXTERNAL_IP]


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (service(), True),
        (service(external_local=True), True),
        (service(internal_local=True), False),
        (service(ports=(port(hinted(1, "east")),)), False),
        (service(ports=(port(hinted(1, nodes="n1")),)), False),
    ],
    ids=["plain", "external policy", "internal policy", "zone hints", "node hints"],
)
def test_the_cluster_wide_choice_is_the_same_on_all_nodes_unless_policy_or_hints_say_otherwise(
    one: Service, same: bool
) -> None:
    """External policy Local has sets of its own beside the cluster-wide one."""
    assert same_everywhere(one) is same


def test_the_health_check_counts_the_nodes_own_ready_addresses() -> None:
    """Each once, however many ports; draining ones do not count, so that load balancers turn away."""
    ports = (
        port(end("n1", 1), end("n1", 2, "draining"), end("n2", 3)),
        ServicePort("q", Protocol.TCP, 81, endpoints=(end("n1", 1), end("n1", 4))),
    )
    assert healthy(service(ports=ports), HERE) == 2
    assert healthy(service(ports=()), HERE) == 0


def named(name: str, *external: str, number: int = 1, **options: object) -> Service:
    addresses = tuple(IPv4Address(text) for text in external)
    one = service(ports=(port(**options),), external_ips=addresses)
    return replace(one, name=name, cluster_ip=IPv4Address(f"10.96.0.{number}"))


def keyed(*some: Service) -> dict[str, Service]:
    return {one.key: one for one in some}


def test_of_two_services_that_claim_an_address_and_port_the_first_by_name_has_it() -> None:
    """In whatever order they came; the message, told to the loser, names the winner."""
    a, b = named("a", "198.51.100.1", number=1), named("b", "198.51.100.1", "198.51.100.2", number=2)
    clash = Clash("default/a", "default/b", IPv4Address("198.51.100.1"), 80, Protocol.TCP)
    assert clashes(keyed(a, b)) == clashes(keyed(b, a)) == (clash,)
    assert str(clash) == ("198.51.100.1:80/TCP belongs to Service default/a already; it does not serve this Service")


def test_an_address_of_the_pool_is_its_services_whoever_names_it() -> None:
    """A LoadBalancer's address serves the Service that it was given to, not one that names it in externalIPs."""
    address = IPv4Address("172.31.0.1")
    balancer = replace(named("z", number=2), load_balancer_ips=(address,))
    thief = named("a", "172.31.0.1")
    assert clashes(keyed(thief, balancer)) == (Clash(balancer.key, thief.key, address, 80, Protocol.TCP),)


def test_another_port_or_protocol_of_the_same_address_is_no_clash() -> None:
    """Services may share an address."""
    a, b, c = (named(name, "198.51.100.1", number=number) for number, name in enumerate("abc", 1))
    b = replace(b, ports=(replace(b.ports[0], port=81),))
    c = replace(c, ports=(replace(c.ports[0], protocol=Protocol.UDP),))
    assert clashes(keyed(a, b, c)) == ()


def test_cluster_ips_and_node_ports_belong_to_whom_they_were_allocated() -> None:
    """An external IP never takes another Service's cluster IP, nor its node port at a node's address."""
    z = named("z", number=9, node_port=80)
    a = named("a", "10.96.0.9", "172.18.1.2", "172.18.9.9", number=1)
    assert clashes(keyed(a, z), [HERE]) == (
        Clash("default/z", "default/a", IPv4Address("10.96.0.9"), 80, Protocol.TCP),
        Clash("default/z", "default/a", IPv4Address("172.18.1.2"), 80, Protocol.TCP),
    )
    own = named("o", "10.96.0.5", "172.18.1.2", number=5, node_port=80)
    assert clashes(keyed(own), [HERE]) == ()


def test_external_addresses_are_listed_once_in_order() -> None:
    """Load balancers' and external IPs alike."""
    a = replace(named("a", "198.51.100.9", "198.51.100.1"), load_balancer_ips=(IPv4Address("172.31.0.5"),))
    found = external_addresses([a, named("b", "198.51.100.1")])
    assert [str(address) for address in found] == ["172.31.0.5", "198.51.100.1", "198.51.100.9"]
