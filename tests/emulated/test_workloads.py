"""Workloads on a real cluster: their pods run, and a rollout replaces them without an interruption."""

import json
from collections.abc import Callable

import pytest

from kubinet.cli.main import run
from kubinet.cluster import Cluster

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(180)]


def _pods(cluster: Cluster) -> list[dict[str, object]]:
    items = cluster.client.list("Pod", "default", label_selector="app=web")["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def test_a_deployment_rolls_to_a_new_template(
    start_cluster: Callable[..., Cluster], capsys: pytest.CaptureFixture[str]
) -> None:
    """4 replicas run on the nodes; after a change of the template 4 new ones do, `rollout status` returns 0, and the
    new pods reach each other."""
    cluster = start_cluster("star", nodes=2, name="rolling")
    container = {"name": "main", "image": "registry.k8s.io/pause:3.10"}
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    spec = {"replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    cluster.client.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    status = ["rollout", "status", "deploy/web", "--timeout=60s", "--cluster", "rolling"]
    assert run(status) == 0
    assert capsys.readouterr().out.endswith('deployment "web" successfully rolled out\n')
    first = {pod["metadata"]["name"]: pod for pod in _pods(cluster)}  # type: ignore[index]
    assert len(first) == 4
    change = {"spec": {"template": {"metadata": {"labels": {"version": "2"}}}}}
    cluster.client.patch("deployments", "web", change, "default")
    assert run(status) == 0
    second = _pods(cluster)
    assert len(second) == 4
    assert not set(first) & {pod["metadata"]["name"] for pod in second}  # type: ignore[index]
    assert {pod["metadata"]["labels"]["version"] for pod in second} == {"2"}  # type: ignore[index]
    one, two = (cluster.pod(pod["metadata"]["name"]) for pod in second[:2])  # type: ignore[index]
    one.exec(["ping", "-c", "1", "-W", "20", str(two.address)])
    deployment = cluster.client.get("deployments", "web", "default")
    counts = {key: value for key, value in deployment["status"].items() if key != "conditions"}
    assert counts == {
        "observedGeneration": 2, "replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4,
    }, json.dumps(deployment["status"])  # fmt: skip


def test_daemons_and_jobs_run(start_cluster: Callable[..., Cluster]) -> None:
    """A DaemonSet's pods run on each node; a Job's pod runs to its end, is counted once, and can be deleted."""
    cluster = start_cluster("star", nodes=2, name="daemons")
    pause = {"name": "main", "image": "registry.k8s.io/pause:3.10"}
    template = {
        "metadata": {"labels": {"app": "each"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [pause]},
    }
    spec = {"selector": {"matchLabels": {"app": "each"}}, "template": template}
    cluster.client.create({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "each"}, "spec": spec})
    assert run(["rollout", "status", "ds/each", "--timeout=60s", "--cluster", "daemons"]) == 0
    pods = cluster.client.list("Pod", "default", label_selector="app=each")["items"]
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == ["n1", "n2"]
    once = {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", "echo done"]}
    job = {"completions": 2, "template": {"spec": {"restartPolicy": "Never", "containers": [once]}}}
    cluster.client.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "twice"}, "spec": job})
    cluster.wait("Job", "twice", "Complete", namespace="default", timeout=60)
    status = cluster.client.get("Job", "twice", "default")["status"]
    assert (status["succeeded"], status.get("failed"), status["uncountedTerminatedPods"]) == (2, None, {})
    assert run(["delete", "job", "twice", "--cluster", "daemons", "--timeout=30s"]) == 0
    assert run(["delete", "ds", "each", "--cluster", "daemons", "--timeout=30s"]) == 0
    cluster.wait_until("Pod", pods[0]["metadata"]["name"], lambda pod: pod is None, namespace="default", timeout=30)
