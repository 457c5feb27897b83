"""The rules that the served CRDs state in CEL (`x-kubernetes-validations`), as functions: no CEL is interpreted here.

Source: the documents in `controller/api/data/crds.json.gz`. A rule without a function here is an error when its kind is
first checked, so that none is overlooked.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kubinet.cidrs import strict_cidr

Rule = Callable[[Any], bool]


def _rising(value: Any) -> bool:
    return bool(value["start"] < value["end"])


def _named_default(value: Any) -> bool:
    return bool(value["metadata"].get("name") == "default")


def _is_cidr(value: Any) -> bool:
    try:
        strict_cidr(value)
    except ValueError:
        return False
    return True


def _no_names_for(ports: str, name: str, peers: tuple[str, ...]) -> Rule:
    """Whether a rule leaves out port names where it has peers without named ports."""

    def check(value: Any) -> bool:
        nameless = any(field in peer for peer in value["to"] for field in peers)
        return not (nameless and any(name in port for port in value.get(ports) or ()))

    return check


_ADMIN_PEERS: Final = ("networks", "nodes", "domainNames")
RULES: Final[Mapping[str, Rule]] = {
    "self.start < self.end": _rising,
    "self.metadata.name == 'default'": _named_default,
    "isCIDR(self)": _is_cidr,
    "!(self.to.exists(peer, has(peer.networks) || has(peer.nodes) || has(peer.domainNames)) && has(self.protocols) && "
    "self.protocols.exists(protocol, has(protocol.destinationNamedPort)))": _no_names_for(
        "protocols", "destinationNamedPort", _ADMIN_PEERS
    ),
    "!(self.to.exists(peer, has(peer.networks) || has(peer.nodes) || has(peer.domainNames)) && has(self.ports) && "
    "self.ports.exists(port, has(port.namedPort)))": _no_names_for("ports", "namedPort", _ADMIN_PEERS),
    "!(self.to.exists(peer, has(peer.networks) || has(peer.nodes)) && has(self.ports) && "
    "self.ports.exists(port, has(port.namedPort)))": _no_names_for("ports", "namedPort", ("networks", "nodes")),
}
"""By their text. A rule is asked about values that fit their schema only."""
