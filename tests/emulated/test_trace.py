"""`kubinet trace` on a running cluster: what it says of a packet is what happens to real ones.

n1: client, server      n2: far
"""

import json
from collections.abc import Iterator

import pytest
from servicelab import PORTS, Lab, To, pod, service

from kubinet.cli import main
from kubinet.client import Object
from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated


def policy(name: str, **spec: object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


POLICIES = [
    policy("deny-far", podSelector={"matchLabels": {"app": "far"}}, policyTypes=["Ingress"]),
    policy(
        "server",
        podSelector={"matchLabels": {"app": "server"}},
        ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": PORTS[0]}]}],
    ),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Services by OpenFlow only: the other proxy's choice is not in any flow."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with Cluster("star", nodes=2, settings={"network.dnsReplicas": 0}) as cluster:
            environment.setenv("KUBINET_CLUSTER", cluster.name)
            made = Lab(cluster, "sdn")
            made.start(*(pod(name, node, {"app": name}) for name, node in PLACES.items()))
            made.serve(service("server", {"app": "server"}, type="NodePort"))
            made.serve(service("far", {"app": "far"}))
            made.cluster.wait_realised()
            yield made


PLACES = {"client": "n1", "server": "n1", "far": "n2"}


@pytest.fixture(autouse=True)
def _state_folder() -> None:
    """The module's cluster has a folder of its own."""


def traced(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Object]:
    """Exit status and JSON of `kubinet trace`."""
    capsys.readouterr()
    status = main.run(["trace", *words, "-o", "json"])
    said, errors = capsys.readouterr()
    assert status in (0, 1), errors
    return status, json.loads(said)


@pytest.mark.parametrize("policies", [[], POLICIES], ids=["no-policies", "policies"])
def test_what_is_traced_is_what_happens(lab: Lab, capsys: pytest.CaptureFixture[str], policies: list[Object]) -> None:
    """From pods, nodes and the outside, to pods and Services: delivered where real connections are answered."""
    lab.create(*policies)
    lab.cluster.wait_realised()
    server, far = (str(lab.pod(name).address) for name in ("server", "far"))
    vip = lab.cluster.client.get("Service", "server", "default")["spec"]
    own = lab.address("n1")
    targets = {
        f"server:{PORTS[0]}": To(server, PORTS[0], timeout=1),
        f"server:{PORTS[1]}": To(server, PORTS[1], timeout=1),
        f"{far}:{PORTS[0]}": To(far, PORTS[0], timeout=1),
        f"far:{PORTS[0]}/udp": To(far, PORTS[0], "udp", timeout=1),
        "svc/server": To(vip["clusterIP"], 80, timeout=1),
        f"node/n1:{vip['ports'][0]['nodePort']}": To(own, vip["ports"][0]["nodePort"], timeout=1),
    }
    for source, place in (
        ("client", lab.pod("client")),
        ("far", lab.pod("far")),
        ("node/n1", lab.node("n1")),
        ("node/n2", lab.node("n2")),
        ("outside/internet", lab.outside),
    ):
        wanted = targets if source != "outside/internet" else {key: to for key, to in targets.items() if "node/" in key}
        real = [who not in (["silence"], ["refused"]) for who in lab.who(place, *wanted.values())]
        said = [traced(capsys, source, target)[0] == 0 for target in wanted]
        assert dict(zip(wanted, said, strict=True)) == dict(zip(wanted, real, strict=True)), source
    lab.remove("NetworkPolicy", *(one["metadata"]["name"] for one in policies))


def test_the_story_names_objects_and_remedies(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """A denial's policy, and a rule against it; each flow's owner; a table for people says the same."""
    lab.create(POLICIES[0])
    lab.cluster.wait_realised()
    status, story = traced(capsys, "client", "svc/far")
    lab.remove("NetworkPolicy", "deny-far")
    outcome = story["request"]["outcome"]
    assert (status, outcome["ending"], outcome["node"], outcome["table"]) == (1, "dropped", "n2", "PolicyDeny")
    assert outcome["owner"] == "NetworkPolicy/default/deny-far"
    assert outcome["remedy"].endswith(
        'spec.ingress: [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], '
        f'"ports": [{{"port": {PORTS[0]}, "protocol": "TCP"}}]}}]'
    )
    steps = story["request"]["hops"][0]["steps"]
    owners = {step["name"]: step["owner"] for step in steps if "name" in step}
    assert (owners["SpoofGuard"], owners["ServiceLB"]) == ("Pod/default/client", "Service/default/far")
    assert story["request"]["hops"][1]["outer"]["port"] == 4789
    lab.cluster.wait_realised()
    assert main.run(["trace", "client", "svc/far"]) == 0
    said = capsys.readouterr().out
    assert "Delivered to pod default/far on node n2" in said
    assert "The answer\n" in said


def test_what_means_nothing_is_refused(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, with what there is."""
    assert main.run(["trace", "client", "svc/none"]) == 2
    assert "Service 'default/none' is not there" in capsys.readouterr().err
    assert lab.cluster.name
