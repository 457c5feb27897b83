"""What the DNS specification says of Services, endpoints and pods, as one small cluster shows it."""

from ipaddress import IPv4Network
from typing import Any

import pytest
from dns.name import from_text
from dns.rcode import NOERROR, NXDOMAIN, SERVFAIL
from dns.rdatatype import RdataType

from agents.dns.answer import Content, answer
from agents.dns.cluster import Cluster
from agents.dns.records import ClusterNames

NAMES = ClusterNames(reverse=(IPv4Network("10.96.0.0/16"), IPv4Network("10.244.0.0/16")))
SOA = "cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. {} 7200 1800 86400 5"


def service(name: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def endpoint_slice(of: str, endpoints: list[Any], ports: list[Any], name: str = "") -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": of}
    metadata = {"name": name or f"{of}-1", "namespace": "shop", "labels": labels}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}


def endpoint(address: str, hostname: str = "", ready: bool | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"addresses": [address]}
    if hostname:
        found["hostname"] = hostname
    if ready is not None:
        found["conditions"] = {"ready": ready}
    return found


def pod(name: str, address: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", **more}, "status": {"podIP": address, "phase": "Running"}}


HTTP = {"name": "http", "protocol": "TCP", "port": 8080}
SERVICES = [
    service("kube-dns", "kube-system", clusterIP="10.96.0.10", ports=[{"name": "dns", "protocol": "UDP", "port": 53}]),
    service("web", clusterIP="10.96.7.7", ports=[{"name": "http", "protocol": "TCP", "port": 80}, {"port": 81}]),
    service("db", clusterIP="None"),
    service("early", clusterIP="None", publishNotReadyAddresses=True),
    service("lonely", clusterIP="None"),
    service("mirror", type="ExternalName", externalName="www.example.org"),
    service("alias", type="ExternalName", externalName="web.shop.svc.cluster.local"),
    service("ghost", type="ExternalName", externalName="gone.shop.svc.cluster.local"),
    service("ping", type="ExternalName", externalName="pong.shop.svc.cluster.local"),
    service("pong", type="ExternalName", externalName="ping.shop.svc.cluster.local"),
    service("number", type="ExternalName", externalName="192.0.2.1"),
]
SLICES = [
    endpoint_slice("web", [endpoint("10.244.1.5"), endpoint("10.244.2.5", ready=False)], [HTTP]),
    endpoint_slice("db", [endpoint("10.244.1.6", "db-0", True), endpoint("10.244.2.6")], [HTTP]),
    endpoint_slice("early", [endpoint("10.244.1.7", "e-0", False)], [HTTP]),
    endpoint_slice("lonely", [endpoint("10.244.1.8", ready=False)], [HTTP]),
]
PODS = [
    pod("web-1", "10.244.1.5"),
    pod("leaving", "10.244.1.99", deletionTimestamp="2026-01-01T00:00:00Z"),
    {"metadata": {"name": "ended", "namespace": "shop"}, "status": {"podIP": "10.244.1.98", "phase": "Succeeded"}},
]


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(NAMES)
    cluster.replace("services", SERVICES)
    cluster.replace("endpointslices", SLICES)
    cluster.replace("pods", PODS)
    return cluster


def ask(cluster: Cluster, name: str, rdtype: str = "A") -> Content:
    content = answer(cluster.zone, from_text(name), RdataType.make(rdtype))
    assert content is not None
    return content


def lines(content: Content) -> list[str]:
    """The answer section, a record a line, sorted."""
    return sorted(line for rrset in content.answer for line in rrset.to_text().splitlines())


S = "svc.cluster.local."


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        (f"web.shop.{S}", "A", [f"web.shop.{S} 5 IN A 10.96.7.7"]),
        (f"WEB.Shop.{S}", "A", [f"WEB.Shop.{S} 5 IN A 10.96.7.7"]),
        (f"_http._tcp.web.shop.{S}", "SRV", [f"_http._tcp.web.shop.{S} 5 IN SRV 0 100 80 web.shop.{S}"]),
        (f"db.shop.{S}", "A", [f"db.shop.{S} 5 IN A 10.244.1.6", f"db.shop.{S} 5 IN A 10.244.2.6"]),
        (f"db-0.db.shop.{S}", "A", [f"db-0.db.shop.{S} 5 IN A 10.244.1.6"]),
        (f"10-244-2-6.db.shop.{S}", "A", [f"10-244-2-6.db.shop.{S} 5 IN A 10.244.2.6"]),
        (
            f"_http._tcp.db.shop.{S}",
            "SRV",
            [
                f"_http._tcp.db.shop.{S} 5 IN SRV 0 50 8080 10-244-2-6.db.shop.{S}",
                f"_http._tcp.db.shop.{S} 5 IN SRV 0 50 8080 db-0.db.shop.{S}",
            ],
        ),
        (f"early.shop.{S}", "A", [f"early.shop.{S} 5 IN A 10.244.1.7"]),
        (f"10-244-1-5.web.shop.{S}", "A", [f"10-244-1-5.web.shop.{S} 5 IN A 10.244.1.5"]),
        ("10-244-1-5.shop.pod.cluster.local.", "A", ["10-244-1-5.shop.pod.cluster.local. 5 IN A 10.244.1.5"]),
        (f"mirror.shop.{S}", "CNAME", [f"mirror.shop.{S} 5 IN CNAME www.example.org."]),
        (
            f"alias.shop.{S}",
            "A",
            [f"alias.shop.{S} 5 IN CNAME web.shop.{S}", f"web.shop.{S} 5 IN A 10.96.7.7"],
        ),
        ("7.7.96.10.in-addr.arpa.", "PTR", [f"7.7.96.10.in-addr.arpa. 5 IN PTR web.shop.{S}"]),
        ("6.1.244.10.in-addr.arpa.", "PTR", [f"6.1.244.10.in-addr.arpa. 5 IN PTR db-0.db.shop.{S}"]),
        ("dns-version.cluster.local.", "TXT", ['dns-version.cluster.local. 5 IN TXT "1.1.0"']),
        ("cluster.local.", "NS", ["cluster.local. 5 IN NS ns.dns.cluster.local."]),
        ("ns.dns.cluster.local.", "A", ["ns.dns.cluster.local. 5 IN A 10.96.0.10"]),
        (f"web.shop.{S}", "ANY", [f'web.shop.{S} 5 IN HINFO "RFC8482" ""']),
    ],
)
def test_names_have_the_records_of_the_specification(
    cluster: Cluster, name: str, rdtype: str, expected: list[str]
) -> None:
    """Services, endpoints, pods, the version and the zone itself answer with exactly these records."""
    content = ask(cluster, name, rdtype)
    assert (content.rcode, lines(content)) == (NOERROR, expected)


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        (f"web.shop.{S}", "AAAA"),
        (f"shop.{S}", "A"),
        (S, "A"),
        ("pod.cluster.local.", "A"),
        (f"_tcp.web.shop.{S}", "SRV"),
        (f"web.shop.{S}", "SRV"),
        ("cluster.local.", "A"),
        ("1.244.10.in-addr.arpa.", "PTR"),
        ("96.10.in-addr.arpa.", "PTR"),
    ],
)
def test_names_that_exist_without_the_type_give_no_data(cluster: Cluster, name: str, rdtype: str) -> None:
    """NOERROR, no records, and the SOA whose minimum is 5 s: also for names that exist only because of those below."""
    content = ask(cluster, name, rdtype)
    assert (content.rcode, content.answer) == (NOERROR, ())
    assert [(rrset.rdtype, rrset[0].minimum) for rrset in content.authority] == [(RdataType.SOA, 5)]


@pytest.mark.parametrize(
    "name",
    [
        f"nothing.shop.{S}",
        f"web.other.{S}",
        f"lonely.shop.{S}",
        f"number.shop.{S}",
        f"10-244-2-5.web.shop.{S}",
        f"*.shop.{S}",
        f"_81._tcp.web.shop.{S}",
        "10-244-1-5.other.pod.cluster.local.",
        "10-244-1-6.shop.pod.cluster.local.",
        "10-244-1-99.shop.pod.cluster.local.",
        "10-244-1-98.shop.pod.cluster.local.",
        "8.7.96.10.in-addr.arpa.",
    ],
)
def test_names_that_do_not_exist_give_nxdomain(cluster: Cluster, name: str) -> None:
    """Other namespaces, addresses without a pod, endpoints that are not ready, wildcards: NXDOMAIN with the SOA."""
    content = ask(cluster, name)
    assert (content.rcode, content.answer) == (NXDOMAIN, ())
    assert [rrset.rdtype for rrset in content.authority] == [RdataType.SOA]


def test_the_soa_record_is_that_of_the_names_own_zone(cluster: Cluster) -> None:
    """The owner is the zone's apex, the serial grows with each change."""
    expected = SOA.format(cluster.zone.serial)
    assert ask(cluster, f"nothing.shop.{S}").authority[0].to_text() == expected
    assert ask(cluster, "8.7.96.10.in-addr.arpa.").authority[0].to_text().startswith("96.10.in-addr.arpa. 5 IN SOA")
    before = cluster.zone.serial
    cluster.drop("services", SERVICES[1])
    assert cluster.zone.serial == before + 1


def test_an_external_name_outside_of_the_cluster_is_to_be_followed(cluster: Cluster) -> None:
    """The answer has the CNAME and says which name the forwarder has to ask for."""
    content = ask(cluster, f"mirror.shop.{S}")
    assert lines(content) == [f"mirror.shop.{S} 5 IN CNAME www.example.org."]
    assert content.follow == from_text("www.example.org.")


def test_an_external_name_that_leads_nowhere_is_nxdomain(cluster: Cluster) -> None:
    """The rcode is the last name's (RFC 6604), the CNAME is in the answer."""
    content = ask(cluster, f"ghost.shop.{S}")
    assert (content.rcode, lines(content)) == (NXDOMAIN, [f"ghost.shop.{S} 5 IN CNAME gone.shop.{S}"])


def test_external_names_in_a_circle_fail(cluster: Cluster) -> None:
    """Two ExternalNames that name each other give SERVFAIL instead of an endless answer."""
    assert ask(cluster, f"ping.shop.{S}") == Content(SERVFAIL)


def test_names_of_others_are_not_ours(cluster: Cluster) -> None:
    """There is no answer at all outside of the cluster's domain and its reverse zones."""
    for name in ("example.org.", "local.", ".", "1.2.0.192.in-addr.arpa.", "in-addr.arpa."):
        assert answer(cluster.zone, from_text(name), RdataType.A) is None


def test_srv_answers_bring_their_targets_addresses(cluster: Cluster) -> None:
    """The additional section has the A records that a client asks for next."""
    content = ask(cluster, f"_http._tcp.db.shop.{S}", "SRV")
    assert sorted(rrset.to_text() for rrset in content.additional) == [
        f"10-244-2-6.db.shop.{S} 5 IN A 10.244.2.6",
        f"db-0.db.shop.{S} 5 IN A 10.244.1.6",
    ]


def test_an_address_behind_two_services_has_two_names(cluster: Cluster) -> None:
    """Both PTR records are answered; the first remains when the other Service goes."""
    cluster.put("services", service("second", clusterIP="None"))
    cluster.put("endpointslices", endpoint_slice("second", [endpoint("10.244.1.6", "x")], [HTTP]))
    reverse = "6.1.244.10.in-addr.arpa."
    both = [f"{reverse} 5 IN PTR db-0.db.shop.{S}", f"{reverse} 5 IN PTR x.second.shop.{S}"]
    assert lines(ask(cluster, reverse, "PTR")) == both
    cluster.drop("services", service("second"))
    assert lines(ask(cluster, reverse, "PTR")) == both[:1]


def test_a_service_may_change_its_type(cluster: Cluster) -> None:
    """ExternalName to ClusterIP: the CNAME is replaced by an address at once."""
    cluster.put("services", service("mirror", type="ClusterIP", clusterIP="10.96.1.1"))
    assert lines(ask(cluster, f"mirror.shop.{S}")) == [f"mirror.shop.{S} 5 IN A 10.96.1.1"]


def test_a_list_removes_what_it_does_not_hold(cluster: Cluster) -> None:
    """After a watch was lost, the new list decides: everything else is gone, with its names."""
    cluster.replace("services", [])
    cluster.replace("pods", [])
    cluster.replace("endpointslices", [])
    assert list(cluster.zone.names()) == [(b"dns-version", b"cluster", b"local")]
    assert ask(cluster, S).rcode == NXDOMAIN


def test_an_object_that_cannot_be_read_has_no_names(cluster: Cluster) -> None:
    """Its neighbours keep theirs."""
    cluster.put("services", {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": 7}})
    assert ask(cluster, f"web.shop.{S}").rcode == NXDOMAIN
    assert ask(cluster, f"db.shop.{S}").rcode == NOERROR


def test_a_slice_that_moves_to_another_service_takes_its_names_along(cluster: Cluster) -> None:
    """The label `kubernetes.io/service-name` decides, at every change."""
    cluster.put("endpointslices", endpoint_slice("lonely", [endpoint("10.244.1.6")], [HTTP], name="db-1"))
    assert ask(cluster, f"db.shop.{S}").rcode == NXDOMAIN
    assert lines(ask(cluster, f"lonely.shop.{S}")) == [f"lonely.shop.{S} 5 IN A 10.244.1.6"]
