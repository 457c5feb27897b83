"""Which endpoints serve whom: zones, nodes' own endpoints, and both datapaths between the nodes.

zone rack1: n1, n3 (or as the preset has it)     zone rack2: the others; a client and an endpoint on every node
"""

import pytest
from servicelab import Lab, To, pod, service

pytestmark = pytest.mark.emulated

CLUSTER = {"topology": "leaf-spine", "nodes": 4}
ECHO = {"app": "echo"}


def prepare(lab: Lab) -> None:
    lab.start(*(pod(f"e-{node}", node, ECHO) for node in lab.nodes), *(pod(f"c-{node}", node) for node in lab.nodes))


def _zones(lab: Lab) -> dict[str, str]:
    items = lab.cluster.client.list("Node")["items"]
    return {node["metadata"]["name"]: node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in items}


@pytest.mark.parametrize("word", ["PreferClose", "PreferSameZone"])
def test_traffic_stays_in_its_zone(lab: Lab, word: str) -> None:
    """Pods and nodes reach endpoints of their own zone only; without the wish, or where the zone has none, all."""
    name = f"close-{word.lower()}"
    address = lab.serve(service(name, ECHO, trafficDistribution=word))
    zones = _zones(lab)
    assert len(set(zones.values())) == 2
    for node in lab.nodes:
        near = sorted(f"e-{other}" for other in lab.nodes if zones[other] == zones[node])
        assert len(near) == 2
        lab.until_who(lab.pod(f"c-{node}"), near, To(address, times=16))
        lab.until_who(lab.node(node), near, To(address, times=16))
    lab.patch("Service", name, {"spec": {"trafficDistribution": None}})
    lab.until_who(lab.pod("c-n1"), [f"e-{node}" for node in lab.nodes], To(address, times=24))


def test_a_zone_without_endpoints_uses_the_others(lab: Lab) -> None:
    """PreferClose is a wish: clients whose zone has no endpoint reach those of another zone."""
    labels = {"app": "far"}
    lab.start(pod("far", "n1", labels))
    address = lab.serve(service("far", labels, trafficDistribution="PreferClose"))
    for node in lab.nodes:
        lab.until_who(lab.pod(f"c-{node}"), ["far"], To(address, times=4))
    lab.kill("far")


def test_traffic_stays_on_its_node_while_that_has_an_endpoint(lab: Lab) -> None:
    """PreferSameNode, TCP and UDP, for pods and the node itself: all connections to the node's own endpoint; when that
    is gone, to those of the zone, then to those elsewhere; when it is back, to it again."""
    zones = _zones(lab)
    mate = next(node for node in lab.nodes[1:] if zones[node] == zones["n1"])
    far = next(node for node in lab.nodes if zones[node] != zones["n1"])
    labels = {"app": "own"}
    lab.start(pod("own", "n1", labels), pod("mate", mate, labels), pod("far-away", far, labels))
    ports = [{"name": kind.lower(), "port": 80, "targetPort": 8080, "protocol": kind} for kind in ("TCP", "UDP")]
    address = lab.serve(service("own", labels, trafficDistribution="PreferSameNode", ports=ports))
    questions = [To(address, 80, kind, times=16, timeout=1) for kind in ("tcp", "udp")]

    def serves_n1(name: str) -> None:
        for place in (lab.pod("c-n1"), lab.node("n1")):
            lab.until_who(place, [name], *questions)

    serves_n1("own")
    lab.until_who(lab.pod(f"c-{mate}"), ["mate"], *questions)
    # A node without an endpoint has those of its zone.
    other = next(node for node in lab.nodes if zones[node] == zones[far] and node != far)
    lab.until_who(lab.pod(f"c-{other}"), ["far-away"], *questions)
    lab.kill("own")
    serves_n1("mate")
    lab.kill("mate")
    serves_n1("far-away")
    lab.start(pod("own", "n1", labels))
    serves_n1("own")
    lab.kill("own")
    lab.kill("far-away")


def test_internal_traffic_stays_on_its_node(lab: Lab) -> None:
    """internalTrafficPolicy Local: pods and nodes reach their own node's endpoint; without one, silence."""
    address = lab.serve(service("inner", ECHO, internalTrafficPolicy="Local"))
    for node in lab.nodes:
        lab.until_who(lab.pod(f"c-{node}"), [f"e-{node}"], To(address, times=8))
        lab.until_who(lab.node(node), [f"e-{node}"], To(address, times=8))
    lab.start(pod("single", "n1", {"app": "single"}))
    address = lab.serve(service("single", {"app": "single"}, internalTrafficPolicy="Local"))
    lab.until_who(lab.pod("c-n1"), ["single"], To(address, times=4))
    lab.until([["silence"]], lambda: lab.who(lab.pod("c-n2"), To(address, timeout=1)))
    lab.kill("single")
    lab.until_who(lab.pod("c-n2"), ["refused"], To(address))


def test_internal_traffic_to_the_host_network(lab: Lab) -> None:
    """internalTrafficPolicy Local with endpoints on the nodes' own network: a pod reaches that of its own node."""
    labels = {"app": "host"}
    names = ["h-n1", "h-n2"]
    lab.start(*(pod(name, name[2:], labels, ports=(18080,), hostNetwork=True) for name in names))
    ports = [{"port": 80, "targetPort": 18080}]
    address = lab.serve(service("inner-host", labels, internalTrafficPolicy="Local", ports=ports))
    for name in names:
        lab.until_who(lab.pod(f"c-{name[2:]}"), [name], To(address, times=8))
        lab.until_who(lab.pod(name), [name], To(address, times=8))


def test_pods_see_each_others_own_addresses(lab: Lab) -> None:
    """A pod on every node: each one that asks another one directly is seen with its own address (NoSNAT)."""
    servers = [str(lab.pod(f"e-{node}").address) for node in lab.nodes]
    for node in lab.nodes:
        client = lab.pod(f"c-{node}")
        found = lab.ask(client, *(To(server, 8080) for server in servers))
        assert [one.who for one in found] == [[f"e-{other}"] for other in lab.nodes]
        assert [one.clients for one in found] == [[str(client.address)]] * len(servers)
