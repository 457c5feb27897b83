"""Services from outside, with real packets: node ports, load balancers, external addresses, policies, affinity.

zone rack1: n1 (client, one), n2 (two)       zone rack2: n3 (three), n4: no endpoint; internet: the outside host
"""

import json
from ipaddress import IPv4Address, IPv4Network

import pytest
from servicelab import Lab, To, pod, service
from serviceprograms import PYTHON, SERVER

pytestmark = pytest.mark.emulated

CLUSTER = {"topology": "leaf-spine", "nodes": 4}
ECHO = {"app": "echo"}
ALL = ["one", "three", "two"]
BOTH = [
    {"name": "t", "port": 80, "targetPort": 8080},
    {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
]


def prepare(lab: Lab) -> None:
    servers = [pod(name, node, ECHO) for name, node in (("one", "n1"), ("two", "n2"), ("three", "n3"))]
    lab.start(pod("client", "n1"), pod("elsewhere", "n4"), *servers)


def _balancer(lab: Lab, name: str) -> str:
    """The address of a LoadBalancer Service, when it has one."""

    def assigned(obj: object) -> bool:
        return bool(obj and obj.get("status", {}).get("loadBalancer", {}).get("ingress"))  # type: ignore[attr-defined]

    obj = lab.cluster.wait_until("Service", name, assigned, namespace="default", what="an address")
    return str(obj["status"]["loadBalancer"]["ingress"][0]["ip"])


def _node_ports(lab: Lab, name: str) -> list[int]:
    return [port["nodePort"] for port in lab.cluster.client.get("Service", name, "default")["spec"]["ports"]]


def test_node_ports_on_every_node(lab: Lab) -> None:
    """TCP and UDP, from the outside host, from pods, from nodes and host: each node's port leads to all endpoints."""
    lab.create(service("ports", ECHO, type="NodePort", ports=BOTH))
    tcp, udp = _node_ports(lab, "ports")
    assert tcp in range(30000, 32768)
    nodes = [lab.address(name) for name in lab.nodes]
    questions = [To(node, tcp, times=16) for node in nodes] + [To(node, udp, "udp", times=16) for node in nodes]
    for place in (lab.outside, lab.pod("client"), lab.pod("elsewhere"), lab.node("n1"), lab.node("n4")):
        lab.until_who(place, ALL, *questions)


def test_a_node_port_changes(lab: Lab) -> None:
    """The new port serves, the old one does not; the same number for TCP and UDP is allowed."""
    lab.create(service("moving", ECHO, type="NodePort", ports=[{**BOTH[0], "nodePort": 30100}]))
    node = lab.address("n4")
    lab.until_who(lab.outside, ALL, To(node, 30100, times=16))
    changed = [{**BOTH[0], "nodePort": 30101}, {**BOTH[1], "nodePort": 30101}]
    lab.patch("Service", "moving", {"spec": {"ports": changed}})
    lab.until_who(lab.outside, ALL, To(node, 30101, times=16), To(node, 30101, "udp", times=16))
    lab.until(False, lambda: lab.who(lab.outside, To(node, 30100, timeout=1))[0][0] in ALL)
    lab.patch("Service", "moving", {"spec": {"type": "ClusterIP", "ports": BOTH}})
    address = lab.cluster.client.get("Service", "moving", "default")["spec"]["clusterIP"]
    lab.until_who(lab.pod("client"), ALL, To(address, times=16))
    lab.until(False, lambda: lab.who(lab.outside, To(node, 30101, timeout=1))[0][0] in ALL)


def test_load_balancers_are_announced(lab: Lab) -> None:
    """The outside host, pods and nodes reach the balancer's address, TCP and UDP; it goes with the Service."""
    lab.create(service("balanced", ECHO, type="LoadBalancer", ports=BOTH))
    address = _balancer(lab, "balanced")
    assert IPv4Address(address) in IPv4Network("172.31.0.0/24")
    questions = To(address, times=16), To(address, 80, "udp", times=16)
    for place in (lab.outside, lab.pod("client"), lab.pod("elsewhere"), lab.node("n4")):
        lab.until_who(place, ALL, *questions)
    lab.remove("Service", "balanced")
    lab.until(False, lambda: lab.who(lab.outside, To(address, timeout=0.5))[0][0] in ALL)


def test_source_ranges(lab: Lab) -> None:
    """loadBalancerSourceRanges: others get silence at the balancer's address; node ports are not concerned."""
    outside = str(lab.outside.address)
    for name, ranges in (("open", [f"{outside}/32"]), ("shut", ["192.0.2.0/24"])):
        lab.create(service(name, ECHO, type="LoadBalancer", loadBalancerSourceRanges=ranges))
    lab.until_who(lab.outside, ALL, To(_balancer(lab, "open"), times=16))
    shut = _balancer(lab, "shut")
    lab.until_who(lab.outside, ALL, To(lab.address("n4"), _node_ports(lab, "shut")[0], times=16))
    assert lab.who(lab.outside, To(shut, timeout=1)) == [["silence"]]
    lab.patch("Service", "shut", {"spec": {"loadBalancerSourceRanges": None}})
    lab.until_who(lab.outside, ALL, To(shut, times=16))


def test_source_ranges_that_name_a_node(lab: Lab) -> None:
    """A node's own programs come to the balancer's address with the node's: ranges that hold it let them in, whatever
    the traffic policy, and neither its pods nor other nodes; ranges of pods keep nodes out."""
    node = lab.address("n4")
    for policy in ("Cluster", "Local"):
        spec = {"externalTrafficPolicy": policy, "loadBalancerSourceRanges": [f"{node}/32"], "ports": BOTH}
        lab.create(service(f"node-{policy.lower()}", ECHO, type="LoadBalancer", **spec))
    lab.create(service("pods-only", ECHO, type="LoadBalancer", loadBalancerSourceRanges=["10.244.0.0/16"]))
    open_to_node = [_balancer(lab, name) for name in ("node-cluster", "node-local")]
    questions = [To(address, 80, kind, times=16, timeout=1) for address in open_to_node for kind in ("tcp", "udp")]
    lab.until_who(lab.node("n4"), ALL, *questions)
    lab.until_who(lab.pod("elsewhere"), ALL, To(_balancer(lab, "pods-only"), times=16))
    shut = [To(address, timeout=1) for address in open_to_node]
    assert lab.who(lab.pod("elsewhere"), *shut) == [["silence"]] * 2
    assert lab.who(lab.node("n1"), *shut, To(_balancer(lab, "pods-only"), timeout=1)) == [["silence"]] * 3


def test_balancers_that_are_proxies_get_their_own_packets(lab: Lab) -> None:
    """ipMode Proxy: what is sent to the address goes there, from pods and nodes too; VIP: pods' own nodes serve it."""
    address = str(lab.outside.address)
    lab.create(service("proxied", ECHO, type="LoadBalancer", loadBalancerClass="example.com/own"))

    def publish(mode: str) -> None:
        status = {"status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": mode}]}}}
        lab.cluster.client.patch("Service", "proxied", status, "default", subresource="status")

    with lab.outside.popen([PYTHON, "-c", SERVER, "balancer", "80"]) as process:
        try:
            for mode, who in (("VIP", ALL), ("Proxy", ["balancer"])):
                publish(mode)
                lab.until_who(lab.pod("client"), who, To(address, times=16, timeout=1))
            assert lab.who(lab.node("n4"), To(address, times=4)) == [["balancer"]]
        finally:
            process.kill()
            lab.remove("Service", "proxied")


def test_external_addresses(lab: Lab) -> None:
    """externalIPs that are nobody's: the outside host, pods and nodes reach the Service there; one that is a node's
    takes the Service's ports of the node and nothing else."""
    node = lab.address("n2")
    lab.create(service("external", ECHO, externalIPs=["203.0.113.7", node], ports=BOTH))
    lab.until_who(lab.pod("client"), ALL, To(node, times=16))
    lab.pod("client").exec(["ping", "-c1", "-W5", node])
    questions = To("203.0.113.7", times=16), To("203.0.113.7", 80, "udp", times=16)
    for place in (lab.outside, lab.pod("client"), lab.node("n4")):
        lab.until_who(place, ALL, *questions)


def test_the_policy_local_keeps_the_clients_address(lab: Lab) -> None:
    """externalTrafficPolicy Local: a node's own endpoints see the client; others are silent; pods get all."""
    lab.create(service("local", ECHO, type="LoadBalancer", externalTrafficPolicy="Local", ports=BOTH))
    balancer, (tcp, udp) = _balancer(lab, "local"), _node_ports(lab, "local")
    one, four, client = lab.address("n1"), lab.address("n4"), str(lab.outside.address)
    questions = [To(one, tcp, times=4), To(one, udp, "udp", times=4)]
    lab.until_who(lab.outside, ["one"], *questions)
    assert [found.clients for found in lab.ask(lab.outside, *questions)] == [[client]] * 2
    # Which of them, the routers choose by connection.
    lab.until(True, lambda: set(lab.who(lab.outside, To(balancer, times=16))[0]) <= set(ALL))
    assert lab.ask(lab.outside, To(balancer, times=16))[0].clients == [client]
    assert lab.who(lab.outside, To(four, tcp, timeout=1), To(four, udp, "udp", timeout=1)) == [["silence"]] * 2
    for place in (lab.pod("elsewhere"), lab.node("n4")):
        lab.until_who(place, ALL, To(balancer, times=24), To(four, tcp, times=24))


def test_health_checks_of_balancers(lab: Lab) -> None:
    """healthCheckNodePort: 200 on nodes with endpoints, 503 elsewhere; a node whose last endpoint goes says 503."""
    port = lab.create(
        service("checked", {"app": "checked"}, type="LoadBalancer", externalTrafficPolicy="Local")
    )[0]["spec"]["healthCheckNodePort"]  # fmt: skip

    def codes() -> list[int]:
        script = 'for a in "$@"; do curl -s -m 2 -o /dev/null -w "%{http_code} " "http://$a/"; done; true'
        where = [f"{lab.address(name)}:{port}" for name in lab.nodes]
        return [int(code) for code in lab.outside.exec(["sh", "-c", script, "sh", *where]).text.split()]

    lab.until([503] * 4, codes)
    lab.start(pod("checked", "n2", {"app": "checked"}))
    lab.until([503, 200, 503, 503], codes)
    body = lab.outside.exec(["curl", "-s", f"http://{lab.address('n2')}:{port}/"]).text
    assert json.loads(body)["localEndpoints"] == 1
    lab.kill("checked")
    lab.until([503] * 4, codes)


def test_a_balancer_follows_its_endpoint(lab: Lab) -> None:
    """externalTrafficPolicy Local: routers send to the node of the endpoint only, wherever that moves."""
    labels = {"app": "moving"}
    lab.start(pod("here", "n2", labels))
    lab.create(service("moving-out", labels, type="LoadBalancer", externalTrafficPolicy="Local"))
    question = To(_balancer(lab, "moving-out"), times=16, timeout=1)
    lab.until_who(lab.outside, ["here"], question)
    lab.start(pod("there", "n4", labels))
    lab.kill("here")
    lab.until_who(lab.outside, ["there"], question)
    lab.kill("there")


def test_the_policy_cluster_hides_the_client(lab: Lab) -> None:
    """externalTrafficPolicy Cluster: the endpoint sees an address of the node, whichever node it is on itself."""
    lab.create(service("hidden", ECHO, type="NodePort"))
    questions = [To(lab.address(name), _node_ports(lab, "hidden")[0], times=16) for name in lab.nodes]
    lab.until_who(lab.outside, ALL, *questions)
    seen = {client for found in lab.ask(lab.outside, *questions) for client in found.clients}
    assert str(lab.outside.address) not in seen


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
def test_clients_stay_with_their_endpoint(lab: Lab, kind: str) -> None:
    """sessionAffinity ClientIP: one endpoint for a client's many connections, TCP and UDP; None: all of them again."""
    name = f"sticky-{kind.lower()}"
    lab.create(service(name, ECHO, type=kind, sessionAffinity="ClientIP", ports=BOTH))
    spec = lab.cluster.client.get("Service", name, "default")["spec"]
    tcp, udp = (port.get("nodePort") for port in spec["ports"])
    if kind == "ClusterIP":
        address, place = spec["clusterIP"], lab.pod("client")
    else:
        address, place = lab.address("n4") if kind == "NodePort" else _balancer(lab, name), lab.outside
        if kind == "LoadBalancer" and lab.proxy == "nftables":
            place = lab.pod("client")  # from outside each node on the way would remember an endpoint of its own
    ports = (tcp, udp) if kind == "NodePort" else (80, 80)
    questions = [To(address, ports[0], times=16), To(address, ports[1], "udp", times=16)]
    lab.until([1, 1], lambda: [len(set(who) & set(ALL)) for who in lab.who(place, *questions)])
    again = lab.who(place, *questions)
    assert lab.who(place, *questions) == again
    assert [len(who) for who in again] == [1, 1]
    lab.patch("Service", name, {"spec": {"sessionAffinity": "None"}})
    lab.until_who(place, ALL, *questions)
    lab.patch("Service", name, {"spec": {"sessionAffinity": "ClientIP"}})
    lab.until([1, 1], lambda: [len(who) for who in lab.who(place, *questions)])


def test_affinity_ends_when_the_endpoint_goes(lab: Lab) -> None:
    """A client whose endpoint is deleted moves to another one, and stays there."""
    lab.start(*(pod(f"gone-{number}", "n2", {"app": "gone"}) for number in range(3)))
    address = lab.serve(service("gone", {"app": "gone"}, sessionAffinity="ClientIP"))
    client = lab.pod("client")
    lab.until(1, lambda: len(lab.who(client, To(address, times=8))[0]))
    first = lab.until(True, lambda: lab.who(client, To(address))[0][0].startswith("gone")) and lab.who(
        client, To(address)
    )
    lab.kill(first[0][0])
    lab.until(True, lambda: lab.who(client, To(address, times=8))[0][0].startswith("gone"))
    second = lab.who(client, To(address, times=8))
    assert len(second[0]) == 1
    assert second != first
    assert lab.who(client, To(address, times=8)) == second
