"""Service (v1)."""

from controller.api.servicefields import externally_accessible, headless, needs_cluster_ip, needs_health_port
from controller.api.status import Cause, Object
from controller.api.validation.addresses import address, network, parsed, special
from controller.api.validation.causes import (
    duplicate,
    forbidden,
    invalid,
    not_supported,
    one_of,
    port_number,
    required,
)
from controller.api.validation.names import label, labels, port_name, qualified_name, subdomain
from kubinet.state import Algorithm

ALGORITHM = "kubinet.dev/load-balancer"
"""Annotation: how the Service's endpoint is chosen, one of `kubinet.state.Algorithm`."""
SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_MAX_AFFINITY = 86400
_KUBELET_PORT = 10250
_ONLY_BALANCER = "may only be used when `type` is 'LoadBalancer'"


def service(new: Object, old: Object | None) -> list[Cause]:
    """Type, ports, addresses, affinity, traffic policies, Kubinet's annotation."""
    spec = new["spec"]
    before: Object = (old or {}).get("spec") or {}
    found = _annotations(new["metadata"].get("annotations") or {})
    if not spec.get("ports") and not headless(spec) and spec["type"] != "ExternalName":
        found.append(required("spec.ports"))
    found += _by_type(spec) + _ports(spec)
    found += labels("spec.selector", spec.get("selector"))
    found += _affinity(spec) + _cluster_ips(spec)
    for index, text in enumerate(spec.get("externalIPs") or ()):
        found += special(f"spec.externalIPs[{index}]", text)
    found += one_of("spec.type", spec["type"], _TYPES)
    found += _balancer(spec, new["metadata"].get("annotations") or {})
    found += _policies(spec)
    return found + _changes(spec, before)


def _annotations(annotations: Object) -> list[Cause]:
    algorithm = annotations.get(ALGORITHM)
    if algorithm is None or algorithm in list(Algorithm):
        return []
    return [not_supported(f"metadata.annotations[{ALGORITHM}]", algorithm, [str(known) for known in Algorithm])]


def _by_type(spec: Object) -> list[Cause]:
    kind = spec["type"]
    found: list[Cause] = []
    if kind in ("NodePort", "LoadBalancer") and headless(spec):
        found.append(invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    if kind == "LoadBalancer":
        why = f"may not expose port {_KUBELET_PORT} externally since it is used by kubelet"
        for index, port in enumerate(spec.get("ports") or ()):
            if port.get("port") == _KUBELET_PORT:
                found.append(invalid(f"spec.ports[{index}]", _KUBELET_PORT, why))
    if kind == "ExternalName":
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(field) or (field == "clusterIPs" and spec.get("clusterIP")):
                found.append(forbidden(f"spec.{field}", "may not be set for ExternalName services"))
        name = (spec.get("externalName") or "").removesuffix(".")
        if not name:
            found.append(required("spec.externalName"))
        elif why := subdomain(name):
            found.append(invalid("spec.externalName", name, why))
    return found


def _ports(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    ports = spec.get("ports") or ()
    names, numbers, node_ports = set(), set(), set()
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        name, protocol = port.get("name") or "", port["protocol"]
        if not name and len(ports) > 1:
            found.append(required(f"{where}.name"))
        elif name:
            if why := label(name):
                found.append(invalid(f"{where}.name", name, why))
            if name in names:
                found.append(duplicate(f"{where}.name", name))
            names.add(name)
        found += _port(where, port)
        key = (protocol, port.get("port"))
        if key in numbers:
            found.append(duplicate(where, {"port": key[1], "protocol": key[0]}))
        numbers.add(key)
        if node_port := port.get("nodePort"):
            if spec["type"] not in ("NodePort", "LoadBalancer"):
                why = f"may not be used when `type` is '{spec['type']}'"
                found.append(forbidden(f"{where}.nodePort", why))
            elif (protocol, node_port) in node_ports:
                found.append(duplicate(f"{where}.nodePort", node_port))
            node_ports.add((protocol, node_port))
    return found


def _port(where: str, port: Object) -> list[Cause]:
    found = port_number(f"{where}.port", port.get("port", 0))
    if port["protocol"] not in _PROTOCOLS:
        found.append(not_supported(f"{where}.protocol", port["protocol"], _PROTOCOLS))
    target = port.get("targetPort")
    if isinstance(target, int):
        found += port_number(f"{where}.targetPort", target)
    elif target and (why := port_name(target)):
        found.append(invalid(f"{where}.targetPort", target, why))
    if port.get("appProtocol") and (why := qualified_name(port["appProtocol"])):
        found.append(invalid(f"{where}.appProtocol", port["appProtocol"], why))
    return found


def _cluster_ips(spec: Object) -> list[Cause]:
    """clusterIPs and IP families; which families there are is the allocation's to say."""
    if spec["type"] == "ExternalName":
        return []
    one, many = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    found = [
        not_supported(f"spec.ipFamilies[{index}]", family, _FAMILIES)
        for index, family in enumerate(spec.get("ipFamilies") or ())
        if family not in _FAMILIES
    ]
    if spec.get("ipFamilyPolicy") and spec["ipFamilyPolicy"] not in _FAMILY_POLICIES:
        found.append(not_supported("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], _FAMILY_POLICIES))
    if many and not one:
        found.append(invalid("spec.clusterIPs", many, "must be empty when `clusterIP` is not specified"))
    elif many and many[0] != one:
        found.append(invalid("spec.clusterIPs", many, "first value must match `clusterIP`"))
    if len(many) > 2:
        found.append(invalid("spec.clusterIPs", many, "may only hold up to 2 values"))
    if len(many) > 1 and "None" in many:
        found.append(invalid("spec.clusterIPs", many, "'None' must be the first and only value"))
    for index, text in enumerate(many):
        field = f"spec.clusterIPs[{index}]"
        if text != "None":
            family = (spec.get("ipFamilies") or ["IPv4"])[0]
            value = parsed(text)
            if value is None:
                found += address(field, text)
            elif index == 0 and family in _FAMILIES and f"IPv{value.version}" != family:
                found.append(invalid(field, text, f"expected an {family} value as indicated by `ipFamilies[0]`"))
    return found


def _affinity(spec: Object) -> list[Cause]:
    found = one_of("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    if spec["sessionAffinity"] == "ClientIP":
        seconds = spec["sessionAffinityConfig"]["clientIP"].get("timeoutSeconds", 0)
        if not 0 < seconds <= _MAX_AFFINITY:
            why = f"must be greater than 0 and less than {_MAX_AFFINITY}"
            found.append(invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, why))
    return found


def _balancer(spec: Object, annotations: Object) -> list[Cause]:
    """What only type LoadBalancer may have."""
    found: list[Cause] = []
    balancer = spec["type"] == "LoadBalancer"
    ranges, where = spec.get("loadBalancerSourceRanges") or [], "spec.loadBalancerSourceRanges"
    if not ranges and SOURCE_RANGES in annotations:
        where = f"metadata.annotations[{SOURCE_RANGES}]"
        ranges = [text for text in annotations[SOURCE_RANGES].split(",") if text.strip()]
        if not balancer:
            found.append(forbidden(where, _ONLY_BALANCER))
    elif ranges and not balancer:
        found.append(forbidden(where, _ONLY_BALANCER))
    for index, text in enumerate(ranges):
        found += network(f"{where}[{index}]", text.strip())
    if not balancer:
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(field) is not None:
                found.append(forbidden(f"spec.{field}", _ONLY_BALANCER))
    elif spec.get("loadBalancerClass") is not None and (why := qualified_name(spec["loadBalancerClass"])):
        found.append(invalid("spec.loadBalancerClass", spec["loadBalancerClass"], why))
    return found


def _policies(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    external = spec.get("externalTrafficPolicy")
    if externally_accessible(spec):
        found += one_of("spec.externalTrafficPolicy", external, _POLICIES)
    elif external:
        why = "may only be set for externally-accessible services"
        found.append(invalid("spec.externalTrafficPolicy", external, why))
    health = spec.get("healthCheckNodePort")
    if health and not needs_health_port(spec):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        found.append(invalid("spec.healthCheckNodePort", health, why))
    if needs_cluster_ip(spec) or spec.get("internalTrafficPolicy"):
        found += one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), _POLICIES)
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        found.append(not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS))
    return found


def _changes(spec: Object, before: Object) -> list[Cause]:
    """What stays once it is set, while the type has it."""
    found: list[Cause] = []
    if "ExternalName" not in (spec["type"], before.get("type", "ExternalName")):
        for field in ("clusterIPs", "ipFamilies"):
            old, new = before.get(field) or [], spec.get(field) or []
            if old and new[:1] != old[:1]:
                found.append(invalid(f"spec.{field}[0]", new or None, "may not change once set"))
    if before.get("type") == spec["type"] == "LoadBalancer":
        given = spec.get("loadBalancerClass")
        if given != before.get("loadBalancerClass"):
            found.append(invalid("spec.loadBalancerClass", given, "may not change once set"))
    return found


def service_status(new: Object) -> list[Cause]:
    """LoadBalancer addresses: valid, and only where the type has them."""
    found: list[Cause] = []
    points = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    if points and new["spec"].get("type") != "LoadBalancer":
        why = 'may only be used when `spec.type` is "LoadBalancer"'
        found.append(forbidden("status.loadBalancer.ingress", why))
    for index, point in enumerate(points):
        where = f"status.loadBalancer.ingress[{index}]"
        if point.get("ip"):
            found += address(f"{where}.ip", point["ip"])
        elif point.get("ipMode"):
            found.append(forbidden(f"{where}.ipMode", "may not be set when `ip` is not set"))
        if point.get("ipMode") not in (None, "", "Proxy", "VIP"):
            found.append(not_supported(f"{where}.ipMode", point["ipMode"], ("Proxy", "VIP")))
        if point.get("hostname") and (why := subdomain(point["hostname"])):
            found.append(invalid(f"{where}.hostname", point["hostname"], why))
    return found
