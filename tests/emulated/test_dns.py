"""The cluster's DNS by real packets: names from pods through the DNS Service, outside resolvers, settings.

         isp (router)
  n1 ──── │ │ │ ──── n2
internet ─┘ └─ corp           both outside hosts run a name server; internet is the upstream
"""

import json
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import dns.message
import pytest
from dns.flags import TC
from dns.message import Message
from dns.rcode import NOERROR, NXDOMAIN
from serviceprograms import PATIENT

from kubinet.client import Object
from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

TOPOLOGY = """
apiVersion: kubinet.dev/v1
kind: Topology
metadata: {name: dns}
spec:
  network: {dnsUpstream: internet}
  nodes: [{name: n1}, {name: n2}]
  routers: [{name: isp}]
  outside:
  - name: internet
    dns: {www.example.org: 192.0.2.80, changed.example.org: [192.0.2.81, 192.0.2.82]}
  - name: corp
    dns: {wiki.corp.example: 192.0.2.90}
  links:
  - endpoints: [n1, isp]
  - endpoints: [n2, isp]
  - endpoints: [internet, isp]
  - endpoints: [corp, isp]
"""
SERVICE = "10.96.0.10"
ZONE = "dns-test.svc.cluster.local"
SEND = (
    PATIENT
    + """
import sys

server, wire, tcp = sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3] == "tcp"


def whole(stream, size):
    data = b""
    while len(data) < size:
        data += stream.recv(size - len(data))
    return data


def answer():
    with PatientSocket(socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM, limit=5) as one:
        one.connect((server, 53))
        if not tcp:
            one.send(wire)
            return one.recv(65535)
        one.sendall(len(wire).to_bytes(2, "big") + wire)
        return whole(one, int.from_bytes(whole(one, 2), "big"))


for lost in range(2):
    try:
        print(lost, answer().hex())
        break
    except TimeoutError:
        pass
"""
)
"""A resolver with resolv.conf's timeout of 5 s and 2 attempts: how many questions were lost, and the answer."""
LOST: list[str] = []
"""Questions that had to be asked again, which none needs to be: limits do not count the time of a stalled machine."""


def pod(name: str, namespace: str = "dns-test", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    container = {"name": "main", "image": "registry.k8s.io/pause:3.10"}
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    full = {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": full}


def service(name: str, **spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "dns-test"}, "spec": spec}


class Client:
    """A pod that asks."""

    def __init__(self, cluster: Cluster, name: str = "client") -> None:
        self.cluster = cluster
        self.pod = cluster.pod(name, "dns-test")

    def run(self, *argv: str, check: bool = True) -> str:
        return self.pod.exec(list(argv), check=check).text

    def ask(self, name: str, rdtype: str = "A", *, server: str = SERVICE, tcp: bool = False) -> Message:
        """The response to one question."""
        query = dns.message.make_query(name, rdtype)
        said = self.run("python3", "-c", SEND, server, query.to_wire().hex(), "tcp" if tcp else "udp")
        assert said, f"{server} did not answer {name} {rdtype}, asked twice"
        lost, answer = said.split()
        LOST.extend([f"{name} {rdtype} to {server}"] * int(lost))
        response = dns.message.from_wire(bytes.fromhex(answer))
        assert query.is_response(response)
        return response

    def records(self, name: str, rdtype: str = "A") -> list[str]:
        """The answer's records, a line each, sorted."""
        found = self.ask(name, rdtype).answer
        return sorted(f"{rrset.name} {data.rdtype.name} {data}" for rrset in found for data in rrset)

    def until(self, name: str, rdtype: str, expected: list[str]) -> None:
        """Ask until these are the records: what the API was told arrives with its watch."""
        for _ in range(100):
            found = self.records(name, rdtype)
            if found == expected:
                return
        pytest.fail(f"{name} {rdtype}: {found} instead of {expected}")

    def getent(self, name: str) -> list[str]:
        """The addresses that the pod's C library finds, with its resolv.conf."""
        listed = self.run("getent", "ahostsv4", name, check=False)
        return sorted({line.split()[0] for line in listed.splitlines()})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests of this module, with a pod `client` on n1."""
    folder = tmp_path_factory.mktemp("dns")
    (folder / "dns.yaml").write_text(TOPOLOGY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        with Cluster(str(folder / "dns.yaml"), name="dns-test") as made:
            made.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dns-test"}})
            start(made, pod("client", nodeName="n1"))
            yield made
            assert errors(made.info.state_dir / "logs") == []
            assert LOST == []


@pytest.fixture
def client(cluster: Cluster) -> Client:
    return Client(cluster)


def errors(logs: Path) -> list[str]:
    """What the services logged as errors."""
    lines = (line for log in sorted(logs.glob("*.log")) for line in log.read_text(errors="replace").splitlines())
    return [line for line in lines if " ERROR " in line or line.startswith("Traceback")]


def start(cluster: Cluster, *pods: Object) -> None:
    """Create pods and wait until they are ready."""
    for one in pods:
        cluster.client.create(one)
    for one in pods:
        cluster.wait("Pod", one["metadata"]["name"], "Ready", namespace=one["metadata"]["namespace"])


def replicas(cluster: Cluster) -> list[IPv4Address]:
    pods = cluster.client.list("Pod", "kube-system", label_selector="k8s-app=kube-dns")["items"]
    return [IPv4Address(one["status"]["podIP"]) for one in pods]


# What pods are told


def test_pods_have_the_clusters_resolver(client: Client) -> None:
    """dnsPolicy ClusterFirst: the DNS Service, the three search domains, ndots:5."""
    assert client.run("cat", "/etc/resolv.conf") == (
        f"search {ZONE} svc.cluster.local cluster.local\nnameserver {SERVICE}\noptions ndots:5\n"
    )


def test_the_policy_default_gives_the_nodes_resolver(cluster: Cluster) -> None:
    """The upstream outside host, which the node's own resolv.conf names too; it answers for its own name and others."""
    start(cluster, pod("default", dnsPolicy="Default"), pod("on-host", hostNetwork=True))
    internet = cluster.outside("internet").address
    for name in ("default", "on-host"):
        assert Client(cluster, name).run("cat", "/etc/resolv.conf") == f"nameserver {internet}\n"
    assert f"nameserver {internet}" in cluster.node("n1").exec(["cat", "/etc/resolv.conf"]).text.splitlines()
    for name, address in (("internet.example", str(internet)), ("www.example.org", "192.0.2.80")):
        assert Client(cluster, "default").getent(name) == [address]
        assert cluster.node("n1").exec(["getent", "ahostsv4", name]).text.split()[0] == address


def test_the_policy_none_takes_what_dns_config_says(cluster: Cluster) -> None:
    """Name servers, searches and options of dnsConfig alone (conformance: configurable pod DNS)."""
    config = {
        "nameservers": ["1.1.1.1"],
        "searches": ["resolv.conf.local"],
        "options": [{"name": "ndots", "value": "2"}],
    }
    start(cluster, pod("none", dnsPolicy="None", dnsConfig=config))
    expected = "search resolv.conf.local\nnameserver 1.1.1.1\noptions ndots:2\n"
    assert Client(cluster, "none").run("cat", "/etc/resolv.conf") == expected


def test_a_pod_knows_itself(cluster: Cluster) -> None:
    """/etc/hosts has the pod's full and short name; hostAliases follow; setHostnameAsFQDN as it says."""
    alias = {"ip": "192.0.2.7", "hostnames": ["legacy", "legacy.example"]}
    names = {"hostname": "self", "subdomain": "peers"}
    start(cluster, pod("itself", **names, hostAliases=[alias]), pod("full", **names, setHostnameAsFQDN=True))
    asked = Client(cluster, "itself")
    address = str(asked.pod.address)
    assert asked.run("hostname") == "self\n"
    assert asked.run("getent", "hosts", "self").split() == [address, f"self.peers.{ZONE}", "self"]
    assert asked.getent("legacy.example") == ["192.0.2.7"]
    assert Client(cluster, "full").run("hostname") == f"self.peers.{ZONE}\n"


# Names of the cluster


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_each_replica_and_the_service_answer(cluster: Cluster, client: Client, tcp: bool) -> None:
    """kubernetes.default has the first address of serviceCIDR, over UDP and TCP, with a TTL of 5 s."""
    for server in (*map(str, replicas(cluster)), SERVICE):
        [rrset] = client.ask("kubernetes.default.svc.cluster.local.", server=server, tcp=tcp).answer
        assert rrset.to_text() == "kubernetes.default.svc.cluster.local. 5 IN A 10.96.0.1"
    assert len(replicas(cluster)) == 2


def test_partial_names_resolve_by_the_search_list(client: Client) -> None:
    """kubernetes.default, with .svc, and with the whole domain; a name of another namespace needs the namespace."""
    for name in ("kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"):
        assert client.getent(name) == ["10.96.0.1"]
    assert client.getent("kubernetes") == []


def test_services_and_their_pods_have_names(cluster: Cluster, client: Client) -> None:
    """A ClusterIP Service and a headless one with the same pods: A, SRV, per-pod names, PTR, and pod records."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    labels = {"app": "web"}
    cluster.client.create(service("front", selector=labels, ports=ports))
    cluster.client.create(service("peers", selector=labels, ports=ports, clusterIP="None"))
    start(cluster, pod("web-0", labels=labels, hostname="web-0", subdomain="peers"), pod("web-1", labels=labels))
    front = cluster.client.get("Service", "front", "dns-test")["spec"]["clusterIP"]
    first, second = (str(cluster.pod(name, "dns-test").address) for name in ("web-0", "web-1"))
    other = second.replace(".", "-")
    client.until(f"peers.{ZONE}.", "A", sorted(f"peers.{ZONE}. A {address}" for address in (first, second)))
    assert client.records(f"front.{ZONE}.") == [f"front.{ZONE}. A {front}"]
    assert client.records(f"_http._tcp.front.{ZONE}.", "SRV") == [
        f"_http._tcp.front.{ZONE}. SRV 0 100 80 front.{ZONE}."
    ]
    assert client.records(f"_http._tcp.peers.{ZONE}.", "SRV") == [
        f"_http._tcp.peers.{ZONE}. SRV 0 50 8080 {other}.peers.{ZONE}.",
        f"_http._tcp.peers.{ZONE}. SRV 0 50 8080 web-0.peers.{ZONE}.",
    ]
    assert client.records(f"web-0.peers.{ZONE}.") == [f"web-0.peers.{ZONE}. A {first}"]
    assert client.getent("web-0.peers") == [first]
    reverse = f"{IPv4Address(front).reverse_pointer}."
    assert client.records(reverse, "PTR") == [f"{reverse} PTR front.{ZONE}."]
    assert f"web-0.peers.{ZONE}." in " ".join(client.records(f"{IPv4Address(first).reverse_pointer}.", "PTR"))
    assert client.records(f"{other}.dns-test.pod.cluster.local.") == [f"{other}.dns-test.pod.cluster.local. A {second}"]
    cluster.client.delete("Pod", "web-1", "dns-test", grace_period=0)
    client.until(f"peers.{ZONE}.", "A", [f"peers.{ZONE}. A {first}"])


def test_a_service_may_become_another(cluster: Cluster, client: Client) -> None:
    """ExternalName: CNAME, followed to the outside; it changes at once, and to an address with the type."""
    cluster.client.create(service("mirror", type="ExternalName", externalName="www.example.org"))
    alias = f"mirror.{ZONE}. CNAME"
    client.until(f"mirror.{ZONE}.", "A", [f"{alias} www.example.org.", "www.example.org. A 192.0.2.80"])
    cluster.client.patch("Service", "mirror", {"spec": {"externalName": "changed.example.org"}}, "dns-test")
    client.until(f"mirror.{ZONE}.", "CNAME", [f"{alias} changed.example.org."])
    changed = {"type": "ClusterIP", "externalName": None, "ports": [{"port": 80}]}
    address = cluster.client.patch("Service", "mirror", {"spec": changed}, "dns-test")["spec"]["clusterIP"]
    client.until(f"mirror.{ZONE}.", "A", [f"mirror.{ZONE}. A {address}"])


def test_a_large_answer_comes_by_tcp(cluster: Cluster, client: Client) -> None:
    """100 endpoints do not fit into a datagram: TC, and the C library asks again over TCP and gets all."""
    addresses = [f"10.244.250.{number}" for number in range(1, 101)]
    cluster.client.create(service("large", clusterIP="None", ports=[{"name": "http", "port": 80}]))
    metadata = {"name": "large-1", "namespace": "dns-test", "labels": {"kubernetes.io/service-name": "large"}}
    endpoints = [{"addresses": [address]} for address in addresses]
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4"}
    cluster.client.create({**slice_, "endpoints": endpoints, "ports": [{"name": "http", "port": 80}]})
    for _ in range(100):
        if client.ask(f"large.{ZONE}.").flags & TC:
            break
    assert client.getent(f"large.{ZONE}") == sorted(addresses)


def test_many_search_domains_are_used(cluster: Cluster) -> None:
    """A name that only the tenth search domain completes, with more than 256 characters of them."""
    searches = [f"{'x' * 30}{number}.example.com" for number in range(6)] + ["default.svc.cluster.local"]
    start(cluster, pod("searching", dnsConfig={"searches": searches}))
    assert Client(cluster, "searching").getent("kubernetes") == ["10.96.0.1"]


def test_a_host_network_pod_may_ask_the_cluster(cluster: Cluster) -> None:
    """dnsPolicy ClusterFirstWithHostNet: the node's own stack reaches the DNS Service."""
    start(cluster, pod("host-net", hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"))
    assert Client(cluster, "host-net").getent("kubernetes.default") == ["10.96.0.1"]


# Names outside


def test_other_names_are_forwarded(client: Client) -> None:
    """The upstream's answers and denials, addresses and PTR, without the authority flag."""
    assert client.getent("www.example.org") == ["192.0.2.80"]
    assert client.records("changed.example.org.") == [
        "changed.example.org. A 192.0.2.81",
        "changed.example.org. A 192.0.2.82",
    ]
    assert client.records("80.2.0.192.in-addr.arpa.", "PTR") == ["80.2.0.192.in-addr.arpa. PTR www.example.org."]
    assert client.ask("nothing.example.org.").rcode() == NXDOMAIN
    assert client.ask("nothing.dns-test.svc.cluster.local.").rcode() == NXDOMAIN
    assert client.ask("kubernetes.default.svc.cluster.local.", "AAAA").rcode() == NOERROR


def test_a_stub_domain_has_its_own_server(cluster: Cluster, client: Client) -> None:
    """The ConfigMap is followed while the servers run, and its removal too."""
    assert client.ask("wiki.corp.example.").rcode() == NXDOMAIN
    stubs = json.dumps({"corp.example": [str(cluster.outside("corp").address)]})
    cluster.client.patch("ConfigMap", "coredns", {"data": {"stubDomains": stubs}}, "kube-system")
    for server in map(str, replicas(cluster)):
        for _ in range(100):
            response = client.ask("wiki.corp.example.", server=server)
            if response.rcode() == NOERROR:
                break
        assert [str(data) for data in response.answer[0]] == ["192.0.2.90"]
    cluster.client.patch("ConfigMap", "coredns", {"data": {"stubDomains": None}}, "kube-system")
    client.until("wiki.corp.example.", "A", [])


# The add-on


def test_the_cluster_is_ready_with_its_dns(cluster: Cluster) -> None:
    """`kubinet up` has a phase `dns`; the Deployment has two replicas, on different nodes."""
    assert "dns" in cluster.timings
    assert cluster.client.get("Deployment", "coredns", "kube-system")["status"]["availableReplicas"] >= 1
    pods = cluster.client.list("Pod", "kube-system", label_selector="k8s-app=kube-dns")["items"]
    assert sorted(one["spec"]["nodeName"] for one in pods) == ["n1", "n2"]


def test_one_replica_is_enough(cluster: Cluster, client: Client) -> None:
    """A replica that is deleted is replaced; names resolve meanwhile."""
    victim = cluster.client.list("Pod", "kube-system", label_selector="k8s-app=kube-dns")["items"][0]
    cluster.client.delete("Pod", victim["metadata"]["name"], "kube-system", grace_period=0)
    cluster.wait("Pod", victim["metadata"]["name"], "delete", namespace="kube-system")
    assert client.getent("kubernetes.default") == ["10.96.0.1"]
    cluster.wait_until(
        "Deployment",
        "coredns",
        lambda obj: obj is not None and obj["status"].get("availableReplicas") == 2,
        namespace="kube-system",
        what="two available replicas",
    )


def test_a_cluster_without_dns(start_cluster: Callable[..., Cluster]) -> None:
    """dnsReplicas 0: nothing in kube-system, and pods have the node's resolver, which names nobody here."""
    cluster = start_cluster("single", settings={"network.dnsReplicas": "0"})
    assert cluster.client.list("Pod", "kube-system")["items"] == []
    cluster.client.create(pod("lonely", "default"))
    cluster.wait("Pod", "lonely", "Ready", namespace="default")
    assert cluster.pod("lonely").exec(["cat", "/etc/resolv.conf"]).text == ""
