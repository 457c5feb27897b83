"""The DNS add-on: its objects are created when the cluster starts, and the cluster is ready when it answers.

What a user changes in these objects stays: they are created where they are missing, and never put back.
"""

import time
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

from kubinet.client import Client
from kubinet.errors import ApiError, DeadlineError
from kubinet.facts import facts_from_json
from kubinet.manifests import parse_manifests
from kubinet.service import ServiceContext
from kubinet.state import NetworkConfig

NAMESPACE: Final = "kube-system"
DEPLOYMENT: Final = "coredns"
SELECTOR: Final = "k8s-app=kube-dns"
DEADLINE_SECONDS: Final = 60.0
API_PORT: Final = 6443
Object = dict[str, Any]


def serve(context: ServiceContext) -> None:
    """Create the objects; ready when the Deployment is available, DeadlineError saying what its pods wait for."""
    began = time.monotonic()
    client = Client(context.api_url, context.token)
    network = facts_from_json(context.facts_file.read_text()).network
    if not network.dns_replicas:
        context.ready({"replicas": 0})
        return
    for obj in objects(network):
        try:
            client.create(obj)
        except ApiError as error:
            if error.status != 409:
                raise
    _wait(client, began + DEADLINE_SECONDS)
    seconds = round(time.monotonic() - began, 3)
    context.ready({"replicas": network.dns_replicas, "address": str(network.dns_service_address), "seconds": seconds})


def objects(network: NetworkConfig) -> list[Object]:
    """The add-on's objects for a cluster.

    The server asks the API at its own address instead of Service `kubernetes`: names must not wait for Services.
    """
    source = files("topologies").joinpath("coredns.yaml")
    made = [manifest.object for manifest in parse_manifests(source.read_text(), "coredns.yaml")]
    by_kind = {obj["kind"]: obj["spec"] for obj in made if "spec" in obj}
    by_kind["Service"]["clusterIP"] = str(network.dns_service_address)
    by_kind["Deployment"]["replicas"] = network.dns_replicas
    container = by_kind["Deployment"]["template"]["spec"]["containers"][0]
    container["args"] = [f"--reverse={cidr}" for cidr in (network.service_cidr, network.pod_cidr)]
    container["env"] = [
        {"name": "KUBERNETES_SERVICE_HOST", "value": str(network.management_cidr[1])},
        {"name": "KUBERNETES_SERVICE_PORT", "value": str(API_PORT)},
    ]
    return made


def available(deployment: Object) -> bool:
    """Whether a Deployment has condition Available for its present generation."""
    status = deployment.get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
    return observed and conditions.get("Available") == "True"


def _wait(client: Client, deadline: float) -> None:
    while (left := deadline - time.monotonic()) > 0:
        for deployment in _versions(client, left):
            if available(deployment):
                return
    pods = client.list("Pod", NAMESPACE, label_selector=SELECTOR)["items"]
    seen = "; ".join(map(describe, pods)) or "no pods"
    raise DeadlineError(
        f"the cluster's DNS is not available after {DEADLINE_SECONDS:g} s: {seen}; "
        f"`kubinet describe pods -n {NAMESPACE}` says more, `--set network.dnsReplicas=0` leaves it out"
    )


def _versions(client: Client, seconds: float) -> Iterator[Object]:
    selector = f"metadata.name={DEPLOYMENT}"
    listed = client.list("Deployment", NAMESPACE, field_selector=selector)
    yield from listed["items"]
    version = listed["metadata"]["resourceVersion"]
    try:
        events = client.watch(
            "Deployment", NAMESPACE, resource_version=version, field_selector=selector, timeout=seconds
        )
        for event in events:
            if event.type in ("ADDED", "MODIFIED"):
                yield event.object
    except ApiError as error:
        if error.status != 410:  # 410: list again
            raise


def describe(pod: Object) -> str:
    """What a pod waits for, in a few words."""
    status = pod.get("status") or {}
    waiting = [
        state["waiting"].get("reason", "waiting")
        for one in status.get("containerStatuses") or ()
        if "waiting" in (state := one.get("state") or {})
    ]
    unready = [
        one["message"] for one in status.get("conditions") or () if one["type"] == "Ready" and one.get("message")
    ]
    words = [status.get("phase", "Pending"), *waiting, *unready]
    return f"{pod['metadata']['name']} {', '.join(words)}"
