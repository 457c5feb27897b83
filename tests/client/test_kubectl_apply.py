"""Apply and validation as kubectl does them, from 1.27 to 1.33."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from fakepods import kubectl_command

pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]
VERSIONS = ["1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33"]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=VERSIONS)
def any_kubectl(request: pytest.FixtureRequest, server: Any) -> Kubectl:
    command, environment = kubectl_command(server, request.param)
    environment["KUBECTL_APPLYSET"] = "true"

    def run(*arguments: str, stdin: str = "", code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*command, *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert code is None or done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    return run


def manifest(name: str, **data: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    test, _, version = request.node.name.rstrip("]").partition("[")
    return f"map-{version.replace('.', '-')}-{test[5:9]}".replace("_", "x")


def test_apply_conflict_force_and_prune(any_kubectl: Kubectl, name: str) -> None:
    """Another manager's field is a conflict, --force-conflicts takes it, and a field that is dropped goes."""
    apply = ("apply", "--server-side", "-f", "-")
    assert any_kubectl(*apply, stdin=manifest(name, a="1", b="1")).stdout == f"configmap/{name} serverside-applied\n"
    before = any_kubectl("get", "cm", name, "-o", "jsonpath={.metadata.resourceVersion}").stdout
    any_kubectl(*apply, stdin=manifest(name, a="1", b="1"))
    assert any_kubectl("get", "cm", name, "-o", "jsonpath={.metadata.resourceVersion}").stdout == before
    any_kubectl("patch", "cm", name, "--type=merge", "-p", '{"data":{"a":"2","c":"3"}}')
    refused = any_kubectl(*apply, stdin=manifest(name, a="1"), code=1).stderr
    assert 'Apply failed with 1 conflict: conflict with "kubectl-patch" using v1: .data.a' in refused
    any_kubectl(*apply, "--force-conflicts", stdin=manifest(name, a="1"))
    assert json.loads(any_kubectl("get", "cm", name, "-o", "json").stdout)["data"] == {"a": "1", "c": "3"}


def test_client_side_apply_becomes_server_side(any_kubectl: Kubectl, name: str) -> None:
    """kubectl takes its own client-side fields over without a conflict, and owns them alone from then on."""
    any_kubectl("apply", "-f", "-", stdin=manifest(name, a="1", b="1"))
    any_kubectl("apply", "--server-side", "-f", "-", stdin=manifest(name, a="2"))
    found = json.loads(any_kubectl("get", "cm", name, "-o", "json", "--show-managed-fields").stdout)
    assert found["data"] == {"a": "2"}
    managers = {(entry["manager"], entry["operation"]) for entry in found["metadata"]["managedFields"]}
    assert ("kubectl", "Apply") in managers
    assert ("kubectl-client-side-apply", "Update") not in managers


def test_diff_and_dry_run(any_kubectl: Kubectl, name: str) -> None:
    """`diff` shows what apply would change and `--dry-run=server` changes nothing."""
    any_kubectl("apply", "--server-side", "-f", "-", stdin=manifest(name, a="1"))
    assert any_kubectl("diff", "--server-side", "-f", "-", stdin=manifest(name, a="1")).stdout == ""
    shown = any_kubectl("diff", "--server-side", "-f", "-", stdin=manifest(name, a="9"), code=1).stdout
    assert '-  a: "1"\n+  a: "9"' in shown
    any_kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=manifest(name, a="9"))
    assert any_kubectl("get", "cm", name, "-o", "jsonpath={.data.a}").stdout == "1"
    shown = any_kubectl("diff", "-f", "-", stdin=manifest(name, a="7"), code=1).stdout
    assert '+  a: "7"' in shown


def test_prune_and_apply_sets(any_kubectl: Kubectl, name: str) -> None:
    """Objects that left the files go: by label and allow list, and by an ApplySet."""
    one, two = f"{name}-one", f"{name}-two"
    label = {"set": name}

    def files(*names: str) -> str:
        maps = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": n, "labels": label}} for n in names]
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": maps})

    prune = ("apply", "--prune", "-l", f"set={name}", "--prune-allowlist=core/v1/ConfigMap", "-f", "-")
    any_kubectl(*prune, stdin=files(one, two))
    assert f"configmap/{two} pruned" in any_kubectl(*prune, stdin=files(one)).stdout
    assert any_kubectl("get", "cm", two, code=1).stderr.strip().endswith("not found")

    parent = f"--applyset=secret/{name}-set"
    apply_set = ("apply", "--server-side", "--prune", parent, "-n", "default", "-f", "-")
    any_kubectl(*apply_set, stdin=files(f"{name}-x", f"{name}-y"))
    assert f"configmap/{name}-y pruned" in any_kubectl(*apply_set, stdin=files(f"{name}-x")).stdout


def test_validation_is_the_servers(any_kubectl: Kubectl, name: str) -> None:
    """Unknown fields are refused by name and unknown kinds are said to be unknown, by the oldest kubectl too."""
    wrong = json.loads(manifest(name)) | {"dada": {}}
    refused = any_kubectl("create", "-f", "-", stdin=json.dumps(wrong), code=1).stderr
    assert 'strict decoding error: unknown field "dada"' in refused
    nothing = json.loads(manifest(name)) | {"kind": "Nothing"}
    refused = any_kubectl("apply", "-f", "-", stdin=json.dumps(nothing), code=1).stderr
    assert 'no matches for kind "Nothing" in version "v1"' in refused
    any_kubectl("apply", "-f", "-", stdin=manifest(name, a="1"))
    assert any_kubectl("apply", "-f", "-", stdin=manifest(name, a="2")).stdout == f"configmap/{name} configured\n"
