"""`kubinet rollout` and `kubinet scale`: what they say and ask, in kubectl's words."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kubinet.cli.printers import name_of
from kubinet.cli.selection import Target
from kubinet.cli.waiting import versions
from kubinet.errors import ApiError, DeadlineError, KubinetError, UsageError

if TYPE_CHECKING:
    from kubinet.client import Client

Object: TypeAlias = dict[str, Any]

REVISION: Final = "deployment.kubernetes.io/revision"
_CAUSE: Final = "kubernetes.io/change-cause"
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
_HASH: Final = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollout is."""

    text: str
    done: bool = False


def progress(obj: Object) -> Progress:
    """A Deployment's, DaemonSet's or StatefulSet's rollout; KubinetError when it missed its deadline."""
    kind, name = obj["kind"], obj["metadata"]["name"]
    noun = {"Deployment": "deployment", "DaemonSet": "daemon set", "StatefulSet": "statefulset"}.get(kind)
    if noun is None:
        known = "name a deployment, a daemonset or a statefulset"
        raise UsageError(f"no status viewer has been implemented for {kind}; {known}")
    if kind != "Deployment" and (obj["spec"].get("updateStrategy") or {}).get("type") != "RollingUpdate":
        raise KubinetError("rollout status is only available for RollingUpdate strategy type")
    if obj["metadata"].get("generation", 0) > ((obj.get("status") or {}).get("observedGeneration") or 0):
        return Progress(f"Waiting for {noun} spec update to be observed...")
    if kind == "StatefulSet":
        return _stateful_set(obj)
    return _deployment(obj, name) if kind == "Deployment" else _daemon_set(obj, name)


def _deployment(obj: Object, name: str) -> Progress:
    status = obj.get("status") or {}
    counts = {key: status.get(key) or 0 for key in ("replicas", "updatedReplicas", "availableReplicas")}
    total, updated, available = counts.values()
    wanted = obj["spec"].get("replicas", 1)
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise KubinetError(f'deployment "{name}" exceeded its progress deadline')
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    if updated < wanted:
        return Progress(f"{waiting} {updated} out of {wanted} new replicas have been updated...")
    if total > updated:
        return Progress(f"{waiting} {total - updated} old replicas are pending termination...")
    if available < updated:
        return Progress(f"{waiting} {available} of {updated} updated replicas are available...")
    return Progress(f'deployment "{name}" successfully rolled out', done=True)


def _daemon_set(obj: Object, name: str) -> Progress:
    status = obj.get("status") or {}
    wanted = status.get("desiredNumberScheduled") or 0
    waiting = f'Waiting for daemon set "{name}" rollout to finish:'
    updated, available = status.get("updatedNumberScheduled") or 0, status.get("numberAvailable") or 0
    if updated < wanted:
        return Progress(f"{waiting} {updated} out of {wanted} new pods have been updated...")
    if available < wanted:
        return Progress(f"{waiting} {available} of {wanted} updated pods are available...")
    return Progress(f'daemon set "{name}" successfully rolled out', done=True)


def _stateful_set(obj: Object) -> Progress:
    spec, status = obj["spec"], obj.get("status") or {}
    replicas = spec.get("replicas", 1)
    ready, updated = status.get("readyReplicas") or 0, status.get("updatedReplicas") or 0
    if ready < replicas:
        return Progress(f"Waiting for {replicas - ready} pods to be ready...")
    wanted = replicas - ((spec["updateStrategy"].get("rollingUpdate") or {}).get("partition") or 0)
    if updated < wanted:
        waiting = "Waiting for partitioned roll out to finish:"
        return Progress(f"{waiting} {updated} out of {wanted} new pods have been updated...")
    return Progress(f"partitioned roll out complete: {updated} new pods have been updated...", done=True)


def follow(client: "Client", target: Target, *, watch: bool, timeout: float) -> None:
    """Print the progress as it changes until the rollout is complete; DeadlineError after `timeout` s (0: never)."""
    deadline = time.monotonic() + timeout if timeout else None
    said = ""
    for obj in versions(client, target, deadline):
        if obj is None:
            raise ApiError(404, "NotFound", f'{target.resource.plural} "{target.name}" not found')
        now = progress(obj)
        if now.text != said:
            print(now.text, flush=True)
            said = now.text
        if now.done or not watch:
            return
    raise DeadlineError(f"timed out waiting for the condition; {name_of(target.resource, target.name)}: {said}")


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a Deployment."""

    number: int
    cause: str
    template: Object


def revisions(client: "Client", target: Target) -> list[Revision]:
    """A Deployment's revisions by its ReplicaSets, oldest first."""
    if target.resource.kind != "Deployment":
        raise UsageError(f"{target.resource.singular}/{target.name}: only deployments have a history here")
    owner = client.get("deployments.apps", target.name, target.namespace)
    found: list[Revision] = []
    for one in client.list("replicasets.apps", target.namespace)["items"]:
        annotations = one["metadata"].get("annotations") or {}
        owners = [entry["uid"] for entry in one["metadata"].get("ownerReferences") or () if entry.get("controller")]
        if owner["metadata"]["uid"] in owners and annotations.get(REVISION, "").isdigit():
            number = int(annotations[REVISION])
            found.append(Revision(number, annotations.get(_CAUSE, ""), one["spec"]["template"]))
    return sorted(found, key=lambda one: one.number)


def chosen(known: Sequence[Revision], number: int, name: str) -> Revision:
    """The revision with this number; 0: the one before the newest."""
    if number:
        wanted = next((one for one in known if one.number == number), None)
        if wanted is None:
            numbers = ", ".join(str(one.number) for one in known) or "none"
            raise KubinetError(f"unable to find specified revision {number} in history; there are {numbers}")
        return wanted
    if len(known) < 2:
        raise KubinetError(f'no rollout history found for deployment "{name}"; it has had one template only')
    return known[-2]


def undo(client: "Client", target: Target, number: int) -> str:
    """Give a Deployment an earlier template again; what to say of it."""
    shown = name_of(target.resource, target.name)
    wanted = chosen(revisions(client, target), number, target.name)
    present = client.get("deployments.apps", target.name, target.namespace)
    if present["spec"].get("paused"):
        raise KubinetError(
            "cannot rollback a paused deployment; resume it first with `kubinet rollout resume` and try again"
        )
    template = _without_hash(wanted.template)
    if template == present["spec"]["template"]:
        return f"{shown} skipped rollback (current template already matches revision {wanted.number})"
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    client.patch("deployments.apps", target.name, patch, target.namespace, type="json")
    return f"{shown} rolled back"


def _without_hash(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != _HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def restart(client: "Client", target: Target, now: str) -> str:
    """Roll out the same template anew; what to say of it."""
    _need_template(target)
    word = _word(target)
    if client.get(word, target.name, target.namespace)["spec"].get("paused"):
        raise KubinetError("can't restart paused deployment (run `kubinet rollout resume` first)")
    patch = {"spec": {"template": {"metadata": {"annotations": {_RESTARTED: now}}}}}
    client.patch(word, target.name, patch, target.namespace)
    return f"{name_of(target.resource, target.name)} restarted"


def pause(client: "Client", target: Target, *, paused: bool) -> str:
    """Pause a Deployment's rollouts, or let them go on; what to say of it."""
    if target.resource.kind != "Deployment":
        raise UsageError(f"{target.resource.singular}/{target.name}: only a deployment can be paused")
    client.patch(_word(target), target.name, {"spec": {"paused": paused or None}}, target.namespace)
    return f"{name_of(target.resource, target.name)} {'paused' if paused else 'resumed'}"


def scale(client: "Client", target: Target, replicas: int, current: int | None) -> str:
    """Set a workload's replicas by its /scale; what to say of it."""
    word = _word(target)
    if current is not None:
        path = target.resource.path(target.namespace, target.name, "scale")
        present = client.raw("GET", path).json()["spec"].get("replicas", 0)
        if present != current:
            raise KubinetError(f"Expected replicas to be {current}, was {present}")
    client.patch(word, target.name, {"spec": {"replicas": replicas}}, target.namespace, subresource="scale")
    return f"{name_of(target.resource, target.name)} scaled"


def _word(target: Target) -> str:
    return f"{target.resource.plural}.{target.resource.group}"


def _need_template(target: Target) -> None:
    if target.resource.kind not in ("Deployment", "DaemonSet", "StatefulSet"):
        shown = f"{target.resource.singular}/{target.name}"
        raise UsageError(f"{shown}: only deployments, daemonsets and statefulsets are restarted")
