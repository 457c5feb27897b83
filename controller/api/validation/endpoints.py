"""EndpointSlice (discovery.k8s.io/v1) and Endpoints (v1)."""

import json
from collections.abc import Sequence

from controller.api.status import Cause, Object
from controller.api.validation.addresses import parsed, special
from controller.api.validation.causes import (
    duplicate,
    invalid,
    not_supported,
    port_number,
    required,
)
from controller.api.validation.names import label, qualified_name, subdomain
from kubinet.serviceobjects import WEIGHTS

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("FQDN", "IPv4", "IPv6")
_MAX_ENDPOINTS, _MAX_PORTS, _MAX_ADDRESSES = 1000, 20_000, 100


def endpoint_slice(new: Object, old: Object | None) -> list[Cause]:
    """Address type (stays), addresses, ports."""
    kind = new.get("addressType") or ""
    found: list[Cause] = []
    if not kind:
        found.append(required("addressType"))
    elif kind not in _TYPES:
        found.append(not_supported("addressType", kind, _TYPES))
    if old is not None and kind != old.get("addressType"):
        found.append(invalid("addressType", kind, "field is immutable"))
    ports = new.get("ports") or ()
    found += _too_many("ports", len(ports), _MAX_PORTS)
    found += _slice_ports(ports)
    points = new.get("endpoints") or ()
    found += _too_many("endpoints", len(points), _MAX_ENDPOINTS)
    for index, point in enumerate(points):
        found += _endpoint(f"endpoints[{index}]", point, kind)
    return found


def _too_many(field: str, count: int, limit: int) -> list[Cause]:
    if count <= limit:
        return []
    return [Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", field)]


def _slice_ports(ports: Sequence[Object]) -> list[Cause]:
    found: list[Cause] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        where, name = f"ports[{index}]", port.get("name") or ""
        if name and (why := label(name)):
            found.append(invalid(f"{where}.name", name, why))
        if name in names:
            found.append(duplicate(f"{where}.name", name))
        names.add(name)
        if port.get("protocol") not in _PROTOCOLS:
            found.append(not_supported(f"{where}.protocol", port.get("protocol"), _PROTOCOLS))
        if port.get("port") is not None:
            found += port_number(f"{where}.port", port["port"])
        if port.get("appProtocol") and (why := qualified_name(port["appProtocol"])):
            found.append(invalid(f"{where}.appProtocol", port["appProtocol"], why))
    return found


def _endpoint(where: str, point: Object, kind: str) -> list[Cause]:
    found: list[Cause] = []
    addresses = point.get("addresses") or ()
    if not addresses:
        found.append(required(f"{where}.addresses", "must contain at least 1 address"))
    found += _too_many(f"{where}.addresses", len(addresses), _MAX_ADDRESSES)
    for position, text in enumerate(addresses):
        field = f"{where}.addresses[{position}]"
        if kind == "FQDN":
            if why := subdomain(text):
                found.append(invalid(field, text, why))
            continue
        address = parsed(text)
        if address is None or f"IPv{address.version}" != kind:
            found.append(invalid(field, text, f"must be an {kind} address"))
        else:
            found += special(field, text)
    for field, rule in (("nodeName", subdomain), ("hostname", label)):
        if point.get(field) and (why := rule(point[field])):
            found.append(invalid(f"{where}.{field}", point[field], why))
    return found


def endpoint_slice_warnings(obj: Object) -> list[str]:
    """What the data plane will not act on."""
    found = []
    if obj.get("addressType") != "IPv4":
        found.append(f"addressType {obj.get('addressType')} is stored and not acted on: this cluster has IPv4 only")
    if "kubernetes.io/service-name" not in (obj["metadata"].get("labels") or {}):
        found.append("the EndpointSlice belongs to no Service: it has no label kubernetes.io/service-name")
    text = (obj["metadata"].get("annotations") or {}).get(WEIGHTS)
    if text is not None and not _are_weights(text):
        found.append(
            f"annotation {WEIGHTS} is no JSON object of integers from 0 to 1000 by address, such as "
            '{"192.0.2.1":3}: endpoints without a weight count as 1'
        )
    return found


def _are_weights(text: str) -> bool:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and all(
        parsed(address) is not None and type(weight) is int and 0 <= weight <= 1000 for address, weight in read.items()
    )


def endpoints(new: Object, _old: Object | None) -> list[Cause]:
    """Addresses and ports of every subset."""
    found: list[Cause] = []
    for index, subset in enumerate(new.get("subsets") or ()):
        where = f"subsets[{index}]"
        ready, unready = subset.get("addresses") or (), subset.get("notReadyAddresses") or ()
        if not ready and not unready:
            found.append(required(where, "must specify `addresses` or `notReadyAddresses`"))
        for key, addresses in (("addresses", ready), ("notReadyAddresses", unready)):
            for position, address in enumerate(addresses):
                field = f"{where}.{key}[{position}]"
                found += special(f"{field}.ip", address.get("ip"))
                for name, rule in (("nodeName", subdomain), ("hostname", label)):
                    if address.get(name) and (why := rule(address[name])):
                        found.append(invalid(f"{field}.{name}", address[name], why))
        found += _subset_ports(f"{where}.ports", subset.get("ports") or ())
    return found


def _subset_ports(where: str, ports: Sequence[Object]) -> list[Cause]:
    found: list[Cause] = []
    for position, port in enumerate(ports):
        field, name = f"{where}[{position}]", port.get("name") or ""
        if not name and len(ports) > 1:
            found.append(required(f"{field}.name"))
        elif name and (why := label(name)):
            found.append(invalid(f"{field}.name", name, why))
        found += port_number(f"{field}.port", port.get("port", 0))
        if port.get("protocol") not in _PROTOCOLS:
            found.append(not_supported(f"{field}.protocol", port.get("protocol"), _PROTOCOLS))
        if port.get("appProtocol") and (why := qualified_name(port["appProtocol"])):
            found.append(invalid(f"{field}.appProtocol", port["appProtocol"], why))
    return found


def endpoints_warnings(obj: Object) -> list[str]:
    """Addresses that the data plane will not act on."""
    found = []
    for subset in obj.get("subsets") or ():
        for address in subset.get("addresses") or ():
            value = parsed(address["ip"])
            if value is not None and value.version == 6:
                found.append(f"{address['ip']} is stored and not acted on: this cluster has IPv4 only")
    return found
