"""The oracle: who is judged, by which policies, and what it says about it."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from policycases_cyclonus import WORLD
from policydialects import ADMIN, BASELINE
from policyworld import Apply, state_of
from policywriting import block, labels, network_policy, one_of, pods, port, rule

from kubinet.policies import Direction, Tier
from kubinet.policy import Judgement, Oracle, Party, Ruling
from kubinet.state import ContainerPort
from kubinet.transport import Protocol

TCP = Protocol.TCP
ADDRESSES = {
    "x/a": "10.244.1.2",
    "x/b": "10.244.2.2",
    "x/c": "10.244.3.2",
    "y/a": "10.244.1.3",
    "y/b": "10.244.2.3",
    "gateway of n1": "10.244.1.1",
    "gateway of n2": "10.244.2.1",
    "n1": "172.18.0.2",
    "n2": "172.18.0.3",
    "outside": "198.51.100.7",
}
CNP, BASE = ADMIN[0], BASELINE[0]
EVERYBODY = {"namespaces": {}}
X_A = {"pods": {"namespaceSelector": labels(ns="x"), "podSelector": labels(pod="a")}}
DENY_IN = network_policy("deny", labels(pod="a"), ingress=[])
DENY_OUT = network_policy("deny", labels(pod="a"), egress=[])


def oracle(*policies: Any, **changes: Any) -> Oracle:
    world = replace(WORLD, **changes)
    for policy in policies:
        world = Apply(policy)(world)
    return Oracle(state_of(world))


def judge(
    judging: Oracle, source: str, destination: str, port: int = 80, protocol: Protocol | None = TCP, **how: bool
) -> Judgement:
    ends = (judging.party(IPv4Address(ADDRESSES[name])) for name in (source, destination))
    return judging.judge(*ends, protocol, port, **how)


def ingress(judging: Oracle, source: str, destination: str = "x/a", *args: Any, **how: Any) -> Ruling:
    found = judge(judging, source, destination, *args, **how)
    assert found.egress.allowed and found.allowed is found.ingress.allowed
    return found.ingress


def egress(judging: Oracle, destination: str, *args: Any, **how: Any) -> Ruling:
    found = judge(judging, "x/a", destination, *args, **how)
    assert found.ingress.allowed and found.allowed is found.egress.allowed
    return found.egress


def test_who_has_an_address() -> None:
    """Pods, nodes' own stacks by both of their addresses, and everybody else."""
    judging = oracle()
    party = judging.party(IPv4Address("10.244.1.2"))
    assert (party.pod.key if party.pod else None, party.node) == ("x/a", "")
    for address in ("172.18.0.2", "10.244.1.1"):
        assert judging.party(IPv4Address(address)) == Party(IPv4Address(address), None, "n1")
    for address in ("198.51.100.7", "10.244.1.200", "172.18.0.1"):
        assert judging.party(IPv4Address(address)) == Party(IPv4Address(address))


def test_without_policies_everything_is_allowed() -> None:
    """Kubernetes' default; no tier decided."""
    free = "no policy selects it for"
    assert judge(oracle(), "x/a", "y/a") == Judgement(
        True,
        Ruling(True, Direction.EGRESS, None, reason=f"{free} egress"),
        Ruling(True, Direction.INGRESS, None, reason=f"{free} ingress"),
    )


def test_isolation_is_per_direction() -> None:
    """A pod that is isolated for ingress may send what it likes, and the other way round."""
    assert not judge(oracle(DENY_IN), "x/b", "x/a").allowed
    assert judge(oracle(DENY_IN), "x/a", "x/b").allowed
    assert judge(oracle(DENY_OUT), "x/b", "x/a").allowed
    assert not judge(oracle(DENY_OUT), "x/a", "x/b").allowed


def test_rules_of_a_direction_that_is_not_among_the_types() -> None:
    """Ingress rules of an egress policy open nothing and isolate nobody."""
    odd = {**DENY_OUT, "spec": {**DENY_OUT["spec"], "ingress": []}}
    assert judge(oracle(odd), "x/b", "x/a").allowed


def test_policies_are_a_union() -> None:
    """One that allows is enough; the first by name is named."""
    web = network_policy("web", labels(pod="a"), ingress=[rule([pods(labels(pod="c"))]), rule([pods(labels(pod="b"))])])
    other = network_policy("zzz", labels(pod="a"), ingress=[rule([pods(labels(pod="b"))])])
    assert ingress(oracle(DENY_IN, web, other), "x/b") == Ruling(
        allowed=True,
        direction=Direction.INGRESS,
        tier=Tier.NAMESPACE,
        policy="NetworkPolicy/x/web",
        rule=1,
        isolated_by=("NetworkPolicy/x/deny", "NetworkPolicy/x/web", "NetworkPolicy/x/zzz"),
        reason="isolated for ingress by x/deny, x/web, x/zzz; allowed by x/web rule 1: peer pod=b, any port",
    )


def test_a_denial_says_who_isolates() -> None:
    """No rule decided; the rule that would allow the peer on other ports is named."""
    assert ingress(oracle(DENY_IN), "x/b") == Ruling(
        allowed=False,
        direction=Direction.INGRESS,
        tier=Tier.NAMESPACE,
        isolated_by=("NetworkPolicy/x/deny",),
        reason="isolated for ingress by x/deny; no rule allows it",
    )
    ports = [port(80), port(8000, "UDP", 8100)]
    rules = [rule([pods(of=labels(ns="y"))]), rule([pods({})], ports), rule([pods({})], [port(443)])]
    web = network_policy("web", labels(pod="a"), ingress=rules)
    assert ingress(oracle(web), "x/b", "x/a", 81).reason == (
        "isolated for ingress by x/web; no rule allows it: "
        "x/web rule 1 allows the peer port 80/TCP or ports 8000-8100/UDP, not 81/TCP"
    )


def test_many_isolating_policies_are_counted() -> None:
    """All are in the ruling, three in the words."""
    some = [network_policy(f"p{number}", labels(pod="a"), egress=[]) for number in range(5)]
    found = egress(oracle(*some), "y/a")
    assert found.reason == "isolated for egress by x/p0, x/p1, x/p2 and 2 more; no rule allows it"
    assert found.isolated_by == tuple(f"NetworkPolicy/x/p{number}" for number in range(5))


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, "abc"),
        (one_of("pod", "a", "b"), "ab"),
        (one_of("pod", "a", "b", operator="NotIn"), "c"),
        (one_of("other", "a", operator="NotIn"), "abc"),
        (one_of("pod", operator="Exists"), "abc"),
        (one_of("other", operator="Exists"), ""),
        (one_of("other", operator="DoesNotExist"), "abc"),
        (one_of("pod", operator="DoesNotExist"), ""),
        ({**labels(pod="a"), **one_of("pod", "a", "b")}, "a"),
        ({**labels(pod="a"), **one_of("pod", "b")}, ""),
    ],
    ids=str,
)
def test_selectors(selector: Any, selected: str) -> None:
    """Of the policy's own pods; a label that is absent is not in any set."""
    judging = oracle(network_policy("deny", selector, ingress=[]))
    assert [name for name in "abc" if not judge(judging, "y/b", f"x/{name}").allowed] == list(selected)


def test_a_pod_reaches_itself() -> None:
    """Whatever policies say: such packets never leave it."""
    everything = [("deny", [EVERYBODY], None)]
    judging = oracle(DENY_IN, DENY_OUT, CNP.policy("no", EVERYBODY, ingress=everything, egress=everything))
    found = judge(judging, "x/a", "x/a")
    assert found.allowed
    assert (found.egress.reason, found.ingress.reason) == ("a pod always reaches itself", "a pod always reaches itself")


def test_a_pod_reaches_itself_through_a_service() -> None:
    """NetworkPolicies do not count there, whatever the way; cluster-wide rules do, both ways."""
    both = network_policy("deny", labels(pod="a"), ingress=[], egress=[])
    found = judge(oracle(both), "x/a", "x/a", through_service=True)
    assert (found.allowed, found.ingress.tier, found.egress.reason) == (True, None, "a pod always reaches itself")
    everything = [("deny", [EVERYBODY], None)]
    for dialect in (CNP, BASE):
        found = judge(oracle(dialect.policy("in", X_A, ingress=everything)), "x/a", "x/a", through_service=True)
        assert (found.allowed, found.egress.allowed, found.ingress.tier) == (False, True, Tier(dialect.tier))
        found = judge(oracle(dialect.policy("out", X_A, egress=everything)), "x/a", "x/a", through_service=True)
        assert (found.allowed, found.ingress.allowed, found.egress.tier) == (False, True, Tier(dialect.tier))


@pytest.mark.parametrize("address", ["gateway of n1", "n1"])
def test_a_node_reaches_its_own_pods(address: str) -> None:
    """Probes work under every policy, by both of the node's addresses."""
    everything = [("deny", [EVERYBODY], None)]
    judging = oracle(DENY_IN, CNP.policy("no", EVERYBODY, ingress=everything))
    found = ingress(judging, address)
    assert (found.allowed, found.tier, found.reason) == (True, None, "a node always reaches its own pods")


def test_another_node_is_judged_by_its_address() -> None:
    """It comes from its pod gateway address; selectors of pods never mean it, even those that select everything."""
    assert not ingress(oracle(network_policy("all-pods", ingress=[rule([pods(of={})])])), "gateway of n2").allowed
    by_block = network_policy("block", ingress=[rule([block("10.244.2.0/28", "10.244.2.2/32")])])
    assert ingress(oracle(by_block), "gateway of n2").allowed
    assert not ingress(oracle(by_block), "x/b").allowed
    assert ingress(oracle(by_block), "y/b").reason == (
        "isolated for ingress by x/block; allowed by x/block rule 0: peer 10.244.2.0/28 except 10.244.2.2/32, any port"
    )


def test_clients_outside_are_judged_by_their_address() -> None:
    """Whoever is no pod is meant by blocks alone, and by rules without peers."""
    allowed = network_policy("block", ingress=[rule([block("198.51.100.0/24")])])
    excepted = network_policy("block", ingress=[rule([block("0.0.0.0/0", "198.51.100.0/25")])])
    assert ingress(oracle(allowed), "outside").allowed
    assert not ingress(oracle(excepted), "outside").allowed
    assert ingress(oracle(network_policy("any", ingress=[{}])), "outside").allowed
    assert not ingress(oracle(network_policy("pods", ingress=[rule([pods({}, of={})])])), "outside").allowed


def test_nodes_and_outside_hosts_are_not_judged_themselves() -> None:
    """Neither what they send nor what reaches them; the pod at the other end is."""
    assert judge(oracle(), "outside", "n1").allowed
    found = judge(oracle(DENY_OUT), "x/a", "n2")
    assert (found.egress.allowed, found.ingress.allowed, found.ingress.tier) == (False, True, None)
    assert found.ingress.reason == "policies are for pods: nodes and outside hosts are free to reach"
    found = judge(oracle(DENY_IN), "outside", "x/a")
    assert (found.egress.allowed, found.ingress.allowed, found.egress.tier) == (True, False, None)
    assert found.egress.reason == "policies are for pods: what nodes and outside hosts send is free"


def test_a_pod_is_not_free_to_reach_its_own_node() -> None:
    """The exception is for what nodes send."""
    assert not judge(oracle(DENY_OUT), "x/a", "n1").allowed


def test_without_ports_there_is_icmp() -> None:
    """A rule with ports is not about it, not even with every port; a rule without is."""
    web = network_policy("web", ingress=[rule([pods({})], [port(80), port()])])
    found = ingress(oracle(web), "x/b", "x/a", 0, None)
    assert (found.allowed, found.reason) == (
        False,
        "isolated for ingress by x/web; no rule allows it: "
        "x/web rule 0 allows the peer port 80/TCP or any port/TCP, not a protocol without ports",
    )
    assert ingress(oracle(network_policy("web", ingress=[rule([pods({})])])), "x/b", "x/a", 0, None).allowed
    assert judge(
        oracle(CNP.policy("web", EVERYBODY, ingress=[("deny", [EVERYBODY], ["web", "1-65535/TCP"])])),
        "x/b",
        "x/a",
        0,
        None,
    ).allowed


NAMES = [ContainerPort("web", 80, TCP), ContainerPort("dns", 53, Protocol.UDP), ContainerPort("dns-tcp", 53, TCP)]


def test_a_name_is_the_destinations_port() -> None:
    """On ingress the selected pod's, on egress the other's; nobody else has names, and the protocol counts."""
    named = [rule(ports=[port("web"), port("dns", "UDP"), port("dns-tcp", "UDP")])]
    inward, outward = (
        network_policy("in", labels(pod="a"), ingress=named),
        network_policy("out", labels(pod="a"), egress=named),
    )
    for judging, source, destination in (
        (oracle(inward, ports=NAMES), "y/b", "x/a"),
        (oracle(outward, ports=NAMES), "x/a", "y/b"),
    ):
        allowed = [
            (number, protocol.name)
            for number in (53, 80, 81)
            for protocol in Protocol
            if judge(judging, source, destination, number, protocol).allowed
        ]
        assert allowed == [(53, "UDP"), (80, "TCP")]
    judging = oracle(outward, ports=NAMES)
    assert not judge(judging, "x/a", "outside").allowed and not judge(judging, "x/a", "n2").allowed
    assert not judge(oracle(inward, ports=[]), "y/b", "x/a").allowed


def test_pods_may_have_different_ports_of_one_name() -> None:
    """Resolved for each destination."""
    state = state_of(Apply(network_policy("out", labels(pod="a"), egress=[rule(ports=[port("web")])]))(WORLD))
    numbers = {"x/b": 8080, "x/c": 9090}
    named = {
        key: replace(state.pods[key], named_ports=(ContainerPort("web", number, TCP),))
        for key, number in numbers.items()
    }
    judging = Oracle(replace(state, pods={**state.pods, **named}))
    allowed = [(to, number) for to in numbers for number in (8080, 9090) if judge(judging, "x/a", to, number).allowed]
    assert allowed == [("x/b", 8080), ("x/c", 9090)]


def test_on_ingress_the_selected_pods_own_ports_count() -> None:
    """Not those of who asks."""
    state = state_of(Apply(network_policy("in", labels(pod="a"), ingress=[rule(ports=[port("web")])]))(WORLD))
    numbers = {"x/a": 8080, "x/b": 9090}
    named = {
        key: replace(state.pods[key], named_ports=(ContainerPort("web", number, TCP),))
        for key, number in numbers.items()
    }
    judging = Oracle(replace(state, pods={**state.pods, **named}))
    assert [number for number in (8080, 9090) if judge(judging, "x/b", "x/a", number).allowed] == [8080]


def test_a_name_without_protocol_is_of_every_protocol() -> None:
    """As cluster-wide rules have it."""
    judging = oracle(CNP.policy("dns", EVERYBODY, ingress=[("deny", [EVERYBODY], ["dns"])]), ports=NAMES)
    denied = [protocol.name for protocol in Protocol if not judge(judging, "y/b", "x/a", 53, protocol).allowed]
    assert denied == ["UDP"]
    found = ingress(judging, "y/b", "x/a", 53, Protocol.UDP)
    assert found.reason == ("denied by ClusterNetworkPolicy/dns rule 0: peer every pod in every namespace, port dns")


def test_ranges_have_both_ends() -> None:
    """From the first port to the last."""
    judging = oracle(network_policy("range", ingress=[rule(ports=[port(8000, "TCP", 8002)])]))
    allowed = [number for number in range(7998, 8005) if judge(judging, "y/b", "x/a", number).allowed]
    assert allowed == [8000, 8001, 8002]
    assert ingress(judging, "y/b", "x/a", 8001).reason == (
        "isolated for ingress by x/range; allowed by x/range rule 0: any peer, ports 8000-8002/TCP"
    )


def test_peers_or_ports_of_which_nothing_is_left_are_none() -> None:
    """A rule whose only blocks are of IPv6 does not allow everybody, one of an unknown protocol not everything."""
    six = network_policy("six", ingress=[rule([block("::/0")])])
    assert not ingress(oracle(six), "x/b").allowed and not ingress(oracle(six), "outside").allowed
    unknown = network_policy("unknown", ingress=[rule(ports=[port(80, "DCCP")])])
    assert not ingress(oracle(unknown), "x/b").allowed
    assert ingress(oracle(unknown), "x/b", "x/a", 0, None).reason == (
        "isolated for ingress by x/unknown; no rule allows it: "
        "x/unknown rule 0 allows the peer no port, not a protocol without ports"
    )


def test_a_pod_of_a_namespace_without_known_labels() -> None:
    """It is selected by selectors that ask for no label."""
    judging = oracle(network_policy("in", ingress=[rule([pods(of=labels(ns="y"))])]), namespaces={})
    assert not ingress(judging, "y/b").allowed
    assert ingress(oracle(network_policy("in", ingress=[rule([pods(of={})])]), namespaces={}), "y/b").allowed
