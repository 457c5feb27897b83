"""kubectl, DaemonSets and Jobs."""

import subprocess
from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.client, pytest.mark.timeout(180), pytest.mark.usefixtures("agent")]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]

DAEMON_SET = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: c, image: one}]}
"""


def _value(kubectl: Kubectl, what: str, path: str, *more: str) -> str:
    return kubectl("get", what, "-o", f"jsonpath={path}", *more).stdout


def test_a_daemon_on_each_node(kubectl: Kubectl) -> None:
    """A DaemonSet puts one pod on each node; a new node gets one, too, and one with a taint does not."""
    assert kubectl("apply", "-f", "-", stdin=DAEMON_SET).stdout == "daemonset.apps/agent created\n"
    told = kubectl("rollout", "status", "ds/agent", "--timeout=30s").stdout
    assert 'daemon set "agent" successfully rolled out\n' in told
    assert sorted(_value(kubectl, "pods", "{.items[*].spec.nodeName}", "-l", "app=agent").split()) == ["n1", "n2"]
    lines = [line.split() for line in kubectl("get", "ds").stdout.splitlines()]
    assert lines[0] == [
        "NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE", "SELECTOR", "AGE",
    ]  # fmt: skip
    assert lines[1][:7] == ["agent", "2", "2", "2", "2", "2", "<none>"]
    kubectl("taint", "node", "n2", "k=v:NoExecute")
    kubectl("wait", "--for=jsonpath={.status.desiredNumberScheduled}=1", "ds/agent", "--timeout=30s")
    kubectl("wait", "--for=jsonpath={.status.numberMisscheduled}=0", "ds/agent", "--timeout=30s")
    kubectl("taint", "node", "n2", "k-")
    kubectl("wait", "--for=jsonpath={.status.numberAvailable}=2", "ds/agent", "--timeout=30s")


def test_a_daemons_history(kubectl: Kubectl) -> None:
    """`set image` replaces node by node, `rollout history` and `undo` use ControllerRevisions."""
    kubectl("set", "image", "ds/agent", "c=two")
    kubectl("rollout", "status", "ds/agent", "--timeout=30s")
    assert _value(kubectl, "pods", "{.items[*].spec.containers[0].image}", "-l", "app=agent") == "two two"
    history = kubectl("rollout", "history", "ds/agent").stdout.splitlines()
    assert [line.split()[0] for line in history if line][2:] == ["1", "2"]
    assert kubectl("rollout", "undo", "ds/agent").stdout == "daemonset.apps/agent rolled back\n"
    kubectl("rollout", "status", "ds/agent", "--timeout=30s")
    assert _value(kubectl, "pods", "{.items[*].spec.containers[0].image}", "-l", "app=agent") == "one one"
    assert sorted(_value(kubectl, "controllerrevisions", "{.items[*].revision}").split()) == ["2", "3"]
    kubectl("rollout", "restart", "ds/agent")
    assert "successfully rolled out" in kubectl("rollout", "status", "ds/agent", "--timeout=30s").stdout
    assert "Desired Number of Nodes Scheduled: 2" in kubectl("describe", "ds", "agent").stdout
    kubectl("delete", "ds", "agent")
    kubectl("wait", "--for=delete", "pod", "-l", "app=agent", "--timeout=20s")


def test_jobs(kubectl: Kubectl) -> None:
    """`create job` (a protobuf body) runs to completion; one that fails reaches its limit."""
    assert kubectl("create", "job", "once", "--image=fine", "--", "true").stdout == "job.batch/once created\n"
    kubectl("wait", "--for=condition=complete", "job/once", "--timeout=20s")
    cells = kubectl("get", "job", "once").stdout.splitlines()
    assert cells[0].split() == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert cells[1].split()[:3] == ["once", "Complete", "1/1"]
    assert _value(kubectl, "pods", "{.items[0].spec.containers[0].command}", "-l", "job-name=once") == '["true"]'
    broken = """
apiVersion: batch/v1
kind: Job
metadata: {name: broken}
spec:
  backoffLimit: 0
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: broken}]}}
"""
    kubectl("create", "-f", "-", stdin=broken)
    kubectl("wait", "--for=condition=failed", "job/broken", "--timeout=20s")
    told = kubectl("describe", "job", "broken").stdout
    assert "0 Active (0 Ready) / 0 Succeeded / 1 Failed" in told
    assert "BackoffLimitExceeded" in told
    kubectl("delete", "job", "--all")
    kubectl("wait", "--for=delete", "pod", "-l", "job-name", "--timeout=20s")


def test_what_jobs_and_daemons_refuse(kubectl: Kubectl) -> None:
    """Fields without an effect here are refused, not ignored."""
    surge = DAEMON_SET.replace(
        "spec:\n  selector", "spec:\n  updateStrategy: {rollingUpdate: {maxSurge: 1}}\n  selector"
    )
    assert "maxSurge: Forbidden: is not supported by Kubinet" in kubectl("apply", "-f", "-", stdin=surge, code=1).stderr
    indexed = kubectl("create", "job", "x", "--image=i", "--dry-run=client", "-o", "yaml").stdout
    indexed = indexed.replace("spec:\n  template", "spec:\n  completionMode: Indexed\n  template")
    assert 'Unsupported value: "Indexed"' in kubectl("create", "-f", "-", stdin=indexed, code=1).stderr
    always = kubectl("create", "job", "x", "--image=i", "--dry-run=client", "-o", "yaml").stdout
    always = always.replace("restartPolicy: Never", "restartPolicy: Always")
    refused = kubectl("create", "-f", "-", stdin=always, code=1).stderr
    assert 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"' in refused


STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: one}]}
"""


def test_a_stateful_set(kubectl: Kubectl) -> None:
    """Its pods have names that stay; `scale`, `set image`, `rollout status`, `history` and `undo` work."""
    kubectl("apply", "-f", "-", stdin=STATEFUL_SET)
    told = kubectl("rollout", "status", "sts/db", "--timeout=30s").stdout
    assert "partitioned roll out complete: 3 new pods have been updated..." in told
    assert _value(kubectl, "pods", "{.items[*].metadata.name}", "-l", "app=db") == "db-0 db-1 db-2"
    spec = "{.spec.hostname} {.spec.subdomain} {.metadata.labels.apps\\.kubernetes\\.io/pod-index}"
    assert _value(kubectl, "pod/db-1", spec) == "db-1 db 1"
    kubectl("set", "image", "sts/db", "c=two")
    kubectl("rollout", "status", "sts/db", "--timeout=30s")
    assert _value(kubectl, "pods", "{.items[*].spec.containers[0].image}", "-l", "app=db") == "two two two"
    history = kubectl("rollout", "history", "sts/db").stdout.splitlines()
    assert [line.split()[0] for line in history if line][2:] == ["1", "2"]
    kubectl("rollout", "undo", "sts/db")
    kubectl("rollout", "status", "sts/db", "--timeout=30s")
    assert _value(kubectl, "pods", "{.items[*].spec.containers[0].image}", "-l", "app=db") == "one one one"
    assert kubectl("scale", "sts/db", "--replicas=1").stdout == "statefulset.apps/db scaled\n"
    kubectl("wait", "--for=jsonpath={.status.replicas}=1", "sts/db", "--timeout=20s")
    kubectl("wait", "--for=delete", "pod/db-1", "--timeout=20s")
    lines = [line.split()[:2] for line in kubectl("get", "sts").stdout.splitlines()]
    assert lines == [["NAME", "READY"], ["db", "1/1"]]
    claims = STATEFUL_SET + "  volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]\n"
    refused = kubectl("create", "-f", "-", stdin=claims.replace("name: db}", "name: db2}"), code=1).stderr
    assert "spec.volumeClaimTemplates: Forbidden: is not supported by Kubinet" in refused
    kubectl("delete", "sts", "db")
    kubectl("wait", "--for=delete", "pod", "-l", "app=db", "--timeout=20s")
