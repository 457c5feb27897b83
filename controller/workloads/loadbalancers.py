"""Addresses of Services of type LoadBalancer, from `spec.network.loadBalancerCIDR`, written to their status."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final, Literal

from controller.api.objects import Objects
from controller.api.registry import SERVICE, TOPOLOGY
from controller.api.status import Object, StatusError
from controller.api.store import Change, Key
from controller.api.validation.addresses import parsed
from controller.workloads import ranges
from controller.workloads.allocation import network_config, service_key
from controller.workloads.events import record
from controller.workloads.loop import Loop

COMPONENT: Final = "service-controller"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a Service: an address, or why there is none."""

    address: str = ""
    reason: str = ""
    message: str = ""
    left_alone: bool = False
    """Another implementation's: its status is not touched."""


def held_address(service: Object) -> IPv4Address | None:
    """The address in a Service's status."""
    if service["spec"].get("type") != "LoadBalancer":
        return None
    points = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    address = parsed(points[0].get("ip")) if points else None
    return address if isinstance(address, IPv4Address) else None


def decide(service: Object, pool: ranges.Pool, network: IPv4Network) -> Verdict:
    """The address that a Service keeps or gets."""
    spec, key = service["spec"], service_key(service)
    if spec.get("loadBalancerClass"):
        text = f"loadBalancerClass is {spec['loadBalancerClass']!r}: its address is left to that implementation"
        return Verdict(reason="LoadBalancerClass", message=text, left_alone=True)
    wanted = spec.get("loadBalancerIP") or ""
    held = held_address(service)
    if wanted:
        asked = parsed(wanted)
        if not isinstance(asked, IPv4Address) or int(asked) not in pool.numbers:
            why = f"spec.loadBalancerIP {wanted} is not in the cluster's loadBalancerCIDR {network}"
        elif (other := pool.holder(int(asked), key)) is not None:
            why = f"spec.loadBalancerIP {wanted} is already allocated to Service {other}"
        else:
            return Verdict(str(asked))
        return Verdict(reason="SyncLoadBalancerFailed", message=f"{why}; the Service stays pending")
    if held is not None and int(held) in pool.numbers and pool.holder(int(held), key) is None:
        return Verdict(str(held))
    number = pool.choose()
    if number is None:
        why = f"the cluster's loadBalancerCIDR {network} has no free address; the Service stays pending"
        return Verdict(reason="SyncLoadBalancerFailed", message=why)
    return Verdict(ranges.address_text(number))


class LoadBalancers:
    """Gives addresses as Services come, and to those that wait when one is released. Lives on the API's event loop."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._store = objects.store
        self._dirty: dict[Key, None] = {}
        self._waiting: dict[Key, None] = {}
        self._told: dict[Key, tuple[str, str]] = {}
        """Per Service: its uid and the message of its last event."""
        self._fill()
        self._stops = (
            self._store.listen(SERVICE.key, self._changed),
            self._store.listen(TOPOLOGY.key, self._network_changed),
        )
        self._loop = Loop(self._store, (), self.run, name="load balancer addresses")
        self._loop.wake()

    def _fill(self) -> None:
        self._network = network_config(self._store).load_balancer_cidr
        self._pool = ranges.hosts(self._network)
        for stored in self._store.select(SERVICE.key):
            self._note(stored.object)
            self._hold(stored.object)

    def _network_changed(self, _change: Change) -> None:
        if network_config(self._store).load_balancer_cidr != self._network:
            self._fill()
            self._loop.wake()

    def _note(self, service: Object) -> None:
        if service["spec"].get("type") == "LoadBalancer":
            self._dirty[(service["metadata"]["namespace"], service["metadata"]["name"])] = None

    def _hold(self, service: Object) -> None:
        address = held_address(service)
        if address is not None:
            self._pool.hold(int(address), service_key(service))

    def _changed(self, change: Change) -> None:
        old = None if change.old is None else held_address(change.old.object)
        new = None if change.type == "DELETED" else held_address(change.new.object)
        if old is not None and old != new:
            self._pool.release(int(old), "/".join(change.key))
            self._dirty |= self._waiting
            self._waiting = {}
        if change.type == "DELETED":
            for known in (self._dirty, self._waiting, self._told):
                known.pop(change.key, None)
        else:
            self._hold(change.new.object)
            self._note(change.new.object)
        if self._dirty:
            self._loop.wake()

    def run(self) -> None:
        """Decide about every Service that changed, or that waits and may get an address now."""
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            try:
                self._reconcile(key)
            except StatusError:
                self._dirty[key] = None
                raise

    def _reconcile(self, key: Key) -> None:
        self._waiting.pop(key, None)
        stored = self._store.get(SERVICE.key, *key)
        if stored is None or stored.object["spec"].get("type") != "LoadBalancer":
            return
        verdict = decide(stored.object, self._pool, self._network)
        if verdict.message:
            self._waiting[key] = None
            self._tell(key, stored.object, verdict)
        if not verdict.left_alone:
            self._write(key, verdict)

    def _write(self, key: Key, verdict: Verdict) -> None:
        stored = self._store.get(SERVICE.key, *key)
        assert stored is not None
        ingress = [{"ip": verdict.address, "ipMode": "VIP"}] if verdict.address else []
        balancer = (stored.object.get("status") or {}).get("loadBalancer") or {}
        if (balancer.get("ingress") or []) == ingress:
            return
        new = stored.copy()
        new.setdefault("status", {})["loadBalancer"] = {"ingress": ingress} if ingress else {}
        self._objects.update(SERVICE, stored, new, subresource="status")
        if verdict.address:
            self._told.pop(key, None)
            message = f"Ensured load balancer: {verdict.address}"
            record(self._objects, new, "EnsuredLoadBalancer", message, component=COMPONENT, kind="Normal")

    def _tell(self, key: Key, service: Object, verdict: Verdict) -> None:
        told = (service["metadata"]["uid"], verdict.message)
        if self._told.get(key) == told:
            return
        self._told[key] = told
        level: Literal["Normal", "Warning"] = "Normal" if verdict.left_alone else "Warning"
        record(self._objects, service, verdict.reason, verdict.message, component=COMPONENT, kind=level)

    def close(self) -> None:
        """Listen no more."""
        for stop in self._stops:
            stop()
        self._loop.close()
