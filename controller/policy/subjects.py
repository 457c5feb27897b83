"""A node's own pods that policies select: the way into the policies' tables, and isolation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from controller.features.common import BridgeFlow, Maker, pod_owner
from controller.openflow.actions import load
from controller.openflow.fields import IN_PORT, IP, IPV4_SRC
from controller.openflow.flow import Category
from controller.pipeline import (
    CT_HAIRPIN,
    DESTINATION,
    EGRESS_BASELINE,
    EGRESS_ENTRY,
    EGRESS_POLICY,
    EGRESS_RULE,
    INGRESS_BASELINE,
    INGRESS_ENTRY,
    INGRESS_POLICY,
    INGRESS_RULE,
    OUTPUT_PORT,
    POLICY_DENY,
    SENDER,
    SOURCE,
    Place,
    Priority,
    goto,
)
from controller.policy.contexts import owner_of
from controller.policy.rules import TABLE_OF
from controller.program import Layer, Part, PartKey, parts_by_bridge
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.policies import Direction, Tier
from kubinet.state import Node, Pod

_TIERS: Final = tuple(Tier)


@dataclass(slots=True, eq=False)
class Subjects:
    """Which policies select which of a node's pods. `layer` brings the flows up to the changes since."""

    node: Node
    stack_sends_for_pods: bool
    """The node's kernel translates Services: what pods send comes back through the gateway port."""
    number: Callable[[str], int]
    _selecting: dict[tuple[Direction, str], dict[str, Tier]] = field(default_factory=dict)
    _pods: dict[str, Pod] = field(default_factory=dict)
    _parts: dict[PartKey, Part] = field(default_factory=dict)
    _dirty: set[tuple[Direction, str]] = field(default_factory=set)

    def add(self, policy: str, tier: Tier, direction: Direction, pod: Pod) -> None:
        """A policy is about a pod."""
        self._selecting.setdefault((direction, pod.key), {})[policy] = tier
        self._pods[pod.key] = pod
        self._dirty.add((direction, pod.key))

    def remove(self, policy: str, direction: Direction, pod: Pod) -> None:
        """It is so no more."""
        selecting = self._selecting[direction, pod.key]
        del selecting[policy]
        self._dirty.add((direction, pod.key))

    def layer(self, before: Layer) -> Layer:
        """The flows; `before` itself when nothing changed."""
        if not self._dirty:
            return before
        parts = dict(self._parts)
        for key in self._dirty:
            selecting = self._selecting.get(key)
            if selecting:
                flows = self._flows(key[0], self._pods[key[1]], selecting)
                parts[key] = parts_by_bridge(flows)[INTEGRATION_BRIDGE]
            else:
                self._selecting.pop(key, None)
                parts.pop(key, None)
        for gone in {name for _, name in self._dirty} - {name for _, name in self._selecting}:
            del self._pods[gone]
        self._parts = parts
        self._dirty.clear()
        return Layer(parts)

    def _flows(self, direction: Direction, pod: Pod, selecting: dict[str, Tier]) -> Iterator[BridgeFlow]:
        first = min(selecting.values(), key=_TIERS.index)
        make = Maker(pod_owner(pod), Category.POLICY)
        port, tables = pod.port(self.node), goto(TABLE_OF[direction, first])
        if direction is Direction.EGRESS:
            known = load(SENDER, port)
            yield make(EGRESS_ENTRY, Priority.NORMAL, (IP, IN_PORT(port)), known, tables)
            if self.stack_sends_for_pods:
                sent = (IP, SOURCE(Place.GATEWAY), IPV4_SRC(pod.address))
                yield make(EGRESS_ENTRY, Priority.NORMAL, sent, known, tables)
        else:
            arrived = (IP, DESTINATION(Place.POD), OUTPUT_PORT(port))
            yield make(INGRESS_ENTRY, Priority.NORMAL, arrived, tables)
        isolating = sorted(policy for policy, tier in selecting.items() if tier is Tier.NAMESPACE)
        if isolating:
            yield from self._isolation(direction, port, isolating)

    def _isolation(self, direction: Direction, port: int, isolating: list[str]) -> Iterator[BridgeFlow]:
        egress = direction is Direction.EGRESS
        table = EGRESS_POLICY if egress else INGRESS_POLICY
        subject = (SENDER if egress else OUTPUT_PORT)(port)
        onward = goto(EGRESS_BASELINE if egress else INGRESS_BASELINE)
        make = Maker(owner_of(isolating[0]), Category.POLICY)
        number = load(EGRESS_RULE if egress else INGRESS_RULE, self.number(isolation_text(direction, isolating)))
        # A pod reaches itself through its Service, whatever NetworkPolicies say; the Baseline tier is asked even so.
        yield make(table, Priority.OVERRIDE, (IP, CT_HAIRPIN(1), subject), onward)
        yield make(table, Priority.GUARD, (IP, subject), number, goto(POLICY_DENY))


def isolation_text(direction: Direction, policies: list[str]) -> str:
    """What stands for a set of policies that isolate a pod together."""
    return f"isolation|{direction}|{','.join(policies)}"
