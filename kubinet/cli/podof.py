"""The pod that is meant where a command needs one and its user names what runs pods, as kubectl finds it."""

from typing import TYPE_CHECKING, Final

from kubinet.errors import KubinetError, UsageError

if TYPE_CHECKING:
    from kubinet.client import Client, Object

_OWNERS: Final = ("deployments", "replicasets", "statefulsets", "daemonsets", "jobs")


def pod_of(client: "Client", plural: str, name: str, namespace: str) -> str:
    """The pod's own name; for a Service or a workload one of its pods, a ready one where there is one."""
    if plural == "pods":
        return name
    if plural != "services" and plural not in _OWNERS:
        raise UsageError(f"{plural}/{name}: needs a pod, a service or a workload; `kubinet get pods` lists pods")
    spec = client.get(plural, name, namespace)["spec"]
    selector = spec.get("selector") or {}
    labels = selector if plural == "services" else selector.get("matchLabels") or {}
    if not labels:
        raise KubinetError(f"{plural}/{name} selects no pods")
    text = ",".join(f"{key}={value}" for key, value in labels.items())
    pods = client.list("pods", namespace, label_selector=text)["items"]
    if not pods:
        raise KubinetError(f"{plural}/{name} has no pod; `kubinet get pods -n {namespace} -l {text}` shows them")
    return str(min(pods, key=lambda pod: (not is_ready(pod), pod["metadata"]["name"]))["metadata"]["name"])


def is_ready(pod: "Object") -> bool:
    """Whether the pod is ready and not about to go."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
