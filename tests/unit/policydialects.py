"""Cluster-wide policies written once and spelled in both versions of the API.

An action is `accept`, `deny` or `pass`; a port is `80/TCP`, `80-8080/TCP` or a port's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from policywriting import Document

Rule = tuple[str, Sequence[Document], Sequence[str] | None]
"""Action, peers, ports."""


@dataclass(frozen=True)
class Dialect:
    """How one kind spells a policy of a tier."""

    kind: str
    version: str
    tier: str

    def policy(
        self,
        name: str,
        subject: Document,
        *,
        priority: int = 10,
        ingress: Sequence[Rule] | None = None,
        egress: Sequence[Rule] | None = None,
    ) -> Document:
        """A wire object; the baseline of v1alpha1 has no priority, and its only name is `default`."""
        spec: Document = {"subject": subject}
        if self.kind == "ClusterNetworkPolicy":
            spec["tier"] = self.tier
        if self.kind != "BaselineAdminNetworkPolicy":
            spec["priority"] = priority
        for direction, side, rules in (("ingress", "from", ingress), ("egress", "to", egress)):
            if rules is not None:
                spec[direction] = [self._rule(side, *rule) for rule in rules]
        return {
            "apiVersion": f"policy.networking.k8s.io/{self.version}",
            "kind": self.kind,
            "metadata": {"name": "default" if self.kind == "BaselineAdminNetworkPolicy" else name},
            "spec": spec,
        }

    def _rule(self, side: str, action: str, peers: Sequence[Document], ports: Sequence[str] | None) -> Document:
        new = self.kind == "ClusterNetworkPolicy"
        word = {"accept": "Accept" if new else "Allow"}.get(action, action.capitalize())
        rule: Document = {"action": word, side: list(peers)}
        if ports is not None:
            rule["protocols" if new else "ports"] = [(_protocol if new else _port)(one) for one in ports]
        return rule


def _port(text: str) -> Document:
    number, _, protocol = text.partition("/")
    first, _, last = number.partition("-")
    if not protocol:
        return {"namedPort": text}
    if last:
        return {"portRange": {"protocol": protocol, "start": int(first), "end": int(last)}}
    return {"portNumber": {"protocol": protocol, "port": int(first)}}


def _protocol(text: str) -> Document:
    number, _, protocol = text.partition("/")
    first, _, last = number.partition("-")
    if not protocol:
        return {"destinationNamedPort": text}
    port: dict[str, Any] = {"range": {"start": int(first), "end": int(last)}} if last else {"number": int(first)}
    return {protocol.lower(): {"destinationPort": port}}


ADMIN = (Dialect("ClusterNetworkPolicy", "v1alpha2", "Admin"), Dialect("AdminNetworkPolicy", "v1alpha1", "Admin"))
BASELINE = (
    Dialect("ClusterNetworkPolicy", "v1alpha2", "Baseline"),
    Dialect("BaselineAdminNetworkPolicy", "v1alpha1", "Baseline"),
)
