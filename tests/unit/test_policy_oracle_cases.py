"""Upstream's cases of network policies: the oracle gives the tables that are written there."""

from collections import Counter

import pytest
from policycases import CASES
from policycases_cluster import CLUSTER_CASES
from policyworld import OUTSIDE, Case, probe, state_of

from kubinet.policy import Oracle, Party
from kubinet.state import ClusterState


def party(oracle: Oracle, state: ClusterState, name: str, *, source: bool) -> Party:
    """A pod, `node/NAME` (its own stack, by the address that its packets to pods have) or `outside/host`."""
    if name in state.pods:
        return oracle.party(state.pods[name].address)
    if name == "outside/host":
        return oracle.party(OUTSIDE)
    node = state.nodes[name.removeprefix("node/")]
    return oracle.party(node.pod_gateway if source else node.underlay.ip)


def check(case: Case) -> None:
    """Every cell of every table of a case."""
    for number, (world, step) in enumerate(case.worlds()):
        state = state_of(world)
        oracle = Oracle(state)
        parties = [
            (party(oracle, state, s, source=True), party(oracle, state, d, source=False), (s, d))
            for s, d in case.pairs(world)
        ]
        for text in step.tables:
            found = {pair: oracle.judge(s, d, *probe(text)) for s, d, pair in parties}
            expected = step.denied(text, case.names(world))
            wrong = [
                f"{source} > {destination}: {found[source, destination]}"
                for source, destination in found
                if found[source, destination].allowed is ((source, destination) in expected)
            ]
            assert not wrong, f"step {number}, {text}: " + "\n".join(wrong)


@pytest.mark.parametrize("case", (*CASES, *CLUSTER_CASES), ids=lambda case: case.name)
def test_upstream_case(case: Case) -> None:
    """The table after each step, on every port and protocol; nodes and an outside host are in the cluster-wide ones."""
    check(case)


def test_every_upstream_case_is_here_once() -> None:
    """As many cases of each of Cyclonus' tags as upstream generates; the Netpol list; no two of one name."""
    cyclonus = [case.upstream.removeprefix("Cyclonus: ").split() for case in CASES if case.upstream != "Netpol"]
    assert (len(cyclonus), len(CASES) - len(cyclonus)) == (230, 48)
    assert Counter(tag for tags in cyclonus for tag in set(tags)) == {
        "create-policy": 2,
        "delete-policy": 2,
        "update-policy": 1,
        "create-pod": 1,
        "delete-pod": 1,
        "set-pod-labels": 1,
        "create-namespace": 1,
        "delete-namespace": 1,
        "set-namespace-labels": 1,
        "target-namespace": 3,
        "target-pod-selector": 3,
        "ingress": 105,
        "egress": 103,
        "deny-all": 13,
        "allow-all": 7,
        "any-peer": 2,
        "any-port-protocol": 2,
        "multi-peer": 90,
        "multi-port/protocol": 14,
        "all-pods": 84,
        "pods-by-label": 54,
        "all-namespaces": 58,
        "namespaces-by-label": 54,
        "policy-namespace": 38,
        "namespaces-by-default-label": 2,
        "ip-block-no-except": 20,
        "ip-block-with-except": 20,
        "any-port": 14,
        "numbered-port": 40,
        "named-port": 25,
        "end-port": 12,
        "tcp": 20,
        "udp": 20,
        "sctp": 14,
        "pathological": 6,
        "conflict": 17,
        "example": 1,
        "upstream-e2e": 13,
    }
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


def test_every_conformance_test_of_the_cluster_wide_kinds_is_here() -> None:
    """Upstream's 24 names, each in the kinds of both versions."""
    one_tier = ["EgressInlineCIDRPeers", "EgressNamedPort", "EgressNodePeers", "EgressSCTP", "EgressTCP", "EgressUDP"]
    one_tier += ["Gress", "IngressNamedPort", "IngressSCTP", "IngressTCP", "IngressUDP"]
    names = [f"CNP{tier}Tier{name}" for tier in ("Admin", "Baseline") for name in one_tier]
    assert Counter(case.upstream for case in CLUSTER_CASES) == dict.fromkeys(
        [*names, "CNPAdminTierIntegration", "CNPAdminTierPriorityField"], 2
    )
    assert len({case.name for case in CLUSTER_CASES}) == 48
