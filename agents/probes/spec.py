"""Probes and life-cycle handlers of a container as typed values. Pure.

Source: the Kubernetes API's types Probe, ProbeHandler and LifecycleHandler.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from kubinet.errors import KubinetError

Object = Mapping[str, Any]
_PORT_LIMIT: Final = 65535


class PortNameError(KubinetError):
    """A probe or hook names a port that its container does not declare."""


class Kind(StrEnum):
    """What a probe decides about. The value is Kubernetes' word in events."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command in the container; status 0 is success."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Ask over HTTP or HTTPS (certificates are not verified)."""

    port: int | str
    path: str = "/"
    scheme: str = "HTTP"
    host: str = ""
    """Empty: the pod's address."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """Open a connection."""

    port: int | str
    host: str = ""
    """Empty: the pod's address."""


@dataclass(frozen=True, slots=True)
class Grpc:
    """Ask a gRPC server about its health; probes only."""

    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait; life-cycle hooks only."""

    seconds: float


Handler = Exec | HttpGet | TcpSocket | Grpc | Sleep


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe with Kubernetes' defaults filled in; times in seconds."""

    kind: Kind
    handler: Handler
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    grace: int | None = None
    """`terminationGracePeriodSeconds` of the probe: for the container that this probe ends; None: the pod's."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """`lifecycle` of a container."""

    post_start: Handler | None = None
    pre_stop: Handler | None = None


_FIELDS: Final = {
    "startupProbe": Kind.STARTUP,
    "livenessProbe": Kind.LIVENESS,
    "readinessProbe": Kind.READINESS,
}


def probes_of(container: Object) -> tuple[Probe, ...]:
    """The probes of a container's wire object: startup, liveness, readiness."""
    found = []
    for field, kind in _FIELDS.items():
        wire = container.get(field)
        handler = handler_of(wire) if wire else None
        if wire and handler is not None:
            grace = wire.get("terminationGracePeriodSeconds")
            found.append(
                Probe(
                    kind,
                    handler,
                    initial_delay=float(wire.get("initialDelaySeconds") or 0),
                    period=float(wire.get("periodSeconds") or 10),
                    timeout=float(wire.get("timeoutSeconds") or 1),
                    success_threshold=int(wire.get("successThreshold") or 1),
                    failure_threshold=int(wire.get("failureThreshold") or 3),
                    grace=None if grace is None else int(grace),
                )
            )
    return tuple(found)


def hooks_of(container: Object) -> Hooks:
    """The life-cycle hooks of a container's wire object."""
    lifecycle = container.get("lifecycle") or {}
    return Hooks(handler_of(lifecycle.get("postStart") or {}), handler_of(lifecycle.get("preStop") or {}))


def handler_of(wire: Object) -> Handler | None:
    """What a probe or hook does; None for one without a handler (the API refuses those)."""
    if "exec" in wire:
        return Exec(tuple(wire["exec"].get("command") or ()))
    if "httpGet" in wire:
        get = wire["httpGet"]
        headers = tuple((entry["name"], entry.get("value") or "") for entry in get.get("httpHeaders") or ())
        scheme = (get.get("scheme") or "HTTP").upper()
        return HttpGet(get["port"], get.get("path") or "/", scheme, get.get("host") or "", headers)
    if "tcpSocket" in wire:
        return TcpSocket(wire["tcpSocket"]["port"], wire["tcpSocket"].get("host") or "")
    if "grpc" in wire:
        return Grpc(int(wire["grpc"]["port"]), wire["grpc"].get("service") or "")
    if "sleep" in wire:
        return Sleep(float(wire["sleep"]["seconds"]))
    return None


def ports_of(container: Object) -> dict[str, int]:
    """The container's named ports."""
    return {port["name"]: int(port["containerPort"]) for port in container.get("ports") or () if port.get("name")}


def port_number(port: int | str, named: Mapping[str, int]) -> int:
    """A port given as number, name, or digits; PortNameError when the container has no such name."""
    number = port if isinstance(port, int) else named.get(port)
    if number is None:
        if not str(port).isdecimal():
            raise PortNameError(f"couldn't find port {port!r} among the container's named ports: {_list(named)}")
        number = int(port)
    if not 0 < number <= _PORT_LIMIT:
        raise PortNameError(f"invalid port number: {number}")
    return number


def _list(named: Mapping[str, int]) -> str:
    return ", ".join(sorted(named)) or "it has none"
