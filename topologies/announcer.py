"""Keeps the underlay's routes to Services' external addresses: a thread of the underlay service that watches the API.

The underlay service starts before the API is up, and the API may be restarted at any time: informers wait and list
again. What was applied is remembered here, so that only differences reach the kernel; a route that the kernel refuses
is tried again with the next change.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from kubinet.client import Client
from kubinet.errors import KubinetError
from kubinet.informer import Informer
from kubinet.kubernetes import node_from_object
from kubinet.netlink import Netlink, add_announced, delete_announced
from kubinet.netns import netlink, of_process
from kubinet.pace import pause
from kubinet.serviceobjects import ServiceCache
from kubinet.state import Node
from topologies.announce import NOTHING, Change, Hops, Tables, announcers, changes, repeats, tables
from topologies.build import Underlay
from topologies.model import Role
from topologies.plan import make_ways

_LOG = logging.getLogger(__name__)
_IFF_UP: Final = 1
_EXCLUDED: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
"""Kubernetes' well-known label of nodes that announce nothing."""


class Announcer:
    """Routes of routers and outside hosts to the nodes that serve LoadBalancer addresses and externalIPs."""

    def __init__(self, underlay: Underlay, client: Client) -> None:
        self._network = underlay.topology.network
        self._plan = underlay.plan
        self._ways = make_ways(underlay.topology)
        self._pids = {
            vertex.name: underlay.pid(vertex.name)
            for role in (Role.ROUTER, Role.OUTSIDE)
            for vertex in underlay.topology.of(role)
        }
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._stale: set[str] = set()
        self._applied: Tables = NOTHING
        self._cache = ServiceCache()
        self._services = Informer(client, "Service", on_change=self._changed.set)
        self._nodes = Informer(client, "Node", on_change=self._changed.set)
        self._slices = Informer(client, "EndpointSlice", on_change=self._changed.set)
        self._slices_wanted = False
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._services.start()
        self._nodes.start()
        self._thread.start()

    def refresh(self, vertices: Iterable[str]) -> None:
        """An interface of these vertices went down or up: the kernel may have dropped routes with it."""
        with self._lock:
            self._stale.update(vertices)
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            began = time.monotonic()
            try:
                self._once()
            except KubinetError as error:
                _LOG.warning("announcing: %s", error)
            except Exception:
                _LOG.exception("a defect in the announcer; the next change of a Service tries again")
            time.sleep(pause(began))

    def _once(self) -> None:
        objects = self._services.snapshot()
        wanted = self._services.synced and self._nodes.synced and self._slices_known(objects.values())
        if not wanted:
            return  # what an incomplete list says would withdraw routes
        services = self._cache.services(objects, self._slices.snapshot(), self._network.load_balancer)
        announced = announcers(services.values(), speakers(self._nodes.snapshot().values()), self._network)
        target = tables(announced, self._ways, self._pids)
        with self._lock:
            stale, self._stale = self._stale, set()
        self._applied = self._apply([*changes(self._applied, target), *repeats(target, stale)], target)

    def _slices_known(self, services: Iterable[Mapping[str, Any]]) -> bool:
        """Endpoints matter to `externalTrafficPolicy: Local` only; without such Services nobody watches them."""
        if not self._slices_wanted:
            if not any((service.get("spec") or {}).get("externalTrafficPolicy") == "Local" for service in services):
                return True
            self._slices_wanted = True
            self._slices.start()
        return self._slices.synced

    def _apply(self, wanted: Iterable[Change], target: Tables) -> Tables:
        """Carry out the differences; returns what is in force: a refused route counts as not there."""
        by_vertex: dict[str, list[Change]] = {}
        for change in wanted:
            by_vertex.setdefault(change.vertex, []).append(change)
        result = dict(target)
        for vertex, own in by_vertex.items():
            try:
                refused = self._send(vertex, own)
            except OSError as error:
                _LOG.warning("%s: routes of Services: %s", vertex, error)
                refused = own
            table: dict[Any, Hops] = dict(target.get(vertex, {}))
            for change in refused:
                table.pop(change.address, None)
            result[vertex] = table
        return result

    def _send(self, vertex: str, wanted: list[Change]) -> list[Change]:
        path = of_process(self._pids[vertex])
        with netlink(path) as connection:
            up = {link.get_attr("IFLA_IFNAME") for link in connection.get_links() if link["flags"] & _IFF_UP}
        requests = []
        for one in wanted:
            hops = self._plan.reachable(vertex, one.hops, up)
            requests.append(add_announced(one.address, hops) if hops else delete_announced(one.address))
        with Netlink(path) as channel:
            refused = channel.try_all(requests)
        for request, number in refused:
            _LOG.warning("%s: %s: errno %d", vertex, request.about, number)
        names = {id(request) for request, _ in refused}
        return [change for request, change in zip(requests, wanted, strict=True) if id(request) in names]


def speakers(objects: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The nodes that may announce: registered, not excluded by label, and not known to be broken (Ready is False)."""
    found = []
    for obj in objects:
        node = node_from_object(obj)
        excluded = _EXCLUDED in (obj["metadata"].get("labels") or {})
        conditions = (obj.get("status") or {}).get("conditions") or ()
        broken = any(one["type"] == "Ready" and one["status"] == "False" for one in conditions)
        if node is not None and not excluded and not broken:
            found.append(node)
    return found
