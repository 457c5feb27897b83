"""What is added to a new pod before it is stored: its service account's token, as upstream's ServiceAccount admission.

Every container without a mount there gets the folder `/var/run/secrets/kubernetes.io/serviceaccount` with `token`,
`ca.crt` and `namespace`, unless the pod or its service account says `automountServiceAccountToken: false`.
"""

from typing import Final

from controller.api.names import suffix
from controller.api.registry import POD, SERVICE_ACCOUNT, Kind
from controller.api.status import Object, forbidden
from controller.api.store import Store
from controller.api.tokens import MOUNTED_SECONDS

MOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
ROOT_CA: Final = "kube-root-ca.crt"
_FILE_MODE: Final = 0o644


class ServiceAccountAdmission:
    """One of `Objects.prepare`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, kind: Kind, obj: Object) -> None:
        """Complete a pod; 403 when its service account does not exist."""
        if kind is not POD:
            return
        metadata, spec = obj["metadata"], obj["spec"]
        namespace, name = metadata["namespace"], spec["serviceAccountName"]
        stored = self._store.get(SERVICE_ACCOUNT.key, namespace, name)
        if stored is None:
            why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
            raise forbidden("", "pods", metadata.get("name") or "", why)
        account = stored.object
        if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
            spec["imagePullSecrets"] = list(account["imagePullSecrets"])
        if mounts_token(spec, account):
            mount_token(spec)


def mounts_token(spec: Object, account: Object) -> bool:
    """The pod's word counts before its service account's; without either the token is mounted."""
    for told in (spec.get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):
        if told is not None:
            return bool(told)
    return True


def mount_token(spec: Object) -> None:
    """Add the volume, and a mount to each container that has none at this path."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    lacking = [
        container
        for container in containers
        if not any(mount.get("mountPath") == MOUNT for mount in container.get("volumeMounts") or ())
    ]
    if not lacking:
        return
    name = f"kube-api-access-{suffix()}"
    spec.setdefault("volumes", []).append({"name": name, "projected": _projection()})
    for container in lacking:
        mount = {"name": name, "readOnly": True, "mountPath": MOUNT}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]


def _projection() -> Object:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "defaultMode": _FILE_MODE,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": MOUNTED_SECONDS, "path": "token"}},
            {"configMap": {"name": ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ],
    }
