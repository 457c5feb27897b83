"""Probes and life-cycle hooks of a container, with upstream's words; what agents do not run is refused."""

from typing import Final

from controller.api.status import Cause, Object
from controller.api.validation.causes import forbidden, invalid, one_of, port_number, required
from controller.api.validation.names import port_name

_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_NUMBERS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
_SIDECAR_TEXT: Final = "may not be set for init containers without restartPolicy=Always"


def probes_and_hooks(field: str, container: Object, grace: int) -> list[Cause]:
    """All of a container. `grace`: the pod's terminationGracePeriodSeconds."""
    found: list[Cause] = []
    plain_init = field.startswith("spec.initContainers") and container.get("restartPolicy") != "Always"
    for name in ("lifecycle", *_PROBES):
        if container.get(name) and plain_init:
            found.append(forbidden(f"{field}.{name}", _SIDECAR_TEXT))
    for name in _PROBES:
        if name in container:
            found += _probe(f"{field}.{name}", name, container[name])
    for name, hook in (container.get("lifecycle") or {}).items():
        if name in ("postStart", "preStop") and hook is not None:
            where = f"{field}.lifecycle.{name}"
            found += _handler(where, hook, ("exec", "httpGet", "sleep", "tcpSocket"))
            if "sleep" in hook:
                found += _sleep(f"{where}.sleep.seconds", (hook["sleep"] or {}).get("seconds") or 0, grace)
    return found


def _probe(field: str, name: str, probe: Object) -> list[Cause]:
    found = _handler(field, probe, ("exec", "grpc", "httpGet", "tcpSocket"))
    for key in _NUMBERS:
        if (probe.get(key) or 0) < 0:
            found.append(invalid(f"{field}.{key}", probe[key], "must be greater than or equal to 0"))
    if name != "readinessProbe" and (probe.get("successThreshold") or 1) != 1:
        found.append(invalid(f"{field}.successThreshold", probe["successThreshold"], "must be 1"))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and name == "readinessProbe":
        where = f"{field}.terminationGracePeriodSeconds"
        found.append(invalid(where, grace, "must not be set for readinessProbes"))
    elif grace is not None and grace <= 0:
        found.append(invalid(f"{field}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return found


def _handler(field: str, wire: Object, known: tuple[str, ...]) -> list[Cause]:
    handlers = [name for name in known if name in wire]
    if not handlers:
        return [required(field, "must specify a handler type")]
    if len(handlers) > 1:
        return [forbidden(f"{field}.{handlers[1]}", "may not specify more than 1 handler type")]
    kind, handler = handlers[0], wire[handlers[0]] or {}
    if kind == "exec":
        return [] if handler.get("command") else [required(f"{field}.exec.command")]
    if kind == "sleep":
        return []
    if kind == "grpc":
        return port_number(f"{field}.grpc.port", handler.get("port") or 0)
    found = _port(f"{field}.{kind}.port", handler.get("port"))
    if kind == "httpGet":
        found += one_of(f"{field}.httpGet.scheme", handler.get("scheme") or "HTTP", ("HTTP", "HTTPS"))
    return found


def _port(field: str, port: object) -> list[Cause]:
    if isinstance(port, int):
        return port_number(field, port)
    why = port_name(str(port or ""))
    return [invalid(field, port, why)] if why else []


def _sleep(field: str, seconds: int, grace: int) -> list[Cause]:
    if 0 <= seconds <= grace:
        return []
    why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
    return [invalid(field, seconds, why)]
