"""kubectl and kubinet with network policies of all kinds: what is accepted, printed, explained and refused."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from kubinet.cli.main import run

pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]

POLICIES = """
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: fence}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {}}
  egress:
  - {action: Accept, to: [{domainNames: [example.com]}, {networks: ["10.0.0.0/8"]}]}
  - {action: Deny, to: [{networks: ["0.0.0.0/0"]}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: older}
spec:
  priority: 20
  subject: {namespaces: {}}
  ingress: [{action: Pass, from: [{namespaces: {}}], ports: [{portNumber: {port: 80, protocol: TCP}}]}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
"""
GROUP = "policy.networking.k8s.io"


def test_cluster_wide_policies_live_as_objects_of_crds_do(kubectl: Kubectl) -> None:
    """Applied twice, printed in the CRDs' columns by their short names, described, patched, deleted."""
    created = kubectl("apply", "-f", "-", stdin=POLICIES)
    assert created.stdout.splitlines() == [
        f"clusternetworkpolicy.{GROUP}/fence created",
        f"adminnetworkpolicy.{GROUP}/older created",
        f"baselineadminnetworkpolicy.{GROUP}/default created",
    ]
    assert created.stderr == (
        "Warning: spec.egress[0].to[0].domainNames is not enforced: names are not resolved here, and the whole rule "
        "matches nothing; name addresses in networks\n"
    )
    again = kubectl("apply", "-f", "-", stdin=POLICIES).stdout.splitlines()
    assert [line.rpartition(" ")[2] for line in again] == ["unchanged"] * 3
    cells = [line.split()[:-1] for line in kubectl("get", "cnp").stdout.splitlines()]
    assert cells == [["NAME", "TIER", "PRIORITY"], ["fence", "Admin", "10"]]
    cells = [line.split()[:-1] for line in kubectl("get", "anp").stdout.splitlines()]
    assert cells == [["NAME", "PRIORITY"], ["older", "20"]]
    assert kubectl("get", "banp", "-o", "name").stdout == f"baselineadminnetworkpolicy.{GROUP}/default\n"
    assert "Domain Names:" in kubectl("describe", "cnp", "fence").stdout
    kubectl("patch", "cnp", "fence", "--type=merge", "-p", '{"spec": {"priority": 11}}')
    assert kubectl("get", "cnp", "fence", "-o", "jsonpath={.metadata.generation}").stdout == "2"
    refused = kubectl("patch", "cnp", "fence", "--type=strategic", "-p", '{"spec": {"priority": 12}}', code=1).stderr
    assert "application/strategic-merge-patch+json is not supported by policy.networking.k8s.io" in refused
    kubectl("delete", "cnp,anp,banp", "--all")
    assert kubectl("get", "cnp,anp,banp").stdout == ""


def test_the_status_of_a_policy_is_written_apart(kubectl: Kubectl) -> None:
    """Conditions are written through /status only, do not count as a change of the policy, and have bounds too."""
    kubectl("apply", "-f", "-", stdin=POLICIES)
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "InForce",
        "message": "",
        "lastTransitionTime": "2026-11-25T10:00:00Z",
    }
    change = json.dumps({"status": {"conditions": [condition]}})
    kubectl("patch", "cnp", "fence", "--type=merge", "-p", change)
    assert kubectl("get", "cnp", "fence", "-o", "jsonpath={.status}").stdout == ""
    kubectl("patch", "cnp", "fence", "--type=merge", "--subresource=status", "-p", change)
    shown = kubectl(
        "get", "cnp", "fence", "-o", "jsonpath={.status.conditions[0].reason} {.metadata.generation}"
    ).stdout
    assert shown == "InForce 1"
    wrong = json.dumps({"status": {"conditions": [condition | {"status": "Perhaps"}]}})
    refused = kubectl("patch", "cnp", "fence", "--type=merge", "--subresource=status", "-p", wrong, code=1).stderr
    assert 'status.conditions[0].status: Unsupported value: "Perhaps": supported values: "True", "False", ' in refused
    kubectl("delete", "cnp,anp,banp", "--all")


def test_explain_and_api_resources_know_the_kinds(kubectl: Kubectl) -> None:
    """Discovery names the kinds with the newer version first; their fields are explained in upstream's words."""
    listed = kubectl("api-resources", f"--api-group={GROUP}", "--no-headers").stdout
    assert [line.split() for line in sorted(listed.splitlines())] == [
        ["adminnetworkpolicies", "anp", f"{GROUP}/v1alpha1", "false", "AdminNetworkPolicy"],
        ["baselineadminnetworkpolicies", "banp", f"{GROUP}/v1alpha1", "false", "BaselineAdminNetworkPolicy"],
        ["clusternetworkpolicies", "cnp", f"{GROUP}/v1alpha2", "false", "ClusterNetworkPolicy"],
    ]
    group = json.loads(kubectl("get", "--raw", f"/apis/{GROUP}").stdout)
    assert group["preferredVersion"]["version"] == "v1alpha2"
    explained = kubectl("explain", "cnp.spec.egress.to.networks").stdout
    assert explained.startswith(f"GROUP:      {GROUP}\nKIND:       ClusterNetworkPolicy\nVERSION:    v1alpha2\n")
    assert "FIELD: networks <[]string>" in explained
    assert "FIELD: portRange <Object>" in kubectl("explain", "banp.spec.ingress.ports.portRange").stdout


def test_kubinet_gets_and_describes_them(
    kubectl: Kubectl, server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kubinet get` and `describe` take the short names; a description says which pods are selected now."""
    client = server.client()
    monkeypatch.setattr("kubinet.cli.connection.client_of", lambda _cluster: client)
    spec = {"containers": [{"name": "c", "image": "i"}]}
    client.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "spec": spec})
    kubectl("apply", "-f", "-", stdin=POLICIES)
    assert run(["get", "cnp"]) == 0
    assert [line.split()[:-1] for line in capsys.readouterr().out.splitlines()] == [
        ["NAME", "TIER", "PRIORITY"],
        ["fence", "Admin", "10"],
    ]
    assert run(["describe", "banp", "default"]) == 0
    shown = capsys.readouterr().out
    assert "  Tier:  Baseline\n" in shown
    assert "  Selected pods:  default/a\n" in shown
    assert run(["delete", "cnp,anp,banp", "--all"]) == 0


NETWORK_POLICY = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}}
BLOCK = {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"spec": {"priority": 1001}},
            "spec.priority: Invalid value: 1001: spec.priority in body should be less than or ",
        ),
        (
            {"spec": {"priority": "high"}},
            'spec.priority: Invalid value: "string": spec.priority in body must be of type ',
        ),
        ({"spec": {"prio": 1}}, 'strict decoding error: unknown field "spec.prio"'),
        ({"spec": {"subject": {}}}, "spec.subject: Invalid value: 0: spec.subject in body should have at least 1 prop"),
    ],
)
def test_bad_cluster_wide_policies_are_refused(
    kubectl: Kubectl, change: dict[str, dict[str, object]], told: str
) -> None:
    """kubectl shows the field and why, by apply and by server-side apply alike."""
    policy = next(yaml.safe_load_all(POLICIES))
    policy = {**policy, "metadata": {"name": "bad"}, "spec": {**policy["spec"], **change["spec"]}}
    for how in ((), ("--server-side",)):
        assert told in kubectl("apply", *how, "-f", "-", stdin=json.dumps(policy), code=1).stderr


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"ingress": [{"from": [{"ipBlock": BLOCK}]}]}, "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "),
        ({"ingress": [{"from": [{}]}]}, "spec.ingress[0].from[0]: Required value: must specify a peer"),
        ({"ingress": [{"ports": [{"port": "a", "endPort": 5}]}]}, "spec.ingress[0].ports[0].endPort: Invalid value: 5"),
        ({"ingress": [{"to": []}]}, 'strict decoding error: unknown field "spec.ingress[0].to"'),
        ({"egress": {}}, "cannot unmarshal object into field spec.egress of type array"),
    ],
)
def test_bad_network_policies_are_refused(kubectl: Kubectl, spec: dict[str, object], told: str) -> None:
    """kubectl shows the field and why."""
    policy = json.dumps({**NETWORK_POLICY, "spec": {"podSelector": {}, **spec}})
    assert told in kubectl("create", "-f", "-", stdin=policy, code=1).stderr


def test_what_has_no_effect_is_warned_of(kubectl: Kubectl) -> None:
    """A NetworkPolicy that is in force is stored without a word; rules of a direction that does not count are told."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert kubectl("apply", "-f", "-", stdin=json.dumps({**NETWORK_POLICY, "spec": spec})).stderr == ""
    more = {**NETWORK_POLICY, "spec": {**spec, "egress": [{}]}}
    told = "Warning: spec.egress is ignored: spec.policyTypes does not have Egress\n"
    assert kubectl("apply", "-f", "-", stdin=json.dumps(more)).stderr == told
    kubectl("delete", "netpol", "p")
