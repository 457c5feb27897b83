"""The names that Kubernetes' DNS specification (version 1.1.0) gives to Services, endpoints and pods. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from dns.exception import DNSException
from dns.rdata import Rdata

from agents.dns import rdata
from agents.dns.model import Endpoint, Pod, Port, Service, Slice
from agents.dns.names import Key, key_from_text, name_of, reverse_key, reverse_zones
from agents.dns.zone import Authority, Records

SPECIFICATION = "1.1.0"
_PRIORITY = 0


@dataclass(frozen=True, slots=True)
class ClusterNames:
    """What a cluster's names are made of."""

    domain: Key = (b"cluster", b"local")
    reverse: tuple[IPv4Network, ...] = ()
    """Networks whose PTR records are served: the Services' and the pods'."""
    server: tuple[str, str] = ("kube-system", "kube-dns")
    """Namespace and name of the DNS Service itself."""

    @property
    def nameserver(self) -> Key:
        """The name in the SOA and NS records."""
        return (b"ns", b"dns", *self.domain)

    def service(self, namespace: str, name: str) -> Key:
        """`name.namespace.svc.cluster.local`."""
        return (name.encode(), namespace.encode(), b"svc", *self.domain)

    def authority(self) -> Authority:
        """The cluster's own zone and the reverse ones."""
        reverse = (zone for network in self.reverse for zone in reverse_zones(network))
        return Authority(
            frozenset((self.domain, *reverse)), name_of(self.nameserver), name_of((b"hostmaster", *self.domain))
        )


def version_records(names: ClusterNames) -> Records:
    """`dns-version.cluster.local` says which version of the specification is served."""
    return {(b"dns-version", *names.domain): (rdata.txt(SPECIFICATION),)}


def dashed(address: IPv4Address) -> str:
    """`10-244-1-5`: the label for an address."""
    return str(address).replace(".", "-")


def pod_records(pod: Pod, names: ClusterNames) -> Records:
    """`10-244-1-5.namespace.pod.cluster.local`: only for pods that exist (CoreDNS' `pods verified`)."""
    key = (dashed(pod.address).encode(), pod.namespace.encode(), b"pod", *names.domain)
    return {key: (rdata.a(pod.address),)}


def service_records(service: Service, slices: Iterable[Slice], names: ClusterNames) -> Records:
    """Every record that a Service and its endpoints have.

    Names of single endpoints and their PTR records are there for all Services with endpoints, as CoreDNS has them; the
    specification asks for them with headless ones only.
    """
    own = names.service(service.namespace, service.name)
    if service.external_name:
        return _external(service, own)
    found: dict[Key, dict[Rdata, None]] = defaultdict(dict)

    def add(key: Key, data: Rdata) -> None:
        found[key][data] = None

    _endpoints(service, own, slices, add)
    for address in service.addresses:
        add(own, rdata.a(address))
        add(reverse_key(address), rdata.ptr(name_of(own)))
        if (service.namespace, service.name) == names.server:
            add(names.nameserver, rdata.a(address))
    if service.addresses:
        for port in service.ports:
            add(_srv_key(port, own), _srv(port, own, 1))
    return {key: tuple(rdatas) for key, rdatas in found.items()}


def _endpoints(service: Service, own: Key, slices: Iterable[Slice], add: Callable[[Key, Rdata], None]) -> None:
    targets: Mapping[Port, dict[Key, None]] = defaultdict(dict)
    for one in slices:
        for endpoint in one.endpoints:
            if not endpoint.ready and not service.publish_not_ready:
                continue
            key = (_label(endpoint).encode(), *own)
            add(key, rdata.a(endpoint.address))
            add(reverse_key(endpoint.address), rdata.ptr(name_of(key)))
            if service.headless:
                add(own, rdata.a(endpoint.address))
                for port in one.ports:
                    targets[port][key] = None
    for port, keys in targets.items():
        for key in keys:
            add(_srv_key(port, own), _srv(port, key, len(keys)))


def _label(endpoint: Endpoint) -> str:
    return endpoint.hostname.lower() or dashed(endpoint.address)


def _external(service: Service, own: Key) -> Records:
    """A CNAME; an address or an impossible name as externalName gives no record, as with CoreDNS."""
    try:
        IPv4Address(service.external_name)
    except ValueError:
        pass
    else:
        return {}
    try:
        return {own: (rdata.cname(name_of(key_from_text(service.external_name))),)}
    except DNSException:
        return {}


def _srv_key(port: Port, own: Key) -> Key:
    return (f"_{port.name}".lower().encode(), f"_{port.protocol}".lower().encode(), *own)


def _srv(port: Port, target: Key, sharing: int) -> Rdata:
    """Weights of a name's SRV records add up to 100, as CoreDNS' do, or are 1 each."""
    return rdata.srv(_PRIORITY, max(1, 100 // sharing), port.number, name_of(target))
