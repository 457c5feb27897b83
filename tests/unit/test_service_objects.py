"""Service and EndpointSlice objects to the data plane's values."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from kubinet.serviceobjects import ServiceCache, service_from_objects, service_key
from kubinet.state import Algorithm, Endpoint, Service, ServicePort
from kubinet.transport import Protocol

HTTP = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web"}
DNS = {"name": "dns", "protocol": "UDP", "port": 53}


def service(*, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **spec: Any) -> Any:
    spec = {"type": "ClusterIP", "clusterIP": "10.96.0.10", "ports": [HTTP], **spec}
    status = {"loadBalancer": {"ingress": [{"ip": "172.31.0.5"}, {"hostname": "lb.example"}]}}
    metadata = {"namespace": "d", "name": "web", "labels": labels or {}, "annotations": annotations or {}}
    return {"metadata": metadata, "spec": spec, "status": status}


def slice_(
    *entries: Any, name: str = "web-1", of: str | None = "web", weights: str | None = None, **fields: Any
) -> Any:
    metadata: dict[str, Any] = {"namespace": "d", "name": name, "labels": {}}
    if of is not None:
        metadata["labels"]["kubernetes.io/service-name"] = of
    if weights is not None:
        metadata["annotations"] = {"kubinet.dev/weights": weights}
    ports = [{"name": "http", "protocol": "TCP", "port": 8080}]
    return {"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": list(entries), **fields}


def entry(address: str = "10.244.1.2", **fields: Any) -> dict[str, Any]:
    return {"addresses": [address], "nodeName": "n1", **fields}


def made(obj: Any, *slices: Any) -> Service:
    found = service_from_objects(obj, slices, Algorithm.HASH)
    assert found is not None
    return found


def endpoints(*slices: Any, obj: Any = None) -> tuple[Endpoint, ...]:
    return made(obj or service(), *slices).ports[0].endpoints


def test_a_plain_service_with_a_named_target_port_has_the_slices_number() -> None:
    """What `web` means is in the slice: pods may have different numbers for it."""
    other = slice_(entry("10.244.2.2"), name="web-2", ports=[{"name": "http", "protocol": "TCP", "port": 9090}])
    ends = (Endpoint(IPv4Address("10.244.1.2"), 8080, "n1"), Endpoint(IPv4Address("10.244.2.2"), 9090, "n1"))
    ports = (ServicePort("http", Protocol.TCP, 80, None, ends),)
    assert made(service(), other, slice_(entry())) == Service(
        "d", "web", IPv4Address("10.96.0.10"), ports, algorithm=Algorithm.HASH
    )


@pytest.mark.parametrize(
    "obj",
    [
        service(type="ExternalName", externalName="example.org"),
        service(clusterIP="None"),
        service(clusterIP=""),
        service(clusterIP="2001:db8::1"),
        service(labels={"service.kubernetes.io/service-proxy-name": "other"}),
        service(labels={"service.kubernetes.io/headless": ""}),
    ],
    ids=["ExternalName", "headless", "no address yet", "IPv6", "another proxy's", "labelled headless"],
)
def test_services_that_the_data_plane_leaves_alone(obj: Any) -> None:
    """DNS's business alone, another proxy's, or not addressed by IPv4."""
    assert service_from_objects(obj, [slice_(entry())], Algorithm.HASH) is None


def test_ports_find_their_endpoints_by_name_and_protocol() -> None:
    """Equal names of different protocols are different ports; a slice's port without a number serves nobody."""
    ports = [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns", "protocol": "TCP", "port": 54}]
    obj = service(ports=[DNS, {**DNS, "protocol": "TCP"}, HTTP])
    some = slice_(entry(), ports=[*ports, {"name": "http", "port": None}])
    assert [[end.port for end in one.endpoints] for one in made(obj, some).ports] == [[53], [54], []]


def test_a_port_without_a_name_is_the_slices_port_without_a_name() -> None:
    """Absent and empty mean the same."""
    obj = service(ports=[{"port": 80}])
    assert [end.port for end in endpoints(slice_(entry(), ports=[{"name": "", "port": 8080}]), obj=obj)] == [8080]
    assert [end.port for end in endpoints(slice_(entry(), ports=[{"port": 8080}]), obj=obj)] == [8080]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (None, (True, True, False)),
        ({}, (True, True, False)),
        ({"ready": None}, (True, True, False)),
        ({"ready": False}, (False, False, False)),
        ({"ready": True, "serving": False}, (True, False, False)),
        ({"ready": False, "serving": True, "terminating": True}, (False, True, True)),
        ({"ready": False, "terminating": True}, (False, False, True)),
    ],
)
def test_conditions_that_are_not_said_have_the_apis_defaults(
    conditions: dict[str, bool] | None, expected: tuple[bool, bool, bool]
) -> None:
    """Unknown readiness counts as ready, serving follows readiness, terminating is false."""
    (end,) = endpoints(slice_(entry(conditions=conditions)))
    assert (end.ready, end.serving, end.terminating) == expected


def test_hints_and_the_first_address_alone_are_taken() -> None:
    """The field's documentation says that further addresses are not used."""
    hints = {"forZones": [{"name": "a"}, {"name": "b"}], "forNodes": [{"name": "n2"}]}
    (end,) = endpoints(slice_({"addresses": ["10.244.1.2", "10.244.1.3"], "hints": hints}))
    assert (str(end.address), end.node, end.zones, end.nodes) == ("10.244.1.2", "", {"a", "b"}, {"n2"})


def test_ipv6_slices_and_names_are_skipped() -> None:
    """This data plane has IPv4 only."""
    assert (
        endpoints(slice_(entry("2001:db8::2"), addressType="IPv6"), slice_(entry("a.example"), addressType="FQDN"))
        == ()
    )
    assert endpoints(slice_(entry("not an address"), entry())) == endpoints(slice_(entry()))


def test_an_endpoint_in_several_slices_counts_once_and_all_are_in_order() -> None:
    """While the slices of a Service are rearranged an endpoint may be in two of them; the first one counts."""
    found = endpoints(slice_(entry("10.244.1.9"), entry()), slice_(entry(conditions={"ready": False}), name="web-2"))
    assert [(str(end.address), end.ready) for end in found] == [("10.244.1.2", True), ("10.244.1.9", True)]


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ('{"10.244.1.2": 5}', 5),
        ('{"10.244.1.2": "7"}', 7),
        ('{"10.244.1.2": 0}', 0),
        ('{"10.244.1.2": -3}', 0),
        ('{"10.244.1.2": 5000}', 1000),
        ('{"10.244.9.9": 5}', 1),
        ("", 1),
        ("five", 1),
        ("[5]", 1),
        ('{"10.244.1.2": null}', 1),
        ('{"10.244.1.2": "heavy"}', 1),
        ('{"10.244.1.2": 1e999}', 1),
        ('{"10.244.1.2": NaN}', 1),
        ("[" * 100_000, 1),
    ],
    ids=lambda value: str(value)[:24],
)
def test_weights_are_between_0_and_1000_and_malformed_ones_are_1(text: str, weight: int) -> None:
    """Whatever somebody writes into a slice by hand, the controller goes on."""
    assert [end.weight for end in endpoints(slice_(entry(), weights=text))] == [weight]


def test_addresses_of_balancers_that_are_proxies_are_left_to_them() -> None:
    """ipMode Proxy; VIP and none at all are served by nodes."""
    points = [{"ip": f"172.31.0.{number}", **mode} for number, mode in enumerate(({}, {"ipMode": "VIP"}), 1)]
    obj = service(type="LoadBalancer")
    obj["status"] = {"loadBalancer": {"ingress": [*points, {"ip": "192.0.2.9", "ipMode": "Proxy"}]}}
    assert [str(address) for address in made(obj).load_balancer_ips] == ["172.31.0.1", "172.31.0.2"]


def test_addresses_of_load_balancers_are_those_of_the_status() -> None:
    """Only of type LoadBalancer; ingress points that are names are skipped, and so are IPv6 addresses and ranges."""
    ranges = ["192.0.2.7/24", " 198.51.100.0/25 ", "2001:db8::/32"]
    found = made(service(type="LoadBalancer", loadBalancerSourceRanges=ranges, externalIPs=["203.0.113.1", "::2"]))
    assert [str(address) for address in found.load_balancer_ips] == ["172.31.0.5"]
    assert [str(address) for address in found.external_ips] == ["203.0.113.1"]
    assert found.source_ranges == (IPv4Network("192.0.2.0/24"), IPv4Network("198.51.100.0/25"))
    other = made(service(type="NodePort", loadBalancerSourceRanges=ranges))
    assert (other.load_balancer_ips, other.source_ranges) == ((), ())


@pytest.mark.parametrize(
    ("spec", "local"),
    [
        ({"type": "NodePort"}, True),
        ({"type": "LoadBalancer"}, True),
        ({"type": "ClusterIP", "externalIPs": ["203.0.113.1"]}, True),
        ({"type": "ClusterIP"}, False),
    ],
    ids=["NodePort", "LoadBalancer", "external IPs", "inside only"],
)
def test_external_policy_local_counts_where_the_outside_may_come_in(spec: dict[str, Any], local: bool) -> None:
    """By node ports, load balancers or external IPs."""
    assert made(service(externalTrafficPolicy="Local", **spec)).external_local is local


def test_policies_ports_affinity_and_algorithm_are_read() -> None:
    """The default time-out of session affinity is three hours; an unknown algorithm is the cluster's default."""
    obj = service(
        annotations={"kubinet.dev/load-balancer": "maglev"},
        type="NodePort",
        ports=[{**HTTP, "nodePort": 30080}],
        sessionAffinity="ClientIP",
        internalTrafficPolicy="Local",
        healthCheckNodePort=31000,
    )
    found = made(obj)
    assert (found.affinity_seconds, found.internal_local, found.external_local) == (10800, True, False)
    assert (found.health_check_node_port, found.ports[0].node_port) == (31000, 30080)
    assert found.algorithm is Algorithm.MAGLEV
    obj["spec"]["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 60}}
    obj["metadata"]["annotations"] = {"kubinet.dev/load-balancer": "fastest"}
    again = made(obj)
    assert (again.affinity_seconds, again.algorithm) == (60, Algorithm.HASH)


def test_a_slice_names_its_service_by_a_label() -> None:
    """A slice without the label belongs to none."""
    assert service_key(slice_()) == "d/web"
    assert service_key(slice_(of=None)) is None


def test_an_unchanged_service_is_the_same_value_and_one_slice_changes_one_service() -> None:
    """Who compares does so by identity, also after a new list of objects; another default algorithm makes all anew."""
    cache = ServiceCache()
    objects = {"d/web": service(), "d/db": service(), "d/none": service(clusterIP="None")}
    slices = {"d/web-1": slice_(entry()), "d/db-1": slice_(entry(), of="db"), "d/x": slice_(entry(), of=None)}
    first = cache.services(objects, slices, Algorithm.HASH)
    assert set(first) == {"d/web", "d/db"}
    again = cache.services(dict(objects), dict(slices), Algorithm.HASH)
    assert all(again[key] is first[key] for key in first)
    equal = cache.services(
        {**objects, "d/web": service()}, {**slices, "d/db-1": slice_(entry(), of="db")}, Algorithm.HASH
    )
    assert all(equal[key] is first[key] for key in first)
    changed = cache.services(objects, {**slices, "d/db-1": slice_(entry("10.244.1.3"), of="db")}, Algorithm.HASH)
    assert changed["d/web"] is first["d/web"]
    assert [str(end.address) for end in changed["d/db"].ports[0].endpoints] == ["10.244.1.3"]
    more = cache.services(objects, {**slices, "d/web-2": slice_(entry("10.244.1.4"))}, Algorithm.HASH)
    assert (len(more["d/web"].ports[0].endpoints), len(more["d/db"].ports[0].endpoints)) == (2, 1)
    other = cache.services(objects, slices, Algorithm.RANDOM)
    assert {one.algorithm for one in other.values()} == {Algorithm.RANDOM}
    assert set(cache.services({"d/db": objects["d/db"]}, slices, Algorithm.RANDOM)) == {"d/db"}
