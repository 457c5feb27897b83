"""What `kubinet trace` says of a Service that has only a name: headless, or of type ExternalName. Pure.

No packet is sent to such a Service: DNS leads its clients elsewhere, and that is what they are told.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final

from agents.podresolver import CLUSTER_DOMAIN
from kubinet.errors import UsageError
from kubinet.serviceobjects import service_key
from kubinet.transport import Protocol

Object = Mapping[str, Any]
_MOST_TOLD: Final = 16
"""Endpoints that are listed for people; programs get all."""


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port of an EndpointSlice."""

    name: str
    protocol: Protocol
    number: int

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol.name.lower()}" + f" ({self.name})" * bool(self.name)


@dataclass(frozen=True, slots=True)
class NamedEndpoint:
    """One address behind a headless Service."""

    address: IPv4Address
    pod: str = ""
    """`namespace/name`; empty where no pod is said to have the address."""
    node: str = ""
    published: bool = True
    """DNS answers with it: it is ready, or the Service publishes addresses that are not."""
    ports: tuple[NamedPort, ...] = ()

    def __str__(self) -> str:
        who = " on node ".join(filter(None, (self.pod, self.node)))
        return f"{self.address}" + f" ({who})" * bool(who)


@dataclass(frozen=True, slots=True)
class NamedService:
    """A Service without an address."""

    key: str
    external_name: str = ""
    """The target of an ExternalName; empty: headless."""
    endpoints: tuple[NamedEndpoint, ...] = ()
    """By address."""

    @property
    def dns_name(self) -> str:
        """The name that clients ask for."""
        namespace, _, name = self.key.partition("/")
        return f"{name}.{namespace}.svc.{CLUSTER_DOMAIN}"

    @property
    def published(self) -> tuple[NamedEndpoint, ...]:
        """What DNS answers with."""
        return tuple(one for one in self.endpoints if one.published)


@dataclass(frozen=True, slots=True)
class NameAnswer:
    """What a client gets instead of a connection to the Service."""

    service: NamedService
    says: str
    """The outcome, in a sentence."""
    trace_to: str
    """The destination to ask about instead; empty where there is none."""


def named_services(services: Iterable[Object], slices: Iterable[Object]) -> dict[str, NamedService]:
    """The headless and ExternalName Services by `namespace/name`."""
    by_service: dict[str, list[Object]] = {}
    for one in slices:
        key = service_key(one)
        if key is not None and one.get("addressType", "IPv4") == "IPv4":
            by_service.setdefault(key, []).append(one)
    found = (_named(one, by_service) for one in services)
    return {one.key: one for one in found if one is not None}


def _named(service: Object, slices: Mapping[str, list[Object]]) -> NamedService | None:
    metadata, spec = service["metadata"], service["spec"]
    key = f"{metadata['namespace']}/{metadata['name']}"
    if spec.get("type") == "ExternalName":
        return NamedService(key, spec.get("externalName") or "")
    if spec.get("clusterIP") != "None":
        return None
    everyone = bool(spec.get("publishNotReadyAddresses"))
    found: dict[IPv4Address, NamedEndpoint] = {}
    for one in slices.get(key, ()):
        for end in _endpoints(one, everyone=everyone):
            known = found.get(end.address, end)
            ports = tuple(dict.fromkeys(known.ports + end.ports))
            found[end.address] = replace(known, published=known.published or end.published, ports=ports)
    return NamedService(key, endpoints=tuple(found[address] for address in sorted(found)))


def _endpoints(slice_: Object, *, everyone: bool) -> Iterator[NamedEndpoint]:
    ports = tuple(
        NamedPort(port.get("name") or "", Protocol[port.get("protocol") or "TCP"], int(port["port"]))
        for port in slice_.get("ports") or ()
        if port.get("port")
    )
    for entry in slice_.get("endpoints") or ():
        target = entry.get("targetRef") or {}
        pod = f"{target.get('namespace', '')}/{target.get('name', '')}" if target.get("kind") == "Pod" else ""
        # A condition that is not there counts as true, as the API's documentation says.
        published = everyone or (entry.get("conditions") or {}).get("ready") is not False
        for text in entry.get("addresses") or ():
            yield NamedEndpoint(IPv4Address(text), pod, entry.get("nodeName") or "", published, ports)


def answer(service: NamedService, port: str | None, protocol: Protocol | None) -> NameAnswer:
    """What a client of the Service gets that asks for this port; UsageError where the Service has no such port."""
    if service.external_name:
        return _external(service, port, protocol)
    name, published = service.dns_name, service.published
    if not published:
        says = f"Service {service.key} is headless and has no ready endpoint: DNS has no name {name} (NXDOMAIN)"
        return NameAnswer(service, says, "")
    says = (
        f"Service {service.key} is headless: no packet goes to it, and its ports are not translated. DNS answers "
        f"{name} with the addresses of its endpoints"
    )
    return NameAnswer(service, says, _endpoint(service, port, protocol))


def _external(service: NamedService, port: str | None, protocol: Protocol | None) -> NameAnswer:
    target = service.external_name.removesuffix(".")
    says = f"Service {service.key} is an ExternalName: no packet goes to it. "
    try:
        IPv4Address(target)
    except AddressValueError:
        pass
    else:
        return NameAnswer(service, says + f"Its target {target} is an address, so DNS has no record for it", "")
    says += f"DNS answers {service.dns_name} with CNAME {target}, and with what that name has"
    labels = target.split(".")
    if labels[2:] != ["svc", *CLUSTER_DOMAIN.split(".")]:
        return NameAnswer(service, says, "")
    return NameAnswer(service, says, f"svc/{labels[1]}/{labels[0]}" + (_asked(port, protocol) if port else ""))


def _endpoint(service: NamedService, port: str | None, protocol: Protocol | None) -> str:
    """Where to go on: the first endpoint in DNS whose slice has the port; a number that none has is the first one's."""
    first, *_ = published = service.published
    if port is None:
        return _place(first) + "".join(_asked(str(one.number), one.protocol) for one in first.ports[:1])
    for endpoint in published:
        for one in endpoint.ports:
            if port in (one.name, str(one.number)) and protocol in (None, one.protocol):
                return _place(endpoint) + _asked(str(one.number), one.protocol)
    if port.isdecimal():
        return _place(first) + _asked(port, protocol)
    asked = port if protocol is None else f"{port}/{protocol.name.lower()}"
    ports = ", ".join(dict.fromkeys(str(one) for endpoint in published for one in endpoint.ports)) or "none"
    raise UsageError(f"Service {service.key} has no port {asked!r}; its endpoints in DNS have {ports}")


def _place(endpoint: NamedEndpoint) -> str:
    return endpoint.pod or str(endpoint.address)


def _asked(port: str, protocol: Protocol | None) -> str:
    return f":{port}" + (f"/{protocol.name.lower()}" if protocol and protocol is not Protocol.TCP else "")


def refuse_options(found: NameAnswer, given: Iterable[str]) -> None:
    """UsageError where options are given that speak of a packet."""
    options = ", ".join(given)
    if options:
        instead = f"; trace to {found.trace_to} instead" if found.trace_to else ""
        raise UsageError(f"{options}: no packet goes to Service {found.service.key}, which has no address{instead}")


def lines(found: NameAnswer, source: str) -> Iterator[str]:
    """The answer for people; `source`: the trace's own SRC, for the command to go on with."""
    published = found.service.published
    yield found.says + (":" if published else "")
    for one in published[:_MOST_TOLD]:
        ports = ", ".join(map(str, one.ports))
        yield f"  {one}" + f", port {ports}" * bool(ports)
    if len(published) > _MOST_TOLD:
        yield f"  and {len(published) - _MOST_TOLD} more"
    left_out = [str(one) for one in found.service.endpoints if not one.published]
    if left_out:
        more = ", …" * (len(left_out) > _MOST_TOLD)
        yield f"Not ready, so DNS leaves them out: {', '.join(left_out[:_MOST_TOLD])}{more}"
    if found.trace_to:
        yield f"Go on with: kubinet trace {source} {found.trace_to}"


def document(found: NameAnswer) -> dict[str, Any]:
    """The answer for programs; `request` and `reply` are there as in every trace."""
    service = found.service
    return {
        "delivered": False,
        "request": None,
        "reply": None,
        "says": found.says,
        "traceTo": found.trace_to or None,
        "service": {
            "name": service.key,
            "kind": "ExternalName" if service.external_name else "Headless",
            "dnsName": service.dns_name,
            "externalName": service.external_name or None,
            "endpoints": [
                {
                    "address": str(one.address),
                    "pod": one.pod or None,
                    "node": one.node or None,
                    "inDNS": one.published,
                    "ports": [
                        {"name": port.name, "protocol": port.protocol.name, "port": port.number} for port in one.ports
                    ],
                }
                for one in service.endpoints
            ],
        },
    }
