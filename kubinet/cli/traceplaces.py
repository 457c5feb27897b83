"""What `kubinet trace SRC DST[:PORT[/PROTO]]` means: pods, Services, nodes, outside hosts and addresses. Pure."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from controller.walk.question import FromNode, FromOutside, FromPod, Sender
from kubinet.cli.clusterview import View
from kubinet.cli.tracenames import NameAnswer, answer
from kubinet.errors import UsageError
from kubinet.state import Algorithm, Service, ServicePort
from kubinet.transport import Protocol

_TARGET: Final = re.compile(r"^(?P<place>[^:]+)(?::(?P<port>[^/:]+)(?:/(?P<protocol>\w+))?)?$")
_MOST_ENDPOINTS: Final = 16
"""Endpoints of a Service that are followed beside the first one."""
_PROTOCOLS: Final = {protocol.name.lower(): protocol for protocol in Protocol}


@dataclass(frozen=True, slots=True)
class Aim:
    """Where the packet is sent to."""

    address: IPv4Address
    protocol: Protocol | None
    """None: ICMP echo."""
    port: int = 0
    service: Service | None = None


def sender_of(word: str, namespace: str, view: View) -> Sender:
    """Who `SRC` is; UsageError says what there is."""
    kind, name = _split(word)
    if kind == "svc":
        raise UsageError(f"SRC {word!r}: a Service sends nothing; name one of its pods")
    if kind == "node":
        return FromNode(view.state.nodes[_node(name, view)])
    if kind == "outside":
        return FromOutside(_outside(name, view), name)
    address = _address(name) if kind == "" else None
    if address is None:
        key = _pod_key(name, namespace, view)
        if key in view.host_pods:
            return FromNode(view.state.nodes[view.host_pods[key]])
        return FromPod(view.state.pods[key])
    for pod in view.state.pods.values():
        if pod.address == address:
            return FromPod(pod)
    for node in view.state.nodes.values():
        if address in (node.underlay.ip, node.pod_gateway):
            return FromNode(node)
    if address in view.state.network.pod_cidr:
        raise UsageError(f"SRC {word!r}: no pod has this address; `kubinet get pods -A -o wide` lists them")
    names = {address: name for name, address in view.outside.items()}
    return FromOutside(address, names.get(address, ""))


def aim_of(word: str, namespace: str, view: View, sender: Sender) -> Aim:
    """What `DST[:PORT[/PROTO]]` is; UsageError says what there is."""
    found = _TARGET.match(word)
    if found is None:
        raise UsageError(f"DST {word!r} is not PLACE[:PORT[/PROTO]], such as svc/shop/web:80 or web:53/udp")
    kind, name = _split(found["place"])
    if kind == "svc":
        return _service_aim(word, name, namespace, view, sender, found["port"], found["protocol"])
    protocol, port = _port(word, found["port"], found["protocol"])
    if kind == "node":
        return Aim(view.state.nodes[_node(name, view)].underlay.ip, protocol, port)
    if kind == "outside":
        return Aim(_outside(name, view), protocol, port)
    address = _address(name) if kind == "" else None
    if address is None:
        key = _pod_key(name, namespace, view)
        on_host = view.host_pods.get(key)
        address = view.state.nodes[on_host].underlay.ip if on_host is not None else view.state.pods[key].address
    return Aim(address, protocol, port)


def named_answer(word: str, namespace: str, view: View) -> NameAnswer | None:
    """What is said of a destination that is a Service without an address; None for every other destination."""
    found = _TARGET.match(word)
    kind, name = _split(found["place"]) if found is not None else ("", "")
    service = view.named.get(name if "/" in name else f"{namespace}/{name}") if kind == "svc" else None
    if found is None or service is None:
        return None
    protocol = None if found["protocol"] is None else _protocol(word, found["protocol"])
    return answer(service, found["port"], protocol)


def endpoint_of(word: str, namespace: str, view: View, aim: Aim) -> tuple[IPv4Address, int]:
    """The endpoint of the aimed Service that `--endpoint` names: a pod, `POD:PORT`, or an address."""
    name, _, number = word.partition(":")
    address = _address(name)
    if address is None:
        address = view.state.pods[_pod_key(name, namespace, view)].address
    ports = {
        endpoint.port
        for port in (aim.service.ports if aim.service is not None else ())
        if (port.port, port.protocol) == (aim.port, aim.protocol)
        for endpoint in port.endpoints
        if endpoint.address == address
    }
    wanted = {int(number)} & ports if number.isdecimal() else ports
    if not wanted:
        raise UsageError(f"--endpoint {word!r} is no endpoint of {aim.address}:{aim.port}; `kubinet get endpoints -A`")
    return address, min(wanted)


def _split(word: str) -> tuple[str, str]:
    """Kind and name: `pod/a` and `svc/shop/web` name their kind; `shop/web` and `a` are pods."""
    kind, slash, name = word.partition("/")
    aliases = {"po": "pod", "pods": "pod", "service": "svc", "services": "svc", "no": "node", "nodes": "node"}
    kind = aliases.get(kind, kind)
    if slash and kind in ("pod", "svc", "node", "outside"):
        return kind, name
    return "", word


def _address(word: str) -> IPv4Address | None:
    try:
        return IPv4Address(word)
    except AddressValueError:
        return None


def _pod_key(name: str, namespace: str, view: View) -> str:
    key = name if "/" in name else f"{namespace}/{name}"
    if key in view.state.pods or view.host_pods.get(key) in view.state.nodes:
        return key
    own = key.partition("/")[0]
    others = sorted(one for one in {**view.state.pods, **view.host_pods} if one.startswith(f"{own}/"))
    there = f"namespace {own} has {', '.join(others[:8])}" if others else f"namespace {own} has no pods with an address"
    raise UsageError(f"pod {key!r} is not there or has no address; {there}")


def _node(name: str, view: View) -> str:
    if name not in view.state.nodes:
        raise UsageError(f"node {name!r} is not in the cluster; there are {', '.join(view.state.nodes)}")
    return name


def _outside(name: str, view: View) -> IPv4Address:
    address = view.outside.get(name) or _address(name)
    if address is None:
        raise UsageError(f"outside host {name!r} is not there; there are {', '.join(view.outside) or 'none'}")
    return address


def _port(word: str, port: str | None, protocol: str | None) -> tuple[Protocol | None, int]:
    if port is None:
        return None, 0
    if port.lower() == "icmp" and protocol is None:
        return None, 0
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise UsageError(f"DST {word!r}: port {port!r} is not a number from 1 to 65535")
    return _protocol(word, protocol), int(port)


def _protocol(word: str, name: str | None) -> Protocol:
    found = _PROTOCOLS.get((name or "tcp").lower())
    if found is None:
        raise UsageError(f"DST {word!r}: protocol {name!r} is unknown; there are {', '.join(_PROTOCOLS)}")
    return found


def _service_aim(
    word: str, name: str, namespace: str, view: View, sender: Sender, port: str | None, protocol: str | None
) -> Aim:
    key = name if "/" in name else f"{namespace}/{name}"
    service = view.state.services.get(key)
    if service is None:
        known = ", ".join(sorted({*view.state.services, *view.named})) or "none"
        raise UsageError(f"Service {key!r} is not there, or left to another service proxy; there are {known}")
    chosen = _service_port(word, service, port, protocol)
    address, number = _front_of(service, chosen, view, sender)
    return Aim(address, chosen.protocol, number, service)


def _service_port(word: str, service: Service, port: str | None, protocol: str | None) -> ServicePort:
    wanted = None if protocol is None else _protocol(word, protocol)
    for one in service.ports:
        if port in (None, one.name, str(one.port)) and wanted in (None, one.protocol):
            return one
    ports = ", ".join(
        f"{one.port}/{one.protocol.name.lower()}" + f" ({one.name})" * bool(one.name) for one in service.ports
    )
    raise UsageError(f"DST {word!r}: Service {service.key} has no such port; it has {ports or 'none'}")


def _front_of(service: Service, port: ServicePort, view: View, sender: Sender) -> tuple[IPv4Address, int]:
    """The way in that the sender has: outside hosts know load balancer addresses and node ports only."""
    if isinstance(sender, FromOutside):
        if service.external:
            return service.external[0], port.port
        if port.node_port is not None:
            return next(iter(view.state.nodes.values())).underlay.ip, port.node_port
    return service.cluster_ip, port.port


def other_endpoints(aim: Aim, followed: tuple[IPv4Address, int]) -> list[tuple[IPv4Address, int]]:
    """The Service's other ready endpoints that the same client may get; none where its address alone decides."""
    service = aim.service
    if service is None or service.affinity_seconds is not None or service.algorithm is Algorithm.SOURCE_HASH:
        return []
    found = [
        (endpoint.address, endpoint.port)
        for port in service.ports
        if port.protocol is aim.protocol and aim.port in (port.port, port.node_port)
        for endpoint in port.endpoints
        if endpoint.ready
    ]
    return [one for one in dict.fromkeys(found) if one != followed][:_MOST_ENDPOINTS]
