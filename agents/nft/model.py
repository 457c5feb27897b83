"""A node's ruleset as values: what belongs to one Service, and how one becomes another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TABLE: Final = "ip kubinet"
"""Family and name of the one table."""

# Maps and sets that all Services share.
SERVICES: Final = "services"
NODE_PORTS: Final = "node-ports"
REFUSED: Final = "refused"
REFUSED_NODE_PORTS: Final = "refused-node-ports"
CLUSTER_IPS: Final = "cluster-ips"
EXTERNAL: Final = "external-addresses"
HAIRPIN: Final = "hairpin"

Elements = Mapping[str, str]
"""Values by key, in nft's words; of a set the values are empty."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A map or set of a Service's own."""

    kind: str
    """`map` or `set`."""
    definition: str
    """What stands between its braces."""
    elements: Elements = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One Service's part of the ruleset."""

    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rules by chain, in nft's words."""
    collections: Mapping[str, Collection] = field(default_factory=dict)
    shared: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Elements of the shared maps and sets: (name, key) and value."""
    slots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The chains of endpoints by the name of the map that numbers them: the next version keeps their numbers."""


EMPTY: Final = Fragment()
