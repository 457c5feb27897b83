"""Services: addresses, ports, the endpoints behind them."""

from typing import Any, TypeAlias

from kubinet.cli.describing.lines import Lines, Related, head, labels_text

Object: TypeAlias = dict[str, Any]


def describe(obj: Object, related: Related) -> str:
    """As kubectl describes a service."""
    spec = obj.get("spec") or {}
    lines = Lines()
    head(lines, obj)
    lines.add("Selector", labels_text(spec.get("selector")))
    lines.add("Type", spec.get("type"))
    lines.add_some("IP Family Policy", spec.get("ipFamilyPolicy"))
    lines.add_some("IP Families", ",".join(spec.get("ipFamilies") or ()))
    lines.add("IP", spec.get("clusterIP"))
    lines.add_some("IPs", ",".join(spec.get("clusterIPs") or ()))
    lines.add_some("External IPs", ",".join(spec.get("externalIPs") or ()))
    lines.add_some("External Name", spec.get("externalName"))
    for port in spec.get("ports") or ():
        name = port.get("name") or "<unset>"
        lines.add("Port", f"{name}  {port['port']}/{port.get('protocol', 'TCP')}")
        lines.add("TargetPort", f"{port.get('targetPort', port['port'])}/{port.get('protocol', 'TCP')}")
        if port.get("nodePort"):
            lines.add("NodePort", f"{name}  {port['nodePort']}/{port.get('protocol', 'TCP')}")
        lines.add("Endpoints", ",".join(_endpoints(related, port.get("name") or "")))
    lines.add("Session Affinity", spec.get("sessionAffinity"))
    lines.add_some("External Traffic Policy", spec.get("externalTrafficPolicy"))
    lines.add_some("Internal Traffic Policy", spec.get("internalTrafficPolicy"))
    lines.events(related.events)
    return lines.text()


def _endpoints(related: Related, port_name: str) -> list[str]:
    """`address:port` of the ready endpoints of this port, over all slices."""
    return [
        f"{address}:{port['port']}"
        for one in related.endpoint_slices
        for port in one.get("ports") or ()
        if (port.get("name") or "") == port_name
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint["addresses"]
    ]
