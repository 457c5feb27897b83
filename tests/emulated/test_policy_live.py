"""Policies among running programs: connections that are there, Services, clients outside, probes, ports by name.

n1: client, other, one      n2: two, stranger      one and two are the endpoints of Services (app=echo)
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from policywriting import Document, block, labels, network_policy, pods, port, rule
from servicelab import Lab, To, pod, service

pytestmark = pytest.mark.emulated

CLUSTER = {"topology": "star", "nodes": 2}
LOGS_TROUBLE = "the controller is killed on purpose"
ECHO = {"app": "echo"}
BOTH_ENDS = ["one", "two"]
TO_ECHO = labels(app="echo")
CLIENT = pods(labels(name="client"))


def prepare(lab: Lab) -> None:
    places = {"client": "n1", "other": "n1", "stranger": "n2"}
    lab.start(
        *(pod(name, node, {"name": name}) for name, node in places.items()),
        pod("one", "n1", ECHO),
        pod("two", "n2", ECHO),
    )


def policy(name: str, selector: Document, **rules: Any) -> Document:
    return network_policy(name, selector, namespace="default", **rules)


@contextmanager
def applied(lab: Lab, *policies: Document) -> Iterator[None]:
    """The policies are there, and gone afterwards."""
    for one in policies:
        lab.cluster.client.apply(one)
    lab.cluster.wait_realised()
    try:
        yield
    finally:
        for one in policies:
            lab.cluster.client.delete(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace"))
        lab.cluster.wait_realised()


def address(lab: Lab, name: str) -> str:
    return str(lab.pod(name).address)


def test_established_connections_are_cut_and_others_kept(lab: Lab) -> None:
    """TCP and UDP on one node and between two: what a new policy forbids is silent both ways, what it allows goes on;
    when the policy goes, all go on where they were."""
    ways = [To(address(lab, name), 8080, kind, timeout=1) for name in BOTH_ENDS for kind in ("tcp", "udp")]
    mine, others = [lab.hold("client", to) for to in ways], [lab.hold("other", to) for to in ways]
    good = ["same", "one", "same", "two"]
    assert [[one.again()[0].split()[0] for one in held] for held in (mine, others)] == [good, good]
    with applied(lab, policy("only-client", TO_ECHO, ingress=[rule([CLIENT])])):
        lab.until(["silence"] * 4, lambda: [one.again()[0] for one in others])
        assert [one.again()[0].split()[0] for one in mine] == good
    # What TCP sent meanwhile comes first.
    later = ["corrupt", "one", "corrupt", "two"]
    lab.until(later, lambda: [one.again()[0].split()[0] for one in others])
    for one in (*mine, *others):
        one.close()


def test_a_service_is_judged_by_the_pods_at_both_ends(lab: Lab) -> None:
    """Ingress of endpoints and egress of clients, through a cluster IP; replies pass; the Service's own address counts
    for nothing; an isolated endpoint reaches itself through it."""
    virtual = lab.serve(service("judged", ECHO))
    question = To(virtual, times=12, timeout=1)
    lab.until_who(lab.pod("client"), BOTH_ENDS, question)
    with applied(lab, policy("in", TO_ECHO, ingress=[rule([CLIENT])])):
        lab.until_who(lab.pod("stranger"), ["silence"], To(virtual, times=4, timeout=0.7))
        lab.until_who(lab.pod("client"), BOTH_ENDS, question)
    with applied(lab, policy("out", labels(name="client"), egress=[rule([pods(TO_ECHO)])])):
        lab.until_who(lab.pod("client"), BOTH_ENDS, question)
        assert lab.who(lab.pod("client"), To(address(lab, "stranger"), 8080, timeout=0.7)) == [["silence"]]
    with applied(lab, policy("out", labels(name="client"), egress=[rule([block(f"{virtual}/32")])])):
        lab.until_who(lab.pod("client"), ["silence"], To(virtual, times=4, timeout=0.7))
    alone = lab.serve(service("alone", {"name": "other"}))
    lab.until_who(lab.pod("other"), ["other"], To(alone))
    with applied(lab, policy("closed", labels(name="other"), ingress=[], egress=[])):
        lab.until_who(lab.pod("other"), ["other"], To(alone, timeout=1))
        assert lab.who(lab.pod("client"), To(alone, timeout=0.7)) == [["silence"]]


def test_ports_by_name(lab: Lab) -> None:
    """`http` is 8080 at these pods: 8081 is closed, for TCP; UDP on the same number is closed too."""
    with applied(lab, policy("named", TO_ECHO, ingress=[rule(ports=[port("http")])])):
        where = address(lab, "two")
        questions = [To(where, 8080), To(where, 8081, timeout=0.7), To(where, 8080, "udp", timeout=0.7)]
        lab.until([["two"], ["silence"], ["silence"]], lambda: lab.who(lab.pod("client"), *questions))


def test_nodes_reach_their_isolated_pods(lab: Lab) -> None:
    """Under a default deny for all pods both ways: the kubelet's probes make a new pod ready and keep the others so;
    the node's own programs reach its pod; another node's do not."""
    before = ready_since(lab, "one")
    with applied(lab, policy("nothing", {}, ingress=[], egress=[])):
        lab.start(pod("late", "n1"))
        question = To(address(lab, "one"), 8080, timeout=0.7)
        lab.until([["one"], ["silence"]], lambda: [lab.who(lab.node(name), question)[0] for name in ("n1", "n2")])
        assert lab.who(lab.pod("client"), question) == [["silence"]]
        assert ready_since(lab, "one") == before
        lab.kill("late")


def ready_since(lab: Lab, name: str) -> str:
    """When the pod became ready, which it is."""
    found = {one["type"]: one for one in lab.pod(name).object["status"]["conditions"]}["Ready"]
    assert found["status"] == "True"
    return str(found["lastTransitionTime"])


def test_clients_outside_are_judged_by_their_address(lab: Lab) -> None:
    """externalTrafficPolicy Local, by node port and balancer: a block with the client admits it, `except` shuts it out.
    Policy Cluster: by its address too on the endpoint's own node, elsewhere by the first node's address."""
    client = str(lab.outside.address)
    made = lab.create(
        service("local", ECHO, type="LoadBalancer", externalTrafficPolicy="Local"),
        service("spread", {"app": "echo"}, type="NodePort"),
    )
    local, spread = (one["spec"]["ports"][0]["nodePort"] for one in made)
    found = lab.cluster.wait_until("Service", "local", _assigned, namespace="default", what="an address")
    balancer = found["status"]["loadBalancer"]["ingress"][0]["ip"]
    one = lab.address("n1")
    questions = [To(one, local, timeout=1), To(balancer, times=8, timeout=1)]
    lab.until([["one"], True], lambda: answered(lab, *questions))
    with applied(lab, policy("in", TO_ECHO, ingress=[rule([block(f"{client}/32")])])):
        lab.until([["one"], True], lambda: answered(lab, *questions))
    with applied(lab, policy("in", TO_ECHO, ingress=[rule([block("0.0.0.0/0", f"{client}/32")])])):
        lab.until([["silence"], False], lambda: answered(lab, *questions))
        # With the kernel's proxy a masqueraded client is the node.
        ends = ["one", "two"] if lab.proxy == "nftables" else ["silence", "two"]
        lab.until_who(lab.outside, ends, To(one, spread, times=12, timeout=0.7))
    lab.remove("Service", "local", "spread")


def _assigned(obj: Any) -> bool:
    return bool(obj and obj.get("status", {}).get("loadBalancer", {}).get("ingress"))


def answered(lab: Lab, direct: To, balanced: To) -> list[Any]:
    """Who answers directly, and whether the balancer's endpoints do."""
    first, second = lab.who(lab.outside, direct, balanced)
    return [first, set(second) <= set(BOTH_ENDS)]


def test_the_controller_dies_under_a_policy(lab: Lab) -> None:
    """kill -9 while an allowed client transfers and connects and a denied one sends: the first loses nothing, of the
    second nothing arrives; and the next controller realises policies."""
    with applied(lab, policy("only-client", TO_ECHO, ingress=[rule([CLIENT], [port(8080)])])):
        lab.until_who(lab.pod("stranger"), ["silence"], To(address(lab, "two"), 8080, "udp", timeout=0.5))
        counted = datagrams(lab, "two")
        denied = To(address(lab, "two"), 8080, "udp", times=100, timeout=0.5)
        with lab.traffic("client", To(address(lab, "two"), 8080, times=50)) as good:
            with lab.traffic("stranger", denied) as bad:
                pid = lab.cluster.services()["controller"]["pid"]
                lab.cluster.run(["kill", "-9", str(pid)])
                lab.until(True, lambda: lab.cluster.services()["controller"]["pid"] not in (None, pid))
                lab.cluster.client.apply(policy("only-client", TO_ECHO, ingress=[rule([CLIENT])]))
                lab.cluster.wait_realised()
                lost = json.loads(bad.finish())
            kept = json.loads(good.finish())
        assert (kept["transfer"], kept["failed"]) == ("same", [])
        assert (lost["connections"], datagrams(lab, "two")) == (0, counted)
        assert len(lost["failed"]) > 50
    lab.until_who(lab.pod("stranger"), ["two"], To(address(lab, "two"), 8080, "udp", timeout=0.5))
    assert datagrams(lab, "two") > counted


def datagrams(lab: Lab, name: str) -> int:
    """How many UDP datagrams arrived in a pod, at a program or at a closed port (RFC 4113)."""
    lines = lab.pod(name).exec(["/usr/bin/cat", "/proc/net/snmp"]).text.splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    counters = dict(zip(names[1:], map(int, values[1:]), strict=True))
    return counters["InDatagrams"] + counters["NoPorts"]
