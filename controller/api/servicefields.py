"""What a Service's type means for its fields, and what a new version keeps of the old one (upstream's strategy).

Clients may send a Service without what was allocated for it: it keeps its addresses and ports. A type that has no use
for them loses them, unless the client changed them in the same request: that is for validation to refuse.
"""

from collections.abc import Iterable, Iterator

from controller.api.status import Object

CLUSTER_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")


def headless(spec: Object) -> bool:
    """`clusterIP: None`."""
    return bool(spec.get("clusterIP") == "None" or "None" in (spec.get("clusterIPs") or ()))


def needs_cluster_ip(spec: Object) -> bool:
    """Whether the type has a clusterIP (None counts as one)."""
    return spec.get("type") in CLUSTER_TYPES


def needs_node_ports(spec: Object) -> bool:
    """NodePort, and LoadBalancer unless it does without."""
    kind = spec.get("type")
    return kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def needs_health_port(spec: Object) -> bool:
    """LoadBalancer with externalTrafficPolicy Local."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def externally_accessible(spec: Object) -> bool:
    """Whether traffic from outside may come in, so that externalTrafficPolicy means something."""
    kind = spec.get("type")
    return kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def node_ports(spec: Object) -> Iterator[int]:
    """The nodePorts of a Service's ports."""
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            yield port["nodePort"]


def adopt(new: Object, old: Object) -> None:
    """Carry allocated values of the old version into the new one, in place, and drop what its type has no use for."""
    after, before = new["spec"], old["spec"]
    _normalize(after, before)
    _keep_allocated(after, before)
    _drop_useless(after, before)
    if after.get("type") != "LoadBalancer" and (new.get("status") or {}).get("loadBalancer"):
        new["status"] = {**new["status"], "loadBalancer": {}}


def _normalize(after: Object, before: Object) -> None:
    """`clusterIP` and `clusterIPs` say the same, whichever of them the client changed."""
    one, many = after.get("clusterIP") or "", after.get("clusterIPs") or []
    old_one, old_many = before.get("clusterIP") or "", before.get("clusterIPs") or []
    if one != old_one and many == old_many:
        after["clusterIPs"] = [one] if one else []
    elif one == old_one and not many and old_many:
        after["clusterIP"] = ""
    for key in ("clusterIP", "clusterIPs"):
        if not after.get(key):
            after.pop(key, None)


def _keep_allocated(after: Object, before: Object) -> None:
    if needs_cluster_ip(before) and needs_cluster_ip(after) and before.get("clusterIP"):
        after.setdefault("clusterIP", before["clusterIP"])
        if after["clusterIP"] == before["clusterIP"] and "clusterIPs" in before:
            after.setdefault("clusterIPs", list(before["clusterIPs"]))
    if needs_node_ports(before) and needs_node_ports(after):
        _keep_node_ports(after.get("ports") or (), before.get("ports") or ())
    if needs_health_port(before) and needs_health_port(after) and not after.get("healthCheckNodePort"):
        after["healthCheckNodePort"] = before.get("healthCheckNodePort", 0)


def _keep_node_ports(after: Iterable[Object], before: Iterable[Object]) -> None:
    """By the port's name; each number for one port only, except that protocols of one port share it."""
    known = {port.get("name") or "": port.get("nodePort", 0) for port in before}
    used = set(node_ports({"ports": before})) & set(node_ports({"ports": after}))
    for port in after:
        number = known.get(port.get("name") or "", 0)
        if number and not port.get("nodePort") and number not in used:
            port["nodePort"] = number
            used.add(number)


def _drop_useless(after: Object, before: Object) -> None:
    if needs_cluster_ip(before) and not needs_cluster_ip(after):
        if (after.get("clusterIPs") or []) == (before.get("clusterIPs") or []):
            after.pop("clusterIP", None)
            after.pop("clusterIPs", None)
        _drop_same(after, before, "ipFamilies", "ipFamilyPolicy")
    external = ("NodePort", "LoadBalancer")
    loses_ports = before.get("type") in external and after.get("type") not in external
    if loses_ports and set(node_ports(before)) == set(node_ports(after)):
        for port in after.get("ports") or ():
            port.pop("nodePort", None)
    if needs_health_port(before) and not needs_health_port(after):
        _drop_same(after, before, "healthCheckNodePort")
    if before.get("type") == "LoadBalancer" != after.get("type"):
        _drop_same(after, before, "allocateLoadBalancerNodePorts", "loadBalancerClass")
    if externally_accessible(before) and not externally_accessible(after):
        _drop_same(after, before, "externalTrafficPolicy")


def _drop_same(after: Object, before: Object, *keys: str) -> None:
    for key in keys:
        if key in after and after[key] == before.get(key):
            del after[key]
