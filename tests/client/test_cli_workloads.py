"""`kubinet` on workloads: scale, rollouts and descriptions, against an API with an agent."""

import re
from pathlib import Path
from typing import Any

import pytest
from completion import offered

from kubinet.cli.main import run
from kubinet.client import Client

pytestmark = [pytest.mark.client, pytest.mark.timeout(120), pytest.mark.usefixtures("agent")]


@pytest.fixture(scope="module")
def client(server: Any) -> Client:
    found: Client = server.client()
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    found.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    return found


@pytest.fixture(autouse=True)
def _connected(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubinet.cli.connection.client_of", lambda _cluster: client)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code, capsys.readouterr()
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_rollouts(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """status, history, undo, restart, pause and resume say what kubectl says."""
    done = 'deployment "web" successfully rolled out\n'
    assert said(capsys, "rollout", "status", "deploy/web", "--timeout=20s").endswith(done)
    assert said(capsys, "rollout", "undo", "deploy/web", code=1) == (
        'Error: no rollout history found for deployment "web"; it has had one template only\n'
    )
    client.patch(
        "deployments", "web", {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}
    )
    assert said(capsys, "rollout", "status", "deployment", "web", "--timeout=20s").endswith(done)
    assert said(capsys, "rollout", "history", "deploy/web") == (
        "deployment.apps/web\nREVISION   CHANGE-CAUSE\n1          <none>\n2          <none>\n\n"
    )
    shown = said(capsys, "rollout", "history", "deploy/web", "--revision=1")
    assert shown.startswith(
        "deployment.apps/web with revision #1\nPod Template:\n  Labels:  app=web,pod-template-hash="
    )
    assert "      Image:        one\n" in shown
    missing = said(capsys, "rollout", "history", "deploy/web", "--revision=7", code=1)
    assert missing == "Error: unable to find specified revision 7 in history; there are 1, 2\n"
    assert said(capsys, "rollout", "undo", "deploy/web") == "deployment.apps/web rolled back\n"
    assert said(capsys, "rollout", "status", "deploy/web", "--timeout=20s").endswith(done)
    again = said(capsys, "rollout", "undo", "deploy/web", "--to-revision=3")
    assert again == "deployment.apps/web skipped rollback (current template already matches revision 3)\n"
    assert said(capsys, "rollout", "restart", "deploy/web") == "deployment.apps/web restarted\n"
    assert said(capsys, "rollout", "status", "deploy/web", "--timeout=20s").endswith(done)
    assert said(capsys, "rollout", "pause", "deploy/web") == "deployment.apps/web paused\n"
    refused = said(capsys, "rollout", "restart", "deploy/web", code=1)
    assert refused == "Error: can't restart paused deployment (run `kubinet rollout resume` first)\n"
    assert said(capsys, "rollout", "resume", "deploy/web") == "deployment.apps/web resumed\n"
    assert "name a deployment, a daemonset or a statefulset" in said(capsys, "rollout", "status", "node/n1", code=2)


def test_scale_and_describe(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """scale sets the replicas, with a precondition; describe shows counts, template, sets and events."""
    assert said(capsys, "scale", "deploy/web", "--replicas=3", "--current-replicas=2") == "deployment.apps/web scaled\n"
    wrong = said(capsys, "scale", "deploy/web", "--replicas=9", "--current-replicas=2", code=1)
    assert wrong == "Error: Expected replicas to be 2, was 3\n"
    said(capsys, "rollout", "status", "deploy/web", "--timeout=20s")
    table = said(capsys, "get", "deploy").split()
    assert table[:9] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "web", "3/3", "3", "3"]
    text = said(capsys, "describe", "deploy", "web")
    assert "Replicas:               3 desired | 3 updated | 3 total | 3 available | 0 unavailable\n" in text
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge\n" in text
    found = re.search(r"NewReplicaSet:   (web-\w+) \(3/3 replicas created\)\n", text)
    assert found is not None
    assert "ScalingReplicaSet" in text
    told = said(capsys, "describe", "rs", found[1])
    assert "Controlled By:      Deployment/web\nReplicas:           3 current / 3 desired\n" in told
    assert "Pods Status:        3 Running / 0 Waiting / 0 Succeeded / 0 Failed\n" in told


def test_labels_and_annotations(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Set, kept, overwritten and removed, by name, selector and --all, in kubectl's words."""
    client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}})
    client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two"}})
    assert said(capsys, "label", "cm", "one", "two", "app=x", "tier=front") == (
        "configmap/one labeled\nconfigmap/two labeled\n"
    )
    assert said(capsys, "label", "cm/one", "app=x") == "configmap/one not labeled\n"
    refused = said(capsys, "label", "cm/one", "app=y", code=1)
    assert refused == "Error: 'app' already has a value (x), and --overwrite is false\n"
    assert said(capsys, "label", "cm", "-l", "app=x", "app=y", "--overwrite") == (
        "configmap/one labeled\nconfigmap/two labeled\n"
    )
    assert said(capsys, "label", "cm/two", "tier-", "absent-") == "configmap/two unlabeled\n"
    assert client.get("ConfigMap", "one", "default")["metadata"]["labels"] == {"app": "y", "tier": "front"}
    assert client.get("ConfigMap", "two", "default")["metadata"]["labels"] == {"app": "y"}
    assert said(capsys, "annotate", "cm/one", "note=a=b c") == "configmap/one annotated\n"
    assert client.get("ConfigMap", "one", "default")["metadata"]["annotations"] == {"note": "a=b c"}
    assert "say which configmaps: names, -l SELECTOR or --all" in said(capsys, "label", "cm", "a=b", code=2)
    assert "say what to change: KEY=VALUE" in said(capsys, "label", "cm/one", code=2)
    assert "'x' is both set and removed" in said(capsys, "label", "cm/one", "x=1", "x-", code=2)
    assert "metadata.labels" in said(capsys, "label", "cm/one", "a b=c", code=1)


def test_patch(client: Client, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The three types, JSON or YAML, from the line or a file; the same again is no change."""
    client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "patched"}, "data": {"a": "1"}})
    change = '{"data": {"b": "2"}}'
    assert said(capsys, "patch", "cm", "patched", "-p", change) == "configmap/patched patched\n"
    assert said(capsys, "patch", "cm/patched", "-p", change) == "configmap/patched patched (no change)\n"
    file = tmp_path / "p.yaml"
    file.write_text("- {op: remove, path: /data/a}\n")
    assert said(capsys, "patch", "cm/patched", "--type=json", f"--patch-file={file}") == "configmap/patched patched\n"
    assert said(capsys, "patch", "cm/patched", "--type=merge", "-p", "data: {b: null, c: '3'}") == (
        "configmap/patched patched\n"
    )
    assert client.get("ConfigMap", "patched", "default")["data"] == {"c": "3"}
    assert "a patch of type json is a list of operations" in said(
        capsys, "patch", "cm/patched", "--type=json", "-p", "{}", code=2
    )
    assert "write strategic, merge or json" in said(capsys, "patch", "cm/patched", "--type=x", "-p", "{}", code=2)
    assert "give the patch by -p TEXT or by --patch-file FILE" in said(capsys, "patch", "cm/patched", code=2)
    missing = said(capsys, "patch", "cm/patched", "--patch-file=absent.yaml", code=1)
    assert missing == "Error: absent.yaml: No such file or directory\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kubinet get deployment", ["deployments"]),
        ("kubinet rollout status deploy ", ["web"]),
        ("kubinet describe deploy/", ["deploy/web"]),
        ("kubinet flows n", ["n1", "n2"]),
        ("kubinet get -A nodes ", ["n1", "n2"]),
        ("kubinet get -n kube-system deploy ", []),
        ("kubinet get pods -n kube-", ["kube-public", "kube-system"]),
    ],
)
def test_a_shell_is_offered_what_the_api_has(
    line: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kinds, names of the kind before the word or in it, nodes, namespaces."""
    assert offered(line, monkeypatch, capsys) == words
