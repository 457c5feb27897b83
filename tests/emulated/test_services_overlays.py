"""The main kinds of Services on the other overlays: Geneve, and pods' packets crossing the underlay as they are."""

from collections.abc import Callable

import pytest
from servicelab import Lab, To, pod, service

from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

ECHO = {"app": "echo"}
BOTH = [
    {"name": "t", "port": 80, "targetPort": 8080},
    {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
]


@pytest.mark.parametrize("proxy", ["sdn", "nftables"])
@pytest.mark.parametrize("overlay", ["geneve", "direct"])
def test_services_on_every_overlay(start_cluster: Callable[..., Cluster], overlay: str, proxy: str) -> None:
    """Cluster IP from pods, nodes and the endpoint itself, node port and balancer from outside, large requests."""
    settings = {"network.overlay": overlay, "network.services": proxy, "network.dnsReplicas": 0}
    lab = Lab(start_cluster("leaf-spine", nodes=3, settings=settings), proxy)
    lab.start(pod("client", "n1"), pod("one", "n1", ECHO), pod("two", "n2", ECHO), pod("three", "n3", ECHO))
    spec = lab.create(service("web", ECHO, type="LoadBalancer", ports=BOTH))[0]["spec"]
    address, (tcp, udp) = spec["clusterIP"], (port["nodePort"] for port in spec["ports"])
    inside = To(address, times=24, size=50_000), To(address, 80, "udp", times=24)
    everyone = ["one", "three", "two"]
    for place in (lab.pod("client"), lab.pod("one"), lab.node("n1"), lab.node("n3")):
        lab.until_who(place, everyone, *inside)
    assert lab.ask(lab.pod("client"), *inside)[0].clients == [str(lab.pod("client").address)]

    def balanced(obj: object) -> bool:
        return bool(obj and obj["status"].get("loadBalancer", {}).get("ingress"))  # type: ignore[index]

    status = lab.cluster.wait_until("Service", "web", balanced, namespace="default", what="an address")["status"]
    balancer = status["loadBalancer"]["ingress"][0]["ip"]
    node = lab.address("n1")
    questions = [To(node, tcp, times=24, size=50_000), To(node, udp, "udp", times=24), To(balancer, times=24)]
    lab.until_who(lab.outside, everyone, *questions)
