"""A pod's resolv.conf, from its dnsPolicy and dnsConfig, and its own full name. Pure; as kubelet decides."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final

from agents.podspec import Pod
from kubinet.errors import KubinetError
from kubinet.state import ClusterFacts

CLUSTER_DOMAIN: Final = "cluster.local"
HOSTNAME_LIMIT: Final = 64
"""Characters that the kernel allows in a host name (uname(2))."""
_NAMESERVERS_LIMIT: Final = 3
_SEARCHES_LIMIT: Final = 32
_SEARCH_CHARACTERS_LIMIT: Final = 2048
_CLUSTER_OPTIONS: Final = (("ndots", "5"),)


class HostnameError(KubinetError):
    """The pod's full name cannot be its host name."""


@dataclass(frozen=True, slots=True)
class ClusterDns:
    """What the cluster offers its pods."""

    server: IPv4Address | None = None
    """The cluster's DNS Service; None: the cluster has no DNS, and ClusterFirst means Default then."""
    node: tuple[IPv4Address, ...] = ()
    """The name servers of the nodes' own resolv.conf."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """The contents of one resolv.conf."""

    nameservers: tuple[IPv4Address, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """As in the file, e.g. `ndots:5`."""
    omitted: str = ""
    """What did not fit into resolv.conf's limits, for an event; empty when all did."""


def cluster_dns(facts: ClusterFacts) -> ClusterDns:
    """What pods of this cluster get; the nodes' name server is the outside host that `dnsUpstream` names."""
    network = facts.network
    upstream = tuple(host.address for host in facts.outside if host.name == network.dns_upstream)
    return ClusterDns(network.dns_service_address if network.dns_replicas else None, upstream)


def resolver(pod: Pod, dns: ClusterDns) -> Resolver:
    """What the pod's resolv.conf says.

    `ClusterFirst` of a host-network pod means `Default` (`ClusterFirstWithHostNet` is for those); `dnsConfig` is added
    to what the policy gives, its options replacing those of the same name.
    """
    spec = pod.wire["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    config = spec.get("dnsConfig") or {}
    servers: list[IPv4Address] = []
    searches: list[str] = []
    options: dict[str, str] = {}
    clustered = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not pod.host_network)
    if clustered and dns.server is not None:
        servers = [dns.server]
        domain = f"svc.{CLUSTER_DOMAIN}"
        searches = [f"{pod.namespace}.{domain}", domain, CLUSTER_DOMAIN]
        options = dict(_CLUSTER_OPTIONS)
    elif policy != "None":
        servers = list(dns.node)
    servers += [found for text in config.get("nameservers") or () if (found := ipv4(text)) is not None]
    searches += config.get("searches") or ()
    options |= {entry["name"]: entry.get("value") or "" for entry in config.get("options") or () if entry.get("name")}
    return _within_limits(
        list(dict.fromkeys(servers)),
        list(dict.fromkeys(searches)),
        tuple(f"{name}:{value}" if value else name for name, value in options.items()),
    )


def _within_limits(servers: list[IPv4Address], searches: list[str], options: tuple[str, ...]) -> Resolver:
    kept = searches[:_SEARCHES_LIMIT]
    while len(" ".join(kept)) > _SEARCH_CHARACTERS_LIMIT:
        kept.pop()
    omitted = []
    if len(servers) > _NAMESERVERS_LIMIT:
        omitted.append(f"name servers {_listing(servers[_NAMESERVERS_LIMIT:])}")
    if len(searches) > len(kept):
        omitted.append(f"search domains {_listing(searches[len(kept) :])}")
    return Resolver(tuple(servers[:_NAMESERVERS_LIMIT]), tuple(kept), options, " and ".join(omitted))


def _listing(words: Iterable[object]) -> str:
    return " ".join(map(str, words))


@dataclass(frozen=True, slots=True)
class PodHostname:
    """A pod's names for itself."""

    hostname: str
    """The kernel's host name."""
    fqdn: str = ""
    """`hostname.subdomain.namespace.svc.cluster.local`, where the pod has a subdomain."""


def pod_hostname(pod: Pod, node: str) -> PodHostname:
    """The pod's host name and full name.

    HostnameError when `setHostnameAsFQDN` asks for more characters than the kernel allows.
    """
    spec: Mapping[str, Any] = pod.wire["spec"]
    if pod.host_network:
        return PodHostname(node)
    short = (spec.get("hostname") or pod.name)[:63].rstrip("-.")
    if not spec.get("subdomain"):
        return PodHostname(short)
    full = f"{short}.{spec['subdomain']}.{pod.namespace}.svc.{CLUSTER_DOMAIN}"
    if not spec.get("setHostnameAsFQDN"):
        return PodHostname(short, full)
    if len(full) > HOSTNAME_LIMIT:
        raise HostnameError(
            f"setHostnameAsFQDN: {full} is too long ({HOSTNAME_LIMIT} characters is the max, {len(full)} requested); "
            "shorten hostname, subdomain or namespace"
        )
    return PodHostname(full, full)


def ipv4(text: str) -> IPv4Address | None:
    """The address; None for another family: the cluster has no IPv6."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None
