"""A container of a Pod object as the runtime's `ContainerSpec`, and the pod as its `SandboxSpec`."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from agents.podresolver import ClusterDns, ipv4, pod_hostname, resolver
from agents.podsources import ContainerConfigError, Surroundings, field_value, quantity, resource_value
from agents.podspec import Container, Pod
from agents.podvolumes import mounts
from kubinet.cri import ContainerSpec, HostAlias, ResourceLimits, SandboxSpec
from kubinet.images import ImageTable, ResolvedImage, expand_env
from kubinet.liveimages import LiveTable

Object = Mapping[str, Any]


def sandbox_spec(pod: Pod, node: str, address: IPv4Address, node_namespace: str, dns: ClusterDns) -> SandboxSpec:
    """The pod's sandbox; a host-network pod shares the node's namespace and name. Raises HostnameError."""
    spec = pod.wire["spec"]
    own, resolving = pod_hostname(pod, node), resolver(pod, dns)
    return SandboxSpec(
        pod_uid=pod.uid,
        namespace=pod.namespace,
        name=pod.name,
        hostname=own.hostname,
        fqdn=own.fqdn,
        node=node,
        network_namespace=Path(node_namespace) if pod.host_network else None,
        address=address,
        nameservers=resolving.nameservers,
        searches=resolving.searches,
        dns_options=resolving.options,
        host_aliases=tuple(
            HostAlias(found, tuple(alias.get("hostnames") or ()))
            for alias in spec.get("hostAliases") or ()
            if (found := ipv4(alias.get("ip") or "")) is not None
        ),
    )


def container_spec(
    pod: Pod, container: Container, attempt: int, images: ImageTable | LiveTable, around: Surroundings
) -> tuple[ContainerSpec, str]:
    """What to start, and a note about the image for people (empty when there is none).

    ContainerConfigError and the errors of `kubinet.images` say why it cannot be started.
    """
    wire = container.wire
    env = environment(pod, container, around)
    resolved: ResolvedImage = images.resolve(
        container.image, wire.get("command") or (), wire.get("args") or (), _escaped(env)
    )
    security = wire.get("securityContext") or {}
    spec = ContainerSpec(
        pod_uid=pod.uid,
        name=container.name,
        attempt=attempt,
        argv=resolved.argv,
        env=resolved.env,
        cwd=Path(wire.get("workingDir") or "/"),
        mounts=mounts(pod, container, around),
        limits=_limits(wire),
        tty=bool(wire.get("tty")),
        stdin=bool(wire.get("stdin")),
        programs=resolved.programs,
        busybox=resolved.busybox,
        capabilities=tuple((security.get("capabilities") or {}).get("add") or ()),
    )
    return spec, resolved.note


def environment(pod: Pod, container: Container, around: Surroundings) -> dict[str, str]:
    """The container's variables: services', `envFrom`, then `env` with `$(NAME)` of earlier ones replaced."""
    links = pod.wire["spec"].get("enableServiceLinks") is not False
    variables: dict[str, str] = dict(around.services(pod.namespace, links))
    for source in container.wire.get("envFrom") or ():
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if key in source:
                reference = source[key]
                data = around.data(pod, kind, reference["name"], optional=bool(reference.get("optional")))
                for name, content in sorted((data or {}).items()):
                    variables[f"{source.get('prefix') or ''}{name}"] = content.decode(errors="replace")
    # envFrom is taken literally; only `value` of env knows $(NAME).
    for entry in container.wire.get("env") or ():
        value = _value(pod, container, entry, around)
        if value is None:
            continue
        if "valueFrom" not in entry:
            value = expand_env({**_escaped(variables), entry["name"]: value})[entry["name"]]
        variables[entry["name"]] = value
    return variables


def _value(pod: Pod, container: Container, entry: Object, around: Surroundings) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return str(entry.get("value") or "")
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"], around)
    if "resourceFieldRef" in source:
        return resource_value(pod, source["resourceFieldRef"], container.wire, around)
    for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if key in source:
            reference = source[key]
            optional = bool(reference.get("optional"))
            data = around.data(pod, kind, reference["name"], optional=optional)
            if data is not None and reference["key"] in data:
                return data[reference["key"]].decode(errors="replace")
            if optional:
                return None
            raise ContainerConfigError(
                f"couldn't find key {reference['key']} in {kind} {pod.namespace}/{reference['name']}"
            )
    raise ContainerConfigError(f"env {entry['name']}: valueFrom {', '.join(source)} is not supported")


def _escaped(variables: Mapping[str, str]) -> dict[str, str]:
    """So that a second expansion leaves the values as they are."""
    return {name: value.replace("$", "$$") for name, value in variables.items()}


def _limits(wire: Object) -> ResourceLimits:
    limits = (wire.get("resources") or {}).get("limits") or {}
    cpu, memory = limits.get("cpu"), limits.get("memory")
    return ResourceLimits(
        cpu=float(quantity(str(cpu))) if cpu is not None else None,
        memory=int(quantity(str(memory))) if memory is not None else None,
    )
