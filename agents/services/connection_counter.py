"""Counts open Service connections on all nodes, once a second while an algorithm needs them, and publishes the sums.

While no Service has the algorithm `least-connections` the thread sleeps and nothing is asked or written.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from agents.ovsrpc import Appctl
from agents.services.open_connections import Endpoint, Levels, count_open, counted_endpoints, rounded, smoothed, summed
from kubinet.addressing import MAIN_ZONE
from kubinet.client import Client
from kubinet.connectioncounts import API_VERSION, KIND, NAME, Counts, counts_from_object, counts_to_wire
from kubinet.errors import ApiError, KubinetError
from kubinet.state import Service

_LOG = logging.getLogger(__name__)
PERIOD_SECONDS: Final = 1.0
LARGEST_SHARE: Final = 0.05
"""Counting never takes more than this share of the time: with very many connections it is done less often."""


def pause(spent: float) -> float:
    """Seconds to wait after a count that took `spent` seconds."""
    return max(PERIOD_SECONDS - spent, spent * (1 / LARGEST_SHARE - 1), 0.0)


class ConnectionCounter:
    """One thread for all nodes. `start` and `stop` once each."""

    def __init__(self, client: Client, controls: Mapping[str, Callable[[], Appctl]]) -> None:
        """`controls` opens a control connection to each node's ovs-vswitchd."""
        self._client = client.clone()
        self._controls = controls
        self._wanted: frozenset[Endpoint] = frozenset()
        self._levels: Levels = {}
        self._published: Counts | None = None
        """What the object says; None before it was read."""
        self._silent: set[str] = set()
        self._needed = threading.Event()
        self._needed.set()  # what an earlier process left behind is looked at once
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="count-connections", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is published stays."""
        self._stopping.set()
        self._needed.set()
        if self._thread.is_alive():
            self._thread.join()

    def update(self, services: Mapping[str, Service]) -> None:
        """The Services as they are now."""
        self._wanted = counted_endpoints(services)
        if self._wanted:
            self._needed.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._needed.wait()
            self._needed.clear()
            began = time.monotonic()
            try:
                self.count()
            except Exception as error:
                known = isinstance(error, KubinetError)
                _LOG.warning("open connections cannot be published: %s; trying again", error, exc_info=not known)
                self._needed.set()
            if self._wanted:
                self._needed.set()
            self._stopping.wait(pause(time.monotonic() - began))

    def count(self) -> None:
        """Count now, and publish what is new. KubinetError when that is not possible."""
        wanted = self._wanted
        counted = summed((self._node(name) for name in self._controls), wanted) if wanted else {}
        known = {endpoint: level for endpoint, level in self._levels.items() if endpoint in wanted}
        self._levels = smoothed(known, counted)
        counts = rounded(self._levels)
        if self._published is None:
            self._published = self._read()
        if counts != self._published:
            self._write(counts)
            self._published = counts

    def _node(self, name: str) -> Counter[tuple[str, str]]:
        """One node's connections; none while its switch is down, which has forgotten them."""
        try:
            with self._controls[name]() as appctl:
                counted = count_open(appctl("dpctl/dump-conntrack", f"zone={MAIN_ZONE}"))
        except KubinetError as error:
            if name not in self._silent:
                _LOG.warning("node %s: its connections cannot be counted: %s", name, error)
                self._silent.add(name)
            return Counter()
        self._silent.discard(name)
        return counted

    def _read(self) -> Counts:
        try:
            return counts_from_object(self._client.get(KIND, NAME))
        except ApiError as error:
            if error.status != 404:
                raise
            return {}

    def _write(self, counts: Counts) -> None:
        patch = [{"op": "add", "path": "/status", "value": {"endpoints": counts_to_wire(counts)}}]
        try:
            self._client.patch(KIND, NAME, patch, type="json", subresource="status")
        except ApiError as error:
            if error.status != 404:
                raise
            obj = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": NAME}}
            self._client.create({**obj, "status": patch[0]["value"]})
