"""Make `controller/api/data/crds.json.gz` from upstream's CRD documents (run at development time only).

Usage: `python tools/trim_crds.py CHECKOUT` with a checkout of kubernetes-sigs/network-policy-api that has its history,
and PyYAML. It keeps the documents as they are, but their status; where each comes from is written into it.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = "https://github.com/kubernetes-sigs/network-policy-api"
FOLDER = "config/crd/experimental"
V0_2_0 = "0eec1b0e5fa92715b4c0f4c48d3c8d2913ed2159"
LAST_WITH_ADMIN_POLICIES = "8c1c5fa535ef0e72b05287190520b22fd2ed1003"
DOCUMENTS = (
    (V0_2_0, "policy.networking.k8s.io_clusternetworkpolicies.yaml"),
    (LAST_WITH_ADMIN_POLICIES, "policy.networking.k8s.io_adminnetworkpolicies.yaml"),
    (LAST_WITH_ADMIN_POLICIES, "policy.networking.k8s.io_baselineadminnetworkpolicies.yaml"),
)
"""Of the experimental channel, as it has `nodes` and `domainNames`."""
TARGET = Path(__file__).resolve().parent.parent / "controller/api/data/crds.json.gz"


def document(checkout: str, commit: str, name: str) -> dict[str, Any]:
    """One CRD with an annotation that names its origin."""
    path = f"{FOLDER}/{name}"
    text = subprocess.run(["git", "-C", checkout, "show", f"{commit}:{path}"], check=True, capture_output=True).stdout
    found: dict[str, Any] = yaml.safe_load(text)
    found["metadata"]["annotations"]["kubinet.dev/origin"] = f"{REPOSITORY}/blob/{commit}/{path}"
    found.pop("status", None)
    return found


def main() -> None:
    """Write the data file."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} CHECKOUT")
    documents = [document(sys.argv[1], commit, name) for commit, name in DOCUMENTS]
    body = json.dumps(documents, separators=(",", ":")).encode()
    TARGET.write_bytes(gzip.compress(body, 9, mtime=0))
    print(f"{len(documents)} documents, {len(body)} bytes")


if __name__ == "__main__":
    main()
