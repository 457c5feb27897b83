"""kubectl in a real cluster: attach, port-forward and proxy reach what runs in pods."""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubinet.cluster import Cluster

pytestmark = pytest.mark.emulated

_ROOT = Path(__file__).resolve().parents[2]
_SERVE = "echo inside >/tmp/index.html; exec python3 -m http.server {port} --bind {bind} --directory /tmp"


def _pod(name: str, node: str, *command: str, **more: Any) -> dict[str, Any]:
    spec = {key: more.pop(key) for key in ("hostNetwork", "restartPolicy") if key in more}
    container = {"name": "main", "image": "python:3", "command": list(command), **more}
    spec |= {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def _fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=30) as answer:
        return str(answer.read().decode())


def test_streams_of_pods(start_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """attach gives input and output; ports on a pod's loopback are forwarded; the proxy reaches pods on every node."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    cluster = start_cluster("star", nodes=2)
    config = tmp_path / "kubeconfig"
    config.write_text(cluster.kubeconfig())
    config.chmod(0o600)
    environment = {"HOME": str(tmp_path), "KUBECONFIG": str(config), "PATH": os.environ["PATH"]}
    serve = [_SERVE.format(port=8000, bind=bind) for bind in ("127.0.0.1", "0.0.0.0")]
    cluster.client.create(_pod("inner", "n1", "sh", "-c", serve[0]))
    cluster.client.create(_pod("outer", "n2", "sh", "-c", serve[1], ports=[{"containerPort": 8000}]))
    cluster.client.create(_pod("host", "n2", "sh", "-c", _SERVE.format(port=8001, bind="0.0.0.0"), hostNetwork=True))
    once = _pod("once", "n1", "sh", "-c", "cat; echo end", stdin=True, stdinOnce=True, restartPolicy="Never")
    cluster.client.create(once)
    cluster.client.create(_pod("shell", "n1", "sh", stdin=True, tty=True))
    for name in ("inner", "outer", "host", "once", "shell"):
        cluster.wait("Pod", name, "Ready", namespace="default")

    def run(*arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [kubectl, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("attach", "-i", "once", stdin="typed\n") == "typed\nend\n"
    cluster.wait_until(
        "Pod", "once", lambda pod: bool(pod) and pod["status"]["phase"] == "Succeeded", namespace="default"
    )
    assert "echo shown" in run("attach", "-it", "shell", stdin="echo shown; exit\n")

    ready = "import socket,time\nwhile socket.socket().connect_ex(('127.0.0.1', {port})): time.sleep(0.05)"
    for name, port in (("inner", 8000), ("outer", 8000), ("host", 8001)):
        cluster.pod(name).exec(["python3", "-c", ready.format(port=port)])
    own = [sys.executable, "-m", "kubinet.cli.main"]
    for command in ([kubectl, "port-forward", "inner", ":8000"], [*own, "port-forward", "inner", ":8000"]):
        extra = {
            "KUBINET_CLUSTER": cluster.name,
            "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"],
            "PYTHONPATH": str(_ROOT),
        }
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env=environment | extra | {"PYTHONUNBUFFERED": "1"}, text=True
        )
        assert process.stdout is not None
        try:
            match = re.search(r"127\.0\.0\.1:(\d+) -> 8000", process.stdout.readline())
            assert match
            assert [_fetch(int(match[1])) for _ in range(3)] == ["inside\n"] * 3
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()
    assert run("get", "--raw", "/api/v1/namespaces/default/pods/outer/proxy/index.html") == "inside\n"
    assert run("get", "--raw", "/api/v1/namespaces/default/pods/host:8001/proxy/index.html") == "inside\n"
