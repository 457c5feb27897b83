"""What all kinds of policy objects have in common: selectors, address blocks, and words for what is not understood."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, ip_network
from typing import Any, Final

from kubinet.policies import EVERYTHING, BlockPeer, Direction, Operator, Requirement, Selector
from kubinet.transport import Protocol

Object = Mapping[str, Any]

LISTS: Final = {Direction.INGRESS: ("ingress", "from"), Direction.EGRESS: ("egress", "to")}
"""The fields with the rules of a direction, and with a rule's peers."""
PROTOCOLS: Final = {protocol.name: protocol for protocol in Protocol}
_NOTHING: Final = Requirement("", Operator.IN)
"""No labels satisfy it."""


class Problems:
    """What a reader did not understand, with the path of the field."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, path: str, why: str) -> None:
        """One more."""
        self.found.append(f"{path}: {why}")

    def take(self, others: "Problems", consequence: str) -> None:
        """Another reader's problems, and what becomes of the object because of them."""
        self.found += [f"{problem}; {consequence}" for problem in others.found]


def selector(document: Object | None, path: str, problems: Problems) -> Selector:
    """Equal ones are equal values, however they are written; absent and empty ones select everything."""
    document = document or {}
    labels = document.get("matchLabels") or {}
    requirements = {Requirement(key, Operator.IN, frozenset({value})) for key, value in labels.items()}
    for index, one in enumerate(document.get("matchExpressions") or ()):
        try:
            requirements.add(Requirement(one["key"], Operator(one["operator"]), frozenset(one.get("values") or ())))
        except ValueError:
            requirements.add(_NOTHING)
            problems.add(f"{path}.matchExpressions[{index}].operator", f"unknown operator {one['operator']}")
    if not requirements:
        return EVERYTHING
    return Selector(tuple(sorted(requirements, key=lambda one: (one.key, one.operator, sorted(one.values)))))


def blocks(cidrs: Iterable[str], exceptions: Iterable[str], path: str, problems: Problems) -> tuple[BlockPeer, ...]:
    """The blocks of IPv4; those of IPv6 are left out, as nobody in a cluster without it has such an address."""
    try:
        without = {ip_network(text, strict=False) for text in exceptions}
        networks = [ip_network(text, strict=False) for text in cidrs]
    except ValueError as error:
        problems.add(path, str(error))
        return ()
    own = tuple(sorted(network for network in without if isinstance(network, IPv4Network)))
    return tuple(BlockPeer(network, own) for network in networks if isinstance(network, IPv4Network))
