"""Where the values of environment variables and volume files come from: fields of the pod, ConfigMaps, Secrets."""

import base64
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Address
from typing import Any, Final

from agents.podspec import Pod
from kubinet.errors import KubinetError

Object = Mapping[str, Any]

_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_SUFFIXES: Final[Mapping[str, int | Decimal]] = {
    "": 1, "m": Decimal("0.001"), "u": Decimal("1e-6"), "n": Decimal("1e-9"),
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip
_QUANTITY: Final = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")


class ContainerConfigError(KubinetError):
    """The container cannot be described yet: something that it names is missing (CreateContainerConfigError)."""


def _no_token(_pod: Pod, _source: Object) -> str:
    raise ContainerConfigError("serviceAccountToken: there is no API to ask for one")


def _no_services(_namespace: str, _links: bool) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a pod may ask about itself beyond its own object, and who knows the objects it names."""

    node: str
    host_address: IPv4Address
    address: IPv4Address
    lookup: Callable[[str, str, str], Object | None]
    """(kind, namespace, name) -> the object, or None when there is none."""
    cpus: int = 1
    memory: int = 0
    token: Callable[[Pod, Object], str] = _no_token
    """A token of the pod's service account, as a `serviceAccountToken` source of a projected volume asks for."""
    services: Callable[[str, bool], Mapping[str, str]] = _no_services
    """(namespace, enableServiceLinks) -> the service variables of a pod's containers."""
    seen: dict[tuple[str, str], Object | None] = field(default_factory=dict)
    """Objects asked for already, by (kind, name): one answer for the whole pod."""

    def object(self, pod: Pod, kind: str, name: str) -> Object | None:
        """The ConfigMap or Secret of the pod's namespace."""
        if (kind, name) not in self.seen:
            self.seen[(kind, name)] = self.lookup(kind, pod.namespace, name)
        return self.seen[(kind, name)]

    def data(self, pod: Pod, kind: str, name: str, *, optional: bool) -> Mapping[str, bytes] | None:
        """Its contents; None when it is missing and may be. ContainerConfigError when it may not."""
        found = self.object(pod, kind, name)
        if found is None:
            if optional:
                return None
            raise ContainerConfigError(f'{kind.lower()} "{name}" not found')
        if kind == "Secret":
            return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        plain = {key: value.encode() for key, value in (found.get("data") or {}).items()}
        return plain | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def field_value(pod: Pod, path: str, around: Surroundings) -> str:
    """The value of a `fieldRef`; ContainerConfigError for a path that Kubernetes does not offer."""
    metadata = pod.wire["metadata"]
    spec = pod.wire["spec"]
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
    values = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.nodeName": around.node,
        "spec.serviceAccountName": spec.get("serviceAccountName") or "default",
        "status.podIP": str(around.address),
        "status.podIPs": str(around.address),
        "status.hostIP": str(around.host_address),
        "status.hostIPs": str(around.host_address),
    }
    if path in ("metadata.labels", "metadata.annotations"):
        entries = metadata.get(path.partition(".")[2]) or {}
        return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(entries.items()))
    if path not in values:
        raise ContainerConfigError(f"fieldPath {path!r} is not supported; use one of {', '.join(sorted(values))}")
    return values[path]


def resource_value(pod: Pod, reference: Object, container: Object, around: Surroundings) -> str:
    """The value of a `resourceFieldRef`, in units of its divisor, rounded up."""
    named = reference.get("containerName")
    owner = next((c.wire for c in pod.all_containers if c.name == named), container) if named else container
    what, _, resource = str(reference["resource"]).partition(".")
    given = ((owner.get("resources") or {}).get(what) or {}).get(resource)
    if given is None and what == "limits":
        given = {"cpu": str(around.cpus), "memory": str(around.memory)}.get(resource)
    amount = quantity(str(given)) if given is not None else Decimal(0)
    divisor = quantity(str(reference.get("divisor") or "1")) or Decimal(1)
    return str(math.ceil(amount / divisor))


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity (`500m`, `128Mi`, `1e3`); ContainerConfigError for anything else."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in _SUFFIXES:
        raise ContainerConfigError(f"{text!r} is not a quantity; write for example 500m, 2 or 128Mi")
    try:
        return Decimal(match[1]) * Decimal(_SUFFIXES[match[2]])
    except InvalidOperation as error:
        raise ContainerConfigError(f"{text!r} is not a quantity; write for example 500m, 2 or 128Mi") from error


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
