"""Field checks, defaulting and semantic validation of what the API stores."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api import codec, defaults, protobuf, validation
from controller.api.registry import KINDS, POD
from controller.api.schema import checker, definitions
from controller.api.status import StatusError
from controller.api.times import short_duration

KEYS = ["metadata", "spec", "containers", "name", "ports", "labels", "env", "data", "status"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING), st.sampled_from(KINDS))
def test_any_object_is_accepted_or_refused(obj: dict[str, Any], kind: Any) -> None:
    """No object makes the field check fail in another way than a 400; what passes holds no nulls in typed fields.

    Those of CRDs keep them: there a null is a cause of a 422.
    """
    body = json.dumps(obj).encode()
    try:
        decoded = codec.decode(body, "application/json", kind.schema, "Strict").object
    except StatusError as error:
        assert error.code == 400
        return
    if kind.schema and not kind.custom:
        assert None not in decoded.values()


@given(st.binary(max_size=200))
def test_any_protobuf_is_accepted_or_refused(data: bytes) -> None:
    """Damaged protobuf is a 400."""
    for body in (data, protobuf.MAGIC + data, protobuf.MAGIC + b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12" + data):
        try:
            protobuf.decode(body)
        except StatusError as error:
            assert error.code == 400


def test_every_definition_compiles() -> None:
    """Every vendored definition has a checker."""
    for name in definitions():
        checker(name)


def _pod(**spec: Any) -> dict[str, Any]:
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}
    defaults.pod(pod)
    return pod


def test_defaulting_is_idempotent() -> None:
    """A defaulted pod does not change when it is defaulted again."""
    pod = _pod(
        containers=[{"name": "c", "image": "i:1", "ports": [{"containerPort": 1}], "livenessProbe": {"exec": {}}}]
    )
    again = copy.deepcopy(pod)
    defaults.pod(again)
    assert again == pod


CONTAINER = {"name": "c", "image": "i"}
EXEC = {"exec": {"command": ["true"]}}


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        ({"containers": []}, "spec.containers", "Required value"),
        ({"containers": [CONTAINER, CONTAINER]}, "spec.containers[1].name", 'Duplicate value: "c"'),
        ({"containers": [{"name": "c"}]}, "spec.containers[0].image", "Required value"),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy", 'Unsupported value: "Sometimes"'),
        ({"hostname": "A"}, "spec.hostname", "a lowercase RFC 1123 label must consist of"),
        (
            {"containers": [{**CONTAINER, "ports": [{"containerPort": 70000}]}]},
            "spec.containers[0].ports[0].containerPort",
            "must be between 1 and 65535, inclusive",
        ),
        (
            {"containers": [{**CONTAINER, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
            "spec.containers[0].volumeMounts[0].name",
            'Not found: "v"',
        ),
        (
            {"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "lots"}}}]},
            "spec.containers[0].resources.requests[cpu]",
            "quantities must match the regular expression",
        ),
        ({"dnsPolicy": "None"}, "spec.dnsConfig.nameservers", "Required value: must provide at least one DNS"),
        (
            {"dnsConfig": {"nameservers": ["1.2.3"]}},
            "spec.dnsConfig.nameservers[0]",
            'Invalid value: "1.2.3": must',
        ),
        ({"dnsConfig": {"nameservers": ["192.0.2.1"] * 4}}, "spec.dnsConfig.nameservers", "not have more than 3 names"),
        ({"dnsConfig": {"searches": ["a.b", " x"]}}, "spec.dnsConfig.searches[1]", 'Invalid value: " x": a search'),
        ({"dnsConfig": {"searches": ["a"] * 33}}, "spec.dnsConfig.searches", "must not have more than 32 search paths"),
        ({"dnsConfig": {"searches": ["a" * 250] * 9}}, "spec.dnsConfig.searches", "not have more than 2048 characters"),
        (
            {"dnsConfig": {"options": [{"value": "5"}]}},
            "spec.dnsConfig.options[0]",
            "Required value: must not be empty",
        ),
        ({"hostAliases": [{"hostnames": ["a.b"]}]}, "spec.hostAliases[0].ip", 'Invalid value: "": must be a valid IP'),
        (
            {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a", "B"]}]},
            "spec.hostAliases[0].hostnames[1]",
            "a lowercase RFC 1123 subdomain must consist of",
        ),
        ({"tolerations": [{"value": "x"}]}, "spec.tolerations[0].operator", "operator must be Exists when `key` is"),
        (
            {"containers": [{**CONTAINER, "livenessProbe": {}}]},
            "spec.containers[0].livenessProbe",
            "Required value: must specify a handler type",
        ),
        (
            {"containers": [{**CONTAINER, "readinessProbe": {"grpc": {"port": 70000}}}]},
            "spec.containers[0].readinessProbe.grpc.port",
            "Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            {"containers": [{**CONTAINER, "livenessProbe": {**EXEC, "successThreshold": 2}}]},
            "spec.containers[0].livenessProbe.successThreshold",
            "Invalid value: 2: must be 1",
        ),
        (
            {"containers": [{**CONTAINER, "startupProbe": {**EXEC, "periodSeconds": -1}}]},
            "spec.containers[0].startupProbe.periodSeconds",
            "must be greater than or equal to 0",
        ),
        (
            {"containers": [{**CONTAINER, "readinessProbe": {**EXEC, "terminationGracePeriodSeconds": 1}}]},
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds",
            "must not be set for readinessProbes",
        ),
        (
            {"containers": [{**CONTAINER, "livenessProbe": {"httpGet": {"port": 1, "scheme": "FTP"}}}]},
            "spec.containers[0].livenessProbe.httpGet.scheme",
            'Unsupported value: "FTP"',
        ),
        (
            {"containers": [{**CONTAINER, "livenessProbe": {"tcpSocket": {"port": 0}}}]},
            "spec.containers[0].livenessProbe.tcpSocket.port",
            "must be between 1 and 65535, inclusive",
        ),
        (
            {"containers": [{**CONTAINER, "lifecycle": {"preStop": {"exec": {}}}}]},
            "spec.containers[0].lifecycle.preStop.exec.command",
            "Required value",
        ),
        (
            {"containers": [{**CONTAINER, "lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}]},
            "spec.containers[0].lifecycle.preStop.sleep.seconds",
            "less than terminationGracePeriodSeconds (30)",
        ),
        (
            {"containers": [CONTAINER], "initContainers": [{"name": "i", "image": "i", "livenessProbe": EXEC}]},
            "spec.initContainers[0].livenessProbe",
            "may not be set for init containers without restartPolicy=Always",
        ),
        ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds", "must be between 1 and 2147483647, inclusive"),
    ],
)
def test_pod_rules(spec: dict[str, Any], field: str, text: str) -> None:
    """A pod that breaks a rule is refused with the field's path."""
    causes = validation.pod(_pod(**spec), None)
    assert [(cause.field, text in cause.message) for cause in causes] == [(field, True)]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"type": "Any", "ports": [{"port": 1}]}, "spec.type"),
        ({}, "spec.ports"),
        ({"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[0].name"),
        ({"ports": [{"port": 0, "targetPort": 1}]}, "spec.ports[0].port"),
        ({"ports": [{"port": 1, "nodePort": 30000}]}, "spec.ports[0].nodePort"),
        ({"ports": [{"port": 1}], "clusterIP": "10.0.0.300"}, "spec.clusterIPs[0]"),
        ({"type": "ExternalName"}, "spec.externalName"),
    ],
)
def test_service_rules(spec: dict[str, Any], field: str) -> None:
    """A service that breaks a rule is refused with the field's path."""
    service = {"metadata": {"name": "s"}, "spec": spec}
    defaults.service(service)
    assert validation.service(service, None)[0].field == field


@pytest.mark.parametrize(
    ("peer", "field", "text"),
    [
        ({}, "", "must specify a peer"),
        ({"ipBlock": {"cidr": "10.0.0.0/33"}}, ".ipBlock.cidr", "must be a valid CIDR value"),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}, ".ipBlock.except[0]", "strict subset"),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}, ".ipBlock.except[0]", "strict subset"),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["fd00::/64"]}}, ".ipBlock.except[0]", "strict subset"),
        ({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}, "", "may not specify both ipBlock and another peer"),
        (
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            ".podSelector.matchExpressions[0].values",
            "must be specified when `operator` is 'In' or 'NotIn'",
        ),
    ],
)
def test_network_policy_peers(peer: dict[str, Any], field: str, text: str) -> None:
    """A peer that breaks a rule is refused with its path."""
    policy = {"metadata": {"name": "p"}, "spec": {"podSelector": {}, "ingress": [{"from": [peer]}]}}
    (cause,) = validation.network_policy(policy, None)
    assert (cause.field, text in cause.message) == (f"spec.ingress[0].from[0]{field}", True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (3600, "60m"), (4 * 3600 + 60, "4h1m"),
     (10 * 3600, "10h"), (3 * 86400, "3d"), (50 * 3600, "2d2h"), (800 * 86400, "2y70d"), (-5, "<invalid>")],
)  # fmt: skip
def test_ages(seconds: int, text: str) -> None:
    """Ages are printed as kubectl prints them."""
    assert short_duration(seconds) == text


def test_served_kinds_have_schemas() -> None:
    """Each upstream kind names a definition with its group, version and kind."""
    for kind in KINDS:
        if kind.schema:
            gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
            assert definitions()[kind.schema]["x-kubernetes-group-version-kind"] == [gvk]
    assert POD.key == "pods"
