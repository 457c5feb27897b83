"""Policies as flows: complete, shared, and as large as the sum of what they name."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from policyclusters import NAMESPACES, cluster, label, netpol, pod

from controller import compile as compiler
from controller.compile import Compiler
from controller.openflow.actions import Conjunction
from controller.openflow.flow import Category, Flow
from controller.pipeline import EGRESS_POLICY, INGRESS_ADMIN, INGRESS_POLICY
from controller.policy.precedence import first_priorities
from controller.program import differences
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.policies import (
    EVERYTHING,
    Action,
    BlockPeer,
    Direction,
    PodPeer,
    Policy,
    PortRange,
    Rule,
    Tier,
)
from kubinet.state import ClusterState
from kubinet.transport import Protocol


def flows(state: ClusterState, node: str = "n1") -> list[Flow]:
    """br-int's flows of category POLICY."""
    program = compiler.programs(state, state.nodes[node])[INTEGRATION_BRIDGE]
    return [flow for flow in program.flows() if flow.category is Category.POLICY]


def texts(found: Iterable[Flow]) -> set[str]:
    return {f"{flow.to_text()} # {flow.owner}" for flow in found}


def rule_flows(state: ClusterState, node: str = "n1") -> set[str]:
    """What policies add."""
    return texts(flows(state, node)) - texts(flows(replace(state, policies={}), node))


def test_flows_grow_with_the_sum_of_pods_peers_and_ports() -> None:
    """20 pods, 30 peers and 10 single ports are 60 matches and few more, not 6,000."""
    pods = [pod("x", f"s{host}", 1, host, role="server") for host in range(2, 22)]
    pods += [pod("y", f"c{host}", 2, host) for host in range(2, 32)]
    ports = tuple(PortRange(Protocol.TCP, port, port) for port in range(1, 20, 2))
    rule = Rule((PodPeer(label("ns", "y")),), ports)
    state = cluster(
        [netpol("p", label("role", "server"), directions=frozenset({Direction.INGRESS}), ingress=[rule])], pods
    )
    found = rule_flows(state)
    clauses = [text for text in found if "conjunction(" in text]
    assert len(clauses) == 20 + 30 + 10
    # One decides for the conjunction; each pod has the way in, its isolation, and its way to itself.
    assert len(found) == 60 + 1 + 3 * 20
    assert rule_flows(state, "n2") == set()


def test_equal_rules_share_one_conjunction() -> None:
    """Two policies of one namespace with the same rule: one conjunction, whose subjects are both policies' pods."""
    rule = Rule((PodPeer(label("ns", "y"), label("pod", "b")),), (PortRange(Protocol.TCP, 80, 80),))
    ingress = frozenset({Direction.INGRESS})
    one = netpol("one", label("pod", "a"), directions=ingress, ingress=[rule])
    other = netpol("other", label("pod", "c"), directions=ingress, ingress=[rule])
    found = flows(cluster([one, other]))
    numbers = {action.id for flow in found for action in flow.actions if isinstance(action, Conjunction)}
    assert len(numbers) == 1
    assert sum("reg1=" in text and "conjunction(" in text for text in texts(found)) == 2
    assert len([flow for flow in found if flow.table == INGRESS_POLICY.number and "conj_id" in flow.to_text()]) == 1


def test_a_changed_label_touches_what_selects_or_names_the_pod() -> None:
    """Of 50 policies, a pod that goes from one set of peers to another changes one flow on each node that asks, and the
    flow that tells the node's policies from those of before."""
    pods = [pod("x", f"p{host}", 1 + host % 2, host, group=str(host % 50)) for host in range(2, 202)]
    everyone = [
        netpol(f"g{group}", label("group", str(group)), directions=frozenset({Direction.INGRESS}),
               ingress=[Rule((PodPeer(None, label("friend", str(group))),), (PortRange(Protocol.TCP, 80, 80),))])
        for group in range(50)
    ]  # fmt: skip
    friends = [pod("x", f"f{host}", 2, host, friend=str(host % 25)) for host in range(202, 252)]
    before = cluster(everyone, [*pods, *friends])
    moved = replace(friends[0], labels={"pod": "f202", "friend": "7"})
    after = replace(before, pods={**before.pods, moved.key: moved})
    compilers = Compiler()
    first = dict(compilers.compile(before))
    second = compilers.compile(after)
    touched = {}
    for name in ("n1", "n2"):
        old, new = first[name], second[name]
        assert not isinstance(old, Exception) and not isinstance(new, Exception)
        changes = differences(old[INTEGRATION_BRIDGE], new[INTEGRATION_BRIDGE])
        touched[name] = [(flow.to_text().split(",conj")[0][:60]) for flow in changes.add + changes.delete]
    # Pods of even groups are on n1, those of odd ones on n2.
    peer = "table=74,priority=200,ip,nw_src=10.244.2.202 actions=conjunc"
    assert {name: [text for text in found if "reg9" not in text] for name, found in touched.items()} == {
        "n1": [peer],
        "n2": [peer],
    }
    assert {name: len(found) for name, found in touched.items()} == {"n1": 2, "n2": 2}


def test_a_policy_without_rules_isolates_and_nothing_else() -> None:
    """Default deny: the way in and the drop, for each direction and pod; its cookie names the policy."""
    found = rule_flows(cluster([netpol("deny", label("pod", "a"))]))
    drops = {text for text in found if text.split(" actions=")[1].startswith("set_field") and "goto_table:88" in text}
    assert {text.split(",")[0] for text in drops} == {"table=44", "table=74"}
    assert all(text.endswith("# NetworkPolicy/x/deny") for text in drops)
    assert not any("conjunction" in text for text in found)


def test_blocks_lose_their_exceptions() -> None:
    """0.0.0.0/0 except 10.0.0.0/8: eight networks, none of which holds an excepted address."""
    block = BlockPeer(IPv4Network("0.0.0.0/0"), (IPv4Network("10.0.0.0/8"),))
    state = cluster([netpol("p", label("pod", "a"), directions=frozenset({Direction.EGRESS}), egress=[Rule((block,))])])
    peers = [text for text in rule_flows(state) if "conjunction(" in text and "nw_dst=" in text]
    networks = [IPv4Network(text.split("nw_dst=")[1].split(" ")[0].split(",")[0]) for text in peers]
    assert len(networks) == 8
    assert not any(network.overlaps(IPv4Network("10.0.0.0/8")) for network in networks)


def test_cluster_wide_rules_have_priorities_of_their_own() -> None:
    """Lower values first, then names, then the order of rules; a place does not depend on other values' policies."""

    def admin(name: str, priority: int, rules: int) -> Policy:
        own = tuple(Rule((PodPeer(EVERYTHING),), None, Action.DENY) for _ in range(rules))
        subject = PodPeer(EVERYTHING)
        ingress = frozenset({Direction.INGRESS})
        return Policy("ClusterNetworkPolicy", name, "", Tier.ADMIN, subject, ingress, own, (), priority)

    some = [admin("a", 0, 3), admin("b", 0, 2), admin("c", 1000, 1)]
    places = first_priorities(some, Tier.ADMIN, Direction.INGRESS)
    assert places == {
        "ClusterNetworkPolicy/a": 65000, "ClusterNetworkPolicy/b": 64997, "ClusterNetworkPolicy/c": 2000,
    }  # fmt: skip
    more = first_priorities([*some, admin("d", 7, 60)], Tier.ADMIN, Direction.INGRESS)
    assert {key: more[key] for key in places} == places
    full = first_priorities([*some, admin("e", 7, 100), admin("f", 7, 1)], Tier.ADMIN, Direction.INGRESS)
    assert list(full.items()) == [
        ("ClusterNetworkPolicy/a", 65000), ("ClusterNetworkPolicy/b", 64997), ("ClusterNetworkPolicy/e", 64995),
        ("ClusterNetworkPolicy/f", 64895), ("ClusterNetworkPolicy/c", 64894),
    ]  # fmt: skip
    assert {flow.table for flow in flows(cluster([some[0]])) if flow.priority == 65000} == {INGRESS_ADMIN.number}


def test_a_policy_moves_to_another_tier() -> None:
    """A Baseline policy that becomes an Admin one has the flows of an Admin one: packets are led to that tier first."""
    rule = Rule((PodPeer(EVERYTHING),), None, Action.DENY)
    ingress = frozenset({Direction.INGRESS})
    baseline, admin = (
        cluster([Policy("ClusterNetworkPolicy", "p", "", tier, PodPeer(EVERYTHING), ingress, (rule,), (), 10)])
        for tier in (Tier.BASELINE, Tier.ADMIN)
    )
    compilers = Compiler()
    compilers.compile(baseline)
    moved = compilers.compile(admin)["n1"]
    assert not isinstance(moved, Exception)
    assert moved[INTEGRATION_BRIDGE].table() == compiler.programs(admin, admin.nodes["n1"])[INTEGRATION_BRIDGE].table()


@pytest.mark.slow
def test_a_long_policy_is_enforced_to_its_last_rule() -> None:
    """5,000 different rules: no flow has more clauses than a message holds, and no rule is missing."""
    rules = [
        Rule(
            (BlockPeer(IPv4Network((0x0A000000 + 256 * index, 24))),), (PortRange(Protocol.TCP, index + 1, index + 1),)
        )
        for index in range(5000)
    ]
    compilers = Compiler()
    state = cluster([netpol("long", label("pod", "a"), directions=frozenset({Direction.EGRESS}), egress=rules)])
    made = compilers.compile(state)["n1"]
    assert not isinstance(made, Exception)
    found = [flow for flow in made[INTEGRATION_BRIDGE].flows() if flow.table == EGRESS_POLICY.number]
    numbers = {a.id for flow in found for a in flow.actions if isinstance(a, Conjunction)}
    assert len(numbers) == 5000
    assert max(len(flow.actions) for flow in found) <= 4000
    assert not compilers.policy_failures


def test_namespaces_of_the_example_have_labels() -> None:
    """The cluster of these tests selects by namespace: without labels half of them would say nothing."""
    assert cluster().namespaces["x"] == {"ns": "x", "kubernetes.io/metadata.name": "x"} == NAMESPACES["x"]
