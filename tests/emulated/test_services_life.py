"""Endpoints that come, go, end and fail, with real packets: what happens to new and to established connections.

n1: client     n2: other     endpoints on both
"""

import threading

import pytest
from servicelab import Lab, To, pod, service

from kubinet.client import Object

pytestmark = pytest.mark.emulated

BOTH = [
    {"name": "t", "port": 80, "targetPort": 8080},
    {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
]
NEVER = {
    "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1, "failureThreshold": 1}
}
"""A container that is ready while it has the file."""


def prepare(lab: Lab) -> None:
    lab.start(pod("client", "n1"), pod("other", "n2"))


def _has_address(obj: Object | None) -> bool:
    return obj is not None and "podIP" in obj["status"]


def _running(lab: Lab, *pods: Object) -> None:
    """Create pods that need not be ready, and wait until they listen."""
    lab.create(*pods)
    for one in pods:
        name = one["metadata"]["name"]
        lab.cluster.wait_until(
            "Pod",
            name,
            _has_address,
            namespace="default",
            what="an address",
        )
        lab.until_who(lab.pod("client"), [name], To(str(lab.pod(name).address), 8080, timeout=1))


def test_readiness_decides(lab: Lab) -> None:
    """A pod serves while its readiness probe succeeds; when none is ready, connections are refused."""
    labels = {"app": "flips"}
    address = lab.serve(service("flips", labels, ports=BOTH))
    questions = To(address, times=8), To(address, 80, "udp", times=8)
    _running(lab, *(pod(name, node, labels, container=NEVER) for name, node in (("f1", "n1"), ("f2", "n2"))))
    client = lab.pod("client")
    lab.until_who(client, ["refused"], *questions)
    for name in ("f1", "f2"):
        lab.pod(name).exec(["touch", "/tmp/ready"])
    lab.until_who(client, ["f1", "f2"], *questions)
    lab.pod("f1").exec(["rm", "/tmp/ready"])
    lab.until_who(client, ["f2"], *questions)
    lab.pod("f2").exec(["rm", "/tmp/ready"])
    lab.until_who(client, ["refused"], *questions)
    lab.remove("Pod", "f1", "f2")


def test_not_ready_addresses_are_published_on_demand(lab: Lab) -> None:
    """publishNotReadyAddresses: a pod that is not ready serves; without it, it does not."""
    labels = {"app": "unready"}
    _running(lab, pod("unready", "n2", labels, container=NEVER))
    address = lab.serve(service("unready", labels, publishNotReadyAddresses=True))
    lab.until_who(lab.pod("client"), ["unready"], To(address, times=4))
    lab.patch("Service", "unready", {"spec": {"publishNotReadyAddresses": False}})
    lab.until_who(lab.pod("client"), ["refused"], To(address, times=4))
    lab.remove("Pod", "unready")


def test_terminating_endpoints_serve_when_nothing_else_is_left(lab: Lab) -> None:
    """While another pod is ready the ending one gets no new connections; alone it serves, by every policy."""
    labels = {"app": "ending"}
    more = {"terminationGracePeriodSeconds": 60}
    lab.start(*(pod(name, node, labels, **more) for name, node in (("last", "n1"), ("stays", "n2"))))
    cluster = lab.create(service("ending", labels, type="NodePort"))[0]["spec"]
    local = lab.create(
        service("ending-local", labels, type="NodePort", externalTrafficPolicy="Local", internalTrafficPolicy="Local")
    )[0]["spec"]
    client, node = lab.pod("client"), lab.address("n1")
    lab.until_who(client, ["last", "stays"], To(cluster["clusterIP"], times=16))
    with lab.hold("client", To(cluster["clusterIP"], times=16)) as held:
        lab.cluster.client.delete("Pod", "last", "default")
        lab.until_who(client, ["stays"], To(cluster["clusterIP"], times=16))
        assert held.again() == ["same"] * 16
    lab.kill("stays")
    everywhere = [(cluster["clusterIP"], 80), (node, cluster["ports"][0]["nodePort"]), (local["clusterIP"], 80)]
    lab.until_who(client, ["last"], *(To(address, port, times=4) for address, port in everywhere))
    outside = [cluster["ports"][0]["nodePort"], local["ports"][0]["nodePort"]]
    lab.until_who(lab.outside, ["last"], *(To(node, port, times=4) for port in outside))
    lab.kill("last")
    lab.until_who(client, ["refused"], *(To(address, port) for address, port in everywhere))


def test_an_endpoint_that_goes_away_disturbs_nobody_else(lab: Lab) -> None:
    """50 connections over 6 endpoints: one is deleted, new ones avoid it at once, the others echo on byte by byte."""
    labels = {"app": "many"}
    names = [f"m{number}" for number in range(6)]
    lab.start(*(pod(name, lab.nodes[number % 2], labels) for number, name in enumerate(names)))
    address = lab.serve(service("many", labels))
    lab.until_who(lab.pod("client"), names, To(address, times=50))
    with lab.hold("client", To(address, times=50, size=10_000, timeout=3)) as held:
        assert held.again() == ["same"] * 50
        victim = held.servers[0]
        kept = [server != victim for server in held.servers]
        lab.kill(victim)
        rest = [name for name in names if name != victim]
        lab.until_who(lab.pod("client"), rest, To(address, times=50))
        for _ in range(3):
            assert [said for said, stays in zip(held.again(), kept, strict=True) if stays] == ["same"] * sum(kept)
        lab.start(pod("m6", "n1", labels))
        lab.until_who(lab.pod("client"), [*rest, "m6"], To(address, times=50))
        assert [said for said, stays in zip(held.again(), kept, strict=True) if stays] == ["same"] * sum(kept)


def test_udp_clients_move_to_an_endpoint_that_lives(lab: Lab) -> None:
    """One socket each: clients of a deleted pod are answered by the other one, the other one's stay with it."""
    labels = {"app": "datagrams"}
    lab.start(*(pod(name, node, labels) for name, node in (("d1", "n1"), ("d2", "n2"))))
    address = lab.serve(service("datagrams", labels, ports=BOTH))
    lab.until_who(lab.pod("client"), ["d1", "d2"], To(address, 80, "udp", times=16))
    with lab.hold("client", To(address, 80, "udp", times=12, timeout=1)) as held:
        assert set(held.servers) == {"d1", "d2"}
        lab.kill("d1")
        lab.until(["d2"] * 12, lambda: [said.split()[0] for said in held.again()])


def test_udp_clients_move_to_a_pod_that_becomes_ready(lab: Lab) -> None:
    """A socket that was refused before, and one of a pod that is replaced, reach the new pod (conntrack)."""
    labels = {"app": "cycle"}
    address = lab.serve(service("cycle", labels, ports=BOTH))
    lab.start(pod("c1", "n2", labels))
    lab.until_who(lab.pod("client"), ["c1"], To(address, 80, "udp", times=4))
    with lab.hold("client", To(address, 80, "udp", times=4, timeout=0.5)) as held:
        lab.kill("c1")
        _running(lab, pod("c2", "n1", labels, container=NEVER))
        assert "c2" not in {said.split()[0] for said in held.again()}
        lab.pod("c2").exec(["touch", "/tmp/ready"])
        lab.cluster.wait("Pod", "c2", "Ready", namespace="default")
        lab.until(["c2"] * 4, lambda: [said.split()[0] for said in held.again()])
    lab.remove("Pod", "c2")


def test_connections_to_a_deleted_pod_are_cut(lab: Lab) -> None:
    """TCP connections through the Service end, although another endpoint is there; they never reach that one."""
    labels = {"app": "cut"}
    lab.start(*(pod(name, "n2", labels) for name in ("x1", "x2")))
    address = lab.serve(service("cut", labels))
    lab.until_who(lab.pod("client"), ["x1", "x2"], To(address, times=16))
    with lab.hold("client", To(address, times=8, timeout=2)) as held:
        lab.kill("x1")
        expected = ["same" if server == "x2" else "cut" for server in held.servers]
        lab.until(expected, lambda: [said if said == "same" else "cut" for said in held.again()])


def test_a_rolling_update_loses_no_connection(lab: Lab) -> None:
    """A Deployment's rollout with maxUnavailable 0: every new connection meanwhile is answered."""
    labels = {"app": "rolling"}
    template = pod("rolling", "", labels, terminationGracePeriodSeconds=2)
    del template["spec"]["nodeName"]
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": labels},
        "strategy": strategy,
        "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
    }
    lab.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "rolling"}, "spec": spec})
    address = lab.serve(service("rolling", labels))
    lab.cluster.wait("Deployment", "rolling", "Available", namespace="default")
    lab.until_who(lab.pod("client"), ["rolling"], To(address, times=8))
    stop, found = threading.Event(), set()

    def ask() -> None:
        while not stop.is_set():
            found.update(lab.ask(lab.pod("client"), To(address, times=20))[0].who)

    asking = threading.Thread(target=ask)
    asking.start()
    container = {"name": "main", "env": [{"name": "VERSION", "value": "2"}]}
    changed = lab.patch("Deployment", "rolling", {"spec": {"template": {"spec": {"containers": [
        {**template["spec"]["containers"][0], **container}
    ]}}}})  # fmt: skip

    def rolled(obj: Object | None) -> bool:
        status = (obj or {}).get("status", {})
        counts = {status.get(key) for key in ("replicas", "updatedReplicas", "availableReplicas")}
        return counts == {3} and status["observedGeneration"] >= changed["metadata"]["generation"]

    try:
        lab.cluster.wait_until("Deployment", "rolling", rolled, namespace="default", what="the new template everywhere")
    finally:
        stop.set()
        asking.join()
    assert found == {"rolling"}


def test_session_affinity_times_out(lab: Lab) -> None:
    """A client keeps its endpoint while it comes again in time, also when others join; later it may move."""
    labels = {"app": "timeout"}
    lab.start(pod("t0", "n1", labels))
    address = lab.serve(service(
        "timeout", labels, sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10}},
    ))  # fmt: skip
    places = [lab.pod("client"), lab.pod("other"), lab.node("n1"), lab.node("n2")]
    for place in places:
        lab.until_who(place, ["t0"], To(address, times=2))
    joined = [pod(f"t{number}", "n2", labels) for number in range(1, 6)]
    lab.create(*joined)
    lab.until(6, lambda: len(_endpoints(lab, "timeout")), 30)
    for place in places:
        assert lab.who(place, To(address, times=4)) == [["t0"]]
    lab.until(0, lambda: _remembered(lab))
    found = {who for place in places for who in lab.who(place, To(address, times=2))[0]}
    assert found != {"t0"}


def _endpoints(lab: Lab, name: str) -> list[str]:
    selector = f"kubernetes.io/service-name={name}"
    slices = lab.cluster.client.list("EndpointSlice", "default", label_selector=selector)["items"]
    ready = [one for item in slices for one in item["endpoints"] or [] if one["conditions"]["ready"]]
    return [one["addresses"][0] for one in ready]


def _remembered(lab: Lab) -> int:
    """How many clients nodes remember."""
    count = 0
    for name in lab.nodes:
        if lab.proxy == "sdn":
            argv = ["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", f"unix:/run/kubinet/nodes/{name}/br-int.mgmt"]
            count += lab.cluster.run([*argv, "table=24"]).text.count("idle_timeout=")
        else:
            count += lab.node(name).exec(["nft", "list", "sets", "ip"]).text.count(" expires ")
    return count
