"""Other people's manifests: what the API serves is accepted, what breaks a rule is refused."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.client, pytest.mark.timeout(300)]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]

MANIFESTS = Path(__file__).resolve().parents[3] / "shared" / "manifests"
SERVED = {"Namespace", "Pod", "Service", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy", "Endpoints"}
SERVED |= {"Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job"}
# Upstream accepts these: a null label value is empty, an absent selector selects everything, a rule may have no effect.
ACCEPTED = {
    "matchlabels_empty_value_label.yaml",
    "spec_podselector_does_not_exist.yaml",
    "spec_podselector_null.yaml",
    "spec_policytypes_missing_ingress.yaml",
}


def _documents(path: Path) -> list[dict[str, object]]:
    try:
        return [doc for doc in yaml.safe_load_all(path.read_text()) if isinstance(doc, dict)]
    except yaml.YAMLError:
        return []


def test_real_manifests_are_accepted(kubectl: Kubectl, tmp_path: Path) -> None:
    """Every object of a served kind in the collected manifests passes `apply --dry-run=server`."""
    if not MANIFESTS.is_dir():
        pytest.skip("shared/manifests is not beside the checkout")
    files = [p for p in MANIFESTS.rglob("*.yaml") if "invalid" not in p.parent.name]
    documents = [doc for path in sorted(files) for doc in _documents(path) if doc.get("kind") in SERVED]
    namespaces = {str((doc.get("metadata") or {}).get("namespace") or "default") for doc in documents}
    for name in namespaces - {"default"}:
        kubectl("create", "namespace", name, code=None)
    target = tmp_path / "all.yaml"
    target.write_text(yaml.safe_dump_all(documents))
    done = kubectl("apply", "--dry-run=server", "-f", str(target), code=None)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Warning:")]
    # Files of 2021 have a field of an alpha that was renamed since: Kubernetes 1.32 refuses it too. Others want IPv6,
    # which a cluster of one family refuses.
    known = {'unknown field "spec.ipFamily"', "not configured on this cluster"}
    assert {line.rpartition(": ")[2] for line in errors} <= known, errors
    assert len(errors) <= 8
    assert len(documents) > 30


def test_invalid_network_policies_are_refused(kubectl: Kubectl) -> None:
    """Each NetworkPolicy that breaks a rule is refused."""
    folder = MANIFESTS / "invalid-networkpolicies"
    if not folder.is_dir():
        pytest.skip("shared/manifests is not beside the checkout")
    accepted = []
    for path in sorted(folder.glob("*.yaml")):
        if kubectl("apply", "--dry-run=server", "-f", str(path), code=None).returncode == 0:
            accepted.append(path.name)
    assert set(accepted) <= ACCEPTED
