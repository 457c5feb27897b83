"""Upstream's cases of NetworkPolicy with real packets: all pairs of nine pods on three nodes, TCP, UDP and SCTP.

x, y and z each have pods a (n1), b (n2) and c (n3). The table is the case's own; the oracle is asked, too.
"""

from collections.abc import Iterator

import pytest
from policycases_cyclonus import ACTIONS, CONFLICTS, CYCLONUS, NAMESPACES, RULES, WORLD
from policycases_e2e import E2E
from policycases_netpol import NETPOL
from policylab import PolicyLab, policy_lab
from policyworld import Case

pytestmark = pytest.mark.emulated

SOME = {"end-port", "pathological", "ip-block-no-except", "ip-block-with-except"}
"""Tags of the cases of peers and ports that are worth their time; the flows of all: models/test_policy_cases_flows."""
DETAILS = [case for case in CYCLONUS if SOME & (tags := set(case.upstream.split())) and "multi-peer" not in tags]
CASES = (*ACTIONS, *RULES, *NAMESPACES, *DETAILS, *CONFLICTS, *E2E, *NETPOL)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyLab]:
    with policy_lab(tmp_path_factory.mktemp("state"), WORLD) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_upstream_case_with_packets(lab: PolicyLab, case: Case) -> None:
    """After each step every pair of pods has the connections that the table says, and no others."""
    lab.check(case)
