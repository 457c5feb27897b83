"""What a policy's denial was about, and a rule that would allow the packet, as one would write it. Pure."""

import json
from ipaddress import IPv4Address
from typing import Any, Final

from controller.pipeline import L3_FORWARD
from controller.registers import OUTPUT_PORT
from controller.walk.words import judging
from controller.walk.words.moment import Moment
from kubinet.policies import Direction, Tier
from kubinet.state import Pod

_OF_CONTROLLERS: Final = frozenset(
    {
        "pod-template-hash",
        "pod-template-generation",
        "controller-revision-hash",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "controller-uid",
    }
)
"""Labels that workloads give their pods, and that change when those are replaced."""


def denial(last: Moment) -> tuple[str, str, str]:
    """Why the packet ended in PolicyDeny, what would allow it, and the policy that decided."""
    deciding = next((at for at in range(last.at - 1, -1, -1) if last.part.steps[at].table in judging.TIERS), None)
    if deciding is None:
        return "a policy denies it", "", ""
    moment = Moment(last.names, last.meanings, last.hop, last.part, deciding)
    direction = Direction.EGRESS if moment.step.number < L3_FORWARD.number else Direction.INGRESS
    subject = _subject(moment, direction)
    who = f"pod {subject.key}" if subject is not None else "the pod"
    reason = f"{direction.value.lower()} of {who} is {judging.tier(moment)}"
    return reason, _remedy(moment, direction, subject), moment.owner


def _remedy(moment: Moment, direction: Direction, subject: Pod | None) -> str:
    tier = judging.TIERS[moment.step.table]
    if tier is Tier.ADMIN:
        return "an Accept or Pass rule before it: of the same policy, or of one with a lower priority number"
    if subject is None:
        return ""
    rule = json.dumps(allowing_rule(moment, direction, subject), separators=(", ", ": "))
    field = direction.value.lower()
    where = f"a NetworkPolicy in namespace {subject.namespace} that selects {subject.name}"
    return f"{where}, with spec.{field}: [{rule}]" + (
        " (NetworkPolicies come before the tier Baseline)" if tier is Tier.BASELINE else ""
    )


def allowing_rule(moment: Moment, direction: Direction, subject: Pod) -> dict[str, Any]:
    """A NetworkPolicy's rule that accepts the packet: the peer, and its port."""
    packet = moment.packet
    egress = direction is Direction.EGRESS
    peer = _peer(moment, packet.destination if egress else packet.source, subject)
    rule: dict[str, Any] = {"to" if egress else "from": [peer]}
    if packet.protocol is not None:
        rule["ports"] = [{"port": packet.destination_port, "protocol": packet.protocol.name}]
    return rule


def _peer(moment: Moment, address: IPv4Address, subject: Pod) -> dict[str, Any]:
    pod = moment.names.pod(address)
    if pod is None:
        return {"ipBlock": {"cidr": f"{address}/32"}}
    peer: dict[str, Any] = {}
    if pod.namespace != subject.namespace:
        peer["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": pod.namespace}}
    labels = {key: value for key, value in pod.labels.items() if key not in _OF_CONTROLLERS} or dict(pod.labels)
    return peer | {"podSelector": {"matchLabels": labels} if labels else {}}


def _subject(moment: Moment, direction: Direction) -> Pod | None:
    if direction is Direction.EGRESS:
        return moment.names.pod(moment.packet.source)
    port = moment.loaded(OUTPUT_PORT, everywhere=True) or moment.part.seen.read(OUTPUT_PORT)
    return moment.names.pod_at(moment.node, port)
