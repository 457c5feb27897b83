"""Service (v1)."""

from ipaddress import ip_address

from controller.api.status import Cause, Object
from controller.api.validation.causes import (
    duplicate,
    forbidden,
    invalid,
    not_supported,
    one_of,
    port_number,
    required,
)
from controller.api.validation.names import label, labels, port_name, subdomain

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_MAX_AFFINITY = 86400
_NODE_PORTS = range(30000, 32768)


def service(new: Object, old: Object | None) -> list[Cause]:
    """Type, ports, addresses, affinity, traffic policies."""
    spec = new["spec"]
    kind = spec["type"]
    found = one_of("spec.type", kind, _TYPES)
    headless = spec.get("clusterIP") == "None"
    if not spec.get("ports") and not headless and kind != "ExternalName":
        found.append(required("spec.ports"))
    if kind == "ExternalName":
        if spec.get("clusterIP"):
            found.append(forbidden("spec.clusterIPs", "may not be set for ExternalName services"))
        name = spec.get("externalName") or ""
        if not name:
            found.append(required("spec.externalName"))
        elif why := subdomain(name.removesuffix(".")):
            found.append(invalid("spec.externalName", name, why))
    if kind in ("NodePort", "LoadBalancer") and headless:
        found.append(invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    found += _ports(spec)
    found += labels("spec.selector", spec.get("selector"))
    found += _addresses(spec)
    found += _affinity(spec)
    if "internalTrafficPolicy" in spec:
        found += one_of("spec.internalTrafficPolicy", spec["internalTrafficPolicy"], ("Cluster", "Local"))
    if "externalTrafficPolicy" in spec:
        found += one_of("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], ("Cluster", "Local"))
    before = ((old or {}).get("spec") or {}).get("clusterIP")
    if before and kind != "ExternalName" and spec.get("clusterIP") != before:
        value = [spec["clusterIP"]] if spec.get("clusterIP") else None
        found.append(invalid("spec.clusterIPs[0]", value, "may not change once set"))
    return found


def _ports(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    ports = spec.get("ports") or ()
    names, numbers, node_ports = set(), set(), set()
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        name = port.get("name") or ""
        if not name and len(ports) > 1:
            found.append(required(f"{where}.name"))
        elif name:
            if why := label(name):
                found.append(invalid(f"{where}.name", name, why))
            if name in names:
                found.append(duplicate(f"{where}.name", name))
            names.add(name)
        found += port_number(f"{where}.port", port.get("port"))
        if port["protocol"] not in ("TCP", "UDP", "SCTP"):
            found.append(not_supported(f"{where}.protocol", port["protocol"], ("SCTP", "TCP", "UDP")))
        target = port.get("targetPort")
        if isinstance(target, int):
            found += port_number(f"{where}.targetPort", target)
        elif target and (why := port_name(target)):
            found.append(invalid(f"{where}.targetPort", target, why))
        key = (port["protocol"], port.get("port"))
        if key in numbers:
            found.append(duplicate(where, {"port": key[1], "protocol": key[0]}))
        numbers.add(key)
        node_port = port.get("nodePort")
        if node_port and spec["type"] not in ("NodePort", "LoadBalancer"):
            found.append(forbidden(f"{where}.nodePort", "may not be used when `type` is 'ClusterIP'"))
        elif node_port and node_port not in _NODE_PORTS:
            why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            found.append(invalid(f"{where}.nodePort", node_port, why))
        elif node_port and (port["protocol"], node_port) in node_ports:
            found.append(duplicate(f"{where}.nodePort", node_port))
        node_ports.add((port["protocol"], node_port))
    return found


def _addresses(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    fields = [("spec.clusterIPs[0]", spec["clusterIP"])] if spec.get("clusterIP") not in (None, "", "None") else []
    fields += [(f"spec.externalIPs[{index}]", text) for index, text in enumerate(spec.get("externalIPs") or ())]
    for field, text in fields:
        try:
            ip_address(text)
        except ValueError:
            found.append(invalid(field, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
    if spec.get("clusterIPs") and spec.get("clusterIP") != spec["clusterIPs"][0]:
        found.append(invalid("spec.clusterIPs", spec["clusterIPs"], "first value must match `clusterIP`"))
    return found


def _affinity(spec: Object) -> list[Cause]:
    found = one_of("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    config = spec.get("sessionAffinityConfig")
    if spec["sessionAffinity"] == "None" and config:
        found.append(forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None"))
    elif config:
        seconds = (config.get("clientIP") or {}).get("timeoutSeconds", 0)
        if not 0 < seconds <= _MAX_AFFINITY:
            why = f"must be greater than 0 and less than {_MAX_AFFINITY}"
            found.append(invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, why))
    return found
