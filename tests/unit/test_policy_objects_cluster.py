"""Objects of the cluster-wide policy kinds to values."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from kubinet.policies import (
    EVERYTHING,
    Action,
    BlockPeer,
    Direction,
    NamedPort,
    NodePeer,
    Operator,
    PodPeer,
    Policy,
    PortRange,
    Requirement,
    Rule,
    Selector,
    Tier,
)
from kubinet.policyobjects import policy_from_object, unsupported
from kubinet.transport import Protocol

RED = {"matchLabels": {"team": "red"}}
RED_VALUE = Selector((Requirement("team", Operator.IN, frozenset({"red"})),))
ALL = {"namespaces": {}}
KINDS = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy")
NEW = "ClusterNetworkPolicy"
DENY_ALL = Rule(None, None, Action.DENY)


def policy(kind: str = NEW, **spec: Any) -> Any:
    spec = {"subject": ALL, **({"tier": "Admin"} if kind == NEW else {}), **spec}
    return {"kind": kind, "metadata": {"name": "p"}, "spec": spec}


def word(kind: str, action: Action) -> str:
    return "Allow" if kind != NEW and action is Action.ACCEPT else action.value


def rule(kind: str, action: Action, direction: str = "egress", **fields: Any) -> tuple[Rule, list[str]]:
    """A rule's value, and what is said about its policy."""
    obj = policy(kind, **{direction: [{"action": word(kind, action), **fields}]})
    (found,) = policy_from_object(obj).rules(Direction(direction.capitalize()))
    return found, unsupported(obj)


def test_a_cluster_network_policy_in_full() -> None:
    """Tier, priority, subject, names, actions, peers and protocols."""
    obj = policy(
        tier="Baseline",
        priority=7,
        subject={"pods": {"namespaceSelector": RED, "podSelector": {}}},
        ingress=[{"name": "in", "action": "Pass", "from": [{"pods": {"namespaceSelector": {}, "podSelector": RED}}]}],
        egress=[
            {
                "action": "Deny",
                "to": [{"namespaces": RED}, {"networks": ["192.0.2.1/24", "::/0"]}, {"nodes": RED}],
                "protocols": [{"udp": {"destinationPort": {"number": 53}}}],
            }
        ],
    )
    assert policy_from_object(obj) == Policy(
        kind="ClusterNetworkPolicy",
        name="p",
        namespace="",
        tier=Tier.BASELINE,
        subject=PodPeer(RED_VALUE),
        directions=frozenset(Direction),
        ingress=(Rule((PodPeer(EVERYTHING, RED_VALUE),), None, Action.PASS, "in"),),
        egress=(
            Rule(
                (PodPeer(RED_VALUE), BlockPeer(IPv4Network("192.0.2.0/24")), NodePeer(RED_VALUE)),
                (PortRange(Protocol.UDP, 53, 53),),
                Action.DENY,
            ),
        ),
        priority=7,
    )
    assert (policy_from_object(obj).key, unsupported(obj)) == ("ClusterNetworkPolicy/p", [])


@pytest.mark.parametrize(
    ("obj", "tier", "priority"),
    [
        (policy("AdminNetworkPolicy", priority=1000), Tier.ADMIN, 1000),
        (policy("BaselineAdminNetworkPolicy", priority=5), Tier.BASELINE, 0),
        (policy(priority=3), Tier.ADMIN, 3),
        (policy(tier="Baseline", priority=0), Tier.BASELINE, 0),
    ],
    ids=lambda value: str(value)[:50],
)
def test_tiers_and_priorities(obj: Any, tier: Tier, priority: int) -> None:
    """The baseline of v1alpha1 is one, of priority 0. Without rules a policy has no directions."""
    found = policy_from_object(obj)
    assert (found.tier, found.priority, found.directions, found.namespace) == (tier, priority, frozenset(), "")


@pytest.mark.parametrize("kind", KINDS)
def test_directions_are_those_with_rules(kind: str) -> None:
    """A policy without egress rules does not affect egress; nothing is isolated by being selected."""
    found = policy_from_object(policy(kind, ingress=[{"action": "Deny", "from": [ALL]}], egress=[]))
    assert found.directions == {Direction.INGRESS}


@pytest.mark.parametrize(
    ("kind", "action", "expected"),
    [
        ("AdminNetworkPolicy", "Allow", Action.ACCEPT),
        ("AdminNetworkPolicy", "Deny", Action.DENY),
        ("AdminNetworkPolicy", "Pass", Action.PASS),
        ("BaselineAdminNetworkPolicy", "Allow", Action.ACCEPT),
        ("BaselineAdminNetworkPolicy", "Deny", Action.DENY),
        (NEW, "Accept", Action.ACCEPT),
        (NEW, "Deny", Action.DENY),
        (NEW, "Pass", Action.PASS),
    ],
)
def test_actions(kind: str, action: str, expected: Action) -> None:
    """Allow is the older word for Accept."""
    obj = policy(kind, ingress=[{"action": action, "from": [ALL]}])
    assert policy_from_object(obj).ingress == (Rule((PodPeer(EVERYTHING),), None, expected),)
    assert unsupported(obj) == []


@pytest.mark.parametrize(("kind", "action"), [("BaselineAdminNetworkPolicy", "Pass"), (NEW, "Allow"), (NEW, None)])
def test_an_action_that_a_kind_does_not_have(kind: str, action: Any) -> None:
    """It denies everything."""
    obj = policy(kind, ingress=[{"action": action, "from": [ALL]}])
    assert policy_from_object(obj).ingress == (DENY_ALL,)
    assert unsupported(obj) == [f"spec.ingress[0].action: unknown action {action}; the rule denies everything"]


PORTS = [
    ("ports", {"portNumber": {"port": 80}}, PortRange(Protocol.TCP, 80, 80)),
    ("ports", {"portNumber": {"port": 80, "protocol": "SCTP"}}, PortRange(Protocol.SCTP, 80, 80)),
    ("ports", {"portRange": {"start": 1, "end": 65535}}, PortRange(Protocol.TCP, 1, 65535)),
    ("ports", {"portRange": {"protocol": "UDP", "start": 7, "end": 9}}, PortRange(Protocol.UDP, 7, 9)),
    ("ports", {"namedPort": "web"}, NamedPort("web", None)),
    ("protocols", {"tcp": {"destinationPort": {"number": 80}}}, PortRange(Protocol.TCP, 80, 80)),
    ("protocols", {"udp": {"destinationPort": {"range": {"start": 7, "end": 9}}}}, PortRange(Protocol.UDP, 7, 9)),
    ("protocols", {"sctp": {"destinationPort": {"number": 1}}}, PortRange(Protocol.SCTP, 1, 1)),
    ("protocols", {"destinationNamedPort": "web"}, NamedPort("web", None)),
]


@pytest.mark.parametrize(("field", "entry", "expected"), PORTS, ids=str)
def test_ports(field: str, entry: Any, expected: Any) -> None:
    """A named port has whatever protocol the container's port has."""
    for kind in KINDS:
        if (kind == NEW) is (field == "protocols"):
            found, complaints = rule(kind, Action.DENY, to=[ALL], **{field: [entry]})
            assert (found, complaints) == (Rule((PodPeer(EVERYTHING),), (expected,), Action.DENY), [])


@pytest.mark.parametrize("listed", [None, []])
@pytest.mark.parametrize("kind", KINDS)
def test_without_ports_a_rule_is_about_everything(kind: str, listed: Any) -> None:
    """Absent and empty alike."""
    found, _ = rule(kind, Action.ACCEPT, to=[ALL], ports=listed, protocols=listed)
    assert found.ports is None


NOT_UNDERSTOOD: list[tuple[dict[str, Any], str]] = [
    ({"to": [{}]}, "to[0]: has no field, not exactly one that is known here"),
    ({"to": [ALL, {"clouds": {}}]}, "to[1]: has clouds, not exactly one that is known here"),
    ({"to": [{"namespaces": {}, "nodes": {}}]}, "to[0]: has namespaces, nodes, not exactly one that is known here"),
    ({"to": [{"domainNames": ["*.example.org"]}]}, "to[0].domainNames: domain names are not supported as peers"),
    (
        {"to": [{"networks": ["10.0.0.0/40"]}]},
        "to[0].networks: '10.0.0.0/40' does not appear to be an IPv4 or IPv6 network",
    ),
    ({"to": []}, "to: no peers"),
    (
        {"to": [{"nodes": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}]},
        "to[0].nodes.matchExpressions[0].operator: unknown operator Gt",
    ),
]
BAD_PORTS = [
    ("ports", {}, "ports[0]: has no field, not exactly one that is known here"),
    (
        "ports",
        {"portNumber": {"port": 1, "protocol": "DCCP"}},
        "ports[0]: has portNumber, not exactly one that is known",
    ),
    ("ports", {"portRange": {"start": 1}}, "ports[0]: has portRange, not exactly one that is known here"),
    ("protocols", {"icmp": {}}, "protocols[0]: has icmp, not exactly one that is known here"),
    ("protocols", {"tcp": {}}, "protocols[0]: has tcp, not exactly one that is known here"),
    ("protocols", {"tcp": {"destinationPort": {}}}, "protocols[0]: has tcp, not exactly one that is known here"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fields", "words"), NOT_UNDERSTOOD, ids=lambda value: str(value)[:50])
def test_peers_that_are_not_understood_fail_closed(kind: str, fields: Any, words: str) -> None:
    """Upstream's words: an accepting rule matches no traffic, any other is a rule that denies all."""
    assert rule(kind, Action.ACCEPT, **fields) == (
        Rule((), None, Action.ACCEPT),
        [f"spec.egress[0].{words}; the rule matches nothing"],
    )
    for action in (Action.DENY, Action.PASS):
        if (kind, action) != ("BaselineAdminNetworkPolicy", Action.PASS):
            denial = [f"spec.egress[0].{words}; the rule denies everything"]
            assert rule(kind, action, **fields) == (DENY_ALL, denial)


@pytest.mark.parametrize(("field", "entry", "words"), BAD_PORTS, ids=str)
def test_ports_that_are_not_understood_fail_closed(field: str, entry: Any, words: str) -> None:
    """In the same way as peers: what the rule is about is not known."""
    kind = NEW if field == "protocols" else "AdminNetworkPolicy"
    accepting, said = rule(kind, Action.ACCEPT, to=[ALL], **{field: [entry]})
    assert (accepting, len(said)) == (Rule((), None, Action.ACCEPT), 1)
    assert said[0].startswith(f"spec.egress[0].{words}") and said[0].endswith("; the rule matches nothing")
    assert rule(kind, Action.DENY, to=[ALL], **{field: [entry]})[0] == DENY_ALL


@pytest.mark.parametrize("peer", ["nodes", "networks"])
def test_nodes_and_networks_are_no_sources(peer: str) -> None:
    """Only egress rules have them."""
    found, said = rule(NEW, Action.DENY, "ingress", **{"from": [{peer: {} if peer == "nodes" else ["0.0.0.0/0"]}]})
    assert found == DENY_ALL
    assert said == [
        f"spec.ingress[0].from[0]: has {peer}, not exactly one that is known here; the rule denies everything"
    ]


def test_a_rule_keeps_its_name_when_it_fails_closed() -> None:
    """Explanations name it."""
    assert rule(NEW, Action.DENY, name="no-cloud", to=[{"clouds": []}])[0].name == "no-cloud"


def test_networks_of_ipv6_alone_match_nobody() -> None:
    """That is what they say in a cluster without IPv6, whatever the action."""
    assert rule(NEW, Action.DENY, to=[{"networks": ["::/0"]}]) == (Rule((), None, Action.DENY), [])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"subject": {}}, "spec.subject: has no field, not exactly one that is known here; the policy has no effect"),
        ({"subject": None}, "spec.subject: has no field, not exactly one that is known here; the policy has no effect"),
        (
            {"subject": {"vms": {}}},
            "spec.subject: has vms, not exactly one that is known here; the policy has no effect",
        ),
        ({"tier": "NetworkPolicy"}, "spec.tier: unknown tier NetworkPolicy; the policy has no effect"),
    ],
    ids=str,
)
def test_a_policy_whose_subject_or_tier_is_not_understood_has_no_rules(spec: Any, words: str) -> None:
    """It says so; nobody knows whom it would be for."""
    obj = policy(**spec, egress=[{"action": "Deny", "to": [ALL]}])
    found = policy_from_object(obj)
    assert (found.ingress, found.egress, found.directions) == ((), (), frozenset())
    assert unsupported(obj) == [words]


def test_a_selector_of_the_subject_that_is_not_understood() -> None:
    """No effect either."""
    selector = {"matchExpressions": [{"key": "a", "operator": "Lt", "values": ["1"]}]}
    obj = policy(subject={"namespaces": selector}, egress=[{"action": "Deny", "to": [ALL]}])
    assert policy_from_object(obj).egress == ()
    where = "spec.subject.namespaces.matchExpressions[0].operator"
    assert unsupported(obj) == [f"{where}: unknown operator Lt; the policy has no effect"]
