"""Upstream's conformance cases of the cluster-wide policies with real packets, in the kinds of both versions.

Namespaces red, green, gold and blue each have pods 0 (n1) and 1 (n2); the nodes and the host outside are destinations,
the nodes sources, too. The tables are the cases' own; the oracle is asked, too.
"""

from collections.abc import Iterator

import pytest
from policycases_cluster import CLUSTER_CASES, WORLD
from policylab import PolicyLab, policy_lab
from policyworld import Case

pytestmark = pytest.mark.emulated


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyLab]:
    with policy_lab(tmp_path_factory.mktemp("state"), WORLD) as made:
        yield made


@pytest.mark.parametrize("case", CLUSTER_CASES, ids=lambda case: case.name)
def test_conformance_case_with_packets(lab: PolicyLab, case: Case) -> None:
    """After each step every pair has the connections that the table says, and no others."""
    lab.check(case)
