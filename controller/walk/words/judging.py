"""Tables 40 to 48, 70 to 80 and 88: network policies. Pure.

What a rule's number means is told by the compiler of policies; its owner, the policy object, by the flow's cookie.
"""

import re
from typing import Final

from controller.pipeline import POLICY_DENY, Priority
from controller.registers import DESTINATION, EGRESS_RULE, INGRESS_RULE, OUTPUT_PORT, Place
from controller.walk.words.moment import Moment
from kubinet.policies import Direction, Tier
from kubinet.policywords import peer_words, port_words
from kubinet.state import ClusterState

TIERS: Final = {
    "EgressAdmin": Tier.ADMIN,
    "EgressPolicy": Tier.NAMESPACE,
    "EgressBaseline": Tier.BASELINE,
    "IngressAdmin": Tier.ADMIN,
    "IngressPolicy": Tier.NAMESPACE,
    "IngressBaseline": Tier.BASELINE,
}
"""The tier that a table holds the rules of."""
_RULE: Final = re.compile(r"^(\S+) (Ingress|Egress) rule (\d+)")
_RULES_OF: Final = {
    Tier.ADMIN: "cluster-wide rule of tier Admin",
    Tier.NAMESPACE: "NetworkPolicy",
    Tier.BASELINE: "cluster-wide rule of tier Baseline",
}


def egress_entry(moment: Moment) -> str:
    """Table EgressEntry."""
    if moment.is_at(Priority.NORMAL):
        return f"policies select {_sender(moment)} for egress"
    if moment.source == Place.POD and moment.is_at(Priority.PASS):
        return f"no policy selects {_sender(moment)} for egress"
    return _skipped(moment)


def ingress_entry(moment: Moment) -> str:
    """Table IngressEntry."""
    to_pod = moment.loaded(DESTINATION, everywhere=True) == Place.POD
    if moment.is_at(Priority.NORMAL):
        return f"policies select {_receiver(moment)} for ingress"
    if to_pod and moment.is_at(Priority.PASS):
        return f"no policy selects {_receiver(moment)} for ingress"
    if to_pod and moment.is_at(Priority.SPECIAL) and not moment.replies:
        return "the node reaches its own pods, whatever policies say"
    return _skipped(moment) if moment.drops else ""


def tier(moment: Moment) -> str:
    """A table with the rules of one tier and direction."""
    rules = _RULES_OF[TIERS[moment.step.table]]
    if moment.is_at(Priority.PASS):
        return f"no {rules} decides"
    denied = moment.does(f"goto_table:{POLICY_DENY.number}")
    number = _number(moment)
    if number is None:
        return "denied" if denied else "accepted: the pod reaches itself through a Service"
    meaning = _detailed(moment.meanings.get(number, ""), moment.names.state)
    if TIERS[moment.step.table] is Tier.NAMESPACE and denied:
        return f"denied: {meaning or 'a policy isolates the pod'}, and no rule allows it"
    verdict = "denied" if denied else _accepted(moment)
    return f"{verdict} by {meaning}" if meaning else f"{verdict} by a {rules}"


def policy_accept(moment: Moment) -> str:
    """Table PolicyAccept."""
    if moment.is_at(Priority.NORMAL):
        return "the connection had been denied; its answers pass again"
    return ""


def policy_deny(moment: Moment) -> str:
    """Table PolicyDeny."""
    if moment.does("ct("):
        return "dropped; the connection is marked, so that its answers are dropped too"
    return "dropped"


def _accepted(moment: Moment) -> str:
    onward = {"EgressAdmin": "EgressPolicy", "IngressAdmin": "IngressPolicy"}.get(moment.step.table)
    following = moment.part.steps[moment.at + 1 : moment.at + 2]
    return "passed on to the next tier" if following and following[0].table == onward else "accepted"


def _detailed(meaning: str, state: ClusterState) -> str:
    """`NetworkPolicy/shop/web Ingress rule 0 (peer app=front; port 8080/TCP)`, where the policy is there."""
    found = _RULE.match(meaning)
    policy = state.policies.get(found[1]) if found is not None else None
    if found is None or policy is None:
        return meaning
    rules = policy.rules(Direction(found[2]))
    if int(found[3]) >= len(rules):
        return meaning
    rule = rules[int(found[3])]
    peers = [peer_words(peer) for peer in rule.peers or (None,)]
    ports = [port_words(port) for port in rule.ports or (None,)]
    return f"{meaning} ({', '.join(peers)}; {', '.join(ports)})"


def _number(moment: Moment) -> int | None:
    egress = moment.loaded(EGRESS_RULE)
    return egress if egress is not None else moment.loaded(INGRESS_RULE)


def _skipped(moment: Moment) -> str:
    if moment.drops:
        return "an answer of a connection that a policy denies"
    return "answers of known connections are not judged" if moment.replies else ""


def _sender(moment: Moment) -> str:
    return moment.names.who(moment.packet.source) or "the sender"


def _receiver(moment: Moment) -> str:
    port = moment.loaded(OUTPUT_PORT, everywhere=True) or moment.part.seen.read(OUTPUT_PORT)
    pod = moment.names.pod_at(moment.node, port)
    return f"pod {pod.key}" if pod is not None else "the receiver"
