"""Services, EndpointSlices and Pods as far as DNS depends on them, and how they are read from the API's objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Port:
    """A named port of a Service or of an EndpointSlice."""

    name: str
    protocol: str
    """TCP, UDP or SCTP."""
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    """What names a Service has."""

    namespace: str
    name: str
    addresses: tuple[IPv4Address, ...] = ()
    """Its ClusterIP; none when it is headless, an ExternalName, or has not got one yet."""
    headless: bool = False
    external_name: str = ""
    ports: tuple[Port, ...] = ()
    publish_not_ready: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a Service."""

    address: IPv4Address
    hostname: str = ""
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Slice:
    """One EndpointSlice of a Service."""

    namespace: str
    name: str
    service: str
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with an address that has not ended."""

    namespace: str
    name: str
    address: IPv4Address


def service_from_object(obj: Object) -> Service:
    """Read a Service."""
    spec = obj["spec"]
    external = spec.get("type") == "ExternalName"
    cluster_ip = spec.get("clusterIP") or ""
    texts = spec.get("clusterIPs") or [cluster_ip]
    return Service(
        namespace=obj["metadata"]["namespace"],
        name=obj["metadata"]["name"],
        addresses=() if external else tuple(found for text in texts if (found := _address(text)) is not None),
        headless=not external and cluster_ip == "None",
        external_name=(spec.get("externalName") or "") if external else "",
        ports=_ports(spec.get("ports")),
        publish_not_ready=bool(spec.get("publishNotReadyAddresses")),
    )


def slice_from_object(obj: Object) -> Slice:
    """Read an EndpointSlice; one of another address type than IPv4 has no endpoints for us.

    A condition `ready` that is not there counts as true, as the API's documentation says.
    """
    metadata = obj["metadata"]
    return Slice(
        namespace=metadata["namespace"],
        name=metadata["name"],
        service=(metadata.get("labels") or {}).get("kubernetes.io/service-name") or "",
        endpoints=tuple(
            Endpoint(
                found, endpoint.get("hostname") or "", (endpoint.get("conditions") or {}).get("ready") is not False
            )
            for endpoint in obj.get("endpoints") or ()
            for text in endpoint.get("addresses") or ()
            if (found := _address(text)) is not None
        ),
        ports=_ports(obj.get("ports")),
    )


def pod_from_object(obj: Object) -> Pod | None:
    """Read a Pod; None when it has no address, has ended or is being deleted."""
    status = obj.get("status") or {}
    address = _address(status.get("podIP") or "")
    ended = status.get("phase") in ("Succeeded", "Failed") or "deletionTimestamp" in obj["metadata"]
    if address is None or ended:
        return None
    return Pod(obj["metadata"]["namespace"], obj["metadata"]["name"], address)


def _ready(endpoint: Object) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False


def _ports(entries: Any) -> tuple[Port, ...]:
    return tuple(
        Port(entry["name"], entry.get("protocol") or "TCP", int(entry["port"]))
        for entry in entries or ()
        if entry.get("name") and entry.get("port")
    )


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None  # `None`, empty, or IPv6, which the cluster has not
