"""NetworkPolicies that are wrong are refused with the field's path; what is accepted without effect is told."""

import time
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policyapi import Object, Step, changed, create, path, refusal, steps, warnings

from kubinet.policies import BlockPeer
from kubinet.policyobjects import policy_from_object, unsupported

SELECTOR = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}],
}
FULL: Object = {
    "metadata": {"name": "p"},
    "spec": {
        "podSelector": SELECTOR,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [
                    {"podSelector": SELECTOR, "namespaceSelector": SELECTOR},
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                ],
                "ports": [{"protocol": "TCP", "port": 80, "endPort": 90}, {"port": "http"}],
            }
        ],
        "egress": [
            {
                "to": [{"podSelector": SELECTOR}, {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}],
                "ports": [{"protocol": "SCTP", "port": 5}],
            }
        ],
    },
}
WAYS = [way for way in steps(FULL) if way[0] == "spec"]
FIELDS = [way for way in WAYS[1:] if isinstance(way[-1], str)]
ITEMS = [way for way in WAYS if isinstance(way[-1], int)]
EXCLUSIVE = "may not specify both ipBlock and another peer"
CIDR_TEXT = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
SUBSET_TEXT = 'must be a strict subset of `cidr`: "10.0.0.0/8"'
RANGE_TEXT = "must be between 1 and 65535, inclusive"
PROTOCOLS = 'supported values: "SCTP", "TCP", "UDP"'


def policy(**spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"podSelector": {}, **spec}}


def peer(**told: Any) -> Object:
    return policy(ingress=[{"from": [told]}])


def port(**told: Any) -> Object:
    return policy(ingress=[{"ports": [told]}])


def test_a_policy_with_every_field_is_stored_as_it_is() -> None:
    """A policy that uses every field is accepted, without a warning, and gets the protocol that it leaves out."""
    stored = create("NetworkPolicy", FULL)
    assert stored["spec"] == changed(FULL, ("spec", "ingress", 0, "ports", 1, "protocol"), "TCP")["spec"]
    assert warnings("NetworkPolicy", FULL) == []


def _wrong(value: Any) -> list[Any]:
    every = [{}, [], 1.5, 7, True, "x"]
    alike: tuple[type, ...] = (int, float) if type(value) is float else (type(value),)
    return [one for one in every if type(one) not in alike]


@pytest.mark.parametrize("way", WAYS, ids=path)
def test_every_field_of_a_wrong_type_is_refused_by_name(way: tuple[Step, ...]) -> None:
    """A value of another JSON type is a 400 that names the field; `port` alone may be a number or a name."""
    value: Any = FULL
    for step in way:
        value = value[step]
    for wrong in _wrong(value):
        if way[-1] == "port" and type(wrong) in (int, str):
            continue
        code, message = refusal("NetworkPolicy", changed(FULL, way, wrong))
        assert code == 400, (wrong, message)
        assert f" into field {path(way)} of type " in str(message)


NEEDED = {
    "key": 'Invalid value: "": name part must be non-empty',
    "operator": 'Invalid value: "": not a valid selector operator',
    "values": "Required value: must be specified when `operator` is 'In' or 'NotIn'",
    "cidr": "Required value",
}


@pytest.mark.parametrize("way", FIELDS, ids=path)
def test_every_field_may_be_absent_but_those_that_say_something(way: tuple[Step, ...]) -> None:
    """Absent and null are the same: refused where a block, a peer or an expression would say nothing, else accepted."""
    expected: tuple[int, str | dict[str, str]] = (201, "")
    if way[-1] in NEEDED:
        expected = (422, {path(way): NEEDED[str(way[-1])]})
    elif way[-1] == "ipBlock" or path(way) == "spec.egress[0].to[0].podSelector":
        expected = (422, {path(way[:-1]): "Required value: must specify a peer"})
    elif way[-1] == "port" and "endPort" in FULL["spec"]["ingress"][0]["ports"][way[-2]] and way[1] == "ingress":
        why = "Invalid value: 90: may not be specified when `port` is not specified"
        expected = (422, {path((*way[:-1], "endPort")): why})
    assert refusal("NetworkPolicy", changed(FULL, way, ...)) == expected
    if way[-2] != "matchLabels":
        assert refusal("NetworkPolicy", changed(FULL, way, None)) == expected


@pytest.mark.parametrize("way", ITEMS, ids=path)
def test_a_null_item_of_a_list_is_refused(way: tuple[Step, ...]) -> None:
    """A rule, peer or port that is null would allow everything: it is a 400 that names it."""
    code, message = refusal("NetworkPolicy", changed(FULL, way, None))
    assert (code, f"cannot unmarshal null into field {path(way)} of type " in str(message)) == (400, True)


def test_without_anything_a_policy_isolates_every_pod_for_ingress() -> None:
    """An absent or null spec, selector or list of types is upstream's default; a null label is an empty one."""
    default = {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert create("NetworkPolicy", {"metadata": {"name": "p"}})["spec"] == default
    assert create("NetworkPolicy", {"metadata": {"name": "p"}, "spec": None})["spec"] == default
    assert create("NetworkPolicy", policy(podSelector=None, policyTypes=None))["spec"] == default
    assert create("NetworkPolicy", policy(policyTypes=[]))["spec"] == default
    assert create("NetworkPolicy", policy(egress=[{}]))["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert create("NetworkPolicy", policy(egress=[]))["spec"]["policyTypes"] == ["Ingress"]
    labels = {"podSelector": {"matchLabels": {"app": None}}}
    assert create("NetworkPolicy", policy(**labels))["spec"]["podSelector"] == {"matchLabels": {"app": ""}}


@pytest.mark.parametrize(
    ("obj", "field", "text"),
    [
        (port(port=0), "spec.ingress[0].ports[0].port", f"Invalid value: 0: {RANGE_TEXT}"),
        (port(port=65536), "spec.ingress[0].ports[0].port", f"Invalid value: 65536: {RANGE_TEXT}"),
        (port(port=-1), "spec.ingress[0].ports[0].port", f"Invalid value: -1: {RANGE_TEXT}"),
        (port(port=1 << 40), "spec.ingress[0].ports[0].port", f"Invalid value: 1099511627776: {RANGE_TEXT}"),
        (port(port=80, endPort=65536), "spec.ingress[0].ports[0].endPort", f"Invalid value: 65536: {RANGE_TEXT}"),
        (
            port(port=80, endPort=79),
            "spec.ingress[0].ports[0].endPort",
            "Invalid value: 79: must be greater than or equal to `port`",
        ),
        (
            port(port="http", endPort=90),
            "spec.ingress[0].ports[0].endPort",
            "Invalid value: 90: may not be specified when `port` is non-numeric",
        ),
        (
            port(port=""),
            "spec.ingress[0].ports[0].port",
            'Invalid value: "": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        ),
        (
            port(port="80"),
            "spec.ingress[0].ports[0].port",
            'Invalid value: "80": must contain at least one letter (a-z)',
        ),
        (
            port(port="a-name-of-16-cha"),
            "spec.ingress[0].ports[0].port",
            'Invalid value: "a-name-of-16-cha": must be no more than 15 characters',
        ),
        (
            port(protocol="ICMP", port=1),
            "spec.ingress[0].ports[0].protocol",
            f'Unsupported value: "ICMP": {PROTOCOLS}',
        ),
        (port(protocol="tcp", port=1), "spec.ingress[0].ports[0].protocol", f'Unsupported value: "tcp": {PROTOCOLS}'),
        (
            policy(policyTypes=["Ingress", "Both"]),
            "spec.policyTypes[1]",
            'Unsupported value: "Both": supported values: "Egress", "Ingress"',
        ),
        (
            policy(policyTypes=["Ingress", "Egress", "Ingress"]),
            "spec.policyTypes",
            'Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes',
        ),
        (peer(), "spec.ingress[0].from[0]", "Required value: must specify a peer"),
        (peer(ipBlock={"cidr": "10.0.0.0/8"}, podSelector={}), "spec.ingress[0].from[0]", f"Forbidden: {EXCLUSIVE}"),
        (
            peer(podSelector={"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}),
            "spec.ingress[0].from[0].podSelector.matchExpressions[0].operator",
            'Invalid value: "Gt": not a valid selector operator',
        ),
        (
            peer(namespaceSelector={"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["1"]}]}),
            "spec.ingress[0].from[0].namespaceSelector.matchExpressions[0].values",
            "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused(obj: Object, field: str, text: str) -> None:
    """A value out of range, or that contradicts another, is a 422 with upstream's path and text."""
    assert refusal("NetworkPolicy", obj) == (422, {field: text})


@pytest.mark.parametrize(
    "cidr",
    [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/255.0.0.0",
        "10.0.0.300/8",
        "::/129",
        "fe80::1%eth0/64",
        "pods",
        " 10.0.0.0/8",
    ],
)
def test_what_is_no_block_is_refused(cidr: str) -> None:
    """`cidr` and `except` are an address and a prefix length."""
    text = f'Invalid value: "{cidr}": {CIDR_TEXT}'
    assert refusal("NetworkPolicy", peer(ipBlock={"cidr": cidr})) == (
        422,
        {"spec.ingress[0].from[0].ipBlock.cidr": text},
    )
    inner = {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", cidr]}
    expected = {"spec.ingress[0].from[0].ipBlock.except[1]": text}
    assert refusal("NetworkPolicy", peer(ipBlock=inner)) == (422, expected)


@pytest.mark.parametrize("inner", ["11.0.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "10.0.0.0/7", "2001:db8::/64", "::/0"])
def test_an_exception_lies_inside_its_block(inner: str) -> None:
    """`except` outside `cidr`, equal to it, wider, or of the other family is refused."""
    expected = {"spec.egress[0].to[0].ipBlock.except[0]": f'Invalid value: "{inner}": {SUBSET_TEXT}'}
    rules = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": [inner]}}]}]
    assert refusal("NetworkPolicy", policy(egress=rules)) == (422, expected)


def test_every_broken_rule_is_named() -> None:
    """A policy with several faults is refused once, with a cause for each."""
    obj = policy(
        podSelector={"matchLabels": {"a b": "x"}},
        ingress=[{"ports": [{"port": 0}], "from": [{}, {"ipBlock": {"cidr": "x"}}]}],
        policyTypes=["None"],
    )
    code, causes = refusal("NetworkPolicy", obj)
    assert isinstance(causes, dict)
    assert (code, set(causes)) == (
        422,
        {
            "spec.podSelector.matchLabels",
            "spec.ingress[0].ports[0].port",
            "spec.ingress[0].from[0]",
            "spec.ingress[0].from[1].ipBlock.cidr",
            "spec.policyTypes[0]",
        },
    )


@pytest.mark.parametrize(
    ("obj", "field"),
    [
        (changed(FULL, ("spec", "ingress", 0, "to"), []), "spec.ingress[0].to"),
        (changed(FULL, ("spec", "egress", 0, "from"), []), "spec.egress[0].from"),
        (peer(namespaceSelector={"name": "x"}), "spec.ingress[0].from[0].namespaceSelector.name"),
        (peer(ipBlock={"cidr": "10.0.0.0/8", "ports": []}), "spec.ingress[0].from[0].ipBlock.ports"),
        (policy(podSelector={"matchlabels": {}}), "spec.podSelector.matchlabels"),
        ({"metadata": {"name": "p", "podSelector": {}}}, "metadata.podSelector"),
    ],
)
def test_unknown_fields_are_refused_by_strict_validation_alone(obj: Object, field: str) -> None:
    """kubectl asks for strict validation; a client that does not has the field dropped, as upstream does."""
    assert refusal("NetworkPolicy", obj) == (400, f'strict decoding error: unknown field "{field}"')
    assert create("NetworkPolicy", obj, "Ignore")["kind"] == "NetworkPolicy"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"ingress": [{"ports": [{"port": "nobody-has-it"}]}]}, []),
        (
            {"policyTypes": ["Egress"], "ingress": [{}]},
            ["spec.ingress is ignored: spec.policyTypes does not have Ingress"],
        ),
        (
            {"policyTypes": ["Ingress"], "egress": [{}]},
            ["spec.egress is ignored: spec.policyTypes does not have Egress"],
        ),
        ({"policyTypes": ["Egress"], "ingress": []}, []),
        (
            {"ingress": [{"from": [{"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}]}]},
            ["spec.ingress[0].from[0].ipBlock.cidr: 2001:db8::/32 matches nothing: this cluster has IPv4 only"],
        ),
        (
            {"egress": [{"to": [{"ipBlock": {"cidr": "10.1.2.3/8", "except": ["10.9.9.9/16"]}}]}]},
            [
                "spec.egress[0].to[0].ipBlock.cidr: 10.1.2.3/8 has host bits: it is read as 10.0.0.0/8",
                "spec.egress[0].to[0].ipBlock.except[0]: 10.9.9.9/16 has host bits: it is read as 10.9.0.0/16",
            ],
        ),
        (
            {"egress": [{"to": [{"ipBlock": {"cidr": "010.0.0.0/8"}}]}]},
            [
                "spec.egress[0].to[0].ipBlock.cidr: 010.0.0.0/8 is read as 10.0.0.0/8: leading zeros do not make a "
                "number octal"
            ],
        ),
    ],
)
def test_what_has_no_effect_is_accepted_and_told(spec: Object, told: list[str]) -> None:
    """Rules of a direction that does not count, IPv6 and blocks that are read otherwise answer a warning."""
    assert warnings("NetworkPolicy", policy(**spec)) == told


def test_leading_zeros_are_enforced_as_they_are_told() -> None:
    """The block that the warning names is the one that is in force."""
    obj = create("NetworkPolicy", peer(ipBlock={"cidr": "010.0.0.0/8", "except": ["10.020.0.0/16"]}))
    expected = BlockPeer(IPv4Network("10.0.0.0/8"), (IPv4Network("10.20.0.0/16"),))
    assert policy_from_object(obj).ingress[0].peers == (expected,)


def test_large_policies_are_accepted() -> None:
    """5,000 rules in one policy and a selector of 100 expressions are stored as they are, within 2 s."""
    rules = [
        {
            "from": [{"ipBlock": {"cidr": f"10.{i // 250}.{i % 250}.0/24"}}],
            "ports": [{"protocol": "TCP", "port": i + 1}],
        }
        for i in range(5000)
    ]
    terms = [{"key": f"k{i}", "operator": "NotIn", "values": [f"v{j}" for j in range(10)]} for i in range(100)]
    began = time.process_time()
    stored = create("NetworkPolicy", policy(ingress=rules, podSelector={"matchExpressions": terms}))
    assert time.process_time() - began < 2
    assert stored["spec"]["ingress"] == rules
    assert stored["spec"]["podSelector"]["matchExpressions"] == terms


KEYS = [
    "podSelector", "ingress", "egress", "from", "to", "ports", "port", "endPort", "protocol", "ipBlock", "cidr",
    "except", "policyTypes", "matchLabels", "matchExpressions", "key", "operator", "values",
]  # fmt: skip
WORDS = st.sampled_from(
    ["Ingress", "Egress", "TCP", "In", "Exists", "10.0.0.0/8", "10.1.0.0/16", "::/0", "a", "", "/", "é"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.sampled_from(WAYS), ANYTHING)
def test_any_part_replaced_by_anything_is_accepted_or_refused(way: tuple[Step, ...], value: Any) -> None:
    """Whatever stands at any place of a policy is a 400, a 422, or is stored; then all of it is understood."""
    obj = changed(FULL, way, value)
    code, _ = refusal("NetworkPolicy", obj)
    assert code in (201, 400, 422)
    if code == 201:
        assert unsupported(create("NetworkPolicy", obj)) == []
        assert isinstance(warnings("NetworkPolicy", obj), list)
