"""The variables by which containers find services (`KUBERNETES_SERVICE_HOST` and others), as the kubelet sets them.

Pure.
Source: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

Object = Mapping[str, Any]

_ALWAYS: Final = ("default", "kubernetes")
"""The API's own service is named in every pod, whatever its namespace and `enableServiceLinks`."""


def service_variables(services: Iterable[Object], namespace: str, *, links: bool) -> dict[str, str]:
    """For the services that have a clusterIP: the API's, and with `links` those of the namespace."""
    chosen: dict[str, Object] = {}
    for service in services:
        metadata = service["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if service["spec"].get("clusterIP") in (None, "", "None"):
            continue
        # A service `kubernetes` of the pod's own namespace takes the place of the API's.
        if links and key[0] == namespace:
            chosen[key[1]] = service
        elif key == _ALWAYS:
            chosen.setdefault(key[1], service)
    variables: dict[str, str] = {}
    for name in sorted(chosen):
        variables |= _variables(name, chosen[name]["spec"])
    return variables


def _variables(service: str, spec: Object) -> dict[str, str]:
    ports = spec.get("ports") or ()
    if not ports:
        return {}
    name, host = _name(service), str(spec["clusterIP"])
    found = {f"{name}_SERVICE_HOST": host, f"{name}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            found[f"{name}_SERVICE_PORT_{_name(port['name'])}"] = str(port["port"])
    # The form of Docker's links.
    for number, port in enumerate(ports):
        protocol = str(port.get("protocol") or "TCP")
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if number == 0:
            found[f"{name}_PORT"] = url
        prefix = f"{name}_PORT_{port['port']}_{protocol.upper()}"
        found |= {
            prefix: url,
            f"{prefix}_PROTO": protocol.lower(),
            f"{prefix}_PORT": str(port["port"]),
            f"{prefix}_ADDR": host,
        }
    return found


def _name(text: str) -> str:
    return text.upper().replace("-", "_")
