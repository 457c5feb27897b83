"""ClusterIPs and nodePorts: given, honoured, refused, released; types that change."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.objects import DeleteOptions, Objects
from controller.api.registry import SERVICE, TOPOLOGY
from controller.api.status import StatusError
from controller.api.store import Store
from controller.workloads import ranges
from controller.workloads.allocation import Allocation
from controller.workloads.namespaces import ensure_defaults

HTTP = {"name": "http", "port": 80}
DNS = [{"name": "u", "port": 53, "protocol": "UDP"}, {"name": "t", "port": 53, "protocol": "TCP"}]


def _cluster(cidr: str = "") -> Objects:
    objects = Objects(Store())
    ensure_defaults(objects)
    Allocation(objects)
    if cidr:
        network = {"spec": {"network": {"serviceCIDR": cidr}}}
        objects.create(TOPOLOGY, "", {"metadata": {"name": "cluster"}, **network})
    return objects


@pytest.fixture
def objects() -> Objects:
    return _cluster()


def _create(objects: Objects, name: str = "a", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    spec.setdefault("ports", [dict(HTTP)])
    stored = objects.create(SERVICE, namespace, {"metadata": {"name": name}, "spec": spec})
    found: dict[str, Any] = stored.object["spec"]
    return found


def _update(objects: Objects, name: str = "a", **spec: Any) -> dict[str, Any]:
    """Change fields; None removes one."""
    old = objects.get(SERVICE, "default", name)
    new = old.copy()
    new["spec"] = {key: value for key, value in (new["spec"] | spec).items() if value is not None}
    found: dict[str, Any] = objects.update(SERVICE, old, new).object["spec"]
    return found


def _delete(objects: Objects, name: str = "a") -> None:
    objects.delete(SERVICE, "default", name, DeleteOptions())


def test_dynamic_addresses_begin_above_the_band_that_users_choose_from(objects: Objects) -> None:
    """The first 256 addresses of a /16 are left to users (KEP-3070); the next ones are given in order."""
    given_ones = [_create(objects, name)["clusterIP"] for name in "abc"]
    assert given_ones == ["10.96.1.0", "10.96.1.1", "10.96.1.2"]
    assert objects.get(SERVICE, "default", "a").object["spec"]["clusterIPs"] == ["10.96.1.0"]
    assert objects.get(SERVICE, "default", "a").object["spec"]["ipFamilies"] == ["IPv4"]


def test_a_released_address_is_not_used_again_at_once(objects: Objects) -> None:
    """After a delete the next Service gets another address, so that old connections meet nobody else."""
    _create(objects)
    _delete(objects)
    assert _create(objects)["clusterIP"] == "10.96.1.1"


def test_the_first_address_is_the_api_s(objects: Objects) -> None:
    """default/kubernetes gets the first address, or the one that it names (there may be no Topology object yet)."""
    with pytest.raises(StatusError) as caught:
        _create(objects, clusterIP="10.96.0.1")
    assert "failed to allocate IP 10.96.0.1: provided IP is already allocated" in caught.value.message
    assert _create(objects, "kubernetes")["clusterIP"] == "10.96.0.1"
    _delete(objects, "kubernetes")
    assert _create(objects, "kubernetes", clusterIP="10.7.0.1")["clusterIP"] == "10.7.0.1"
    assert _create(objects, "kubernetes", "kube-system")["clusterIP"] == "10.96.1.0"


def test_a_chosen_address_is_honoured_and_then_taken(objects: Objects) -> None:
    """A second Service with the same clusterIP is refused in upstream's words, also from another namespace."""
    assert _create(objects, "kube-dns", "kube-system", clusterIP="10.96.0.10")["clusterIP"] == "10.96.0.10"
    with pytest.raises(StatusError) as caught:
        _create(objects, clusterIP="10.96.0.10")
    assert caught.value.code == 422
    assert caught.value.message == (
        'Service "a" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: '
        "failed to allocate IP 10.96.0.10: provided IP is already allocated"
    )


@pytest.mark.parametrize("address", ["10.97.0.1", "10.96.0.0", "10.96.255.255", "192.168.0.1"])
def test_addresses_outside_the_range_are_refused(objects: Objects, address: str) -> None:
    """The network's own address and its broadcast address are outside, too."""
    with pytest.raises(StatusError) as caught:
        _create(objects, clusterIP=address)
    assert caught.value.message.endswith(
        f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. "
        "The range of valid IPs is 10.96.0.0/16"
    )


def test_an_exhausted_range_is_refused_and_a_release_ends_that() -> None:
    """A /29 has six addresses: the API's first one is kept; a deleted Service's address is given again."""
    objects = _cluster("10.9.0.0/29")
    assert [_create(objects, name)["clusterIP"] for name in "abcde"] == [f"10.9.0.{n}" for n in range(2, 7)]
    with pytest.raises(StatusError) as caught:
        _create(objects, "f")
    assert (caught.value.code, caught.value.message) == (
        500,
        "Internal error occurred: failed to allocate a serviceIP: range is full",
    )
    _delete(objects, "c")
    assert _create(objects, "f")["clusterIP"] == "10.9.0.4"


def test_the_dns_address_is_given_only_to_who_asks() -> None:
    """The tenth address stays free even when nothing else is left."""
    objects = _cluster("10.9.0.0/28")
    addresses = [_create(objects, f"s{n}")["clusterIP"] for n in range(12)]
    assert set(addresses) == {f"10.9.0.{n}" for n in range(2, 15)} - {"10.9.0.10"}
    with pytest.raises(StatusError, match="range is full"):
        _create(objects, "more")
    assert _create(objects, "more", clusterIP="10.9.0.10")["clusterIP"] == "10.9.0.10"


def test_headless_and_external_name_hold_nothing(objects: Objects) -> None:
    """Headless keeps None; ExternalName has neither address nor families."""
    assert _create(objects, clusterIP="None")["clusterIPs"] == ["None"]
    spec = _create(objects, "b", type="ExternalName", externalName="example.com", ports=[])
    assert spec == {"type": "ExternalName", "externalName": "example.com", "ports": [], "sessionAffinity": "None"}


def test_node_ports(objects: Objects) -> None:
    """Given above the static band; a chosen one is honoured; a taken one and one out of range are refused."""
    assert _create(objects, type="NodePort")["ports"][0]["nodePort"] == 30086
    port = {"port": 81, "nodePort": 30000}
    assert _create(objects, "b", type="NodePort", ports=[dict(port)])["ports"][0]["nodePort"] == 30000
    for number, why in (
        (30000, "provided port is already allocated"),
        (80, "provided port is not in the valid range. The range of valid ports is 30000-32767"),
    ):
        with pytest.raises(StatusError) as caught:
            _create(objects, "c", type="NodePort", ports=[{"port": 80, "nodePort": number}])
        assert caught.value.message == (
            f'Service "c" is invalid: spec.ports[0].nodePort: Invalid value: {number}: {why}'
        )
    _delete(objects, "b")
    assert _create(objects, "c", type="NodePort", ports=[dict(port)])["ports"][0]["nodePort"] == 30000


def test_protocols_of_one_port_share_a_node_port(objects: Objects) -> None:
    """TCP and UDP 53 get one number; ports of different numbers get different ones."""
    spec = _create(objects, type="NodePort", ports=[*map(dict, DNS), {"name": "m", "port": 9153}])
    assert [port["nodePort"] for port in spec["ports"]] == [30086, 30086, 30087]
    chosen = [{**DNS[0], "nodePort": 31000}, {**DNS[1], "nodePort": 31000}]
    spec = _create(objects, "b", type="NodePort", ports=chosen)
    assert [port["nodePort"] for port in spec["ports"]] == [31000, 31000]


def test_exhausted_node_ports() -> None:
    """A full range is a clear failure."""
    objects = Objects(Store())
    ensure_defaults(objects)
    allocation = Allocation(objects)
    allocation._ports = ranges.node_ports(range(30000, 30002))
    for name in "ab":
        _create(objects, name, type="NodePort")
    with pytest.raises(StatusError, match="failed to allocate a nodePort: range is full"):
        _create(objects, "c", type="NodePort")
    _delete(objects, "a")
    assert _create(objects, "c", type="NodePort")["ports"][0]["nodePort"] == 30000


def test_type_changes(objects: Objects) -> None:
    """ClusterIP, NodePort, LoadBalancer, ExternalName and back: allocated as needed, released when of no use."""
    address = _create(objects)["clusterIP"]
    spec = _update(objects, type="NodePort")
    assert (spec["clusterIP"], spec["ports"][0]["nodePort"]) == (address, 30086)
    assert spec["externalTrafficPolicy"] == "Cluster"
    spec = _update(objects, type="LoadBalancer", externalTrafficPolicy="Local")
    assert (spec["ports"][0]["nodePort"], spec["healthCheckNodePort"]) == (30086, 30087)
    spec = _update(objects, externalTrafficPolicy="Cluster")
    assert "healthCheckNodePort" not in spec
    spec = _update(objects, type="ClusterIP")
    assert spec["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]
    assert not {"externalTrafficPolicy", "allocateLoadBalancerNodePorts"} & set(spec)
    spec = _update(objects, type="ExternalName", externalName="example.com")
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & set(spec)
    assert _create(objects, "b", clusterIP=address)["clusterIP"] == address
    spec = _update(objects, type="NodePort")
    assert (spec["clusterIP"], spec["ports"][0]["nodePort"]) == ("10.96.1.1", 30088)


def test_what_a_client_leaves_out_is_kept(objects: Objects) -> None:
    """A replacement without clusterIP and nodePorts (kubectl replace) keeps those of the old version, by port name."""
    before = _create(objects, type="NodePort", ports=[{"name": "a", "port": 1}, {"name": "b", "port": 2}])
    ports = [{"name": "b", "port": 20}, {"name": "a", "port": 1}]
    spec = _update(objects, clusterIP=None, clusterIPs=None, ports=ports)
    assert spec["clusterIP"] == before["clusterIP"]
    assert [port["nodePort"] for port in spec["ports"]] == [30087, 30086]


def test_a_cluster_ip_does_not_change(objects: Objects) -> None:
    """Nor to None and back."""
    _create(objects)
    for value in ("10.96.0.7", "None"):
        with pytest.raises(StatusError) as caught:
            _update(objects, clusterIP=value)
        assert f'spec.clusterIPs[0]: Invalid value: ["{value}"]: may not change once set' in caught.value.message


def test_another_range_later() -> None:
    """When the cluster's range changes, Services keep what they have and can be changed; new ones get new addresses."""
    objects = _cluster("10.9.0.0/24")
    before = _create(objects)["clusterIP"]
    topology = objects.get(TOPOLOGY, "", "cluster")
    new = topology.copy()
    new["spec"]["network"]["serviceCIDR"] = "10.8.0.0/24"
    objects.update(TOPOLOGY, topology, new)
    assert _update(objects, sessionAffinity="ClientIP")["clusterIP"] == before
    assert _create(objects, "b")["clusterIP"] == "10.8.0.16"


def test_load_balancer_without_node_ports(objects: Objects) -> None:
    """allocateLoadBalancerNodePorts: false gives none, and still honours one that is asked for."""
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 2, "nodePort": 31234}]
    spec = _create(objects, type="LoadBalancer", allocateLoadBalancerNodePorts=False, ports=ports)
    assert [port.get("nodePort") for port in spec["ports"]] == [None, 31234]


def test_health_check_ports(objects: Objects) -> None:
    """A chosen one is honoured, counts as a nodePort, and is refused when taken."""
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    assert _create(objects, **local, healthCheckNodePort=32000)["healthCheckNodePort"] == 32000
    with pytest.raises(StatusError) as caught:
        _create(objects, "b", **local, healthCheckNodePort=32000)
    assert caught.value.message == (
        'Service "b" is invalid: spec.healthCheckNodePort: Invalid value: 32000: '
        "failed to allocate requested HealthCheck NodePort 32000: provided port is already allocated"
    )
    with pytest.raises(StatusError, match="provided port is already allocated"):
        _create(objects, "b", type="NodePort", ports=[{"port": 1, "nodePort": 32000}])


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack',
        ),
        ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        ({"ipFamilies": ["IPv4", "IPv6"]}, 'spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster'),
    ],
)
def test_one_family_only(objects: Objects, spec: dict[str, Any], text: str) -> None:
    """IPv6 and RequireDualStack are refused in upstream's words; PreferDualStack is single-stack."""
    with pytest.raises(StatusError) as caught:
        _create(objects, **spec)
    assert text in caught.value.message
    assert _create(objects, "b", ipFamilyPolicy="PreferDualStack")["ipFamilies"] == ["IPv4"]


def test_a_restart_knows_what_is_held() -> None:
    """A new Allocation on the same store refuses what stored Services have; a dry run holds nothing."""
    objects = _cluster()
    _create(objects, type="NodePort")
    objects.create(SERVICE, "default", {"metadata": {"name": "dry"}, "spec": {"ports": [{"port": 1}]}}, dry_run=True)
    again = Objects(objects.store)
    Allocation(again)
    with pytest.raises(StatusError, match="provided IP is already allocated"):
        _create(again, "b", clusterIP="10.96.1.0")
    with pytest.raises(StatusError, match="provided port is already allocated"):
        _create(again, "b", type="NodePort", ports=[{"port": 1, "nodePort": 30086}])
    assert _create(again, "b", clusterIP="10.96.1.1")["clusterIP"] == "10.96.1.1"


_STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer", "Local", "ExternalName", "headless", "delete"]),
        st.sampled_from(["", "10.9.0.2", "10.9.0.3", "10.9.0.9"]),
        st.sampled_from([0, 30000, 30001, 30002, 40000]),
    ),
    max_size=30,
)


def _step(objects: Objects, name: str, kind: str, address: str, node_port: int) -> None:
    exists = objects.store.get(SERVICE.key, "default", name) is not None
    if kind == "delete":
        if exists:
            _delete(objects, name)
        return
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 1, "protocol": "UDP"}]
    if node_port and kind in ("NodePort", "LoadBalancer"):
        ports[0]["nodePort"] = node_port
    spec: dict[str, Any] = {"type": kind, "ports": ports}
    if kind == "headless":
        spec |= {"type": "ClusterIP", "clusterIP": "None"}
    elif kind == "ExternalName":
        spec["externalName"] = "x.example"
    elif kind == "Local":
        spec |= {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    if address and kind == "ClusterIP":
        spec["clusterIP"] = address
    if exists:
        _update(objects, name, **spec)
    else:
        _create(objects, name, **spec)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(_STEPS)
def test_no_number_is_ever_held_twice_and_all_come_back(steps: list[tuple[str, str, str, int]]) -> None:
    """Whatever is created, changed and deleted: each address and nodePort has one Service; in the end all are free."""
    objects = _cluster("10.9.0.0/29")
    allocation = next(hook.__self__ for hook in objects.allocate)  # type: ignore[attr-defined]
    allocation._ports = ranges.node_ports(range(30000, 30006))
    for name, kind, address, node_port in steps:
        try:
            _step(objects, name, kind, address, node_port)
        except StatusError as error:
            assert error.code in (422, 500)
        _check(objects, allocation)
    for stored in objects.store.select(SERVICE.key):
        _delete(objects, stored.object["metadata"]["name"])
    assert (allocation._addresses.held, allocation._ports.held) == ({}, {})
    for name in "abcde":
        _create(objects, name)
    with pytest.raises(StatusError, match="range is full"):
        _create(objects, "f")


def _check(objects: Objects, allocation: Allocation) -> None:
    addresses: dict[int, str] = {}
    ports: dict[int, str] = {}
    for stored in objects.store.select(SERVICE.key):
        spec, name = stored.object["spec"], f"default/{stored.object['metadata']['name']}"
        if spec["type"] == "ExternalName":
            assert "clusterIP" not in spec
            continue
        if spec["clusterIP"] != "None":
            assert IPv4Address(spec["clusterIP"]) in IPv4Network("10.9.0.0/29")
            assert addresses.setdefault(int(IPv4Address(spec["clusterIP"])), name) == name
        numbers = {port.get("nodePort") for port in spec["ports"]} | {spec.get("healthCheckNodePort")}
        for number in numbers - {None}:
            assert ports.setdefault(number, name) == name
    assert {n: {h} for n, h in addresses.items()} == allocation._addresses.held
    assert {n: {h} for n, h in ports.items()} == allocation._ports.held
