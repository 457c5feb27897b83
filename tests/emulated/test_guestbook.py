"""The guestbook of `examples/`, and those of others: applications that find themselves by Services and DNS."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubinet.client import Object
from kubinet.cluster import Cluster, HostHandle
from kubinet.manifests import load_manifests

pytestmark = [pytest.mark.emulated, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT.parent / "shared" / "manifests"


def _available(cluster: Cluster, name: str, count: int) -> None:
    def holds(obj: Object | None) -> bool:
        return obj is not None and obj["status"].get("availableReplicas") == count

    cluster.wait_until("Deployment", name, holds, namespace="guestbook", what=f"{count} available replicas")


def _entries(host: HostHandle, where: str) -> list[str]:
    done = host.exec(["curl", "-s", "-f", "-m", "30", f"http://{where}/entries"], check=False)
    found: list[str] = json.loads(done.text) if done.exit_code == 0 else [f"curl ended with {done.exit_code}"]
    return found


def _until(host: HostHandle, where: str, expected: list[str]) -> None:
    """Entries appear when the followers have them."""
    deadline = time.monotonic() + 30
    while (found := _entries(host, where)) != expected and time.monotonic() < deadline:
        pass
    assert found == expected


@pytest.mark.parametrize("proxy", ["sdn", "nftables"])
def test_the_guestbook_works_from_outside(start_cluster: Callable[..., Cluster], proxy: str) -> None:
    """Entries posted at the balancer's address and at a node port are read at both; followers come and go."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (Debian package redis-server)")
    cluster = start_cluster("leaf-spine", nodes=3, settings={"network.services": proxy})
    cluster.apply(ROOT / "examples" / "guestbook")
    for name, count in (("redis-leader", 1), ("redis-follower", 2), ("frontend", 3)):
        _available(cluster, name, count)

    def balanced(obj: Object | None) -> bool:
        return bool(obj and obj["status"].get("loadBalancer", {}).get("ingress"))

    service = cluster.wait_until("Service", "frontend", balanced, namespace="guestbook", what="an address")
    balancer = service["status"]["loadBalancer"]["ingress"][0]["ip"]
    node_port = f"{cluster.node('n2').address}:30080"
    outside = cluster.outside()
    _until(outside, balancer, [])
    posted = []
    for where, text in ((balancer, "by the balancer"), (node_port, "by a node port")):
        argv = ["curl", "-s", "-f", "-m", "30", "-d", f"message={text}", f"http://{where}/entries"]
        outside.exec(argv)
        posted.insert(0, text)
    for where in (balancer, node_port, *(f"{node.underlay.ip}:30080" for node in cluster.facts.nodes)):
        _until(outside, where, posted)
    deadline = time.monotonic() + 30
    while posted[0] not in (page := outside.exec(["curl", "-s", "-f", f"http://{balancer}/"]).text):
        assert time.monotonic() < deadline, page
    assert "<ul><li>by a node port<li>by the balancer</ul>" in page
    cluster.client.patch("Deployment", "redis-follower", {"spec": {"replicas": 1}}, "guestbook")
    _available(cluster, "redis-follower", 1)
    for _ in range(5):
        _until(outside, balancer, posted)


def test_other_peoples_applications_are_accepted(start_cluster: Callable[..., Cluster]) -> None:
    """Kubernetes' guestbook and Online Boutique: every object is accepted, every pod runs or names its image error."""
    if not MANIFESTS.is_dir():
        pytest.skip("shared/manifests is not beside the checkout")
    cluster = start_cluster("star", nodes=3, settings={"network.dnsReplicas": 1})
    files = {
        "guestbook": sorted((MANIFESTS / "guestbook").glob("*.yaml")),
        "boutique": [MANIFESTS / "online-boutique" / "kubernetes-manifests.yaml"],
    }
    made = []
    for namespace, paths in files.items():
        cluster.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        objects = [obj for file in paths for obj in load_manifests(file)]
        made += [{**obj, "metadata": {**obj["metadata"], "namespace": namespace}} for obj in objects]
    for obj in made:
        cluster.client.apply(obj)
    wanted = sum(obj["spec"].get("replicas", 1) for obj in made if obj["kind"] == "Deployment")
    deadline = time.monotonic() + 30
    while (states := _states(cluster)).count("") or len(states) < wanted:
        assert time.monotonic() < deadline, f"{sorted(states)}, {wanted} wanted"
    assert set(states) <= {"Running", "ErrImagePull", "ImagePullBackOff"}
    assert "Running" in states
    assert len([obj for obj in made if obj["kind"] == "Service"]) > 10


def _states(cluster: Cluster) -> list[str]:
    """Running, the reason why a container waits, or nothing yet, of every pod."""
    found = []
    for item in cluster.client.list("Pod")["items"]:
        if item["metadata"]["namespace"] == "kube-system":
            continue
        status = item.get("status", {})
        containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        reasons = [one["state"]["waiting"]["reason"] for one in containers if "waiting" in one.get("state", {})]
        real = [reason for reason in reasons if reason not in ("PodInitializing", "ContainerCreating")]
        runs = any("running" in one.get("state", {}) for one in containers)  # also an init container that waits
        found.append(real[0] if real else "Running" if runs else "")
    return found
