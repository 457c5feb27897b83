"""The Python `kubernetes` client and our own against the API."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from kubinet.errors import ApiError
from kubinet.streams import run_in_pod

kubernetes = pytest.importorskip("kubernetes", reason="the Python kubernetes client is not installed")
pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def core(server: Any) -> Any:
    client = kubernetes.config.new_client_from_config(str(server.kubeconfig))
    yield kubernetes.client.CoreV1Api(client)
    client.close()


def test_objects(core: Any) -> None:
    """Create, read, patch, list with selectors, replace, delete."""
    meta = kubernetes.client.V1ObjectMeta(name="py", labels={"a": "b"})
    core.create_namespaced_config_map("default", kubernetes.client.V1ConfigMap(metadata=meta, data={"k": "v"}))
    patched = core.patch_namespaced_config_map("py", "default", {"data": {"k2": "w"}})
    assert patched.data == {"k": "v", "k2": "w"}
    found = core.list_namespaced_config_map("default", label_selector="a=b", field_selector="metadata.name=py")
    assert [item.metadata.name for item in found.items] == ["py"]
    patched.data = {"only": "this"}
    assert core.replace_namespaced_config_map("py", "default", patched).data == {"only": "this"}
    core.delete_namespaced_config_map("py", "default")
    with pytest.raises(kubernetes.client.ApiException) as caught:
        core.read_namespaced_config_map("py", "default")
    assert (caught.value.status, caught.value.reason) == (404, "Not Found")


def test_watch(core: Any) -> None:
    """The client's watch sees the changes after a list."""
    version = core.list_namespaced_config_map("default").metadata.resource_version
    meta = kubernetes.client.V1ObjectMeta(name="seen")
    core.create_namespaced_config_map("default", kubernetes.client.V1ConfigMap(metadata=meta))
    core.delete_namespaced_config_map("seen", "default")
    watch = kubernetes.watch.Watch()
    stream = watch.stream(core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=2)
    events = [(event["type"], event["object"].metadata.name) for event in stream]
    assert events == [("ADDED", "seen"), ("DELETED", "seen")]


def test_exec_and_log(core: Any, running_pod: str) -> None:
    """exec over the client's WebSocket gives output and exit status; logs are text."""
    command = ["sh", "-c", "echo out; exit 3"]
    options = {"command": command, "stdout": True, "stderr": True, "_preload_content": False}
    answer = kubernetes.stream.stream(core.connect_get_namespaced_pod_exec, running_pod, "default", **options)
    answer.run_forever(timeout=30)
    assert (answer.read_stdout(), answer.returncode) == ("out\n", 3)
    answer.sock.shutdown()  # the client leaves the socket open when the server closed first
    assert core.read_namespaced_pod_log(running_pod, "default", tail_lines=1) == "third\n"


def test_own_client(server: Any, running_pod: str) -> None:
    """Kubinet's client applies, watches and runs commands."""
    client = server.client()
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own", "namespace": "default"}}
    results = [client.apply({**config_map, "data": data})[1] for data in ({"a": "1"}, {"a": "1"}, {"b": "2"})]
    assert results == ["created", "unchanged", "configured"]
    assert client.get("cm", "own", "default")["data"] == {"b": "2"}
    with pytest.raises(ApiError, match="already exists"):
        client.create(config_map)
    done = run_in_pod(client, "default", running_pod, ["sh", "-c", "cat; exit 4"], stdin=b"in")
    assert (done.stdout, done.exit_code) == (b"in", 4)
    client.close()


def test_kubectl_watches(kubectl: Callable[..., subprocess.CompletedProcess[str]], server: Any) -> None:
    """`kubectl get -w` prints the rows of a watch until its timeout."""
    client = server.client()
    client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "w1", "namespace": "default"}})
    shown = kubectl("get", "cm", "w1", "-w", "--request-timeout=2s", code=None)
    assert shown.stdout.splitlines()[1].split()[:2] == ["w1", "0"]
    client.close()
