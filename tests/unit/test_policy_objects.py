"""NetworkPolicy objects to values."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from kubinet.errors import InvalidInputError
from kubinet.policies import (
    EVERYTHING,
    Action,
    BlockPeer,
    Direction,
    NamedPort,
    Operator,
    PodPeer,
    Policy,
    PortRange,
    Requirement,
    Rule,
    Selector,
    Tier,
)
from kubinet.policyobjects import KINDS, policy_from_object, unsupported
from kubinet.transport import Protocol

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
WEB = Selector((Requirement("app", Operator.IN, frozenset({"web"})),))
APP_WEB = {"matchLabels": {"app": "web"}}


def policy(**spec: Any) -> Any:
    return {"kind": "NetworkPolicy", "metadata": {"namespace": "shop", "name": "web"}, "spec": spec}


def rules(direction: str, *listed: Any) -> tuple[Rule, ...]:
    """The rules of a policy with these in one direction, all of which are understood."""
    obj = policy(podSelector={}, policyTypes=[direction.capitalize()], **{direction: list(listed)})
    assert unsupported(obj) == []
    return policy_from_object(obj).rules(Direction(direction.capitalize()))


def test_a_policy_in_full() -> None:
    """Everything that a NetworkPolicy says is in the value."""
    found = policy_from_object(
        policy(
            podSelector=APP_WEB,
            policyTypes=["Ingress", "Egress"],
            ingress=[{"from": [{"podSelector": APP_WEB}], "ports": [{"port": 80}]}],
            egress=[{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}],
        )
    )
    assert found == Policy(
        kind="NetworkPolicy",
        name="web",
        namespace="shop",
        tier=Tier.NAMESPACE,
        subject=PodPeer(None, WEB),
        directions=frozenset({INGRESS, EGRESS}),
        ingress=(Rule((PodPeer(None, WEB),), (PortRange(Protocol.TCP, 80, 80),)),),
        egress=(Rule((BlockPeer(IPv4Network("192.0.2.0/24")),), None),),
    )
    assert (found.key, found.priority) == ("NetworkPolicy/shop/web", 0)


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({}, [INGRESS]),
        ({"ingress": [{}]}, [INGRESS]),
        ({"egress": [{}]}, [INGRESS, EGRESS]),
        ({"egress": []}, [INGRESS]),
        ({"egress": None, "policyTypes": None}, [INGRESS]),
        ({"egress": [{}], "policyTypes": []}, [INGRESS, EGRESS]),
        ({"egress": [{}], "policyTypes": ["Ingress"]}, [INGRESS]),
        ({"ingress": [{}], "policyTypes": ["Egress"]}, [EGRESS]),
        ({"policyTypes": ["Egress", "Ingress"]}, [INGRESS, EGRESS]),
    ],
    ids=str,
)
def test_types_that_are_not_said(spec: dict[str, Any], directions: list[Direction]) -> None:
    """Ingress always, egress if there are rules for it. Rules of a direction that is not among them do not count."""
    found = policy_from_object(policy(podSelector={}, **spec))
    assert found.directions == set(directions)
    assert all(not found.rules(direction) for direction in set(Direction) - set(directions))


@pytest.mark.parametrize("spec", [None, {}, {"podSelector": None}, {"podSelector": {}}], ids=str)
def test_a_selector_that_is_absent_or_empty_selects_all_pods_of_the_namespace(spec: Any) -> None:
    """Of the policy's own."""
    found = policy_from_object({"kind": "NetworkPolicy", "metadata": {"namespace": "n", "name": "a"}, "spec": spec})
    assert (found.subject, found.directions) == (PodPeer(None, EVERYTHING), {INGRESS})


def test_a_manifest_without_namespace_is_of_the_default_one() -> None:
    """As kubectl has it."""
    assert policy_from_object({"kind": "NetworkPolicy", "metadata": {"name": "a"}}).namespace == "default"


def test_selectors() -> None:
    """Labels and expressions together; equal ones are equal values however they are written."""
    one = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "tier", "operator": "NotIn", "values": ["y", "x"]},
            {"key": "new", "operator": "Exists"},
            {"key": "old", "operator": "DoesNotExist", "values": None},
            {"key": "a", "operator": "In", "values": ["1"]},
        ],
    }
    expected = Selector(
        (
            Requirement("a", Operator.IN, frozenset({"1"})),
            Requirement("b", Operator.IN, frozenset({"2"})),
            Requirement("new", Operator.EXISTS),
            Requirement("old", Operator.DOES_NOT_EXIST),
            Requirement("tier", Operator.NOT_IN, frozenset({"x", "y"})),
        )
    )
    assert policy_from_object(policy(podSelector=one)).subject.pods == expected
    other = {"matchExpressions": [*reversed(one["matchExpressions"]), {"key": "b", "operator": "In", "values": ["2"]}]}
    assert policy_from_object(policy(podSelector=other)).subject.pods == expected


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_rules_without_peers_or_ports(direction: str) -> None:
    """Absent, null and empty lists mean anybody and everything; a list of rules that is empty allows nothing."""
    side = {"ingress": "from", "egress": "to"}[direction]
    assert rules(direction, {}, {side: [], "ports": []}, {side: None, "ports": None}) == (Rule(), Rule(), Rule())
    assert rules(direction) == ()


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}}, PodPeer(None)),
        ({"podSelector": APP_WEB}, PodPeer(None, WEB)),
        ({"podSelector": APP_WEB, "namespaceSelector": None}, PodPeer(None, WEB)),
        ({"namespaceSelector": {}}, PodPeer(EVERYTHING)),
        ({"namespaceSelector": APP_WEB, "podSelector": {}}, PodPeer(WEB)),
        ({"namespaceSelector": {}, "podSelector": APP_WEB}, PodPeer(EVERYTHING, WEB)),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, BlockPeer(IPv4Network("0.0.0.0/0"))),
        ({"ipBlock": {"cidr": "10.1.2.3/8", "except": None}}, BlockPeer(IPv4Network("10.0.0.0/8"))),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.8.7/16", "10.1.0.0/16"]}},
            BlockPeer(IPv4Network("10.0.0.0/8"), (IPv4Network("10.1.0.0/16"), IPv4Network("10.9.0.0/16"))),
        ),
    ],
    ids=str,
)
def test_peers(peer: Any, expected: Any) -> None:
    """Selectors that are absent and those that are empty differ: its own namespace, or every one."""
    assert rules("ingress", {"from": [peer]}) == (Rule((expected,)),)
    assert rules("egress", {"to": [peer]}) == (Rule((expected,)),)


def test_blocks_of_ipv6_match_nobody() -> None:
    """A rule that has only such blocks is not one without peers."""
    six = {"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}
    assert rules("ingress", {"from": [six]}) == (Rule(()),)
    assert rules("ingress", {"from": [six, {"podSelector": {}}]}) == (Rule((PodPeer(None),)),)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({}, PortRange(Protocol.TCP, 0, 65535)),
        ({"protocol": "SCTP"}, PortRange(Protocol.SCTP, 0, 65535)),
        ({"protocol": None, "port": 80, "endPort": None}, PortRange(Protocol.TCP, 80, 80)),
        ({"protocol": "UDP", "port": 53}, PortRange(Protocol.UDP, 53, 53)),
        ({"port": 8000, "endPort": 8080}, PortRange(Protocol.TCP, 8000, 8080)),
        ({"port": 8000, "endPort": 8000}, PortRange(Protocol.TCP, 8000, 8000)),
        ({"port": "web"}, NamedPort("web", Protocol.TCP)),
        ({"port": "dns", "protocol": "UDP"}, NamedPort("dns", Protocol.UDP)),
    ],
    ids=str,
)
def test_ports(port: Any, expected: Any) -> None:
    """The protocol is TCP where it is not said; a range has both its ends."""
    assert rules("ingress", {"ports": [port]}) == (Rule(None, (expected,)),)
    assert rules("egress", {"ports": [port]}) == (Rule(None, (expected,)),)


@pytest.mark.parametrize(
    ("rule", "expected", "words"),
    [
        (
            {"from": [{}]},
            Rule(()),
            "spec.ingress[0].from[0]: neither an ipBlock alone nor selectors alone; it allows nothing",
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]},
            Rule(()),
            "spec.ingress[0].from[0]: neither an ipBlock alone nor selectors alone; it allows nothing",
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/99"]}}]},
            Rule(()),
            "spec.ingress[0].from[0].ipBlock: '10.0.0.0/99' does not appear to be an IPv4 or IPv6 network; "
            "it allows nothing",
        ),
        (
            {"ports": [{"protocol": "ICMP"}]},
            Rule(None, ()),
            "spec.ingress[0].ports[0].protocol: unknown protocol ICMP; it allows nothing",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_not_understood_allows_nothing(rule: Any, expected: Rule, words: str) -> None:
    """The API refuses such policies; should one come from elsewhere, it opens nothing and says so."""
    obj = policy(podSelector={}, ingress=[rule])
    assert policy_from_object(obj).ingress == (expected,)
    assert unsupported(obj) == [words]


def test_an_unknown_operator_selects_nothing() -> None:
    """As a peer it opens nothing; as the policy's own selector it has no pods, and the policy says so."""
    selector = {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}
    obj = policy(podSelector=selector, ingress=[{"from": [{"podSelector": selector}]}])
    found = policy_from_object(obj)
    assert not found.subject.pods.matches({"a": "b"}) and not found.subject.pods.matches({})
    assert found.ingress[0].peers == (found.subject,)
    assert unsupported(obj) == [
        "spec.ingress[0].from[0].podSelector.matchExpressions[0].operator: unknown operator Like; it allows nothing",
        "spec.podSelector.matchExpressions[0].operator: unknown operator Like; the policy selects no pods",
    ]


@pytest.mark.parametrize("obj", [{"kind": "Service"}, {}], ids=["Service", "without kind"])
def test_other_objects(obj: Any) -> None:
    """The error names what there is."""
    with pytest.raises(InvalidInputError, match=f"no network policy; these are: {', '.join(KINDS)}"):
        policy_from_object(obj)


def test_rules_of_network_policies_accept() -> None:
    """There is no other action."""
    assert [rule.action for rule in rules("ingress", {}, {"ports": [{}]})] == [Action.ACCEPT, Action.ACCEPT]
