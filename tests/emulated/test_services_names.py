"""Services by their names: what a pod's resolver finds is what it connects to.

n1: client, one     n2: two     internet: the outside host, which also answers for names outside
"""

import pytest
from servicelab import Lab, Place, To, endpoint_slice, pod, service
from serviceprograms import PYTHON, SERVER

from kubinet.client import Object
from kubinet.errors import KubinetError

pytestmark = pytest.mark.emulated

CLUSTER = {"topology": "star", "nodes": 2, "settings": {"network.dnsReplicas": 1, "network.dnsUpstream": "internet"}}
ECHO = {"app": "echo"}


def prepare(lab: Lab) -> None:
    servers = [pod(name, node, ECHO, subdomain="peers", hostname=name) for name, node in (("one", "n1"), ("two", "n2"))]
    lab.start(pod("client", "n1"), *servers)


def _by_name(lab: Lab, expected: list[str], to: To) -> None:
    """Wait until the name resolves in a pod and exactly these answer."""

    def look() -> list[str]:
        try:
            return lab.who(lab.pod("client"), to)[0]
        except KubinetError as error:  # the name is not known yet
            return [str(error)]

    lab.until(expected, look)


def test_a_cluster_ip_by_name(lab: Lab) -> None:
    """By the name alone, with the namespace, and in full; TCP and UDP."""
    lab.create(service("web", ECHO, ports=[
        {"name": "t", "port": 80, "targetPort": 8080}, {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
    ]))  # fmt: skip
    for name in ("web", "web.default", "web.default.svc", "web.default.svc.cluster.local"):
        _by_name(lab, ["one", "two"], To(name, times=16))
    _by_name(lab, ["one", "two"], To("web", 80, "udp", times=16))


def test_headless_services_lead_to_pods(lab: Lab) -> None:
    """The Service's name to all its pods, at their own port; a pod's name to that pod; not ready: no name."""
    lab.create(service("peers", ECHO, clusterIP="None", ports=[{"name": "http", "port": 8080}]))
    _by_name(lab, ["one", "two"], To("peers", 8080, times=24))
    for name in ("one", "two"):
        _by_name(lab, [name], To(f"{name}.peers", 8080, times=4))


def test_an_external_name_leads_outside(lab: Lab) -> None:
    """ExternalName: connections go to the outside host, with the node's address; no flow or rule is needed."""
    lab.create(service("away", type="ExternalName", externalName="internet.example", ports=[{"port": 7000}]))
    with lab.outside.popen([PYTHON, "-c", SERVER, "outsider", "7000"]) as process:
        _by_name(lab, ["outsider"], To("away", 7000, times=4))
        assert lab.ask(lab.pod("client"), To("away", 7000))[0].clients == [lab.address("n1")]
        process.kill()


def test_a_name_follows_its_service(lab: Lab) -> None:
    """ExternalName to ClusterIP: the same name leads to pods; deleted and made anew: to the new address."""
    lab.create(service("turn", type="ExternalName", externalName="internet.example", ports=[{"port": 80}]))
    ports = [{"port": 80, "targetPort": 8080}]
    lab.patch(
        "Service", "turn", {"spec": {"type": "ClusterIP", "externalName": None, "selector": ECHO, "ports": ports}}
    )
    _by_name(lab, ["one", "two"], To("turn", times=16))
    lab.remove("Service", "turn")
    lab.create(service("turn", {"app": "echo"}))
    _by_name(lab, ["one", "two"], To("turn", times=16))


def _addresses(place: Place, name: str) -> list[str]:
    """What the place's C library finds, with its resolv.conf; nothing for no answer."""
    listed = place.exec(["getent", "ahostsv4", name], check=False).text
    return sorted({line.split()[0] for line in listed.splitlines()})


def test_pods_of_the_host_network_ask_the_cluster(lab: Lab) -> None:
    """dnsPolicy ClusterFirstWithHostNet, on the name server's node and on the other one."""
    pods = [pod(f"host-{node}", node, ports=(18080,), hostNetwork=True) for node in lab.nodes]
    lab.start(*({**one, "spec": {**one["spec"], "dnsPolicy": "ClusterFirstWithHostNet"}} for one in pods))
    for node in lab.nodes:
        assert _addresses(lab.pod(f"host-{node}"), "kubernetes.default") == ["10.96.0.1"]


def test_a_large_answer_comes_by_tcp(lab: Lab) -> None:
    """100 addresses do not fit into a datagram: the C library asks the same Service again over TCP and gets all."""
    addresses = [f"10.244.250.{number}" for number in range(1, 101)]
    lab.create(service("large", clusterIP="None", ports=[{"name": "http", "port": 80}]))
    ends = [{"addresses": [address]} for address in addresses]
    lab.create(endpoint_slice("large-1", "large", ends, [{"name": "http", "port": 80}]))
    lab.until(sorted(addresses), lambda: _addresses(lab.pod("client"), "large"))


def test_names_resolve_by_the_next_name_server(lab: Lab) -> None:
    """The only name server's pod is replaced: when the next one is available, pods have answers from it at once."""
    victim = lab.cluster.client.list("Pod", "kube-system", label_selector="k8s-app=kube-dns")["items"][0]["metadata"]
    lab.cluster.client.delete("Pod", victim["name"], "kube-system", grace_period=0)

    def served(obj: Object | None) -> bool:
        listed = lab.cluster.client.list("Pod", "kube-system", label_selector="k8s-app=kube-dns")["items"]
        others = [one for one in listed if one["metadata"]["uid"] != victim["uid"]]
        return bool(obj and obj["status"].get("availableReplicas") == 1 and others)

    lab.cluster.wait_until("Deployment", "coredns", served, namespace="kube-system", what="another name server")
    lab.until(["10.96.0.1"], lambda: _addresses(lab.pod("client"), "kubernetes.default"))
