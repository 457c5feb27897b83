"""A walk in Kubernetes' words: the lines that `kubinet trace` prints, from private Open vSwitches."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from policyclusters import label, netpol
from service_states import NODE_1, OUTSIDE, VIP, A, B, C, cluster, service
from walking import WalkedCluster, ask

from controller.compile import Compiler
from controller.walk.words.endings import Verdict
from controller.walk.words.names import Names
from controller.walk.words.story import Account, Line, Story, tell
from kubinet.policies import Action, BlockPeer, Direction, PodPeer, Policy, PortRange, Rule, Tier
from kubinet.policyobjects import policy_from_object
from kubinet.state import Algorithm, ClusterState, HostPort
from kubinet.transport import Protocol

pytestmark = pytest.mark.ovs
INGRESS, EGRESS = frozenset({Direction.INGRESS}), frozenset({Direction.EGRESS})


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WalkedCluster]:
    found = WalkedCluster(tmp_path_factory.mktemp("walk"), cluster(overlay="vxlan"))
    yield found
    found.close()


def story(
    walked: WalkedCluster, state: ClusterState, sender: str, destination: str, port: int, **options: bool
) -> Story:
    journey = ask(walked, state, sender, destination, port, **options)
    compiler = Compiler()
    compiler.compile(state)
    return tell(journey, Names.of(state, {IPv4Address(OUTSIDE): "h1"}), compiler.meanings())


def under(*policies: Policy) -> ClusterState:
    """Pods a, b (n1) and c (n2) of namespace default, with labels, under policies."""
    plain = cluster(overlay="vxlan")
    pods = {key: replace(pod, labels={"app": pod.name}) for key, pod in plain.pods.items()}
    namespaces = {"default": {"kubernetes.io/metadata.name": "default"}}
    return replace(plain, pods=pods, namespaces=namespaces, policies={one.key: one for one in policies})


def lines(account: Account) -> list[str]:
    """The stages' titles, and under each its lines with something to say."""
    found = []
    for stage in account.stages:
        found.append(stage.title)
        for line in stage.lines:
            if isinstance(line, Line) and line.text:
                found.append(f"  {line.step.number} {line.text} [{line.owner}]")
            elif not isinstance(line, Line):
                found.append(f"  zone {line.zone}: {line.text}")
    return [*found, account.verdict.text]


def test_a_services_packet_from_pod_to_pod_and_back(walked: WalkedCluster) -> None:
    """Classifier, spoof guard, Service, translation, policies, routing, tunnel, other node, delivery; the answer."""
    told = story(walked, cluster(service([C]), overlay="vxlan"), "a", VIP, 80)
    assert told.delivered
    assert told.request.title == f"TCP from pod default/a ({A}:40000) to Service default/web ({VIP}:80)"
    assert lines(told.request) == [
        "Node n1, br-int, from pod default/a",
        "  0 from pod default/a [Pod/default/a]",
        "  4 10.244.1.2 and 0a:58:0a:f4:01:02 are the pod's own [Pod/default/a]",
        "  zone 1: a new connection",
        "  22 Service default/web port web, by its cluster IP: its only endpoint, 10.244.2.2:8080 (default/c)"
        " [Service/default/web]",
        "  30 10.96.0.10:80 becomes 10.244.2.2:8080 (default/c) [Service/default/web]",
        "  40 no policy selects pod default/a for egress [Topology/cluster]",
        "  50 to node n2 through the tunnel [Node/n2]",
        "  60 time to live 64 becomes 63 [Topology/cluster]",
        "  90 out of port 1 (tunnel) [Topology/cluster]",
        "  0 the tunnel's packet goes out to the underlay [Node/n1]",
        "Underlay, from node n1 to node n2 in a tunnel: outer UDP 172.18.1.2 to 172.18.2.2:4789",
        "Node n2, br-int, from the tunnel",
        "  0 from node n1 through the tunnel [Node/n1]",
        "  zone 1: a new connection",
        "  50 to pod default/c [Pod/default/c]",
        "  60 time to live 63 becomes 62 [Topology/cluster]",
        "  70 no policy selects pod default/c for ingress [Topology/cluster]",
        "  84 the connection is remembered [Topology/cluster]",
        "  90 out of port 102, pod default/c [Topology/cluster]",
        "Delivered to pod default/c on node n2, which sees TCP 10.244.1.2:40000 > 10.244.2.2:8080",
    ]
    assert told.reply is not None
    assert lines(told.reply)[-8:] == [
        "Node n1, br-int, from the tunnel",
        "  0 from node n2 through the tunnel [Node/n2]",
        "  zone 1: a known connection's answer; source 10.244.2.2:8080 becomes 10.96.0.10:80",
        "  40 answers of known connections are not judged [Topology/cluster]",
        "  50 to pod default/a [Pod/default/a]",
        "  60 time to live 63 becomes 62 [Topology/cluster]",
        "  90 out of port 102, pod default/a [Topology/cluster]",
        "Delivered to pod default/a on node n1, which sees TCP 10.96.0.10:80 > 10.244.1.2:40000",
    ]


def test_a_client_outside_comes_and_goes_by_br_phy(walked: WalkedCluster) -> None:
    """Its node port, its translated source, and the neighbour that it came from."""
    told = story(walked, cluster(service([B], node_port=30080), overlay="vxlan"), OUTSIDE, NODE_1, 30080)
    assert lines(told.request)[:9] == [
        "Underlay, from outside host h1 (192.0.2.9) to node n1",
        "Node n1, br-phy, from the underlay",
        "  0 172.18.1.2:30080 is served by Service default/web: on to br-int [Service/default/web]",
        "  12 to br-int, untouched; which neighbour it came from is remembered [Node/n1]",
        "  0 from the outside of the cluster [Node/n1]",
        "  zone 1: a new connection",
        "  22 Service default/web port web, by its node port: its only endpoint, 10.244.1.3:8080 (default/b); its"
        " source will be translated [Service/default/web]",
        "  30 172.18.1.2:30080 becomes 10.244.1.3:8080 (default/b) [Service/default/web]",
        "  50 to pod default/b [Pod/default/b]",
    ]
    assert told.reply is not None
    assert lines(told.reply)[-5:] == [
        "  60 time to live 64 becomes 63 [Topology/cluster]",
        "  0 an answer to a client outside [Node/n1]",
        "  14 out to the underlay, to the neighbour that the request came from [Node/n1]",
        "Underlay, from node n1 to outside host h1 (192.0.2.9)",
        "Delivered to outside host h1, which sees TCP 172.18.1.2:30080 > 192.0.2.9:40000",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["22 10.244.2.2:8080 (default/c), one of 2, chosen at random"]),
        ({"algorithm": Algorithm.MAGLEV}, [
            "22 10.244.2.2:8080 (default/c), one of 2, chosen by Maglev's table, from a hash of the connection",
            "28 the hash's slot is 10.244.2.2:8080 (default/c)",
        ]),
        ({"algorithm": Algorithm.ROUND_ROBIN}, [
            "22 one of 2, in turn, which the controller is asked for",
            "controller: the controller sends it again, for instance with 10.244.1.3:8080 (default/b)",
        ]),
        ({"affinity_seconds": 60}, [
            "22 session affinity: a client keeps its endpoint, one of 2",
            "24 10.244.1.2 has not been remembered",
            "26 chooses anew",
            "29 the client will be remembered with this endpoint",
        ]),
    ],
    ids=["random", "maglev", "round-robin", "affinity"],
)  # fmt: skip
def test_how_an_endpoint_is_chosen(walked: WalkedCluster, options: dict[str, Any], words: list[str]) -> None:
    """By algorithm, or by what is remembered."""
    told = story(walked, cluster(service([B, C], **options), overlay="vxlan"), "a", VIP, 80)
    found = []
    for line in told.request.stages[0].lines:
        if isinstance(line, Line) and 22 <= line.step.number < 30 and line.text:
            found.append(
                f"{line.step.number} {line.text.removeprefix('Service default/web port web, by its cluster IP: ')}"
            )
        elif not isinstance(line, Line) and line.zone is None:
            found.append(f"controller: {line.text}")
    assert found == words


def test_a_host_port_is_told_with_its_pod(walked: WalkedCluster) -> None:
    """On br-phy and where it is translated."""
    state = cluster(overlay="vxlan")
    pod = replace(state.pods["default/b"], host_ports=(HostPort(54321, 8080),))
    told = story(walked, replace(state, pods={**state.pods, pod.key: pod}), OUTSIDE, NODE_1, 54321)
    assert told.delivered
    assert [line for line in lines(told.request) if "host port" in line] == [
        "  0 172.18.1.2:54321 is a host port: on to br-int [Pod/default/b]",
        "  22 port 54321 of the node is a host port of 10.244.1.3:8080 (default/b) [Pod/default/b]",
    ]


RANGES = {"load_balancer_ips": (IPv4Address("172.31.0.5"),), "source_ranges": (IPv4Network("192.0.2.0/29"),)}
EVERYONE = PodPeer(label("kubernetes.io/metadata.name", "default"))
NO_SENDING = Policy(
    "ClusterNetworkPolicy", "no", "", Tier.ADMIN, EVERYONE, EGRESS, (),
    (Rule((BlockPeer(IPv4Network("10.244.2.0/24")),), None, Action.DENY),),
)  # fmt: skip
NOBODY = Policy(
    "ClusterNetworkPolicy", "no", "", Tier.BASELINE, EVERYONE, INGRESS, (Rule((EVERYONE,), None, Action.DENY),)
)
ALLOWS_C = '[{"to": [{"podSelector": {"matchLabels": {"app": "c"}}}], "ports": [{"port": 80, "protocol": "TCP"}]}]'
ALLOWS_A = '[{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}], "ports": [{"port": 80, "protocol": "TCP"}]}]'


@pytest.mark.parametrize(
    ("state", "sender", "destination", "port", "verdict"),
    [
        (cluster(service([]), overlay="vxlan"), "a", VIP, 80, Verdict(
            "Refused by node n1: Service default/web has no ready endpoint",
            "Service/default/web", "a ready pod that Service default/web selects")),
        (cluster(service([B]), overlay="vxlan"), "c", VIP, 81, Verdict(
            "Refused by node n2: no Service has 10.96.0.10:81", "", "a Service with this address and port")),
        (cluster(service([B], internal_local=True), overlay="vxlan"), "c", VIP, 80, Verdict(
            "Dropped at node n2, br-int table 22 ServiceLB: Service default/web port web, by its cluster IP: traffic"
            " policy Local, and this node has no endpoint of its own",
            "Service/default/web", "a ready endpoint on node n2, or spec.internalTrafficPolicy: Cluster")),
        (cluster(service([B], **RANGES), overlay="vxlan"), OUTSIDE, "172.31.0.5", 80, Verdict(
            "Dropped at node n1, br-int table 22 ServiceLB: Service default/web takes clients of 192.0.2.0/29 only, and"
            " 192.0.2.9 is none",
            "Service/default/web", "spec.loadBalancerSourceRanges of Service default/web with 192.0.2.9")),
        (cluster(overlay="vxlan"), "a", "10.244.1.99", 80, Verdict(
            "Dropped at node n1, br-int table 50 L3Forward: no pod and no Service has 10.244.1.99",
            "Topology/cluster")),
        (cluster(overlay="vxlan"), OUTSIDE, A, 80, Verdict(
            "Dropped at node n1, br-phy table 0 Uplink: 10.244.1.2 is a pod's address, and pods are not reached from"
            " outside of the cluster",
            "Node/n1", "a Service of type NodePort or LoadBalancer")),
        (under(netpol("deny", namespace="default", directions=INGRESS)), "a", C, 80, Verdict(
            "Dropped at node n2, br-int table 88 PolicyDeny: ingress of pod default/c is denied: isolated for Ingress"
            " by NetworkPolicy/default/deny, and no rule allows it",
            "NetworkPolicy/default/deny",
            f"a NetworkPolicy in namespace default that selects c, with spec.ingress: {ALLOWS_A}")),
        (under(netpol("deny", namespace="default", directions=EGRESS)), "a", C, 80, Verdict(
            "Dropped at node n1, br-int table 88 PolicyDeny: egress of pod default/a is denied: isolated for Egress by"
            " NetworkPolicy/default/deny, and no rule allows it",
            "NetworkPolicy/default/deny",
            f"a NetworkPolicy in namespace default that selects a, with spec.egress: {ALLOWS_C}")),
        (under(NO_SENDING), "a", C, 80, Verdict(
            "Dropped at node n1, br-int table 88 PolicyDeny: egress of pod default/a is denied by"
            " ClusterNetworkPolicy/no Egress rule 0 (peer 10.244.2.0/24; any port)",
            "ClusterNetworkPolicy/no",
            "an Accept or Pass rule before it: of the same policy, or of one with a lower priority number")),
        (under(NOBODY), "a", C, 80, Verdict(
            "Dropped at node n2, br-int table 88 PolicyDeny: ingress of pod default/c is denied by"
            " ClusterNetworkPolicy/no Ingress rule 0 (peer every pod in namespaces"
            " kubernetes.io/metadata.name=default; any port)",
            "ClusterNetworkPolicy/no",
            f"a NetworkPolicy in namespace default that selects c, with spec.ingress: {ALLOWS_A} (NetworkPolicies come"
            " before the tier Baseline)")),
    ],
)  # fmt: skip
def test_where_it_dies_who_did_it_and_what_would_let_it_pass(
    walked: WalkedCluster, state: ClusterState, sender: str, destination: str, port: int, verdict: Verdict
) -> None:
    """Each end of a packet's way names the object and the remedy."""
    assert story(walked, state, sender, destination, port).request.verdict == verdict


def test_the_rule_that_accepts_is_named(walked: WalkedCluster) -> None:
    """With its peers and ports, as the policy has them."""
    rule = Rule((PodPeer(None, label("app", "a")),), (PortRange(Protocol.TCP, 80, 90),))
    told = story(walked, under(netpol("ok", namespace="default", directions=INGRESS, ingress=[rule])), "a", C, 80)
    assert [line for line in lines(told.request) if line.startswith(("  7", "  88"))] == [
        "  70 policies select pod default/c for ingress [Pod/default/c]",
        "  74 accepted by NetworkPolicy/default/ok Ingress rule 0 (peer app=a; ports 80-90/TCP)"
        " [NetworkPolicy/default/ok]",
    ]


def test_a_denied_connection_that_is_there_already_ends_both_ways(walked: WalkedCluster) -> None:
    """The request marks it, and the answer is dropped for that."""
    state = under(netpol("deny", namespace="default", directions=EGRESS))
    told = story(walked, state, "a", C, 80, established=True)
    assert lines(told.request)[-2].startswith("  88 dropped; the connection is marked, so that its answers are dropped")
    assert told.reply is not None
    assert told.reply.verdict.text == (
        "Dropped at node n1, br-int table 40 EgressEntry: a policy denies this connection, so its answers are dropped"
        " too"
    )


def test_a_remedy_lets_the_packet_pass(walked: WalkedCluster) -> None:
    """The rule that it names, in a policy like the one that it asks for."""
    deny = netpol("deny", namespace="default")
    state = under(deny)
    for _ in range(2):
        told = story(walked, state, "a", C, 80)
        assert not told.delivered
        namespace, name, section, text = re.fullmatch(  # type: ignore[union-attr]
            r"a NetworkPolicy in namespace (\S+) that selects (\S+), with spec\.(\w+): (.+)",
            told.request.verdict.remedy,
        ).groups()
        manifest = {
            "kind": "NetworkPolicy",
            "metadata": {"name": f"allow-{section}", "namespace": namespace},
            "spec": {
                "podSelector": {"matchLabels": {"app": name}},
                "policyTypes": [section.capitalize()],
                section: json.loads(text),
            },
        }
        policy = policy_from_object(manifest)
        state = replace(state, policies={**state.policies, policy.key: policy})
    assert story(walked, state, "a", C, 80).delivered
