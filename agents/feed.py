"""What the API says, split by node: one informer for all nodes' pods and one for what the controller realised."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from agents.conntrack import Holders
from kubinet.client import Client
from kubinet.informer import Informer

_LOG = logging.getLogger(__name__)
Object = dict[str, Any]


class Feed:
    """Pods and realised generation of each node; wakes only the nodes for which something changed."""

    def __init__(self, client: Client, *, informer: Callable[..., Informer] = Informer) -> None:
        """`informer`: makes one, with the arguments of `Informer`."""
        self._changed = threading.Event()
        self._stopping = False
        self._lock = threading.Condition()
        self._wake: dict[str, Callable[[], None]] = {}
        self._pods: dict[str, dict[str, Object]] = {}
        self._generations: dict[str, int] = {}
        self._endpoint_generations: dict[str, int] = {}
        self._listener: Callable[[], None] | None = None
        self._seen: Mapping[str, Object] = {}
        """The pods by the informer's keys, as they were split last."""
        self._holders = Holders()
        self._departed: dict[str, set[IPv4Address]] = {}
        self._informers = (
            informer(client, "Pod", on_change=self._changed.set),
            informer(client, "Dataplane", on_change=self._changed.set),
        )
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self, timeout: float) -> None:
        """Begin, and wait for the first complete lists; DeadlineError after `timeout` seconds."""
        for informer in self._informers:
            informer.start()
        for informer in self._informers:
            informer.wait_synced(timeout)
        self._split()
        self._thread.start()

    def stop(self) -> None:
        """End the watches."""
        self._stopping = True
        for informer in self._informers:
            informer.stop()
        self._changed.set()

    def subscribe(self, node: str, wake: Callable[[], None]) -> None:
        """Call `wake` (from another thread) when the node's pods or generation, or any pod's address changed."""
        with self._lock:
            self._wake[node] = wake
            self._departed.setdefault(node, set())

    def unsubscribe(self, node: str) -> None:
        """No more calls for this node."""
        with self._lock:
            self._wake.pop(node, None)

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` (from another thread) when anything changed on any node."""
        with self._lock:
            self._listener = wake

    def pods(self, node: str) -> Mapping[str, Object]:
        """The pods bound to the node, by uid; not to be changed."""
        with self._lock:
            return self._pods.get(node, {})

    def generation(self, node: str) -> int:
        """The highest resourceVersion that the node's flows include; 0 before the controller's first word."""
        with self._lock:
            return self._generations.get(node, 0)

    def endpoint_generation(self, node: str) -> int:
        """The highest resourceVersion of EndpointSlices that the node's flows include; 0 before the first word."""
        with self._lock:
            return self._endpoint_generations.get(node, 0)

    def take_departed(self, node: str) -> frozenset[IPv4Address]:
        """Addresses that lost their pod, on whichever node, since the node was first subscribed or last asked this."""
        with self._lock:
            departed, self._departed[node] = self._departed.get(node), set()
            return frozenset(departed or ())

    def wait_realised(self, nodes: Collection[str], timeout: float) -> tuple[str, ...]:
        """Wait until the controller has programmed each of the nodes once; returns those still without flows."""

        def without() -> tuple[str, ...]:
            return tuple(node for node in nodes if node not in self._generations)

        with self._lock:
            self._lock.wait_for(lambda: not without(), timeout)
            return without()

    def _run(self) -> None:
        while not self._stopping:
            self._changed.wait()
            # Cleared first: a change during the split makes one more round, never a lost one.
            self._changed.clear()
            try:
                self._split()
            except Exception:
                _LOG.exception("the API's objects could not be split by node")

    def _split(self) -> None:
        seen = self._informers[0].snapshot()
        pods, addresses = self._moved(seen)
        dataplane = self._informers[1].snapshot().get("cluster") or {}
        realised = (dataplane.get("status") or {}).get("nodes") or {}
        generations = {node: int(entry.get("generation") or 0) for node, entry in realised.items()}
        endpoint_generations = {node: int(entry.get("endpointGeneration") or 0) for node, entry in realised.items()}
        with self._lock:
            changed = pods.keys() | {
                node for node, generation in generations.items() if generation != self._generations.get(node)
            }
            departed = self._holders.change(addresses)
            if departed:
                for waiting in self._departed.values():
                    waiting.update(departed)
                changed |= self._wake.keys()
            self._seen, self._generations = seen, generations
            self._pods |= pods
            news = bool(changed) or endpoint_generations != self._endpoint_generations
            self._endpoint_generations = endpoint_generations
            self._lock.notify_all()
            wakes = [self._wake[node] for node in changed if node in self._wake]
            if news and self._listener is not None:
                wakes.append(self._listener)
        for wake in wakes:
            wake()

    def _moved(self, seen: Mapping[str, Object]) -> tuple[dict[str, dict[str, Object]], dict[str, IPv4Address | None]]:
        """New maps of the nodes whose pods changed, and the addresses of the pods that changed.

        The informer puts a new object in the place of a changed one, so a change costs a look at each pod's identity.
        """
        before = self._seen
        changed = [key for key, pod in seen.items() if before.get(key) is not pod]
        old = [before[key] for key in (*(before.keys() - seen.keys()), *changed) if key in before]
        new = [seen[key] for key in changed]
        nodes = {node for pod in (*old, *new) if (node := pod["spec"].get("nodeName"))}
        pods = {node: dict(self._pods.get(node, {})) for node in nodes}
        addresses: dict[str, IPv4Address | None] = {}
        for pod in old:
            if node := pod["spec"].get("nodeName"):
                uid = pod["metadata"]["uid"]
                del pods[node][uid]
                addresses[uid] = None
        for pod in new:
            if node := pod["spec"].get("nodeName"):
                uid = pod["metadata"]["uid"]
                pods[node][uid] = pod
                addresses[uid] = self._address(uid, pod)
        return pods, addresses

    def _address(self, uid: str, pod: Object) -> IPv4Address | None:
        """The pod's own address; parsed once, because it hardly ever changes."""
        status = pod.get("status") or {}
        text = status.get("podIP")
        if not text or pod["spec"].get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
            return None
        known = self._holders.address(uid)
        if known is not None and str(known) == text:
            return known
        try:
            return IPv4Address(text)
        except AddressValueError:
            return None  # somebody wrote something else: the agent publishes a new one
