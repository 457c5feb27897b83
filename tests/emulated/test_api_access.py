"""Pods reach the API with the token that they mount: over TLS, on the management network."""

import json
import site
from collections.abc import Callable
from pathlib import Path

import pytest

from kubinet.cluster import Cluster
from kubinet.errors import ApiError

pytestmark = pytest.mark.emulated

_ROOT = Path(__file__).resolve().parents[2]
_READ = """
import json, os, ssl, sys, urllib.error, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
service = "https://" + os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
url = "https://" + sys.argv[1] + ":6443"
token = open(folder + "token").read()
context = ssl.create_default_context(cafile=folder + "ca.crt")
def ask(path, method="GET", body=None, token=token, url=url):
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    request = urllib.request.Request(url + path, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
namespace = open(folder + "namespace").read()
own = "/api/v1/namespaces/" + namespace
map_ = json.dumps({"metadata": {"name": "made"}, "data": {"by": "pod"}}).encode()
print(json.dumps({
    "pods": [item["metadata"]["name"] for item in ask(own + "/pods")[1]["items"]],
    "created": ask(own + "/configmaps", "POST", map_)[0],
    "elsewhere": ask("/api/v1/namespaces/kube-public/configmaps", "POST", map_)[0],
    "secrets": ask("/api/v1/namespaces/kube-public/secrets")[0],
    "forged": ask(own + "/pods", token=token[:-3] + "abc")[0],
    "service": service,
    "by service": ask("/version", url=service)[1]["minor"],
}))
"""
_CLIENT = """
import os, sys
sys.path[:0] = ["/src", "/site"]
from pathlib import Path
from kubinet.client import Client
folder = Path("/var/run/secrets/kubernetes.io/serviceaccount")
client = Client("https://" + sys.argv[1] + ":6443", (folder / "token").read_text(), ca=folder / "ca.crt")
print(client.get("Service", "kubernetes", "default")["spec"]["clusterIP"])
"""


def test_a_pod_asks_the_api_with_its_mounted_token(start_cluster: Callable[..., Cluster]) -> None:
    """From every node a pod lists, writes in its own namespace only, and is nobody with a forged or a dead token."""
    cluster = start_cluster("star", nodes=2)
    volumes = [
        {"name": "src", "hostPath": {"path": str(_ROOT)}},
        {"name": "site", "hostPath": {"path": site.getsitepackages()[0]}},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    for number in (1, 2):
        container = {"name": "main", "image": "python:3", "command": ["sleep", "1000"], "volumeMounts": mounts}
        spec = {"nodeName": f"n{number}", "containers": [container], "volumes": volumes}
        metadata = {"name": f"p{number}", "namespace": "default"}
        cluster.client.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    for number in (1, 2):
        cluster.wait("Pod", f"p{number}", "Ready", namespace="default")

    address = str(cluster.facts.management_address)
    told = json.loads(cluster.pod("p2").exec(["/usr/bin/python3", "-c", _READ, address]).text)
    assert told == {
        "pods": ["p1", "p2"],
        "created": 201,
        "elsewhere": 403,
        "secrets": 403,
        "forged": 401,
        "service": "https://10.96.0.1:443",
        "by service": "32",
    }
    assert cluster.pod("p1").exec(["/usr/bin/python3", "-c", _CLIENT, address]).text == "10.96.0.1\n"

    token = cluster.pod("p1").exec(["cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"]).text
    cluster.client.delete("Pod", "p1", grace_period=0)
    cluster.wait_until("Pod", "p1", lambda pod: pod is None, namespace="default")
    client = cluster.client.clone()
    client._session.headers["Authorization"] = f"Bearer {token}"
    with pytest.raises(ApiError, match="Unauthorized"):
        client.raw("GET", "/api/v1/pods")
