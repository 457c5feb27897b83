"""Upstream's cases of NetworkPolicy with real packets: all pairs of nine pods on three nodes, TCP, UDP and SCTP.

x, y and z each have pods a (n1), b (n2) and c (n3). The table is the case's own; the oracle is asked, too.
"""

from collections.abc import Iterator

import pytest
from policycases import PACKET_CASES
from policycases_cyclonus import WORLD
from policylab import PolicyLab, policy_lab
from policyworld import Case

pytestmark = pytest.mark.emulated


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyLab]:
    with policy_lab(tmp_path_factory.mktemp("state"), WORLD) as made:
        yield made


@pytest.mark.parametrize("case", PACKET_CASES, ids=lambda case: case.name)
def test_upstream_case_with_packets(lab: PolicyLab, case: Case) -> None:
    """After each step every pair of pods has the connections that the table says, and no others."""
    lab.check(case)
