"""Pods that nobody runs: their status says what a test wants."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

_SDK = Path("/usr/lib/google-cloud-sdk/bin")


def add_pod(client: Any, name: str, *, phase: str = "Running", ports: list[dict[str, Any]] | None = None) -> str:
    """A pod at this machine's loopback address."""
    container = {"name": "main", "image": "busybox", "ports": ports or []}
    metadata = {"name": name, "namespace": "default"}
    client.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    status = {"phase": phase, "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
    client.patch("pods", name, {"status": status}, subresource="status")
    return name


def kubectl_command(server: Any, version: str) -> tuple[list[str], dict[str, str]]:
    """kubectl of a version (1.32: or what PATH has), and its environment."""
    binary = _SDK / f"kubectl.{version}"
    found = str(binary) if binary.exists() else shutil.which("kubectl") if version == "1.32" else None
    if found is None:
        pytest.skip(f"kubectl {version} is not installed")
    home = server.state_dir / "home"
    home.mkdir(exist_ok=True)
    return [found], {"HOME": str(home), "KUBECONFIG": str(server.kubeconfig), "PATH": os.environ["PATH"]}
