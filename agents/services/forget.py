"""Has every node forget connections to endpoints that went away, as soon as the node's rules know of it.

Not before: the client's next packet would make the same connection again.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Protocol

from agents.services.stale import Known, Stale, step
from kubinet.errors import KubinetError
from kubinet.state import Service

_LOG = logging.getLogger(__name__)
PATIENCE_SECONDS: Final = 10.0
"""How long to wait for a node's rules; a controller that is down must not keep dead connections alive."""
_RETRY_SECONDS: Final = 1.0
_AT_ONCE: Final = 16


class Connections(Protocol):
    """A node's table of tracked connections."""

    def forget(self, stale: frozenset[Stale], pods: frozenset[IPv4Address]) -> None:
        """Remove these; KubinetError or OSError where it cannot be done now."""

    def sweep(self, known: Known) -> None:
        """Remove every UDP connection that leads where it should not."""


@dataclass(frozen=True, slots=True)
class _Work:
    version: int
    since: float
    stale: frozenset[Stale]
    pods: frozenset[IPv4Address]


class Forgetter:
    """`update` and `run` are for one thread. What happened while it did not run is found by a sweep of each node."""

    def __init__(self, nodes: Mapping[str, Connections], clock: Callable[[], float] = time.monotonic) -> None:
        self._nodes = nodes
        self._clock = clock
        self._known: Known = {}
        self._begun = False
        self._services: Mapping[str, Service] = {}
        self._pods: frozenset[IPv4Address] = frozenset()
        self._served: set[IPv4Address] = set()
        self._gone: set[IPv4Address] = set()
        self._waiting: dict[str, list[_Work]] = {name: [] for name in nodes}
        self._unswept = dict.fromkeys(nodes, _Work(1, clock(), frozenset(), frozenset()))
        self._retry: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="forget")

    def update(self, services: Mapping[str, Service], pods: frozenset[IPv4Address], version: int) -> None:
        """Services and pods' addresses as they are now; `version`: what a node's rules must include to know of it."""
        self._known, stale = step(self._known, self._services, services)
        if not self._begun:
            self._begun, stale = True, frozenset()  # the sweep of every node finds all that
        for key, service in services.items():
            if self._services.get(key) is not service:
                self._served.update(one.address for port in service.ports for one in port.endpoints)
        self._services = services
        self._gone = (self._gone | (self._pods - pods)) - pods
        self._gone &= self._served
        self._pods = pods
        forgotten = self._without_endpoints()
        self._gone -= forgotten
        self._served -= forgotten
        if stale or forgotten:
            work = _Work(version, self._clock(), stale, forgotten)
            for waiting in self._waiting.values():
                waiting.append(work)

    def _without_endpoints(self) -> frozenset[IPv4Address]:
        """Deleted pods that no Service leads to any more."""
        if not self._gone:
            return frozenset()
        current = {
            one.address for service in self._services.values() for port in service.ports for one in port.endpoints
        }
        return frozenset(self._gone - current)

    def run(self, realised: Callable[[str], int]) -> float | None:
        """Do what can be done; returns after how many seconds to come again at the latest (None: on news)."""
        now = self._clock()
        later: list[float] = []
        busy: list[str] = []
        for name in self._nodes:
            if self._retry.get(name, 0.0) > now:
                later.append(self._retry[name] - now)
            elif self._waiting[name] or name in self._unswept:
                busy.append(name)
        # At once, because each node waits for its own datapath to settle.
        for waits in self._pool.map(lambda name: self._run(name, self._nodes[name], realised(name), now), busy):
            later += waits
        return min(later, default=None)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _run(self, name: str, connections: Connections, version: int, now: float) -> list[float]:
        def due(work: _Work) -> bool:
            return work.version <= version or now - work.since >= PATIENCE_SECONDS

        waiting = self._waiting[name]
        ready = [work for work in waiting if due(work)]
        self._waiting[name] = [work for work in waiting if not due(work)]
        sweep = self._unswept.get(name)
        try:
            if sweep is not None and due(sweep):
                if self._known:
                    connections.sweep(self._known)
                del self._unswept[name]
            stale = frozenset[Stale]().union(*(work.stale for work in ready))
            pods = frozenset[IPv4Address]().union(*(work.pods for work in ready))
            if stale or pods:
                connections.forget(stale, pods)
        except (KubinetError, OSError) as error:
            _LOG.warning("node %s: connections to endpoints that went away stay for now: %s", name, error)
            self._waiting[name] = [*ready, *self._waiting[name]]
            self._unswept.setdefault(name, _Work(1, now, frozenset(), frozenset()))
            self._retry[name] = now + _RETRY_SECONDS
            return [_RETRY_SECONDS]
        left = [*self._waiting[name], *([self._unswept[name]] if name in self._unswept else [])]
        return [max(0.0, work.since + PATIENCE_SECONDS - now) for work in left]
