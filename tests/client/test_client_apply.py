"""`Client.apply`, which `kubinet apply` is made of."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from kubinet.errors import ApiError

pytestmark = [pytest.mark.client, pytest.mark.timeout(60)]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def pod(image: str = "busybox:1", **metadata: Any) -> dict[str, Any]:
    mount = {"name": "scratch", "mountPath": "/scratch"}
    container = {"name": "main", "image": image, "volumeMounts": [mount]}
    spec = {"containers": [container], "volumes": [{"name": "scratch", "emptyDir": {}}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "applied", **metadata}, "spec": spec}


def test_apply_creates_changes_and_removes(server: Any) -> None:
    """Created, unchanged, configured; the token's volume stays; labels that are applied no more go."""
    client = server.client()
    assert client.apply(pod(), dry_run=True)[1] == "created"
    assert client.apply(pod(labels={"a": "1", "b": "1"}))[1] == "created"
    assert client.apply(pod(labels={"a": "1", "b": "1"}))[1] == "unchanged"
    assert client.apply(pod("busybox:2", labels={"a": "1"}), dry_run=True)[1] == "configured"
    result, word = client.apply(pod("busybox:2", labels={"a": "1"}))
    assert word == "configured"
    assert result["metadata"]["labels"] == {"a": "1"}
    (container,) = result["spec"]["containers"]
    assert container["image"] == "busybox:2"
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == [
        "/scratch",
        "/var/run/secrets/kubernetes.io/serviceaccount",
    ]
    with pytest.raises(ApiError, match="unknown field"):
        client.apply(pod() | {"sepc": {}})


def test_kubectl_goes_on_where_we_were(server: Any, kubectl: Kubectl) -> None:
    """kubectl's client-side apply finds the annotation that it needs, and we take over what it changed."""
    client = server.client()
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "handed"}}
    client.apply(manifest | {"data": {"a": "1", "b": "1"}})
    done = kubectl("apply", "-f", "-", stdin=json.dumps(manifest | {"data": {"a": "2"}}))
    assert (done.stdout, done.stderr) == ("configmap/handed configured\n", "")
    assert client.get("configmaps", "handed")["data"] == {"a": "2"}
    result, word = client.apply(manifest | {"data": {"a": "3"}})
    assert (result["data"], word) == ({"a": "3"}, "configured")
