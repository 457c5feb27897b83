"""Service and EndpointSlice objects (the API's JSON) to the values of `kubinet.state`.

`ServiceCache` remembers what it made: an unchanged Service is the very same value again, so that whoever compares does
so by identity, and one changed EndpointSlice costs one Service.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, ip_network
from typing import Any, Final

from kubinet.state import Algorithm, Endpoint, Service, ServicePort
from kubinet.transport import Protocol

Object = Mapping[str, Any]

ALGORITHM: Final = "kubinet.dev/load-balancer"
"""Annotation of a Service: the name of an `Algorithm`."""
WEIGHTS: Final = "kubinet.dev/weights"
"""Annotation of an EndpointSlice: a JSON object of weights by address."""
SERVICE_NAME: Final = "kubernetes.io/service-name"
_IGNORED: Final = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")
"""Labels that tell the service proxy to leave a Service alone."""


def service_key(slice_: Object) -> str | None:
    """`namespace/name` of the Service that an EndpointSlice belongs to."""
    metadata = slice_["metadata"]
    name = (metadata.get("labels") or {}).get(SERVICE_NAME)
    return f"{metadata['namespace']}/{name}" if name else None


def service_from_objects(service: Object, slices: Iterable[Object], default: Algorithm) -> Service | None:
    """The Service as the data plane sees it; None where the data plane has nothing to do."""
    metadata, spec = service["metadata"], service["spec"]
    cluster_ip = _address(spec.get("clusterIP"))
    if spec.get("type") == "ExternalName" or cluster_ip is None:
        return None
    if any(label in (metadata.get("labels") or {}) for label in _IGNORED):
        return None
    known = list(slices)
    kind = spec.get("type", "ClusterIP")
    balanced = kind == "LoadBalancer"
    status = (service.get("status") or {}).get("loadBalancer") or {}
    affinity = None
    if spec.get("sessionAffinity") == "ClientIP":
        affinity = int(((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds", 10800))
    return Service(
        namespace=metadata["namespace"],
        name=metadata["name"],
        cluster_ip=cluster_ip,
        ports=tuple(_port(port, known) for port in spec.get("ports") or ()),
        external_ips=tuple(_addresses(spec.get("externalIPs") or ())),
        load_balancer_ips=tuple(_balanced(status.get("ingress") or ())) if balanced else (),
        source_ranges=tuple(_networks(spec.get("loadBalancerSourceRanges") or ())) if balanced else (),
        affinity_seconds=affinity,
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        external_local=(kind != "ClusterIP" or bool(spec.get("externalIPs")))
        and spec.get("externalTrafficPolicy") == "Local",
        health_check_node_port=spec.get("healthCheckNodePort") or None,
        algorithm=_algorithm(metadata, default),
    )


def _algorithm(metadata: Object, default: Algorithm) -> Algorithm:
    text = (metadata.get("annotations") or {}).get(ALGORITHM)
    try:
        return Algorithm(text) if text else default
    except ValueError:
        return default  # the API refuses such annotations; an object from before that keeps the cluster's default


def _port(port: Object, slices: Iterable[Object]) -> ServicePort:
    protocol = Protocol[port.get("protocol", "TCP")]
    found: dict[tuple[IPv4Address, int], Endpoint] = {}
    for slice_ in slices:
        for number in _numbers(slice_, port.get("name") or "", protocol):
            for endpoint in _endpoints(slice_, number):
                found.setdefault((endpoint.address, endpoint.port), endpoint)
    return ServicePort(
        name=port.get("name") or "",
        protocol=protocol,
        port=port["port"],
        node_port=port.get("nodePort") or None,
        endpoints=tuple(found[key] for key in sorted(found)),
    )


def _numbers(slice_: Object, name: str, protocol: Protocol) -> Iterator[int]:
    for port in slice_.get("ports") or ():
        if (port.get("name") or "") == name and port.get("protocol", "TCP") == protocol.name and port.get("port"):
            yield int(port["port"])


def _endpoints(slice_: Object, port: int) -> Iterator[Endpoint]:
    if slice_.get("addressType", "IPv4") != "IPv4":
        return
    weights = _weights(slice_)
    for entry in slice_.get("endpoints") or ():
        conditions, hints = entry.get("conditions") or {}, entry.get("hints") or {}
        # The API's words: unknown counts as ready; serving follows ready where it is not said.
        ready = conditions.get("ready") is not False
        serving = conditions.get("serving", ready) is not False
        # Upstream's proxies use the first address only; the field's documentation says why.
        for address in _addresses((entry.get("addresses") or ())[:1]):
            yield Endpoint(
                address=address,
                port=port,
                node=entry.get("nodeName") or "",
                ready=ready,
                serving=serving,
                terminating=bool(conditions.get("terminating")),
                zones=frozenset(hint["name"] for hint in hints.get("forZones") or ()),
                nodes=frozenset(hint["name"] for hint in hints.get("forNodes") or ()),
                weight=weights.get(str(address), 1),
            )


def _weights(slice_: Object) -> Mapping[str, int]:
    text = (slice_["metadata"].get("annotations") or {}).get(WEIGHTS)
    if not text:
        return {}
    try:
        read = json.loads(text)
        return {address: max(0, min(1000, int(weight))) for address, weight in read.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}  # whoever wrote the slice by hand finds all endpoints of weight 1


def _addresses(texts: Iterable[str | None]) -> Iterator[IPv4Address]:
    for text in texts:
        address = _address(text)
        if address is not None:
            yield address


def _balanced(ingress: Iterable[Object]) -> Iterator[IPv4Address]:
    """Addresses that nodes serve; the balancer itself has those of ipMode Proxy, and is asked (KEP-1860)."""
    yield from _addresses(point.get("ip") for point in ingress if point.get("ipMode") != "Proxy")


def _networks(texts: Iterable[str]) -> Iterator[IPv4Network]:
    for text in texts:
        network = ip_network(text.strip(), strict=False)  # the API refuses what is none
        if isinstance(network, IPv4Network):
            yield network


def _address(text: str | None) -> IPv4Address | None:
    try:
        return IPv4Address(text or "")
    except AddressValueError:
        return None  # absent, "None", or IPv6, which this data plane does not have


@dataclass(frozen=True, slots=True)
class _Made:
    service: Object
    slices: tuple[Object, ...]
    default: Algorithm
    value: Service | None

    def still(self, service: Object, slices: tuple[Object, ...], default: Algorithm) -> bool:
        """Whether it was made of these very objects."""
        return (
            self.service is service
            and self.default is default
            and len(self.slices) == len(slices)
            and all(mine is theirs for mine, theirs in zip(self.slices, slices, strict=True))
        )


class ServiceCache:
    """The data plane's Services from snapshots of two informers. For one thread."""

    def __init__(self) -> None:
        self._made: dict[str, _Made] = {}
        self._owned: dict[int, tuple[Object, str | None]] = {}

    def services(
        self, services: Mapping[str, Object], slices: Mapping[str, Object], default: Algorithm
    ) -> Mapping[str, Service]:
        """All Services by `namespace/name`; unchanged ones are the same values as before."""
        grouped = self._grouped(slices)
        made: dict[str, _Made] = {}
        for key, obj in services.items():
            own = tuple(grouped.get(key, ()))
            known = self._made.get(key)
            if known is None or not known.still(obj, own, default):
                value = service_from_objects(obj, own, default)
                # Objects change, and a new list has all of them anew, more often than what the data plane needs.
                same = known is not None and known.value == value
                known = _Made(obj, own, default, known.value if known is not None and same else value)
            made[key] = known
        self._made = made
        return {key: one.value for key, one in made.items() if one.value is not None}

    def _grouped(self, slices: Mapping[str, Object]) -> Mapping[str, list[Object]]:
        owned: dict[int, tuple[Object, str | None]] = {}
        grouped: dict[str, list[Object]] = {}
        for slice_ in slices.values():
            known = self._owned.get(id(slice_))
            if known is None or known[0] is not slice_:
                known = (slice_, service_key(slice_))
            owned[id(slice_)] = known
            if known[1] is not None:
                grouped.setdefault(known[1], []).append(slice_)
        self._owned = owned
        return grouped
