"""kubectl and workloads: rollouts, scaling, history, logs and services of a Deployment."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.client, pytest.mark.timeout(180), pytest.mark.usefixtures("agent")]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def _value(kubectl: Kubectl, what: str, path: str) -> str:
    return kubectl("get", what, "-o", f"jsonpath={path}").stdout


def test_create_deployment_rolls_out(kubectl: Kubectl) -> None:
    """`create deployment` (a protobuf body) makes a set and pods; `rollout status` waits for them."""
    command = ("create", "deployment", "web", "--image=one:1", "--replicas=3", "--port=80")
    wanted = json.loads(kubectl(*command, "--dry-run=client", "-o", "json").stdout)["spec"]
    assert kubectl(*command).stdout == "deployment.apps/web created\n"
    told = kubectl("rollout", "status", "deployment/web", "--timeout=30s").stdout
    assert 'deployment "web" successfully rolled out\n' in told
    stored = json.loads(kubectl("get", "deploy", "web", "-o", "json").stdout)
    assert stored["spec"]["selector"] == wanted["selector"]
    container = stored["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["ports"]) == ("one:1", [{"containerPort": 80, "protocol": "TCP"}])
    counts = {key: value for key, value in stored["status"].items() if key != "conditions"}
    assert counts == {
        "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
    }  # fmt: skip
    conditions = {c["type"]: (c["status"], c["reason"], c["message"]) for c in stored["status"]["conditions"]}
    name = _value(kubectl, "rs", "{.items[0].metadata.name}")
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        "Progressing": ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'),
    }
    assert stored["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"


def test_tables(kubectl: Kubectl) -> None:
    """`get deploy,rs -o wide` has upstream's columns."""
    lines = [line.split() for line in kubectl("get", "deploy,rs", "-o", "wide").stdout.splitlines() if line]
    assert lines[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert (lines[1][:4], lines[1][5:]) == (["deployment.apps/web", "3/3", "3", "3"], ["one", "one:1", "app=web"])
    assert lines[2] == ["NAME", "DESIRED", "CURRENT", "READY", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert lines[3][1:4] == ["3", "3", "3"]
    assert lines[3][-1].startswith("app=web,pod-template-hash=")


def test_set_image_history_and_undo(kubectl: Kubectl) -> None:
    """`set image` rolls to a new set; `rollout undo` goes back to the first one, whose revision becomes the newest."""
    first = _value(kubectl, "rs", "{.items[0].metadata.name}")
    kubectl("annotate", "deploy", "web", "kubernetes.io/change-cause=second")
    kubectl("set", "image", "deployment/web", "one=two:2")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    history = kubectl("rollout", "history", "deployment/web").stdout
    assert history.splitlines()[:2] == ["deployment.apps/web ", "REVISION  CHANGE-CAUSE"]
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    assert "two:2" in kubectl("rollout", "history", "deployment/web", "--revision=2").stdout
    assert _value(kubectl, f"rs/{first}", "{.spec.replicas}") == "0"
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert _value(kubectl, f"rs/{first}", "{.spec.replicas}") == "3"
    assert _value(kubectl, "rs", "{.items[*].spec.replicas}").split().count("3") == 1
    assert _value(kubectl, "deploy/web", "{.metadata.annotations.deployment\\.kubernetes\\.io/revision}") == "3"
    history_of = "{.metadata.annotations.deployment\\.kubernetes\\.io/revision-history}"
    assert _value(kubectl, f"rs/{first}", history_of) == "1"
    kubectl("rollout", "restart", "deployment/web")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=30s").stdout
    assert len(_value(kubectl, "rs", "{.items[*].metadata.name}").split()) == 3


def test_pause_and_resume(kubectl: Kubectl) -> None:
    """A paused Deployment does not roll, but scales; resumed it rolls."""
    assert kubectl("rollout", "pause", "deployment/web").stdout == "deployment.apps/web paused\n"
    sets = _value(kubectl, "rs", "{.items[*].metadata.name}")
    kubectl("set", "image", "deployment/web", "one=three:3")
    seen = f"--for=jsonpath={{.status.observedGeneration}}={_generation(kubectl)}"
    kubectl("wait", seen, "deploy/web", "--timeout=30s")
    assert _value(kubectl, "rs", "{.items[*].metadata.name}") == sets
    reason = '{.status.conditions[?(@.type=="Progressing")].reason}'
    assert _value(kubectl, "deploy/web", reason) == "DeploymentPaused"
    kubectl("scale", "deploy/web", "--replicas=4")
    kubectl("wait", "--for=jsonpath={.status.readyReplicas}=4", "deploy/web", "--timeout=30s")
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert set(_value(kubectl, "pods", "{.items[*].spec.containers[0].image}").split()) == {"three:3"}


def _generation(kubectl: Kubectl) -> str:
    return _value(kubectl, "deploy/web", "{.metadata.generation}")


def test_scale(kubectl: Kubectl) -> None:
    """`scale` works on Deployments and on sets, with a precondition, and `/scale` is an autoscaling/v1 Scale."""
    assert kubectl("scale", "deploy/web", "--replicas=2").stdout == "deployment.apps/web scaled\n"
    kubectl("wait", "--for=jsonpath={.status.replicas}=2", "deploy/web", "--timeout=30s")
    wrong = kubectl("scale", "deploy/web", "--current-replicas=7", "--replicas=3", code=1).stderr
    assert "Expected replicas to be 7, was 2" in wrong
    kubectl("scale", "deploy/web", "--current-replicas=2", "--replicas=3")
    kubectl("wait", "--for=jsonpath={.status.replicas}=3", "deploy/web", "--timeout=30s")
    scale = json.loads(kubectl("get", "--raw", "/apis/apps/v1/namespaces/default/deployments/web/scale").stdout)
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 3, "selector": "app=web"})
    shown = kubectl("get", "deploy", "web", "--subresource=scale").stdout.split()
    assert shown[:7] == ["NAME", "DESIRED", "AVAILABLE", "AGE", "web", "3", "3"]


def test_describe_logs_expose(kubectl: Kubectl, server: Any) -> None:
    """`describe`, `logs deploy/x` and `expose` find what belongs to a Deployment."""
    told = kubectl("describe", "deploy", "web").stdout
    assert "Replicas:               3 desired | 3 updated | 3 total | 3 available | 0 unavailable" in told
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in told
    assert "NewReplicaSet:   web-" in told
    assert "ScalingReplicaSet" in told
    name = _value(kubectl, "rs", "{.items[?(@.spec.replicas==3)].metadata.name}")
    assert "Pods Status:    3 Running / 0 Waiting / 0 Succeeded / 0 Failed" in kubectl("describe", "rs", name).stdout
    for uid in _value(kubectl, "pods", "{.items[*].metadata.uid}").split():
        folder = server.state_dir / "pods" / uid / "one"
        folder.mkdir(parents=True)
        (folder / "0.log").write_text("2026-01-01T00:00:00.000000001Z stdout F hello\n")
    assert kubectl("logs", "deploy/web").stdout == "hello\n"
    assert kubectl("expose", "deploy", "web", "--port=80").stdout == "service/web exposed\n"
    assert _value(kubectl, "svc/web", "{.spec.selector}") == '{"app":"web"}'


def test_apply_is_idempotent(kubectl: Kubectl) -> None:
    """Applying a Deployment twice changes nothing the second time; its selector cannot change."""
    manifest = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: again}
spec:
  selector: {matchLabels: {app: again}}
  template:
    metadata: {labels: {app: again}}
    spec: {containers: [{name: c, image: i, args: []}], hostNetwork: false}
"""
    assert kubectl("apply", "-f", "-", stdin=manifest).stdout == "deployment.apps/again created\n"
    kubectl("rollout", "status", "deploy/again", "--timeout=30s")
    assert kubectl("apply", "-f", "-", stdin=manifest).stdout == "deployment.apps/again unchanged\n"
    refused = kubectl("apply", "-f", "-", stdin=manifest.replace("app: again", "app: other"), code=1).stderr
    assert "spec.selector: Invalid value" in refused
    assert "field is immutable" in refused


def test_a_stuck_rollout_misses_its_deadline(kubectl: Kubectl) -> None:
    """Pods that never get ready end in ProgressDeadlineExceeded, and `rollout status` fails with it."""
    kubectl("patch", "deploy", "again", "-p", '{"spec":{"progressDeadlineSeconds":2}}')
    kubectl("set", "image", "deploy/again", "c=broken")
    stuck = kubectl("rollout", "status", "deploy/again", "--timeout=30s", code=1)
    assert 'error: deployment "again" exceeded its progress deadline' in stuck.stderr
    assert _value(kubectl, "deploy/again", "{.status.availableReplicas}") == "1"


def test_deleting_takes_sets_and_pods_along(kubectl: Kubectl) -> None:
    """Deleting a Deployment deletes its sets and pods; with --cascade=orphan they stay, and a new one adopts them."""
    kubectl("delete", "deploy", "again")
    kubectl("wait", "--for=delete", "pod", "-l", "app=again", "--timeout=20s")
    name = _value(kubectl, "rs", "{.items[?(@.spec.replicas==3)].metadata.name}")
    manifest = kubectl("get", "deploy", "web", "-o", "json").stdout
    kubectl("delete", "deploy", "web", "--cascade=orphan")
    assert _value(kubectl, f"rs/{name}", "{.status.replicas}") == "3"
    plain = json.loads(manifest)
    plain["metadata"] = {"name": "web", "namespace": "default"}
    kubectl("create", "-f", "-", stdin=json.dumps(plain))
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    assert _value(kubectl, f"rs/{name}", "{.metadata.ownerReferences[0].kind}") == "Deployment"
    kubectl("delete", "deploy", "web", "--cascade=foreground")
    assert kubectl("get", "pods,rs,deploy", "-o", "name").stdout == ""
