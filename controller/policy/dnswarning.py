"""NetworkPolicies that cut their pods off from the cluster's DNS, mostly without meaning to: said before it is missed.

The verdict is the oracle's, on the addresses of the DNS pods and the port that they serve: that is what egress rules
are about once the Service's address has been translated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from controller.complaints import Complaint
from kubinet.policies import Direction, Policy, Tier
from kubinet.policy import Oracle
from kubinet.state import ClusterState, Endpoint, Pod, Service
from kubinet.transport import Protocol

REASON: Final = "DNSBlocked"
_PORT: Final = 53
_SERVICE: Final = "kube-system/kube-dns"
_APP: Final = "k8s-app"
_Kin: TypeAlias = tuple[str, frozenset[tuple[str, str]]]
"""Namespace and labels: pods that have both in common are the same to every egress rule."""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What a pod's way to DNS depends on, beside its namespace and labels."""

    policies: Mapping[str, Policy]
    namespaces: Mapping[str, Mapping[str, str]]
    nodes: Mapping[str, Any]
    servers: tuple[tuple[Endpoint, Pod | None], ...]


class DnsWarnings:
    """The complaints of one state after another, with a memory: a new pod costs its own verdict. For one thread."""

    def __init__(self) -> None:
        self._surroundings: _Surroundings | None = None
        self._verdicts: dict[_Kin, frozenset[str]] = {}

    def of(self, state: ClusterState) -> Iterator[Complaint]:
        """A complaint for each NetworkPolicy that isolates pods for egress none of which reaches a DNS pod by rule.

        A policy among several that isolate the same pods is named when all of them together let no DNS through. What
        cluster-wide policies deny is not its fault, and not told.
        """
        service = _service(state)
        servers = _servers(state, service)
        surroundings = _Surroundings(state.policies, state.namespaces, state.nodes, servers)
        if surroundings != self._surroundings:
            self._surroundings, self._verdicts = surroundings, {}
        own = (policy for policy in state.policies.values() if policy.tier is Tier.NAMESPACE)
        if service is None or not servers or not any(Direction.EGRESS in policy.directions for policy in own):
            return
        kin = {(pod.namespace, frozenset(pod.labels.items())): pod for pod in state.pods.values()}
        fresh = kin.keys() - self._verdicts.keys()
        if fresh:
            oracle = Oracle(state)
            self._verdicts |= {one: _blocking(oracle, kin[one], servers) for one in fresh}
        self._verdicts = {one: verdict for one, verdict in self._verdicts.items() if one in kin}
        message = _message(service, servers)
        for owner in sorted(frozenset[str]().union(*self._verdicts.values())):
            yield Complaint(owner, REASON, message)


def _service(state: ClusterState) -> Service | None:
    address = state.network.dns_service_address
    return next((one for one in state.services.values() if one.cluster_ip == address), state.services.get(_SERVICE))


def _servers(state: ClusterState, service: Service | None) -> tuple[tuple[Endpoint, Pod | None], ...]:
    """The endpoints of the Service's port 53/UDP, those that are not ready too, with their pods."""
    pods = {pod.address: pod for pod in state.pods.values()}
    return tuple(
        (endpoint, pods.get(endpoint.address))
        for port in (service.ports if service is not None else ())
        if (port.protocol, port.port) == (Protocol.UDP, _PORT)
        for endpoint in port.endpoints
    )


def _blocking(oracle: Oracle, pod: Pod, servers: tuple[tuple[Endpoint, Pod | None], ...]) -> frozenset[str]:
    """The NetworkPolicies that keep a pod from every DNS pod; none when it reaches one."""
    source = oracle.party(pod.address)
    blocking: set[str] = set()
    for endpoint, _ in servers:
        ruling = oracle.judge(source, oracle.party(endpoint.address), Protocol.UDP, endpoint.port).egress
        if ruling.allowed:
            return frozenset()
        if ruling.tier is Tier.NAMESPACE:
            blocking.update(ruling.isolated_by)
    return frozenset(blocking)


def _message(service: Service, servers: tuple[tuple[Endpoint, Pod | None], ...]) -> str:
    """What is wrong, and the rule that mends it; the same as long as DNS is served by the same kind of pods."""
    peers = ", ".join(sorted({_peer(endpoint, pod) for endpoint, pod in servers}))
    ports = sorted({endpoint.port for endpoint, _ in servers})
    listed = ", ".join(f"{{protocol: {name}, port: {port}}}" for port in ports for name in ("UDP", "TCP"))
    return (
        f"it isolates pods for egress, and no rule lets them reach DNS ({ports[0]}/UDP of the pods behind Service "
        f"{service.key}): names do not resolve there. To allow it, add to spec.egress of a policy for these pods: "
        f"- {{to: [{peers}], ports: [{listed}]}}"
    )


def _peer(endpoint: Endpoint, pod: Pod | None) -> str:
    if pod is None:
        return f"{{ipBlock: {{cidr: {endpoint.address}/32}}}}"
    namespace = f"namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {pod.namespace}}}}}"
    app = pod.labels.get(_APP)
    return f"{{{namespace}, podSelector: {{matchLabels: {{{_APP}: {app}}}}}}}" if app else f"{{{namespace}}}"
