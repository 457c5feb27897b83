"""The oracle: tiers, priorities and the cluster-wide kinds' own peers."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from policycases_cluster import WORLD
from policydialects import ADMIN, BASELINE
from policyworld import Apply, state_of
from policywriting import labels, network_policy, one_of, pods, rule

from kubinet.policies import Direction, Tier
from kubinet.policy import Oracle, Ruling
from kubinet.transport import Protocol

CNP, ANP = ADMIN
BASE, BANP = BASELINE
RED, GREEN, EVERYBODY = (
    {"namespaces": labels(team="red")},
    {"namespaces": labels(team="green")},
    {"namespaces": {}},
)
DENY = network_policy("deny", namespace="red", ingress=[], egress=[])
ALLOW = network_policy(
    "allow", namespace="red", ingress=[rule([pods(of=labels(team="green"))])], egress=[rule([pods(of={})])]
)
ACCEPT, REFUSE, PASS = ([(action, [GREEN], None)] for action in ("accept", "deny", "pass"))


def oracle(*policies: Any) -> Oracle:
    world = WORLD
    for policy in policies:
        world = Apply(policy)(world)
    return Oracle(state_of(world))


ADDRESSES = {"red/0": "10.244.1.2", "green/0": "10.244.1.3", "gold/1": "10.244.2.4"}


def ruling(
    judging: Oracle, source: str = "green/0", destination: str = "red/0", port: int = 80, outward: bool = False
) -> Ruling:
    """What is said about ingress, or about egress."""
    ends = (judging.party(IPv4Address(ADDRESSES.get(one, one))) for one in (source, destination))
    found = judging.judge(*ends, Protocol.TCP, port)
    return found.egress if outward else found.ingress


@pytest.mark.parametrize("admin", ADMIN, ids=lambda one: one.kind)
def test_the_admin_tier_comes_first(admin: Any) -> None:
    """What it accepts no NetworkPolicy refuses, and what it denies none allows."""
    accepted = ruling(oracle(DENY, admin.policy("a", RED, ingress=ACCEPT)))
    assert accepted == Ruling(
        allowed=True,
        direction=Direction.INGRESS,
        tier=Tier.ADMIN,
        policy=f"{admin.kind}/a",
        rule=0,
        isolated_by=("NetworkPolicy/red/deny",),
        reason=f"allowed by {admin.kind}/a rule 0: peer every pod in namespaces team=green, any port",
    )
    denied = ruling(oracle(ALLOW, admin.policy("a", RED, ingress=REFUSE)))
    assert (denied.allowed, denied.tier, denied.policy) == (False, Tier.ADMIN, f"{admin.kind}/a")
    assert denied.reason == f"denied by {admin.kind}/a rule 0: peer every pod in namespaces team=green, any port"


def test_what_is_passed_is_for_the_next_tier() -> None:
    """Further rules of the admin tier do not count, of no policy."""
    passing = CNP.policy("a", RED, priority=1, ingress=[*PASS, *REFUSE])
    later = ANP.policy("b", RED, priority=2, ingress=REFUSE)
    found = ruling(oracle(passing, later))
    assert (found.allowed, found.tier, found.passed) == (True, None, ("ClusterNetworkPolicy/a rule 0",))
    assert found.reason == (
        "passed by ClusterNetworkPolicy/a rule 0; "
        "not isolated for ingress, and no rule of ClusterNetworkPolicy/a, AdminNetworkPolicy/b decides"
    )
    found = ruling(oracle(passing, later, DENY))
    assert (found.allowed, found.tier) == (False, Tier.NAMESPACE)
    assert found.reason == (
        "passed by ClusterNetworkPolicy/a rule 0; isolated for ingress by red/deny; no rule allows it"
    )
    assert ruling(oracle(passing, later, ALLOW)).policy == "NetworkPolicy/red/allow"


@pytest.mark.parametrize("baseline", BASELINE, ids=lambda one: one.kind)
def test_the_baseline_is_for_pods_that_are_not_isolated(baseline: Any) -> None:
    """Where a NetworkPolicy isolates the pod its word is final, whether it allows or not."""
    denying, accepting = (baseline.policy("b", RED, ingress=rules) for rules in (REFUSE, ACCEPT))
    found = ruling(oracle(denying))
    assert (found.allowed, found.tier, found.rule) == (False, Tier.BASELINE, 0)
    assert found.policy == denying["kind"] + "/" + denying["metadata"]["name"]
    assert ruling(oracle(denying, ALLOW)).allowed
    assert not ruling(oracle(accepting, DENY)).allowed
    assert ruling(oracle(accepting)).tier is Tier.BASELINE


def test_isolation_for_egress_leaves_ingress_to_the_baseline() -> None:
    """Each direction has tiers of its own."""
    outward = network_policy("out", namespace="red", egress=[])
    assert ruling(oracle(outward, BASE.policy("b", RED, ingress=REFUSE))).tier is Tier.BASELINE


def test_what_the_baseline_passes_is_allowed() -> None:
    """There is no tier behind it; later rules of the baseline do not count."""
    found = ruling(oracle(BASE.policy("b", RED, ingress=[*PASS, *REFUSE]), BANP.policy("", RED, ingress=[])))
    assert (found.allowed, found.tier, found.policy, found.rule) == (True, None, "", None)
    assert found.passed == ("ClusterNetworkPolicy/b rule 0",)


def test_what_no_rule_matches_goes_on() -> None:
    """A cluster-wide policy isolates nobody."""
    found = ruling(oracle(CNP.policy("a", RED, ingress=REFUSE)), "gold/1")
    assert (found.allowed, found.tier) == (True, None)
    assert found.reason == "not isolated for ingress, and no rule of ClusterNetworkPolicy/a decides"


ORDERED = [
    # In the order in which they are asked.
    ANP.policy("z", RED, priority=3, ingress=REFUSE),
    CNP.policy("a", RED, priority=3, ingress=REFUSE),
    CNP.policy("b", RED, priority=3, ingress=REFUSE),
    ANP.policy("a", RED, priority=4, ingress=REFUSE),
    CNP.policy("c", RED, priority=1000, ingress=REFUSE),
    BANP.policy("", RED, ingress=REFUSE),
    BASE.policy("d", RED, priority=0, ingress=REFUSE),
    BASE.policy("e", RED, priority=1, ingress=REFUSE),
]


def test_the_order_of_policies() -> None:
    """By tier, priority, kind and name; the lowest priority first."""
    for first in range(len(ORDERED)):
        expected = ORDERED[first]
        found = ruling(oracle(*reversed(ORDERED[first:])))
        assert found.policy == f"{expected['kind']}/{expected['metadata']['name']}"


def test_the_order_of_rules() -> None:
    """The first that matches decides; its name is in the words."""
    policy = CNP.policy("a", RED, ingress=[("accept", [GREEN], ["81/TCP"]), *REFUSE, *ACCEPT])
    policy["spec"]["ingress"][1]["name"] = "not-green"
    judging = oracle(policy)
    assert (ruling(judging, port=81).rule, ruling(judging, port=81).allowed) == (0, True)
    assert ruling(judging) == Ruling(
        allowed=False,
        direction=Direction.INGRESS,
        tier=Tier.ADMIN,
        policy="ClusterNetworkPolicy/a",
        rule=1,
        reason="denied by ClusterNetworkPolicy/a rule 1 (not-green): peer every pod in namespaces team=green, any port",
    )


def test_networks_match_pods_too() -> None:
    """As their documentation says: every address is meant, also those of pods and nodes."""
    judging = oracle(CNP.policy("a", RED, egress=[("deny", [{"networks": ["0.0.0.0/0"]}], None)]))
    for destination in ("green/0", "172.18.0.3", "198.51.100.7"):
        found = ruling(judging, "red/0", destination, outward=True)
        assert (found.allowed, found.reason) == (
            False,
            "denied by ClusterNetworkPolicy/a rule 0: peer 0.0.0.0/0, any port",
        )


@pytest.mark.parametrize(
    ("selector", "meant", "words"),
    [
        ({}, ["n1", "n2", "n3"], "peer every node"),
        (labels(os="linux"), ["n1", "n2"], "peer nodes os=linux"),
        (one_of("os", "linux", operator="NotIn"), ["n3"], "peer nodes os notin (linux)"),
        (one_of("disk", operator="DoesNotExist"), ["n1", "n3"], "peer nodes !disk"),
        (one_of("disk", "a", "b"), ["n2"], "peer nodes disk in (a, b)"),
    ],
    ids=str,
)
def test_nodes_are_peers_by_their_addresses(selector: Any, meant: list[str], words: str) -> None:
    """On the underlay and in the pod network; not their pods, nor anybody else."""
    nodes = {"n1": {"os": "linux"}, "n2": {"os": "linux", "disk": "a"}, "n3": {}}
    world = Apply(ANP.policy("a", RED, egress=[("deny", [{"nodes": selector}], None)]))(replace(WORLD, nodes=nodes))
    judging = Oracle(state_of(world))
    addresses = {"n1": ("172.18.0.2", "10.244.1.1"), "n2": ("172.18.0.3", "10.244.2.1")}
    addresses["n3"] = ("172.18.0.4", "10.244.3.1")
    denied = []
    for node, own in addresses.items():
        for address in own:
            found = ruling(judging, "red/0", address, outward=True)
            if not found.allowed:
                denied.append(node)
                assert found.reason == f"denied by AdminNetworkPolicy/a rule 0: {words}, any port"
    assert denied == [node for node in meant for _ in range(2)]
    for other in ("green/0", "gold/1", "172.18.0.1", "10.244.1.9"):
        assert ruling(judging, "red/0", other, outward=True).allowed


def test_a_peer_that_is_not_supported_opens_nothing() -> None:
    """Domain names accept nobody; a rule that should deny them denies everybody."""
    names = [{"domainNames": ["example.org"]}]
    everything = ("deny", [{"networks": ["0.0.0.0/0"]}], None)
    judging = oracle(CNP.policy("a", RED, egress=[("accept", names, None), everything]))
    assert not ruling(judging, "red/0", "198.51.100.7", outward=True).allowed
    judging = oracle(CNP.policy("a", RED, egress=[("deny", names, None)]))
    found = ruling(judging, "red/0", "198.51.100.7", outward=True)
    assert (found.allowed, found.reason) == (False, "denied by ClusterNetworkPolicy/a rule 0: any peer, any port")


def test_subjects_are_pods_of_other_namespaces_too() -> None:
    """By labels of namespaces and pods; a policy is for its subjects alone."""
    both = {"pods": {"namespaceSelector": one_of("team", "red", "gold"), "podSelector": labels(team="gold")}}
    judging = oracle(CNP.policy("a", both, ingress=REFUSE))
    assert [ruling(judging, destination=one).allowed for one in ("red/0", "gold/1")] == [True, False]
