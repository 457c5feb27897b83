"""Cluster-wide policies: every bound of upstream's CRDs is enforced with the API server's paths and texts."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policyapi import Object, Step, changed, create, kind, path, refusal, steps, warnings

from controller.api import crds
from controller.api.columns import Column
from controller.api.registry import Kind, StatusPart
from kubinet.policyobjects import unsupported

SELECTOR = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["a", "b"]}],
}
PODS = {"pods": {"namespaceSelector": SELECTOR, "podSelector": SELECTOR}}
PEERS = [PODS, {"namespaces": SELECTOR}]
OUTER = [*PEERS, {"nodes": SELECTOR}, {"networks": ["10.0.0.0/8", "192.168.0.0/16"]}]
PROTOCOLS = [
    {"tcp": {"destinationPort": {"number": 80}}},
    {"udp": {"destinationPort": {"range": {"start": 1, "end": 65535}}}},
    {"sctp": {"destinationPort": {"number": 9}}},
]
PORTS = [
    {"portNumber": {"port": 80, "protocol": "TCP"}},
    {"portRange": {"start": 1, "end": 65535, "protocol": "SCTP"}},
]


def _full(allow: str, ports: dict[str, Any], named: dict[str, Any], **more: Any) -> Object:
    field = next(iter(ports))
    spec = {
        "subject": PODS,
        "ingress": [{"name": "in", "action": allow, "from": PEERS, field: [*ports[field], named]}],
        "egress": [{"name": "out", "action": "Deny", "to": OUTER, **ports}],
    }
    return {"metadata": {"name": "default"}, "spec": spec | more}


FULL = {
    "ClusterNetworkPolicy": _full(
        "Accept", {"protocols": PROTOCOLS}, {"destinationNamedPort": "web"}, tier="Admin", priority=7
    ),
    "AdminNetworkPolicy": _full("Allow", {"ports": PORTS}, {"namedPort": "web"}, priority=7),
    "BaselineAdminNetworkPolicy": _full("Allow", {"ports": PORTS}, {"namedPort": "web"}),
}
WAYS = [(name, way) for name, full in FULL.items() for way in steps(full) if way[0] == "spec"]
UNCHECKED = (
    'Invalid value: "null": some validation rules were not checked because the object was invalid; '
    "correct the existing errors to complete validation"
)
TYPES = {dict: "object", list: "array", str: "string", int: "integer", bool: "boolean", float: "number"}


def _ids(case: object) -> str:
    return path(case) if isinstance(case, tuple) else str(case)


def _schema(name: str, way: tuple[Step, ...]) -> Object:
    node = crds.definitions()[kind(name).schema]
    for step in way:
        if isinstance(step, int):
            node = node["items"]
        else:
            node = node["properties"][step] if "properties" in node else node["additionalProperties"]
    return node


def cluster(**spec: Any) -> Object:
    subject = {"namespaces": {}}
    return {"metadata": {"name": "p"}, "spec": {"tier": "Admin", "priority": 1, "subject": subject, **spec}}


def egress(*peers: Any, action: str = "Accept", **more: Any) -> Object:
    return cluster(egress=[{"action": action, "to": list(peers), **more}])


@pytest.mark.parametrize("name", FULL)
def test_a_policy_with_every_field_is_stored_as_it_is(name: str) -> None:
    """A policy that uses every field is accepted, without a warning; versions are counted."""
    stored = create(name, FULL[name])
    assert (stored["spec"], stored["metadata"]["generation"]) == (FULL[name]["spec"], 1)
    assert warnings(name, FULL[name]) == []


@pytest.mark.parametrize(("name", "way"), WAYS, ids=_ids)
def test_every_field_of_a_wrong_type_or_null_is_refused_by_name(name: str, way: tuple[Step, ...]) -> None:
    """Another JSON type, null too, is a 422 that names the field and both types."""
    wanted = _schema(name, way)["type"]
    wrong = [value for value in ({}, [], 1.5, 7, True, "x") if TYPES[type(value)] != wanted]
    for value in [*wrong, *([] if "default" in _schema(name, way) else [None])]:
        got = TYPES.get(type(value), "null")
        text = f'Invalid value: "{got}": {path(way)} in body must be of type {wanted}: "{got}"'
        assert refusal(name, changed(FULL[name], way, value)) == (422, {path(way): text, "<nil>": UNCHECKED})


@pytest.mark.parametrize(("name", "way"), [case for case in WAYS if isinstance(case[1][-1], str)], ids=_ids)
def test_every_required_field_is_required(name: str, way: tuple[Step, ...]) -> None:
    """An absent field is refused when the schema requires it, or leaves an empty choice; others may be absent."""
    above, node = _schema(name, way[:-1]), _schema(name, way)
    value: Any = FULL[name]
    for step in way[:-1]:
        value = value[step]
    expected: tuple[int, Any] = (201, "")
    if way[-1] in above.get("required", ()) and "default" not in node:
        expected = (422, {path(way): "Required value", "<nil>": UNCHECKED})
    elif len(value) == above.get("minProperties"):
        text = f"Invalid value: 0: {path(way[:-1])} in body should have at least 1 properties"
        expected = (422, {path(way[:-1]): text})
    elif way[-1] == "values":
        expected = (422, {path(way): "Required value: must be specified when `operator` is 'In' or 'NotIn'"})
    assert refusal(name, changed(FULL[name], way, ...)) == expected


FITTING: Object = {
    "namespaces": {}, "pods": PODS["pods"], "domainNames": ["a.b"], "networks": ["10.0.0.0/8"],
    "destinationNamedPort": "a", "sctp": {"destinationPort": {"number": 1}},
    "number": 1, "range": {"start": 1, "end": 2}, "namedPort": "a", "portNumber": {"port": 1},
}  # fmt: skip
"""Of each field that may stand alone only."""


def _out_of_bounds(node: Object, value: Any) -> list[tuple[Any, str]]:
    """Values just outside of each bound that the schema has here, with what is said of them."""
    found: list[tuple[Any, str]] = []
    for word, text in (("minimum", "greater than or equal to"), ("maximum", "less than or equal to")):
        if word in node:
            beyond = node[word] + (-1 if word == "minimum" else 1)
            found.append((beyond, f"Invalid value: {beyond}: {{}} in body should be {text} {node[word]}"))
    if "maxLength" in node:
        found.append(("x" * (node["maxLength"] + 1), f"Too long: may not be more than {node['maxLength']} bytes"))
    if "minItems" in node:
        found.append(([], "Invalid value: 0: {} in body should have at least 1 items"))
    if "maxItems" in node:
        many = node["maxItems"] + 1
        items = (
            [f"10.{i // 250}.{i % 250}.0/24" for i in range(many)] if value[0] == "10.0.0.0/8" else [value[0]] * many
        )
        found.append((items, f"Too many: {many}: must have at most {node['maxItems']} items"))
    if "enum" in node:
        words = ", ".join(f'"{word}"' for word in node["enum"])
        found.append(("Else", f'Unsupported value: "Else": supported values: {words}'))
    if "minProperties" in node:
        found.append(({}, f"Invalid value: 0: {{}} in body should have at least {node['minProperties']} properties"))
    if "maxProperties" in node:
        names = list(node["properties"])[:2]
        found.append(({field: FITTING[field] for field in names}, "Too many: 2: must have at most 1 items"))
    return found


def test_every_bound_of_the_schema_is_enforced() -> None:
    """One more or less than each minimum, maximum, enum, count or length is a 422 with the field's path."""
    checked = 0
    for name, way in WAYS:
        value: Any = FULL[name]
        for step in way:
            value = value[step]
        for wrong, text in _out_of_bounds(_schema(name, way), value):
            code, causes = refusal(name, changed(FULL[name], way, wrong))
            assert isinstance(causes, dict)
            assert (code, causes.pop(path(way))) == (422, text.format(path(way)))
            assert set(causes) <= {"<nil>", path(way[:-1])}  # of a range whose start is beyond its end
            checked += 1
    assert checked > 150


START_END = "Start port must be less than End port"
NAMELESS = (
    "networks/nodes/domainNames peer cannot be set with namedPorts since there are no namedPorts for "
    "networks/nodes/domainNames"
)
PATTERN = (
    "spec.egress[0].to[0].domainNames[0] in body should match "
    r"'^(\*\.)?([a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$'"
)
NETWORK = {"networks": ["10.0.0.0/8"]}
NOT_RESOLVED = "is only supported for rules that accept: names are not resolved, and this rule would do nothing"


@pytest.mark.parametrize(
    ("obj", "field", "text"),
    [
        (
            cluster(priority=1001),
            "spec.priority",
            "Invalid value: 1001: spec.priority in body should be less than or equal to 1000",
        ),
        (
            egress(NETWORK, protocols=[{"tcp": {"destinationPort": {"range": {"start": 9, "end": 9}}}}]),
            "spec.egress[0].protocols[0].tcp.destinationPort.range",
            f'Invalid value: "object": {START_END}',
        ),
        (
            egress(PODS, NETWORK, protocols=[{"destinationNamedPort": "web"}]),
            "spec.egress[0]",
            f'Invalid value: "object": {NAMELESS}',
        ),
        (
            egress({"nodes": {}}, protocols=[{"destinationNamedPort": "web"}]),
            "spec.egress[0]",
            f'Invalid value: "object": {NAMELESS}',
        ),
        (
            egress({"networks": ["10.0.0.0/8", "010.0.0.0/8"]}),
            "spec.egress[0].to[0].networks[1]",
            'Invalid value: "string": Invalid CIDR format provided',
        ),
        (
            egress({"networks": ["10.0.0.0"]}),
            "spec.egress[0].to[0].networks[0]",
            'Invalid value: "string": Invalid CIDR format provided',
        ),
        (
            egress({"networks": ["::ffff:10.0.0.0/104"]}),
            "spec.egress[0].to[0].networks[0]",
            'Invalid value: "string": Invalid CIDR format provided',
        ),
        (
            egress({"networks": ["10.0.0.0/8", "10.0.0.0/8"]}),
            "spec.egress[0].to[0].networks[1]",
            'Duplicate value: "10.0.0.0/8"',
        ),
        (egress({"domainNames": ["com"]}), "spec.egress[0].to[0].domainNames[0]", f'Invalid value: "com": {PATTERN}'),
        (
            egress({"domainNames": ["a.b\n"]}),
            "spec.egress[0].to[0].domainNames[0]",
            f'Invalid value: "a.b\\n": {PATTERN}',
        ),
        (
            egress({"domainNames": ["a.b"]}, action="Deny"),
            "spec.egress[0].to[0].domainNames",
            f"Forbidden: {NOT_RESOLVED}",
        ),
        (
            egress({"domainNames": ["a.b"]}, action="Pass"),
            "spec.egress[0].to[0].domainNames",
            f"Forbidden: {NOT_RESOLVED}",
        ),
        (
            cluster(subject={"namespaces": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}),
            "spec.subject.namespaces.matchExpressions[0].operator",
            'Invalid value: "Gt": not a valid selector operator',
        ),
        (
            egress({"nodes": {"matchExpressions": [{"key": "", "operator": "Exists"}]}}),
            "spec.egress[0].to[0].nodes.matchExpressions[0].key",
            'Invalid value: "": name part must be non-empty',
        ),
        (
            cluster(subject={"pods": {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}}),
            "spec.subject.pods.podSelector.matchExpressions[0].values",
            "Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused(obj: Object, field: str, text: str) -> None:
    """The CRD's rules hold; what the CRD leaves open and nothing could match is refused as well."""
    assert refusal("ClusterNetworkPolicy", obj) == (422, {field: text})


@pytest.mark.parametrize(
    ("ports", "field", "text"),
    [
        (
            [{"portNumber": {"port": 1, "protocol": "ICMP"}}],
            "spec.ingress[0].ports[0].portNumber.protocol",
            'Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            [{"portRange": {"start": 9, "end": 8}}],
            "spec.ingress[0].ports[0].portRange.end",
            "Invalid value: 8: must be greater than or equal to `start`",
        ),
    ],
)
@pytest.mark.parametrize("name", ["AdminNetworkPolicy", "BaselineAdminNetworkPolicy"])
def test_ports_that_nothing_can_match_are_refused(name: str, ports: list[Object], field: str, text: str) -> None:
    """v1alpha1's schema takes any protocol and any range: what could not be enforced is refused."""
    assert refusal(name, changed(FULL[name], ("spec", "ingress", 0, "ports"), ports)) == (422, {field: text})


@pytest.mark.parametrize("name", ["AdminNetworkPolicy", "BaselineAdminNetworkPolicy"])
def test_ports_are_tcp_unless_they_say_otherwise(name: str) -> None:
    """An absent or null protocol is TCP; a whole number may be written with a fraction."""
    ports = [{"portNumber": {"port": 80.0}}, {"portRange": {"start": 1, "end": 2, "protocol": None}}]
    stored = create(name, changed(FULL[name], ("spec", "ingress", 0, "ports"), ports))
    assert stored["spec"]["ingress"][0]["ports"] == [
        {"portNumber": {"port": 80, "protocol": "TCP"}},
        {"portRange": {"start": 1, "end": 2, "protocol": "TCP"}},
    ]
    assert type(stored["spec"]["ingress"][0]["ports"][0]["portNumber"]["port"]) is int


def test_the_baseline_admin_policy_is_named_default() -> None:
    """There is one BaselineAdminNetworkPolicy; other kinds have any name."""
    other = changed(FULL["BaselineAdminNetworkPolicy"], ("metadata", "name"), "other")
    told = 'Only one baseline admin network policy with metadata.name="default" can be created in the cluster'
    assert refusal("BaselineAdminNetworkPolicy", other) == (422, {"<nil>": f'Invalid value: "object": {told}'})
    assert refusal("AdminNetworkPolicy", changed(FULL["AdminNetworkPolicy"], ("metadata", "name"), "other")) == (
        201,
        "",
    )


def test_names_of_nodes_peers_have_no_named_ports_in_older_kinds() -> None:
    """v1alpha1's rules against port names beside networks and nodes hold, in each kind's words."""
    peers = [{"nodes": {}}]
    for name, told in (("AdminNetworkPolicy", NAMELESS), ("BaselineAdminNetworkPolicy", "networks/nodes peer cannot")):
        obj = changed(FULL[name], ("spec", "egress", 0), {"action": "Deny", "to": peers, "ports": [{"namedPort": "a"}]})
        code, causes = refusal(name, obj)
        assert isinstance(causes, dict)
        assert (code, list(causes)) == (422, ["spec.egress[0]"])
        assert causes["spec.egress[0]"].startswith(f'Invalid value: "object": {told}')


def test_unknown_fields_and_wrong_metadata_are_bad_requests() -> None:
    """Strict validation names unknown fields at any depth; metadata is checked as everywhere."""
    obj = egress({"networks": ["10.0.0.0/8"]}, ports=[])
    told = 'strict decoding error: unknown field "spec.egress[0].ports"'
    assert refusal("ClusterNetworkPolicy", obj) == (400, told)
    assert "ports" not in create("ClusterNetworkPolicy", obj, "Ignore")["spec"]["egress"][0]
    code, message = refusal("ClusterNetworkPolicy", {"metadata": {"name": 5}, "spec": {}})
    assert (code, "field metadata.name of type string" in str(message)) == (400, True)
    nothing = {"metadata.name": "Required value: name or generateName is required"}
    assert refusal("ClusterNetworkPolicy", {"metadata": None, "spec": 7}) == (422, nothing)


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (cluster(), ["spec has no rules: this policy has no effect"]),
        (cluster(ingress=[], egress=[]), ["spec has no rules: this policy has no effect"]),
        (
            egress({"domainNames": ["*.example.com"]}, PODS),
            [
                "spec.egress[0].to[0].domainNames is not enforced: names are not resolved here, and the whole rule "
                "matches nothing; name addresses in networks"
            ],
        ),
        (
            egress({"networks": ["10.0.0.0/8", "2001:db8::/32", "10.1.2.3/16"]}, action="Deny"),
            [
                "spec.egress[0].to[0].networks[1]: 2001:db8::/32 matches nothing: this cluster has IPv4 only",
                "spec.egress[0].to[0].networks[2]: 10.1.2.3/16 has host bits: it is read as 10.1.0.0/16",
            ],
        ),
    ],
)
def test_what_has_no_effect_is_accepted_and_told(obj: Object, told: list[str]) -> None:
    """Domain names (in rules that accept), IPv6, host bits and policies without rules answer a warning."""
    assert warnings("ClusterNetworkPolicy", obj) == told


def test_what_the_documents_say_is_what_is_served() -> None:
    """Names, versions, scope, columns and the status subresource are the CRDs'."""

    def shown(served: Kind) -> tuple[Any, ...]:
        columns = tuple(column.name for column in served.columns if isinstance(column, Column))
        return served.key, served.version, served.short_names, served.namespaced, served.status, columns

    group, part = "policy.networking.k8s.io", StatusPart.SEPARATE
    assert [shown(kind(name)) for name in FULL] == [
        (f"clusternetworkpolicies.{group}", "v1alpha2", ("cnp",), False, part, ("Name", "Tier", "Priority", "Age")),
        (f"adminnetworkpolicies.{group}", "v1alpha1", ("anp",), False, part, ("Name", "Priority", "Age")),
        (f"baselineadminnetworkpolicies.{group}", "v1alpha1", ("banp",), False, part, ("Name", "Age")),
    ]
    row = [column.cell(create("ClusterNetworkPolicy", FULL["ClusterNetworkPolicy"])) for column in kind(
        "ClusterNetworkPolicy").columns]  # fmt: skip
    assert row == ["default", "Admin", "7", "0s"]


KEYS = [
    "spec", "subject", "tier", "priority", "ingress", "egress", "from", "to", "action", "protocols", "ports", "pods",
    "namespaces", "nodes", "networks", "domainNames", "podSelector", "tcp", "destinationPort", "range", "start", "end",
    "portRange", "matchLabels", "matchExpressions", "key", "operator", "values", "status",
]  # fmt: skip
WORDS = st.sampled_from(
    ["Admin", "Accept", "Allow", "Deny", "TCP", "In", "10.0.0.0/8", "::/0", "a.b", "a", "", "/", "é"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.sampled_from(WAYS), ANYTHING)
def test_any_part_replaced_by_anything_is_accepted_or_refused(case: tuple[str, tuple[Step, ...]], value: Any) -> None:
    """Whatever stands at any place of a policy is a 400, a 422, or is stored; then it is understood but for names."""
    name, way = case
    obj = changed(FULL[name], way, value)
    code, _ = refusal(name, obj)
    assert code in (201, 400, 422)
    if code == 201:
        told = unsupported(create(name, obj))
        assert [one for one in told if "domain names" not in one] == []
        assert bool(told) == any("domainNames" in one for one in warnings(name, obj))
