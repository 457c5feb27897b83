"""A policy's rules in the form in which they are compiled: free of the policy's namespace, so that equal rules of
different policies are the same form and share one conjunction."""

from typing import Final, NamedTuple, TypeAlias

from controller.pipeline import (
    EGRESS_ADMIN,
    EGRESS_BASELINE,
    EGRESS_POLICY,
    INGRESS_ADMIN,
    INGRESS_BASELINE,
    INGRESS_POLICY,
    Priority,
    Table,
)
from controller.policy.ports import PortTerm, port_terms
from controller.policy.selection import Scope
from kubinet.policies import (
    Action,
    BlockPeer,
    Direction,
    NamedPort,
    NodePeer,
    PodPeer,
    Policy,
    PortMatch,
    PortRange,
    Selector,
    Tier,
)
from kubinet.state import Pod

TABLE_OF: Final[dict[tuple[Direction, Tier], Table]] = {
    (Direction.EGRESS, Tier.ADMIN): EGRESS_ADMIN,
    (Direction.EGRESS, Tier.NAMESPACE): EGRESS_POLICY,
    (Direction.EGRESS, Tier.BASELINE): EGRESS_BASELINE,
    (Direction.INGRESS, Tier.ADMIN): INGRESS_ADMIN,
    (Direction.INGRESS, Tier.NAMESPACE): INGRESS_POLICY,
    (Direction.INGRESS, Tier.BASELINE): INGRESS_BASELINE,
}
_RULES_OF_A_LANE: Final = 3_000
"""A flow holds at most 4,090 conjunctions (64 KiB in a message, 16 bytes each): rules of a longer policy lie in lanes,
one priority below the other."""

Ports: TypeAlias = frozenset[PortTerm] | None
"""Ports as flows match them; None: everything."""


class Form(NamedTuple):
    """One rule as it is compiled; equal forms are one conjunction for each set of resolved ports."""

    direction: Direction
    tier: Tier
    priority: int
    action: Action
    scopes: frozenset[Scope] | None
    """Pods among the peers; None: every address is a peer."""
    nodes: frozenset[Selector]
    blocks: frozenset[BlockPeer]
    ports: frozenset[PortMatch] | None

    @property
    def table(self) -> Table:
        """Where its flows are."""
        return TABLE_OF[self.direction, self.tier]


def form_of(policy: Policy, direction: Direction, index: int, first_priority: int) -> Form:
    """The form of a policy's rule; `first_priority`: of its policy's first rule, in the cluster-wide tiers."""
    rule = policy.rules(direction)[index]
    own = policy.tier is Tier.NAMESPACE
    peers = rule.peers
    if own:
        lane = 0 if peers is None and rule.ports is None else index // _RULES_OF_A_LANE
        priority = Priority.NORMAL - lane
    else:
        priority = first_priority - index
    return Form(
        direction=direction,
        tier=policy.tier,
        priority=priority,
        action=rule.action,
        scopes=None
        if peers is None
        else frozenset(Scope.of(p, policy.namespace) for p in peers if isinstance(p, PodPeer)),
        nodes=frozenset(peer.nodes for peer in peers or () if isinstance(peer, NodePeer)),
        blocks=frozenset(peer for peer in peers or () if isinstance(peer, BlockPeer)),
        ports=None if rule.ports is None else frozenset(rule.ports),
    )


def ports_at(ports: frozenset[PortMatch] | None, destination: Pod | None) -> Ports:
    """A rule's ports as they are at a destination; None as the destination: an address without named ports."""
    if ports is None:
        return None
    ranges = [port for port in ports if isinstance(port, PortRange)]
    for named in ports:
        if isinstance(named, NamedPort) and destination is not None:
            ranges += [
                PortRange(port.protocol, port.number, port.number)
                for port in destination.named_ports
                if port.name == named.name and named.protocol in (None, port.protocol)
            ]
    return port_terms(ranges)


def names_ports(form: Form) -> bool:
    """Whether the form's ports depend on the destination."""
    return any(isinstance(port, NamedPort) for port in form.ports or ())
