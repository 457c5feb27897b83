"""A node's ruleset as it follows the Services: pure, commands for nft come out."""

from collections.abc import Mapping
from dataclasses import replace
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
        self._node = _seen(node)
        self._network = network
        self._services: Mapping[str, Service] = {}
        self._lost = _NOTHING
        self._fragments: dict[str, Fragment] = {}
        self._shared = SharedElements()
        self._loaded = False
        self._moved = False

    def move(self, node: Node) -> None:
        """The node as it is now; the next `update` says what differs, which is the whole table for another address."""
        now = _seen(node)
        if now.underlay.ip != self._node.underlay.ip:
            self._loaded = False
        self._moved = self._moved or now != self._node
        self._node = now

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
            same = self._services.get(key) is service and self._lost.get(key, frozenset()) == gone
            if same and not self._moved:
                continue
            old = self._fragments.get(key, EMPTY)
            new = fragment(service, self._node, self._network, old, gone)
            changes.append((key, old, new))
            self._fragments[key] = new
        self._services, self._lost, self._moved = services, lost, False
        shared = self._shared.change(changes)
        if not self._loaded:
            self._loaded = True
            return self.reload()
        return change(((old, new) for _, old, new in changes), shared)

    def reload(self) -> Commands:
        """Everything once more: nobody knows what the kernel has."""
        return whole(base(self._node, self._network), self._fragments.values(), self._shared.all())


def _seen(node: Node) -> Node:
    """The node without what no rule depends on, and what may change without any of its rules."""
    return replace(node, underlay_mac="", gateway=None, gateway_mac=None, labels={})
