"""Watches how far the nodes' flows are behind the API while something is measured."""

import threading
import time
from types import TracebackType
from typing import Final, Self

from experiments.validity.control import PlaneState
from kubinet.cluster import Cluster
from kubinet.errors import KubinetError

_PERIOD_S: Final = 1.0


class PlaneWatch:
    """A context manager: a thread that asks the API once a second what is wanted and what is realised."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster.clone()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="plane-watch", daemon=True)
        self.states: list[PlaneState] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._cluster.client.close()

    def _watch(self) -> None:
        while not self._stop.wait(_PERIOD_S):
            try:
                self.states.append(self._look())
            except (KubinetError, OSError, ValueError):
                continue  # an API that does not answer is the timeline's doing; what waits is seen afterwards

    def _look(self) -> PlaneState:
        now = time.monotonic()
        wanted = self._cluster.last_changes()
        status = self._cluster.client.get("Dataplane", "cluster").get("status") or {}
        nodes = status.get("nodes") or {}
        realised = {name: {field: entry.get(field, 0) for field in wanted} for name, entry in nodes.items()}
        return PlaneState(now, wanted, realised)
