"""How a packet's way ended, in Kubernetes' words: which object did it, and what would let the packet pass. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controller.pipeline import Place, Priority
from controller.walk.hops import Ending, Outcome, Party, SwitchHop, Walk
from controller.walk.words import forwarding, serving, uplink
from controller.walk.words.denials import denial
from controller.walk.words.moment import Moment
from controller.walk.words.names import Names, socket


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last sentence of a packet's way."""

    text: str
    owner: str = ""
    """The object that ended it: `Kind/namespace/name`."""
    remedy: str = ""
    """What would let the packet pass; empty where it has passed, or nothing should be changed."""


def verdict(walk: Walk, names: Names, last: Moment | None) -> Verdict:
    """How the walk ended; `last`: its last step at a bridge."""
    outcome = walk.outcome
    if outcome.ending is Ending.DELIVERED:
        return Verdict(f"Delivered to {_receiver(outcome, names)}, which sees {walk.arrived}")
    if outcome.ending is Ending.REFUSED:
        served = _refused(walk, names)
        why = f"Service {served} has no ready endpoint" if served else f"no Service has {socket(walk.packet)}"
        remedy = f"a ready pod that Service {served} selects" if served else "a Service with this address and port"
        return Verdict(f"Refused by node {outcome.node}: {why}", f"Service/{served}" if served else "", remedy)
    where = f"node {outcome.node}" if outcome.node else "the underlay"
    if outcome.step is None or last is None or outcome.why:
        return Verdict(f"Dropped at {where}: {outcome.why or 'nobody takes it'}", last.owner if last else "")
    reason, remedy, owner = _reason(last)
    table = f"{outcome.step.bridge} table {outcome.step.number} {outcome.step.table}"
    return Verdict(f"Dropped at {where}, {table}: {reason}", owner or last.owner, remedy)


def _reason(last: Moment) -> tuple[str, str, str]:
    """Why, what would change it, and whose flow decided where that is not the last one."""
    if last.step.table == "PolicyDeny":
        return denial(last)
    words = _REASONS.get(last.step.table)
    reason, remedy = words(last) if words is not None else ("", "")
    return reason or f"no flow of table {last.step.table} takes it", remedy, ""


def _classifier(last: Moment) -> tuple[str, str]:
    return forwarding.classifier(last), ""


def _spoof_guard(last: Moment) -> tuple[str, str]:
    return forwarding.spoof_guard(last), ""


def _state(last: Moment) -> tuple[str, str]:
    return forwarding.connection_state(last), ""


def _service(last: Moment) -> tuple[str, str]:
    packet = last.packet
    served = last.names.served(last.node, packet.destination, packet.destination_port, packet.protocol)
    if served is not None and last.is_at(Priority.POD):
        ranges = ", ".join(map(str, served.service.source_ranges))
        reason = f"Service {served.service.key} takes clients of {ranges} only, and {packet.source} is none"
        return reason, f"spec.loadBalancerSourceRanges of Service {served.service.key} with {packet.source}"
    if served is not None:
        field = "externalTrafficPolicy" if last.source == Place.OUTSIDE else "internalTrafficPolicy"
        words = serving.service_lb(last)
        return words, f"a ready endpoint on node {last.node.name}, or spec.{field}: Cluster"
    if last.names.services_at(packet.destination):
        names = ", ".join(service.key for service in last.names.services_at(packet.destination))
        return f"Service {names} has no {_port(last)}", f"a port {_port(last)} of Service {names}"
    if last.source == Place.OUTSIDE:
        reason = f"nothing serves {socket(packet)} to clients outside; they reach Services only, never pods themselves"
        return reason, "a Service of type NodePort or LoadBalancer"
    return f"no Service has {packet.destination}", ""


def _entry(_last: Moment) -> tuple[str, str]:
    return "a policy denies this connection, so its answers are dropped too", ""


def _l3_forward(last: Moment) -> tuple[str, str]:
    return forwarding.l3_forward(last), ""


def _ttl(last: Moment) -> tuple[str, str]:
    return forwarding.l3_dec_ttl(last), ""


def _uplink(last: Moment) -> tuple[str, str]:
    if last.step.priority == Priority.FALLBACK:
        reason = f"{last.packet.destination} is a pod's address, and pods are not reached from outside of the cluster"
        return reason, "a Service of type NodePort or LoadBalancer"
    return uplink.uplink(last), ""


def _uplink_return(last: Moment) -> tuple[str, str]:
    return uplink.uplink_return(last), ""


_REASONS: Final[dict[str, Callable[[Moment], tuple[str, str]]]] = {
    "Classifier": _classifier,
    "SpoofGuard": _spoof_guard,
    "ConntrackState": _state,
    "ServiceLB": _service,
    "EgressEntry": _entry,
    "IngressEntry": _entry,
    "L3Forward": _l3_forward,
    "L3DecTTL": _ttl,
    "Uplink": _uplink,
    "UplinkReturn": _uplink_return,
}


def _port(last: Moment) -> str:
    packet = last.packet
    return f"{packet.destination_port}/{packet.protocol.name}" if packet.protocol is not None else "ICMP"


def _refused(walk: Walk, names: Names) -> str:
    """The Service that the packet was sent to, on the node that looked."""
    packet = walk.packet
    hops = [hop for hop in walk.hops if isinstance(hop, SwitchHop)]
    node = names.state.nodes[hops[-1].node]
    served = names.served(node, packet.destination, packet.destination_port, packet.protocol)
    return served.service.key if served is not None else ""


def _receiver(outcome: Outcome, names: Names) -> str:
    if outcome.party is Party.POD:
        return f"pod {outcome.name} on node {outcome.node}"
    if outcome.party is Party.NODE:
        return f"node {outcome.name}"
    host = next((name for address, name in names.outside.items() if str(address) == outcome.name), "")
    return f"outside host {host}" if host else f"{outcome.name}, outside of the cluster"
