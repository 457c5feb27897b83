"""What a description needs besides the object: its events, a node's pods, a service's endpoints."""

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kubinet.cli.describing.lines import Related
from kubinet.cli.happenings import last_seen
from kubinet.errors import ApiError

if TYPE_CHECKING:
    from kubinet.client import Client

Object: TypeAlias = dict[str, Any]

CLUSTER_POLICIES: Final = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy")


def related_of(client: "Client", obj: Object) -> Related:
    """Ask the API; kinds that it does not serve are left out."""
    metadata = obj["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace")
    kind = obj["kind"]
    selector = f"involvedObject.kind={kind},involvedObject.name={name}"
    if namespace:
        selector += f",involvedObject.namespace={namespace}"
    if kind == "Pod":  # an earlier pod of the same name had its own, as for kubectl
        selector += f",involvedObject.uid={metadata['uid']}"
    events = _items(client, "events", namespace, fields=selector)
    pods: list[Object] = []
    slices: list[Object] = []
    if kind == "Node":
        pods = _items(client, "pods", None, fields=f"spec.nodeName={name}")
    elif kind in ("NetworkPolicy", "ReplicaSet", "DaemonSet", "StatefulSet"):
        pods = _items(client, "pods", namespace)
    elif kind == "Service":
        slices = _items(client, "endpointslices", namespace, labels=f"kubernetes.io/service-name={name}")
    elif kind in CLUSTER_POLICIES:
        pods = _items(client, "pods", None)
    namespaces = _items(client, "namespaces", None) if kind in CLUSTER_POLICIES else []
    sets = _items(client, "replicasets.apps", namespace) if kind == "Deployment" else []
    return Related(sorted(events, key=last_seen), pods, slices, sets, namespaces)


def _items(
    client: "Client", kind: str, namespace: str | None, *, fields: str | None = None, labels: str | None = None
) -> list[Object]:
    try:
        found = client.list(kind, namespace, field_selector=fields, label_selector=labels)
    except ApiError as error:
        if error.status != 404:
            raise
        return []
    return list(found["items"])
