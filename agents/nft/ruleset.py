"""A node's ruleset as it follows the Services: pure, commands for nft come out."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from agents.nft.base import base
from agents.nft.compile import fragment
from agents.nft.model import EMPTY, Fragment
from agents.nft.shared import SharedElements
from agents.nft.text import Commands, change, whole
from kubinet.services import Front
from kubinet.state import NetworkConfig, Node, Service

_NOTHING: Final[Mapping[str, frozenset[Front]]] = MappingProxyType({})


class Ruleset:
    """What was last said to a node's nft, to say next time only what changed."""

    def __init__(self, node: Node, network: NetworkConfig) -> None:
        self.node = node
        self._network = network
        self._services: Mapping[str, Service] = {}
        self._lost = _NOTHING
        self._fragments: dict[str, Fragment] = {}
        self._shared = SharedElements()
        self._loaded = False

    def update(self, services: Mapping[str, Service], lost: Mapping[str, frozenset[Front]] = _NOTHING) -> Commands:
        """The commands that bring the node to these Services; empty where nothing changes.

        `lost`: what Services claim and other Services have (`kubinet.services.lost_fronts`).
        Unchanged Services are the same values as before (`kubinet.serviceobjects.ServiceCache`).
        """
        changes: list[tuple[str, Fragment, Fragment]] = []
        for key in self._services.keys() - services.keys():
            changes.append((key, self._fragments.pop(key), EMPTY))
        for key, service in services.items():
            gone = lost.get(key, frozenset())
            if self._services.get(key) is service and self._lost.get(key, frozenset()) == gone:
                continue
            old = self._fragments.get(key, EMPTY)
            new = fragment(service, self.node, self._network, old, gone)
            changes.append((key, old, new))
            self._fragments[key] = new
        self._services, self._lost = services, lost
        shared = self._shared.change(changes)
        if not self._loaded:
            self._loaded = True
            return whole(base(self.node, self._network), self._fragments.values(), self._shared.all())
        return change(((old, new) for _, old, new in changes), shared)

    def reload(self) -> Commands:
        """Everything once more: nobody knows what the kernel has."""
        return whole(base(self.node, self._network), self._fragments.values(), self._shared.all())
