"""Upstream's conformance cases of the cluster-wide policies with real packets, in the kinds of both versions.

Namespaces red, green, gold and blue each have pods 0 (n1) and 1 (n2); the nodes and the host outside are destinations,
the nodes sources, too. The tables are the cases' own; the oracle is asked, too.
"""

import contextlib
from collections.abc import Iterator

import pytest
from logtrouble import trouble_in_logs
from policycases_cluster import CLUSTER_CASES, WORLD
from policylab import PolicyLab
from policyworld import Case

from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyLab]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with Cluster("star", nodes=3, settings={"network.dnsReplicas": 0}) as cluster:
            with contextlib.closing(PolicyLab(cluster, WORLD)) as made:
                yield made
            assert list(trouble_in_logs(cluster.info.state_dir / "logs")) == []


@pytest.mark.parametrize("case", CLUSTER_CASES, ids=lambda case: case.name)
def test_conformance_case_with_packets(lab: PolicyLab, case: Case) -> None:
    """After each step every pair has the connections that the table says, and no others."""
    lab.check(case)
