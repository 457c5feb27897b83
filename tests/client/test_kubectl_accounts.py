"""kubectl's and the Python client's view of service accounts: tokens, who am I, what may I do."""

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

kubernetes = pytest.importorskip("kubernetes", reason="the Python kubernetes client is not installed")
pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]
ROBOT = "system:serviceaccount:default:default"


@pytest.mark.parametrize("version", ["kubectl", "old_kubectl"])
def test_a_token_that_kubectl_made_is_good(version: str, server: Any, request: pytest.FixtureRequest) -> None:
    """`create token` prints a token; with it kubectl is the service account and may do what the rule says."""
    kubectl: Kubectl = request.getfixturevalue(version)
    token = kubectl("create", "token", "default", "--duration=1h").stdout.strip()
    # A user of the kubeconfig comes before --token: a kubeconfig of its own has none.
    config = server.state_dir / f"robot-{version}"
    config.write_text(server.kubeconfig.read_text().replace(server.token, token))
    config.chmod(0o600)

    def robot(*arguments: str, code: int = 0) -> str:
        done = kubectl(f"--kubeconfig={config}", *arguments, code=code)
        return done.stdout + done.stderr

    assert ROBOT in robot("auth", "whoami")
    assert robot("auth", "can-i", "create", "pods").splitlines()[-1] == "yes"
    assert robot("auth", "can-i", "list", "pods", "-A").splitlines()[-1] == "yes"
    assert robot("auth", "can-i", "create", "pods", "-n", "kube-system", code=1).startswith("no")
    assert "*.*" in robot("auth", "can-i", "--list")
    assert "default" in robot("get", "serviceaccounts", "-A")
    assert f'User "{ROBOT}" cannot create resource' in robot("create", "configmap", "x", "-n", "kube-public", code=1)
    assert "kubernetes-admin" in kubectl("auth", "whoami").stdout
    assert kubectl("auth", "can-i", "delete", "nodes", code=0).stdout.splitlines()[-1] == "yes"


def test_the_python_client_configures_itself_in_a_pod(
    server: Any, kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`load_incluster_config` needs the two variables and the mounted files, as pods have them."""
    token = kubectl("create", "token", "default").stdout.strip()
    (tmp_path / "token").write_text(token)
    (tmp_path / "ca.crt").write_bytes((server.state_dir / "pki" / "ca.crt").read_bytes())
    host, port = server.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    loader = kubernetes.config.incluster_config.InClusterConfigLoader(
        token_filename=str(tmp_path / "token"), cert_filename=str(tmp_path / "ca.crt")
    )
    configuration = kubernetes.client.Configuration()
    loader.load_and_set(configuration)
    with kubernetes.client.ApiClient(configuration) as connection:
        api = kubernetes.client.CoreV1Api(connection)
        assert api.read_namespaced_service_account("default", "default").metadata.name == "default"
        with pytest.raises(kubernetes.client.ApiException) as refused:
            api.create_namespace({"metadata": {"name": "no"}})
    assert refused.value.status == 403


def test_a_script_needs_only_the_token_and_the_authority(server: Any, kubectl: Kubectl) -> None:
    """Plain urllib with `Authorization: Bearer` and the mounted authority."""
    token = kubectl("create", "token", "default").stdout.strip()
    context = ssl.create_default_context(cafile=server.state_dir / "pki" / "ca.crt")
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{server.url}/api/v1/namespaces", headers=headers)
    with urllib.request.urlopen(request, context=context) as answer:
        names = [item["metadata"]["name"] for item in json.load(answer)["items"]]
    assert names == ["default", "kube-public", "kube-system"]
