"""`kubinet describe`: an object for people, with what belongs to it and its events."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kubinet.cli.describing import clusterpolicy, generic, namespace, networkpolicy, node, pod, service, workload
from kubinet.cli.describing.lines import Describer, Related
from kubinet.cli.describing.related import CLUSTER_POLICIES, related_of
from kubinet.cli.selection import Scope, Selected
from kubinet.errors import ApiError, UsageError

if TYPE_CHECKING:
    from kubinet.client import Client

__all__ = ["describe_all", "describe_object"]

Object: TypeAlias = dict[str, Any]

_DESCRIBERS: Final[Mapping[str, Describer]] = {
    "Pod": pod.describe,
    "Node": node.describe,
    "Service": service.describe,
    "NetworkPolicy": networkpolicy.describe,
    **dict.fromkeys(CLUSTER_POLICIES, clusterpolicy.describe),
    "Namespace": namespace.describe,
    "Deployment": workload.describe_deployment,
    "ReplicaSet": workload.describe_replica_set,
    "DaemonSet": workload.describe_daemon_set,
    "StatefulSet": workload.describe_stateful_set,
    "Job": workload.describe_job,
}


def describe_object(obj: Object, related: Related) -> str:
    """One object as text; kinds without a form of their own are shown field by field."""
    return _DESCRIBERS.get(obj["kind"], generic.describe)(obj, related)


def describe_all(client: "Client", selected: Sequence[Selected], scope: Scope, labels: str | None) -> int:
    """Describe what is selected, two empty lines between objects; the exit status."""
    failed, texts = False, []
    for one in selected:
        where = scope.of(one.resource)
        if one.names and scope.everywhere and one.resource.namespaced:
            raise UsageError("an object is not found by name in all namespaces; name its namespace with -n")
        parameters = {"labelSelector": labels} if labels else {}
        for name in one.names or (None,):
            try:
                answer = client.raw("GET", one.resource.path(where, name), params=parameters).json()
            except ApiError as error:
                failed = True
                print(f"Error: {error}", file=sys.stderr)
                continue
            defaults = {"apiVersion": one.resource.group_version, "kind": one.resource.kind}
            items = [answer] if name else [defaults | item for item in answer["items"]]
            texts += [describe_object(item, related_of(client, item)) for item in items]
    if not texts and not failed:
        where_text = scope.text(selected[0].resource)
        print(f"No resources found{where_text}{'.' if where_text else ''}", file=sys.stderr)
    sys.stdout.write("\n\n".join(texts))
    return int(failed)
