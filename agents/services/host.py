"""One thread that follows Services for all nodes: health checks, connections to forget or to count, the baseline."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Any, Final

from agents.events import EventRecorder, Subject
from agents.feed import Feed
from agents.nft.connections import KernelConnections
from agents.nft.proxy import NftProxy
from agents.ovsrpc import Appctl
from agents.services.connection_counter import ConnectionCounter
from agents.services.external_routes import ExternalRoutes
from agents.services.forget import Connections, Forgetter
from agents.services.health import ServiceCheck
from agents.services.health_checks import HealthChecks
from agents.services.ovs_connections import OvsConnections
from kubinet.client import Client
from kubinet.errors import KubinetError
from kubinet.informer import Informer
from kubinet.kubernetes import node_from_object
from kubinet.netns import of_process
from kubinet.pace import pause
from kubinet.serviceobjects import ServiceCache
from kubinet.state import ClusterFacts, NodeFacts, ServiceProxy

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 1.0
Object = Mapping[str, Any]


class ServicesHost:
    """What the agents do for Services outside of OpenFlow. `start` and `stop` once each."""

    def __init__(
        self,
        facts: ClusterFacts,
        client: Client,
        feed: Feed,
        events: EventRecorder,
        controls: Mapping[str, Callable[[], Appctl]],
    ) -> None:
        """`controls` opens a control connection to each node's ovs-vswitchd."""
        self._facts = facts
        self._feed = feed
        self._events = events
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._informers = {
            kind: Informer(client, kind, on_change=self._changed.set) for kind in ("Service", "EndpointSlice", "Node")
        }
        self._cache = ServiceCache()
        self._addresses: dict[str, tuple[Mapping[str, Object], frozenset[IPv4Address]]] = {}
        """Of each node: its pods as they were last, and their addresses."""
        self._versions = SliceVersions()
        self._health = HealthChecks(facts, self._health_failed)
        self._routes = ExternalRoutes(facts)
        self._counter = ConnectionCounter(client, controls)
        self._nft = NftProxy(facts) if facts.network.services is ServiceProxy.NFTABLES else None
        self._realised = self._nft.realised if self._nft is not None else feed.endpoint_generation
        self._forgetter = Forgetter({node.name: self._connections(node, controls[node.name]) for node in facts.nodes})
        self._thread = threading.Thread(target=self._run, name="services", daemon=True)

    def start(self, timeout: float) -> None:
        """Begin, and wait for the first complete lists; DeadlineError after `timeout` seconds."""
        for informer in self._informers.values():
            informer.start()
        for informer in self._informers.values():
            informer.wait_synced(timeout)
        self._feed.listen(self._changed.set)
        self._changed.set()
        self._thread.start()
        self._counter.start()

    def stop(self) -> None:
        """End; the nodes' rules stay."""
        self._stopping.set()
        for informer in self._informers.values():
            informer.stop()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._counter.stop()
        self._health.close()
        self._forgetter.close()
        if self._nft is not None:
            self._nft.close()

    def _connections(self, node: NodeFacts, control: Callable[[], Appctl]) -> Connections:
        if self._nft is not None:
            return KernelConnections(of_process(node.pid), node.underlay.ip)
        return OvsConnections(control, node.underlay.ip)

    def _run(self) -> None:
        wait: float | None = None
        while not self._stopping.is_set():
            self._changed.wait(wait)
            self._changed.clear()
            if self._stopping.is_set():
                return
            began = time.monotonic()
            try:
                wait = self._once()
            except (KubinetError, OSError) as error:
                _LOG.warning("Services on nodes: %s; trying again", error)
                wait = _RETRY_SECONDS
            except Exception:
                _LOG.exception("a defect in the nodes' part of Services; trying again")
                wait = _RETRY_SECONDS
            self._stopping.wait(pause(began))

    def _once(self) -> float | None:
        slices, newest = self._informers["EndpointSlice"].view()
        version = self._versions.see(slices, newest)
        default = self._facts.network.load_balancer
        services = self._cache.services(self._informers["Service"].snapshot(), slices, default)
        nodes = [node for node in map(node_from_object, self._informers["Node"].snapshot().values()) if node]
        self._routes.update(services.values())
        if self._nft is None:  # the kernel's rules choose at random whatever the algorithm
            self._counter.update(services)
        complete = self._nft is None or self._nft.update(services, nodes, version)
        self._health.update(services, nodes, lambda name: self._realised(name) >= version)
        self._forgetter.update(services, self._pods(), version)
        wait = self._forgetter.run(self._realised)
        return wait if complete else min(_RETRY_SECONDS, wait or _RETRY_SECONDS)

    def _pods(self) -> frozenset[IPv4Address]:
        """Addresses of all pods that have one of their own."""
        for node in self._facts.nodes:
            pods = self._feed.pods(node.name)
            if node.name not in self._addresses or self._addresses[node.name][0] is not pods:
                self._addresses[node.name] = pods, _own_addresses(pods)
        return frozenset[IPv4Address]().union(*(addresses for _, addresses in self._addresses.values()))

    def _health_failed(self, node: str, check: ServiceCheck, message: str) -> None:
        obj = self._informers["Service"].snapshot().get(f"{check.namespace}/{check.name}")
        if obj is not None:
            subject = Subject("Service", check.name, obj["metadata"]["uid"], check.namespace)
            self._events.tell(subject, node, "Warning", "FailedToStartServiceHealthcheck", message)


def _own_addresses(pods: Mapping[str, Object]) -> frozenset[IPv4Address]:
    return frozenset(
        IPv4Address(address)
        for pod in pods.values()
        if (address := (pod.get("status") or {}).get("podIP")) and not pod["spec"].get("hostNetwork")
    )


class SliceVersions:
    """The resourceVersion that a node's rules must include to know of all EndpointSlices.

    Not simply the newest that the informer saw: that is also moved by bookmarks and by the list itself, which the
    controller need not have seen as late as we did.
    """

    def __init__(self) -> None:
        self._slices: Mapping[str, Object] = {}
        self._version = 0

    def see(self, slices: Mapping[str, Object], newest: int) -> int:
        """`newest`: what the informer saw last; only a deleted slice, which has no version any more, takes it."""
        changed = [one for key, one in slices.items() if self._slices.get(key) is not one]
        versions = [int(one["metadata"]["resourceVersion"]) for one in changed]
        if any(key not in slices for key in self._slices):
            versions.append(newest)
        self._version = max((self._version, *versions))
        self._slices = slices
        return self._version
