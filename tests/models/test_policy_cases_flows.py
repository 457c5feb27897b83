"""Upstream's cases of network policies: the flows of all nodes do what the tables say that are written there."""

import pytest
from policycases import CASES
from policycases_cluster import CLUSTER_CASES
from policymodel import Packet, egress, ingress, models_of
from policyworld import Case, probe, state_of
from test_policy_oracle_cases import party

from kubinet.policy import Oracle, Party
from kubinet.transport import Protocol


def _packet(source: Party, to: Party, protocol: Protocol | None, port: int) -> Packet:
    return Packet.of(int(source.address), int(to.address), 1 if protocol is None else protocol, port)


@pytest.mark.parametrize("case", (*CASES, *CLUSTER_CASES), ids=lambda case: case.name)
def test_upstream_case_in_flows(case: Case) -> None:
    """Every cell of the table after each step, on TCP, UDP and SCTP: out of the source's node and into the other's."""
    for number, (world, step) in enumerate(case.worlds()):
        state = state_of(world)
        oracle, models = Oracle(state), models_of(state)
        for text in step.tables:
            protocol, port = probe(text)
            denied = step.denied(text, case.names(world))
            for pair in case.pairs(world):
                source, to = (
                    party(oracle, state, name, source=first) for name, first in zip(pair, (True, False), strict=True)
                )
                passes = all(
                    (
                        source.pod is None or egress(state, models, source, _packet(source, to, protocol, port)),
                        to.pod is None or ingress(state, models, to, _packet(source, to, protocol, port), source),
                    )
                )
                assert passes is (pair not in denied), f"step {number}, {text}: {pair[0]} > {pair[1]}"
