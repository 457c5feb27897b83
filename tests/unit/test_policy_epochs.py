"""The number of a node's policy flows: it tells them from all others, so that no cached decision outlives a change."""

from dataclasses import replace

from policyclusters import cluster, netpol

from controller.compile import Compiler
from controller.pipeline import CONNTRACK
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.policies import Rule
from kubinet.state import ClusterState


def tracking(state: ClusterState, node: str = "n1", compilers: Compiler | None = None) -> list[str]:
    """The flows of table Conntrack, strongest first."""
    made = (compilers or Compiler()).compile(state)[node]
    assert not isinstance(made, Exception)
    found = [flow for flow in made[INTEGRATION_BRIDGE].flows() if flow.table == CONNTRACK.number]
    return [flow.to_text() for flow in sorted(found, key=lambda flow: -flow.priority) if flow.priority]


def test_a_node_without_policies_has_no_epoch() -> None:
    """Packets go to connection tracking as they are; also after the last policy is gone."""
    compilers = Compiler()
    without = tracking(cluster(), compilers=compilers)
    assert len(without) == 1
    assert "reg9" not in without[0]
    with_policy = tracking(cluster([netpol("deny")]), compilers=compilers)
    assert len(with_policy) == 2
    assert "reg9" in with_policy[0]
    assert with_policy[1] == without[0]
    assert tracking(cluster(), compilers=compilers) == without


def test_the_epoch_is_another_one_when_a_rule_changes() -> None:
    """A policy that allows becomes one that denies, and back; what led to a set of flows does not count."""
    deny, allow = cluster([netpol("p")]), cluster([netpol("p", ingress=[Rule()], egress=[Rule()])])
    compilers = Compiler()
    first, second, third = (tracking(state, compilers=compilers)[0] for state in (deny, allow, deny))
    assert first != second
    assert first == third == tracking(deny)[0]


def test_the_epoch_stays_while_flows_stay() -> None:
    """A policy for pods of another namespace that has none on this node changes nothing."""
    before = cluster([netpol("p")])
    after = replace(before, policies={**before.policies, **cluster([netpol("q", namespace="elsewhere")]).policies})
    assert tracking(before) == tracking(after)


def test_it_tracks_as_the_flow_below_does() -> None:
    """But for the number, the actions are those of a node without policies."""
    strong, weak = tracking(cluster([netpol("p")]))
    actions = strong.partition("actions=")[2].partition(",")[2]
    assert actions == weak.partition("actions=")[2]
