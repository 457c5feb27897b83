"""Slices as EndpointSlice objects, and back: reading what was written gives the same slice. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from controller.api.status import Object
from controller.workloads.endpoints import Endpoint, Port, PortSet
from controller.workloads.slicing import Slice

SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS: Final = "service.kubernetes.io/headless"
WEIGHTS: Final = "kubinet.dev/weights"
"""Annotation of a slice: a JSON object, weight by address, of the endpoints that have one."""

Id = TypeVar("Id")


@dataclass(frozen=True, slots=True)
class Header:
    """What all slices of one Service have in common."""

    labels: tuple[tuple[str, str], ...]
    owner_kind: str
    owner_name: str
    owner_uid: str


def slice_labels(
    given: tuple[tuple[str, str], ...], service: str, managed_by: str, *, headless: bool = False
) -> tuple[tuple[str, str], ...]:
    """The owner's labels with those that are the controller's."""
    labels = {key: value for key, value in given if key not in (SERVICE_NAME, MANAGED_BY, HEADLESS)}
    labels |= {SERVICE_NAME: service, MANAGED_BY: managed_by} | ({HEADLESS: ""} if headless else {})
    return tuple(sorted(labels.items()))


def slice_object(name: str, header: Header, entry: Slice[Any], old: Object | None) -> Object:
    """The EndpointSlice; `old`'s identity and other annotations are kept."""
    metadata: Object = dict(old["metadata"]) if old is not None else {"name": name}
    metadata["labels"] = dict(header.labels)
    owner = {"apiVersion": "v1", "kind": header.owner_kind, "name": header.owner_name, "uid": header.owner_uid}
    metadata["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    weights = {point.address: point.weight for point in entry.endpoints.values() if point.weight is not None}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != WEIGHTS}
    if weights:
        annotations[WEIGHTS] = json.dumps(weights, sort_keys=True, separators=(",", ":"))
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [_endpoint_object(point) for point in entry.endpoints.values()],
        "ports": [_port_object(port) for port in entry.ports],
    }


def _port_object(port: Port) -> Object:
    more = {"appProtocol": port.app_protocol} if port.app_protocol else {}
    return {"name": port.name, "port": port.number, "protocol": port.protocol, **more}


def _endpoint_object(point: Endpoint) -> Object:
    conditions = {"ready": point.ready, "serving": point.serving, "terminating": point.terminating}
    made: Object = {
        "addresses": [point.address],
        "conditions": {key: value for key, value in conditions.items() if value is not None},
    }
    for key, value in (("hostname", point.hostname), ("nodeName", point.node), ("zone", point.zone)):
        if value:
            made[key] = value
    if point.target:
        made["targetRef"] = dict(point.target)
    hints = {"forZones": point.hint_zone, "forNodes": point.hint_node}
    if point.hint_zone or point.hint_node:
        made["hints"] = {key: [{"name": name}] for key, name in hints.items() if name}
    return made


def read_slice(obj: Object, identify: Callable[[PortSet, Endpoint], Id]) -> Slice[Id]:
    """A slice from its object; what somebody else wrote into it is read as far as it can be."""
    weights = _weights(obj)
    ports = tuple(
        Port(
            port.get("name") or "", port.get("protocol") or "TCP", port.get("port") or 0, port.get("appProtocol") or ""
        )
        for port in obj.get("ports") or ()
    )
    points = [_read_endpoint(point, weights) for point in obj.get("endpoints") or ()]
    return Slice(ports, {identify(ports, point): point for point in points})


def _read_endpoint(point: Object, weights: Mapping[str, Any]) -> Endpoint:
    conditions, hints = point.get("conditions") or {}, point.get("hints") or {}
    address = (point.get("addresses") or [""])[0]
    own = weights.get(address)
    return Endpoint(
        address=address,
        ready=bool(conditions.get("ready")),
        serving=conditions.get("serving"),
        terminating=conditions.get("terminating"),
        node=point.get("nodeName") or "",
        zone=point.get("zone") or "",
        hostname=point.get("hostname") or "",
        target=tuple(sorted((point.get("targetRef") or {}).items())),
        hint_zone=_first(hints.get("forZones")),
        hint_node=_first(hints.get("forNodes")),
        weight=own if isinstance(own, int) else None,
    )


def _first(hints: list[Object] | None) -> str:
    return str(hints[0].get("name") or "") if hints else ""


def _weights(obj: Object) -> Mapping[str, Any]:
    text = (obj["metadata"].get("annotations") or {}).get(WEIGHTS)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def pod_name(_ports: PortSet, point: Endpoint) -> str:
    """What tells a selected pod's endpoints apart."""
    return dict(point.target).get("name") or point.address


def address_and_ports(ports: PortSet, point: Endpoint) -> tuple[PortSet, str]:
    """What tells mirrored endpoints apart: one address may be in several subsets."""
    return (ports, point.address)
