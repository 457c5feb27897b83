"""The DNS add-on's objects, and the name servers and resolv.conf of the underlay."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from kubinet.errors import InvalidInputError
from kubinet.images import load_table
from kubinet.state import NetworkConfig
from topologies.checks import check
from topologies.coredns import available, describe, objects
from topologies.document import parse_topology, spell, to_document
from topologies.model import Topology
from topologies.plan import make_plan
from topologies.resolvers import resolv_conf, served_names


def topology(outside: list[dict[str, object]], **network: object) -> Topology:
    hosts = [str(host["name"]) for host in outside]
    links = [{"endpoints": [name, "s1"]} for name in ("n1", *hosts)]
    spec = {"network": network, "nodes": [{"name": "n1"}], "switches": [{"name": "s1"}], "outside": outside}
    head = {"apiVersion": "kubinet.dev/v1", "kind": "Topology", "metadata": {"name": "t"}}
    return check(parse_topology({**head, "spec": {**spec, "links": links}}, spell), spell)


def test_the_add_on_follows_the_network_section() -> None:
    """The Service has the tenth address of serviceCIDR, the Deployment replicas, networks and the API's place."""
    network = NetworkConfig(service_cidr=IPv4Network("10.97.0.0/20"), dns_replicas=3)
    made = {obj["kind"]: obj for obj in objects(network)}
    assert sorted(made) == ["ConfigMap", "Deployment", "Service", "ServiceAccount"]
    assert {obj["metadata"]["namespace"] for obj in made.values()} == {"kube-system"}
    assert made["Service"]["metadata"]["name"] == "kube-dns"
    assert made["Service"]["spec"]["clusterIP"] == "10.97.0.10"
    deployment = made["Deployment"]["spec"]
    assert deployment["replicas"] == 3
    [container] = deployment["template"]["spec"]["containers"]
    assert container["args"] == ["--reverse=10.97.0.0/20", "--reverse=10.244.0.0/16"]
    assert container["env"] == [
        {"name": "KUBERNETES_SERVICE_HOST", "value": "172.30.0.1"},
        {"name": "KUBERNETES_SERVICE_PORT", "value": "6443"},
    ]


def test_the_image_is_our_own_server() -> None:
    """The image table resolves CoreDNS' name to Kubinet's program with dnspython beside it, and says so."""
    [deployment] = [obj for obj in objects(NetworkConfig()) if obj["kind"] == "Deployment"]
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    resolved = load_table().resolve(image)
    assert resolved.argv == ("/coredns",)
    assert resolved.programs["/coredns"].parts[-3:] == ("agents", "dns", "coredns")
    assert (resolved.programs["/run/python/dns"] / "message.py").is_file()
    assert "Kubinet's own" in load_table().find(image).about


@pytest.mark.parametrize(
    ("observed", "condition", "expected"), [(2, "True", True), (1, "True", False), (2, "False", False)]
)
def test_availability_is_that_of_the_present_generation(observed: int, condition: str, expected: bool) -> None:
    """The condition counts when the controller has seen the newest specification."""
    status = {"observedGeneration": observed, "conditions": [{"type": "Available", "status": condition}]}
    assert available({"metadata": {"generation": 2}, "status": status}) is expected


def test_a_deployment_without_status_is_not_available() -> None:
    """It has just been created."""
    assert available({"metadata": {}}) is False


def test_a_waiting_pod_is_described() -> None:
    """Phase, the containers' reasons, and why it is not ready."""
    status = {
        "phase": "Pending",
        "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}],
        "conditions": [{"type": "Ready", "status": "False", "message": "containers with unready status: [coredns]"}],
    }
    words = "coredns-1 Pending, ErrImagePull, containers with unready status: [coredns]"
    assert describe({"metadata": {"name": "coredns-1"}, "status": status}) == words


def test_outside_hosts_answer_what_the_topology_says() -> None:
    """The host's own name, then its `dns`; a host without `dns` answers only as the upstream."""
    made = topology(
        [{"name": "isp"}, {"name": "corp", "dns": {"a.corp.example": "192.0.2.1", "b.corp.example": ["192.0.2.2"]}},
         {"name": "quiet"}],
        dnsUpstream="isp",
    )  # fmt: skip
    plan = make_plan(made)
    addresses = {name: plan.interfaces[name][0].address for name in ("isp", "corp")}
    assert served_names(made, plan) == {
        "isp": {"isp.example": (addresses["isp"].ip,)},  # type: ignore[union-attr]
        "corp": {
            "corp.example": (addresses["corp"].ip,),  # type: ignore[union-attr]
            "a.corp.example": (IPv4Address("192.0.2.1"),),
            "b.corp.example": (IPv4Address("192.0.2.2"),),
        },
    }
    assert resolv_conf(made, plan).splitlines()[1:] == [f"nameserver {addresses['isp'].ip}"]  # type: ignore[union-attr]
    assert parse_topology(to_document(made), spell) == made


def test_without_an_upstream_nobody_resolves() -> None:
    """resolv.conf names no server: questions fail at once instead of going nowhere."""
    made = topology([{"name": "isp"}])
    assert served_names(made, make_plan(made)) == {}
    assert "nameserver" not in resolv_conf(made, make_plan(made)).splitlines()[-1].split()[:1]


@pytest.mark.parametrize(
    ("dns", "message"),
    [
        ({"www.example.org": "nowhere"}, r"spec\.outside\[0\]\.dns\.www\.example\.org: .*'nowhere'"),
        ({"-x.example": "192.0.2.1"}, r"spec\.outside\[0\]\.dns: '-x\.example' is no name"),
        ({"www.example.org": []}, r"spec\.outside\[0\]\.dns\.www\.example\.org"),
    ],
)
def test_names_that_cannot_be_served_are_refused(dns: dict[str, object], message: str) -> None:
    """The message says which host's which name."""
    with pytest.raises(InvalidInputError, match=message):
        topology([{"name": "isp", "dns": dns}])


def test_a_service_cidr_without_room_for_dns_is_refused() -> None:
    """Its tenth address must exist; without DNS a smaller one will do."""
    with pytest.raises(
        InvalidInputError, match=r"serviceCIDR 10\.96\.0\.0/29 is too small for the DNS Service's address"
    ):
        topology([], serviceCIDR="10.96.0.0/29")
    assert topology([], serviceCIDR="10.96.0.0/29", dnsReplicas=0).network.dns_replicas == 0
