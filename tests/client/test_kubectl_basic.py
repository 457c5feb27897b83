"""kubectl against the API: objects, tables, apply, delete, describe, wait."""

import json
import subprocess
from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: demo, labels: {app: a}}
spec:
  containers: [{name: main, image: busybox, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: demo}
data: {key: value}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: demo}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


def test_version(kubectl: Kubectl) -> None:
    """The server announces 1.32, by which Google's kubectl chooses its own version."""
    told = json.loads(kubectl("version", "-o", "json").stdout)["serverVersion"]
    assert (told["major"], told["minor"]) == ("1", "32")


def test_get_prints_tables(kubectl: Kubectl, running_pod: str) -> None:
    """`get -o wide` shows address and node; `-o name`, `-o json`, `-o yaml` work."""
    lines = kubectl("get", "pods", "-o", "wide").stdout.splitlines()
    assert lines[0].split() == [
        "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES",
    ]  # fmt: skip
    cells = lines[1].split()
    assert (*cells[:4], *cells[5:]) == ("web", "1/1", "Running", "0", "10.244.1.2", "n1", "<none>", "<none>")
    assert kubectl("get", "pods", "-o", "name").stdout == "pod/web\n"
    assert json.loads(kubectl("get", "pod", "web", "-o", "json").stdout)["status"]["podIP"] == "10.244.1.2"
    assert "podIP: 10.244.1.2" in kubectl("get", "pod", "web", "-o", "yaml").stdout
    assert kubectl("get", "nodes", "--no-headers").stdout.split()[:2] == ["n1", "Ready"]


def test_apply_twice_and_delete(kubectl: Kubectl) -> None:
    """`apply -f` creates, then changes nothing; `delete -f` of a namespace and its contents finds each of them."""
    created = kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert created.stdout.splitlines() == [
        "namespace/demo created",
        "pod/a created",
        "configmap/settings created",
        "networkpolicy.networking.k8s.io/closed created",
    ]
    assert created.stderr == ""
    again = kubectl("apply", "-f", "-", stdin=MANIFEST).stdout.splitlines()
    assert again == [
        "namespace/demo unchanged",
        "pod/a unchanged",
        "configmap/settings unchanged",
        "networkpolicy.networking.k8s.io/closed unchanged",
    ]
    changed = MANIFEST.replace("key: value", "other: value")
    assert "configmap/settings configured" in kubectl("apply", "-f", "-", stdin=changed).stdout
    assert kubectl("get", "cm", "settings", "-n", "demo", "-o", "jsonpath={.data}").stdout == '{"other":"value"}'
    kubectl("delete", "pod", "a", "-n", "demo", "--grace-period=0", "--force")
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert kubectl("get", "pods", "-n", "demo", "-o", "name").stdout == "pod/a\n"
    gone = kubectl("delete", "-f", "-", "--grace-period=0", "--force", stdin=MANIFEST)
    assert "NotFound" not in gone.stderr
    assert kubectl("get", "ns", "demo", code=1).stderr == 'Error from server (NotFound): namespaces "demo" not found\n'


def test_unknown_field_is_refused(kubectl: Kubectl) -> None:
    """A misspelt field is refused with its path."""
    pod = '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containerz":[]}}'
    refused = kubectl("apply", "-f", "-", stdin=pod, code=1)
    assert 'strict decoding error: unknown field "spec.containerz"' in refused.stderr


def test_unserved_kind_is_kubectls_own_error(kubectl: Kubectl) -> None:
    """A kind that is not served yet gives kubectl's own clear error."""
    text = '{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"x"}}'
    refused = kubectl("apply", "-f", "-", stdin=text, code=1)
    assert 'no matches for kind "CronJob" in version "batch/v1"' in refused.stderr


def test_typed_create_commands_send_protobuf(kubectl: Kubectl) -> None:
    """`kubectl create …` of 1.32 sends protobuf; what is stored equals what kubectl shows in a dry run."""
    commands = {
        "ns": ("create", "namespace", "typed"),
        "cm": ("create", "configmap", "typed", "--from-literal=a=b"),
        "secret": ("create", "secret", "generic", "typed", "--from-literal=a=b"),
        "svc": ("create", "service", "clusterip", "typed", "--tcp=80:8080"),
        "sa": ("create", "serviceaccount", "typed"),
    }
    for kind, command in commands.items():
        wanted = json.loads(kubectl(*command, "--dry-run=client", "-o", "json").stdout)
        kubectl(*command)
        stored = json.loads(kubectl("get", kind, "typed", "-o", "json").stdout)
        for field in wanted.keys() - {"metadata", "status", "spec"}:
            assert stored[field] == wanted[field], (kind, field)
        for key, value in (wanted.get("spec") or {}).items():
            assert stored["spec"][key] == value, (kind, key)


def test_describe_names_the_reason(kubectl: Kubectl) -> None:
    """`describe` shows why a pod is not scheduled."""
    pod = (
        '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"nowhere"},"spec":{"nodeSelector":{"disk":"ssd"},'
        '"containers":[{"name":"c","image":"busybox"}]}}'
    )
    kubectl("create", "-f", "-", stdin=pod)
    kubectl("wait", "--for=condition=PodScheduled=false", "pod/nowhere", "--timeout=30s")
    told = kubectl("describe", "pod", "nowhere").stdout
    assert "FailedScheduling" in told
    assert "node(s) didn't match Pod's node affinity/selector" in told
    kubectl("delete", "pod", "nowhere")


def test_wait_label_patch_explain(kubectl: Kubectl, running_pod: str) -> None:
    """wait, label, patch, explain, api-resources and auth-free discovery work."""
    kubectl("wait", "--for=condition=Ready", f"pod/{running_pod}", "--timeout=30s")
    kubectl("wait", "--for=jsonpath={.status.podIP}=10.244.1.2", f"pod/{running_pod}", "--timeout=30s")
    kubectl("label", "pod", running_pod, "tier=front")
    assert kubectl("get", "pods", "-l", "tier in (front,back),!x", "-o", "name").stdout == f"pod/{running_pod}\n"
    assert kubectl("get", "pods", "--field-selector", "status.phase=Failed", "-o", "name").stdout == ""
    kubectl("patch", "pod", running_pod, "-p", '{"metadata":{"labels":{"tier":null}}}')
    assert kubectl("get", "pods", "-l", "tier", "-o", "name").stdout == ""
    assert "FIELD: nodeName <string>" in kubectl("explain", "pod.spec.nodeName").stdout
    assert "networkpolicies" in kubectl("api-resources").stdout
