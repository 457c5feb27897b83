"""A private API server per test module, and real clients that talk to it."""

import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakeagent import FakeAgent

from kubinet.client import Client

ROOT = Path(__file__).resolve().parents[2]
SDK = Path("/usr/lib/google-cloud-sdk/bin")


@dataclass(frozen=True)
class Server:
    """A running API server."""

    url: str
    token: str
    state_dir: Path
    kubeconfig: Path

    def client(self) -> Client:
        return Client(self.url, self.token, ca=self.state_dir / "pki" / "ca.crt")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    state = tmp_path_factory.mktemp("state")
    token = secrets.token_urlsafe(16)
    command = [sys.executable, str(Path(__file__).with_name("fakeserver.py")), "--state-dir", str(state)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--token={token}"], stdout=subprocess.PIPE, stderr=log, env=environment, text=True
        )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url, (state / "log").read_text()
    config = state / "kubeconfig"
    config.write_text(
        f"""
apiVersion: v1
kind: Config
clusters: [{{name: k, cluster: {{server: "{url}", certificate-authority: "{state}/pki/ca.crt"}}}}]
users: [{{name: u, user: {{token: "{token}"}}}}]
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
current-context: c
"""
    )
    yield Server(url, token, state, config)
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()
    log_text = (state / "log").read_text()
    assert "Traceback" not in log_text, log_text


Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def _runner(binary: str, server: Server) -> Kubectl:
    home = server.state_dir / "home"
    home.mkdir(exist_ok=True)
    environment = {"HOME": str(home), "KUBECONFIG": str(server.kubeconfig), "PATH": os.environ["PATH"]}

    def run(
        *arguments: str, stdin: str = "", code: int | None = 0, terminal: bool = False
    ) -> subprocess.CompletedProcess[str]:
        command = [binary, *arguments]
        if terminal:
            command = ["script", "-qec", f"stty rows 33 cols 77; {shlex.join(command)}", "/dev/null"]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert code is None or done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    return run


@pytest.fixture(scope="module")
def kubectl(server: Server) -> Kubectl:
    """kubectl 1.32, or what PATH has."""
    binary = SDK / "kubectl.1.32"
    found = str(binary) if binary.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed")
    return _runner(found, server)


@pytest.fixture(scope="module")
def old_kubectl(server: Server) -> Kubectl:
    """kubectl 1.29: exec over SPDY."""
    binary = SDK / "kubectl.1.29"
    if not binary.exists():
        pytest.skip("kubectl 1.29 is not installed")
    return _runner(str(binary), server)


@pytest.fixture(scope="module")
def running_pod(server: Server) -> str:
    """A pod that a (fake) agent reports Running, with a log."""
    client = server.client()
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    client.create(node)
    pod = client.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "busybox"}]},
        }
    )
    container = {
        "name": "main",
        "ready": True,
        "restartCount": 0,
        "image": "busybox",
        "imageID": "",
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }
    status = {
        "phase": "Running",
        "podIP": "10.244.1.2",
        "podIPs": [{"ip": "10.244.1.2"}],
        "hostIP": "172.18.1.2",
        "containerStatuses": [container],
    }
    conditions = [{"type": "Ready", "status": "True"}]
    client.patch("pods", "web", {"status": status | {"conditions": conditions}}, subresource="status")
    folder = server.state_dir / "pods" / pod["metadata"]["uid"] / "main"
    folder.mkdir(parents=True)
    (folder / "0.log").write_text(
        "2026-01-01T00:00:00.000000001Z stdout F first\n"
        "2026-01-01T00:00:01.000000002Z stdout P sec\n"
        "2026-01-01T00:00:01.000000003Z stdout F ond\n"
        "2026-01-01T00:00:02.000000004Z stderr F third\n"
    )
    client.close()
    return "web"


@pytest.fixture(scope="module")
def agent(server: Server) -> Iterator[None]:
    """Two nodes on which every pod runs."""
    running = FakeAgent(server.client(), ("n1", "n2"))
    yield
    running.close()
