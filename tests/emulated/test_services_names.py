"""Services by their names: what a pod's resolver finds is what it connects to.

n1: client, one     n2: two     internet: the outside host, which also answers for names outside
"""

import pytest
from servicelab import Lab, To, pod, service
from serviceprograms import PYTHON, SERVER

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
