"""`kubinet trace` on a running cluster: what it says of a packet is what happens to real ones.

n1: client, server      n2: far
"""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
        with Cluster("leaf-spine", nodes=2, settings={"network.dnsReplicas": 0}) as cluster:
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


def test_services_without_an_address_are_told_by_name(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Headless: its endpoints, and the trace to one is delivered; ExternalName: its target. Exit status 1."""
    lab.create(service("bare", {"app": "far"}, clusterIP="None"))
    lab.create(service("alias", type="ExternalName", externalName="bare.default.svc.cluster.local"))
    lab.until(True, lambda: bool(traced(capsys, "client", "svc/bare")[1]["service"]["endpoints"]))
    status, told = traced(capsys, "client", "svc/bare")
    assert (status, told["delivered"], told["traceTo"]) == (1, False, f"default/far:{PORTS[0]}")
    assert [end["address"] for end in told["service"]["endpoints"]] == [str(lab.pod("far").address)]
    assert traced(capsys, "client", told["traceTo"])[0] == 0
    assert traced(capsys, "client", "svc/alias")[1]["traceTo"] == "svc/default/bare"
    assert main.run(["trace", "client", "svc/alias"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "Service default/alias is an ExternalName: no packet goes to it. DNS answers alias.default.svc.cluster.local "
        "with CNAME bare.default.svc.cluster.local, and with what that name has",
        "Go on with: kubinet trace client svc/default/bare",
    ]
    options = ["--established", "--endpoint", "far", "--source-port", "5000", "--live"]
    assert main.run(["trace", "client", "svc/bare", *options]) == 2
    assert "--established, --endpoint, --source-port, --live: no packet goes to Service default/bare" in (
        capsys.readouterr().err
    )


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


@pytest.mark.parametrize(
    ("source", "target", "places"),
    [
        ("client", "svc/far", ["pod default/client", "n1", "n2", "pod default/far"]),
        ("client", "outside/internet", ["pod default/client", "n1:gw0", "n1:br-phy", "n1", "internet"]),
        ("node/n2", f"server:{PORTS[1]}", ["n2:gw0", "n2", "n1", "pod default/server"]),
        ("outside/internet", "svc/server", ["internet", "n1", "pod default/server"]),
        ("far", f"server:{PORTS[0]}/udp", ["pod default/far", "n2", "n1", "pod default/server"]),
    ],
)
def test_a_real_packet_does_as_predicted(
    lab: Lab, capsys: pytest.CaptureFixture[str], source: str, target: str, places: list[str]
) -> None:
    """It is captured at every place on its way, and every flow of its way counts it."""
    status, story = traced(capsys, source, target, "--live")
    assert story["live"]["disagreements"] == []
    assert status == 0
    seen = story["live"]["request"]
    assert [one["place"] for one in seen] == places
    assert all(f"id {story['live']['identification']:#06x}" in one["frame"] for one in seen)
    steps = [step for hop in story["request"]["hops"] for step in hop.get("steps", ()) if "packets" in step]
    assert [step for step in steps if step["packets"] < 1] == []


def test_a_real_packet_dies_where_it_is_predicted_to(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen up to the node that denies it, not at the pod; the denying flow has counted it."""
    lab.create(POLICIES[0])
    lab.cluster.wait_realised()
    status, story = traced(capsys, "client", f"far:{PORTS[0]}", "--live")
    lab.remove("NetworkPolicy", "deny-far")
    lab.cluster.wait_realised()
    assert (status, story["live"]["asPredicted"]) == (1, True)
    assert [one["place"] for one in story["live"]["request"]] == ["pod default/client", "n1", "n2"]
    denied = [step for step in story["request"]["hops"][-1]["steps"] if step.get("name") == "IngressPolicy"]
    assert [(step["owner"], step["packets"]) for step in denied] == [("NetworkPolicy/default/deny-far", 1)]


def test_a_real_packet_that_gets_lost_is_told(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The flows deliver it, but the underlay has no way: exit status 1, and where it was seen last."""
    assert main.run(["link", "ls", "-o", "json"]) == 0
    names = [str(link["name"]) for link in json.loads(capsys.readouterr().out)]
    links = [name for name in names if name.startswith("leaf2-spine")]
    assert links
    for link in links:
        assert main.run(["link", "down", link]) == 0
    try:
        status, story = traced(capsys, "client", "outside/internet:80", "--live")
    finally:
        for link in links:
            assert main.run(["link", "up", link]) == 0
    assert (status, story["delivered"], story["live"]["asPredicted"]) == (1, True, False)
    assert "it was not seen at internet" in story["live"]["disagreements"]
    assert [one["place"] for one in story["live"]["request"] if one["frame"]][-1] == "n1"


def test_what_means_nothing_is_refused(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, with what there is."""
    assert main.run(["trace", "client", "svc/none"]) == 2
    assert "Service 'default/none' is not there" in capsys.readouterr().err
    assert lab.cluster.name


def test_a_capture_of_pod_node_and_link_shows_the_packets_way(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One ping seen in the pod, at both ends of the node's link and at a router's interface, in one file with names."""
    written = tmp_path / "way.pcapng"
    words = ["capture", "pod/client", "link/n1-leaf1", "leaf1:leaf1-eth0", "-w", str(written), "--duration", "3s"]
    argv = ["ping", "-c", "20", "-i", "0.2", "-q", str(lab.pod("far").address)]
    with ThreadPoolExecutor() as pool:
        pinging = pool.submit(lab.pod("client").exec, argv)
        assert main.run(words) == 0
        pinging.result()
    shown = subprocess.run(
        ["tshark", "-r", written, "-Y", "icmp.type==8", "-T", "fields", "-e", "frame.interface_name"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(shown.stdout.split()) == {"default/client", "n1:n1-eth0", "leaf1:leaf1-eth0"}
    assert main.run(["capture", "link/nowhere", "-w", str(tmp_path / "x")]) == 2
    assert "'link/nowhere' is no place to capture; there are n1, n2, internet" in capsys.readouterr().err
