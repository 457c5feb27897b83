"""A pod's resolv.conf and host name, from dnsPolicy, dnsConfig, hostname and subdomain, as kubelet decides them."""

from ipaddress import IPv4Address
from typing import Any

import pytest

from agents.podresolver import (
    ClusterDns,
    HostnameError,
    PodHostname,
    Resolver,
    cluster_dns,
    pod_hostname,
    resolver,
)
from agents.podspec import Pod, pod_from_object
from kubinet.state import ClusterFacts, NetworkConfig, OutsideFacts

CLUSTER = IPv4Address("10.96.0.10")
NODE = IPv4Address("172.18.9.2")
DNS = ClusterDns(CLUSTER, (NODE,))
SEARCHES = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
FIRST = Resolver((CLUSTER,), SEARCHES, ("ndots:5",))


def pod(**spec: Any) -> Pod:
    metadata = {"uid": "u", "namespace": "shop", "name": "web-1", "resourceVersion": "1"}
    containers = [{"name": "main", "image": "busybox"}]
    return pod_from_object({"metadata": metadata, "spec": {"containers": containers, **spec}})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"dnsPolicy": "ClusterFirst"}, FIRST),
        ({}, FIRST),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, Resolver((NODE,))),
        ({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True}, FIRST),
        ({"dnsPolicy": "ClusterFirstWithHostNet"}, FIRST),
        ({"dnsPolicy": "Default"}, Resolver((NODE,))),
        ({"dnsPolicy": "None"}, Resolver()),
    ],
)
def test_the_policy_decides(spec: dict[str, Any], expected: Resolver) -> None:
    """ClusterFirst: the cluster's server, search list and ndots:5; Default: the node's; None: nothing."""
    assert resolver(pod(**spec), DNS) == expected


def test_the_policy_none_takes_dns_config_alone() -> None:
    """Name servers, searches and options are those of dnsConfig; IPv6 servers are left out, the cluster has none."""
    config = {
        "nameservers": ["1.1.1.1", "fd00::1"],
        "searches": ["resolv.conf.local"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    expected = Resolver((IPv4Address("1.1.1.1"),), ("resolv.conf.local",), ("ndots:2", "edns0"))
    assert resolver(pod(dnsPolicy="None", dnsConfig=config), DNS) == expected


def test_dns_config_is_added_to_the_policys() -> None:
    """Servers and searches come after the policy's, once each; an option replaces the policy's of the same name."""
    config = {
        "nameservers": ["10.96.0.10", "192.0.2.1"],
        "searches": ["cluster.local", "example.com"],
        "options": [{"name": "ndots", "value": "1"}, {"name": "rotate"}],
    }
    expected = Resolver((CLUSTER, IPv4Address("192.0.2.1")), (*SEARCHES, "example.com"), ("ndots:1", "rotate"))
    assert resolver(pod(dnsConfig=config), DNS) == expected


def test_an_option_without_a_name_is_left_out() -> None:
    """The API refuses it; a stored pod from before that does not stop its node's agent."""
    config = {"options": [{"value": "3"}, {"name": "ndots", "value": "2"}]}
    assert resolver(pod(dnsConfig=config), DNS) == Resolver((CLUSTER,), SEARCHES, ("ndots:2",))


def test_many_searches_fit() -> None:
    """More than six search domains and more than 256 characters, as Kubernetes has allowed since 1.28."""
    searches = [f"{'x' * 60}.{number}.example.com" for number in range(10)]
    found = resolver(pod(dnsConfig={"searches": searches}), DNS)
    assert found == Resolver((CLUSTER,), (*SEARCHES, *searches), ("ndots:5",))


def test_what_exceeds_the_limits_is_named() -> None:
    """Three servers, 32 searches and 2048 characters: what is left out is said, for an event."""
    config = {"nameservers": ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "searches": [f"s{n}" for n in range(30)]}
    found = resolver(pod(dnsConfig=config), DNS)
    assert [str(server) for server in found.nameservers] == ["10.96.0.10", "192.0.2.1", "192.0.2.2"]
    assert len(found.searches) == 32
    assert found.omitted == "name servers 192.0.2.3 and search domains s29"
    long = resolver(pod(dnsConfig={"searches": ["x" * 250] * 1 + [f"{n}{'y' * 249}" for n in range(9)]}), DNS)
    assert len(" ".join(long.searches)) <= 2048
    assert long.omitted.startswith("search domains ")


def test_without_a_dns_of_the_cluster_pods_have_the_nodes() -> None:
    """dnsReplicas 0: ClusterFirst means Default, as with a kubelet that knows no cluster DNS."""
    assert resolver(pod(), ClusterDns(None, (NODE,))) == Resolver((NODE,))


def test_the_cluster_says_who_resolves() -> None:
    """The tenth address of serviceCIDR, and the outside host that dnsUpstream names."""
    outside = (OutsideFacts("other", 1, IPv4Address("172.18.9.3")), OutsideFacts("isp", 2, NODE))
    facts = ClusterFacts("c", NetworkConfig(dns_upstream="isp"), IPv4Address("172.30.0.1"), (), outside)
    assert cluster_dns(facts) == DNS
    off = ClusterFacts("c", NetworkConfig(dns_replicas=0), IPv4Address("172.30.0.1"), (), outside)
    assert cluster_dns(off) == ClusterDns()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, PodHostname("web-1")),
        ({"hostname": "db-0"}, PodHostname("db-0")),
        ({"hostname": "db-0", "subdomain": "db"}, PodHostname("db-0", "db-0.db.shop.svc.cluster.local")),
        ({"subdomain": "db"}, PodHostname("web-1", "web-1.db.shop.svc.cluster.local")),
        (
            {"subdomain": "db", "setHostnameAsFQDN": True},
            PodHostname("web-1.db.shop.svc.cluster.local", "web-1.db.shop.svc.cluster.local"),
        ),
        ({"setHostnameAsFQDN": True}, PodHostname("web-1")),
        ({"hostNetwork": True, "hostname": "x", "subdomain": "db"}, PodHostname("n1")),
    ],
)
def test_a_pods_names_for_itself(spec: dict[str, Any], expected: PodHostname) -> None:
    """Host name, and the full name where there is a subdomain; host-network pods have the node's."""
    assert pod_hostname(pod(**spec), "n1") == expected


def test_a_full_name_that_is_no_host_name_is_refused() -> None:
    """The kernel allows 64 characters; the error says how many were asked for."""
    spec = {"hostname": "h" * 40, "subdomain": "db", "setHostnameAsFQDN": True}
    message = (
        r"^setHostnameAsFQDN: h+\.db\.shop\.svc\.cluster\.local is too long \(64 characters is the max, 66 requested"
    )
    with pytest.raises(HostnameError, match=message):
        pod_hostname(pod(**spec), "n1")
