"""What `kubectl get` prints per kind: columns as data, each a header and a function from the object to the cell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controller.api.podstatus import pod_ready, pod_restarts, pod_status
from controller.api.selectors import selector_text
from controller.api.status import Object
from controller.api.times import age

Cell = str | int
NONE: Final = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; priority 1 is shown with `-o wide` only."""

    name: str
    cell: Callable[[Object], Cell]
    priority: int = 0
    type: str = "string"
    format: str = ""


def _spec(obj: Object) -> Object:
    spec: Object = obj.get("spec") or {}
    return spec


def _status(obj: Object) -> Object:
    status: Object = obj.get("status") or {}
    return status


def _joined(values: object, empty: str = NONE) -> str:
    return ",".join(str(value) for value in values) if isinstance(values, list) and values else empty


NAME: Final = Column("Name", lambda obj: obj["metadata"]["name"], format="name")
AGE: Final = Column("Age", lambda obj: age(obj["metadata"].get("creationTimestamp", "")))
GENERIC: Final = (NAME, AGE)

NAMESPACE: Final = (NAME, Column("Status", lambda obj: _status(obj).get("phase", "")), AGE)


def _node_status(node: Object) -> str:
    ready = {c["type"]: c["status"] for c in _status(node).get("conditions") or ()}.get("Ready")
    words = ["Ready" if ready == "True" else "NotReady" if ready == "False" else "Unknown"]
    if _spec(node).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))
    return ",".join(roles) or NONE


def _node_address(kind: str) -> Callable[[Object], str]:
    def cell(node: Object) -> str:
        addresses = _status(node).get("addresses") or ()
        return next((entry["address"] for entry in addresses if entry["type"] == kind), NONE)

    return cell


def _node_info(name: str) -> Callable[[Object], str]:
    return lambda node: (_status(node).get("nodeInfo") or {}).get(name) or "<unknown>"


NODE: Final = (
    NAME,
    Column("Status", _node_status),
    Column("Roles", _node_roles),
    AGE,
    Column("Version", lambda node: (_status(node).get("nodeInfo") or {}).get("kubeletVersion", "")),
    Column("Internal-IP", _node_address("InternalIP"), 1),
    Column("External-IP", _node_address("ExternalIP"), 1),
    Column("OS-Image", _node_info("osImage"), 1),
    Column("Kernel-Version", _node_info("kernelVersion"), 1),
    Column("Container-Runtime", _node_info("containerRuntimeVersion"), 1),
)


def _pod_address(pod: Object) -> str:
    addresses = _status(pod).get("podIPs") or ()
    return addresses[0]["ip"] if addresses else _status(pod).get("podIP") or NONE


def _readiness_gates(pod: Object) -> str:
    gates = _spec(pod).get("readinessGates") or ()
    if not gates:
        return NONE
    states = {c["type"]: c["status"] for c in _status(pod).get("conditions") or ()}
    return f"{sum(states.get(gate['conditionType']) == 'True' for gate in gates)}/{len(gates)}"


POD: Final = (
    NAME,
    Column("Ready", pod_ready),
    Column("Status", pod_status),
    Column("Restarts", pod_restarts),
    AGE,
    Column("IP", _pod_address, 1),
    Column("Node", lambda pod: _spec(pod).get("nodeName") or NONE, 1),
    Column("Nominated Node", lambda pod: _status(pod).get("nominatedNodeName") or NONE, 1),
    Column("Readiness Gates", _readiness_gates, 1),
)


def _service_ports(service: Object) -> str:
    def text(port: Object) -> str:
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}"

    return _joined([text(port) for port in _spec(service).get("ports") or ()])


def _external_address(service: Object) -> str:
    spec = _spec(service)
    addresses = list(spec.get("externalIPs") or ())
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName") or NONE)
    if spec.get("type") == "LoadBalancer":
        points = (_status(service).get("loadBalancer") or {}).get("ingress") or ()
        addresses = [point.get("ip") or point.get("hostname", "") for point in points] + addresses
        return ",".join(addresses) or "<pending>"
    return ",".join(addresses) or NONE


SERVICE: Final = (
    NAME,
    Column("Type", lambda obj: _spec(obj).get("type", "")),
    Column("Cluster-IP", lambda obj: _spec(obj).get("clusterIP") or NONE),
    Column("External-IP", _external_address),
    Column("Port(s)", _service_ports),
    AGE,
    Column("Selector", lambda obj: _labels_text(_spec(obj).get("selector")), 1),
)


def _labels_text(labels: Object | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


_SHOWN = 3


def _shortened(values: list[str]) -> str:
    if not values:
        return NONE
    more = f" + {len(values) - _SHOWN} more..." if len(values) > _SHOWN else ""
    return ",".join(values[:_SHOWN]) + more


def _endpoints(obj: Object) -> str:
    points = []
    for subset in obj.get("subsets") or ():
        for address in subset.get("addresses") or ():
            points += [f"{address['ip']}:{port['port']}" for port in subset.get("ports") or ()] or [address["ip"]]
    return _shortened(points)


ENDPOINTS: Final = (NAME, Column("Endpoints", _endpoints), AGE)


def _slice_ports(obj: Object) -> str:
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or ()]
    return _shortened(ports) if ports else "<unset>"


def _slice_endpoints(obj: Object) -> str:
    points = [address for point in obj.get("endpoints") or () for address in point.get("addresses") or ()]
    return _shortened(points) if points else "<unset>"


ENDPOINT_SLICE: Final = (
    NAME,
    Column("AddressType", lambda obj: obj.get("addressType", "")),
    Column("Ports", _slice_ports),
    Column("Endpoints", _slice_endpoints),
    AGE,
)

CONFIG_MAP: Final = (
    NAME,
    Column("Data", lambda obj: len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), type="integer"),
    AGE,
)
SECRET: Final = (
    NAME,
    Column("Type", lambda obj: obj.get("type", "")),
    Column("Data", lambda obj: len(obj.get("data") or ()), type="integer"),
    AGE,
)
SERVICE_ACCOUNT: Final = (NAME, Column("Secrets", lambda obj: len(obj.get("secrets") or ()), type="integer"), AGE)


def _event_time(event: Object) -> str:
    series = event.get("series") or {}
    for time in (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime")):
        if time:
            return age(time)
    return "<unknown>"


def _event_first(event: Object) -> str:
    time = event.get("firstTimestamp") or event.get("eventTime")
    return age(time) if time else "<unknown>"


def _event_object(event: Object) -> str:
    involved = event.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _event_source(event: Object) -> str:
    source = event.get("source") or {}
    return ", ".join(filter(None, (source.get("component") or event.get("reportingComponent"), source.get("host"))))


EVENT: Final = (
    Column("Last Seen", _event_time),
    Column("Type", lambda obj: obj.get("type", "")),
    Column("Reason", lambda obj: obj.get("reason", "")),
    Column("Object", _event_object),
    Column("Subobject", lambda obj: (obj.get("involvedObject") or {}).get("fieldPath", ""), 1),
    Column("Source", _event_source, 1),
    Column("Message", lambda obj: (obj.get("message") or "").strip()),
    Column("First Seen", _event_first, 1),
    Column("Count", lambda obj: (obj.get("series") or {}).get("count") or obj.get("count") or 1, 1, "integer"),
    Column("Name", lambda obj: obj["metadata"]["name"], 1, format="name"),
)

NETWORK_POLICY: Final = (NAME, Column("Pod-Selector", lambda obj: selector_text(_spec(obj).get("podSelector"))), AGE)
LEASE: Final = (NAME, Column("Holder", lambda obj: _spec(obj).get("holderIdentity", "")), AGE)


def _dataplane_nodes(obj: Object) -> int:
    return len(_status(obj).get("nodes") or ())


def _dataplane_generation(obj: Object) -> str:
    nodes = (_status(obj).get("nodes") or {}).values()
    generations = [node["generation"] for node in nodes if isinstance(node, dict) and "generation" in node]
    return str(min(generations)) if generations else NONE


DATAPLANE: Final = (
    NAME,
    Column("Nodes", _dataplane_nodes, type="integer"),
    Column("Generation", _dataplane_generation),
    AGE,
)


def _counts(obj: Object) -> dict[str, int]:
    return (obj.get("status") or {}).get("endpoints") or {}


CONNECTION_COUNT: Final = (
    NAME,
    Column("Endpoints", lambda obj: len(_counts(obj)), type="integer"),
    Column("Connections", lambda obj: sum(_counts(obj).values()), type="integer"),
    AGE,
)
