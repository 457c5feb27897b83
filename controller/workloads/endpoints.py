"""What a pod is to a Service: an endpoint with an address, conditions and ports, or nothing. Pure.

Rules: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/ and KEP-1672 (terminating endpoints).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from controller.api.servicefields import headless
from controller.api.status import Object
from controller.api.validation.addresses import parsed, special

WEIGHT: Final = "kubinet.dev/weight"
"""Annotation of a pod: its share of a Service's connections, 0 to 1000; 1 without it."""
MAX_WEIGHT: Final = 1000
_ENDED: Final = ("Succeeded", "Failed")
_ZONE_HINTS: Final = ("PreferClose", "PreferSameZone", "PreferSameNode")


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What Services need to know of a pod: two versions with equal facts are the same to them."""

    namespace: str
    name: str
    uid: str
    labels: tuple[tuple[str, str], ...]
    address: str
    """Empty: none yet, or the pod has ended."""
    node: str
    hostname: str
    subdomain: str
    ready: bool
    terminating: bool
    ports: tuple[tuple[str, str, int], ...]
    """Named container ports: name, protocol, number."""
    weight: str | None
    """The annotation as it was written."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a slice: the number on which its endpoints listen."""

    name: str
    protocol: str
    number: int
    app_protocol: str = ""


PortSet: TypeAlias = tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a slice."""

    address: str
    ready: bool
    serving: bool | None = None
    terminating: bool | None = None
    node: str = ""
    zone: str = ""
    hostname: str = ""
    target: tuple[tuple[str, str], ...] = ()
    """The fields of its targetRef, sorted."""
    hint_zone: str = ""
    hint_node: str = ""
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """An endpoint and the ports of the slices that it may be in."""

    ports: PortSet
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service with its target: a number, or the name of a container's port."""

    name: str
    protocol: str
    target: int | str
    app_protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What of a Service decides about its slices."""

    namespace: str
    name: str
    uid: str
    selector: tuple[tuple[str, str], ...]
    ports: tuple[ServicePort, ...]
    labels: tuple[tuple[str, str], ...]
    headless: bool
    publish_unready: bool
    distribution: str

    def selects(self, pod: PodFacts) -> bool:
        """Whether the selector matches the pod's labels."""
        return pod.namespace == self.namespace and all(pair in pod.labels for pair in self.selector)


@lru_cache(maxsize=65536)
def _usable(text: str) -> str:
    """An IPv4 address that an endpoint may have, else nothing: a status is what somebody wrote."""
    address = parsed(text)
    return text if address is not None and address.version == 4 and not special("", text) else ""


def pod_facts(pod: Object) -> PodFacts:
    """The facts of a pod object."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    addresses = status.get("podIPs") or ()
    address = _usable(status.get("podIP") or (addresses[0].get("ip") if addresses else "") or "")
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in status.get("conditions") or ())
    return PodFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        labels=tuple(sorted((metadata.get("labels") or {}).items())),
        address="" if status.get("phase") in _ENDED else address,
        node=spec.get("nodeName") or "",
        hostname=spec.get("hostname") or "",
        subdomain=spec.get("subdomain") or "",
        ready=ready,
        terminating="deletionTimestamp" in metadata,
        ports=_named_ports(spec),
        weight=(metadata.get("annotations") or {}).get(WEIGHT),
    )


def _named_ports(spec: Object) -> tuple[tuple[str, str, int], ...]:
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return tuple(
        (port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in [*(spec.get("containers") or ()), *sidecars]
        for port in container.get("ports") or ()
        if port.get("name")
    )


def service_facts(service: Object) -> ServiceFacts | None:
    """The facts of a Service that selects pods; None for one that does not."""
    metadata, spec = service["metadata"], service["spec"]
    if not spec.get("selector") or spec.get("type") == "ExternalName":
        return None
    return ServiceFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        selector=tuple(sorted(spec["selector"].items())),
        ports=tuple(
            ServicePort(
                port.get("name") or "",
                port["protocol"],
                port.get("targetPort") or port["port"],
                port.get("appProtocol") or "",
                port["port"],
            )
            for port in spec.get("ports") or ()
        ),
        labels=tuple(sorted((metadata.get("labels") or {}).items())),
        headless=headless(spec),
        publish_unready=bool(spec.get("publishNotReadyAddresses")),
        distribution=spec.get("trafficDistribution") or "",
    )


def weight(text: str | None) -> int | None:
    """A weight annotation's value; None without one. Raises ValueError when it is no integer from 0 to 1000."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= MAX_WEIGHT):
        raise ValueError(f"annotation {WEIGHT} {text[:40]!r} is no integer from 0 to {MAX_WEIGHT}: the pod counts as 1")
    return int(text)


def place(service: ServiceFacts, pod: PodFacts, zones: Mapping[str, str]) -> Placed | None:
    """The pod as an endpoint of a Service that selects it; None when it has ended or has no address.

    `zones`: zone by node name.
    """
    if not pod.address:
        return None
    ready = service.publish_unready or (pod.ready and not pod.terminating)
    zone = zones.get(pod.node, "")
    hinted = ready and service.distribution in _ZONE_HINTS
    try:
        own_weight = weight(pod.weight)
    except ValueError:
        own_weight = None
    return Placed(
        ports_of(service, pod),
        Endpoint(
            address=pod.address,
            ready=ready,
            serving=pod.ready,
            terminating=pod.terminating,
            node=pod.node,
            zone=zone,
            hostname=pod.hostname if pod.hostname and pod.subdomain == service.name else "",
            target=(("kind", "Pod"), ("name", pod.name), ("namespace", pod.namespace), ("uid", pod.uid)),
            hint_zone=zone if hinted else "",
            hint_node=pod.node if hinted and service.distribution == "PreferSameNode" else "",
            weight=own_weight,
        ),
    )


def ports_of(service: ServiceFacts, pod: PodFacts) -> PortSet:
    """The Service's ports with the numbers that they have in this pod; names that it does not have are left out."""
    found = []
    for port in service.ports:
        number = port.target if isinstance(port.target, int) else _named(pod, port)
        if number:
            found.append(Port(port.name, port.protocol, number, port.app_protocol))
    return tuple(found)


def _named(pod: PodFacts, port: ServicePort) -> int:
    numbers = (number for name, protocol, number in pod.ports if (name, protocol) == (port.target, port.protocol))
    return next(numbers, 0)
