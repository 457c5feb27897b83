"""The cluster-wide policies (policy.networking.k8s.io): their CRDs' bounds, what those leave open, what has no effect.

Upstream's schemas take selectors, protocols and port ranges that nothing can match. They are refused here: what is
accepted is enforced, or answered with a warning.
"""

from collections.abc import Iterator
from typing import Final

from controller.api import crds
from controller.api.status import Cause, Object
from controller.api.validation.blocks import block_warnings
from controller.api.validation.causes import forbidden, invalid, not_supported
from controller.api.validation.names import label_selector
from controller.api.validation.structural import fill, violations
from kubinet.cidrs import strict_cidr

_ALLOWING: Final = ("Accept", "Allow")
_DIRECTIONS: Final = (("ingress", "from"), ("egress", "to"))
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")


def _definition(obj: Object) -> str:
    return crds.custom_definitions()[obj["kind"]].definition


def cluster_policy_defaults(obj: Object) -> None:
    """The schema's defaults: protocols of ports."""
    fill(_definition(obj), obj)


def cluster_policy(new: Object, old: Object | None) -> list[Cause]:  # noqa: ARG001 - one signature for all kinds
    """The schema's bounds and rules; then selectors, protocols, port ranges and domain names."""
    found = violations(_definition(new), new)
    if found:
        return found
    found = _pods("spec.subject", new["spec"]["subject"])
    for where, rule, peers in _all_rules(new["spec"]):
        for index, peer in enumerate(rule[peers]):
            found += _pods(f"{where}.{peers}[{index}]", peer)
            if "domainNames" in peer and rule["action"] not in _ALLOWING:
                why = "is only supported for rules that accept: names are not resolved, and this rule would do nothing"
                found.append(forbidden(f"{where}.{peers}[{index}].domainNames", why))
        for index, port in enumerate(rule.get("ports") or ()):
            found += _port(f"{where}.ports[{index}]", port)
    return found


def cluster_policy_status(new: Object) -> list[Cause]:
    """The schema's bounds of the status."""
    return [cause for cause in violations(_definition(new), new) if cause.field.startswith("status")]


def cluster_policy_warnings(obj: Object) -> list[str]:
    """What in an accepted version matches nothing, or something else than it seems to."""
    spec = obj["spec"]
    rules = list(_all_rules(spec))
    found = [] if rules else ["spec has no rules: this policy has no effect"]
    for where, rule, peers in rules:
        for index, peer in enumerate(rule[peers]):
            field = f"{where}.{peers}[{index}]"
            if "domainNames" in peer:
                found.append(
                    f"{field}.domainNames is not enforced: names are not resolved here, and the whole rule matches "
                    "nothing; name addresses in networks"
                )
            for position, text in enumerate(peer.get("networks") or ()):
                found += block_warnings(f"{field}.networks[{position}]", text, strict_cidr(text))
    return found


def _all_rules(spec: Object) -> Iterator[tuple[str, Object, str]]:
    for direction, peers in _DIRECTIONS:
        for index, rule in enumerate(spec.get(direction) or ()):
            yield f"spec.{direction}[{index}]", rule, peers


def _pods(field: str, peer: Object) -> list[Cause]:
    found: list[Cause] = []
    for key in ("namespaces", "nodes"):
        found += label_selector(f"{field}.{key}", peer.get(key))
    pods = peer.get("pods") or {}
    for key in ("namespaceSelector", "podSelector"):
        found += label_selector(f"{field}.pods.{key}", pods.get(key))
    return found


def _port(field: str, port: Object) -> list[Cause]:
    found: list[Cause] = []
    for key in ("portNumber", "portRange"):
        protocol = port.get(key, {}).get("protocol", "TCP")
        if protocol not in _PROTOCOLS:
            found.append(not_supported(f"{field}.{key}.protocol", protocol, _PROTOCOLS))
    chosen = port.get("portRange")
    if chosen and chosen["start"] > chosen["end"]:
        found.append(invalid(f"{field}.portRange.end", chosen["end"], "must be greater than or equal to `start`"))
    return found
